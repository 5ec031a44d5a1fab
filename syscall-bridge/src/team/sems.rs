//! Semaphores of one team.
//!
//! Haiku's rules: first come, first served; a waiter for many tickets holds back those behind it; the count shown is what is there less what is
//! waited for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::waiting::{Deadline, Parker, Ticket, Waiting, lock};
use super::watch::{Watchers, Watching};
use crate::abi::structs::SemInfo;
use crate::abi::thread::{B_RELEASE_ALL, B_RELEASE_IF_WAITING_ONLY};
use crate::abi::{Chars, Status, SysResult};
use crate::args::{SemId, TeamId, ThreadId};

struct Sem {
    name: Vec<u8>,
    /// Tickets to be had; not negative.
    tickets: i64,
    latest_holder: ThreadId,
    waiters: VecDeque<Waiter>,
}

struct Waiter {
    wants: i64,
    thread: ThreadId,
    ticket: Ticket<()>,
}

impl Sem {
    fn count(&self) -> i32 {
        let wanted: i64 = self.waiters.iter().map(|w| w.wants).sum();
        i32::try_from(self.tickets - wanted).unwrap_or(i32::MAX)
    }

    /// Serves those in front for whom there are enough tickets.
    fn serve(&mut self) {
        while let Some(first) = self.waiters.front() {
            if first.wants > self.tickets {
                break;
            }
            if let Some(served) = self.waiters.pop_front() {
                self.tickets -= served.wants;
                self.latest_holder = served.thread;
                served.ticket.serve(Ok(()));
            }
        }
    }

    fn info(&self, id: i32, team: TeamId) -> SemInfo {
        SemInfo {
            sem: id,
            team: team.0,
            name: Chars::new(&self.name),
            count: self.count(),
            latest_holder: self.latest_holder.0,
        }
    }
}

/// All semaphores of the team.
#[derive(Default)]
pub struct Sems {
    table: Mutex<BTreeMap<i32, Sem>>,
    last_id: Mutex<i32>,
    /// Told when a semaphore can be acquired or is gone.
    pub(super) watchers: Watchers,
}

/// Most semaphores that there may be.
pub const MAX_SEMS: usize = 65_536;

impl Sems {
    /// Makes a semaphore.
    pub fn create(&self, count: i32, name: &[u8]) -> SysResult<SemId> {
        if count < 0 {
            return Err(Status::B_BAD_VALUE);
        }
        let mut table = lock(&self.table);
        if table.len() >= MAX_SEMS {
            return Err(Status::B_NO_MORE_SEMS);
        }
        let mut last = lock(&self.last_id);
        *last += 1;
        let sem =
            Sem { name: name.to_vec(), tickets: count.into(), latest_holder: ThreadId(-1), waiters: VecDeque::new() };
        table.insert(*last, sem);
        Ok(SemId(*last))
    }

    /// Deletes a semaphore; its waiters get `B_BAD_SEM_ID`.
    pub fn delete(&self, id: SemId) -> SysResult {
        let gone = lock(&self.table).remove(&id.0).ok_or(Status::B_BAD_SEM_ID)?;
        for waiter in gone.waiters {
            waiter.ticket.serve(Err(Status::B_BAD_SEM_ID));
        }
        self.watchers.notify();
        Ok(())
    }

    /// Acquires `count` tickets for `thread`.
    pub fn acquire(
        &self,
        id: SemId,
        count: u32,
        deadline: Deadline,
        thread: ThreadId,
        wait: &Waiting<'_>,
    ) -> SysResult {
        let ticket = {
            let mut table = lock(&self.table);
            match Self::try_acquire(&mut table, id, count, deadline, thread, wait)? {
                None => return Ok(()),
                Some(ticket) => ticket,
            }
        };
        self.wait(id, &ticket, deadline, wait)
    }

    /// Releases one ticket of `release`, then acquires, without anybody in between.
    pub fn switch(
        &self,
        release: SemId,
        id: SemId,
        count: u32,
        deadline: Deadline,
        thread: ThreadId,
        wait: &Waiting<'_>,
    ) -> SysResult {
        let ticket = {
            let mut table = lock(&self.table);
            if !table.contains_key(&release.0) {
                return Err(Status::B_BAD_SEM_ID);
            }
            let ticket = Self::try_acquire(&mut table, id, count, deadline, thread, wait)?;
            if let Some(sem) = table.get_mut(&release.0) {
                sem.tickets += 1;
                sem.serve();
            }
            ticket
        };
        self.watchers.notify();
        match ticket {
            None => Ok(()),
            Some(ticket) => self.wait(id, &ticket, deadline, wait),
        }
    }

    fn try_acquire(
        table: &mut BTreeMap<i32, Sem>,
        id: SemId,
        count: u32,
        deadline: Deadline,
        thread: ThreadId,
        wait: &Waiting<'_>,
    ) -> SysResult<Option<Ticket<()>>> {
        let sem = table.get_mut(&id.0).ok_or(Status::B_BAD_SEM_ID)?;
        let wants = i32::try_from(count).ok().filter(|&n| n > 0).map(i64::from).ok_or(Status::B_BAD_VALUE)?;
        if sem.waiters.is_empty() && sem.tickets >= wants {
            sem.tickets -= wants;
            sem.latest_holder = thread;
            return Ok(None);
        }
        if deadline == Deadline::Now {
            return Err(Status::B_WOULD_BLOCK);
        }
        let ticket = Ticket::new(wait.parker);
        sem.waiters.push_back(Waiter { wants, thread, ticket: ticket.clone() });
        Ok(Some(ticket))
    }

    fn wait(&self, id: SemId, ticket: &Ticket<()>, deadline: Deadline, wait: &Waiting<'_>) -> SysResult {
        wait.for_ticket(ticket, deadline, || {
            if let Some(sem) = lock(&self.table).get_mut(&id.0) {
                sem.waiters.retain(|w| !w.ticket.is(ticket));
                // Whoever was held back by the one that left may be served now.
                sem.serve();
            }
        })
    }

    /// Releases `count` tickets, or as the flags say.
    pub fn release(&self, id: SemId, count: u32, flags: u32) -> SysResult {
        {
            let mut table = lock(&self.table);
            let sem = table.get_mut(&id.0).ok_or(Status::B_BAD_SEM_ID)?;
            let count = i32::try_from(count).ok().filter(|&n| n > 0 || flags & B_RELEASE_ALL != 0);
            let mut count = i64::from(count.ok_or(Status::B_BAD_VALUE)?);
            let wanted: i64 = sem.waiters.iter().map(|w| w.wants).sum::<i64>() - sem.tickets;
            if flags & B_RELEASE_ALL != 0 {
                count = wanted.max(0);
            } else if flags & B_RELEASE_IF_WAITING_ONLY != 0 {
                count = count.min(wanted.max(0));
            }
            sem.tickets += count;
            sem.serve();
        }
        self.watchers.notify();
        Ok(())
    }

    /// The count that is shown.
    pub fn count(&self, id: SemId) -> SysResult<i32> {
        lock(&self.table).get(&id.0).map(Sem::count).ok_or(Status::B_BAD_SEM_ID)
    }

    /// Describes a semaphore.
    pub fn info(&self, id: SemId, team: TeamId) -> SysResult<SemInfo> {
        lock(&self.table).get(&id.0).map(|sem| sem.info(id.0, team)).ok_or(Status::B_BAD_SEM_ID)
    }

    /// The first semaphore whose id is greater than `after`.
    pub fn next_info(&self, after: i32, team: TeamId) -> Option<SemInfo> {
        lock(&self.table).range(after.saturating_add(1)..).next().map(|(id, sem)| sem.info(*id, team))
    }

    /// How many there are.
    pub fn used(&self) -> usize {
        lock(&self.table).len()
    }

    /// Tells `parker` of changes until the guard is dropped.
    pub fn watch(&self, parker: &Arc<Parker>) -> Watching<'_> {
        self.watchers.watch(parker)
    }

    /// Locks the table for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        (lock(&self.table), lock(&self.last_id), self.watchers.quiesce())
    }

    /// Forgets all: a forked team starts without semaphores.
    pub(super) fn clear(&self) {
        lock(&self.table).clear();
        self.watchers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::testing::{TestClock, waiting_on, with_waiting};

    const T: ThreadId = ThreadId(7);

    fn now(sems: &Sems, id: SemId, count: u32) -> SysResult {
        with_waiting(|wait| sems.acquire(id, count, Deadline::Now, T, wait))
    }

    #[test]
    fn tickets_are_counted() {
        let sems = Sems::default();
        let id = sems.create(2, b"two").expect("a semaphore");
        assert_eq!(now(&sems, id, 2), Ok(()));
        assert_eq!(now(&sems, id, 1), Err(Status::B_WOULD_BLOCK));
        assert_eq!(sems.release(id, 3, 0), Ok(()));
        assert_eq!(sems.count(id), Ok(3));
        assert_eq!(sems.info(id, TeamId(1)).map(|i| i.latest_holder), Ok(7));
        assert_eq!(now(&sems, id, 0), Err(Status::B_BAD_VALUE));
        assert_eq!(sems.release(id, 0, 0), Err(Status::B_BAD_VALUE));
        assert_eq!(sems.create(-1, b"").err(), Some(Status::B_BAD_VALUE));
        assert_eq!(sems.delete(id), Ok(()));
        assert_eq!(sems.delete(id), Err(Status::B_BAD_SEM_ID));
        assert_eq!(now(&sems, id, 1), Err(Status::B_BAD_SEM_ID));
    }

    #[test]
    fn a_wait_ends_by_time_or_signal_and_leaves_no_trace() {
        let sems = Sems::default();
        let id = sems.create(0, b"none").expect("a semaphore");
        let timed = with_waiting(|wait| sems.acquire(id, 1, Deadline::At(0), T, wait));
        assert_eq!(timed, Err(Status::B_TIMED_OUT));
        let parker = Arc::new(Parker::default());
        let signalled = waiting_on(&parker, &TestClock, &|| true, |wait| sems.acquire(id, 1, Deadline::Never, T, wait));
        assert_eq!(signalled, Err(Status::B_INTERRUPTED));
        assert_eq!(sems.count(id), Ok(0));
    }

    #[test]
    fn waiters_are_served_in_order_and_deletion_wakes_them() {
        let sems = Arc::new(Sems::default());
        let id = sems.create(0, b"queue").expect("a semaphore");
        let wait_for = |count: u32, before: i32| {
            let waiter = Arc::clone(&sems);
            let thread =
                std::thread::spawn(move || with_waiting(|wait| waiter.acquire(id, count, Deadline::Never, T, wait)));
            while sems.count(id) != Ok(before - count as i32) {
                std::thread::yield_now();
            }
            thread
        };
        let many = wait_for(3, 0);
        let one = wait_for(1, -3);
        // Enough for the second, but the first is before it.
        sems.release(id, 2, 0).expect("released");
        assert_eq!(sems.count(id), Ok(-2));
        assert!(!one.is_finished());
        sems.release(id, 1, 0).expect("released");
        assert_eq!(many.join().expect("no panic"), Ok(()));
        sems.release(id, 5, B_RELEASE_IF_WAITING_ONLY).expect("released");
        assert_eq!(one.join().expect("no panic"), Ok(()));
        assert_eq!(sems.count(id), Ok(0));
        let last = wait_for(1, 0);
        sems.delete(id).expect("deleted");
        assert_eq!(last.join().expect("no panic"), Err(Status::B_BAD_SEM_ID));
    }
}
