//! Host calls that a guest thread may block in.

use super::arch;
use crate::thread::{Attention, Thread};

/// Makes host call `number` for `thread`; gives what the kernel returns: a result, or an error number as a negative value. `-EINTR` where the
/// thread is interrupted before or meanwhile, even just before it blocks. `-EINTR` without [`Thread::is_interrupted`] means nothing: other threads
/// changed code; the call may be made again.
///
/// # Safety
/// The call and its arguments do nothing to memory that Rust code of this process relies on.
pub unsafe fn blocking_syscall(thread: &Thread, number: i64, args: [u64; 6]) -> i64 {
    // A stop concerns threads in guest code alone.
    thread.shared.answer(Attention::STOP);
    // SAFETY: the caller's promise.
    unsafe { arch::blocking::call(thread.shared.attention_word(), number, args) }
}
