//! Host signals: numbers of the two systems, and how those sent from outside reach the guest.
//!
//! All host signals that a guest may want are blocked in every thread; one host thread takes them out and hands them to the team. Signals that
//! the processor raises (faults) are the runtime's.

use hokku_runtime::host::threads;
use rustix::process::{Pid, Signal as HostSignal};

use crate::abi::signal::{Signal, code};
use crate::abi::structs::SigInfo;
use crate::abi::{SignedWord, Status, SysResult, Word};

/// Haiku's numbers and Linux's, for the signals that both have.
const NUMBERS: &[(Signal, i32)] = &[
    (Signal::SIGHUP, libc::SIGHUP),
    (Signal::SIGINT, libc::SIGINT),
    (Signal::SIGQUIT, libc::SIGQUIT),
    (Signal::SIGILL, libc::SIGILL),
    (Signal::SIGCHLD, libc::SIGCHLD),
    (Signal::SIGABRT, libc::SIGABRT),
    (Signal::SIGPIPE, libc::SIGPIPE),
    (Signal::SIGFPE, libc::SIGFPE),
    (Signal::SIGKILL, libc::SIGKILL),
    (Signal::SIGSTOP, libc::SIGSTOP),
    (Signal::SIGSEGV, libc::SIGSEGV),
    (Signal::SIGCONT, libc::SIGCONT),
    (Signal::SIGTSTP, libc::SIGTSTP),
    (Signal::SIGALRM, libc::SIGALRM),
    (Signal::SIGTERM, libc::SIGTERM),
    (Signal::SIGTTIN, libc::SIGTTIN),
    (Signal::SIGTTOU, libc::SIGTTOU),
    (Signal::SIGUSR1, libc::SIGUSR1),
    (Signal::SIGUSR2, libc::SIGUSR2),
    (Signal::SIGWINCH, libc::SIGWINCH),
    (Signal::SIGTRAP, libc::SIGTRAP),
    (Signal::SIGPOLL, libc::SIGIO),
    (Signal::SIGPROF, libc::SIGPROF),
    (Signal::SIGSYS, libc::SIGSYS),
    (Signal::SIGURG, libc::SIGURG),
    (Signal::SIGVTALRM, libc::SIGVTALRM),
    (Signal::SIGXCPU, libc::SIGXCPU),
    (Signal::SIGXFSZ, libc::SIGXFSZ),
    (Signal::SIGBUS, libc::SIGBUS),
];

/// Signals that are handed to the guest when they come from outside. The others stay with the host: faults, `SIGTTIN`, `SIGTTOU`, timers.
const FORWARDED: &[i32] = &[
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGABRT,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGIO,
    libc::SIGURG,
    libc::SIGVTALRM,
];

/// Real-time signals: Haiku's 33 to 40 are these and the next seven of the host, from its own `SIGRTMIN` on.
const REALTIME_OFFSET: i32 = 8;

/// The host's number for a signal; `None`: the host has none.
pub fn host_number(signal: Signal) -> Option<i32> {
    if signal.is_realtime() {
        let index = i32::from(signal.0 - crate::abi::signal::REALTIME_MIN);
        return Some(libc::SIGRTMIN() + REALTIME_OFFSET + index);
    }
    NUMBERS.iter().find(|(ours, _)| *ours == signal).map(|(_, host)| *host)
}

/// Haiku's number for a host signal; what Haiku lacks is a `SIGKILL` there.
pub fn haiku_number(host: i32) -> Signal {
    let first = libc::SIGRTMIN() + REALTIME_OFFSET;
    if (first..first + 8).contains(&host) {
        return Signal(crate::abi::signal::REALTIME_MIN + (host - first) as u8);
    }
    NUMBERS.iter().find(|(_, h)| *h == host).map_or(Signal::SIGKILL, |(ours, _)| *ours)
}

fn forwarded_set() -> libc::sigset_t {
    let mut set = empty_set();
    let realtime = (0..8).map(|i| libc::SIGRTMIN() + REALTIME_OFFSET + i);
    for signal in FORWARDED.iter().copied().chain(realtime) {
        // SAFETY: `set` is an initialised signal set and `signal` a valid number.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    set
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: a signal set is plain integers; zero is a value of it, and `sigemptyset` initialises it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        set
    }
}

/// Blocks the forwarded signals in the calling thread and in the threads that it will make; and `SIGXFSZ`, which Haiku's kernel does not send: what
/// goes over the host's limit for files is an error of the call, be it the guest's or hokku's own.
pub fn hold_back() {
    let mut set = forwarded_set();
    // SAFETY: `set` is a valid signal set; no old mask is asked for.
    unsafe {
        libc::sigaddset(&mut set, libc::SIGXFSZ);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

/// The forwarded signals that this process was started to ignore (`nohup`, background jobs), as a set of Haiku's.
pub fn ignored_from_start() -> u64 {
    let is_ignored = |signal: &&i32| {
        // SAFETY: the structure is plain data, for which zero is a value; the call fills it and changes nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            libc::sigaction(**signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
        }
    };
    FORWARDED.iter().filter(is_ignored).fold(0, |set, signal| set | haiku_number(*signal).bit())
}

/// Starts the thread that hands host signals to `deliver`. All threads must hold them back already.
pub fn forward(deliver: impl Fn(SigInfo) + Send + 'static) -> SysResult {
    let wait = move || {
        let set = forwarded_set();
        loop {
            // SAFETY: `siginfo_t` is plain data, for which zero is a value.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            // SAFETY: both pointers are to valid objects of the right types.
            if unsafe { libc::sigwaitinfo(&set, &mut info) } > 0 {
                deliver(haiku_info(&info));
            }
        }
    };
    threads::spawn("hokku-signals", 64 << 10, wait).map_err(|_| Status::B_NO_MORE_THREADS)
}

fn haiku_info(host: &libc::siginfo_t) -> SigInfo {
    let signal = haiku_number(host.si_signo);
    let mut info = SigInfo { si_signo: signal.0.into(), ..SigInfo::default() };
    if signal == Signal::SIGCHLD {
        // SAFETY: the kernel fills these fields for SIGCHLD.
        let (pid, uid, status) = unsafe { (host.si_pid(), host.si_uid(), host.si_status()) };
        return child_info(pid, uid, host.si_code, status);
    }
    match host.si_code {
        libc::SI_USER | libc::SI_TKILL => info.si_code = code::SI_USER,
        libc::SI_QUEUE => info.si_code = code::SI_QUEUE,
        // From the kernel: a terminal or timer; nobody has sent it.
        _ => return info,
    }
    // SAFETY: the kernel fills these fields for signals that a process has sent.
    unsafe {
        info.si_pid = host.si_pid();
        info.si_uid = host.si_uid();
        info.si_value = Word(host.si_value().sival_ptr as u64);
    }
    info.si_band = SignedWord(0);
    info
}

/// What Haiku tells about a child, from what the host tells: the same in `SIGCHLD` and in waiting.
pub(super) fn child_info(pid: i32, uid: u32, host_code: i32, status: i32) -> SigInfo {
    let (code, status) = match host_code {
        libc::CLD_EXITED => (code::CLD_EXITED, status),
        libc::CLD_KILLED => (code::CLD_KILLED, haiku_number(status).0.into()),
        libc::CLD_DUMPED => (code::CLD_DUMPED, haiku_number(status).0.into()),
        libc::CLD_CONTINUED => (code::CLD_CONTINUED, Signal::SIGCONT.0.into()),
        _ => (code::CLD_STOPPED, haiku_number(status).0.into()),
    };
    SigInfo {
        si_signo: Signal::SIGCHLD.0.into(),
        si_code: code,
        si_pid: pid,
        si_uid: uid,
        si_status: status,
        ..SigInfo::default()
    }
}

/// Sends a signal to a host process, or to the group `-to`.
pub(super) fn send(to: i32, signal: Signal) -> SysResult {
    let number = host_number(signal).ok_or(Status::B_BAD_VALUE)?;
    // SAFETY: sends a signal; touches no memory.
    if unsafe { libc::kill(to, number) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(())
}

/// Ends this process as the host's shells expect a process to die of `signal`: by that signal, without a core of hokku itself.
pub fn die_of(signal: Signal) -> ! {
    let number = host_number(signal).unwrap_or(libc::SIGKILL);
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let mut set = empty_set();
    // SAFETY: plain calls with valid arguments: no core file, the default action, the signal unblocked and sent to this process.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &no_core);
        libc::signal(number, libc::SIG_DFL);
        libc::sigaddset(&mut set, number);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::kill(libc::getpid(), number);
    }
    // A signal whose default is not to kill: what shells show for one.
    std::process::exit(128 + number)
}

/// The host's name for process `id`.
pub(super) fn pid(id: i32) -> SysResult<Pid> {
    Pid::from_raw(id).filter(|_| id > 0).ok_or(Status::ESRCH)
}

/// Stops this process until it is continued.
pub(super) fn stop_self() -> SysResult {
    Ok(rustix::process::kill_process(rustix::process::getpid(), HostSignal::STOP)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_systems_are_each_others_reverse() {
        for n in 1..=40u8 {
            let signal = Signal(n);
            if let Some(host) = host_number(signal) {
                assert_eq!(haiku_number(host), signal, "{}", signal.name());
            }
        }
        assert_eq!(host_number(Signal::SIGCHLD), Some(libc::SIGCHLD));
        assert_eq!(host_number(Signal::SIGKILLTHR), None);
        assert_eq!(haiku_number(libc::SIGSTKFLT), Signal::SIGKILL);
    }

    #[test]
    fn a_dead_child_is_told_in_haiku_numbers() {
        let info = child_info(7, 8, libc::CLD_KILLED, libc::SIGBUS);
        assert_eq!((info.si_code, info.si_status, info.si_pid), (code::CLD_KILLED, 30, 7));
        let info = child_info(7, 8, libc::CLD_EXITED, 3);
        assert_eq!((info.si_code, info.si_status), (code::CLD_EXITED, 3));
    }
}
