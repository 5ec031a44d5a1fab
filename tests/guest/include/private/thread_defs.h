/* What the kernel and libroot share about threads. */
#pragma once
#include <SupportDefs.h>

#define USER_STACK_SIZE (256 * 1024)
#define USER_STACK_GUARD_SIZE (4 * 4096)

struct thread_creation_attributes {
	status_t (*entry)(void*, void*);
	const char* name;
	void* args1;
	void* args2;
	void* stack_address;
	size_t stack_size;
	size_t guard_size;
	void* pthread;
	int32 priority;
	uint32 flags;
};
_Static_assert(sizeof(struct thread_creation_attributes) == (sizeof(void*) == 8 ? 72 : 40), "thread_creation_attributes");

struct user_thread {
	void* pthread;
	uint32 flags;
	status_t wait_status;
	volatile int32 defer_signals;
	volatile uint64 pending_signals;
};
_Static_assert(sizeof(struct user_thread) == (sizeof(void*) == 8 ? 32 : 24), "user_thread");

/* Slots of a thread's local storage; the kernel fills the first two and USER_THREAD. */
enum {
	TLS_BASE_ADDRESS_SLOT = 0,
	TLS_THREAD_ID_SLOT = 1,
	TLS_ERRNO_SLOT = 2,
	TLS_ON_EXIT_THREAD_SLOT = 3,
	TLS_USER_THREAD_SLOT = 4,
	TLS_DYNAMIC_THREAD_VECTOR = 5,
	TLS_FIRST_FREE_SLOT = 8,
};

static inline void** tls_base(void)
{
	void** base;
#if defined(__x86_64__)
	__asm__("movq %%fs:0, %0" : "=r"(base));
#else
	__asm__("movl %%fs:0, %0" : "=r"(base));
#endif
	return base;
}

static inline struct user_thread* get_user_thread(void)
{
	return (struct user_thread*)tls_base()[TLS_USER_THREAD_SLOT];
}
