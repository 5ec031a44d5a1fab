/* An LZ77 compressor and decompressor with a hash table, over generated text. */
#include "kernel.h"

#define SIZE 65536
#define HASH_BITS 13
#define WINDOW 32768

static uint8_t input[SIZE], packed[SIZE * 2], output[SIZE];

static void make_text(uint32_t* state)
{
	static const char* const words[] = {"the ", "quick ", "translator ", "of ", "haiku ", "programs ", "reads ", "one ",
		"block ", "after ", "another ", "and ", "writes ", "it ", "down, ", "again. "};
	size_t at = 0;
	while (at < SIZE) {
		const char* word = words[next_random(state) >> 28];
		for (; *word != '\0' && at < SIZE; word++)
			input[at++] = (uint8_t)*word;
	}
}

static uint32_t hash_at(const uint8_t* at)
{
	uint32_t three = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
	return three * 2654435761u >> (32 - HASH_BITS);
}

/* A match is 0xff, length, distance (two bytes); 0xff itself never occurs in the text. */
static __attribute__((noinline)) size_t compress(void)
{
	static uint32_t table[1 << HASH_BITS];
	memset(table, 0xff, sizeof(table));
	size_t in = 0, out = 0;
	while (in < SIZE) {
		if (in + 4 < SIZE) {
			uint32_t* slot = &table[hash_at(input + in)];
			size_t candidate = *slot;
			*slot = (uint32_t)in;
			if (candidate < in && in - candidate < WINDOW) {
				size_t length = 0, most = SIZE - in < 255 ? SIZE - in : 255;
				while (length < most && input[candidate + length] == input[in + length])
					length++;
				if (length > 4) {
					size_t distance = in - candidate;
					packed[out++] = 0xff;
					packed[out++] = (uint8_t)length;
					packed[out++] = (uint8_t)distance;
					packed[out++] = (uint8_t)(distance >> 8);
					in += length;
					continue;
				}
			}
		}
		packed[out++] = input[in++];
	}
	return out;
}

static __attribute__((noinline)) size_t expand(size_t packed_size)
{
	size_t in = 0, out = 0;
	while (in < packed_size) {
		if (packed[in] != 0xff) {
			output[out++] = packed[in++];
			continue;
		}
		size_t length = packed[in + 1];
		size_t distance = packed[in + 2] | (size_t)packed[in + 3] << 8;
		for (; length > 0; length--, out++)
			output[out] = output[out - distance];
		in += 4;
	}
	return out;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 900);
	uint32_t state = 7, sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		if (round % 16 == 0)
			make_text(&state);
		size_t size = compress();
		size_t expanded = expand(size);
		if (expanded != SIZE || memcmp(input, output, SIZE) != 0) {
			printf("lz: round trip failed\n");
			return 1;
		}
		sum = mix(sum, (uint32_t)size);
	}
	printf("lz %08x\n", sum);
	return 0;
}
