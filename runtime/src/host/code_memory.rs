//! Memory for translated code: the same memory mapped twice, once to write and once to execute. Behind the latter lie the words that code
//! counts down.
//!
//! It is filled in parts, one after the other and then from the first again, so that what is emptied when all is full is the oldest part alone.
//!
//! What must hold: code is written only where no thread can be executing it (fresh space), but for single aligned words, which host
//! processors fetch whole. The code cache sees to the first; [`CodeMemory::patch`] to the second.

use std::ffi::c_void;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::fs::ftruncate;
use rustix::io::{Errno, pread, pwrite};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use super::system::{map_again, memory_file};

/// Alignment of each piece of code, a cache line: how fast code runs depends on its place in one, and the x86-64 back end builds on it
/// (`align_window`).
const ALIGNMENT: usize = 64;

/// Bytes of code for each byte of counters: the smallest counted region takes more than 128 bytes, its counter 4.
const CODE_PER_COUNTER_BYTE: usize = 32;

/// The least bytes of a part: a region of any size fits, with the stubs.
pub(crate) const LEAST_PART: usize = 128 << 10;

/// The most parts.
const MOST_PARTS: usize = 8;

/// A fixed amount of memory for code.
#[derive(Debug)]
pub(crate) struct CodeMemory {
    /// Where it can be written.
    writable: u64,
    /// Where it can be executed.
    executable: u64,
    size: usize,
    /// Bytes of counters, which start where the executable code ends.
    counter_bytes: usize,
    parts: Vec<Part>,
    /// The part that is being filled.
    current: usize,
    /// The file, where what is executable has to be mapped again after changes ([`fetches_miss_changes`]).
    file: Option<OwnedFd>,
    /// Whether it is made for Linux's `perf` ([`Self::for_perf`]).
    for_perf: bool,
}

/// A part of the code and of the counters: offsets from the start of each.
#[derive(Clone, Debug)]
struct Part {
    /// Where code starts that can go.
    start: usize,
    end: usize,
    used: usize,
    counters: Range<usize>,
    counters_used: usize,
}

impl Part {
    fn next(&self, len: usize) -> Option<usize> {
        let start = self.used.next_multiple_of(ALIGNMENT);
        (start.checked_add(len)? <= self.end).then_some(start)
    }

    fn is_empty(&self) -> bool {
        self.used == self.start
    }
}

/// The parts of `size` bytes of code and `counter_bytes` bytes of counters.
fn parts(size: usize, counter_bytes: usize) -> Vec<Part> {
    let count = (size / LEAST_PART).clamp(1, MOST_PARTS);
    let bounds = |bytes: usize, i: usize| bytes / ALIGNMENT * i / count * ALIGNMENT;
    let part = |i| {
        let (start, end) = (bounds(size, i), bounds(size, i + 1));
        let counters = bounds(counter_bytes, i)..bounds(counter_bytes, i + 1);
        Part { start, end, used: start, counters_used: counters.start, counters }
    };
    (0..count).map(part).collect()
}

impl CodeMemory {
    /// Makes `size` bytes, a multiple of the page size.
    pub(crate) fn new(size: usize) -> Result<Self, Errno> {
        let (mut memory, file) = Self::map(size)?;
        memory.file = fetches_miss_changes().then_some(file);
        Ok(memory)
    }

    /// Makes `size` bytes, a multiple of the page size, in memory without a file: Linux's `perf` looks into its map of code made at run time for
    /// no other.
    pub(crate) fn for_perf(size: usize) -> Result<Self, Errno> {
        let mut memory = Self::map_twice(size, |executable| {
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: a new mapping at an address of the kernel's choice.
            let writable = unsafe { mmap_anonymous(std::ptr::null_mut(), size, prot, MapFlags::SHARED)? };
            // SAFETY: the second place is the caller's.
            let mapped = unsafe { map_again(writable, size, executable, ProtFlags::READ | ProtFlags::EXEC) };
            if let Err(error) = mapped {
                // SAFETY: mapped above; nobody else knows of it.
                unsafe { munmap(writable, size)? };
                return Err(error);
            }
            Ok(writable as u64)
        })?;
        memory.for_perf = true;
        Ok(memory)
    }

    fn map(size: usize) -> Result<(Self, OwnedFd), Errno> {
        let file = memory_file("hokku-code")?;
        ftruncate(&file, size as u64)?;
        let map = |at: *mut c_void, prot, flags| {
            // SAFETY: at an address of the kernel's choice, or at the place for executable code, which nobody uses yet.
            unsafe { mmap(at, size, prot, MapFlags::SHARED | flags, file.as_fd(), 0) }.map(|p| p as u64)
        };
        let memory = Self::map_twice(size, |executable| {
            map(executable, ProtFlags::READ | ProtFlags::EXEC, MapFlags::FIXED)?;
            map(std::ptr::null_mut(), ProtFlags::READ | ProtFlags::WRITE, MapFlags::empty())
        })?;
        Ok((memory, file))
    }

    /// Makes `size` bytes with `map`, which is given where they are to be executed, and gives where it can be written.
    fn map_twice(size: usize, map: impl FnOnce(*mut c_void) -> Result<u64, Errno>) -> Result<Self, Errno> {
        let counter_bytes = (size / CODE_PER_COUNTER_BYTE).next_multiple_of(super::PAGE_SIZE as usize);
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let both = unsafe { mmap_anonymous(std::ptr::null_mut(), size + counter_bytes, prot, MapFlags::PRIVATE)? };
        match map(both) {
            Ok(writable) => {
                let executable = both as u64;
                let parts = parts(size, counter_bytes);
                let (file, for_perf) = (None, false);
                Ok(CodeMemory { writable, executable, size, counter_bytes, parts, current: 0, file, for_perf })
            }
            Err(error) => {
                // SAFETY: mapped above; nobody else knows of it.
                unsafe { munmap(both, size + counter_bytes)? };
                Err(error)
            }
        }
    }

    /// Makes a counter that starts at `count`, for code that is published next; gives its host address, or `None` when there is no more room.
    pub(crate) fn counter(&mut self, count: u32) -> Option<u64> {
        let part = &mut self.parts[self.current];
        let start = part.counters_used;
        if start + 4 > part.counters.end {
            return None;
        }
        part.counters_used = start + 4;
        let at = self.executable + (self.size + start) as u64;
        // SAFETY: an aligned word inside the mapping that starts behind the code; Rust code reaches it through such atomics alone.
        let place = unsafe { AtomicU32::from_ptr(at as *mut u32) };
        place.store(count, Ordering::Release);
        Some(at)
    }

    /// Host addresses that code of this memory can have.
    pub(crate) fn range(&self) -> Range<u64> {
        self.executable..self.executable + self.size as u64
    }

    /// The most bytes of code that an empty part has room for.
    pub(crate) fn largest(&self) -> usize {
        self.parts.iter().map(|part| part.end - part.start).min().unwrap_or(0)
    }

    /// Where the next `len` bytes of code will be, in this part or the next one if that is empty; `None` when they do not fit.
    pub(crate) fn next(&mut self, len: usize) -> Option<u64> {
        if self.parts[self.current].next(len).is_none() {
            let next = (self.current + 1) % self.parts.len();
            self.parts[next].next(len).filter(|_| self.parts[next].is_empty())?;
            self.current = next;
        }
        Some(self.executable + self.parts[self.current].next(len)? as u64)
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
        self.changed(at, code.len());
        self.parts[self.current].used = offset + code.len();
        Some(at)
    }

    /// Replaces the aligned word at host address `at`, in code that may be running.
    pub(crate) fn patch(&self, at: u64, word: u32) {
        let offset = at.wrapping_sub(self.executable);
        assert!(at % 4 == 0 && offset + 4 <= self.size as u64, "patch outside of code: {at:#x}");
        // SAFETY: aligned and inside the mapping; all writes to words of running code are such atomic stores.
        let place = unsafe { AtomicU32::from_ptr((self.writable + offset) as *mut u32) };
        place.store(word, Ordering::Release);
        self.changed(at, 4);
    }

    /// Replaces the code at host address `at`, which no thread is running.
    pub(crate) fn replace(&self, at: u64, code: &[u8]) {
        let offset = at.wrapping_sub(self.executable);
        assert!(offset + code.len() as u64 <= self.size as u64, "replacing outside of code: {at:#x}");
        // SAFETY: inside the mapping; nothing is executed there, the caller says.
        unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), (self.writable + offset) as *mut u8, code.len()) };
        self.changed(at, code.len());
    }

    /// Lets instruction fetches see the `len` bytes at host address `at`, which have been written. May be called in signal handlers.
    fn changed(&self, at: u64, len: usize) {
        super::arch::flush_instruction_cache(at, len);
        let Some(file) = &self.file else { return };
        let page = super::PAGE_SIZE;
        let (start, end) = (at & !(page - 1), (at + len as u64).next_multiple_of(page));
        let (prot, flags) = (ProtFlags::READ | ProtFlags::EXEC, MapFlags::SHARED | MapFlags::FIXED);
        // SAFETY: the same pages of the same file as before, so that threads in other code on them notice nothing.
        let mapped =
            unsafe { mmap(start as *mut c_void, (end - start) as usize, prot, flags, file, start - self.executable) };
        assert!(mapped.is_ok(), "mapping code again: {mapped:?}");
    }

    /// Replaces the aligned double word at host address `at`, which code that may be running loads.
    pub(crate) fn patch_double(&self, at: u64, value: u64) {
        let offset = at.wrapping_sub(self.executable);
        assert!(at % 8 == 0 && offset + 8 <= self.size as u64, "patch outside of code: {at:#x}");
        // SAFETY: as for words.
        let place = unsafe { AtomicU64::from_ptr((self.writable + offset) as *mut u64) };
        place.store(value, Ordering::Release);
    }

    /// Number of bytes of code.
    pub(crate) fn used(&self) -> usize {
        self.parts.iter().map(|part| part.used - part.start).sum::<usize>() + self.kept().len()
    }

    /// The code that is kept for ever: offsets.
    fn kept(&self) -> Range<usize> {
        0..self.parts[0].start
    }

    /// A copy of the code that is kept for ever, and of the rest too if `all`, for a child process to [`Self::adopt`].
    pub(crate) fn copy(&self, all: bool) -> Result<OwnedFd, Errno> {
        let file = memory_file("hokku-code")?;
        ftruncate(&file, self.size as u64)?;
        let rest = self.parts.iter().filter(|_| all).map(|part| part.start..part.used);
        for mut range in [self.kept()].into_iter().chain(rest) {
            while !range.is_empty() {
                let at = self.executable + range.start as u64;
                // SAFETY: inside the mapping; nobody writes there meanwhile, which takes `&mut self` or the lock that the caller has `self` by.
                let code = unsafe { std::slice::from_raw_parts(at as *const u8, range.len()) };
                match pwrite(&file, code, range.start as u64)? {
                    0 => return Err(Errno::IO),
                    written => range.start += written,
                }
            }
        }
        Ok(file)
    }

    /// Goes on with `copy` of this memory, in a child process: what there was is its parent's as well. Host addresses stay as they are. After an
    /// error there may be no code any more.
    pub(crate) fn adopt(&mut self, copy: OwnedFd) -> Result<(), Errno> {
        let (executable, writable) = (self.executable as *mut c_void, self.writable as *mut c_void);
        let (rx, rw) = (ProtFlags::READ | ProtFlags::EXEC, ProtFlags::READ | ProtFlags::WRITE);
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: over this value's own mappings; no thread of this process is in code.
        unsafe {
            if self.for_perf {
                mmap_anonymous(writable, self.size, rw, flags)?;
                map_again(writable, self.size, executable, rx)?;
            } else {
                mmap(executable, self.size, rx, flags, &copy, 0)?;
                mmap(writable, self.size, rw, flags, &copy, 0)?;
            }
        }
        for mut used in [self.kept()].into_iter().chain(self.parts.iter().map(|part| part.start..part.used)) {
            let (start, len) = (self.executable + used.start as u64, used.len());
            while self.for_perf && !used.is_empty() {
                let at = (self.writable + used.start as u64) as *mut u8;
                // SAFETY: inside the mapping made above, which nobody uses yet.
                let to = unsafe { std::slice::from_raw_parts_mut(at, used.len()) };
                match pread(&copy, to, used.start as u64)? {
                    0 => return Err(Errno::IO),
                    read => used.start += read,
                }
            }
            super::arch::flush_instruction_cache(start, len);
        }
        self.file = self.file.take().map(|_| copy);
        Ok(())
    }

    /// Keeps what is there now for ever.
    pub(crate) fn keep(&mut self) {
        let part = &mut self.parts[self.current];
        part.start = part.used;
    }

    /// Host addresses of the part that is to be emptied next: the one that was filled first.
    pub(crate) fn oldest(&self) -> Range<u64> {
        let part = &self.parts[(self.current + 1) % self.parts.len()];
        self.executable + part.start as u64..self.executable + part.end as u64
    }

    /// Forgets the code in the oldest part, which is filled next. No thread may be running it.
    pub(crate) fn empty_oldest(&mut self) {
        self.current = (self.current + 1) % self.parts.len();
        let part = &mut self.parts[self.current];
        part.used = part.start;
        part.counters_used = part.counters.start;
    }

    /// Forgets all code but what is kept. No thread may be running it.
    pub(crate) fn empty(&mut self) {
        for _ in 0..self.parts.len() {
            self.empty_oldest();
        }
        self.current = 0;
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

/// Whether instruction fetches miss what was written through the other mapping, caches flushed or not, until the code is mapped again. Hosts'
/// processors do not; qemu-user 7.2 keeps its own translations where only the address that was written tells it of a change.
fn fetches_miss_changes() -> bool {
    static MISS: OnceLock<bool> = OnceLock::new();
    *MISS.get_or_init(|| {
        let (Some([one, two]), Ok((mut memory, _))) =
            (super::arch::CODE_TEST, CodeMemory::map(super::PAGE_SIZE as usize))
        else {
            return false;
        };
        let Some(at) = memory.publish(&one) else { return false };
        // SAFETY: complete C functions, which return 1 and 2.
        let run: extern "C" fn() -> u32 = unsafe { std::mem::transmute(at) };
        let first = run();
        memory.replace(at, &two);
        (first, run()) != (1, 2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_placed_aligned_until_it_is_full() {
        let mut memory = CodeMemory::new(4096).unwrap();
        let first = memory.publish(&[0xc3; 5]).unwrap();
        memory.keep();
        let second = memory.publish(&[0xc3; 4000]).unwrap();
        assert_eq!((first % 64, second - first), (0, 64));
        assert_eq!(memory.publish(&[0; 100]), None);
        memory.empty();
        assert_eq!(memory.publish(&[0; 100]), Some(second));
    }

    #[test]
    fn parts_are_filled_in_turns_and_emptied_oldest_first() {
        let mut memory = CodeMemory::new(3 * LEAST_PART).unwrap();
        memory.publish(&[0xc3; 16]).unwrap();
        memory.keep();
        let most = vec![0xc3; LEAST_PART - 64];
        let places = [(); 3].map(|()| memory.publish(&most).unwrap());
        assert_eq!(memory.publish(&most), None);
        for round in 0..7 {
            assert!(memory.oldest().contains(&places[round % 3]), "{round}");
            memory.empty_oldest();
            let counter = memory.counter(1).unwrap();
            assert_eq!(memory.publish(&most), Some(places[round % 3]), "{round}");
            assert!(counter >= memory.range().end && (0..LEAST_PART).any(|_| memory.counter(1).is_none()));
            assert_eq!(memory.publish(&most), None);
        }
        assert!(most.len() <= memory.largest());
    }

    /// What /proc says of the mapping that starts at `at`.
    fn mapping(at: u64) -> String {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().find(|l| l.starts_with(&format!("{at:x}-"))).unwrap().to_owned()
    }

    #[test]
    fn a_copy_takes_the_place_of_what_it_was_made_from() {
        let Some([one, two]) = super::super::arch::CODE_TEST else { return };
        let mut kinds = vec![CodeMemory::new(3 * LEAST_PART).unwrap()];
        // qemu-user knows no mapping of one memory at two addresses without a file.
        if cfg!(target_arch = "x86_64") {
            kinds.push(CodeMemory::for_perf(3 * LEAST_PART).unwrap());
        }
        for mut memory in kinds {
            let kept = memory.publish(&one).unwrap();
            memory.keep();
            let at = memory.publish(&one).unwrap();
            let whole = memory.copy(true).unwrap();
            let least = memory.copy(false).unwrap();
            memory.replace(at, &two);
            // SAFETY: complete C functions.
            let run = |at: u64| (unsafe { std::mem::transmute::<u64, extern "C" fn() -> u32>(at) })();
            assert_eq!((run(kept), run(at)), (1, 2));
            memory.adopt(whole).unwrap();
            assert_eq!((run(kept), run(at)), (1, 1));
            memory.replace(at, &two);
            assert_eq!(run(at), 2);
            memory.adopt(least).unwrap();
            memory.empty();
            assert_eq!((run(kept), memory.publish(&two)), (1, Some(at)));
            assert_eq!(run(at), 2);
        }
    }

    #[test]
    fn no_mapping_is_writable_and_executable() {
        let memory = CodeMemory::new(4096).unwrap();
        assert!(mapping(memory.writable).contains(" rw-s "));
        assert!(mapping(memory.executable).contains(" r-xs "));
    }

    // qemu-user knows no mapping of one memory at two addresses without a file.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn perf_takes_the_code_for_code_made_at_run_time() {
        let mut memory = CodeMemory::for_perf(4096).unwrap();
        assert!(mapping(memory.writable).contains(" rw-s "));
        let executable = mapping(memory.executable);
        // perf's is_anon_memory() knows this name, and none of memory files.
        assert!(executable.contains(" r-xs ") && executable.contains(" /dev/zero"), "{executable}");
        let at = memory.publish(&[1, 2, 3]).unwrap();
        // SAFETY: three bytes of code, which nobody writes to.
        assert_eq!(unsafe { std::slice::from_raw_parts(at as *const u8, 3) }, [1, 2, 3]);
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
        memory.empty();
        assert_eq!(memory.counter(7), Some(first));
    }

    #[test]
    fn code_that_is_replaced_is_the_new_code() {
        let Some([one, two]) = super::super::arch::CODE_TEST else { return };
        let mut memory = CodeMemory::new(4096).unwrap();
        let at = memory.publish(&one).unwrap();
        // SAFETY: complete C functions.
        let run: extern "C" fn() -> u32 = unsafe { std::mem::transmute(at) };
        for _ in 0..3 {
            assert_eq!(run(), 1);
            memory.replace(at, &two);
            assert_eq!(run(), 2);
            memory.replace(at, &one);
        }
        memory.patch(at, u32::from_le_bytes(two[..4].try_into().unwrap()));
        assert_eq!(run(), 2);
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
