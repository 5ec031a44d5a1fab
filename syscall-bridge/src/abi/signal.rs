//! Signals: numbers, sets, codes, and the frame that a handler runs on.
//!
//! Source: haiku `headers/posix/signal.h`, `headers/private/system/signal_defs.h`, `headers/private/kernel/ksignal.h`.

use super::structs::SigInfo;
use crate::args::TeamId;

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(pub u8);

macro_rules! signals {
    ($($name:ident = $n:literal,)*) => {
        #[allow(missing_docs, reason = "the names are POSIX's and Haiku's")]
        impl Signal {
            $(pub const $name: Signal = Signal($n);)*
            const NAMES: &'static [(u8, &'static str)] = &[$(($n, stringify!($name))),*];
        }
    };
}
signals! {
    SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGCHLD = 5, SIGABRT = 6, SIGPIPE = 7, SIGFPE = 8, SIGKILL = 9, SIGSTOP = 10,
    SIGSEGV = 11, SIGCONT = 12, SIGTSTP = 13, SIGALRM = 14, SIGTERM = 15, SIGTTIN = 16, SIGTTOU = 17, SIGUSR1 = 18, SIGUSR2 = 19,
    SIGWINCH = 20, SIGKILLTHR = 21, SIGTRAP = 22, SIGPOLL = 23, SIGPROF = 24, SIGSYS = 25, SIGURG = 26, SIGVTALRM = 27, SIGXCPU = 28,
    SIGXFSZ = 29, SIGBUS = 30, SIGRESERVED1 = 31, SIGRESERVED2 = 32, SIGNAL_CANCEL_THREAD = 63, SIGNAL_CONTINUE_THREAD = 64,
}

/// The first real-time signal.
pub const REALTIME_MIN: u8 = 33;
/// The last real-time signal: the highest number that programs may use.
pub const REALTIME_MAX: u8 = 40;

/// What happens where a program has not said what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// Nothing.
    Ignore,
    /// The team ends.
    Kill,
    /// The thread ends.
    KillThread,
    /// The team stops.
    Stop,
    /// A stopped team goes on.
    Continue,
}

impl Signal {
    /// The signal with this number, if programs may use it.
    pub fn new(number: u32) -> Option<Signal> {
        (1..=u32::from(REALTIME_MAX)).contains(&number).then_some(Signal(number as u8))
    }

    /// The signal's bit in a set.
    pub fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    /// Its name; `SIGRT<n>` for real-time ones.
    pub fn name(self) -> String {
        match Self::NAMES.iter().find(|(n, _)| *n == self.0) {
            Some((_, name)) => (*name).to_owned(),
            None if self.is_realtime() => format!("SIGRT{}", self.0 - REALTIME_MIN + 1),
            None => format!("signal {}", self.0),
        }
    }

    /// Whether it is a real-time signal: ignored by default, several may be pending.
    pub fn is_realtime(self) -> bool {
        (REALTIME_MIN..=REALTIME_MAX).contains(&self.0)
    }

    /// Which of several pending signals comes first: the higher.
    pub fn priority(self) -> i32 {
        match self {
            Signal::SIGKILL | Signal::SIGKILLTHR => 100,
            _ if self.is_realtime() => i32::from(REALTIME_MAX - self.0) + 1,
            _ => 0,
        }
    }

    /// What it does by default.
    pub fn default_action(self) -> DefaultAction {
        match self {
            Signal::SIGCHLD | Signal::SIGWINCH | Signal::SIGURG | Signal::SIGNAL_CONTINUE_THREAD => {
                DefaultAction::Ignore
            }
            Signal::SIGCONT => DefaultAction::Continue,
            Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => DefaultAction::Stop,
            Signal::SIGKILLTHR => DefaultAction::KillThread,
            _ if self.is_realtime() => DefaultAction::Ignore,
            _ => DefaultAction::Kill,
        }
    }
}

/// The signals that end a thread at once.
pub const KILL: u64 = bit(9) | bit(21);
/// Signals that a mask can hold back.
pub const BLOCKABLE: u64 = !(KILL | bit(10) | bit(62) | bit(63) | bit(64));
/// Signals that stop a team by default.
pub const STOP: u64 = bit(10) | bit(13) | bit(16) | bit(17);
/// Signals that do nothing by default and are not kept when they are reset to that.
pub const DEFAULT_IGNORE: u64 = bit(5) | bit(20) | bit(12) | 0xff << (REALTIME_MIN - 1);
/// Signals that a thread gets even while it defers them.
pub const NON_DEFERRABLE: u64 = KILL | bit(62) | bit(4) | bit(8) | bit(11);

const fn bit(n: u32) -> u64 {
    1 << (n - 1)
}

/// `sa_handler`: the default action.
pub const SIG_DFL: u64 = 0;
/// `sa_handler`: ignore.
pub const SIG_IGN: u64 = 1;

bitflags::bitflags! {
    /// `sa_flags`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ActionFlags: u32 {
        /// No `SIGCHLD` for stopped children.
        const NOCLDSTOP = 1;
        /// Children leave nothing to wait for.
        const NOCLDWAIT = 2;
        /// Back to the default once used.
        const RESETHAND = 4;
        /// The signal itself is not masked in its handler.
        const NODEFER = 8;
        /// Interrupted calls run again.
        const RESTART = 0x10;
        /// On the alternate stack.
        const ONSTACK = 0x20;
        /// The handler takes three arguments and user data.
        const SIGINFO = 0x40;
        /// The handler takes `vregs` by value, as BeOS did.
        const BEOS = 0x8000_0000;
    }
}

/// `how` of `set_signal_mask`.
pub mod how {
    #![allow(missing_docs, reason = "the names are POSIX's")]
    pub const SIG_BLOCK: i32 = 1;
    pub const SIG_UNBLOCK: i32 = 2;
    pub const SIG_SETMASK: i32 = 3;
}

/// `si_code`.
pub mod code {
    #![allow(missing_docs, reason = "the names are POSIX's")]
    pub const SI_USER: i32 = 0;
    pub const SI_QUEUE: i32 = 1;
    pub const SI_TIMER: i32 = 2;
    pub const ILL_ILLOPC: i32 = 10;
    pub const ILL_PRVOPC: i32 = 14;
    pub const FPE_INTDIV: i32 = 20;
    pub const FPE_INTOVF: i32 = 21;
    pub const FPE_FLTDIV: i32 = 22;
    pub const FPE_FLTOVF: i32 = 23;
    pub const FPE_FLTUND: i32 = 24;
    pub const FPE_FLTRES: i32 = 25;
    pub const FPE_FLTINV: i32 = 26;
    pub const SEGV_MAPERR: i32 = 30;
    pub const SEGV_ACCERR: i32 = 31;
    pub const BUS_ADRERR: i32 = 41;
    pub const TRAP_BRKPT: i32 = 50;
    pub const TRAP_TRACE: i32 = 51;
    pub const CLD_EXITED: i32 = 60;
    pub const CLD_KILLED: i32 = 61;
    pub const CLD_DUMPED: i32 = 62;
    pub const CLD_STOPPED: i32 = 64;
    pub const CLD_CONTINUED: i32 = 65;
}

/// Flags of `send_signal`.
pub mod send {
    /// Fails rather than lose the value.
    pub const QUEUING_REQUIRED: u32 = 0x1_0000;
    /// The id is a thread's.
    pub const TO_THREAD: u32 = 0x2_0000;
}

/// `ss_flags`: the thread is on this stack.
pub const SS_ONSTACK: i32 = 1;
/// `ss_flags`: no alternate stack.
pub const SS_DISABLE: i32 = 2;
/// The smallest alternate stack.
pub const MIN_SIGNAL_STACK: u64 = 8192;

impl SigInfo {
    /// What a signal sent by `team` of `user` says.
    pub fn sent(signal: Signal, code: i32, team: TeamId, user: u32) -> Self {
        SigInfo { si_signo: signal.0.into(), si_code: code, si_pid: team.0, si_uid: user, ..SigInfo::default() }
    }

    /// The signal.
    pub fn signal(&self) -> Signal {
        Signal(self.si_signo as u8)
    }
}

/// Bit of `thread_flags` in a signal frame: the interrupted call runs again once the handler is done.
pub const THREAD_FLAGS_RESTART_SYSCALL: i32 = 0x80;
/// Bit of `thread_flags` in a signal frame: the call's result fills `edx:eax`.
pub const THREAD_FLAGS_64_BIT_SYSCALL_RETURN: i32 = 0x40;
