/* memcpy and strlen of the system library, over short and long runs. */
#include "kernel.h"

#define SIZE 65536

static char source[SIZE + 64], target[SIZE + 64];

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 12000);
	uint32_t state = 3, sum = 0;
	for (int i = 0; i < SIZE; i++)
		source[i] = (char)('a' + i % 26);
	for (unsigned round = 0; round < scale; round++) {
		memcpy(target, source + round % 16, SIZE);
		for (int i = 0; i < 400; i++) {
			size_t length = next_random(&state) % 200, offset = next_random(&state) % 4096;
			memcpy(target + offset, source + i, length);
			target[offset + length] = '\0';
			sum += (uint32_t)strlen(target + offset);
		}
		source[SIZE - 1 - round % 64] = (char)round;
		target[SIZE] = '\0';
		sum = mix(sum, (uint32_t)strlen(target + 8192));
	}
	printf("memory %08x\n", sum);
	return 0;
}
