//! Host calls that block.

use std::sync::atomic::{AtomicU32, Ordering};

/// Makes a host call unless `flag` is set; gives what the kernel returns, errors negative.
///
/// # Safety
/// As the host call itself.
pub(crate) unsafe fn call(flag: &AtomicU32, number: i64, args: [u64; 6]) -> i64 {
    if flag.load(Ordering::SeqCst) != 0 {
        return -i64::from(libc::EINTR);
    }
    let [a, b, c, d, e, f] = args;
    // SAFETY: the caller answers for the call.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 { -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { result }
}
