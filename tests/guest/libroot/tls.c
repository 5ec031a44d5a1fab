/* Thread-local storage: numbered slots, and the compiler's thread-local variables. */
#include "libroot.h"
#include <TLS.h>

static int32 next_slot = TLS_FIRST_FREE_SLOT;

EXPORT int32 tls_allocate(void)
{
	int32 slot = atomic_add(&next_slot, 1);
	return slot < TLS_MAX_KEYS ? slot : B_NO_MEMORY;
}

EXPORT void* tls_get(int32 index)
{
	return tls_base()[index];
}

EXPORT void tls_set(int32 index, void* value)
{
	tls_base()[index] = value;
}

struct tls_index {
	unsigned long module, offset;
};

EXPORT void* __tls_get_addr(struct tls_index* index)
{
	return __gRuntimeLoader->get_tls_address(index->module, index->offset);
}

#if !defined(__x86_64__)
/* What the compiler calls on x86, with the argument in EAX. */
EXPORT __attribute__((regparm(1))) void* ___tls_get_addr(struct tls_index* index)
{
	return __gRuntimeLoader->get_tls_address(index->module, index->offset);
}
#endif
