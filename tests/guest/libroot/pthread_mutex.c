/* Mutexes and condition variables over user mutexes. The kernel is entered only to wait and to wake. */
#include "libroot.h"

#define NO_WAIT (-1)

EXPORT int pthread_mutexattr_init(pthread_mutexattr_t* attr)
{
	attr->type = PTHREAD_MUTEX_DEFAULT;
	return 0;
}

EXPORT int pthread_mutexattr_settype(pthread_mutexattr_t* attr, int type)
{
	if (type < PTHREAD_MUTEX_DEFAULT || type > PTHREAD_MUTEX_RECURSIVE)
		return EINVAL;
	attr->type = type;
	return 0;
}

EXPORT int pthread_mutex_init(pthread_mutex_t* mutex, const pthread_mutexattr_t* attr)
{
	*mutex = (pthread_mutex_t){attr != NULL ? attr->type : PTHREAD_MUTEX_DEFAULT, 0, -1, 0};
	return 0;
}

EXPORT int pthread_mutex_destroy(pthread_mutex_t* mutex)
{
	(void)mutex;
	return 0;
}

/* `timeout` is an absolute real time in microseconds, B_INFINITE_TIMEOUT or NO_WAIT. */
static int lock_mutex(pthread_mutex_t* mutex, bigtime_t timeout)
{
	thread_id self = find_thread(NULL);
	if (mutex->owner == self) {
		if (mutex->flags == PTHREAD_MUTEX_RECURSIVE) {
			mutex->owner_count++;
			return 0;
		}
		if (mutex->flags != PTHREAD_MUTEX_NORMAL)
			return timeout == NO_WAIT ? EBUSY : EDEADLK;
	}

	if (timeout == NO_WAIT) {
		if ((atomic_or(&mutex->lock, B_USER_MUTEX_LOCKED) & B_USER_MUTEX_LOCKED) != 0)
			return EBUSY;
	} else {
		int32 before = atomic_or(&mutex->lock, B_USER_MUTEX_LOCKED);
		if ((before & B_USER_MUTEX_LOCKED) != 0) {
			uint32 flags = timeout == B_INFINITE_TIMEOUT ? 0 : B_ABSOLUTE_REAL_TIME_TIMEOUT;
			status_t status;
			do {
				status = _kern_mutex_lock(&mutex->lock, "pthread mutex", flags, timeout);
			} while (status == B_INTERRUPTED);
			if (status != B_OK)
				return status;
		}
	}
	mutex->owner = self;
	mutex->owner_count = 1;
	return 0;
}

static bigtime_t microseconds(const struct timespec* time)
{
	return (bigtime_t)time->tv_sec * 1000000 + time->tv_nsec / 1000;
}

EXPORT int pthread_mutex_lock(pthread_mutex_t* mutex)
{
	return lock_mutex(mutex, B_INFINITE_TIMEOUT);
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t* mutex)
{
	return lock_mutex(mutex, NO_WAIT);
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t* mutex, const struct timespec* until)
{
	return lock_mutex(mutex, microseconds(until));
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t* mutex)
{
	if (mutex->owner != find_thread(NULL))
		return EPERM;
	if (mutex->flags == PTHREAD_MUTEX_RECURSIVE && --mutex->owner_count > 0)
		return 0;
	mutex->owner = -1;
	int32 before = atomic_and(&mutex->lock, ~B_USER_MUTEX_LOCKED);
	if ((before & B_USER_MUTEX_WAITING) != 0)
		_kern_mutex_unblock(&mutex->lock, 0);
	return 0;
}

EXPORT int pthread_cond_init(pthread_cond_t* cond, const pthread_condattr_t* attr)
{
	(void)attr;
	*cond = (pthread_cond_t){NULL, 0, 0};
	return 0;
}

EXPORT int pthread_cond_destroy(pthread_cond_t* cond)
{
	(void)cond;
	return 0;
}

/* The condition's word is a user mutex that is always locked: waiters queue for it, and a signal unblocks one. */
static int wait_for_cond(pthread_cond_t* cond, pthread_mutex_t* mutex, bigtime_t timeout)
{
	if (mutex->owner != find_thread(NULL))
		return EPERM;
	if (cond->mutex != NULL && cond->mutex != mutex)
		return EINVAL;
	cond->mutex = mutex;
	cond->waiter_count++;
	atomic_or(&cond->lock, B_USER_MUTEX_LOCKED);

	mutex->owner = -1;
	mutex->owner_count = 0;
	uint32 flags = timeout == B_INFINITE_TIMEOUT ? 0 : B_ABSOLUTE_REAL_TIME_TIMEOUT;
	status_t status = _kern_mutex_switch_lock(&mutex->lock, 0, &cond->lock, "pthread condition", flags, timeout);
	if (status == B_INTERRUPTED)
		status = B_OK; /* POSIX allows spurious wake-ups but not EINTR */

	pthread_mutex_lock(mutex);
	if (--cond->waiter_count == 0) {
		cond->mutex = NULL;
		cond->lock = 0;
	}
	return status;
}

EXPORT int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex)
{
	return wait_for_cond(cond, mutex, B_INFINITE_TIMEOUT);
}

EXPORT int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const struct timespec* until)
{
	return wait_for_cond(cond, mutex, microseconds(until));
}

/* Like an unlock: the kernel hands the word to a waiter only if it is not locked. */
static void release_cond(pthread_cond_t* cond, uint32 flags)
{
	if (cond->waiter_count > 0
		&& (atomic_and(&cond->lock, ~B_USER_MUTEX_LOCKED) & B_USER_MUTEX_WAITING) != 0)
		_kern_mutex_unblock(&cond->lock, flags);
}

EXPORT int pthread_cond_signal(pthread_cond_t* cond)
{
	release_cond(cond, 0);
	return 0;
}

EXPORT int pthread_cond_broadcast(pthread_cond_t* cond)
{
	release_cond(cond, B_USER_MUTEX_UNBLOCK_ALL);
	return 0;
}
