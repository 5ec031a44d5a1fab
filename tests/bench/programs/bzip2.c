/* Compresses and decompresses text with bzip2. */
#include "program.h"
#include <bzlib.h>

#define SIZE (512 * 1024)

void bz_internal_error(int code)
{
	fprintf(stderr, "bzip2: internal error %d\n", code);
	exit(3);
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 8);
	char* text = must(malloc(SIZE));
	char* back = must(malloc(SIZE));
	unsigned room = SIZE + SIZE / 100 + 600;
	char* packed = must(malloc(room));
	make_text(text, SIZE);
	uint32_t sum = 0x811c9dc5;
	for (unsigned round = 0; round < scale; round++) {
		unsigned size = room, size_back = SIZE;
		text[round]++;
		if (BZ2_bzBuffToBuffCompress(packed, &size, text, SIZE, 9, 0, 0) != BZ_OK
			|| BZ2_bzBuffToBuffDecompress(back, &size_back, packed, size, 0, 0) != BZ_OK)
			return 1;
		if (size_back != SIZE || memcmp(back, text, SIZE) != 0)
			return 2;
		sum = checksum(sum, packed, size);
	}
	printf("bzip2 %08x\n", sum);
	return 0;
}
