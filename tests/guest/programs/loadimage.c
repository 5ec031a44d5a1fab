/* load_image: new teams that start suspended. */
#include "check.h"
#include <image.h>
#include <signal.h>
#include <sys/wait.h>

static thread_id load(const char* exit_code)
{
	const char* argv[] = {"/boot/system/bin/args", "--exit", exit_code, NULL};
	const char* envp[] = {"GUEST_LOADED=yes", NULL};
	fflush(stdout);
	return load_image(3, argv, envp);
}

int main(void)
{
	thread_id thread = load("5");
	CHECK(thread > 0 && thread != getpid());
	thread_info info;
	CHECK(get_thread_info(thread, &info) == B_OK && info.team == thread);
	CHECK(waitpid(thread, NULL, WNOHANG) == 0);
	CHECK(resume_thread(thread) == B_OK);
	status_t result;
	CHECK(wait_for_thread(thread, &result) == B_OK && result == 5);

	thread = load("6");
	int status;
	CHECK(thread > 0 && resume_thread(thread) == B_OK && waitpid(thread, &status, 0) == thread);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 6);

	thread = load("7");
	CHECK(thread > 0 && kill(thread, SIGKILL) == 0 && waitpid(thread, &status, 0) == thread);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

	/* Signals do not interrupt it, nor do they resume the new team. */
	pid_t parent = getpid(), sender = fork();
	if (sender == 0) {
		while (getppid() == parent && kill(parent, SIGCHLD) == 0)
			snooze(100);
		return 0;
	}
	for (int i = 0; i < 3; i++) {
		thread = load("8");
		CHECK(thread > 0 && kill(thread, SIGCHLD) == 0);
		snooze(5000);
		CHECK(waitpid(thread, NULL, WNOHANG) == 0);
		CHECK(resume_thread(thread) == B_OK);
		CHECK(waitpid(thread, &status, 0) == thread && WIFEXITED(status) && WEXITSTATUS(status) == 8);
	}
	CHECK(kill(sender, SIGKILL) == 0 && waitpid(sender, &status, 0) == sender);

	const char* none[] = {"/boot/system/bin/none", NULL};
	CHECK(load_image(1, none, (const char**)environ) == B_ENTRY_NOT_FOUND);
	printf("loadimage: results, waiting, killing, signals\nok\n");
	return 0;
}
