/* Code that the program writes as it runs: each round writes a function anew and calls it a hundred times. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS 64
#define SLOT_SIZE 64

int main(int argc, char** argv)
{
	unsigned scale = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
	unsigned char* code = mmap(NULL, SLOTS * SLOT_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		return 1;
	uint32_t sum = 1;
	for (unsigned round = 0; round < scale; round++) {
		unsigned char* at = code + round % SLOTS * SLOT_SIZE;
		/* imul $factor, %edi, %eax; add $round, %eax; ret */
		uint32_t factor = round * 2654435761u | 1;
		at[0] = 0x69, at[1] = 0xc7;
		memcpy(at + 2, &factor, 4);
		at[6] = 0x05;
		memcpy(at + 7, &round, 4);
		at[11] = 0xc3;
		uint32_t (*function)(uint32_t) = (uint32_t (*)(uint32_t))(uintptr_t)at;
		for (int n = 0; n < 100; n++)
			sum = function(sum);
	}
	printf("codegen %08x\n", sum);
	return 0;
}
