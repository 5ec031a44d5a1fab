/* Exceptions by signals: each round faults on a page that may not be touched, and the handler jumps out. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static sigjmp_buf rescue;
static volatile unsigned caught;

static void handle(int number)
{
	caught += number == SIGSEGV;
	siglongjmp(rescue, 1);
}

int main(int argc, char** argv)
{
	unsigned scale = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
	volatile char* page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction action = {.sa_handler = handle};
	if (page == MAP_FAILED || sigaction(SIGSEGV, &action, NULL) != 0)
		return 1;
	for (volatile unsigned round = 0; round < scale; round++) {
		if (sigsetjmp(rescue, 1) == 0)
			*page = 1;
	}
	printf("signals %u\n", caught);
	return 0;
}
