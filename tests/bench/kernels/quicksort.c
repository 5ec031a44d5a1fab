/* Quicksort of integers: comparisons that nobody can predict. */
#include "kernel.h"

#define COUNT 100000

static uint32_t numbers[COUNT];

static __attribute__((noinline)) void sort(uint32_t* low, uint32_t* high)
{
	while (high - low > 12) {
		uint32_t pivot = low[(high - low) / 2];
		uint32_t *left = low, *right = high;
		while (left <= right) {
			while (*left < pivot)
				left++;
			while (*right > pivot)
				right--;
			if (left <= right) {
				uint32_t number = *left;
				*left++ = *right;
				*right-- = number;
			}
		}
		sort(low, right);
		low = left;
	}
	for (uint32_t* at = low + 1; at <= high; at++) {
		uint32_t number = *at, *hole = at;
		for (; hole > low && hole[-1] > number; hole--)
			hole[0] = hole[-1];
		*hole = number;
	}
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 60);
	uint32_t state = 11, sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		for (int i = 0; i < COUNT; i++)
			numbers[i] = next_random(&state);
		sort(numbers, numbers + COUNT - 1);
		for (int i = 1; i < COUNT; i++) {
			if (numbers[i - 1] > numbers[i]) {
				printf("quicksort: not sorted\n");
				return 1;
			}
		}
		sum = mix(sum, numbers[round * 1999 % COUNT]);
	}
	printf("quicksort %08x\n", sum);
	return 0;
}
