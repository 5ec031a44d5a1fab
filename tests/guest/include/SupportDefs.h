/* Haiku's short names for sized types, and its error codes. */
#pragma once
#include <Errors.h>
#include <stdbool.h>
#include <sys/types.h>

typedef int8_t int8;
typedef uint8_t uint8;
typedef int16_t int16;
typedef uint16_t uint16;
typedef int32_t int32;
typedef uint32_t uint32;
typedef int64_t int64;
typedef uint64_t uint64;
typedef uintptr_t addr_t;
typedef int32 status_t;
typedef int64 bigtime_t;

/* Each returns the value from before the operation. */
static inline int32 atomic_add(volatile int32* value, int32 addend)
{
	return __atomic_fetch_add(value, addend, __ATOMIC_SEQ_CST);
}
static inline int32 atomic_or(volatile int32* value, int32 bits)
{
	return __atomic_fetch_or(value, bits, __ATOMIC_SEQ_CST);
}
static inline int32 atomic_and(volatile int32* value, int32 bits)
{
	return __atomic_fetch_and(value, bits, __ATOMIC_SEQ_CST);
}
static inline int32 atomic_get(volatile int32* value)
{
	return __atomic_load_n(value, __ATOMIC_SEQ_CST);
}
static inline void atomic_set(volatile int32* value, int32 to)
{
	__atomic_store_n(value, to, __ATOMIC_SEQ_CST);
}
/* Stores `to` if the value is `expected`. */
static inline int32 atomic_test_and_set(volatile int32* value, int32 to, int32 expected)
{
	__atomic_compare_exchange_n(value, &expected, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return expected;
}
