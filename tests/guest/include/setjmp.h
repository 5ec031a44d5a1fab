/* Jumps out of calls; sigsetjmp() also keeps the signal mask. */
#pragma once
#include <signal.h>

typedef struct {
	unsigned long registers[8];
	int has_mask;
	sigset_t mask;
} sigjmp_buf[1];
typedef sigjmp_buf jmp_buf;

int sigsetjmp(sigjmp_buf environment, int saveMask) __attribute__((returns_twice));
void siglongjmp(sigjmp_buf environment, int value) __attribute__((noreturn));
int setjmp(jmp_buf environment) __attribute__((returns_twice));
void longjmp(jmp_buf environment, int value) __attribute__((noreturn));
