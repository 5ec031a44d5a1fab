//! Pending signals, masks and actions.

use std::collections::VecDeque;

use hokku_ir::GuestAddr;

use crate::abi::signal::{BLOCKABLE, DEFAULT_IGNORE, KILL, SIG_DFL, SIG_IGN, STOP, Signal};
use crate::abi::structs::{SigAction, SigInfo};
use crate::abi::{Status, SysResult};

/// Most signals that may be pending at once with all their data.
const MAX_QUEUED: usize = 128;

/// Signals that wait to be delivered.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    queue: VecDeque<SigInfo>,
}

impl Pending {
    /// Adds a signal. A standard signal that is pending already stays as it is; real-time signals queue up.
    pub fn add(&mut self, info: SigInfo, queuing_required: bool) -> SysResult {
        let signal = info.signal();
        if !signal.is_realtime() && self.set() & signal.bit() != 0 {
            return Ok(());
        }
        if self.queue.len() >= MAX_QUEUED {
            // Without its data, as Haiku does when memory is short.
            if queuing_required || self.set() & signal.bit() != 0 {
                return Err(Status::B_WOULD_BLOCK);
            }
        }
        self.queue.push_back(info);
        Ok(())
    }

    /// Which signals are pending.
    pub fn set(&self) -> u64 {
        self.queue.iter().fold(0, |set, info| set | info.signal().bit())
    }

    /// Takes out the pending signal of `allowed` with the highest priority; of equals, the lowest number, and of those the oldest.
    pub fn take(&mut self, allowed: u64) -> Option<SigInfo> {
        let candidates = self.queue.iter().enumerate().filter(|(_, info)| allowed & info.signal().bit() != 0);
        let key = |info: &SigInfo| (-info.signal().priority(), info.si_signo);
        let (index, _) = candidates.min_by_key(|(i, info)| (key(info), *i))?;
        self.queue.remove(index)
    }

    /// The highest priority of those in `allowed`; -1: none.
    pub fn priority(&self, allowed: u64) -> i32 {
        let of_allowed = self.queue.iter().map(SigInfo::signal).filter(|s| allowed & s.bit() != 0);
        of_allowed.map(Signal::priority).max().unwrap_or(-1)
    }

    /// Takes out all of `set`.
    pub fn remove(&mut self, set: u64) {
        self.queue.retain(|info| set & info.signal().bit() == 0);
    }
}

/// A thread's signals.
#[derive(Clone, Debug, Default)]
pub struct ThreadSignals {
    /// Signals that are held back.
    pub mask: u64,
    /// Signals sent to this thread.
    pub pending: Pending,
    /// The mask to go back to after `sigsuspend`.
    pub suspend_mask: Option<u64>,
    /// Alternate stack: lowest address and size.
    pub stack: Option<(GuestAddr, u64)>,
    /// The next interrupted call is not to run again.
    pub no_restart: bool,
    /// What `cancel_thread` has the thread call.
    pub cancel: GuestAddr,
    /// The context of the handler that runs, for `uc_link`.
    pub context: GuestAddr,
}

impl ThreadSignals {
    /// Changes the mask; what cannot be held back is not.
    pub fn set_mask(&mut self, mask: u64) {
        self.mask = mask & BLOCKABLE;
    }
}

/// A team's signals.
#[derive(Clone, Debug)]
pub struct TeamSignals {
    actions: [SigAction; 64],
    /// Signals sent to the team.
    pub pending: Pending,
}

impl Default for TeamSignals {
    fn default() -> Self {
        TeamSignals { actions: [SigAction::default(); 64], pending: Pending::default() }
    }
}

impl TeamSignals {
    /// What a signal does.
    pub fn action(&self, signal: Signal) -> SigAction {
        self.actions[usize::from(signal.0 - 1)]
    }

    /// Changes what a signal does.
    pub fn set_action(&mut self, signal: Signal, action: SigAction) {
        self.actions[usize::from(signal.0 - 1)] = SigAction { sa_mask: action.sa_mask & BLOCKABLE, ..action };
    }

    /// The signals that are ignored on the program's wish.
    pub fn ignored(&self) -> u64 {
        (1..=64).map(Signal).filter(|s| self.action(*s).sa_handler.0 == SIG_IGN).fold(0, |set, s| set | s.bit())
    }

    /// Ignores the signals of `set`: what a new program inherits.
    pub fn ignore(&mut self, set: u64) {
        for signal in (1..=64).map(Signal).filter(|s| set & s.bit() != 0) {
            self.set_action(signal, SigAction { sa_handler: GuestAddr(SIG_IGN), ..SigAction::default() });
        }
    }

    /// Whether `action` makes pending signals of this kind vanish.
    pub fn discards(signal: Signal, action: &SigAction) -> bool {
        match action.sa_handler.0 {
            SIG_IGN => true,
            SIG_DFL => DEFAULT_IGNORE & signal.bit() != 0,
            _ => false,
        }
    }
}

/// Whether a signal of this kind can be caught or ignored.
pub fn is_catchable(signal: Signal) -> bool {
    BLOCKABLE & signal.bit() != 0
}

/// Whether the set holds a signal that ends the thread.
pub fn kills(set: u64) -> bool {
    set & KILL != 0
}

/// The signals that `signal` takes out of what is pending when it is sent.
pub fn cancels(signal: Signal) -> u64 {
    if signal == Signal::SIGCONT { STOP } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TeamId;

    fn info(n: u8, code: i32) -> SigInfo {
        SigInfo::sent(Signal(n), code, TeamId(1), 0)
    }

    #[test]
    fn standard_signals_do_not_queue_and_realtime_ones_do() {
        let mut pending = Pending::default();
        for code in 0..3 {
            pending.add(info(15, code), false).expect("room");
            pending.add(info(33, code), false).expect("room");
        }
        pending.add(info(34, 0), false).expect("room");
        pending.add(info(9, 0), false).expect("room");
        let order: Vec<_> = std::iter::from_fn(|| pending.take(u64::MAX)).map(|i| (i.si_signo, i.si_code)).collect();
        assert_eq!(order, [(9, 0), (33, 0), (33, 1), (33, 2), (34, 0), (15, 0)]);
    }

    #[test]
    fn masked_signals_stay() {
        let mut pending = Pending::default();
        pending.add(info(15, 0), false).expect("room");
        assert_eq!(pending.take(!Signal(15).bit()), None);
        assert_eq!(pending.set(), Signal(15).bit());
        assert_eq!((pending.priority(u64::MAX), pending.priority(0)), (0, -1));
        pending.remove(Signal(15).bit());
        assert_eq!(pending.set(), 0);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut pending = Pending::default();
        for code in 0..MAX_QUEUED as i32 {
            pending.add(info(33, code), true).expect("room");
        }
        assert_eq!(pending.add(info(33, 0), true), Err(Status::B_WOULD_BLOCK));
        assert_eq!(pending.add(info(15, 0), false), Ok(()));
    }

    #[test]
    fn kill_and_stop_cannot_be_masked() {
        let mut signals = ThreadSignals::default();
        signals.set_mask(u64::MAX);
        for n in [9, 10, 21, 63, 64] {
            assert_eq!(signals.mask & Signal(n).bit(), 0, "{n}");
            assert!(!is_catchable(Signal(n)));
        }
        assert!(kills(Signal::SIGKILLTHR.bit()) && !kills(Signal::SIGTERM.bit()));
    }
}
