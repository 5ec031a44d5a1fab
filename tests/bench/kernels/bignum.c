/* Multiplies large integers: chains of additions with carry, and widening multiplications. */
#include "kernel.h"

#define LIMBS 64

#if defined(__x86_64__)
typedef uint64_t limb;
typedef unsigned __int128 wide;
#define LIMB_BITS 64
#else
typedef uint32_t limb;
typedef uint64_t wide;
#define LIMB_BITS 32
#endif
#define COUNT (LIMBS * 64 / LIMB_BITS)

/* Adds b to a in place; the carry goes through the flags. */
static __attribute__((noinline)) limb add(limb* a, const limb* b, long count)
{
	limb carry = 0;
#if defined(__x86_64__)
	__asm__ volatile("clc\n"
		"1:\tmovq (%1), %%rax\n\tadcq %%rax, (%0)\n\tleaq 8(%0), %0\n\tleaq 8(%1), %1\n\tdecq %2\n\tjnz 1b\n"
		"\tsetc %b3"
		: "+r"(a), "+r"(b), "+r"(count), "+q"(carry) : : "rax", "memory", "cc");
#else
	__asm__ volatile("clc\n"
		"1:\tmovl (%1), %%eax\n\tadcl %%eax, (%0)\n\tleal 4(%0), %0\n\tleal 4(%1), %1\n\tdecl %2\n\tjnz 1b\n"
		"\tsetc %%al\n\tmovzbl %%al, %3"
		: "+r"(a), "+r"(b), "+r"(count), "=r"(carry) : : "eax", "memory", "cc");
#endif
	return carry;
}

static __attribute__((noinline)) void multiply(limb* restrict product, const limb* a, const limb* b)
{
	memset(product, 0, 2 * COUNT * sizeof(limb));
	for (int i = 0; i < COUNT; i++) {
		limb carry = 0;
		for (int j = 0; j < COUNT; j++) {
			wide sum = (wide)a[i] * b[j] + product[i + j] + carry;
			product[i + j] = (limb)sum;
			carry = (limb)(sum >> LIMB_BITS);
		}
		product[i + COUNT] = carry;
	}
}

int main(int argc, char** argv)
{
	static uint64_t a64[LIMBS], b64[LIMBS];
	static limb product[2 * COUNT];
	limb* a = (limb*)(void*)a64;
	limb* b = (limb*)(void*)b64;
	unsigned scale = kernel_scale(argc, argv, 60000);
	uint32_t state = 12345, sum = 0;
	for (int i = 0; i < LIMBS; i++) {
		a64[i] = (uint64_t)next_random(&state) << 32 | next_random(&state);
		b64[i] = (uint64_t)next_random(&state) << 32 | next_random(&state);
	}
	for (unsigned round = 0; round < scale; round++) {
		multiply(product, a, b);
		for (int i = 0; i < 8; i++)
			sum = mix(sum, (uint32_t)add(a, product + i * (32 / LIMB_BITS), COUNT));
		sum = mix(sum, (uint32_t)a[round % COUNT]);
	}
	printf("bignum %08x\n", sum);
	return 0;
}
