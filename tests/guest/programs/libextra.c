/* A library for the program `shared_libraries`: data, functions that programs may replace, thread-local variables, constructors. */
#include <stdlib.h>

#define SHOWN __attribute__((visibility("default")))

SHOWN int extra_number = 5;
SHOWN int extra_constructed;
SHOWN __thread int extra_thread_count = 100;
static __thread char thread_buffer[64];

SHOWN int extra_replaceable(void)
{
	return 1;
}

SHOWN int extra_call_replaceable(void)
{
	return extra_replaceable();
}

SHOWN int extra_count_in_thread(void)
{
	thread_buffer[extra_thread_count % 64]++;
	extra_thread_count++;
	return extra_thread_count + thread_buffer[extra_thread_count % 64];
}

/* Function pointers and addresses of data in initialised data. */
SHOWN int (*const extra_functions[2])(void) = {extra_replaceable, extra_call_replaceable};
SHOWN int* const extra_pointer = &extra_number;

static void __attribute__((constructor)) construct(void)
{
	extra_constructed = extra_number + 1;
}
