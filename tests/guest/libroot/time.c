/* Time: the cycle counter times the commpage's factor is microseconds since boot, without a system call. */
#include "libroot.h"
#include <private/commpage.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static uint32 conversion_factor;

static const struct real_time_data* clock_data(void)
{
	return commpage_entry(COMMPAGE_ENTRY_REAL_TIME_DATA);
}

void time_init(void)
{
	conversion_factor = clock_data()->system_time_conversion_factor;
}

static uint64 read_cycles(void)
{
	uint32 low, high;
#if defined(__x86_64__)
	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
#else
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
#endif
	return (uint64)high << 32 | low;
}

/* (cycles * factor) >> 32, whose product has up to 96 bits. */
static uint64 scale(uint64 cycles, uint64 factor)
{
	return ((cycles >> 32) * factor) + (((cycles & 0xffffffff) * factor) >> 32);
}

EXPORT bigtime_t system_time(void)
{
	return scale(read_cycles(), conversion_factor);
}

EXPORT bigtime_t system_time_nsecs(void)
{
	uint64 cycles = read_cycles();
	uint64 factor = (uint64)conversion_factor * 1000;
	/* The factor has up to 42 bits: the product of the low halves may not be formed at once. */
	uint64 high = (cycles >> 32) * factor;
	uint64 low = cycles & 0xffffffff;
	uint64 low_product = low * (factor & 0xffffffff);
	uint64 middle = low * (factor >> 32);
	return high + middle + (low_product >> 32);
}

EXPORT bigtime_t real_time_clock_usecs(void)
{
	return system_time() + clock_data()->system_time_offset;
}

EXPORT uint32 real_time_clock(void)
{
	return real_time_clock_usecs() / 1000000;
}

EXPORT time_t time(time_t* result)
{
	time_t now = real_time_clock_usecs() / 1000000;
	if (result != NULL)
		*result = now;
	return now;
}

EXPORT int gettimeofday(struct timeval* now, void* zone)
{
	(void)zone;
	bigtime_t time = real_time_clock_usecs();
	now->tv_sec = time / 1000000;
	now->tv_usec = time % 1000000;
	return 0;
}

EXPORT int clock_gettime(clockid_t clock, struct timespec* now)
{
	bigtime_t time;
	if (clock == CLOCK_MONOTONIC)
		time = system_time();
	else if (clock == CLOCK_REALTIME)
		time = real_time_clock_usecs();
	else {
		status_t status = _kern_get_clock(clock, &time);
		if (status != B_OK)
			return set_errno(status);
	}
	now->tv_sec = time / 1000000;
	now->tv_nsec = time % 1000000 * 1000;
	return 0;
}

/* That the time is over is what one waits for. */
static status_t slept(status_t status)
{
	return status == B_TIMED_OUT || status == B_WOULD_BLOCK ? B_OK : status;
}

EXPORT status_t snooze(bigtime_t microseconds)
{
	return slept(_kern_snooze_etc(microseconds, B_SYSTEM_TIMEBASE, B_RELATIVE_TIMEOUT, NULL));
}

EXPORT status_t snooze_until(bigtime_t time, int timebase)
{
	return slept(_kern_snooze_etc(time, timebase, B_ABSOLUTE_TIMEOUT, NULL));
}

EXPORT int nanosleep(const struct timespec* duration, struct timespec* remaining)
{
	bigtime_t left = 0;
	bigtime_t time = (bigtime_t)duration->tv_sec * 1000000 + (duration->tv_nsec + 999) / 1000;
	status_t status = slept(_kern_snooze_etc(time, B_SYSTEM_TIMEBASE, B_RELATIVE_TIMEOUT, &left));
	if (status != B_OK && remaining != NULL) {
		remaining->tv_sec = left / 1000000;
		remaining->tv_nsec = left % 1000000 * 1000;
	}
	return set_errno(status);
}

EXPORT int usleep(unsigned microseconds)
{
	return set_errno(snooze(microseconds));
}

EXPORT unsigned sleep(unsigned seconds)
{
	return snooze((bigtime_t)seconds * 1000000) == B_OK ? 0 : 1;
}

EXPORT int getpagesize(void)
{
	return B_PAGE_SIZE;
}

EXPORT clock_t clock(void)
{
	struct timespec used;
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
		return -1;
	return used.tv_sec * CLOCKS_PER_SEC + used.tv_nsec / 1000;
}
