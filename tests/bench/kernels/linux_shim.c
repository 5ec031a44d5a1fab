/*
 * Just enough of a Linux program's surroundings for the kernels, without a C library: so that they can be built
 * statically for i386 where no 32-bit libraries are, and so that native code is the code that the guest runs.
 * Built with the guest's headers and linked with libroot's printf (native.sh).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SYSCALL_WRITE 1
#define SYSCALL_EXIT 231
__asm__(".globl _start\n_start:\n\tmovq %rsp, %rdi\n\tandq $-16, %rsp\n\tcall shim_main\n");
#else
#define SYSCALL_WRITE 4
#define SYSCALL_EXIT 252
__asm__(".globl _start\n_start:\n\tmovl %esp, %eax\n\tandl $-16, %esp\n\tsubl $12, %esp\n\tpushl %eax\n\tcall shim_main\n");
#endif

#define SHOWN __attribute__((visibility("default")))

static long linux_call(long number, long a, long b, long c)
{
	long result;
#if defined(__x86_64__)
	__asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#else
	__asm__ volatile("xchgl %%ebx, %1\n\tint $0x80\n\txchgl %%ebx, %1"
		: "=a"(result), "+D"(a) : "0"(number), "c"(b), "d"(c) : "memory");
#endif
	return result;
}

SHOWN ssize_t write(int fd, const void* buffer, size_t size)
{
	return linux_call(SYSCALL_WRITE, fd, (long)buffer, (long)size);
}

SHOWN void exit(int status)
{
	for (;;)
		linux_call(SYSCALL_EXIT, status, 0, 0);
}

SHOWN int printf(const char* restrict format, ...)
{
	char line[256];
	va_list args;
	va_start(args, format);
	int length = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	write(1, line, length < (int)sizeof(line) ? (size_t)length : sizeof(line) - 1);
	return length;
}

SHOWN int puts(const char* string)
{
	return printf("%s\n", string);
}

SHOWN int putchar(int c)
{
	printf("%c", c);
	return c;
}

SHOWN int atoi(const char* string)
{
	int value = 0;
	for (; *string >= '0' && *string <= '9'; string++)
		value = value * 10 + (*string - '0');
	return value;
}

SHOWN int strcmp(const char* a, const char* b)
{
	while (*a != '\0' && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

SHOWN char* strcpy(char* restrict dest, const char* restrict source)
{
	return memcpy(dest, source, strlen(source) + 1);
}

SHOWN char* strchr(const char* string, int value)
{
	for (;; string++) {
		if (*string == (char)value)
			return (char*)string;
		if (*string == '\0')
			return NULL;
	}
}

SHOWN size_t strnlen(const char* string, size_t max)
{
	size_t length = 0;
	while (length < max && string[length] != '\0')
		length++;
	return length;
}

#if !defined(__x86_64__)

/* As the commpage's functions do it. */
SHOWN void* memcpy(void* restrict dest, const void* restrict source, size_t count)
{
	void* to = dest;
	size_t words = count / 4, rest = count % 4;
	__asm__ volatile("rep movsl\n\tmovl %3, %%ecx\n\trep movsb"
		: "+D"(to), "+S"(source), "+c"(words) : "r"(rest) : "memory");
	return dest;
}

SHOWN void* memset(void* dest, int value, size_t count)
{
	void* to = dest;
	size_t words = count / 4, rest = count % 4;
	__asm__ volatile("rep stosl\n\tmovl %3, %%ecx\n\trep stosb"
		: "+D"(to), "+c"(words) : "a"((value & 0xff) * 0x01010101), "r"(rest) : "memory");
	return dest;
}

SHOWN size_t strlen(const char* string)
{
	return strnlen(string, (size_t)-1);
}

#endif

int main(int argc, char** argv);

__attribute__((used)) void shim_main(long* stack)
{
	exit(main((int)stack[0], (char**)(stack + 1)));
}
