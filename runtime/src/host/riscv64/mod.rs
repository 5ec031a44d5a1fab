//! riscv64 Linux.

pub(crate) mod access;
pub(crate) mod atomics;
mod blocking;
mod cache;
pub(crate) mod context;
mod features;
pub(crate) mod memory_instruction;
mod routines;
pub(crate) mod step;

pub(crate) use super::native::boundary;
pub(crate) use super::native::out_of_line::Stepper;
pub(crate) use super::unix_clock as clock;
pub(crate) use super::x87_in_memory as x87;
pub(crate) use cache::flush_instruction_cache;

/// Nothing: the state's address is an argument of the code that is entered.
pub(crate) fn bind(_base: u64) {}

/// The back end for this host.
pub(crate) fn backend() -> Option<Box<dyn hokku_ir::backend::Backend>> {
    Some(Box::new(hokku_backend_riscv64::Riscv64::new(features::features())))
}

/// Functions that return 1 and 2.
pub(crate) const CODE_TEST: Option<[[u8; 8]; 2]> =
    Some([[0x13, 0x05, 0x10, 0x00, 0x67, 0x80, 0x00, 0x00], [0x13, 0x05, 0x20, 0x00, 0x67, 0x80, 0x00, 0x00]]);
