/* Semaphores: counting, waiting, timeouts, deletion under a waiter, a bounded buffer. */
#include "check.h"
#include <OS.h>

static sem_id slots_free, slots_used, done;
static int buffer[8];

static status_t produce(void* unused)
{
	(void)unused;
	for (int i = 0; i < 2000; i++) {
		CHECK(acquire_sem(slots_free) == B_OK);
		buffer[i % 8] = i;
		CHECK(release_sem(slots_used) == B_OK);
	}
	return release_sem(done);
}

static void check_buffer(void)
{
	slots_free = create_sem(8, "free");
	slots_used = create_sem(0, "used");
	done = create_sem(0, "done");
	thread_id producer = spawn_thread(produce, "producer", B_NORMAL_PRIORITY, NULL);
	CHECK(resume_thread(producer) == B_OK);
	for (int i = 0; i < 2000; i++) {
		CHECK(acquire_sem(slots_used) == B_OK && buffer[i % 8] == i && release_sem(slots_free) == B_OK);
	}
	status_t status;
	CHECK(acquire_sem(done) == B_OK && wait_for_thread(producer, &status) == B_OK && status == B_OK);
	CHECK(delete_sem(slots_free) == B_OK && delete_sem(slots_used) == B_OK && delete_sem(done) == B_OK);
}

static status_t wait_for_three(void* _sem)
{
	return acquire_sem_etc(*(sem_id*)_sem, 3, 0, 0);
}

static void check_counts(void)
{
	sem_id sem = create_sem(2, "counted");
	int32 count;
	CHECK(sem > 0 && get_sem_count(sem, &count) == B_OK && count == 2);
	CHECK(acquire_sem_etc(sem, 2, B_RELATIVE_TIMEOUT, 0) == B_OK);
	CHECK(acquire_sem_etc(sem, 1, B_RELATIVE_TIMEOUT, 0) == B_WOULD_BLOCK);
	CHECK(acquire_sem_etc(sem, 1, B_RELATIVE_TIMEOUT, 3000) == B_TIMED_OUT);
	CHECK(acquire_sem_etc(sem, 1, B_ABSOLUTE_TIMEOUT, system_time() + 3000) == B_TIMED_OUT);
	CHECK(release_sem_etc(sem, 5, 0) == B_OK && get_sem_count(sem, &count) == B_OK && count == 5);
	CHECK(acquire_sem_etc(sem, 4, 0, 0) == B_OK);
	sem_info info;
	CHECK(get_sem_info(sem, &info) == B_OK && info.sem == sem && info.count == 1 && strcmp(info.name, "counted") == 0);
	CHECK(info.team == getpid());

	thread_id thread = spawn_thread(wait_for_three, "three", B_NORMAL_PRIORITY, &sem);
	CHECK(resume_thread(thread) == B_OK);
	CHECK(release_sem(sem) == B_OK && release_sem(sem) == B_OK);
	status_t status;
	CHECK(wait_for_thread(thread, &status) == B_OK && status == B_OK);
	CHECK(get_sem_count(sem, &count) == B_OK && count == 0);

	thread = spawn_thread(wait_for_three, "deleted", B_NORMAL_PRIORITY, &sem);
	CHECK(resume_thread(thread) == B_OK && delete_sem(sem) == B_OK);
	CHECK(wait_for_thread(thread, &status) == B_OK && status == B_BAD_SEM_ID);
	CHECK(acquire_sem(sem) == B_BAD_SEM_ID && release_sem(-1) == B_BAD_SEM_ID && delete_sem(sem) == B_BAD_SEM_ID);
	CHECK(create_sem(-1, "negative") == B_BAD_VALUE);
}

int main(void)
{
	check_buffer();
	check_counts();
	printf("semaphores: buffer, counts\nok\n");
	return 0;
}
