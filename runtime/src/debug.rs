//! What a debugger needs of the translator: breakpoints on instructions and watches on data, as the processor's debug registers give them.
//!
//! Source: Intel SDM vol. 3B, chapter 18. Both raise #DB ([`crate::FaultKind::Debug`]): a breakpoint before its instruction, a watch after
//! the instruction that accessed the memory. A thread that goes on where a breakpoint stopped it executes the instruction (as with RF set).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hokku_ir::eval::{Memory, MemoryFault};
use hokku_ir::{AtomicOp, Fence, GuestAddr, Width};

use crate::guest_memory::{Access, Change};
use crate::team::Team;
use crate::world::Until;

/// Accesses to memory that are watched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Guest addresses.
    pub range: Range<u64>,
    /// Whether reads count as well as writes.
    pub reads: bool,
}

/// An access that was watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchHit {
    /// Where the access started.
    pub at: GuestAddr,
    /// `Read` or `Write`.
    pub access: Access,
}

/// A team's breakpoints and watches.
#[derive(Debug, Default)]
pub(crate) struct Debugging {
    breakpoints: Mutex<BTreeSet<GuestAddr>>,
    watches: Mutex<Vec<Watch>>,
    breakpoint_count: AtomicUsize,
    watch_count: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Debugging {
    /// Keeps breakpoints and watches as they are until the guards are dropped.
    pub(crate) fn hold(&self) -> (impl Drop + '_, impl Drop + '_) {
        (lock(&self.breakpoints), lock(&self.watches))
    }

    pub(crate) fn has_breakpoint(&self, at: GuestAddr) -> bool {
        self.has_breakpoints() && lock(&self.breakpoints).contains(&at)
    }

    pub(crate) fn has_breakpoints(&self) -> bool {
        self.breakpoint_count.load(Ordering::SeqCst) != 0
    }

    /// Whether threads must be run an instruction at a time, because some data is watched.
    pub(crate) fn is_watching(&self) -> bool {
        self.watch_count.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn watches(&self) -> Vec<Watch> {
        lock(&self.watches).clone()
    }
}

impl Team {
    /// Stops each thread that is about to execute the instruction at `at` with a debug exception. From when this returns on it is so.
    pub fn set_breakpoint(&self, at: GuestAddr) {
        let count = {
            let mut breakpoints = lock(&self.debug.breakpoints);
            breakpoints.insert(at);
            breakpoints.len()
        };
        self.breakpoints_changed(count, at);
    }

    /// Takes a breakpoint away.
    pub fn clear_breakpoint(&self, at: GuestAddr) {
        let count = {
            let mut breakpoints = lock(&self.debug.breakpoints);
            breakpoints.remove(&at);
            breakpoints.len()
        };
        self.breakpoints_changed(count, at);
    }

    fn breakpoints_changed(&self, count: usize, at: GuestAddr) {
        self.debug.breakpoint_count.store(count, Ordering::SeqCst);
        // What is translated there is another thing now.
        self.memory.drop_code(at.0..at.0.saturating_add(1), Change::Mapping);
    }

    /// Stops each thread after an instruction that accesses what `watch` says with a debug exception. While there are watches, guest code is
    /// evaluated an instruction at a time.
    pub fn set_watch(&self, watch: Watch) {
        let count = {
            let mut watches = lock(&self.debug.watches);
            watches.push(watch);
            watches.len()
        };
        self.debug.watch_count.store(count, Ordering::SeqCst);
        // Whoever runs translated code comes out of it and sees the count.
        drop(self.world.stop(&self.threads, Until::CodeIsUnused));
    }

    /// Takes a watch away.
    pub fn clear_watch(&self, watch: &Watch) {
        let mut watches = lock(&self.debug.watches);
        watches.retain(|w| w != watch);
        self.debug.watch_count.store(watches.len(), Ordering::SeqCst);
    }
}

/// Guest memory that notes the first access that is watched for.
pub(crate) struct WatchedMemory<'a, M> {
    memory: &'a M,
    watches: &'a [Watch],
    hit: Cell<Option<WatchHit>>,
}

impl<'a, M: Memory> WatchedMemory<'a, M> {
    pub(crate) fn new(memory: &'a M, watches: &'a [Watch]) -> Self {
        WatchedMemory { memory, watches, hit: Cell::new(None) }
    }

    pub(crate) fn hit(&self) -> Option<WatchHit> {
        self.hit.get()
    }

    fn note(&self, at: GuestAddr, len: usize, access: Access) {
        let overlaps = |range: &Range<u64>| at.0 < range.end && range.start < at.0.saturating_add(len as u64);
        let watched = |w: &Watch| (w.reads || access == Access::Write) && overlaps(&w.range);
        if self.hit.get().is_none() && self.watches.iter().any(watched) {
            self.hit.set(Some(WatchHit { at, access }));
        }
    }
}

impl<M: Memory> Memory for WatchedMemory<'_, M> {
    fn read(&self, at: GuestAddr, buf: &mut [u8]) -> Result<(), MemoryFault> {
        self.memory.read(at, buf)?;
        self.note(at, buf.len(), Access::Read);
        Ok(())
    }

    fn write(&self, at: GuestAddr, bytes: &[u8]) -> Result<(), MemoryFault> {
        self.memory.write(at, bytes)?;
        self.note(at, bytes.len(), Access::Write);
        Ok(())
    }

    fn atomic_rmw(&self, op: AtomicOp, w: Width, at: GuestAddr, v: u64) -> Result<u64, MemoryFault> {
        let old = self.memory.atomic_rmw(op, w, at, v)?;
        self.note(at, w.bytes() as usize, Access::Write);
        Ok(old)
    }

    fn atomic_cas(&self, w: Width, at: GuestAddr, expected: u64, new: u64) -> Result<u64, MemoryFault> {
        let old = self.memory.atomic_cas(w, at, expected, new)?;
        self.note(at, w.bytes() as usize, Access::Write);
        Ok(old)
    }

    fn atomic_cas_16(&self, at: GuestAddr, expected: u128, new: u128) -> Result<u128, MemoryFault> {
        let old = self.memory.atomic_cas_16(at, expected, new)?;
        self.note(at, 16, Access::Write);
        Ok(old)
    }

    fn fence(&self, kind: Fence) {
        self.memory.fence(kind);
    }
}
