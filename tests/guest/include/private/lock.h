/* The lock of libroot's and the loader's own data: a user mutex that enters the kernel only when contended. */
#pragma once
#include <private/syscalls.h>
#include <private/user_mutex.h>

typedef struct {
	int32 word;
} lock_t;

static inline void lock_acquire(lock_t* lock)
{
	int32 before = atomic_or(&lock->word, B_USER_MUTEX_LOCKED);
	if ((before & B_USER_MUTEX_LOCKED) == 0)
		return;
	while (_kern_mutex_lock(&lock->word, "guest lock", 0, B_INFINITE_TIMEOUT) == B_INTERRUPTED)
		;
}

static inline void lock_release(lock_t* lock)
{
	int32 before = atomic_and(&lock->word, ~B_USER_MUTEX_LOCKED);
	if ((before & B_USER_MUTEX_WAITING) != 0)
		_kern_mutex_unblock(&lock->word, 0);
}
