/* The runtime loader's services for libroot, which finds them through its variable __gRuntimeLoader. */
#pragma once
#include <image.h>
#include <private/program_args.h>

struct rld_export {
	void* commpage_address;
	const struct user_space_program_args* program_args;
	void* (*get_tls_address)(unsigned long module, unsigned long offset);
	void (*destroy_thread_tls)(void);
	image_id (*load_add_on)(const char* path);
	status_t (*unload_add_on)(image_id image);
	status_t (*get_image_symbol)(image_id image, const char* name, int32 type, void** location);
	status_t (*test_executable)(const char* path);
	void (*reinit_after_fork)(void);
	void (*call_termination_hooks)(void);
};

extern const struct rld_export* __gRuntimeLoader;

/* Layout of what register_image() is told. */
struct extended_image_info {
	image_info basic_info;
	ssize_t text_delta;
	void* symbol_table;
	void* symbol_hash;
	void* string_table;
};
_Static_assert(sizeof(struct extended_image_info) == (sizeof(void*) == 8 ? 1136 : 1100), "extended_image_info");
