/* Four threads that contend for one mutex, and count with atomic operations in between. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long guarded, counted;
static unsigned scale = 300000;

static void* work(void* unused)
{
	for (unsigned round = 0; round < scale; round++) {
		pthread_mutex_lock(&mutex);
		guarded += round & 3;
		pthread_mutex_unlock(&mutex);
		for (int n = 0; n < 10; n++)
			__atomic_fetch_add(&counted, 1, __ATOMIC_SEQ_CST);
	}
	return unused;
}

int main(int argc, char** argv)
{
	pthread_t threads[THREADS];
	if (argc > 1)
		scale = (unsigned)atoi(argv[1]);
	for (int n = 0; n < THREADS; n++) {
		if (pthread_create(&threads[n], NULL, work, NULL) != 0)
			return 1;
	}
	for (int n = 0; n < THREADS; n++)
		pthread_join(threads[n], NULL);
	printf("threads %lu %lu\n", guarded, counted);
	return 0;
}
