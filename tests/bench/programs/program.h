/*
 * What the benchmark programs share beside what they share with the kernels. Each runs its work `scale` times (first
 * argument, else its default, which takes about half a second natively) and prints one line with a checksum of all of it.
 */
#pragma once
#include "../kernels/kernel.h"

/* FNV-1a over `size` bytes, going on from `sum`. */
static inline uint32_t checksum(uint32_t sum, const void* data, size_t size)
{
	const uint8_t* bytes = data;
	for (size_t n = 0; n < size; n++)
		sum = (sum ^ bytes[n]) * 0x01000193u;
	return sum;
}

/* Fills `text` with words, some frequent and most rare, in lines: what compressors are made for. */
static inline void make_text(char* text, size_t size)
{
	static const char* const syllables[] = {"ha", "i", "ku", "ko", "no", "mi", "zu", "to", "ri", "ka", "ze", "yu", "ki", "sa", "wa", "n"};
	uint32_t state = 2463534242u;
	size_t at = 0, line = 0;
	while (at < size) {
		uint32_t word = next_random(&state);
		word = word & 1 ? word >> 28 : word & 2 ? word >> 22 : word >> 12;
		do {
			const char* syllable = syllables[word & 15];
			while (*syllable != '\0' && at < size)
				text[at++] = *syllable++;
			word >>= 4;
		} while (word != 0);
		if (at < size)
			text[at++] = at - line > 70 ? '\n' : ' ';
		if (text[at - 1] == '\n')
			line = at;
	}
}

static inline void* must(void* memory)
{
	if (memory == NULL) {
		fprintf(stderr, "out of memory\n");
		exit(1);
	}
	return memory;
}
