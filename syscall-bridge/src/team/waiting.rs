//! How a guest thread waits, and how it is woken: by what it waits for, by a signal, or by time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use crate::abi::thread::{B_ABSOLUTE_TIMEOUT, B_INFINITE_TIMEOUT, B_RELATIVE_TIMEOUT, B_TIMEOUT_REAL_TIME_BASE};
use crate::abi::{Status, SysResult};
use crate::host::WakeFile;
use crate::kernel::Clock;

/// Locks `mutex`; a thread that panicked with it held has left no half-made change behind, for guest conditions never panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Whether another thread can run while this one spins.
pub(super) fn several_processors() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(|| std::thread::available_parallelism().is_ok_and(|n| n.get() > 1))
}

/// Finds out what is found out once: a process that is forked meanwhile would wait for that for ever.
pub(super) fn settle() {
    several_processors();
}

/// Where one thread waits. Whoever changes what the thread may be waiting for calls [`Parker::wake`].
#[derive(Default)]
pub struct Parker {
    /// Held while a waiter checks its condition and goes to sleep, so that no wake-up is lost.
    asleep: Mutex<()>,
    changed: Condvar,
    /// Wakes waits for host files; made at the first one.
    file: OnceLock<WakeFile>,
    /// Whether the thread waits, or is about to, for host files.
    in_file_wait: AtomicBool,
    /// Whether the thread sleeps. Changed with `asleep` held.
    sleeping: AtomicBool,
}

impl Parker {
    /// Whether the thread waits at the moment.
    pub fn is_waiting(&self) -> bool {
        self.sleeping.load(Ordering::Relaxed) || self.in_file_wait.load(Ordering::Relaxed)
    }

    /// Makes the thread look at its condition again; says whether it slept, in [`Self::wait_until`], when it was woken.
    pub fn wake(&self) -> bool {
        let slept = {
            let _asleep = lock(&self.asleep);
            self.sleeping.load(Ordering::Relaxed)
        };
        if slept {
            self.changed.notify_one();
        }
        if self.in_file_wait.load(Ordering::SeqCst) {
            if let Some(file) = self.file.get() {
                file.wake();
            }
        }
        slept
    }

    /// Keeps others from waking the thread until the guard is dropped: for forks.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        lock(&self.asleep)
    }

    /// Sleeps until `done` gives something or `deadline` passes.
    ///
    /// `done` is asked before each sleep; what it depends on must be changed before [`Self::wake`] is called. It must not wait itself.
    pub fn wait_until<T>(
        &self,
        clock: &dyn Clock,
        deadline: Deadline,
        mut done: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let mut asleep = lock(&self.asleep);
        loop {
            if let Some(value) = done() {
                return Some(value);
            }
            self.sleeping.store(true, Ordering::Relaxed);
            match deadline.remaining(clock) {
                None => asleep = self.changed.wait(asleep).unwrap_or_else(|e| e.into_inner()),
                Some(Duration::ZERO) => {
                    self.sleeping.store(false, Ordering::Relaxed);
                    return None;
                }
                Some(left) => asleep = self.changed.wait_timeout(asleep, left).unwrap_or_else(|e| e.into_inner()).0,
            }
            self.sleeping.store(false, Ordering::Relaxed);
        }
    }

    /// Announces a wait for host files: from here on [`Self::wake`] makes the file given readable, until the guard is dropped.
    pub fn file_wait(&self) -> SysResult<FileWait<'_>> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let new = WakeFile::new()?;
                self.file.get_or_init(|| new)
            }
        };
        file.reset();
        self.in_file_wait.store(true, Ordering::SeqCst);
        Ok(FileWait { parker: self, file })
    }
}

/// A wait for host files that [`Parker::wake`] can end.
pub struct FileWait<'a> {
    parker: &'a Parker,
    /// Becomes readable when the thread is to look around.
    pub file: &'a WakeFile,
}

impl Drop for FileWait<'_> {
    fn drop(&mut self) {
        self.parker.in_file_wait.store(false, Ordering::SeqCst);
    }
}

/// When a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Never.
    Never,
    /// At once: do not wait.
    Now,
    /// At this `system_time`, in microseconds.
    At(i64),
    /// At this real time, in microseconds since 1970.
    AtRealTime(i64),
}

impl Deadline {
    /// From the flags and the timeout that Haiku's calls take.
    pub fn new(flags: u32, timeout: i64, clock: &dyn Clock) -> Self {
        if flags & B_RELATIVE_TIMEOUT != 0 {
            match timeout {
                B_INFINITE_TIMEOUT => Deadline::Never,
                i64::MIN..=0 => Deadline::Now,
                _ => clock.system_time().checked_add(timeout).map_or(Deadline::Never, Deadline::At),
            }
        } else if flags & (B_ABSOLUTE_TIMEOUT | B_TIMEOUT_REAL_TIME_BASE) != 0 {
            match timeout {
                B_INFINITE_TIMEOUT => Deadline::Never,
                _ if flags & B_TIMEOUT_REAL_TIME_BASE != 0 => Deadline::AtRealTime(timeout),
                _ => Deadline::At(timeout),
            }
        } else {
            Deadline::Never
        }
    }

    /// Time left; `None` where there is no end.
    pub fn remaining(self, clock: &dyn Clock) -> Option<Duration> {
        match self {
            Deadline::Never => None,
            Deadline::Now => Some(Duration::ZERO),
            Deadline::At(at) => Some(micros(at.saturating_sub(clock.system_time()))),
            Deadline::AtRealTime(at) => Some(micros(at.saturating_sub(clock.real_time()))),
        }
    }

    /// What a wait gives when it ends by time: a wait that was not to be one would block.
    pub fn expired(self) -> Status {
        match self {
            Deadline::Now => Status::B_WOULD_BLOCK,
            _ => Status::B_TIMED_OUT,
        }
    }
}

fn micros(left: i64) -> Duration {
    Duration::from_micros(left.max(0).unsigned_abs())
}

/// Looks of [`Ticket::spin`]: some 10 us on x86-64, less than going to sleep and coming back takes.
const SPINS: u32 = 256;

/// A thread's place in a queue of waiters: whoever serves it stores the outcome and wakes it.
#[derive(Clone)]
pub struct Ticket<T> {
    parker: Arc<Parker>,
    outcome: Arc<Outcome<T>>,
}

/// What a waiter gets.
struct Outcome<T> {
    given: Mutex<Option<SysResult<T>>>,
    /// Whether there was one: to look at without the lock.
    is_served: AtomicBool,
}

impl<T> Ticket<T> {
    /// A place for the thread that waits at `parker`.
    pub fn new(parker: &Arc<Parker>) -> Self {
        let outcome = Outcome { given: Mutex::default(), is_served: AtomicBool::new(false) };
        Ticket { parker: Arc::clone(parker), outcome: Arc::new(outcome) }
    }

    /// Serves the waiter.
    pub fn serve(&self, outcome: SysResult<T>) {
        *lock(&self.outcome.given) = Some(outcome);
        self.outcome.is_served.store(true, Ordering::Release);
        self.parker.wake();
    }

    /// The outcome, once there is one.
    pub fn take(&self) -> Option<SysResult<T>> {
        lock(&self.outcome.given).take()
    }

    /// Looks for a moment whether the waiter is served.
    pub(super) fn spin(&self) {
        if several_processors() {
            for _ in 0..SPINS {
                if self.outcome.is_served.load(Ordering::Acquire) {
                    return;
                }
                std::hint::spin_loop();
            }
        }
    }

    /// Whether both are the same place.
    pub fn is(&self, other: &Ticket<T>) -> bool {
        Arc::ptr_eq(&self.outcome, &other.outcome)
    }
}

/// What lets a thread wait: its parker, the clock, and whether a signal is to end the wait.
#[derive(Clone, Copy)]
pub struct Waiting<'a> {
    /// Where it waits.
    pub parker: &'a Arc<Parker>,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Whether a signal waits to be delivered.
    pub interrupted: &'a dyn Fn() -> bool,
}

impl Waiting<'_> {
    /// Waits until `ticket` is served.
    ///
    /// `leave` takes the ticket out of its queue when the wait ends otherwise; it must do so under the lock under which tickets are served.
    pub fn for_ticket<T>(&self, ticket: &Ticket<T>, deadline: Deadline, leave: impl FnOnce()) -> SysResult<T> {
        let ended = self.parker.wait_until(self.clock, deadline, || {
            ticket.take().or_else(|| (self.interrupted)().then_some(Err(Status::B_INTERRUPTED)))
        });
        match ended {
            Some(Err(Status::B_INTERRUPTED)) | None => {
                leave();
                // Served in between: the outcome counts, or what was given would be lost.
                ticket.take().unwrap_or(match ended {
                    Some(outcome) => outcome,
                    None => Err(deadline.expired()),
                })
            }
            Some(outcome) => outcome,
        }
    }
}
