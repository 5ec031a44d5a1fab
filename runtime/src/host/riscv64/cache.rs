//! Instruction fetches and stores.

/// The host call `riscv_flush_icache`: Linux's first one of this processor alone.
const FLUSH: libc::c_long = 259;

/// Makes code that was written visible to the instruction fetches of all threads.
pub(crate) fn flush_instruction_cache(at: u64, len: usize) {
    // No flags: all threads of the process, on whatever processor they are.
    // SAFETY: changes no memory. It can only fail for flags that there are not.
    let failed = unsafe { libc::syscall(FLUSH, at, at + len as u64, 0) };
    assert_eq!(failed, 0, "flushing instruction caches");
}
