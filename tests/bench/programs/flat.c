/*
 * Huge flat code: 6000 functions of straight code with a jump here and there, 6 MB in all, each run a few hundred times, so
 * that translating them counts. The assembler makes them: a C compiler takes minutes for that much.
 */
#include "program.h"

/* The state is in eax and edx; each function has other constants (\n counts up). */
__asm__(
	"	.text\n"
	"	.macro mix a, b, n\n"
	"	movl \\b, %ecx\n"
	"	xorl $(\\n * 0x9e3779b1) & 0x7fffffff, %ecx\n"
	"	addl %ecx, \\a\n"
	"	roll $7, \\b\n"
	"	movl \\a, %ecx\n"
	"	andl $0xff00ff, %ecx\n"
	"	addl %ecx, \\b\n"
	"	movl \\a, %ecx\n"
	"	shrl $11, %ecx\n"
	"	xorl %ecx, \\a\n"
	"	imull $(\\n * 2 + 1) & 0xffffff, \\b, \\b\n"
	"	.endm\n"
	"	.set flat_number, 0\n"
	"flat_all:\n"
	"	.rept 6000\n"
	"	call 2f\n"
	"	jmp 3f\n"
	"	.p2align 4\n"
	"2:\n"
	"	.rept 10\n"
	"	mix %eax, %edx, flat_number\n"
	"	testl $0x400, %eax\n"
	"	jz 1f\n"
	"	mix %edx, %eax, flat_number + 1\n"
	"1:	mix %eax, %edx, flat_number + 2\n"
	"	.set flat_number, flat_number + 3\n"
	"	.endr\n"
	"	ret\n"
	"3:\n"
	"	.endr\n"
	"	ret\n");

static uint32_t flat_all(uint32_t state)
{
	uint32_t more = state ^ 0x5bd1e995;
	__asm__ volatile("call flat_all" : "+a"(state), "+d"(more) : : "ecx", "cc", "memory");
	return state + more;
}

int main(int argc, char** argv)
{
	unsigned scale = kernel_scale(argc, argv, 600);
	uint32_t sum = 1;
	for (unsigned round = 0; round < scale; round++)
		sum = flat_all(sum + round);
	printf("flat %08x\n", sum);
	return 0;
}
