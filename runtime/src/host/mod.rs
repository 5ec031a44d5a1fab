//! All code of the runtime that touches the host directly: memory maps, signals, entry to host code. The only place with `unsafe`.
//!
//! What depends on the host's processor stands in `x86_64`; hosts without a JIT back end use `portable`, which serves the interpreter.
#![allow(
    unsafe_code,
    reason = "the one folder of the crate where host memory and signals are handled; each use says why it is sound"
)]

pub(crate) mod background;
#[cfg(target_os = "linux")]
mod blocking;
pub(crate) mod callout;
pub(crate) mod code_memory;
pub(crate) mod file_view;
#[cfg(test)]
mod fork_test;
pub(crate) mod interrupt;
pub(crate) mod mapping;
pub mod program;
mod random;
mod system;
pub(crate) mod thread_memory;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) mod x86_64;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) use x86_64 as arch;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) mod portable;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) use portable as arch;

#[cfg(target_os = "linux")]
pub use blocking::blocking_syscall;
pub use interrupt::signal as interrupt_signal;
pub use mapping::PAGE_SIZE;
pub(crate) use random::random;
pub(crate) use system::thread_id;

/// What stopped a thread in host code, other than an exit of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NativeFault {
    /// A memory access.
    Memory {
        /// The first byte that could not be accessed.
        address: u64,
        /// Whether it was a store.
        write: bool,
        /// Whether something is mapped there, with nothing behind it.
        bus: bool,
    },
    /// #GP, #SS.
    Protection,
    /// #DE.
    Divide,
    /// #MF.
    X87,
    /// #XM.
    SimdFloat,
    /// None: the thread was called out at a safe point.
    Called,
}
