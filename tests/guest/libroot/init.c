/* Start-up and end of a program. */
#include "libroot.h"
#include <private/commpage.h>
#include <stdlib.h>
#include <string.h>

EXPORT const struct rld_export* __gRuntimeLoader; /* set by the loader once this image is relocated */
EXPORT addr_t* __gCommPageAddress;
EXPORT thread_id __main_thread_id;
EXPORT int32 __libroot_cpu_count;

#define MAX_ATEXIT 64

static lock_t atexit_lock;
static void (*atexit_functions[MAX_ATEXIT])(void);
static int atexit_count;
static unsigned long stack_canary[16 / sizeof(long)];

/* As Haiku's: asks for bytes to protect stacks with, and gets by without them. */
static void get_entropy(void)
{
	struct {
		void* buffer;
		size_t size;
	} request = {stack_canary, sizeof(stack_canary)};
	_kern_generic_syscall("random", 1, &request, sizeof(request));
}

/* Called by the loader before this image's own constructors. */
EXPORT void initialize_before(image_id image)
{
	(void)image;
	__gCommPageAddress = __gRuntimeLoader->commpage_address;
	__main_thread_id = find_thread(NULL);
	time_init();
	system_info info;
	__libroot_cpu_count = _kern_get_system_info(&info) == B_OK ? (int32)info.cpu_count : 1;
	heap_init();
	pthread_init_main();
	environment_init(__gRuntimeLoader->program_args->env);
	get_entropy();
}

EXPORT int atexit(void (*function)(void))
{
	lock_acquire(&atexit_lock);
	bool has_room = atexit_count < MAX_ATEXIT;
	if (has_room)
		atexit_functions[atexit_count++] = function;
	lock_release(&atexit_lock);
	return has_room ? 0 : (int)set_errno(B_NO_MEMORY);
}

static void (*take_atexit_function(void))(void)
{
	lock_acquire(&atexit_lock);
	void (*function)(void) = atexit_count > 0 ? atexit_functions[--atexit_count] : NULL;
	lock_release(&atexit_lock);
	return function;
}

EXPORT void _Exit(int status)
{
	_kern_exit_team(status);
}

EXPORT void _exit(int status)
{
	_kern_exit_team(status);
}

EXPORT void exit(int status)
{
	void (*function)(void);
	while ((function = take_atexit_function()) != NULL)
		function();
	__gRuntimeLoader->call_termination_hooks();
	stdio_flush_all();
	_kern_exit_team(status);
}
