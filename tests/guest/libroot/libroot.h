/* What the files of libroot share with each other and with nobody else. */
#pragma once
#include <errno.h>
#include <private/lock.h>
#include <private/rld_export.h>
#include <private/syscalls.h>
#include <pthread.h>

/* Symbols that programs and the loader see; the rest is hidden by -fvisibility=hidden. */
#define EXPORT __attribute__((visibility("default")))

/* For functions that report errors through errno: `status` if it is not negative, else -1 with errno set. */
static inline ssize_t set_errno(ssize_t status)
{
	if (status >= 0)
		return status;
	errno = (int)status;
	return -1;
}

/* init.c */
extern thread_id __main_thread_id; /* the id of the team, too */

/* pthread.c */
struct pthread_thread {
	thread_id id;
	void* (*entry)(void*);
	void* argument;
	void* exit_value;
	int32 flags; /* PTHREAD_FLAG_* */
	void* specific[PTHREAD_KEYS_MAX];
};
struct pthread_thread* pthread_allocate(void* (*entry)(void*), void* argument);
void pthread_init_main(void);
void pthread_thread_ends(void);
void pthread_reinit_after_fork(void);

/* thread.c */
void thread_run_exit_callbacks(void);

/* malloc.c */
void heap_init(void);
void heap_lock_for_fork(void);
void heap_unlock_after_fork(bool isChild);

/* stdio.c */
void stdio_flush_all(void);

/* signal.c */
void defer_signals(void);
void undefer_signals(void);

/* environment.c */
void environment_init(char** initial);

/* time.c */
void time_init(void);

/* flat_args.c */
status_t flatten_arguments(const char* const* argv, int32 argc, const char* const* envp, int32 envc,
	char*** flat, size_t* size);
int32 count_strings(const char* const* strings);
