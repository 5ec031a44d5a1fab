//! Haiku as the host: what is there beside the kernel itself. A kernel that hands calls to Haiku's own is to stand here.

use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::pipe;

use crate::abi::signal::Signal;
use crate::abi::structs::SigInfo;
use crate::abi::{Status, SysResult};
use crate::root::EmbeddedRoot;
use crate::run::{Finished, RunOptions, StartError};

/// Says that there is no kernel for this host yet.
pub fn run_program(_options: RunOptions) -> Result<Finished, StartError> {
    Err(StartError::NoKernel("Haiku"))
}

/// Nothing to take over: no team starts another.
pub fn take_over(_arguments: &[OsString], _embedded: &[&'static EmbeddedRoot]) -> Result<Option<Finished>, StartError> {
    Ok(None)
}

/// Says that host signals do not reach the guest yet.
pub fn forward_signals(_deliver: impl Fn(SigInfo) + Send + 'static) -> SysResult {
    Err(Status::B_NOT_SUPPORTED)
}

/// Gives this process the name that the host's tools show.
pub fn name_process(name: &[u8]) {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: the name is a string that lives until the call has returned. A name that is refused leaves the one that was.
    unsafe { libc::rename_thread(libc::find_thread(std::ptr::null()), name.as_ptr()) };
}

/// Ends this process as the host's shells expect a process to die of `signal`. The host's numbers are the guest's.
pub fn die_of(signal: Signal) -> ! {
    let number = signal.0.into();
    // SAFETY: plain calls with valid arguments: the default action, and the signal sent to this process.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
        libc::raise(number);
    }
    std::process::exit(128 + number)
}

/// A pipe used as a flag.
#[derive(Debug)]
pub struct WakeFile {
    source: OwnedFd,
    sink: OwnedFd,
}

impl WakeFile {
    /// A flag that is down.
    pub fn new() -> SysResult<Self> {
        let (source, sink) = pipe()?;
        for end in [&source, &sink] {
            rustix::io::ioctl_fionbio(end, true)?;
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok(WakeFile { source, sink })
    }

    /// Raises the flag.
    pub fn wake(&self) {
        // Fails only when the pipe is full: then the flag is up already.
        let _ = rustix::io::write(&self.sink, &[1]);
    }

    /// Lowers the flag.
    pub fn reset(&self) {
        while rustix::io::read(&self.source, &mut [0; 64]).is_ok_and(|n| n > 0) {}
    }
}

impl AsFd for WakeFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl From<Errno> for Status {
    /// The host's errors are the guest's.
    fn from(errno: Errno) -> Self {
        Status::new(errno.raw_os_error()).unwrap_or(Status::B_ERROR)
    }
}
