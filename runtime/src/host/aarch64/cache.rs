//! Instruction fetches and stores.

use std::arch::asm;

/// Makes code that was written, through any mapping, visible to the instruction fetches of all threads. Threads that are in changed code see it soon.
pub(crate) fn flush_instruction_cache(at: u64, len: usize) {
    let kinds: u64;
    // SAFETY: reads a register that Linux lets programs read.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) kinds, options(nomem, nostack, preserves_flags)) };
    // Lines of the smallest data and instruction caches, in words, as powers of two. Source: DDI 0487, CTR_EL0.
    let (data, code) = (4 << (kinds >> 16 & 15), 4 << (kinds & 15));
    let end = at + len as u64;
    for line in (at & !(data - 1)..end).step_by(data as usize) {
        // SAFETY: cleans a line of memory that is mapped; changes nothing.
        unsafe { asm!("dc cvau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    for line in (at & !(code - 1)..end).step_by(code as usize) {
        // SAFETY: drops what instruction caches hold of a line.
        unsafe { asm!("ic ivau, {}", in(reg) line, options(nostack, preserves_flags)) };
    }
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) };
}
