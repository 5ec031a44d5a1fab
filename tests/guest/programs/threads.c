/* Haiku's threads: creation, names, data, local storage, exit callbacks, suspending, killing. */
#include "check.h"
#include <OS.h>
#include <TLS.h>

static volatile int32 counter;

static status_t add_one(void* data)
{
	atomic_add(&counter, 1);
	return (status_t)(addr_t)data;
}

static void check_results(void)
{
	thread_id threads[64];
	for (int i = 0; i < 64; i++) {
		threads[i] = spawn_thread(add_one, "adder", B_NORMAL_PRIORITY, (void*)(addr_t)(i * 3));
		CHECK(threads[i] > 0 && threads[i] != find_thread(NULL));
	}
	CHECK(counter == 0);
	for (int i = 0; i < 64; i++)
		CHECK(resume_thread(threads[i]) == B_OK);
	for (int i = 0; i < 64; i++) {
		status_t status;
		CHECK(wait_for_thread(threads[i], &status) == B_OK && status == i * 3);
	}
	CHECK(counter == 64);
	status_t status;
	CHECK(wait_for_thread(threads[0], &status) == B_BAD_THREAD_ID && resume_thread(threads[0]) == B_BAD_THREAD_ID);
}

static int32 slot;

static status_t use_slot(void* data)
{
	CHECK(tls_get(slot) == NULL);
	tls_set(slot, data);
	errno = 17;
	thread_info info;
	CHECK(get_thread_info(find_thread(NULL), &info) == B_OK && strcmp(info.name, "slot user") == 0);
	CHECK((addr_t)&info >= (addr_t)info.stack_base && (addr_t)&info < (addr_t)info.stack_end);
	CHECK(tls_get(slot) == data && errno == 17);
	return B_OK;
}

static void check_storage(void)
{
	slot = tls_allocate();
	CHECK(slot > 0);
	tls_set(slot, &slot);
	errno = 5;
	status_t status;
	thread_id thread = spawn_thread(use_slot, "slot user", B_LOW_PRIORITY, &slot);
	CHECK(resume_thread(thread) == B_OK && wait_for_thread(thread, &status) == B_OK && status == B_OK);
	CHECK(tls_get(slot) == &slot && errno == 5);
}

static status_t take_data(void* unused)
{
	(void)unused;
	thread_id sender;
	char text[32];
	int32 sum = 0;
	for (int i = 0; i < 3; i++) {
		int32 code = receive_data(&sender, text, sizeof(text));
		CHECK(strcmp(text, "some data") == 0);
		sum += code;
	}
	return sum * (sender > 0);
}

static void check_data(void)
{
	thread_id thread = spawn_thread(take_data, "taker", B_NORMAL_PRIORITY, NULL);
	CHECK(send_data(thread, 1, "some data", 10) == B_OK && has_data(thread));
	CHECK(resume_thread(thread) == B_OK);
	CHECK(send_data(thread, 20, "some data", 10) == B_OK && send_data(thread, 300, "some data", 10) == B_OK);
	status_t sum;
	CHECK(wait_for_thread(thread, &sum) == B_OK && sum == 321 && !has_data(find_thread(NULL)));
}

static char callback_order[4];

static void on_exit_callback(void* name)
{
	size_t length = strlen(callback_order);
	callback_order[length] = *(const char*)name;
}

static status_t leave_early(void* unused)
{
	(void)unused;
	CHECK(on_exit_thread(on_exit_callback, "a") == B_OK && on_exit_thread(on_exit_callback, "b") == B_OK);
	exit_thread(99);
}

static status_t run_for_ever(void* _started)
{
	release_sem(*(sem_id*)_started);
	while (_started != NULL)
		atomic_add(&counter, 1);
	return B_OK;
}

static status_t wait_for_ever(void* _started)
{
	release_sem(*(sem_id*)_started);
	sem_id never = create_sem(0, "never");
	acquire_sem(never);
	return B_OK;
}

static void check_ends(void)
{
	status_t status;
	thread_id thread = spawn_thread(leave_early, "early", B_NORMAL_PRIORITY, NULL);
	CHECK(resume_thread(thread) == B_OK && wait_for_thread(thread, &status) == B_OK && status == 99);
	CHECK(strcmp(callback_order, "ba") == 0);

	sem_id started = create_sem(0, "started");
	thread_func endless[2] = {run_for_ever, wait_for_ever};
	for (int i = 0; i < 2; i++) {
		thread = spawn_thread(endless[i], "endless", B_NORMAL_PRIORITY, &started);
		CHECK(resume_thread(thread) == B_OK && acquire_sem(started) == B_OK);
		CHECK(kill_thread(thread) == B_OK && wait_for_thread(thread, &status) == B_OK);
	}
	CHECK(delete_sem(started) == B_OK);
}

static void check_suspension(void)
{
	sem_id started = create_sem(0, "started");
	thread_id thread = spawn_thread(run_for_ever, "runner", B_NORMAL_PRIORITY, &started);
	CHECK(find_thread("runner") == thread && find_thread("nobody") == B_NAME_NOT_FOUND);
	CHECK(rename_thread(thread, "renamed") == B_OK && find_thread("renamed") == thread);
	CHECK(resume_thread(thread) == B_OK && acquire_sem(started) == B_OK && suspend_thread(thread) == B_OK);
	/* Once it stands still it stays so. */
	int32 before;
	do {
		before = counter;
		snooze(2000);
	} while (counter != before);
	CHECK(resume_thread(thread) == B_OK);
	while (counter == before)
		snooze(100);
	status_t status;
	CHECK(kill_thread(thread) == B_OK && wait_for_thread(thread, &status) == B_OK && delete_sem(started) == B_OK);
}

int main(void)
{
	check_results();
	check_storage();
	check_data();
	check_ends();
	check_suspension();
	printf("threads: results, storage, data, ends, suspension\nok\n");
	return 0;
}
