/* setjmp and longjmp: registers kept over a jump, jumps out of deep recursion, the signal mask. */
#include "check.h"
#include <setjmp.h>

static jmp_buf environment;
static void (*volatile jump)(jmp_buf, int) = longjmp; /* the compiler is not to know that it does not return */

static __attribute__((noinline)) void descend(int depth)
{
	volatile char frame[64];
	frame[0] = (char)depth;
	if (depth == 0)
		jump(environment, 42);
	else
		descend(depth - 1);
	frame[1] = frame[0];
}

static __attribute__((noinline)) int count_jumps(int limit)
{
	volatile int jumps = 0;
	int value = setjmp(environment);
	CHECK(value == (jumps == 0 ? 0 : 42));
	if (jumps < limit) {
		jumps++;
		descend(jumps);
	}
	return jumps;
}

static void check_mask(void)
{
	static sigjmp_buf with_mask;
	sigset_t set, now;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (sigsetjmp(with_mask, 1) == 0) {
		CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
		siglongjmp(with_mask, 1);
	}
	CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGUSR1));
}

int main(void)
{
	CHECK(count_jumps(200) == 200);
	if (setjmp(environment) == 0)
		longjmp(environment, 0);
	check_mask();
	printf("jumps: registers, recursion, mask\nok\n");
	return 0;
}
