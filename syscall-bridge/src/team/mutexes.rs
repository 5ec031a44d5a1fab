//! User mutexes and user semaphores: words in guest memory, of which the kernel knows only who waits.
//!
//! **Hand-off.** Unblocking a mutex sets its `LOCKED` bit on behalf of the waiter that is woken: it returns owning the mutex. Waking it to try
//! again would lose condition variables.
//!
//! **Spinning.** A mutex is mostly held for less time than going to sleep takes. So who wants one looks for a moment whether it comes free, as if the
//! call had come that much later; and who waits in the queue, whether the word comes, before it sleeps. Where that does not pay it is mostly left out.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use hokku_ir::GuestAddr;
use hokku_runtime::GuestMemory;

use super::waiting::{Deadline, Ticket, Waiting, lock, several_processors};
use crate::abi::thread::{MUTEX_DISABLED, MUTEX_LOCKED, MUTEX_UNBLOCK_ALL, MUTEX_WAITING};
use crate::abi::{Status, SysResult};

type Queues = HashMap<u64, VecDeque<Ticket<()>>>;

/// Who waits at which word. All changes of a word that is waited for are made under the lock.
#[derive(Default)]
pub struct UserMutexes {
    queues: Mutex<Queues>,
    luck: Luck,
}

/// Whether looking for a free mutex has paid lately: where other work takes the processors away, it does not.
#[derive(Default)]
struct Luck {
    /// Times that it did not, less those that it did: from 0 to [`MOST_MISSES`].
    misses: AtomicU32,
    /// Times that it was left out.
    left_out: AtomicU32,
}

/// Misses from which on looking is tried now and then only.
const MOST_MISSES: u32 = 16;

impl Luck {
    fn try_it(&self) -> bool {
        self.misses.load(Ordering::Relaxed) < MOST_MISSES || self.left_out.fetch_add(1, Ordering::Relaxed) % 16 == 0
    }

    fn note(&self, paid: bool) {
        let misses = self.misses.load(Ordering::Relaxed);
        // A race loses a count: no harm.
        let after = if paid { misses.saturating_sub(2) } else { (misses + 1).min(MOST_MISSES) };
        if after != misses {
            self.misses.store(after, Ordering::Relaxed);
        }
    }
}

fn checked(word: GuestAddr) -> SysResult<GuestAddr> {
    if word.0 == 0 || word.0 % 4 != 0 { Err(Status::B_BAD_ADDRESS) } else { Ok(word) }
}

fn is_waited_for(queues: &Queues, word: GuestAddr) -> bool {
    queues.get(&word.0).is_some_and(|q| !q.is_empty())
}

/// Clears the `WAITING` bit when nobody waits any more.
fn tidy(queues: &mut Queues, memory: &GuestMemory, word: GuestAddr) -> SysResult {
    if !is_waited_for(queues, word) {
        queues.remove(&word.0);
        memory.update_u32(word, |w| w & !MUTEX_WAITING)?;
    }
    Ok(())
}

/// How often to look whether a mutex is free, before its queue.
const LOOKS: u32 = 8;
/// Pauses between two looks, which leave the word to its owner: some 20 us altogether on x86-64.
const PAUSES: u32 = 64;

/// Takes the mutex if it comes free within a moment; says whether it did.
fn lock_soon(memory: &GuestMemory, word: GuestAddr) -> SysResult<bool> {
    for _ in 0..LOOKS {
        let old = memory.read_u32(word)?;
        if old & MUTEX_DISABLED != 0 {
            return Ok(false);
        }
        if old & MUTEX_LOCKED == 0 && memory.compare_exchange_u32(word, old, old | MUTEX_LOCKED)? == old {
            return Ok(true);
        }
        (0..PAUSES).for_each(|_| std::hint::spin_loop());
    }
    Ok(false)
}

/// Takes the mutex, or a place in its queue.
fn lock_or_queue(
    queues: &mut Queues,
    memory: &GuestMemory,
    word: GuestAddr,
    wait: &Waiting<'_>,
) -> SysResult<Option<Ticket<()>>> {
    let old = memory.update_u32(word, |w| w | MUTEX_LOCKED | MUTEX_WAITING)?;
    if old & MUTEX_LOCKED == 0 || old & MUTEX_DISABLED != 0 {
        tidy(queues, memory, word)?;
        return Ok(None);
    }
    let ticket = Ticket::new(wait.parker);
    queues.entry(word.0).or_default().push_back(ticket.clone());
    Ok(Some(ticket))
}

fn unblock(queues: &mut Queues, memory: &GuestMemory, word: GuestAddr, flags: u32) -> SysResult {
    if !is_waited_for(queues, word) {
        return tidy(queues, memory, word);
    }
    let mut all = flags & MUTEX_UNBLOCK_ALL != 0;
    if !all {
        let old = memory.update_u32(word, |w| w | MUTEX_LOCKED)?;
        if old & MUTEX_LOCKED != 0 {
            // Somebody has it: that one will unblock.
            return Ok(());
        }
        all = old & MUTEX_DISABLED != 0;
    }
    if let Some(queue) = queues.get_mut(&word.0) {
        let served = if all { queue.len() } else { 1 };
        queue.drain(..served).for_each(|ticket| ticket.serve(Ok(())));
    }
    tidy(queues, memory, word)
}

impl UserMutexes {
    fn wait(
        &self,
        memory: &GuestMemory,
        word: GuestAddr,
        ticket: &Ticket<()>,
        deadline: Deadline,
        wait: &Waiting<'_>,
    ) -> SysResult {
        if self.luck.misses.load(Ordering::Relaxed) < MOST_MISSES {
            ticket.spin();
        }
        wait.for_ticket(ticket, deadline, || {
            let mut queues = lock(&self.queues);
            if let Some(queue) = queues.get_mut(&word.0) {
                queue.retain(|t| !t.is(ticket));
            }
            // The word may be unmapped by now: then there is no bit to clear.
            let _ = tidy(&mut queues, memory, word);
        })
    }

    /// Locks a mutex that was found locked.
    pub fn lock(&self, memory: &GuestMemory, word: GuestAddr, deadline: Deadline, wait: &Waiting<'_>) -> SysResult {
        let word = checked(word)?;
        if deadline != Deadline::Now && several_processors() && self.luck.try_it() {
            let locked = lock_soon(memory, word)?;
            self.luck.note(locked);
            if locked {
                return Ok(());
            }
        }
        let ticket = lock_or_queue(&mut lock(&self.queues), memory, word, wait)?;
        match ticket {
            None => Ok(()),
            Some(ticket) => self.wait(memory, word, &ticket, deadline, wait),
        }
    }

    /// Hands a mutex to its next waiter, or wakes all.
    pub fn unblock(&self, memory: &GuestMemory, word: GuestAddr, flags: u32) -> SysResult {
        unblock(&mut lock(&self.queues), memory, checked(word)?, flags)
    }

    /// Unlocks `from` and locks `to`, so that no unblocking of `to` after the unlock is missed.
    pub fn switch(
        &self,
        memory: &GuestMemory,
        from: GuestAddr,
        from_flags: u32,
        to: GuestAddr,
        deadline: Deadline,
        wait: &Waiting<'_>,
    ) -> SysResult {
        let (from, to) = (checked(from)?, checked(to)?);
        let ticket = {
            let mut queues = lock(&self.queues);
            let ticket = lock_or_queue(&mut queues, memory, to, wait)?;
            let old = memory.update_u32(from, |w| w & !MUTEX_LOCKED)?;
            if old & MUTEX_WAITING != 0 {
                unblock(&mut queues, memory, from, from_flags)?;
            }
            ticket
        };
        match ticket {
            None => Ok(()),
            Some(ticket) => self.wait(memory, to, &ticket, deadline, wait),
        }
    }

    /// Waits at a user semaphore: -1 says that there are waiters.
    pub fn sem_acquire(
        &self,
        memory: &GuestMemory,
        word: GuestAddr,
        deadline: Deadline,
        wait: &Waiting<'_>,
    ) -> SysResult {
        let word = checked(word)?;
        let ticket = {
            let mut queues = lock(&self.queues);
            let old = memory.update_u32(word, |w| if w as i32 > -1 { (w as i32 - 1) as u32 } else { w })? as i32;
            if old > 0 {
                return Ok(());
            }
            let ticket = Ticket::new(wait.parker);
            queues.entry(word.0).or_default().push_back(ticket.clone());
            ticket
        };
        wait.for_ticket(&ticket, deadline, || {
            let mut queues = lock(&self.queues);
            if let Some(queue) = queues.get_mut(&word.0) {
                queue.retain(|t| !t.is(&ticket));
                if queue.is_empty() {
                    queues.remove(&word.0);
                }
            }
        })
    }

    /// Hands a user semaphore's ticket to a waiter, or puts it back.
    pub fn sem_release(&self, memory: &GuestMemory, word: GuestAddr) -> SysResult {
        let word = checked(word)?;
        let mut queues = lock(&self.queues);
        match queues.get_mut(&word.0).and_then(VecDeque::pop_front) {
            Some(ticket) => ticket.serve(Ok(())),
            None => {
                memory.update_u32(word, |w| if (w as i32) < 0 { w.wrapping_add(2) } else { w.wrapping_add(1) })?;
            }
        }
        if !is_waited_for(&queues, word) {
            queues.remove(&word.0);
            memory.update_u32(word, |w| if w as i32 == -1 { 0 } else { w })?;
        }
        Ok(())
    }

    /// Locks the queues for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        lock(&self.queues)
    }

    /// Forgets all: in a forked team nobody waits.
    pub(super) fn clear(&self) {
        lock(&self.queues).clear();
    }
}

#[cfg(test)]
mod tests {
    use hokku_ir::CpuMode;
    use hokku_runtime::{Placement, Prot};

    use super::*;
    use crate::team::testing::{TestMemory, guest_memory, with_waiting};

    const LOW: GuestAddr = GuestAddr(0x1_0000);
    const HIGH: GuestAddr = GuestAddr(0x7000_0000);

    fn word() -> (TestMemory, GuestAddr) {
        let memory = guest_memory(CpuMode::Long64);
        let place = Placement::Lowest { low: LOW, high: HIGH, align: 4096 };
        let at = memory.map_anonymous(place, 4096, Prot::READ | Prot::WRITE, false).expect("a page");
        (memory, at)
    }

    #[test]
    fn unblocking_hands_the_lock_over() {
        let (memory, at) = word();
        let mutexes = UserMutexes::default();
        memory.write_u32(at, MUTEX_LOCKED).expect("mapped");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| with_waiting(|wait| mutexes.lock(&memory, at, Deadline::Never, wait)));
            while memory.read_u32(at) != Ok(MUTEX_LOCKED | MUTEX_WAITING) || !is_waited_for(&lock(&mutexes.queues), at)
            {
                std::thread::yield_now();
            }
            // Locked by another: nothing to hand over.
            mutexes.unblock(&memory, at, 0).expect("unblocked");
            assert!(!waiter.is_finished());
            memory.update_u32(at, |w| w & !MUTEX_LOCKED).expect("mapped");
            mutexes.unblock(&memory, at, 0).expect("unblocked");
            assert_eq!(waiter.join().expect("no panic"), Ok(()));
        });
        assert_eq!(memory.read_u32(at), Ok(MUTEX_LOCKED), "the waiter owns it and nobody waits");
    }

    #[test]
    fn looking_that_does_not_pay_is_left_out_until_it_does() {
        let luck = Luck::default();
        let tried = |times: u32| (0..times).filter(|_| luck.try_it()).count();
        (0..2 * MOST_MISSES).for_each(|_| luck.note(false));
        assert_eq!(tried(64), 4);
        luck.note(true);
        assert_eq!(tried(64), 64);
    }

    #[test]
    fn a_free_mutex_is_taken_and_a_timeout_clears_the_waiting_bit() {
        let (memory, at) = word();
        let mutexes = UserMutexes::default();
        with_waiting(|wait| {
            assert_eq!(mutexes.lock(&memory, at, Deadline::Now, wait), Ok(()));
            assert_eq!(memory.read_u32(at), Ok(MUTEX_LOCKED));
            assert_eq!(mutexes.lock(&memory, at, Deadline::At(0), wait), Err(Status::B_TIMED_OUT));
            assert_eq!(memory.read_u32(at), Ok(MUTEX_LOCKED));
            assert_eq!(mutexes.lock(&memory, at.offset(1), Deadline::Now, wait), Err(Status::B_BAD_ADDRESS));
            assert_eq!(mutexes.lock(&memory, GuestAddr(0), Deadline::Now, wait), Err(Status::B_BAD_ADDRESS));
            assert_eq!(mutexes.lock(&memory, GuestAddr(0x6fff_fff0), Deadline::Now, wait), Err(Status::B_BAD_ADDRESS));
        });
    }

    #[test]
    fn switching_releases_one_and_takes_the_other() {
        let (memory, at) = word();
        let (from, to) = (at, at.offset(4));
        let mutexes = UserMutexes::default();
        memory.write_u32(from, MUTEX_LOCKED).expect("mapped");
        with_waiting(|wait| assert_eq!(mutexes.switch(&memory, from, 0, to, Deadline::Never, wait), Ok(())));
        assert_eq!((memory.read_u32(from), memory.read_u32(to)), (Ok(0), Ok(MUTEX_LOCKED)));
    }

    #[test]
    fn user_semaphores_count_and_wake() {
        let (memory, at) = word();
        let mutexes = UserMutexes::default();
        memory.write_u32(at, 1).expect("mapped");
        with_waiting(|wait| {
            assert_eq!(mutexes.sem_acquire(&memory, at, Deadline::Now, wait), Ok(()));
            assert_eq!(mutexes.sem_acquire(&memory, at, Deadline::At(0), wait), Err(Status::B_TIMED_OUT));
        });
        assert_eq!(memory.read_u32(at), Ok(u32::MAX), "still marked as contended");
        mutexes.sem_release(&memory, at).expect("released");
        assert_eq!(memory.read_u32(at), Ok(1));
    }
}
