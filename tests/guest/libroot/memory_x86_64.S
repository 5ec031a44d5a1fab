/* memcpy, memset and strlen for x86_64: unaligned 16-byte moves, and string instructions for long runs. */
	.text

#define FUNCTION(name) .globl name; .type name, @function; .balign 16; name:
#define FUNCTION_END(name) .size name, . - name

#define STRING_INSTRUCTIONS_FROM 2048

/* void* memcpy(void* dest, const void* source, size_t count) */
FUNCTION(memcpy)
	movq	%rdi, %rax
	cmpq	$16, %rdx
	jb	.Lcopy_small
	cmpq	$STRING_INSTRUCTIONS_FROM, %rdx
	jae	.Lcopy_long
	movups	-16(%rsi,%rdx), %xmm1	/* the last 16 bytes, stored last */
	leaq	-16(%rdi,%rdx), %r8
	subq	$16, %rdx
	jbe	.Lcopy_last
.Lcopy_loop:
	movups	(%rsi), %xmm0
	movups	%xmm0, (%rdi)
	addq	$16, %rsi
	addq	$16, %rdi
	subq	$16, %rdx
	ja	.Lcopy_loop
.Lcopy_last:
	movups	%xmm1, (%r8)
	ret
.Lcopy_small:
	testb	$8, %dl
	jnz	.Lcopy_8_to_15
	testb	$4, %dl
	jnz	.Lcopy_4_to_7
	testq	%rdx, %rdx
	jz	.Lcopy_done
	movzbl	-1(%rsi,%rdx), %r8d
	testb	$2, %dl
	jz	.Lcopy_1
	movzwl	(%rsi), %ecx
	movw	%cx, (%rdi)
.Lcopy_1:
	movb	%r8b, -1(%rdi,%rdx)
.Lcopy_done:
	ret
.Lcopy_8_to_15:
	movq	(%rsi), %rcx
	movq	-8(%rsi,%rdx), %r8
	movq	%rcx, (%rdi)
	movq	%r8, -8(%rdi,%rdx)
	ret
.Lcopy_4_to_7:
	movl	(%rsi), %ecx
	movl	-4(%rsi,%rdx), %r8d
	movl	%ecx, (%rdi)
	movl	%r8d, -4(%rdi,%rdx)
	ret
.Lcopy_long:
	movq	%rdx, %rcx
	shrq	$3, %rcx
	rep movsq
	movl	%edx, %ecx
	andl	$7, %ecx
	rep movsb
	ret
FUNCTION_END(memcpy)

/* void* memset(void* dest, int value, size_t count) */
FUNCTION(memset)
	movq	%rdi, %r8
	movzbl	%sil, %eax
	movabsq	$0x0101010101010101, %rcx
	imulq	%rcx, %rax
	movq	%rdx, %rcx
	cmpq	$64, %rdx
	jae	.Lset_long
	rep stosb
	movq	%r8, %rax
	ret
.Lset_long:
	movq	%rax, (%rdi)	/* the odd bytes at both ends */
	movq	%rax, -8(%rdi,%rdx)
	addq	$7, %rdi
	andq	$-8, %rdi
	leaq	(%r8,%rdx), %rcx
	subq	%rdi, %rcx
	shrq	$3, %rcx
	rep stosq
	movq	%r8, %rax
	ret
FUNCTION_END(memset)

/* size_t strlen(const char* string). Aligned 16-byte reads never cross into another page. */
FUNCTION(strlen)
	movq	%rdi, %rax
	andq	$-16, %rax
	pxor	%xmm0, %xmm0
	movdqa	(%rax), %xmm1
	pcmpeqb	%xmm0, %xmm1
	pmovmskb	%xmm1, %edx
	movl	%edi, %ecx
	andl	$15, %ecx
	shrl	%cl, %edx
	testl	%edx, %edx
	jnz	.Llength_first
.Llength_loop:
	addq	$16, %rax
	movdqa	(%rax), %xmm1
	pcmpeqb	%xmm0, %xmm1
	pmovmskb	%xmm1, %edx
	testl	%edx, %edx
	jz	.Llength_loop
	bsfl	%edx, %edx
	subq	%rdi, %rax
	addq	%rdx, %rax
	ret
.Llength_first:
	bsfl	%edx, %eax
	ret
FUNCTION_END(strlen)

	.section .note.GNU-stack,"",@progbits
