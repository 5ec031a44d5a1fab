/* Code that changes by other means than its own stores: system calls, files, other processes, other threads. */
#include "check.h"
#include <OS.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096

typedef int (*function)(void);

/* mov $value, %eax; ret */
static void write_constant(unsigned char* code, int value)
{
	code[0] = 0xb8;
	memcpy(code + 1, &value, 4);
	code[5] = 0xc3;
}

static int call(const unsigned char* code)
{
	return ((function)(void*)code)();
}

static unsigned char* map(int flags, int fd, size_t size)
{
	unsigned char* code = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, flags, fd, 0);
	CHECK(code != MAP_FAILED);
	return code;
}

static void check_reading_into_code(void)
{
	unsigned char buffer[6];
	unsigned char* code = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, PAGE);
	int ends[2];
	CHECK(pipe(ends) == 0);
	for (int value = 0; value < 200; value++) {
		write_constant(buffer, value);
		CHECK(write(ends[1], buffer, 6) == 6);
		CHECK(read(ends[0], code + 100, 6) == 6);
		CHECK(call(code + 100) == value);
	}
	CHECK(close(ends[0]) == 0 && close(ends[1]) == 0 && munmap(code, PAGE) == 0);
}

static int sReadEnd;
static unsigned char* sBuffer;

static void* read_into_buffer(void* unused)
{
	(void)unused;
	return (void*)(ssize_t)read(sReadEnd, sBuffer, 16);
}

/* A thread waits for input that goes to a page whose code others run meanwhile. */
static void check_buffers_beside_code(void)
{
	unsigned char* code = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, PAGE);
	int ends[2];
	CHECK(pipe(ends) == 0);
	sReadEnd = ends[0];
	sBuffer = code + 2048;
	for (int round = 0; round < 30; round++) {
		pthread_t reader;
		write_constant(code, round);
		CHECK(pthread_create(&reader, NULL, read_into_buffer, NULL) == 0);
		for (int i = 0; i < 20; i++) {
			CHECK(call(code) == round);
			snooze(50);
		}
		CHECK(write(ends[1], "sixteen letters", 16) == 16);
		void* result;
		CHECK(pthread_join(reader, &result) == 0);
		CHECK(result == (void*)16 && strcmp((char*)sBuffer, "sixteen letters") == 0);
		CHECK(call(code) == round);
	}
	CHECK(close(ends[0]) == 0 && close(ends[1]) == 0 && munmap(code, PAGE) == 0);
}

/* A process writes code that another one runs, in turns. */
static void check_code_of_another_process(unsigned char* code)
{
	int there[2], back[2];
	char turn = 0;
	write_constant(code, -1);
	CHECK(call(code) == -1);
	CHECK(pipe(there) == 0 && pipe(back) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	for (int value = 0; value < 100; value++) {
		if (child == 0) {
			write_constant(code, value);
			CHECK(write(there[1], &turn, 1) == 1 && read(back[0], &turn, 1) == 1);
			CHECK(call(code) == value + 1000);
		} else {
			CHECK(read(there[0], &turn, 1) == 1);
			CHECK(call(code) == value);
			write_constant(code, value + 1000);
			CHECK(call(code) == value + 1000);
			CHECK(write(back[1], &turn, 1) == 1);
		}
	}
	if (child == 0)
		_exit(0);
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(close(there[i]) == 0 && close(back[i]) == 0);
}

/* After a fork both sides change what they had in common. */
static void check_private_code_after_fork(void)
{
	unsigned char* code = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, PAGE);
	write_constant(code, 1);
	CHECK(call(code) == 1);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(call(code) == 1);
		write_constant(code, 2);
		_exit(call(code));
	}
	int status;
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 2);
	CHECK(call(code) == 1);
	write_constant(code, 3);
	CHECK(call(code) == 3 && munmap(code, PAGE) == 0);
}

/* A file that is mapped is written. What a private mapping sees of that is the system's choice: what it holds is what runs. */
static void check_written_files(void)
{
	unsigned char bytes[PAGE];
	memset(bytes, 0xcc, sizeof(bytes));
	int fd = open("code", O_RDWR | O_CREAT | O_EXCL, 0644);
	CHECK(fd >= 0 && write(fd, bytes, PAGE) == PAGE);
	write_constant(bytes, 0);
	CHECK(pwrite(fd, bytes, 6, 0) == 6);
	unsigned char* shared = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	unsigned char* private = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	for (int value = 1; value < 100; value++) {
		int held;
		write_constant(bytes, value);
		if (value % 2 == 0)
			CHECK(pwrite(fd, bytes, 6, 0) == 6);
		else
			CHECK(lseek(fd, 0, SEEK_SET) == 0 && write(fd, bytes, 6) == 6);
		CHECK(call(shared) == value);
		memcpy(&held, private + 1, 4);
		CHECK(call(private) == held);
	}
	CHECK(munmap(private, PAGE) == 0);
	unsigned char* writable = map(MAP_SHARED, fd, PAGE);
	check_code_of_another_process(writable + 64);
	CHECK(munmap(shared, PAGE) == 0 && munmap(writable, PAGE) == 0 && close(fd) == 0 && unlink("code") == 0);
}

#define THREADS 4
#define SLOT 64
#define SLOTS (4 * PAGE / SLOT)
#define ROUNDS (SLOTS / THREADS)

static unsigned char* sPool;
/* Counts the pieces of each thread that others may run. */
static int sPublished[THREADS];

static int sSignals;

static void count_signal(int signal)
{
	(void)signal;
	__atomic_fetch_add(&sSignals, 1, __ATOMIC_SEQ_CST);
}

/* Each thread makes pieces of code beside those of the others, runs them, changes them, and runs what the others have made. */
static void* generate(void* argument)
{
	int me = (int)(ssize_t)argument;
	for (int round = 0; round < ROUNDS; round++) {
		int slot = round * THREADS + me;
		unsigned char* code = sPool + slot * SLOT;
		write_constant(code, -1);
		CHECK(call(code) == -1);
		int value = slot * 3;
		memcpy(code + 1, &value, 4);
		CHECK(call(code) == value);
		__atomic_store_n(&sPublished[me], round + 1, __ATOMIC_SEQ_CST);
		for (int other = 0; other < THREADS; other++) {
			int made = __atomic_load_n(&sPublished[other], __ATOMIC_SEQ_CST);
			for (int i = made > 5 ? made - 5 : 0; i < made; i++) {
				int theirs = i * THREADS + other;
				CHECK(call(sPool + theirs * SLOT) == theirs * 3);
			}
		}
	}
	while (__atomic_load_n(&sSignals, __ATOMIC_SEQ_CST) == 0)
		snooze(100);
	return NULL;
}

static volatile int sStop;

/* Flips the aligned operand of an instruction that others run. */
static void* flip(void* argument)
{
	unsigned char* code = argument;
	for (int i = 0; !sStop; i++) {
		__atomic_store_n((int*)(void*)(code + 4), i % 2 == 0 ? 0x11111111 : 0x22222222, __ATOMIC_SEQ_CST);
		if (i % 64 == 0)
			snooze(10);
	}
	return NULL;
}

static void check_threads(void)
{
	pthread_t threads[THREADS];
	sPool = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, 4 * PAGE);
	struct sigaction action = { .sa_handler = count_signal };
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, generate, (void*)(ssize_t)i) == 0);
	/* Interrupted wherever they are. Those that have ended already are no error. */
	for (int i = 0; i < 200 || __atomic_load_n(&sSignals, __ATOMIC_SEQ_CST) == 0; i++)
		pthread_kill(threads[i % THREADS], SIGUSR1);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(sSignals > 0);
	/* One of two values, never a mixture; and in the end the last one. */
	unsigned char* code = sPool + 3;
	write_constant(code, 0x11111111);
	CHECK(pthread_create(&threads[0], NULL, flip, sPool) == 0);
	for (int i = 0; i < 5000; i++) {
		int value = call(code);
		CHECK(value == 0x11111111 || value == 0x22222222);
	}
	sStop = 1;
	CHECK(pthread_join(threads[0], NULL) == 0);
	int last;
	memcpy(&last, code + 1, 4);
	CHECK(call(code) == last && munmap(sPool, 4 * PAGE) == 0);
}

int main(int argc, char** argv)
{
	enter_scratch_dir(argc, argv, "codechange");
	check_reading_into_code();
	check_buffers_beside_code();
	unsigned char* shared = map(MAP_SHARED | MAP_ANONYMOUS, -1, PAGE);
	check_code_of_another_process(shared);
	CHECK(munmap(shared, PAGE) == 0);
	check_private_code_after_fork();
	check_written_files();
	check_threads();
	leave_scratch_dir();
	printf("codechange: calls, buffers, processes, forks, files, threads, signals\nok\n");
	return 0;
}
