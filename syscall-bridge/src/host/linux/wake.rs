//! A file that becomes readable when somebody wants a waiting thread's attention.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::abi::SysResult;

/// An event counter used as a flag.
#[derive(Debug)]
pub struct WakeFile {
    file: OwnedFd,
    /// Whether the flag is up, or about to be: spares a host call to lower it.
    up: AtomicBool,
}

impl WakeFile {
    /// A flag that is down.
    pub fn new() -> SysResult<Self> {
        let file = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(WakeFile { file, up: AtomicBool::new(false) })
    }

    /// Raises the flag.
    pub fn wake(&self) {
        self.up.store(true, Ordering::SeqCst);
        // Fails only when the counter is full: then the flag is up already.
        let _ = rustix::io::write(&self.file, &1u64.to_ne_bytes());
    }

    /// Lowers the flag.
    pub fn reset(&self) {
        if self.up.swap(false, Ordering::SeqCst) {
            // Fails when `wake` has not come to its write yet: then the next wait looks around once in vain.
            let _ = rustix::io::read(&self.file, &mut [0u8; 8]);
        }
    }
}

impl AsFd for WakeFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
