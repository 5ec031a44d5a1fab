//! All code of the runtime that touches the host directly: memory maps, signals, entry to host code. The only place with `unsafe`.
//!
//! What depends on the host's processor stands in the folders `x86_64`, `riscv64` and `aarch64`, what these share in `native`; other hosts use
//! `portable`, which serves the interpreter.
#![allow(
    unsafe_code,
    reason = "the one folder of the crate where host memory and signals are handled; each use says why it is sound"
)]

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
pub mod threads;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) mod unix_clock;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) mod x87_in_memory;

#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
#[path = "aarch64/mod.rs"]
mod processor;
#[cfg(all(target_os = "linux", target_arch = "riscv64"))]
#[path = "riscv64/mod.rs"]
mod processor;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[path = "x86_64/mod.rs"]
mod processor;

#[cfg(all(target_os = "linux", any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "x86_64")))]
pub(crate) mod native;
#[cfg(all(target_os = "linux", any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "x86_64")))]
pub(crate) use native as arch;

#[cfg(not(all(target_os = "linux", any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "x86_64"))))]
pub(crate) mod portable;
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "x86_64")
)))]
pub(crate) use portable as arch;

#[cfg(target_os = "linux")]
pub use blocking::blocking_syscall;
pub use interrupt::signal as interrupt_signal;
pub use mapping::PAGE_SIZE;
pub(crate) use random::random;
pub(crate) use system::thread_id;

/// What stopped a thread in host code, other than an exit of the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "other processors raise no signals for divisions and floating point")
)]
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
