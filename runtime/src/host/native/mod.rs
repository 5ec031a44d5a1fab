//! Hosts whose processor hokku knows: guarded access to guest memory, fault signals, entry to host code. What differs between processors stands in
//! the folders named after them.

pub(crate) mod blocking;
#[cfg(any(target_arch = "riscv64", target_arch = "aarch64"))]
pub(crate) mod boundary;
#[cfg(any(target_arch = "riscv64", target_arch = "aarch64"))]
pub(in crate::host) mod contained;
pub(crate) mod enter;
pub(crate) mod fault;
pub(crate) mod guest_access;
#[cfg(any(target_arch = "riscv64", target_arch = "aarch64"))]
pub(in crate::host) mod out_of_line;

pub(crate) use super::processor::boundary::{callout_entry, x87_entry};
pub(crate) use super::processor::{CODE_TEST, backend, clock, flush_instruction_cache, x87};

/// The interrupt signal has come.
pub(crate) fn on_interrupt(context: &mut libc::ucontext_t) {
    super::processor::step::on_interrupt(context);
}
