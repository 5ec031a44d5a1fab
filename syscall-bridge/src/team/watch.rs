//! Threads that wait for several objects at once are told of every change of one and look for themselves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::waiting::{Parker, lock};

/// Who is to be told.
#[derive(Default)]
pub struct Watchers {
    parkers: Mutex<Vec<Arc<Parker>>>,
    /// How many there are: spares the lock when there is nobody.
    count: AtomicUsize,
}

impl Watchers {
    /// Tells `parker` of changes until the guard is dropped.
    pub fn watch(&self, parker: &Arc<Parker>) -> Watching<'_> {
        lock(&self.parkers).push(Arc::clone(parker));
        self.count.fetch_add(1, Ordering::SeqCst);
        Watching { watchers: self, parker: Arc::clone(parker) }
    }

    /// Something has changed. Not to be called with a lock held that a watcher needs to look.
    pub fn notify(&self) {
        if self.count.load(Ordering::SeqCst) > 0 {
            let parkers = lock(&self.parkers).clone();
            for parker in parkers {
                parker.wake();
            }
        }
    }

    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        lock(&self.parkers)
    }

    /// Forgets all: in a forked team nobody waits.
    pub(super) fn clear(&self) {
        lock(&self.parkers).clear();
        self.count.store(0, Ordering::SeqCst);
    }
}

/// A thread's being told.
pub struct Watching<'a> {
    watchers: &'a Watchers,
    parker: Arc<Parker>,
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut parkers = lock(&self.watchers.parkers);
        if let Some(i) = parkers.iter().position(|p| Arc::ptr_eq(p, &self.parker)) {
            parkers.swap_remove(i);
            self.watchers.count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
