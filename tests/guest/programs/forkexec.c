/* fork, exec, wait and pipes. */
#include "check.h"
#include <OS.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define ARGS_PROGRAM "/boot/system/bin/args"

static int data = 1;

static int wait_for(pid_t child)
{
	int status = -1;
	CHECK(waitpid(child, &status, 0) == child);
	return status;
}

static void check_exit_codes(void)
{
	for (int code = 0; code < 256; code += 51) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0)
			_exit(code);
		int status = wait_for(child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code && !WIFSIGNALED(status));
	}
	CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

static void check_memory(void)
{
	int* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	int local = 10;
	pid_t parent = getpid();
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		data = 2;
		local = 20;
		*shared = 30;
		CHECK(getpid() != parent && getppid() == parent && find_thread(NULL) == getpid());
		char* block = malloc(1 << 20);
		CHECK(block != NULL);
		memset(block, 1, 1 << 20);
		free(block);
		_exit(data + local == 22 ? 0 : 1);
	}
	CHECK(wait_for(child) == 0 && data == 1 && local == 10 && *shared == 30);
	CHECK(munmap(shared, 4096) == 0);
}

static void check_pipes(void)
{
	int to_child[2], from_child[2];
	CHECK(pipe(to_child) == 0 && pipe(from_child) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		char byte;
		CHECK(close(to_child[1]) == 0 && close(from_child[0]) == 0);
		while (read(to_child[0], &byte, 1) == 1) {
			byte ^= 0x20;
			CHECK(write(from_child[1], &byte, 1) == 1);
		}
		_exit(0);
	}
	CHECK(close(to_child[0]) == 0 && close(from_child[1]) == 0);
	CHECK(write(to_child[1], "Hello Pipe", 10) == 10 && close(to_child[1]) == 0);
	char text[32];
	size_t length = 0;
	ssize_t got;
	while ((got = read(from_child[0], text + length, sizeof(text) - length)) > 0)
		length += got;
	CHECK(got == 0 && length == 10 && memcmp(text, "hELLO\0pIPE", 10) == 0);
	CHECK(close(from_child[0]) == 0 && wait_for(child) == 0);

	signal(SIGPIPE, SIG_IGN);
	CHECK(pipe(to_child) == 0 && close(to_child[0]) == 0);
	CHECK(write(to_child[1], "x", 1) == -1 && errno == EPIPE && close(to_child[1]) == 0);
	signal(SIGPIPE, SIG_DFL);
}

static void check_deaths(void)
{
	static const int signals[] = {SIGKILL, SIGTERM, SIGABRT, SIGUSR1};
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			if (signals[i] == SIGABRT)
				abort();
			kill(getpid(), signals[i]);
			for (;;)
				snooze(1000000);
		}
		int status = wait_for(child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == signals[i]);
	}
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		for (;;)
			snooze(1000000);
	}
	CHECK(waitpid(child, NULL, WNOHANG) == 0);
	CHECK(kill(child, SIGTERM) == 0 && WTERMSIG(wait_for(child)) == SIGTERM);
	CHECK(kill(child, SIGTERM) == -1 && errno == ESRCH);
}

/* What `argv` writes to its standard output. */
static int run(char* const argv[], char* const envp[], char* output, size_t size)
{
	int fds[2];
	CHECK(pipe(fds) == 0);
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		CHECK(dup2(fds[1], 1) == 1 && close(fds[0]) == 0 && close(fds[1]) == 0);
		execve(argv[0], argv, envp);
		_exit(111);
	}
	CHECK(close(fds[1]) == 0);
	size_t length = 0;
	ssize_t got;
	while ((got = read(fds[0], output + length, size - 1 - length)) > 0)
		length += got;
	output[length] = '\0';
	CHECK(close(fds[0]) == 0);
	return wait_for(child);
}

static void check_exec(void)
{
	char output[1024];
	char* argv[] = {ARGS_PROGRAM, "--exit", "37", "with space", "", NULL};
	char* envp[] = {"GUEST_ONE=1", "OTHER=2", "GUEST_TWO=two words", NULL};
	int status = run(argv, envp, output, sizeof(output));
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 37);
	CHECK(strcmp(output, "4 arguments\n1: \"--exit\"\n2: \"37\"\n3: \"with space\"\n4: \"\"\nGUEST_ONE=1\nGUEST_TWO=two words\nok\n")
		== 0);
	char* none[] = {"/boot/system/bin/none", NULL};
	CHECK(execve(none[0], none, envp) == -1 && errno == ENOENT);
	char* no_program[] = {"/boot/system/lib", NULL};
	CHECK(execve(no_program[0], no_program, envp) == -1);
}

static volatile int32 stop;

static void* spin(void* unused)
{
	while (!stop)
		free(malloc(100));
	return unused;
}

/* Only the calling thread lives in the child, whatever the others hold. */
static void check_threads(void)
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, spin, NULL) == 0);
	for (int i = 0; i < 10; i++) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (child == 0) {
			free(malloc(200));
			pthread_t other;
			stop = 1;
			CHECK(pthread_create(&other, NULL, spin, NULL) == 0 && pthread_join(other, NULL) == 0);
			_exit(pthread_equal(pthread_self(), other) ? 1 : 0);
		}
		CHECK(wait_for(child) == 0);
	}
	stop = 1;
	CHECK(pthread_join(thread, NULL) == 0);
}

static void check_generations(void)
{
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		int sum = 0;
		pid_t children[5];
		for (int i = 0; i < 5; i++) {
			children[i] = fork();
			if (children[i] == 0)
				_exit(i + 1);
		}
		for (int i = 0; i < 5; i++)
			sum += WEXITSTATUS(wait_for(children[i]));
		_exit(sum);
	}
	CHECK(WEXITSTATUS(wait_for(child)) == 15);
}

int main(void)
{
	check_exit_codes();
	check_memory();
	check_pipes();
	check_deaths();
	check_exec();
	check_threads();
	check_generations();
	printf("forkexec: exit codes, memory, pipes, deaths, exec, threads, generations\nok\n");
	return 0;
}
