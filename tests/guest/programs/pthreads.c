/* POSIX threads: mutexes of all kinds under contention, condition variables, specific values, once, detaching. */
#include "check.h"
#include <OS.h>
#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int shared, turn;

static void* count(void* rounds)
{
	for (size_t i = 0; i < (size_t)rounds; i++) {
		CHECK(pthread_mutex_lock(&mutex) == 0);
		shared = shared + 1;
		CHECK(pthread_mutex_unlock(&mutex) == 0);
	}
	return rounds;
}

static void check_contention(void)
{
	pthread_t threads[6];
	for (int i = 0; i < 6; i++)
		CHECK(pthread_create(&threads[i], NULL, count, (void*)20000) == 0);
	for (int i = 0; i < 6; i++) {
		void* result;
		CHECK(pthread_join(threads[i], &result) == 0 && result == (void*)20000);
	}
	CHECK(shared == 120000);
}

static void* lock_it(void* error)
{
	*(int*)error = pthread_mutex_trylock(&mutex);
	return NULL;
}

static void check_kinds(void)
{
	pthread_mutex_t recursive;
	pthread_mutexattr_t attr;
	CHECK(pthread_mutexattr_init(&attr) == 0 && pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE) == 0);
	CHECK(pthread_mutex_init(&recursive, &attr) == 0);
	CHECK(pthread_mutex_lock(&recursive) == 0 && pthread_mutex_lock(&recursive) == 0);
	CHECK(pthread_mutex_unlock(&recursive) == 0 && pthread_mutex_unlock(&recursive) == 0);
	CHECK(pthread_mutex_unlock(&recursive) == EPERM);

	CHECK(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_lock(&mutex) == EDEADLK);
	int error = 0;
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, lock_it, &error) == 0 && pthread_join(thread, NULL) == 0 && error == EBUSY);
	CHECK(pthread_mutex_unlock(&mutex) == 0);
}

static void* lock_in_time(void* error)
{
	bigtime_t until = real_time_clock_usecs() + 5000;
	struct timespec time = {until / 1000000, until % 1000000 * 1000};
	*(int*)error = pthread_mutex_timedlock(&mutex, &time);
	return NULL;
}

/* Players take turns: each waits for its number, so every wake-up must reach all who wait. */
static void* take_turns(void* _number)
{
	int number = (int)(size_t)_number;
	for (int i = 0; i < 200; i++) {
		CHECK(pthread_mutex_lock(&mutex) == 0);
		while (turn % 4 != number)
			CHECK(pthread_cond_wait(&cond, &mutex) == 0);
		turn++;
		CHECK(pthread_cond_broadcast(&cond) == 0);
		CHECK(pthread_mutex_unlock(&mutex) == 0);
	}
	return NULL;
}

static int queued, taken;

static void* take_from_queue(void* unused)
{
	CHECK(pthread_mutex_lock(&mutex) == 0);
	while (queued == 0)
		CHECK(pthread_cond_wait(&cond, &mutex) == 0);
	queued--;
	taken++;
	CHECK(pthread_mutex_unlock(&mutex) == 0);
	return unused;
}

static void check_conditions(void)
{
	pthread_t threads[10];
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, take_turns, (void*)i) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(turn == 800);

	for (int i = 0; i < 10; i++)
		CHECK(pthread_create(&threads[i], NULL, take_from_queue, NULL) == 0);
	for (int i = 0; i < 10; i++) {
		CHECK(pthread_mutex_lock(&mutex) == 0);
		queued++;
		CHECK(pthread_cond_signal(&cond) == 0 && pthread_mutex_unlock(&mutex) == 0);
	}
	for (int i = 0; i < 10; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(queued == 0 && taken == 10);

	bigtime_t start = real_time_clock_usecs(), until = start + 10000;
	struct timespec time = {until / 1000000, until % 1000000 * 1000};
	CHECK(pthread_mutex_lock(&mutex) == 0);
	CHECK(pthread_cond_timedwait(&cond, &mutex, &time) == ETIMEDOUT && real_time_clock_usecs() >= until - 1);
	int error = 0;
	CHECK(pthread_create(&threads[0], NULL, lock_in_time, &error) == 0 && pthread_join(threads[0], NULL) == 0);
	CHECK(error == ETIMEDOUT && pthread_mutex_unlock(&mutex) == 0);
	CHECK(pthread_cond_wait(&cond, &mutex) == EPERM);
}

static pthread_key_t key;
static volatile int32 destroyed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_count;

static void destroy(void* value)
{
	atomic_add(&destroyed, (int32)(size_t)value);
}

static void count_once(void)
{
	once_count++;
}

static void* use_key(void* value)
{
	CHECK(pthread_once(&once, count_once) == 0);
	CHECK(pthread_getspecific(key) == NULL && pthread_setspecific(key, value) == 0);
	CHECK(pthread_getspecific(key) == value);
	if ((size_t)value == 3)
		pthread_exit((void*)33);
	return value;
}

static void* say_done(void* sem)
{
	release_sem(*(sem_id*)sem);
	return NULL;
}

static void check_rest(void)
{
	CHECK(pthread_key_create(&key, destroy) == 0);
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, use_key, (void*)i) == 0);
	for (size_t i = 0; i < 4; i++) {
		void* result;
		CHECK(pthread_join(threads[i], &result) == 0 && result == (void*)(i == 3 ? 33 : i));
	}
	CHECK(destroyed == 6 && once_count == 1 && pthread_getspecific(key) == NULL);
	CHECK(pthread_equal(pthread_self(), pthread_self()));

	sem_id sem = create_sem(0, "detached");
	pthread_attr_t attr;
	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setdetachstate(&attr, 1) == 0);
	CHECK(pthread_attr_setstacksize(&attr, 65536) == 0);
	for (int i = 0; i < 20; i++)
		CHECK(pthread_create(&threads[0], &attr, say_done, &sem) == 0);
	CHECK(acquire_sem_etc(sem, 20, 0, 0) == B_OK && delete_sem(sem) == B_OK);
}

int main(void)
{
	check_contention();
	check_kinds();
	check_conditions();
	check_rest();
	printf("pthreads: contention, kinds, conditions, specific values\nok\n");
	return 0;
}
