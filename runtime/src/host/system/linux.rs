//! Linux.

use std::ffi::c_void;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mprotect, mremap_fixed};
use rustix::rand::{GetRandomFlags, getrandom};

/// Maps at the given address, unless something is mapped there; old kernels and emulators take it as a hint.
pub(crate) const MAP_IF_FREE: MapFlags = MapFlags::FIXED_NOREPLACE;

/// The calling thread's id.
pub(crate) fn thread_id() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// A signal number that programs have no other use for.
pub(crate) fn spare_signal() -> i32 {
    libc::SIGRTMIN() + 3
}

/// Sends `signal`, which has a handler, to thread `tid` of this process; a thread that has ended is nothing.
pub(crate) fn send_signal(tid: i32, signal: i32) {
    // SAFETY: tgkill takes numbers alone.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, signal) };
}

/// Random bytes that nobody can predict: some of `bytes`, from the start; how many.
pub(crate) fn random_bytes(bytes: &mut [u8]) -> Result<usize, Errno> {
    getrandom(bytes, GetRandomFlags::empty())
}

/// A file without a name, in memory, empty; for error messages and `/proc` it is called `name`.
pub(crate) fn memory_file(name: &str) -> Result<OwnedFd, Errno> {
    memfd_create(name, MemfdFlags::CLOEXEC)
}

/// Maps the `bytes` of shared memory at `memory` at `at` as well, with protection `prot`, in place of what is there.
///
/// # Safety
/// `memory` is one mapping of that size, `at` another that nobody relies on.
pub(crate) unsafe fn map_again(
    memory: *mut c_void,
    bytes: usize,
    at: *mut c_void,
    prot: ProtFlags,
) -> Result<(), Errno> {
    // An old size of zero leaves the old mapping in place (mremap(2)).
    // SAFETY: the caller's promise.
    unsafe {
        mremap_fixed(memory, 0, bytes, MremapFlags::MAYMOVE, at)?;
        mprotect(at, bytes, MprotectFlags::from_bits_retain(prot.bits()))
    }
}

/// Has the pages of private memory made now, if that can be done at once.
///
/// # Safety
/// The range is mapped, and nobody relies on its not being there.
pub(crate) unsafe fn populate(at: *mut c_void, bytes: usize) {
    // An advice: where the kernel does not take it, the pages come one by one.
    // SAFETY: the caller's promise; the contents stay.
    let _ = unsafe { madvise(at, bytes, Advice::LinuxPopulateWrite) };
}

/// Reads memory of this process at `at`, whatever is there; gives how many bytes, from the start, could be read.
#[cfg_attr(
    any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "x86_64"),
    expect(dead_code, reason = "this host handles faults itself")
)]
pub(crate) fn read_memory(at: u64, to: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast(), iov_len: to.len() };
    let remote = libc::iovec { iov_base: at as *mut c_void, iov_len: to.len() };
    // SAFETY: the kernel writes to `to` alone and checks the other address.
    let done = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(done).unwrap_or(0)
}

/// Writes memory of this process at `at`, whatever is there; gives how many bytes, from the start, could be written.
///
/// # Safety
/// No Rust object lives there.
#[cfg_attr(
    any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "x86_64"),
    expect(dead_code, reason = "this host handles faults itself")
)]
pub(crate) unsafe fn write_memory(at: u64, from: &[u8]) -> usize {
    let local = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = libc::iovec { iov_base: at as *mut c_void, iov_len: from.len() };
    // SAFETY: the caller's promise; the kernel checks that the memory is there.
    let done = unsafe { libc::process_vm_writev(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(done).unwrap_or(0)
}
