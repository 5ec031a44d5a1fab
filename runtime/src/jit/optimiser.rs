//! The optimiser: a thread that translates again what has run often.
//!
//! It works on guest code as it reads it: the pages' tickets tell, before the result is installed, whether that is still the guest's code. It
//! holds no lock while it translates, and none is waited for longer than a look into a table takes. Guest threads never wait for it, nor does
//! the end of the process. A forked child starts its own when it needs one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

use hokku_ir::BlockKey;

use super::install;
use crate::team::Team;

/// What is to be translated again, and whether there is a thread for it.
#[derive(Debug, Default)]
struct Work {
    keys: VecDeque<BlockKey>,
    /// What the thread is about.
    current: Option<BlockKey>,
    running: bool,
    closed: bool,
}

/// The way to the optimiser's thread.
#[derive(Debug, Default)]
pub(crate) struct Optimiser {
    work: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The next piece of work and the team that it is for; `None` when that has ended.
    fn next(&self, team: &Weak<Team>) -> Option<(Arc<Team>, BlockKey)> {
        let mut work = self.lock();
        loop {
            if work.closed {
                return None;
            }
            work.current = work.keys.pop_front();
            if let Some(key) = work.current {
                // With the lock held, so that who has closed this knows that the team is not taken any more.
                return Some((team.upgrade()?, key));
            }
            work = self.changed.wait(work).unwrap_or_else(|e| e.into_inner());
        }
    }
}

impl Optimiser {
    /// Keeps the thread from taking work until the guard is dropped: for forks.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.work.lock()
    }

    /// In a child process, whose only thread is the caller: there is no optimiser's thread. What the parent's was to do is done here once more.
    pub(crate) fn renew(&self, team: &Arc<Team>) {
        let mut work = self.work.lock();
        let left: Vec<BlockKey> = work.current.into_iter().chain(work.keys.drain(..)).collect();
        *work = Work::default();
        drop(work);
        left.into_iter().for_each(|key| self.request(team, key));
    }

    /// Translates the code at `key`, which has run often, some time later.
    pub(crate) fn request(&self, team: &Arc<Team>, key: BlockKey) {
        if !team.tiering.background {
            install::improve(team, key);
            return;
        }
        let mut work = self.work.lock();
        if work.closed {
            return;
        }
        if !work.running {
            let (shared, team) = (Arc::clone(&self.work), Arc::downgrade(team));
            work.running = crate::host::threads::spawn_without_signals("hokku optimiser", move || run(&shared, &team));
            if !work.running {
                // The guest goes on in the code that it has.
                return;
            }
        }
        work.keys.push_back(key);
        // The thread needs the lock as soon as it is awake.
        drop(work);
        self.work.changed.notify_one();
    }

    /// Has the thread end when it has done what it is about.
    pub(crate) fn close(&self) {
        self.work.lock().closed = true;
        self.work.changed.notify_one();
    }
}

impl Drop for Optimiser {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread.
fn run(shared: &Shared, team: &Weak<Team>) {
    while let Some((team, key)) = shared.next(team) {
        install::improve(&team, key);
    }
}
