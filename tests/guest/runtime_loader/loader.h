/* The runtime loader's own types. */
#pragma once
#include <private/elf.h>
#include <private/rld_export.h>
#include <private/syscalls.h>

#define MAX_REGIONS 8
#define MAX_NEEDED 16

/* A page-aligned piece of a segment: file contents, or zeroes behind them. */
struct region {
	addr_t start; /* where it is mapped */
	addr_t size;
	addr_t vaddr; /* page-aligned address in the file's terms */
	off_t file_offset;
	bool anonymous;
	uint32 protection; /* what it gets once relocated */
	addr_t zero_from; /* vaddr from which on a file region is zeroed, 0 for none */
	area_id area;
};

struct image {
	char path[1024];
	const char* name; /* leaf of path */
	const char* soname;
	image_id id;
	int32 type;
	struct image* next; /* in the order of loading, breadth first, program first */
	bool is_relocated, is_initialised;

	intptr_t delta; /* mapped address minus address in the file */
	addr_t entry;
	int region_count;
	struct region regions[MAX_REGIONS];

	const elf_dyn* dynamic;
	const elf_sym* symbols;
	const char* strings;
	const uint32* hash;
	const char* needed[MAX_NEEDED];
	int needed_count;

	unsigned long tls_module; /* 1 and up, 0 without thread-local data */
	const void* tls_image;
	size_t tls_file_size, tls_memory_size, tls_alignment;
	struct image* next_tls;
};

extern struct image* first_image;
extern const struct user_space_program_args* program_args;

/* heap.c */
void heap_init(void);
void heap_reinit_after_fork(void);
void* heap_alloc(size_t size);
void heap_free(void* block);

/* map.c */
status_t map_image(const char* path, int32 type, struct image** result);
void protect_image(struct image* image);

/* search.c */
status_t load_dependencies(struct image* image);
struct image* find_loaded(const char* name);

/* symbols.c */
const elf_sym* find_in_image(const struct image* image, const char* name);
const elf_sym* find_symbol(struct image* user, const char* name, struct image* skip, struct image** found);

/* relocate.c */
status_t relocate_image(struct image* image);

/* tls.c */
void tls_register(struct image* image, const elf_phdr* segment);
void* tls_get_address(unsigned long module, unsigned long offset);
void tls_destroy(void);

/* start.c */
status_t relocate_and_initialise(struct image* from);
image_id load_add_on_image(const char* path);
status_t find_image_symbol(image_id id, const char* name, int32 type, void** location);
void call_termination_hooks(void);

/* report.c: says what went wrong to whoever started the program. The strings end with NULL. */
void report(const char* first, ...);

/* strings.c */
size_t string_length(const char* string);
bool string_equal(const char* a, const char* b);
size_t string_copy(char* dest, const char* source, size_t size);
const char* string_leaf(const char* path);
