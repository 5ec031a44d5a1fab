/* Time of a system call that does nothing, and of one that takes arguments; argument: number of calls. */
#include "check.h"
#include <OS.h>
#include <private/syscalls.h>

int main(int argc, char** argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 200000;
	CHECK(count > 0);
	bigtime_t start = system_time_nsecs();
	for (int i = 0; i < count; i++)
		_kern_is_computer_on();
	bigtime_t nothing = system_time_nsecs() - start;

	sem_id sem = create_sem(1, "timed");
	start = system_time_nsecs();
	for (int i = 0; i < count; i++) {
		int32 value;
		CHECK(get_sem_count(sem, &value) == B_OK);
	}
	bigtime_t with_arguments = system_time_nsecs() - start;
	CHECK(delete_sem(sem) == B_OK);
	printf("is_computer_on %.1f ns\n", (double)nothing / count);
	printf("get_sem_count %.1f ns\n", (double)with_arguments / count);
	return 0;
}
