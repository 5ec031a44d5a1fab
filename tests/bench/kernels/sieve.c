/* The sieve of Eratosthenes over bytes. */
#include "kernel.h"

#define SIZE 131072

static uint8_t composite[SIZE];

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 800);
	uint32_t sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		unsigned count = 0;
		memset(composite, 0, SIZE);
		for (unsigned i = 2; i < SIZE; i++) {
			if (composite[i])
				continue;
			count++;
			for (unsigned j = 2 * i; j < SIZE; j += i)
				composite[j] = 1;
		}
		sum = mix(sum, count + round);
	}
	printf("sieve %08x\n", sum);
	return 0;
}
