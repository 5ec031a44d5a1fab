/* Clocks. */
#pragma once
#include <sys/types.h>

struct timespec {
	time_t tv_sec;
	long tv_nsec;
};

#define CLOCK_MONOTONIC ((clockid_t)0)
#define CLOCK_REALTIME ((clockid_t)-1)
#define CLOCK_PROCESS_CPUTIME_ID ((clockid_t)-2)
#define CLOCK_THREAD_CPUTIME_ID ((clockid_t)-3)

#define CLOCKS_PER_SEC 1000000 /* what clock() counts in a second of processor time */

time_t time(time_t* result);
clock_t clock(void);
int clock_gettime(clockid_t clock, struct timespec* now);
int nanosleep(const struct timespec* duration, struct timespec* remaining);
