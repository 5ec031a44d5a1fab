/* sigsetjmp and friends for x86_64. Registers are kept in the order rbx, rbp, r12 to r15, rsp, rip. */
	.text

	.globl	setjmp
	.type	setjmp, @function
setjmp:
	xorl	%esi, %esi
	.size	setjmp, . - setjmp

	.globl	sigsetjmp
	.type	sigsetjmp, @function
sigsetjmp:
	movq	%rbx, (%rdi)
	movq	%rbp, 8(%rdi)
	movq	%r12, 16(%rdi)
	movq	%r13, 24(%rdi)
	movq	%r14, 32(%rdi)
	movq	%r15, 40(%rdi)
	leaq	8(%rsp), %rax	/* as it is after the return */
	movq	%rax, 48(%rdi)
	movq	(%rsp), %rax
	movq	%rax, 56(%rdi)
	jmp	setjmp_save_mask
	.size	sigsetjmp, . - sigsetjmp

/* void setjmp_restore(registers, value) */
	.globl	setjmp_restore
	.hidden	setjmp_restore
	.type	setjmp_restore, @function
setjmp_restore:
	movl	%esi, %eax
	movq	(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	movq	48(%rdi), %rsp
	jmp	*56(%rdi)
	.size	setjmp_restore, . - setjmp_restore

	.section .note.GNU-stack,"",@progbits
