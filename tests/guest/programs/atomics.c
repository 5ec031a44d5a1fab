/* Locked instructions between threads, aligned and not, and the order in which threads see each other's stores. */
#include "check.h"
#include <pthread.h>

#define ROUNDS 50000
#define THREADS 4
#define CROSSING_EVERY 5000 /* systems slow down programs that lock across cache lines */

static struct {
	volatile int32 added, swapped, bits;
	char filler[128];
	char unaligned[128]; /* words in it are not aligned; one crosses a cache line */
	volatile uint64_t wide;
#if defined(__x86_64__)
	volatile unsigned __int128 wider __attribute__((aligned(16)));
#endif
} shared __attribute__((aligned(64)));

static volatile int32 spin_lock;
static int guarded;

static void add_unaligned(char* at)
{
	__asm__ volatile("lock; addl $1, (%0)" : : "r"(at) : "memory", "cc");
}

static char* crossing_word(void)
{
	return shared.unaligned + 61 - ((addr_t)shared.unaligned & 63);
}

static void* work(void* unused)
{
	char *crossing = crossing_word(), *inside = crossing - 20;
	for (int i = 0; i < ROUNDS; i++) {
		__atomic_fetch_add(&shared.added, 1, __ATOMIC_SEQ_CST);
		int32 old = shared.swapped;
		while (!__atomic_compare_exchange_n(&shared.swapped, &old, old + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		__atomic_fetch_xor(&shared.bits, 1 << i % 31, __ATOMIC_SEQ_CST);
		add_unaligned(inside);
		if (i % CROSSING_EVERY == 0)
			add_unaligned(crossing);
		uint64_t wide = shared.wide;
		while (!__atomic_compare_exchange_n(&shared.wide, &wide, wide + 0x100000001, false, __ATOMIC_SEQ_CST,
			__ATOMIC_SEQ_CST))
			;
#if defined(__x86_64__)
		bool done;
		do {
			uint64_t low = (uint64_t)shared.wider, high = (uint64_t)(shared.wider >> 64);
			uint64_t new_low = low + 1, new_high = high + 2;
			__asm__ volatile("lock; cmpxchg16b %1; sete %0"
				: "=q"(done), "+m"(shared.wider), "+a"(low), "+d"(high) : "b"(new_low), "c"(new_high) : "memory", "cc");
		} while (!done);
#endif
		while (__atomic_exchange_n(&spin_lock, 1, __ATOMIC_ACQUIRE) != 0)
			;
		guarded++;
		__atomic_store_n(&spin_lock, 0, __ATOMIC_RELEASE);
	}
	return unused;
}

static void check_counters(void)
{
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	const int32 total = ROUNDS * THREADS;
	CHECK(shared.added == total && shared.swapped == total && shared.bits == 0 && guarded == total);
	int32 crossing, inside;
	memcpy(&crossing, crossing_word(), 4);
	memcpy(&inside, crossing_word() - 20, 4);
	CHECK(crossing == total / CROSSING_EVERY && inside == total && shared.wide == total * (uint64_t)0x100000001);
#if defined(__x86_64__)
	CHECK((uint64_t)shared.wider == (uint64_t)total && (uint64_t)(shared.wider >> 64) == 2 * (uint64_t)total);
#endif
}

static volatile int message[8 * 16], ready;

/* Plain stores become visible in their order: who sees the flag sees the message. */
static void* send(void* unused)
{
	for (int round = 1; round <= ROUNDS; round++) {
		while (ready != 0)
			;
		for (int i = 0; i < 8; i++)
			message[i * 16] = round;
		ready = round;
	}
	return unused;
}

static void check_order(void)
{
	pthread_t sender;
	CHECK(pthread_create(&sender, NULL, send, NULL) == 0);
	for (int round = 1; round <= ROUNDS; round++) {
		while (ready == 0)
			;
		CHECK(ready == round);
		for (int i = 7; i >= 0; i--)
			CHECK(message[i * 16] == round);
		ready = 0;
	}
	CHECK(pthread_join(sender, NULL) == 0);
}

int main(void)
{
	check_counters();
	check_order();
	printf("atomics: counters, order\nok\n");
	return 0;
}
