/* Compresses and decompresses text with zstd at three levels. */
#include "program.h"
#include <zstd.h>

#define SIZE (1024 * 1024)

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 6);
	char* text = must(malloc(SIZE));
	char* back = must(malloc(SIZE));
	size_t room = ZSTD_compressBound(SIZE);
	char* packed = must(malloc(room));
	make_text(text, SIZE);
	uint32_t sum = 0x811c9dc5;
	static const int levels[] = {1, 5, 12};
	for (unsigned round = 0; round < scale; round++) {
		for (int n = 0; n < 3; n++) {
			text[round]++;
			size_t size = ZSTD_compress(packed, room, text, SIZE, levels[n]);
			if (ZSTD_isError(size) || ZSTD_decompress(back, SIZE, packed, size) != SIZE)
				return 1;
			if (memcmp(back, text, SIZE) != 0)
				return 2;
			sum = checksum(sum, packed, size);
		}
	}
	printf("zstd %08x\n", sum);
	return 0;
}
