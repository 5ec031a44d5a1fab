/* Clocks and sleeping: time goes forward at about the right speed, sleeps last at least as long as asked. */
#include "check.h"
#include <OS.h>
#include <sys/time.h>
#include <time.h>

int main(void)
{
	bigtime_t last = system_time();
	for (int i = 0; i < 100000; i++) {
		bigtime_t now = system_time();
		CHECK(now >= last);
		last = now;
	}
	bigtime_t start = system_time(), start_ns = system_time_nsecs(), start_real = real_time_clock_usecs();
	CHECK(snooze(20000) == B_OK);
	bigtime_t slept = system_time() - start, slept_ns = system_time_nsecs() - start_ns;
	bigtime_t slept_real = real_time_clock_usecs() - start_real;
	CHECK(slept >= 20000 && slept < 5000000);
	CHECK(slept_ns / 1000 >= 20000 - 1 && slept_ns / 1000 < 5000000);
	CHECK(slept_real >= 20000 - 1 && slept_real < 5000000);
	bigtime_t until = system_time() + 15000;
	CHECK(snooze_until(until, B_SYSTEM_TIMEBASE) == B_OK && system_time() >= until);
	CHECK(snooze_until(system_time() - 1000, B_SYSTEM_TIMEBASE) == B_OK && snooze(0) == B_OK);
	struct timespec duration = {0, 5000000}, monotonic, real;
	CHECK(nanosleep(&duration, NULL) == 0);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &monotonic) == 0 && clock_gettime(CLOCK_REALTIME, &real) == 0);
	CHECK(monotonic.tv_nsec >= 0 && monotonic.tv_nsec < 1000000000);
	struct timeval now;
	CHECK(gettimeofday(&now, NULL) == 0 && now.tv_sec - real.tv_sec <= 1 && time(NULL) - now.tv_sec <= 1);
	CHECK(now.tv_sec > 1600000000);
	CHECK(real_time_clock() == (uint32)time(NULL) || real_time_clock() == (uint32)time(NULL) - 1);
	struct timespec cpu;
	CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0 && clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0);
	CHECK(clock_gettime(0x7ffffff0, &cpu) == -1);
	printf("clocks: system, real, sleeping\nok\n");
	return 0;
}
