//! Guest memory that host calls are writing to at this moment: code there must not be write-protected, or the call would fail.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// The ranges lent to host calls.
#[derive(Debug, Default)]
pub(super) struct Lent(Mutex<Vec<Range<u64>>>);

/// One of them, until this is dropped.
#[derive(Debug)]
pub(super) struct Loan {
    of: Arc<Lent>,
    range: Range<u64>,
}

impl Lent {
    fn lock(&self) -> MutexGuard<'_, Vec<Range<u64>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Notes that a host call writes to `range`.
    pub(super) fn lend(self: &Arc<Self>, range: Range<u64>) -> Loan {
        self.lock().push(range.clone());
        Loan { of: Arc::clone(self), range }
    }

    /// Whether a host call may be writing to `range`.
    pub(super) fn touches(&self, range: &Range<u64>) -> bool {
        self.lock().iter().any(|lent| lent.start < range.end && range.start < lent.end)
    }

    /// Keeps the list as it is until the guard is dropped.
    pub(super) fn hold(&self) -> impl Drop + '_ {
        self.lock()
    }

    /// In a child process: the calls of other threads are not under way here.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let mut all = self.of.lock();
        if let Some(place) = all.iter().position(|lent| *lent == self.range) {
            all.swap_remove(place);
        }
    }
}
