/*
 * Signals and faults: handlers of both forms, masks, alternate stacks, jumps out, changed registers, interrupted calls.
 * With an argument it dies instead: segv, write, jump, ill, fpe, trap, abort, kill, term.
 */
#include "check.h"
#include <OS.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

static volatile int caught, caught_code;
static void* volatile caught_address;
static volatile addr_t handler_stack;
static char* volatile guarded;
static sigjmp_buf way_out;

static void install(int signal, void* handler, int flags, void* data)
{
	struct sigaction action = {.sa_handler = (sighandler_t)handler, .sa_flags = flags, .sa_userdata = data};
	CHECK(sigaction(signal, &action, NULL) == 0);
}

static void note(int signal, siginfo_t* info, void* context)
{
	(void)context;
	char local;
	handler_stack = (addr_t)&local;
	caught = signal;
	caught_code = info->si_code;
	caught_address = info->si_addr;
}

static void plain_note(int signal)
{
	caught += signal;
}

/* Makes the page accessible: the faulting instruction then succeeds. */
static void repair(int signal, siginfo_t* info, void* context)
{
	note(signal, info, context);
	CHECK(mprotect(guarded, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void jump_out(int signal, siginfo_t* info, void* context)
{
	note(signal, info, context);
	siglongjmp(way_out, signal);
}

static void check_segv(void)
{
	guarded = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guarded != MAP_FAILED);
	install(SIGSEGV, repair, SA_SIGINFO, NULL);
	guarded[123] = 45;
	CHECK(caught == SIGSEGV && caught_address == guarded + 123 && caught_code == SEGV_ACCERR && guarded[123] == 45);

	install(SIGSEGV, jump_out, SA_SIGINFO, NULL);
	for (int i = 0; i < 100; i++) {
		volatile int* nowhere = (volatile int*)(addr_t)(16 + 4 * i);
		caught = 0;
		if (sigsetjmp(way_out, 1) == 0) {
			*nowhere = 1;
			CHECK(false);
		}
		CHECK(caught == SIGSEGV && caught_address == (void*)nowhere && caught_code == SEGV_MAPERR);
	}
	CHECK(munmap(guarded, 4096) == 0);
	if (sigsetjmp(way_out, 1) == 0) {
		((void (*)(void))(addr_t)guarded)();
		CHECK(false);
	}
	CHECK(caught_address == guarded);
	signal(SIGSEGV, SIG_DFL);
}

static void check_fpe(void)
{
	install(SIGFPE, jump_out, SA_SIGINFO, NULL);
	volatile int one = 1, zero = 0, least = (-2147483647 - 1), minus = -1;
	if (sigsetjmp(way_out, 1) == 0) {
		one = one / zero;
		CHECK(false);
	}
	CHECK(caught == SIGFPE && caught_code == FPE_INTDIV);
	caught = 0;
	if (sigsetjmp(way_out, 1) == 0) {
		one = least / minus;
		CHECK(false);
	}
	CHECK(caught == SIGFPE && one == 1);
	signal(SIGFPE, SIG_DFL);
}

/* Steps over the two bytes of `ud2`, and leaves other values in registers that the return must restore. */
static void step_over(int signal, siginfo_t* info, void* _context)
{
	ucontext_t* context = _context;
	note(signal, info, context);
#if defined(__x86_64__)
	context->uc_mcontext.rip += 2;
	context->uc_mcontext.r13 = 0x1313;
	__asm__ volatile("pxor %%xmm5, %%xmm5; fld1; fstp %%st(0)" : : : "xmm5");
#else
	context->uc_mcontext.eip += 2;
	context->uc_mcontext.edi = 0x1313;
	__asm__ volatile("fld1; fstp %%st(0)" : :);
#endif
}

static void check_ill(void)
{
	install(SIGILL, step_over, SA_SIGINFO, NULL);
	long double pi = 0;
	unsigned char carry = 0;
#if defined(__x86_64__)
	unsigned long rbx = 0, r12 = 0, r13 = 0;
	double x = 2.5, y = 0;
	__asm__ volatile(
		"movq $0x1234, %%rbx; movq $0x5678, %%r12; movq $0, %%r13; movsd %6, %%xmm5; fldpi; stc\n\tud2\n\t"
		"setc %4; fstpt %5; movsd %%xmm5, %3; movq %%rbx, %0; movq %%r12, %1; movq %%r13, %2"
		: "=m"(rbx), "=m"(r12), "=m"(r13), "=m"(y), "=m"(carry), "=m"(pi) : "m"(x)
		: "rbx", "r12", "r13", "xmm5", "cc", "memory", "st");
	CHECK(rbx == 0x1234 && r12 == 0x5678 && r13 == 0x1313 && y == 2.5);
#else
	unsigned long esi = 0, edi = 0;
	__asm__ volatile(
		"movl $0x1234, %%esi; movl $0, %%edi; fldpi; stc\n\tud2\n\t"
		"setc %2; fstpt %3; movl %%esi, %0; movl %%edi, %1"
		: "=m"(esi), "=m"(edi), "=m"(carry), "=m"(pi) : : "esi", "edi", "cc", "memory", "st");
	CHECK(esi == 0x1234 && edi == 0x1313);
#endif
	CHECK(carry == 1 && pi > 3.14159265358979L && pi < 3.1415926535898L && caught == SIGILL);
	signal(SIGILL, SIG_DFL);
}

static void* volatile seen_data;

/* The form without SA_SIGINFO: BeOS passes the user data and the registers. */
static void beos_handler(int signal, void* data, struct vregs* registers)
{
	caught = signal;
	seen_data = data;
#if defined(__x86_64__)
	handler_stack = registers->rsp;
#else
	handler_stack = registers->esp;
#endif
}

static void check_raise(void)
{
	char local;
	install(SIGUSR1, (void*)beos_handler, 0, (void*)&caught_code);
	CHECK(raise(SIGUSR1) == 0 && caught == SIGUSR1 && seen_data == (void*)&caught_code);
	CHECK(handler_stack - (addr_t)&local + 65536 < 2 * 65536);

	install(SIGUSR1, plain_note, SA_RESETHAND, NULL);
	caught = 0;
	CHECK(raise(SIGUSR1) == 0 && caught == SIGUSR1);
	struct sigaction now;
	CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	CHECK(signal(SIGUSR1, SIG_IGN) == SIG_DFL && raise(SIGUSR1) == 0 && caught == SIGUSR1);
	CHECK(kill(getpid(), 0) == 0 && raise(99) == -1 && errno == EINVAL);
	struct sigaction action = {.sa_handler = SIG_IGN};
	CHECK(sigaction(SIGKILL, &action, NULL) == -1 && errno == EINVAL);
}

static volatile int depth, deepest, entered;

static void nested(int signal)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (++entered < 3)
		raise(signal);
	depth--;
}

static void check_masks(void)
{
	sigset_t set, old, pending;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	install(SIGUSR1, plain_note, 0, NULL);
	install(SIGUSR2, plain_note, 0, NULL);
	caught = 0;
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0 && raise(SIGUSR1) == 0 && raise(SIGUSR2) == 0 && caught == 0);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGUSR2));
	sigdelset(&set, SIGUSR2);
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && caught == SIGUSR1);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0 && caught == SIGUSR1 + SIGUSR2);

	/* Blocked in its own handler, unless it asks not to be. */
	install(SIGUSR1, nested, 0, NULL);
	CHECK(raise(SIGUSR1) == 0 && depth == 0 && deepest == 1 && entered == 3);
	deepest = entered = 0;
	install(SIGUSR1, nested, SA_NODEFER, NULL);
	CHECK(raise(SIGUSR1) == 0 && deepest == 3 && depth == 0);

	install(SIGUSR1, plain_note, 0, NULL);
	caught = 0;
	sigaddset(&set, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0 && raise(SIGUSR1) == 0 && caught == 0);
	CHECK(sigsuspend(&old) == -1 && errno == EINTR && caught == SIGUSR1);
	CHECK(raise(SIGUSR1) == 0);
	int which = 0;
	CHECK(sigwait(&set, &which) == 0 && which == SIGUSR1 && caught == SIGUSR1);
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0 && caught == SIGUSR1);
}

static void check_alternate_stack(void)
{
	static char stack[SIGSTKSZ];
	stack_t alternate = {stack, sizeof(stack), 0}, old;
	CHECK(sigaltstack(&alternate, NULL) == 0);
	install(SIGUSR1, note, SA_SIGINFO | SA_ONSTACK, NULL);
	CHECK(raise(SIGUSR1) == 0 && handler_stack - (addr_t)stack < sizeof(stack));
	install(SIGUSR1, note, SA_SIGINFO, NULL);
	CHECK(raise(SIGUSR1) == 0 && handler_stack - (addr_t)stack >= sizeof(stack));
	alternate.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&alternate, &old) == 0 && old.ss_sp == stack && old.ss_size == sizeof(stack));
	install(SIGUSR1, note, SA_SIGINFO | SA_ONSTACK, NULL);
	CHECK(raise(SIGUSR1) == 0 && handler_stack - (addr_t)stack >= sizeof(stack));
}

static volatile int32 helper_stop;
static volatile int32 helper_count;
static pthread_t main_thread;
static int pipe_fds[2];

static void count_signals(int signal)
{
	(void)signal;
	atomic_add(&helper_count, 1);
}

static void* send_until_stopped(void* unused)
{
	while (!helper_stop) {
		CHECK(pthread_kill(main_thread, SIGUSR2) == 0);
		snooze(500);
	}
	return unused;
}

static void* send_then_write(void* unused)
{
	while (helper_count < 5) {
		CHECK(pthread_kill(main_thread, SIGUSR2) == 0);
		snooze(500);
	}
	CHECK(write(pipe_fds[1], "x", 1) == 1);
	return unused;
}

static void check_from_other_threads(void)
{
	pthread_t helper;
	char byte;
	main_thread = pthread_self();

	/* A loop without system calls is interrupted as well. */
	install(SIGUSR2, count_signals, 0, NULL);
	CHECK(pthread_create(&helper, NULL, send_until_stopped, NULL) == 0);
	while (helper_count < 5)
		;
	helper_stop = 1;
	CHECK(pthread_join(helper, NULL) == 0);

	CHECK(pipe(pipe_fds) == 0);
	helper_stop = helper_count = 0;
	CHECK(pthread_create(&helper, NULL, send_until_stopped, NULL) == 0);
	CHECK(read(pipe_fds[0], &byte, 1) == -1 && errno == EINTR && helper_count > 0);
	CHECK(snooze(100000000) == B_INTERRUPTED);
	helper_stop = 1;
	CHECK(pthread_join(helper, NULL) == 0);

	install(SIGUSR2, count_signals, SA_RESTART, NULL);
	helper_count = 0;
	CHECK(pthread_create(&helper, NULL, send_then_write, NULL) == 0);
	CHECK(read(pipe_fds[0], &byte, 1) == 1 && byte == 'x' && helper_count >= 5);
	CHECK(pthread_join(helper, NULL) == 0 && close(pipe_fds[0]) == 0 && close(pipe_fds[1]) == 0);
}

static int die(const char* how)
{
	volatile int zero = 0, dividend = 100;
	volatile addr_t nowhere = 0x1230, code = (addr_t)die;
	if (strcmp(how, "segv") == 0)
		return *(volatile int*)nowhere;
	if (strcmp(how, "write") == 0)
		*(volatile int*)code = 1;
	if (strcmp(how, "jump") == 0)
		((void (*)(void))nowhere)();
	if (strcmp(how, "ill") == 0)
		__asm__ volatile("ud2");
	if (strcmp(how, "fpe") == 0)
		zero = dividend / zero;
	if (strcmp(how, "trap") == 0)
		__asm__ volatile("int3");
	if (strcmp(how, "abort") == 0)
		abort();
	if (strcmp(how, "kill") == 0)
		raise(SIGKILL);
	if (strcmp(how, "term") == 0)
		raise(SIGTERM);
	printf("signals: do not know how to die of %s\n", how);
	return 2;
}

int main(int argc, char** argv)
{
	if (argc > 1)
		return die(argv[1]);
	check_segv();
	check_fpe();
	check_ill();
	check_raise();
	check_masks();
	check_alternate_stack();
	check_from_other_threads();
	printf("signals: faults, registers, raising, masks, stacks, threads\nok\n");
	return 0;
}
