/* What the kernel promises about the processor's state: registers and flags over system calls, the floating point unit at
 * a thread's start and over calls, rounding modes of each thread, arguments that go on the stack. */
#include "check.h"
#include <OS.h>
#include <private/syscalls.h>
#include <pthread.h>

static unsigned short x87_control(void)
{
	unsigned short control;
	__asm__ volatile("fnstcw %0" : "=m"(control));
	return control;
}

static void set_x87_control(unsigned short control)
{
	__asm__ volatile("fldcw %0" : : "m"(control));
}

static void check_registers(void)
{
#if defined(__x86_64__)
	unsigned long before[13], after[13], flags;
	for (int i = 0; i < 13; i++)
		before[i] = 0x0123456789abcdef * (i + 3);
	/* All but rax, rcx and r11; the carry flag stays set. Call 0 has no arguments. */
	__asm__ volatile(
		"movq %1, %%rax\n\t"
		"movq (%%rax), %%rbx; movq 8(%%rax), %%rdx; movq 16(%%rax), %%rsi; movq 24(%%rax), %%rdi\n\t"
		"movq 32(%%rax), %%r8; movq 40(%%rax), %%r9; movq 48(%%rax), %%r10; movq 56(%%rax), %%r12\n\t"
		"movq 64(%%rax), %%r13; movq 72(%%rax), %%r14; movq 80(%%rax), %%r15\n\t"
		"movq 88(%%rax), %%xmm7; movq 96(%%rax), %%xmm12\n\t"
		"xorl %%eax, %%eax; stc; syscall\n\t"
		"pushfq; popq %%rcx; movq %%rcx, %0; movq %2, %%rax\n\t"
		"movq %%rbx, (%%rax); movq %%rdx, 8(%%rax); movq %%rsi, 16(%%rax); movq %%rdi, 24(%%rax)\n\t"
		"movq %%r8, 32(%%rax); movq %%r9, 40(%%rax); movq %%r10, 48(%%rax); movq %%r12, 56(%%rax)\n\t"
		"movq %%r13, 64(%%rax); movq %%r14, 72(%%rax); movq %%r15, 80(%%rax)\n\t"
		"movq %%xmm7, 88(%%rax); movq %%xmm12, 96(%%rax)"
		: "=m"(flags) : "m"(*(unsigned long**)&(unsigned long*){before}), "m"(*(unsigned long**)&(unsigned long*){after})
		: "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm7",
		"xmm12", "cc", "memory");
	CHECK(memcmp(before, after, sizeof(before)) == 0);
	CHECK((flags & 1) == 1 && (flags & 0x400) == 0);
#else
	unsigned long esi, edi, ebp;
	__asm__ volatile(
		"pushl %%ebp; movl $0x1111, %%esi; movl $0x2222, %%edi; movl $0x3333, %%ebp\n\t"
		"call *%3\n\t"
		"movl %%ebp, %%eax; popl %%ebp; movl %%esi, %0; movl %%edi, %1; movl %%eax, %2"
		: "=m"(esi), "=m"(edi), "=m"(ebp) : "r"(_kern_is_computer_on)
		: "eax", "ecx", "edx", "esi", "edi", "cc", "memory");
	CHECK(esi == 0x1111 && edi == 0x2222 && ebp == 0x3333);
#endif
}

static long double third(void)
{
	volatile long double one = 1, three = 3;
	return one / three;
}

static void* check_fresh_unit(void* unused)
{
	CHECK(x87_control() == 0x037f);
#if defined(__x86_64__)
	CHECK(__builtin_ia32_stmxcsr() == 0x1f80);
	__builtin_ia32_ldmxcsr(0x1f80 | 0x4000);
#endif
	set_x87_control(0x0f7f); /* towards zero */
	snooze(100);
	CHECK(x87_control() == 0x0f7f);
	return unused;
}

static void check_float_unit(void)
{
	CHECK(x87_control() == 0x037f);
	long double nearest = third();
	set_x87_control(0x077f); /* downwards */
	long double downwards = third();
	snooze(100);
	CHECK(x87_control() == 0x077f && third() == downwards);
	set_x87_control(0x007f); /* single precision */
	long double single = third();
	set_x87_control(0x037f);
	CHECK(downwards < nearest && single != nearest && third() == nearest);
	CHECK((double)single - 1.0 / 3 < 1e-7 && (double)single - 1.0 / 3 > -1e-7);

	/* The register stack stays as it is over a call. */
	long double kept;
	__asm__ volatile("fldpi; fldl2e" : : : "memory");
	_kern_is_computer_on();
	__asm__ volatile("faddp; fstpt %0" : "=m"(kept) : : "memory");
	CHECK(kept > 4.5842876944787L && kept < 4.5842876944788L);

#if defined(__x86_64__)
	volatile double one = 1, three = 3;
	double quotient = one / three;
	__builtin_ia32_ldmxcsr(0x1f80 | 0x4000); /* upwards */
	snooze(100);
	CHECK(one / three > quotient && __builtin_ia32_stmxcsr() >> 13 == 2);
	__builtin_ia32_ldmxcsr(0x1f80);
	CHECK(one / three == quotient);
#endif
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, check_fresh_unit, NULL) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(x87_control() == 0x037f);
}

/* Nine arguments and a 64-bit one among them. */
static void check_many_arguments(void)
{
	void* address = NULL;
	area_id area = _kern_map_file("nine arguments", &address, B_ANY_ADDRESS, 8192, B_READ_AREA | B_WRITE_AREA, 1, false, -1, 0);
	CHECK(area > 0 && ((char*)address)[8191] == 0);
	area_info info;
	CHECK(get_area_info(area, &info) == B_OK && info.size == 8192 && strcmp(info.name, "nine arguments") == 0);
	CHECK(delete_area(area) == B_OK);
	CHECK(_kern_acquire_sem_etc(-1, 1, B_RELATIVE_TIMEOUT, 0x123456789) == B_BAD_SEM_ID);
	sem_id sem = create_sem(0, "timeouts");
	CHECK(acquire_sem_etc(sem, 1, B_ABSOLUTE_TIMEOUT, 0x100000000 >> 20) == B_TIMED_OUT);
	CHECK(delete_sem(sem) == B_OK);
}

int main(int argc, char** argv)
{
	check_registers();
	if (argc < 2 || strcmp(argv[1], "--no-threads") != 0)
		check_float_unit();
	check_many_arguments();
	printf("abi: registers, floating point, arguments\nok\n");
	return 0;
}
