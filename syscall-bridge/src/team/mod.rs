//! A team as its kernel sees it: everything that belongs to one guest process and needs nothing from the host but [`crate::kernel::Kernel`].

pub mod areas;
pub mod exit;
pub mod images;
pub mod mutexes;
pub mod ports;
pub mod posix_sems;
pub mod sems;
pub mod signals;
pub mod threads;
pub mod timers;
pub mod waiting;
pub mod watch;

#[cfg(test)]
pub(crate) mod testing;

use std::sync::{Arc, Mutex, OnceLock};

use hokku_ir::{CpuMode, GuestAddr};

use crate::abi::structs::SigInfo;
use crate::kernel::Kernel;
use crate::start::commpage::Commpage;
use crate::team::areas::Areas;
use crate::team::exit::Exit;
use crate::team::images::Images;
use crate::team::mutexes::UserMutexes;
use crate::team::ports::Ports;
use crate::team::posix_sems::PosixSems;
use crate::team::sems::Sems;
use crate::team::signals::{TeamSignals, cancels};
use crate::team::threads::{ThreadState, Threads};
use crate::team::timers::Timers;
use crate::team::waiting::lock;

/// A team's kernel state.
pub struct TeamState {
    /// The host.
    pub kernel: Box<dyn Kernel>,
    /// Word size of the program.
    pub mode: CpuMode,
    /// Threads.
    pub threads: Threads,
    /// Semaphores.
    pub sems: Sems,
    /// Names of semaphores.
    pub posix_sems: PosixSems,
    /// Ports.
    pub ports: Ports,
    /// Timers.
    pub timers: Timers,
    /// User mutexes.
    pub mutexes: UserMutexes,
    /// Areas.
    pub areas: Mutex<Areas>,
    /// Images.
    pub images: Mutex<Images>,
    /// Signals and what they do.
    pub signals: Mutex<TeamSignals>,
    /// How the team ends.
    pub exit: Exit,
    /// Where the commpage is and what is in it.
    pub commpage: OnceLock<Commpage>,
    /// `user_thread` structures that no thread uses.
    pub user_threads: Mutex<UserThreads>,
    /// Program and arguments, for `team_info`.
    pub command_line: Mutex<Vec<u8>>,
    /// When the team was started, as a `system_time`.
    pub started: i64,
}

/// Room for `user_thread` structures.
#[derive(Clone, Debug, Default)]
pub struct UserThreads {
    /// Those that were used and are free again.
    pub free: Vec<GuestAddr>,
    /// The next one that was never used.
    pub next: GuestAddr,
    /// The end of the room.
    pub end: GuestAddr,
}

impl TeamState {
    /// A team without threads, areas or images.
    pub fn new(kernel: Box<dyn Kernel>, mode: CpuMode) -> Self {
        let started = kernel.clock().system_time();
        TeamState {
            kernel,
            mode,
            threads: Threads::default(),
            sems: Sems::default(),
            posix_sems: PosixSems::default(),
            ports: Ports::default(),
            timers: Timers::default(),
            mutexes: UserMutexes::default(),
            areas: Mutex::new(Areas::new(mode)),
            images: Mutex::default(),
            signals: Mutex::default(),
            exit: Exit::default(),
            commpage: OnceLock::new(),
            user_threads: Mutex::default(),
            command_line: Mutex::default(),
            started,
        }
    }

    /// Sends a signal to one thread.
    pub fn signal_thread(&self, thread: &ThreadState, info: SigInfo, queuing_required: bool) -> crate::abi::SysResult {
        let signal = info.signal();
        {
            let mut signals = lock(&thread.signals);
            signals.pending.remove(cancels(signal));
            signals.pending.add(info, queuing_required)?;
            if signal == crate::abi::signal::Signal::SIGNAL_CONTINUE_THREAD {
                signals.no_restart = true;
            }
        }
        if signals_that_resume(signal) {
            thread.suspended.store(false, std::sync::atomic::Ordering::SeqCst);
        }
        thread.poke();
        Ok(())
    }

    /// Sends a signal to the team: a thread that does not hold it back takes it.
    pub fn signal_team(&self, info: SigInfo, queuing_required: bool) -> crate::abi::SysResult {
        let signal = info.signal();
        {
            let mut team = lock(&self.signals);
            team.pending.remove(cancels(signal));
            team.pending.add(info, queuing_required)?;
        }
        for thread in self.threads.all() {
            if cancels(signal) != 0 {
                lock(&thread.signals).pending.remove(cancels(signal));
            }
            if signals_that_resume(signal) {
                thread.suspended.store(false, std::sync::atomic::Ordering::SeqCst);
            }
            // Those that hold it back look, too: they may be waiting for it.
            thread.poke();
        }
        Ok(())
    }

    /// Hands over a signal that came from the host.
    pub fn host_signal(&self, info: SigInfo) {
        // Only a full queue refuses it: then the host's signal is lost like any that comes too often.
        if let Err(error) = self.signal_team(info, false) {
            tracing::debug!("{} from the host is lost: {error}", info.signal().name());
        }
    }

    /// Which signals wait for `thread`, its team's included.
    pub fn pending(&self, thread: &ThreadState) -> u64 {
        let team = lock(&self.signals).pending.set();
        team | lock(&thread.signals).pending.set()
    }

    /// Has `thread`, which is the caller, look at its signals before it goes back to guest code if it does not hold all of them back.
    pub fn look_at_unmasked(&self, thread: &ThreadState) {
        let mask = lock(&thread.signals).mask;
        if self.pending(thread) & !mask != 0 {
            thread.attention.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    /// Locks everything that a forked team must find free, in the order in which locks are taken.
    pub fn quiesce(&self) -> impl Sized + '_ {
        waiting::settle();
        (
            self.timers.quiesce(),
            self.threads.quiesce(),
            self.posix_sems.quiesce(),
            self.sems.quiesce(),
            self.ports.quiesce(),
            self.mutexes.quiesce(),
            lock(&self.user_threads),
            lock(&self.areas),
            lock(&self.images),
            lock(&self.signals),
            lock(&self.command_line),
            self.exit.quiesce(),
        )
    }

    /// Makes this the state of a forked team whose only thread is `survivor`.
    pub fn forked(&self, survivor: &Arc<ThreadState>) {
        survivor.set_id(self.kernel.processes().thread());
        self.threads.keep_only(survivor);
        self.timers.clear();
        self.posix_sems.clear();
        self.sems.clear();
        self.ports.clear();
        self.mutexes.clear();
        lock(&self.areas).renumber();
        lock(&self.images).renumber();
        lock(&self.signals).pending.remove(u64::MAX);
        lock(&survivor.signals).pending.remove(u64::MAX);
    }
}

fn signals_that_resume(signal: crate::abi::signal::Signal) -> bool {
    use crate::abi::signal::Signal;
    matches!(signal, Signal::SIGCONT | Signal::SIGNAL_CONTINUE_THREAD | Signal::SIGKILL | Signal::SIGKILLTHR)
}
