/* POSIX threads over Haiku's threads and user mutexes. */
#pragma once
#include <SupportDefs.h>
#include <time.h>

typedef struct pthread_thread* pthread_t;
typedef int pthread_key_t;

typedef struct {
	uint32 flags;
	int32 lock;
	int32 owner;
	int32 owner_count;
} pthread_mutex_t;

typedef struct {
	int type;
} pthread_mutexattr_t;

typedef struct {
	pthread_mutex_t* mutex;
	int32 waiter_count;
	int32 lock;
} pthread_cond_t;

typedef struct {
	int32 state;
	pthread_mutex_t mutex;
} pthread_once_t;

typedef struct {
	size_t stack_size;
	size_t guard_size;
	void* stack_address;
	int32 detached;
} pthread_attr_t;

typedef struct {
	int unused;
} pthread_condattr_t;

#define PTHREAD_MUTEX_DEFAULT 0
#define PTHREAD_MUTEX_NORMAL 1
#define PTHREAD_MUTEX_ERRORCHECK 2
#define PTHREAD_MUTEX_RECURSIVE 3

#define PTHREAD_MUTEX_INITIALIZER { PTHREAD_MUTEX_DEFAULT, 0, -1, 0 }
#define PTHREAD_RECURSIVE_MUTEX_INITIALIZER { PTHREAD_MUTEX_RECURSIVE, 0, -1, 0 }
#define PTHREAD_COND_INITIALIZER { 0, 0, 0 }
#define PTHREAD_ONCE_INIT { 0, PTHREAD_MUTEX_INITIALIZER }
#define PTHREAD_KEYS_MAX 64

int pthread_create(pthread_t* result, const pthread_attr_t* attr, void* (*start)(void*), void* argument);
int pthread_join(pthread_t thread, void** value);
int pthread_detach(pthread_t thread);
void pthread_exit(void* value) __attribute__((noreturn));
pthread_t pthread_self(void);
int pthread_equal(pthread_t a, pthread_t b);
int pthread_kill(pthread_t thread, int signal);

int pthread_attr_init(pthread_attr_t* attr);
int pthread_attr_destroy(pthread_attr_t* attr);
int pthread_attr_setstacksize(pthread_attr_t* attr, size_t size);
int pthread_attr_setdetachstate(pthread_attr_t* attr, int detached);

int pthread_mutexattr_init(pthread_mutexattr_t* attr);
int pthread_mutexattr_settype(pthread_mutexattr_t* attr, int type);
int pthread_mutex_init(pthread_mutex_t* mutex, const pthread_mutexattr_t* attr);
int pthread_mutex_destroy(pthread_mutex_t* mutex);
int pthread_mutex_lock(pthread_mutex_t* mutex);
int pthread_mutex_trylock(pthread_mutex_t* mutex);
int pthread_mutex_timedlock(pthread_mutex_t* mutex, const struct timespec* until);
int pthread_mutex_unlock(pthread_mutex_t* mutex);

int pthread_cond_init(pthread_cond_t* cond, const pthread_condattr_t* attr);
int pthread_cond_destroy(pthread_cond_t* cond);
int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex);
int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const struct timespec* until);
int pthread_cond_signal(pthread_cond_t* cond);
int pthread_cond_broadcast(pthread_cond_t* cond);

int pthread_once(pthread_once_t* once, void (*function)(void));
int pthread_key_create(pthread_key_t* key, void (*destructor)(void*));
void* pthread_getspecific(pthread_key_t key);
int pthread_setspecific(pthread_key_t key, const void* value);
