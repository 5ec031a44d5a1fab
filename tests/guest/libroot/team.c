/* Teams: fork, exec, load_image, waiting for children. */
#include "libroot.h"
#include <image.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define B_WAIT_TILL_LOADED 1
#define PARENT_OF 3 /* what process_info() is asked: session 1, group 2, parent 3 */
#define UMASK_UNSET ((mode_t)-1)

EXPORT pid_t getpid(void)
{
	return __main_thread_id;
}

EXPORT pid_t getppid(void)
{
	return _kern_process_info(0, PARENT_OF);
}

EXPORT uid_t getuid(void)
{
	uid_t real, effective, saved;
	return _kern_getresuid(&real, &effective, &saved) == B_OK ? real : 0;
}

EXPORT gid_t getgid(void)
{
	gid_t real, effective, saved;
	return _kern_getresgid(&real, &effective, &saved) == B_OK ? real : 0;
}

/* No signal may come between the fork and the child's finding its feet; the kernel starts the child deferred. */
EXPORT pid_t fork(void)
{
	defer_signals();
	heap_lock_for_fork();
	thread_id child = _kern_fork();
	if (child == 0) {
		__main_thread_id = find_thread(NULL);
		__gRuntimeLoader->reinit_after_fork();
		pthread_reinit_after_fork();
	}
	heap_unlock_after_fork(child == 0);
	undefer_signals();
	return set_errno(child);
}

EXPORT int execve(const char* path, char* const argv[], char* const envp[])
{
	status_t status = __gRuntimeLoader->test_executable(path);
	char** flat = NULL;
	size_t size;
	int32 argc = count_strings((const char* const*)argv);
	int32 envc = count_strings((const char* const*)envp);
	if (status == B_OK)
		status = flatten_arguments((const char* const*)argv, argc, (const char* const*)envp, envc, &flat, &size);
	if (status == B_OK)
		status = _kern_exec(path, (const char* const*)flat, size, argc, envc, UMASK_UNSET);
	free(flat);
	return set_errno(status);
}

EXPORT int execv(const char* path, char* const argv[])
{
	return execve(path, argv, environ);
}

/* The new team's main thread is suspended when its images are loaded: resume_thread() starts it. */
EXPORT thread_id load_image(int32 argc, const char** argv, const char** envp)
{
	if (argc < 1)
		return B_BAD_VALUE;
	status_t status = __gRuntimeLoader->test_executable(argv[0]);
	if (status != B_OK)
		return status;
	char** flat;
	size_t size;
	int32 envc = count_strings((const char* const*)envp);
	status = flatten_arguments((const char* const*)argv, argc, (const char* const*)envp, envc, &flat, &size);
	if (status != B_OK)
		return status;
	thread_id thread = _kern_load_image((const char* const*)flat, size, argc, envc, B_NORMAL_PRIORITY,
		B_WAIT_TILL_LOADED, -1, 0);
	free(flat);
	return thread;
}

EXPORT pid_t waitpid(pid_t child, int* status, int options)
{
	siginfo_t info;
	pid_t waited = _kern_wait_for_child(child, options | WEXITED, &info, NULL);
	if (waited == B_WOULD_BLOCK && (options & WNOHANG) != 0)
		return 0;
	if (waited < 0)
		return set_errno(waited);
	if (status != NULL)
		*status = info.si_code == CLD_EXITED ? info.si_status & 0xff : (info.si_status & 0xff) << 8;
	return waited;
}

EXPORT pid_t wait(int* status)
{
	return waitpid(-1, status, 0);
}
