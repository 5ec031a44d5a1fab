/* Time of a message to a port and the answer to it: between two threads, or with the argument `teams` between two teams.
 * Second argument: number of rounds. */
#include "check.h"
#include <OS.h>
#include <sys/wait.h>

static port_id requests, answers;
static int rounds = 20000;

static status_t answer(void* unused)
{
	(void)unused;
	for (int i = 0; i < rounds; i++) {
		int32 code;
		char message[16];
		ssize_t size = read_port(requests, &code, message, sizeof(message));
		if (size != sizeof(message) || write_port(answers, code, message, size) != B_OK)
			return B_ERROR;
	}
	return B_OK;
}

int main(int argc, char** argv)
{
	bool teams = argc > 1 && strcmp(argv[1], "teams") == 0;
	if (argc > 2)
		rounds = atoi(argv[2]);
	requests = create_port(4, "requests");
	answers = create_port(4, "answers");
	CHECK(requests > 0 && answers > 0);
	thread_id other;
	if (teams) {
		other = fork();
		if (other == 0)
			_exit(answer(NULL) == B_OK ? 0 : 1);
		CHECK(other > 0);
	} else {
		other = spawn_thread(answer, "answers", B_NORMAL_PRIORITY, NULL);
		CHECK(resume_thread(other) == B_OK);
	}
	bigtime_t start = system_time_nsecs();
	for (int32 i = 0; i < rounds; i++) {
		char message[16] = "a message";
		int32 code;
		CHECK(write_port(requests, i, message, sizeof(message)) == B_OK);
		CHECK(read_port_etc(answers, &code, message, sizeof(message), B_RELATIVE_TIMEOUT, 5000000) == sizeof(message)
			&& code == i);
	}
	bigtime_t time = system_time_nsecs() - start;
	status_t status = B_ERROR;
	if (teams)
		CHECK(waitpid(other, &status, 0) == other && status == 0);
	else
		CHECK(wait_for_thread(other, &status) == B_OK && status == B_OK);
	printf("port round trip between %s %.1f ns\n", teams ? "teams" : "threads", (double)time / rounds);
	return 0;
}
