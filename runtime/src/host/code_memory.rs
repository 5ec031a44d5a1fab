//! Memory for translated code: one memory file mapped twice, once to write and once to execute. Behind the latter lie the words that code
//! counts down.
//!
//! What must hold: code is written only where no thread can be executing it (fresh space), but for single aligned words, which host
//! processors fetch whole. The code cache sees to the first; [`CodeMemory::patch`] to the second.

use std::ffi::c_void;
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Alignment of each piece of code.
const ALIGNMENT: usize = 16;

/// Bytes of code for each byte of counters: the smallest counted region takes more than 128 bytes, its counter 4.
const CODE_PER_COUNTER_BYTE: usize = 32;

/// A fixed amount of memory for code, filled from the start.
#[derive(Debug)]
pub(crate) struct CodeMemory {
    /// Where it can be written.
    writable: u64,
    /// Where it can be executed.
    executable: u64,
    size: usize,
    used: usize,
    /// Bytes of counters, which start where the executable code ends.
    counter_bytes: usize,
    counters_used: usize,
}

impl CodeMemory {
    /// Makes `size` bytes, a multiple of the page size.
    pub(crate) fn new(size: usize) -> Result<Self, Errno> {
        let file = memfd_create("hokku-code", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, size as u64)?;
        let page = super::PAGE_SIZE as usize;
        let counter_bytes = (size / CODE_PER_COUNTER_BYTE).next_multiple_of(page);
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let both = unsafe { mmap_anonymous(std::ptr::null_mut(), size + counter_bytes, prot, MapFlags::PRIVATE)? };
        let map = |at: *mut c_void, prot, flags| {
            // SAFETY: at an address of the kernel's choice, or over the first part of the mapping made above, which nobody uses yet.
            unsafe { mmap(at, size, prot, MapFlags::SHARED | flags, file.as_fd(), 0) }.map(|p| p as u64)
        };
        let executable = map(both, ProtFlags::READ | ProtFlags::EXEC, MapFlags::FIXED);
        match executable.and_then(|_| map(std::ptr::null_mut(), prot, MapFlags::empty())) {
            Ok(writable) => {
                let executable = both as u64;
                Ok(CodeMemory { writable, executable, size, used: 0, counter_bytes, counters_used: 0 })
            }
            Err(error) => {
                // SAFETY: mapped above; nobody else knows of it.
                unsafe { munmap(both, size + counter_bytes)? };
                Err(error)
            }
        }
    }

    /// Makes a counter that starts at `count`; gives its host address, or `None` when there is no more room.
    pub(crate) fn counter(&mut self, count: u32) -> Option<u64> {
        let end = self.counters_used + 4;
        if end > self.counter_bytes {
            return None;
        }
        let at = self.executable + (self.size + self.counters_used) as u64;
        self.counters_used = end;
        // SAFETY: an aligned word inside the mapping that starts behind the code; Rust code reaches it through such atomics alone.
        let place = unsafe { AtomicU32::from_ptr(at as *mut u32) };
        place.store(count, Ordering::Release);
        Some(at)
    }

    /// Host addresses that code of this memory can have.
    pub(crate) fn range(&self) -> Range<u64> {
        self.executable..self.executable + self.size as u64
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Where the next `len` bytes of code will be; `None` when they do not fit any more.
    pub(crate) fn next(&self, len: usize) -> Option<u64> {
        let start = self.used.next_multiple_of(ALIGNMENT);
        (start.checked_add(len)? <= self.size).then_some(self.executable + start as u64)
    }

    /// Places `code` at [`Self::next`]; gives its host address.
    pub(crate) fn publish(&mut self, code: &[u8]) -> Option<u64> {
        let at = self.next(code.len())?;
        let offset = (at - self.executable) as usize;
        // SAFETY: `next` has checked that the bytes fit; nothing is executed there, since it was not in use.
        unsafe {
            let to = (self.writable as *mut u8).add(offset);
            std::ptr::copy_nonoverlapping(code.as_ptr(), to, code.len());
        }
        flush_instruction_cache(at, code.len());
        self.used = offset + code.len();
        Some(at)
    }

    /// Replaces the aligned word at host address `at`, in code that may be running.
    pub(crate) fn patch(&self, at: u64, word: u32) {
        let offset = at.wrapping_sub(self.executable);
        assert!(at % 4 == 0 && offset + 4 <= self.used as u64, "patch outside of code: {at:#x}");
        // SAFETY: aligned and inside the mapping; all writes to words of running code are such atomic stores.
        let place = unsafe { AtomicU32::from_ptr((self.writable + offset) as *mut u32) };
        place.store(word, Ordering::Release);
        flush_instruction_cache(at, 4);
    }

    /// Forgets all code from `keep` bytes on. No thread may be running it.
    pub(crate) fn truncate(&mut self, keep: usize) {
        self.used = self.used.min(keep);
        self.counters_used = 0;
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        for (at, size) in [(self.writable, self.size), (self.executable, self.size + self.counter_bytes)] {
            // SAFETY: the two mappings are this value's own; no thread runs the code of a team that is gone.
            let _ = unsafe { munmap(at as *mut c_void, size) };
        }
    }
}

/// Makes new code visible to instruction fetches.
#[cfg(target_arch = "x86_64")]
fn flush_instruction_cache(_at: u64, _len: usize) {
    // x86 keeps instruction fetches coherent with stores.
}

/// Makes new code visible to instruction fetches. Hosts without a back end publish none.
#[cfg(not(target_arch = "x86_64"))]
fn flush_instruction_cache(_at: u64, _len: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_placed_aligned_until_it_is_full() {
        let mut memory = CodeMemory::new(4096).unwrap();
        let first = memory.publish(&[0xc3; 5]).unwrap();
        let second = memory.publish(&[0xc3; 4000]).unwrap();
        assert_eq!((first % 16, second - first), (0, 16));
        assert_eq!(memory.publish(&[0; 100]), None);
        memory.truncate(5);
        assert_eq!(memory.publish(&[0; 100]), Some(second));
    }

    #[test]
    fn no_mapping_is_writable_and_executable() {
        let memory = CodeMemory::new(4096).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let of = |at: u64| maps.lines().find(|l| l.starts_with(&format!("{at:x}-"))).unwrap().to_owned();
        assert!(of(memory.writable).contains(" rw-s "));
        assert!(of(memory.executable).contains(" r-xs "));
    }

    #[test]
    fn counters_lie_behind_the_code_until_they_are_full() {
        let mut memory = CodeMemory::new(4096).unwrap();
        let first = memory.counter(5).unwrap();
        assert_eq!((first, memory.counter(6)), (memory.range().end, Some(first + 4)));
        // SAFETY: a counter that no code uses.
        let place = unsafe { AtomicU32::from_ptr(first as *mut u32) };
        assert_eq!(place.load(Ordering::Relaxed), 5);
        assert_eq!((2..1024).filter(|_| memory.counter(1).is_none()).count(), 0);
        assert_eq!(memory.counter(1), None);
        memory.truncate(0);
        assert_eq!(memory.counter(7), Some(first));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn published_code_runs_and_can_be_patched() {
        let mut memory = CodeMemory::new(4096).unwrap();
        // nop; nop; nop; mov eax, imm32 (at offset 4); ret
        let at = memory.publish(&[0x90, 0x90, 0x90, 0xb8, 7, 0, 0, 0, 0xc3]).unwrap();
        // SAFETY: the code above is a complete C function.
        let run: extern "C" fn() -> u32 = unsafe { std::mem::transmute(at) };
        assert_eq!(run(), 7);
        memory.patch(at + 4, 9);
        assert_eq!(run(), 9);
    }
}
