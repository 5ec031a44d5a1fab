/* Signals, with Haiku's numbers and frame layouts. */
#pragma once
#include <sys/types.h>

typedef uint64_t sigset_t;
typedef int sig_atomic_t;
typedef void (*sighandler_t)(int);

#define SIG_DFL ((sighandler_t)0)
#define SIG_IGN ((sighandler_t)1)
#define SIG_ERR ((sighandler_t)-1)

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGCHLD 5
#define SIGABRT 6
#define SIGPIPE 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGSTOP 10
#define SIGSEGV 11
#define SIGCONT 12
#define SIGTSTP 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGUSR1 18
#define SIGUSR2 19
#define SIGWINCH 20
#define SIGKILLTHR 21
#define SIGTRAP 22
#define SIGBUS 30
#define SIGRTMIN 33
#define NSIG 65

#define SA_NOCLDSTOP 0x01
#define SA_NOCLDWAIT 0x02
#define SA_RESETHAND 0x04
#define SA_NODEFER 0x08
#define SA_RESTART 0x10
#define SA_ONSTACK 0x20
#define SA_SIGINFO 0x40

#define SS_ONSTACK 1
#define SS_DISABLE 2
#define MINSIGSTKSZ 8192
#define SIGSTKSZ 16384

#define SIG_BLOCK 1
#define SIG_UNBLOCK 2
#define SIG_SETMASK 3

#define SI_USER 0
#define SI_QUEUE 1
#define ILL_ILLOPC 10
#define ILL_PRVOPC 14
#define FPE_INTDIV 20
#define SEGV_MAPERR 30
#define SEGV_ACCERR 31
#define CLD_EXITED 60
#define CLD_KILLED 61
#define CLD_DUMPED 62

union sigval {
	int sival_int;
	void* sival_ptr;
};

typedef struct {
	int si_signo;
	int si_code;
	int si_errno;
	pid_t si_pid;
	uid_t si_uid;
	void* si_addr;
	int si_status;
	long si_band;
	union sigval si_value;
} siginfo_t;

struct sigaction {
	union {
		sighandler_t sa_handler;
		void (*sa_sigaction)(int, siginfo_t*, void*);
	};
	sigset_t sa_mask;
	int sa_flags;
	void* sa_userdata;
};

typedef struct {
	void* ss_sp;
	size_t ss_size;
	int ss_flags;
} stack_t;

#if defined(__x86_64__)
typedef struct vregs {
	unsigned long rax, rbx, rcx, rdx, rdi, rsi, rbp;
	unsigned long r8, r9, r10, r11, r12, r13, r14, r15;
	unsigned long rsp, rip, rflags;
	unsigned char fpu[832];
} mcontext_t;
#else
typedef struct vregs {
	unsigned long eip, eflags, eax, ecx, edx, esp, ebp, reserved;
	unsigned char xregs[516];
	unsigned long edi, esi, ebx;
} mcontext_t;
#endif

typedef struct ucontext {
	struct ucontext* uc_link;
	sigset_t uc_sigmask;
	stack_t uc_stack;
	mcontext_t uc_mcontext;
} ucontext_t;

_Static_assert(sizeof(siginfo_t) == (sizeof(void*) == 8 ? 56 : 36), "siginfo_t");
_Static_assert(sizeof(struct sigaction) == (sizeof(void*) == 8 ? 32 : 20), "struct sigaction");
_Static_assert(sizeof(ucontext_t) == (sizeof(void*) == 8 ? 1016 : 584), "ucontext_t");

int sigaction(int signal, const struct sigaction* action, struct sigaction* old);
sighandler_t signal(int signal, sighandler_t handler);
int sigprocmask(int how, const sigset_t* set, sigset_t* old);
int pthread_sigmask(int how, const sigset_t* set, sigset_t* old);
int sigaltstack(const stack_t* stack, stack_t* old);
int sigpending(sigset_t* set);
int sigsuspend(const sigset_t* mask);
int sigwait(const sigset_t* set, int* signal);
int raise(int signal);
int kill(pid_t team, int signal);
int sigemptyset(sigset_t* set);
int sigfillset(sigset_t* set);
int sigaddset(sigset_t* set, int signal);
int sigdelset(sigset_t* set, int signal);
int sigismember(const sigset_t* set, int signal);
