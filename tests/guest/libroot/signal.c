/* Signals. */
#include "libroot.h"
#include <signal.h>
#include <stdlib.h>

static inline sigset_t signal_bit(int signal)
{
	return (sigset_t)1 << (signal - 1);
}

/* While deferred, the kernel only notes in the thread's structure which signals wait. */
void defer_signals(void)
{
	atomic_add(&get_user_thread()->defer_signals, 1);
}

/* Any system call delivers what waits: number 0 is there for it. */
void undefer_signals(void)
{
	struct user_thread* thread = get_user_thread();
	if (atomic_add(&thread->defer_signals, -1) == 1 && thread->pending_signals != 0)
		_kern_is_computer_on();
}

EXPORT int sigaction(int signal, const struct sigaction* action, struct sigaction* old)
{
	return set_errno(_kern_sigaction(signal, action, old));
}

EXPORT sighandler_t signal(int signal, sighandler_t handler)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
	return sigaction(signal, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}

EXPORT int pthread_sigmask(int how, const sigset_t* set, sigset_t* old)
{
	return _kern_set_signal_mask(how, set, old);
}

EXPORT int sigprocmask(int how, const sigset_t* set, sigset_t* old)
{
	return set_errno(_kern_set_signal_mask(how, set, old));
}

EXPORT int sigaltstack(const stack_t* stack, stack_t* old)
{
	return set_errno(_kern_set_signal_stack(stack, old));
}

EXPORT int sigpending(sigset_t* set)
{
	return set_errno(_kern_sigpending(set));
}

EXPORT int sigsuspend(const sigset_t* mask)
{
	return set_errno(_kern_sigsuspend(mask));
}

EXPORT int sigwait(const sigset_t* set, int* signal)
{
	siginfo_t info;
	status_t status;
	do {
		status = _kern_sigwait(set, &info, 0, B_INFINITE_TIMEOUT);
	} while (status == B_INTERRUPTED);
	if (status == B_OK)
		*signal = info.si_signo;
	return status;
}

EXPORT status_t send_signal(thread_id thread, unsigned signal)
{
	return _kern_send_signal(thread, signal, NULL, SIGNAL_FLAG_SEND_TO_THREAD);
}

EXPORT int raise(int signal)
{
	return set_errno(send_signal(find_thread(NULL), signal));
}

EXPORT int kill(pid_t team, int signal)
{
	status_t status = _kern_send_signal(team, signal, NULL, 0);
	return set_errno(status == B_BAD_THREAD_ID || status == B_BAD_TEAM_ID ? ESRCH : status);
}

EXPORT void abort(void)
{
	sigset_t mask = signal_bit(SIGABRT);
	_kern_set_signal_mask(SIG_UNBLOCK, &mask, NULL);
	raise(SIGABRT);
	/* A handler that returned does not save the program. */
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigaction(SIGABRT, &action, NULL);
	raise(SIGABRT);
	_kern_exit_team(1);
}

EXPORT int sigemptyset(sigset_t* set)
{
	*set = 0;
	return 0;
}

EXPORT int sigfillset(sigset_t* set)
{
	*set = ~(sigset_t)0;
	return 0;
}

EXPORT int sigaddset(sigset_t* set, int signal)
{
	*set |= signal_bit(signal);
	return 0;
}

EXPORT int sigdelset(sigset_t* set, int signal)
{
	*set &= ~signal_bit(signal);
	return 0;
}

EXPORT int sigismember(const sigset_t* set, int signal)
{
	return (*set & signal_bit(signal)) != 0;
}
