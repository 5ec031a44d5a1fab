/* POSIX threads: creation, end, thread-specific values. */
#include "libroot.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define PTHREAD_FLAG_DEAD 1
#define PTHREAD_FLAG_DETACHED 2

static struct pthread_thread main_thread;

static lock_t keys_lock;
static struct {
	bool is_used;
	void (*destructor)(void*);
} keys[PTHREAD_KEYS_MAX];

void pthread_init_main(void)
{
	main_thread.id = find_thread(NULL);
}

struct pthread_thread* pthread_allocate(void* (*entry)(void*), void* argument)
{
	struct pthread_thread* thread = calloc(1, sizeof(*thread));
	if (thread != NULL) {
		thread->entry = entry;
		thread->argument = argument;
	}
	return thread;
}

EXPORT pthread_t pthread_self(void)
{
	struct pthread_thread* thread = get_user_thread()->pthread;
	return thread != NULL ? thread : &main_thread;
}

/* The one thread that a fork leaves has a new id. */
void pthread_reinit_after_fork(void)
{
	pthread_self()->id = find_thread(NULL);
}

static status_t pthread_entry(void* unused, void* _thread)
{
	(void)unused;
	struct pthread_thread* thread = _thread;
	pthread_exit(thread->entry(thread->argument));
}

EXPORT int pthread_create(pthread_t* result, const pthread_attr_t* attr, void* (*start)(void*), void* argument)
{
	struct pthread_thread* thread = pthread_allocate(start, argument);
	if (thread == NULL)
		return EAGAIN;
	struct thread_creation_attributes attributes = {
		.entry = pthread_entry,
		.name = "pthread func",
		.args2 = thread,
		.stack_address = attr != NULL ? attr->stack_address : NULL,
		.stack_size = attr != NULL ? attr->stack_size : USER_STACK_SIZE,
		.guard_size = attr != NULL ? attr->guard_size : USER_STACK_GUARD_SIZE,
		.pthread = thread,
		.priority = B_NORMAL_PRIORITY,
	};
	if (attr != NULL && attr->detached)
		thread->flags |= PTHREAD_FLAG_DETACHED;
	thread_id id = _kern_spawn_thread(&attributes);
	if (id < 0) {
		free(thread);
		return EAGAIN;
	}
	thread->id = id;
	*result = thread;
	_kern_resume_thread(id);
	return 0;
}

static void run_key_destructors(struct pthread_thread* thread)
{
	bool again = true;
	for (int round = 0; again && round < 4; round++) {
		again = false;
		for (int key = 0; key < PTHREAD_KEYS_MAX; key++) {
			void* value = thread->specific[key];
			thread->specific[key] = NULL;
			if (value != NULL && keys[key].destructor != NULL) {
				keys[key].destructor(value);
				again = true;
			}
		}
	}
}

/* The calling thread is about to end: whoever comes last, it or the one who joins it, frees its structure. */
void pthread_thread_ends(void)
{
	struct pthread_thread* thread = pthread_self();
	run_key_destructors(thread);
	int32 before = atomic_or(&thread->flags, PTHREAD_FLAG_DEAD);
	if ((before & PTHREAD_FLAG_DETACHED) != 0 && thread != &main_thread) {
		get_user_thread()->pthread = NULL;
		free(thread);
	}
}

EXPORT void pthread_exit(void* value)
{
	pthread_self()->exit_value = value;
	exit_thread(B_OK);
}

EXPORT int pthread_join(pthread_t thread, void** value)
{
	status_t unused;
	status_t error;
	do {
		error = _kern_wait_for_thread_etc(thread->id, 0, 0, &unused);
	} while (error == B_INTERRUPTED);
	if (error == B_BAD_THREAD_ID && (atomic_get(&thread->flags) & PTHREAD_FLAG_DEAD) == 0)
		return ESRCH;
	if (value != NULL)
		*value = thread->exit_value;
	if ((atomic_or(&thread->flags, PTHREAD_FLAG_DETACHED) & PTHREAD_FLAG_DEAD) != 0)
		free(thread);
	return 0;
}

EXPORT int pthread_detach(pthread_t thread)
{
	if ((atomic_or(&thread->flags, PTHREAD_FLAG_DETACHED) & PTHREAD_FLAG_DEAD) != 0)
		free(thread);
	return 0;
}

EXPORT int pthread_equal(pthread_t a, pthread_t b)
{
	return a == b;
}

EXPORT int pthread_kill(pthread_t thread, int signal)
{
	status_t status = _kern_send_signal(thread->id, signal, NULL, SIGNAL_FLAG_SEND_TO_THREAD);
	return status == B_BAD_THREAD_ID ? ESRCH : status;
}

EXPORT int pthread_attr_init(pthread_attr_t* attr)
{
	*attr = (pthread_attr_t){USER_STACK_SIZE, USER_STACK_GUARD_SIZE, NULL, 0};
	return 0;
}

EXPORT int pthread_attr_destroy(pthread_attr_t* attr)
{
	memset(attr, 0, sizeof(*attr));
	return 0;
}

EXPORT int pthread_attr_setstacksize(pthread_attr_t* attr, size_t size)
{
	if (size < 8192)
		return EINVAL;
	attr->stack_size = size;
	return 0;
}

EXPORT int pthread_attr_setdetachstate(pthread_attr_t* attr, int detached)
{
	attr->detached = detached;
	return 0;
}

EXPORT int pthread_key_create(pthread_key_t* key, void (*destructor)(void*))
{
	int error = EAGAIN;
	lock_acquire(&keys_lock);
	for (int i = 0; i < PTHREAD_KEYS_MAX; i++) {
		if (!keys[i].is_used) {
			keys[i].is_used = true;
			keys[i].destructor = destructor;
			*key = i;
			error = 0;
			break;
		}
	}
	lock_release(&keys_lock);
	return error;
}

EXPORT void* pthread_getspecific(pthread_key_t key)
{
	return pthread_self()->specific[key];
}

EXPORT int pthread_setspecific(pthread_key_t key, const void* value)
{
	if (key < 0 || key >= PTHREAD_KEYS_MAX || !keys[key].is_used)
		return EINVAL;
	pthread_self()->specific[key] = (void*)value;
	return 0;
}

EXPORT int pthread_once(pthread_once_t* once, void (*function)(void))
{
	if (atomic_get(&once->state) != 0)
		return 0;
	pthread_mutex_lock(&once->mutex);
	if (once->state == 0) {
		function();
		atomic_set(&once->state, 1);
	}
	pthread_mutex_unlock(&once->mutex);
	return 0;
}
