/* 64-bit multiplication, division and remainder: calls into helper functions on x86. */
#include "kernel.h"

static __attribute__((noinline)) uint64_t power(uint64_t base, uint64_t exponent, uint64_t modulus)
{
	uint64_t result = 1;
	base %= modulus;
	for (; exponent > 0; exponent >>= 1) {
		if (exponent & 1)
			result = result * base % modulus;
		base = base * base % modulus;
	}
	return result;
}

static __attribute__((noinline)) uint64_t divisor(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 1000000);
	uint32_t state = 17, sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		uint64_t a = (uint64_t)next_random(&state) << 32 | next_random(&state);
		uint64_t b = (uint64_t)next_random(&state) << 8 | 1;
		sum = mix(sum, (uint32_t)power(a, next_random(&state), 4294967291u));
		sum = mix(sum, (uint32_t)divisor(a, b));
		sum = mix(sum, (uint32_t)((int64_t)a / (int64_t)(b | 0x100000000)));
	}
	printf("muldiv %08x\n", sum);
	return 0;
}
