/* The processor's string instructions with prefixes: movs, stos, scas, cmps. */
#include "kernel.h"

#define SIZE 16384

static char source[SIZE], target[SIZE];

static void copy_bytes(void* to, const void* from, size_t count)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void copy_words(void* to, const void* from, size_t count)
{
	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void fill_words(void* to, uint32_t value, size_t count)
{
	__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

/* How many bytes before the first `value`, at most `count`. */
static size_t scan(const void* from, char value, size_t count)
{
	size_t left = count;
	__asm__ volatile("repne scasb" : "+D"(from), "+c"(left) : "a"(value) : "memory", "cc");
	return count - left;
}

static size_t compare(const void* a, const void* b, size_t count)
{
	size_t left = count;
	__asm__ volatile("repe cmpsb" : "+D"(a), "+S"(b), "+c"(left) : : "memory", "cc");
	return count - left;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 100000);
	uint32_t state = 23, sum = 0;
	for (unsigned round = 0; round < scale; round++) {
		fill_words(source, next_random(&state) | 0x01010101, SIZE / 4);
		source[next_random(&state) % SIZE] = '\0';
		copy_words(target, source, SIZE / 4);
		for (int i = 0; i < 16; i++) {
			size_t offset = next_random(&state) % 1024, length = next_random(&state) % 100;
			copy_bytes(target + offset, source + offset + 3, length);
			sum += (uint32_t)scan(target + offset, '\0', 512);
		}
		sum = mix(sum, (uint32_t)scan(source, '\0', 4096));
		sum = mix(sum, (uint32_t)compare(source, target, 4096));
	}
	printf("repstring %08x\n", sum);
	return 0;
}
