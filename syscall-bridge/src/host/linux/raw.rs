//! Guest memory and host calls: the few places where a checked guest range becomes a pointer that the host's kernel uses.

use std::os::fd::BorrowedFd;

use hokku_runtime::HostBuffer;
use rustix::io::Errno;

/// Most buffers that Linux takes in one call.
const MAX_BUFFERS: usize = 1024;

fn vectors(buffers: &[HostBuffer]) -> Vec<libc::iovec> {
    buffers.iter().take(MAX_BUFFERS).map(|b| libc::iovec { iov_base: b.as_ptr().cast(), iov_len: b.len() }).collect()
}

fn result(n: isize) -> Result<usize, Errno> {
    usize::try_from(n).map_err(|_| Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Reads into guest memory; at the file position where none is given.
pub(super) fn read(fd: BorrowedFd<'_>, buffers: &[HostBuffer], position: Option<i64>) -> Result<usize, Errno> {
    use std::os::fd::AsRawFd;
    let vectors = vectors(buffers);
    let count = vectors.len() as libc::c_int;
    // SAFETY: the vectors name guest memory, which the kernel checks while it writes; Rust holds no reference into guest memory.
    result(unsafe {
        match position {
            Some(at) => libc::preadv(fd.as_raw_fd(), vectors.as_ptr(), count, at),
            None => libc::readv(fd.as_raw_fd(), vectors.as_ptr(), count),
        }
    })
}

/// Writes from guest memory; at the file position where none is given.
pub(super) fn write(fd: BorrowedFd<'_>, buffers: &[HostBuffer], position: Option<i64>) -> Result<usize, Errno> {
    use std::os::fd::AsRawFd;
    let vectors = vectors(buffers);
    let count = vectors.len() as libc::c_int;
    // SAFETY: the vectors name guest memory, which the kernel checks while it reads; Rust holds no reference into guest memory.
    result(unsafe {
        match position {
            Some(at) => libc::pwritev(fd.as_raw_fd(), vectors.as_ptr(), count, at),
            None => libc::writev(fd.as_raw_fd(), vectors.as_ptr(), count),
        }
    })
}

/// A descriptor of the host that this process was started with, as a number.
///
/// Gives a duplicate, so that the original is never closed by accident.
pub(super) fn inherited(fd: i32) -> Result<std::os::fd::OwnedFd, Errno> {
    // SAFETY: borrowed for this call only; a number that is no open descriptor makes the call fail.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_dupfd_cloexec(borrowed, FIRST_PRIVATE_FD)
}

/// The descriptor of `owner`, which is not used any more but may not end: nobody else closes it from here on.
pub(super) fn taken_from(owner: std::sync::Arc<std::os::fd::OwnedFd>) -> std::os::fd::OwnedFd {
    use std::os::fd::{AsRawFd, FromRawFd};
    let fd = owner.as_raw_fd();
    // Its count never reaches zero now.
    std::mem::forget(owner);
    // SAFETY: the descriptor is open, since `owner` was there until now, and will not be closed by it.
    unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) }
}

/// Takes over a descriptor that the process which started this one left for it.
pub(super) fn take_over(fd: i32) -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // Fails where there is no such descriptor.
    let copy = inherited(fd)?;
    // SAFETY: the caller says that this descriptor was made for it alone, and it was just seen to be open.
    drop(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) });
    Ok(copy)
}

/// Host descriptors of ours start here: below are those that programs which hokku itself starts expect.
pub(super) const FIRST_PRIVATE_FD: i32 = 64;
