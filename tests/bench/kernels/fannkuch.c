/* Flips of pancake stacks over all permutations: short loops over a small array with unpredictable ends. */
#include "kernel.h"

#define MAX 16

static unsigned flips_of(const uint8_t* permutation, unsigned n)
{
	uint8_t stack[MAX];
	for (unsigned i = 0; i < n; i++)
		stack[i] = permutation[i];
	unsigned flips = 0;
	for (unsigned top = stack[0]; top != 0; top = stack[0]) {
		for (unsigned low = 0, high = top; low < high; low++, high--) {
			uint8_t pancake = stack[low];
			stack[low] = stack[high];
			stack[high] = pancake;
		}
		flips++;
	}
	return flips;
}

int main(int argc, char** argv)
{
	unsigned n = 9, scale = kernel_scale(argc, argv, 18);
	uint32_t sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		uint8_t permutation[MAX], counts[MAX];
		unsigned most = 0, index = 0, r = n;
		int checksum = 0;
		for (unsigned i = 0; i < n; i++)
			permutation[i] = (uint8_t)((i + round) % n);
		for (;;) {
			for (; r != 1; r--)
				counts[r - 1] = (uint8_t)r;
			unsigned flips = flips_of(permutation, n);
			if (flips > most)
				most = flips;
			checksum += index++ % 2 == 0 ? (int)flips : -(int)flips;
			for (;; r++) {
				if (r == n)
					break;
				uint8_t first = permutation[0];
				for (unsigned i = 0; i < r; i++)
					permutation[i] = permutation[i + 1];
				permutation[r] = first;
				if (--counts[r] > 0)
					break;
			}
			if (r == n)
				break;
		}
		sum = mix(mix(sum, most), (uint32_t)checksum);
	}
	printf("fannkuch %08x\n", sum);
	return 0;
}
