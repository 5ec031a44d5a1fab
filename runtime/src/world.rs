//! Stopping the world: all other threads leave translated code and stay out until the caller is done.
//!
//! A thread announces that it enters translated code ([`Place::Code`]), looks for a stop after that, and steps back where there is one. The
//! stopper announces the stop, looks for threads inside after that, and waits until they are out. All of this is sequentially consistent, so
//! one of the two always sees the other.
//! The stopping thread itself is outside, and holds no lock that a thread needs in order to leave.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::thread::{Attention, Shared, ThreadList};

/// Where a thread is, as far as others must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Place {
    /// In Rust code: dispatcher, personality, translator.
    Outside = 0,
    /// In translated code, or about to be.
    Code = 1,
    /// In the evaluation of an op of translated code, to which it will return.
    Callout = 2,
}

/// A [`Place`] that other threads read.
#[derive(Debug, Default)]
pub(crate) struct PlaceCell(AtomicU32);

impl PlaceCell {
    pub(crate) fn get(&self) -> Place {
        match self.0.load(Ordering::SeqCst) {
            0 => Place::Outside,
            1 => Place::Code,
            _ => Place::Callout,
        }
    }

    pub(crate) fn set(&self, place: Place) {
        self.0.store(place as u32, Ordering::SeqCst);
    }
}

/// Whether others see this team's accesses to memory, so that their order counts (design D9). Once they do it stays so.
#[derive(Debug, Default)]
pub(crate) struct Order(AtomicBool);

impl Order {
    /// Notes that they do; says whether that is news.
    pub(crate) fn keep(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The team's way to stop its threads.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Held by the thread that has stopped the world.
    stopper: Mutex<()>,
    stopping: AtomicBool,
    /// Threads that leave while a stop is under way say so here.
    left: Mutex<()>,
    someone_left: Condvar,
}

/// Which threads a stop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// No thread runs translated code; callouts may be under way, and return to it later only to leave.
    CodeIsQuiet,
    /// No thread will return to any translated code: it can be overwritten.
    CodeIsUnused,
}

/// The world is stopped as long as this lives.
#[derive(Debug)]
pub(crate) struct Stopped<'a> {
    world: &'a World,
    _one: MutexGuard<'a, ()>,
}

impl World {
    /// Stops the world. The caller is outside of translated code.
    pub(crate) fn stop(&self, threads: &ThreadList, until: Until) -> Stopped<'_> {
        let one = self.stopper.lock().unwrap_or_else(|e| e.into_inner());
        self.stopping.store(true, Ordering::SeqCst);
        let inside = |thread: &Shared| match thread.place.get() {
            Place::Outside => false,
            Place::Code => true,
            Place::Callout => until == Until::CodeIsUnused,
        };
        let running: Vec<_> =
            threads.handles().into_iter().filter(|t| t.shared.place.get() != Place::Outside).collect();
        for thread in &running {
            thread.shared.call(Attention::STOP);
        }
        let mut left = self.left.lock().unwrap_or_else(|e| e.into_inner());
        while running.iter().any(|t| inside(&t.shared)) {
            left = self.someone_left.wait(left).unwrap_or_else(|e| e.into_inner());
        }
        drop(left);
        Stopped { world: self, _one: one }
    }

    /// Keeps other threads from stopping the world until the guards are dropped.
    pub(crate) fn hold(&self) -> (impl Drop + '_, impl Drop + '_) {
        let stopper = self.stopper.lock().unwrap_or_else(|e| e.into_inner());
        // One that has left late may still be telling the stopper before.
        (stopper, self.left.lock().unwrap_or_else(|e| e.into_inner()))
    }

    /// Announces that `thread` enters translated code; says whether it may. If not, it is outside, and has waited for the end of a stop.
    pub(crate) fn enter(&self, thread: &Shared) -> bool {
        thread.place.set(Place::Code);
        if self.stopping.load(Ordering::SeqCst) {
            self.leave(thread);
            drop(self.stopper.lock().unwrap_or_else(|e| e.into_inner()));
            return false;
        }
        true
    }

    /// Announces that `thread` is outside of translated code.
    pub(crate) fn leave(&self, thread: &Shared) {
        thread.place.set(Place::Outside);
        self.moved();
    }

    /// Tells a stopper that a thread's place has changed.
    pub(crate) fn moved(&self) {
        if self.stopping.load(Ordering::SeqCst) {
            // Taking the lock orders this after the stopper's last look at the places.
            drop(self.left.lock().unwrap_or_else(|e| e.into_inner()));
            self.someone_left.notify_all();
        }
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.world.stopping.store(false, Ordering::SeqCst);
    }
}
