/* The 256-bit vector registers: over calls, signals at calls, faults and any time, in several threads and over fork. */
#include "check.h"
#include <OS.h>
#include <pthread.h>
#include <private/syscalls.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#if defined(__x86_64__)
#define COUNT 16
#define CALL_SPOILS "rax", "rcx", "rdx", "r11"
#define MORE(X) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#else
#define COUNT 8
#define CALL_SPOILS "eax", "ecx", "edx"
#define MORE(X)
#endif
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) MORE(X)
#define LOAD(N) "vmovdqu " #N "*32(%[from]), %%ymm" #N "\n\t"
#define STORE(N) "vmovdqu %%ymm" #N ", " #N "*32(%[to])\n\t"

/* Loads all registers from `from`, runs CODE, stores them to `to`. Nothing else touches them in between. */
#define ACROSS(from_, to_, CODE, ...) \
	__asm__ volatile(ALL(LOAD) CODE "\n\t" ALL(STORE) "vzeroupper" \
		: : [from] "b"(from_), [to] "r"(to_), ##__VA_ARGS__ \
		: CALL_SPOILS, "cc", "memory")

typedef union registers {
	unsigned char bytes[COUNT][32];
	unsigned words[COUNT * 8];
} registers;

static volatile int caught;
static char* volatile guarded;

static void fill(registers* r, unsigned seed)
{
	for (int i = 0; i < COUNT * 8; i++)
		r->words[i] = seed = seed * 1664525 + 1013904223;
}

static void same(const registers* a, const registers* b)
{
	CHECK(memcmp(a, b, sizeof(*a)) == 0);
}

/* Frames of signals hold the upper halves in 64-bit code alone. */
#if defined(__x86_64__)
#define KEPT 32
#else
#define KEPT 16
#endif

static void same_after_signal(const registers* a, const registers* b)
{
	for (int i = 0; i < COUNT; i++)
		CHECK(memcmp(a->bytes[i], b->bytes[i], KEPT) == 0);
}

static bool has_avx(void)
{
	unsigned eax = 1, ebx, ecx = 0, edx;
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if ((ecx >> 27 & 3) != 3)
		return false;
	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return (eax & 6) == 6;
}

/* Leaves nothing of the registers. */
static void spoil(void)
{
	registers other, after;
	fill(&other, 99);
	ACROSS(&other, &after, "");
	same(&other, &after);
	__asm__ volatile("vzeroall" : : : "memory");
}

static void note(int signal)
{
	spoil();
	caught = signal;
}

static void repair(int signal)
{
	spoil();
	CHECK(mprotect(guarded, 4096, PROT_READ | PROT_WRITE) == 0);
	caught = signal;
}

static void check_calls(void)
{
	registers before, after;
	fill(&before, 1);
	ACROSS(&before, &after, "call *%[call]", [call] "S"(_kern_is_computer_on));
	same(&before, &after);
}

/* VEX instructions clear what is above, others keep it. */
static void check_upper_halves(void)
{
	registers before, after;
	fill(&before, 2);
	ACROSS(&before, &after, "vaddps %%xmm1, %%xmm1, %%xmm1; paddd %%xmm2, %%xmm3; vmovd %%eax, %%xmm4");
	for (int i = 4; i < 8; i++)
		CHECK(after.words[8 + i] == 0 && after.words[32 + i] == 0 && after.words[24 + i] == before.words[24 + i]);
	CHECK(after.words[24] == before.words[24] + before.words[16]);
	ACROSS(&before, &after, "vzeroupper");
	for (int i = 0; i < COUNT * 8; i++)
		CHECK(after.words[i] == (i % 8 < 4 ? before.words[i] : 0));
}

static void check_fault(void)
{
	registers before, after;
	fill(&before, 3);
	guarded = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(guarded != MAP_FAILED && signal(SIGSEGV, repair) != SIG_ERR);
	caught = 0;
	ACROSS(&before, &after, "vmovdqu %%ymm7, (%[page])", [page] "S"(guarded));
	same_after_signal(&before, &after);
	CHECK(caught == SIGSEGV && memcmp(guarded, before.bytes[7], KEPT) == 0);
}

static volatile bool enough;

/* Signals that wait at the same time are one: however many were sent, the next one may be needed. */
static void* send_signals(void* main_thread)
{
	while (!enough) {
		snooze(500);
		CHECK(kill((thread_id)(addr_t)main_thread, SIGUSR1) == 0);
	}
	return NULL;
}

/* A signal at any place in a loop that changes nothing. */
static void check_signals(void)
{
	registers before, after;
	CHECK(signal(SIGUSR1, note) != SIG_ERR);
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, send_signals, (void*)(addr_t)find_thread(NULL)) == 0);
	for (int i = 0; i < 5; i++) {
		fill(&before, 4 + i);
		caught = 0;
		ACROSS(&before, &after,
			"1: vpaddd %%ymm1, %%ymm2, %%ymm0; vpsubd %%ymm1, %%ymm0, %%ymm2; cmpl $0, (%[flag]); je 1b", [flag] "S"(&caught));
		for (int k = 0; k < 8; k++)
			before.words[k] = before.words[8 + k] + before.words[16 + k];
		same_after_signal(&before, &after);
	}
	enough = true;
	CHECK(pthread_join(thread, NULL) == 0);
}

static void* compute(void* seed)
{
	for (int i = 0; i < 200; i++) {
		registers before, after;
		fill(&before, (unsigned)(addr_t)seed + i);
		ACROSS(&before, &after, "call *%[call]", [call] "S"(_kern_is_computer_on));
		same(&before, &after);
		if (i % 50 == 0)
			snooze(100);
	}
	return NULL;
}

static void check_threads(void)
{
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, compute, (void*)(addr_t)(1000 * (i + 1))) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void check_fork(void)
{
	registers before, after;
	fill(&before, 5);
	thread_id child;
	__asm__ volatile(ALL(LOAD) "call *%[call]\n\t" ALL(STORE) "vzeroupper\n\t"
		"movl %%eax, %[child]"
		: [child] "=m"(child) : [from] "b"(&before), [to] "D"(&after), [call] "S"(_kern_fork) : CALL_SPOILS, "cc", "memory");
	if (child == 0)
		_kern_exit_team(memcmp(&before, &after, sizeof(before)) == 0 ? 17 : 1);
	same(&before, &after);
	int status;
	CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 17);
}

int main(int argc, char** argv)
{
	if (!has_avx()) {
		printf("avx: this processor has none\nok\n");
		return 0;
	}
	check_calls();
	check_upper_halves();
	check_fault();
	if (argc < 2 || strcmp(argv[1], "--no-threads") != 0) {
		check_signals();
		check_threads();
	}
	check_fork();
	printf("avx: calls, upper halves, faults, signals, threads, fork\nok\n");
	return 0;
}
