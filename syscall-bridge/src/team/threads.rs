//! Threads: what the kernel knows of each, and the table of all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

use hokku_ir::GuestAddr;
use hokku_runtime::ThreadHandle;

use super::signals::ThreadSignals;
use super::waiting::{Parker, Ticket, lock};
use super::watch::Watchers;
use crate::abi::{Status, SysResult};
use crate::args::ThreadId;

/// Where a thread's memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ThreadMemory {
    /// Lowest address of the stack that can be used.
    pub stack_base: GuestAddr,
    /// First address above the stack: that of the thread-local storage.
    pub stack_end: GuestAddr,
    /// The `user_thread` structure.
    pub user_thread: GuestAddr,
    /// First address of the stack area to unmap when the thread is gone; null: the program's own.
    pub owned_stack: GuestAddr,
}

/// What was sent to a thread by `send_data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentData {
    /// Who sent it.
    pub sender: ThreadId,
    /// Its code.
    pub code: i32,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// A guest thread, as all threads see it.
pub struct ThreadState {
    id: AtomicI32,
    /// Its name.
    pub name: Mutex<Vec<u8>>,
    /// Its priority, 1 to 120.
    pub priority: AtomicI32,
    /// Where it waits.
    pub parker: Arc<Parker>,
    /// Its signals.
    pub signals: Mutex<ThreadSignals>,
    /// Whether to look at the signals before going back to guest code.
    pub attention: AtomicBool,
    /// Whether it does not run until it is resumed: a new thread, or one that was suspended.
    pub suspended: AtomicBool,
    /// Where its memory is; changes only at a fork.
    pub memory: Mutex<ThreadMemory>,
    /// What was sent to it and not received yet.
    pub sent: Mutex<Option<SentData>>,
    /// Its wait in `block_thread`.
    pub block: Mutex<Option<Ticket<()>>>,
    /// The semaphore that it waits for; zero: none.
    pub sem: AtomicI32,
    handle: Mutex<Option<ThreadHandle>>,
}

impl ThreadState {
    /// A thread that is about to be.
    pub fn new(name: &[u8], priority: i32, memory: ThreadMemory, signals: ThreadSignals, suspended: bool) -> Arc<Self> {
        Arc::new(ThreadState {
            id: AtomicI32::new(0),
            name: Mutex::new(name.to_vec()),
            priority: AtomicI32::new(priority),
            parker: Arc::default(),
            signals: Mutex::new(signals),
            attention: AtomicBool::new(false),
            suspended: AtomicBool::new(suspended),
            memory: Mutex::new(memory),
            sent: Mutex::default(),
            block: Mutex::default(),
            sem: AtomicI32::new(0),
            handle: Mutex::default(),
        })
    }

    /// Its id.
    pub fn id(&self) -> ThreadId {
        ThreadId(self.id.load(Ordering::SeqCst))
    }

    /// Gives it the host's id: when it starts to be, and in a forked team.
    pub fn set_id(&self, id: ThreadId) {
        self.id.store(id.0, Ordering::SeqCst);
    }

    /// Gives it its handle: when it starts to be, and in a forked team.
    pub fn set_handle(&self, handle: ThreadHandle) {
        *lock(&self.handle) = Some(handle);
    }

    /// Locks what a forked child must find free.
    pub fn quiesce(&self) -> impl Sized + '_ {
        (
            lock(&self.name),
            lock(&self.signals),
            lock(&self.memory),
            lock(&self.sent),
            lock(&self.block),
            lock(&self.handle),
            self.parker.quiesce(),
        )
    }

    /// Makes it look at its signals: whether it waits, runs guest code, or is in a host call.
    pub fn poke(&self) {
        self.attention.store(true, Ordering::SeqCst);
        let slept = self.parker.wake();
        let handle = lock(&self.handle).clone();
        match handle {
            // The caller: it looks before it goes back to guest code.
            Some(handle) if handle.is_current() => {}
            Some(handle) if slept => handle.interrupt_outside(),
            Some(handle) => handle.interrupt(),
            None => {}
        }
    }
}

/// What is left of a thread that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ended {
    status: i32,
}

#[derive(Default)]
struct Table {
    living: BTreeMap<i32, Arc<ThreadState>>,
    /// Exit statuses of threads that nobody has waited for; the oldest are forgotten.
    ended: BTreeMap<i32, Ended>,
    main: Option<Arc<ThreadState>>,
}

/// All threads of the team.
#[derive(Default)]
pub struct Threads {
    table: Mutex<Table>,
    /// Told when a thread ends.
    pub watchers: Watchers,
}

/// Most exit statuses that are kept.
const MAX_ENDED: usize = 1024;

impl Threads {
    /// Adds a thread; the first is the main thread.
    pub fn add(&self, thread: &Arc<ThreadState>) {
        let mut table = lock(&self.table);
        table.ended.remove(&thread.id().0);
        table.living.insert(thread.id().0, Arc::clone(thread));
        if table.main.is_none() {
            table.main = Some(Arc::clone(thread));
        }
    }

    /// The thread ends.
    pub fn remove(&self, thread: &ThreadState, status: i32) {
        {
            let mut table = lock(&self.table);
            let id = thread.id().0;
            table.living.remove(&id);
            table.ended.insert(id, Ended { status });
            while table.ended.len() > MAX_ENDED {
                table.ended.pop_first();
            }
        }
        self.watchers.notify();
    }

    /// The living thread with this id; 0 is nobody.
    pub fn get(&self, id: ThreadId) -> SysResult<Arc<ThreadState>> {
        lock(&self.table).living.get(&id.0).cloned().ok_or(Status::B_BAD_THREAD_ID)
    }

    /// The main thread.
    pub fn main(&self) -> Option<Arc<ThreadState>> {
        lock(&self.table).main.clone()
    }

    /// All living threads in order of their ids.
    pub fn all(&self) -> Vec<Arc<ThreadState>> {
        lock(&self.table).living.values().cloned().collect()
    }

    /// A living thread of that name.
    pub fn find(&self, name: &[u8]) -> SysResult<ThreadId> {
        self.all().iter().find(|t| *lock(&t.name) == name).map(|t| t.id()).ok_or(Status::B_NAME_NOT_FOUND)
    }

    /// Takes the exit status of a thread that has ended: `None` while it lives.
    pub fn take_status(&self, id: ThreadId) -> SysResult<Option<i32>> {
        let mut table = lock(&self.table);
        if table.living.contains_key(&id.0) {
            return Ok(None);
        }
        table.ended.remove(&id.0).map(|e| Some(e.status)).ok_or(Status::B_BAD_THREAD_ID)
    }

    /// Whether there was a thread with this id whose status nobody has taken.
    pub fn was(&self, id: ThreadId) -> bool {
        lock(&self.table).ended.contains_key(&id.0)
    }

    /// Whether the thread lives.
    pub fn is_living(&self, id: ThreadId) -> bool {
        lock(&self.table).living.contains_key(&id.0)
    }

    /// Locks the table for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        (lock(&self.table), self.watchers.quiesce())
    }

    /// In a forked team: `survivor` is the only thread.
    pub(super) fn keep_only(&self, survivor: &Arc<ThreadState>) {
        let mut table = lock(&self.table);
        *table = Table::default();
        table.living.insert(survivor.id().0, Arc::clone(survivor));
        table.main = Some(Arc::clone(survivor));
        self.watchers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(id: i32, name: &[u8]) -> Arc<ThreadState> {
        let thread = ThreadState::new(name, 10, ThreadMemory::default(), ThreadSignals::default(), false);
        thread.set_id(ThreadId(id));
        thread
    }

    #[test]
    fn exit_statuses_are_taken_once() {
        let threads = Threads::default();
        let (main, other) = (thread(5, b"main"), thread(9, b"other"));
        threads.add(&main);
        threads.add(&other);
        assert_eq!(threads.find(b"other"), Ok(ThreadId(9)));
        assert_eq!(threads.take_status(ThreadId(9)), Ok(None));
        threads.remove(&other, 42);
        assert_eq!(threads.take_status(ThreadId(9)), Ok(Some(42)));
        assert_eq!(threads.take_status(ThreadId(9)), Err(Status::B_BAD_THREAD_ID));
        assert!(threads.main().is_some_and(|t| t.id() == ThreadId(5)));
        assert_eq!(threads.get(ThreadId(9)).err(), Some(Status::B_BAD_THREAD_ID));
    }
}
