/* Compresses and decompresses text with zlib at three levels. */
#include "program.h"
#include <zlib.h>

#define SIZE (512 * 1024)

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 3);
	Bytef* text = must(malloc(SIZE));
	Bytef* back = must(malloc(SIZE));
	uLong room = compressBound(SIZE);
	Bytef* packed = must(malloc(room));
	make_text((char*)text, SIZE);
	uint32_t sum = 0x811c9dc5;
	for (unsigned round = 0; round < scale; round++) {
		for (int level = 1; level <= 9; level += 4) {
			uLongf size = room, size_back = SIZE;
			text[round]++;
			if (compress2(packed, &size, text, SIZE, level) != Z_OK || uncompress(back, &size_back, packed, size) != Z_OK)
				return 1;
			if (size_back != SIZE || memcmp(back, text, SIZE) != 0)
				return 2;
			sum = checksum(sum, packed, size) ^ (uint32_t)crc32(0, back, SIZE);
		}
	}
	printf("zlib %08x\n", sum);
	return 0;
}
