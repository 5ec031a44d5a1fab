/* memcpy and memset for x86, which the kernel supplies in the commpage, and strlen. As Haiku's libroot, these refer
 * to the commpage's address by an absolute address in the code. */
	.text

#define FUNCTION(name) .globl name; .type name, @function; .balign 16; name:
#define FUNCTION_END(name) .size name, . - name

#define COMMPAGE_ENTRY_MEMCPY 4
#define COMMPAGE_ENTRY_MEMSET 5

FUNCTION(memcpy)
	movl	__gCommPageAddress, %eax
	addl	4 * COMMPAGE_ENTRY_MEMCPY(%eax), %eax
	jmp	*%eax
FUNCTION_END(memcpy)

FUNCTION(memset)
	movl	__gCommPageAddress, %eax
	addl	4 * COMMPAGE_ENTRY_MEMSET(%eax), %eax
	jmp	*%eax
FUNCTION_END(memset)

/* size_t strlen(const char* string): by words once aligned; (w - 0x01..) & ~w & 0x80.. marks bytes of zero. */
FUNCTION(strlen)
	movl	4(%esp), %eax
.Lalign:
	testl	$3, %eax
	jz	.Lwords
	cmpb	$0, (%eax)
	je	.Lfound
	incl	%eax
	jmp	.Lalign
.Lwords:
	movl	(%eax), %ecx
	leal	-0x01010101(%ecx), %edx
	notl	%ecx
	andl	%ecx, %edx
	addl	$4, %eax
	andl	$0x80808080, %edx
	jz	.Lwords
	bsfl	%edx, %edx
	shrl	$3, %edx
	leal	-4(%eax,%edx), %eax
.Lfound:
	subl	4(%esp), %eax
	ret
FUNCTION_END(strlen)

	.section .note.GNU-stack,"",@progbits
