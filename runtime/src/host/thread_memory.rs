//! What host code needs of memory per guest thread: the jump cache, the shadow return stack and a stack for signal handlers.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use hokku_ir::guest::JUMP_CACHE_ENTRIES;
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::PAGE_SIZE;
use super::system::populate;

/// A host address for the code, and a guest address and a host address for the runtime.
const JUMP_CACHE_BYTES: usize = JUMP_CACHE_ENTRIES * 24;
/// Address space for the shadow stack; pages are there once they are used.
const SHADOW_BYTES: usize = 8 << 20;
/// Inaccessible space below the shadow stack: a `call` that runs over faults there.
const GUARD_BYTES: usize = 64 << 10;
const SIGNAL_STACK_BYTES: usize = 128 << 10;
/// What the jump cache, the signal stack, the guard and the shadow stack take, in this order.
const TOTAL: usize = JUMP_CACHE_BYTES + SIGNAL_STACK_BYTES + GUARD_BYTES + SHADOW_BYTES;

/// A slot that never matches: its guest address belongs to slot 0 of the cache alone, where [`UNUSED_ZERO`] stands.
const UNUSED: u64 = 0;
const UNUSED_ZERO: u64 = 1;

/// One thread's memory; freed with the value.
#[derive(Debug)]
pub(crate) struct ThreadMemory {
    base: u64,
    /// Where unused entries of the jump cache lead.
    miss: AtomicU64,
}

impl ThreadMemory {
    /// Maps it; almost nothing is in use yet.
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), TOTAL, ProtFlags::READ | ProtFlags::WRITE, flags)? };
        let memory = ThreadMemory { base: base as u64, miss: AtomicU64::new(0) };
        let guard = memory.guard().start as *mut c_void;
        // SAFETY: inside the mapping made above, which nobody else uses yet.
        unsafe { mprotect(guard, GUARD_BYTES, MprotectFlags::empty())? };
        memory.known_jumps()[0].store(UNUSED_ZERO, Ordering::Relaxed);
        Ok(memory)
    }

    /// The jump cache as the code sees it: where each entry leads.
    fn jump_targets(&self) -> &[AtomicU64] {
        // SAFETY: mapped for as long as `self` lives, aligned to pages; Rust code reaches it through these atomics alone.
        unsafe { std::slice::from_raw_parts(self.base as *const AtomicU64, JUMP_CACHE_ENTRIES) }
    }

    /// What the runtime knows of each entry: guest address and host address of its code in turn.
    fn known_jumps(&self) -> &[AtomicU64] {
        let start = self.base + JUMP_CACHE_ENTRIES as u64 * 8;
        // SAFETY: as above; behind the targets.
        unsafe { std::slice::from_raw_parts(start as *const AtomicU64, JUMP_CACHE_ENTRIES * 2) }
    }

    /// Host address of the jump cache.
    pub(crate) fn jump_cache_address(&self) -> u64 {
        self.base
    }

    /// Lets computed jumps to `guest` go to `checked`, which goes on to the code at `host`. For the owning thread, outside of host code.
    pub(crate) fn cache_jump(&self, guest: u64, host: u64, checked: u64) {
        let slot = guest as usize & (JUMP_CACHE_ENTRIES - 1);
        self.known_jumps()[slot * 2].store(guest, Ordering::Relaxed);
        self.known_jumps()[slot * 2 + 1].store(host, Ordering::Relaxed);
        self.jump_targets()[slot].store(checked, Ordering::Relaxed);
    }

    /// Host address of the code that a computed jump to `guest` reaches. For the owning thread, outside of host code.
    pub(crate) fn cached_jump(&self, guest: u64) -> Option<u64> {
        let slot = (guest as usize & (JUMP_CACHE_ENTRIES - 1)) * 2;
        let known = self.known_jumps();
        (known[slot].load(Ordering::Relaxed) == guest).then(|| known[slot + 1].load(Ordering::Relaxed))
    }

    /// Lets computed jumps that go to `checked` and on to `host` go to `new_checked` and `new_host`, code for the same guest address `guest`.
    /// For any thread, at any time: each word is replaced only where it is the old code's, which tells the guest address as well.
    pub(crate) fn replace_jump(&self, guest: u64, (host, checked): (u64, u64), (new_host, new_checked): (u64, u64)) {
        let slot = guest as usize & (JUMP_CACHE_ENTRIES - 1);
        let swap = |place: &AtomicU64, old, new| {
            // Another jump is in the slot where this fails.
            let _ = place.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        };
        swap(&self.known_jumps()[slot * 2 + 1], host, new_host);
        swap(&self.jump_targets()[slot], checked, new_checked);
    }

    /// Forgets where `guest` leads. For any thread, while the owner is outside of host code.
    pub(crate) fn forget_jump(&self, guest: u64) {
        let slot = guest as usize & (JUMP_CACHE_ENTRIES - 1);
        let unused = if slot == 0 { UNUSED_ZERO } else { UNUSED };
        // What is in the slot may be another address: one forgotten jump more is no harm.
        self.known_jumps()[slot * 2].store(unused, Ordering::Relaxed);
        self.jump_targets()[slot].store(self.miss.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Forgets all jumps. For any thread, while the owner is outside of host code.
    pub(crate) fn forget_all_jumps(&self) {
        let miss = self.miss.load(Ordering::Relaxed);
        for (slot, target) in self.jump_targets().iter().enumerate() {
            // Reading first leaves pages alone that need no change.
            if target.load(Ordering::Relaxed) != miss {
                target.store(miss, Ordering::Relaxed);
                self.known_jumps()[slot * 2].store(UNUSED, Ordering::Relaxed);
            }
        }
        self.known_jumps()[0].store(UNUSED_ZERO, Ordering::Relaxed);
    }

    /// Forgets all jumps; those that are not known lead to `miss` from now on. For the owning thread, outside of host code.
    pub(crate) fn set_miss(&self, miss: u64) {
        if self.miss.swap(miss, Ordering::Relaxed) != 0 {
            return self.forget_all_jumps();
        }
        // Fresh memory knows no jumps. All at once, its pages cost a fraction of what they do one by one; where the host cannot do that, they come
        // as they are written.
        let (start, bytes) = (self.base as *mut c_void, JUMP_CACHE_ENTRIES * 8);
        // SAFETY: inside this value's own mapping, whose contents it leaves as they are.
        unsafe { populate(start, bytes) };
        self.jump_targets().iter().for_each(|target| target.store(miss, Ordering::Relaxed));
    }

    /// Host addresses of the signal stack.
    pub(crate) fn signal_stack(&self) -> std::ops::Range<u64> {
        let start = self.base + JUMP_CACHE_BYTES as u64;
        start..start + SIGNAL_STACK_BYTES as u64
    }

    /// The inaccessible range below the shadow stack.
    pub(crate) fn guard(&self) -> std::ops::Range<u64> {
        let start = self.signal_stack().end;
        start..start + GUARD_BYTES as u64
    }

    /// The stack pointer of the empty shadow stack: a few words are above it, all of them the miss.
    pub(crate) fn shadow_top(&self) -> u64 {
        self.base + TOTAL as u64 - 64
    }

    /// Puts `return_miss` at the bottom of the shadow stack; gives the stack pointer of the empty stack. For the owning thread, outside of
    /// host code.
    pub(crate) fn empty_shadow_stack(&self, return_miss: u64) -> u64 {
        let top = self.shadow_top();
        for slot in 0..8 {
            // SAFETY: the last 64 bytes of the mapping, which only the owner's host code reads, and not now.
            let word = unsafe { AtomicU64::from_ptr((top + slot * 8) as *mut u64) };
            word.store(return_miss, Ordering::Relaxed);
        }
        top
    }
}

impl Drop for ThreadMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own; its thread has left host code for good and its signal stack is not in use any more.
        let _ = unsafe { munmap(self.base as *mut c_void, TOTAL) };
    }
}

const _: () = assert!(TOTAL as u64 % PAGE_SIZE == 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_remembered_and_forgotten() {
        let memory = ThreadMemory::new().unwrap();
        assert!([0, 1, 0x1_0000, 0x1234].into_iter().all(|guest| memory.cached_jump(guest).is_none()));
        memory.set_miss(0x111);
        memory.cache_jump(0x40_1234, 0x777, 0x770);
        memory.replace_jump(0x40_1234, (0x770, 0x777), (1, 1));
        assert_eq!(memory.cached_jump(0x40_1234), Some(0x777));
        memory.replace_jump(0x40_1234, (0x777, 0x770), (0x999, 0x990));
        assert_eq!(memory.cached_jump(0x40_1234), Some(0x999));
        assert_eq!(memory.jump_targets()[0x1234].load(Ordering::Relaxed), 0x990);
        memory.cache_jump(0x1_0000, 0x888, 0x880);
        assert_eq!((memory.cached_jump(0x40_1234), memory.cached_jump(0x1_0000)), (Some(0x999), Some(0x888)));
        memory.forget_jump(0x1_0000);
        assert_eq!(
            (memory.cached_jump(0x40_1234), memory.cached_jump(0x1_0000), memory.cached_jump(0)),
            (Some(0x999), None, None)
        );
        memory.forget_all_jumps();
        assert_eq!((memory.cached_jump(0x40_1234), memory.cached_jump(0)), (None, None));
        assert!(memory.jump_targets().iter().all(|t| t.load(Ordering::Relaxed) == 0x111));
    }

    #[test]
    fn the_empty_shadow_stack_holds_the_miss() {
        let memory = ThreadMemory::new().unwrap();
        let top = memory.empty_shadow_stack(0x5555);
        assert!(memory.guard().end < top && top % 16 == 0);
        let mut word = [0; 8];
        super::super::arch::guest_access::read(top, &mut word).unwrap();
        assert_eq!(u64::from_le_bytes(word), 0x5555);
    }
}
