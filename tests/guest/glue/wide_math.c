/*
 * 64-bit arithmetic that the compiler calls functions for on x86, in place of its own support library.
 * Linked statically where needed. Nothing here may use a 64-bit division itself.
 */
#include <stdint.h>

#if !defined(__x86_64__)

#define HELPER __attribute__((visibility("hidden")))

/* High part first: the second division cannot overflow since the first one's remainder is below the divisor. */
static uint64_t divide_by_word(uint64_t dividend, uint32_t divisor, uint32_t* remainder)
{
	uint32_t high = dividend >> 32, low = dividend;
	uint32_t quotient_high = high / divisor;
	uint32_t quotient_low, rest = high % divisor;
	__asm__("divl %4" : "=a"(quotient_low), "=d"(rest) : "0"(low), "1"(rest), "r"(divisor));
	*remainder = rest;
	return (uint64_t)quotient_high << 32 | quotient_low;
}

/* For divisors of more than 32 bits the quotient has at most 32: it is estimated from the leading bits of both, and is
 * too large by at most one. */
HELPER uint64_t __udivmoddi4(uint64_t dividend, uint64_t divisor, uint64_t* remainder)
{
	if ((divisor >> 32) == 0) {
		uint32_t rest;
		uint64_t quotient = divide_by_word(dividend, (uint32_t)divisor, &rest);
		if (remainder)
			*remainder = rest;
		return quotient;
	}
	int shift = 32 - __builtin_clz((uint32_t)(divisor >> 32));
	uint32_t unused;
	uint32_t top = (uint32_t)(divisor >> shift);
	uint32_t quotient = (uint32_t)(divide_by_word(dividend >> 1, top, &unused) >> (shift - 1));
	if (quotient != 0)
		quotient--;
	uint64_t rest = dividend - quotient * divisor;
	if (rest >= divisor) {
		quotient++;
		rest -= divisor;
	}
	if (remainder)
		*remainder = rest;
	return quotient;
}

HELPER uint64_t __udivdi3(uint64_t a, uint64_t b)
{
	return __udivmoddi4(a, b, 0);
}

HELPER uint64_t __umoddi3(uint64_t a, uint64_t b)
{
	uint64_t rest;
	__udivmoddi4(a, b, &rest);
	return rest;
}

static uint64_t magnitude(int64_t value)
{
	return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

HELPER int64_t __divdi3(int64_t a, int64_t b)
{
	uint64_t quotient = __udivmoddi4(magnitude(a), magnitude(b), 0);
	return (int64_t)((a ^ b) < 0 ? 0 - quotient : quotient);
}

HELPER int64_t __moddi3(int64_t a, int64_t b)
{
	uint64_t rest;
	__udivmoddi4(magnitude(a), magnitude(b), &rest);
	return (int64_t)(a < 0 ? 0 - rest : rest);
}

HELPER int64_t __divmoddi4(int64_t a, int64_t b, int64_t* remainder)
{
	uint64_t rest;
	uint64_t quotient = __udivmoddi4(magnitude(a), magnitude(b), &rest);
	*remainder = (int64_t)(a < 0 ? 0 - rest : rest);
	return (int64_t)((a ^ b) < 0 ? 0 - quotient : quotient);
}

#define TWO_TO_32 4294967296.0L

HELPER long double __floatundixf(uint64_t value)
{
	return (long double)(uint32_t)(value >> 32) * TWO_TO_32 + (long double)(uint32_t)value;
}

HELPER double __floatundidf(uint64_t value)
{
	return (double)__floatundixf(value);
}

HELPER float __floatundisf(uint64_t value)
{
	return (float)__floatundixf(value);
}

HELPER uint64_t __fixunsxfdi(long double value)
{
	if (value <= 0)
		return 0;
	uint32_t high = (uint32_t)(value / TWO_TO_32);
	value -= (long double)high * TWO_TO_32;
	return (uint64_t)high << 32 | (uint32_t)value;
}

HELPER uint64_t __fixunsdfdi(double value)
{
	return __fixunsxfdi(value);
}

HELPER uint64_t __fixunssfdi(float value)
{
	return __fixunsxfdi(value);
}

HELPER int __popcountsi2(unsigned value)
{
	value -= value >> 1 & 0x55555555;
	value = (value & 0x33333333) + (value >> 2 & 0x33333333);
	value = (value + (value >> 4)) & 0x0f0f0f0f;
	return (int)(value * 0x01010101 >> 24);
}

HELPER int __popcountdi2(uint64_t value)
{
	return __popcountsi2((unsigned)value) + __popcountsi2((unsigned)(value >> 32));
}

#endif
