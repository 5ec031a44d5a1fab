//! Haiku. Checked by the compiler alone so far: `hokku run` says that there is no kernel for it yet.

use std::ffi::{CString, c_void};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::host::PAGE_SIZE;

/// Maps at the given address, unless something is mapped there: without `MAP_FIXED` the address is a hint.
pub(crate) const MAP_IF_FREE: MapFlags = MapFlags::empty();

/// The calling thread's id.
pub(crate) fn thread_id() -> i32 {
    // SAFETY: a null name asks for the calling thread.
    unsafe { libc::find_thread(std::ptr::null()) }
}

/// A signal number that programs have no other use for. Source: headers/posix/signal.h, where real-time signals start at 33.
pub(crate) fn spare_signal() -> i32 {
    33 + 3
}

/// Sends `signal`, which has a handler, to thread `tid` of this process; a thread that has ended is nothing.
pub(crate) fn send_signal(tid: i32, signal: i32) {
    // SAFETY: takes numbers alone.
    unsafe { libc::send_signal(tid, signal.unsigned_abs()) };
}

/// Random bytes that nobody can predict: some of `bytes`, from the start; how many.
pub(crate) fn random_bytes(bytes: &mut [u8]) -> Result<usize, Errno> {
    let some = bytes.len().min(256);
    // SAFETY: writes so many bytes at most, which `bytes` has.
    let failed = unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), some) };
    if failed == 0 { Ok(some) } else { Err(last_error()) }
}

/// A file without a name, in memory, empty; it is called `name` until it has none.
pub(crate) fn memory_file(name: &str) -> Result<OwnedFd, Errno> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = CString::new(format!("/{name}-{}-{number}", std::process::id())).map_err(|_| Errno::INVAL)?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: the name is a string that lives until both calls have returned; a descriptor that is given is ours alone.
    unsafe {
        let fd = libc::shm_open(path.as_ptr(), flags, 0o600);
        if fd < 0 {
            return Err(last_error());
        }
        libc::shm_unlink(path.as_ptr());
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Maps shared memory at a second place: for Linux's `perf`, which is not here.
///
/// # Safety
/// None here.
pub(crate) unsafe fn map_again(
    _memory: *mut c_void,
    _bytes: usize,
    _at: *mut c_void,
    _prot: ProtFlags,
) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Has the pages of private memory made now: they come as they are written.
///
/// # Safety
/// None here.
pub(crate) unsafe fn populate(_at: *mut c_void, _bytes: usize) {}

/// Reads memory of this process at `at`, whatever is there; gives how many bytes, from the start, could be read.
pub(crate) fn read_memory(at: u64, to: &mut [u8]) -> usize {
    // SAFETY: the kernel writes to `to` alone.
    unsafe { through_pipe(at, to.as_mut_ptr() as u64, to.len(), at) }
}

/// Writes memory of this process at `at`, whatever is there; gives how many bytes, from the start, could be written.
///
/// # Safety
/// No Rust object lives there.
pub(crate) unsafe fn write_memory(at: u64, from: &[u8]) -> usize {
    // SAFETY: the caller's promise.
    unsafe { through_pipe(from.as_ptr() as u64, at, from.len(), at) }
}

/// Copies `len` bytes from one address to another by way of a pipe of the calling thread's own: the kernel checks both addresses. Goes from page to
/// page of `guest`, so that a piece is there as a whole or not at all; gives how many bytes were copied.
///
/// # Safety
/// Where `to` is mapped it may be written.
unsafe fn through_pipe(from: u64, to: u64, len: usize, guest: u64) -> usize {
    thread_local! {
        static PIPE: Option<(OwnedFd, OwnedFd)> = rustix::pipe::pipe().ok();
    }
    PIPE.with(|pipe| {
        let Some((source, sink)) = pipe else { return 0 };
        let mut done = 0;
        while done < len {
            let in_page = PAGE_SIZE - (guest + done as u64) % PAGE_SIZE;
            let piece = (len - done).min(in_page as usize);
            // SAFETY: the kernel checks the address.
            let written = unsafe { libc::write(sink.as_raw_fd(), (from + done as u64) as *const c_void, piece) };
            if written != piece as isize {
                return done;
            }
            // SAFETY: the caller's promise.
            let read = unsafe { libc::read(source.as_raw_fd(), (to + done as u64) as *mut c_void, piece) };
            if read != piece as isize {
                // What is left in the pipe must not come up later.
                let mut rest = [0; PAGE_SIZE as usize];
                // SAFETY: writes so many bytes at most, which `rest` has.
                unsafe { libc::read(source.as_raw_fd(), rest.as_mut_ptr().cast(), piece) };
                return done;
            }
            done += piece;
        }
        done
    })
}

fn last_error() -> Errno {
    std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}
