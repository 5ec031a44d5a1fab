/* Runs into the end of the stack and survives on an alternate one; with the argument `crash` it does not. */
#include "check.h"
#include <OS.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

static sigjmp_buf way_out;
static volatile int depth;
static void* volatile fault_address;

static __attribute__((noinline)) int descend(int level)
{
	volatile char frame[4096];
	frame[0] = (char)level;
	depth = level;
	if (level == -1)
		return 0;
	return descend(level + 1) + frame[0];
}

static void overflow(int signal, siginfo_t* info, void* context)
{
	(void)context;
	fault_address = info->si_addr;
	siglongjmp(way_out, signal);
}

static void* run_over(void* unused)
{
	void* memory = malloc(SIGSTKSZ);
	stack_t alternate = {memory, SIGSTKSZ, 0};
	CHECK(sigaltstack(&alternate, NULL) == 0);
	if (sigsetjmp(way_out, 1) == 0) {
		descend(0);
		CHECK(false);
	}
	thread_info info;
	CHECK(get_thread_info(find_thread(NULL), &info) == B_OK);
	CHECK((addr_t)fault_address < (addr_t)info.stack_end);
	CHECK((addr_t)info.stack_end - (addr_t)fault_address > (size_t)depth * 4096);
	alternate.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&alternate, NULL) == 0);
	free(memory);
	return unused;
}

int main(int argc, char** argv)
{
	if (argc > 1 && strcmp(argv[1], "crash") == 0)
		return descend(0);
	struct sigaction action = {.sa_sigaction = overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	run_over(NULL);
	CHECK(depth > 1000);
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, run_over, NULL) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(depth > 20 && depth < 1000);
	printf("stackoverflow: main thread, other thread\nok\n");
	return 0;
}
