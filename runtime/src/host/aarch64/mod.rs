//! aarch64 Linux.

pub(crate) mod access;
pub(crate) mod atomics;
mod blocking;
pub(crate) mod boundary;
mod cache;
pub(crate) mod context;
pub(crate) mod memory_instruction;
pub(crate) mod step;

pub(crate) use super::native::out_of_line::Stepper;
pub(crate) use super::unix_clock as clock;
pub(crate) use super::x87_in_memory as x87;
pub(crate) use cache::flush_instruction_cache;

/// Nothing: the state's address is an argument of the code that is entered.
pub(crate) fn bind(_base: u64) {}

/// The back end for this host: there is none yet.
pub(crate) fn backend() -> Option<Box<dyn hokku_ir::backend::Backend>> {
    None
}

/// Functions that return 1 and 2.
pub(crate) const CODE_TEST: Option<[[u8; 8]; 2]> =
    Some([[0x20, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6], [0x40, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6]]);
