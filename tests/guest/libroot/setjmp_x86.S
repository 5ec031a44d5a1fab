/* sigsetjmp and friends for x86. Registers are kept in the order ebx, ebp, esi, edi, esp, eip. */
	.text

	.globl	setjmp
	.type	setjmp, @function
setjmp:
	movl	4(%esp), %ecx
	xorl	%edx, %edx
	jmp	.Lsave
	.size	setjmp, . - setjmp

	.globl	sigsetjmp
	.type	sigsetjmp, @function
sigsetjmp:
	movl	4(%esp), %ecx
	movl	8(%esp), %edx
.Lsave:
	movl	%ebx, (%ecx)
	movl	%ebp, 4(%ecx)
	movl	%esi, 8(%ecx)
	movl	%edi, 12(%ecx)
	leal	4(%esp), %eax	/* as it is after the return */
	movl	%eax, 16(%ecx)
	movl	(%esp), %eax
	movl	%eax, 20(%ecx)
	pushl	%edx
	pushl	%ecx
	call	setjmp_save_mask
	addl	$8, %esp
	ret
	.size	sigsetjmp, . - sigsetjmp

/* void setjmp_restore(registers, value) */
	.globl	setjmp_restore
	.hidden	setjmp_restore
	.type	setjmp_restore, @function
setjmp_restore:
	movl	4(%esp), %ecx
	movl	8(%esp), %eax
	movl	(%ecx), %ebx
	movl	4(%ecx), %ebp
	movl	8(%ecx), %esi
	movl	12(%ecx), %edi
	movl	16(%ecx), %esp
	jmp	*20(%ecx)
	.size	setjmp_restore, . - setjmp_restore

	.section .note.GNU-stack,"",@progbits
