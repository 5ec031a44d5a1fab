/* Puts the heap under stress: patterns in blocks of many sizes, growth, alignment, several threads at once. */
#include "check.h"
#include <pthread.h>

#define SLOTS 512

struct slot {
	unsigned char* block;
	size_t size;
	unsigned char fill;
};

static unsigned next_random(unsigned* state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void check_slot(const struct slot* slot)
{
	for (size_t i = 0; i < slot->size; i++)
		CHECK(slot->block[i] == slot->fill);
}

static void stress(unsigned seed, int rounds)
{
	struct slot* slots = calloc(SLOTS, sizeof(*slots));
	CHECK(slots != NULL);
	unsigned state = seed;
	for (int round = 0; round < rounds; round++) {
		struct slot* slot = &slots[next_random(&state) % SLOTS];
		size_t size = next_random(&state) % (round % 64 == 0 ? 100000 : 600);
		check_slot(slot);
		if (slot->block != NULL && next_random(&state) % 3 == 0) {
			size_t kept = slot->size < size ? slot->size : size;
			unsigned char* moved = realloc(slot->block, size);
			CHECK(moved != NULL);
			for (size_t i = 0; i < kept; i++)
				CHECK(moved[i] == slot->fill);
			slot->block = moved;
		} else {
			free(slot->block);
			slot->block = malloc(size);
			CHECK(slot->block != NULL && (size_t)slot->block % 16 == 0);
		}
		slot->size = size;
		slot->fill = (unsigned char)(round + 1);
		memset(slot->block, slot->fill, size);
	}
	for (int i = 0; i < SLOTS; i++) {
		check_slot(&slots[i]);
		free(slots[i].block);
	}
	free(slots);
}

static void* stress_thread(void* seed)
{
	stress((unsigned)(size_t)seed, 20000);
	return seed;
}

static void check_threads(void)
{
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, stress_thread, (void*)(i + 10)) == 0);
	for (size_t i = 0; i < 4; i++) {
		void* result;
		CHECK(pthread_join(threads[i], &result) == 0 && result == (void*)(i + 10));
	}
}

int main(int argc, char** argv)
{
	stress(1, 50000);
	for (size_t alignment = sizeof(void*); alignment <= 65536; alignment *= 2) {
		void* block;
		CHECK(posix_memalign(&block, alignment, 100) == 0 && (size_t)block % alignment == 0);
		memset(block, 1, 100);
		free(block);
	}
	unsigned char* large = malloc(50 << 20);
	CHECK(large != NULL);
	for (size_t i = 0; i < 50 << 20; i += 4096)
		large[i] = (unsigned char)(i >> 12);
	for (size_t i = 0; i < 50 << 20; i += 4096)
		CHECK(large[i] == (unsigned char)(i >> 12));
	free(large);
	unsigned char* zeroed = calloc(1000, 1000);
	for (size_t i = 0; i < 1000000; i++)
		CHECK(zeroed[i] == 0);
	free(zeroed);
	errno = 0;
	volatile size_t too_much = (size_t)-1 / 2;
	CHECK(malloc(too_much) == NULL && errno == ENOMEM && calloc(too_much, 4) == NULL);
	bool single = argc > 1 && strcmp(argv[1], "--single") == 0;
	if (!single)
		check_threads();
	printf("malloc: blocks, alignment, growth, exhaustion%s\nok\n", single ? "" : ", threads");
	return 0;
}
