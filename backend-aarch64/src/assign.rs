//! Where guest state lives in host registers, and which host registers are free.
//!
//! | guest | host |
//! |---|---|
//! | rax to r15, by encoding number | x0 to x15; 32-bit code has zeros in the upper halves |
//! | status flags | [`FLAG_SITE`] tells where; NZCV holds what the code at hand compares |
//! | xmm0 to xmm15 | v0 to v15; the upper halves of ymm are in memory |
//! | x87 and MMX | memory |
//!
//! x19 is the state pointer, x20 the shadow return stack's; x18 is left alone, since some systems use it. A computed jump's target is in x16.
//! The rest are temporaries; those in [`TEMPS`] survive callouts.

use hokku_ir::Gpr;
pub(crate) use hokku_ir::offsets::{FLAG_SITE as HOST_FLAG_SITE, *};

/// Scratch registers of single instructions; the first holds a computed jump's target.
pub(crate) const TARGET: u8 = 16;
pub(crate) const SCRATCH: u8 = 17;
/// The state pointer.
pub(crate) const STATE: u8 = 19;
/// The shadow return stack's pointer: it grows down, by pairs of guest and host return address.
pub(crate) const SHADOW: u8 = 20;
/// What [`hokku_ir::guest::HostArea::flag_site`] holds while the thread is outside.
pub(crate) const FLAG_SITE: u8 = 26;
/// A temporary in which no computed jump's target is.
pub(crate) const INDEX: u8 = 29;
/// The link register. Where a computed jump goes it tells where that came from.
pub(crate) const LINK: u8 = 30;
/// Zero, or the stack pointer.
pub(crate) const ZERO: u8 = 31;

/// Registers for values, in the order in which they are taken.
pub(crate) const TEMPS: [u8; 8] = [21, 22, 23, 24, 25, 27, 28, 29];

/// The host register that holds `reg`.
pub(crate) fn home(reg: Gpr) -> u8 {
    reg as u8
}

// Vectors are moved by instructions whose offsets are multiples of 16.
const _: () = assert!(callout_arg_offset(0) % 16 == 0 && CALLOUT_RESULT % 16 == 0 && vector_slot_offset(0) % 16 == 0);
