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

#![allow(dead_code, reason = "the whole layout stands here")]

use std::mem::offset_of;

use hokku_ir::guest::HostArea;
use hokku_ir::{CpuState, Gpr, Seg};

/// Scratch registers of single instructions; the first holds a computed jump's target.
pub(crate) const TARGET: u8 = 16;
pub(crate) const SCRATCH: u8 = 17;
/// The state pointer.
pub(crate) const STATE: u8 = 19;
/// The shadow return stack's pointer: it grows down, by pairs of guest and host return address.
pub(crate) const SHADOW: u8 = 20;
/// What [`hokku_ir::guest::HostArea::flag_site`] holds while the thread is outside.
pub(crate) const FLAG_SITE: u8 = 26;
/// The link register.
pub(crate) const LINK: u8 = 30;
/// Zero, or the stack pointer.
pub(crate) const ZERO: u8 = 31;

/// Registers for values, in the order in which they are taken.
pub(crate) const TEMPS: [u8; 8] = [21, 22, 23, 24, 25, 27, 28, 29];

/// The host register that holds `reg`.
pub(crate) fn home(reg: Gpr) -> u8 {
    reg as u8
}

macro_rules! offsets {
    ($($NAME:ident = $($field:ident).+;)*) => { $(pub(crate) const $NAME: i32 = offset_of!(CpuState, $($field).+) as i32;)* };
}

offsets! {
    GPR = gpr;
    VECTOR = vector;
    RIP = rip;
    STATUS_FLAGS = status_flags;
    SYSTEM_FLAGS = system_flags;
    MXCSR = mxcsr;
    JUMP_CACHE = host.jump_cache;
    DISPATCHER_SP = host.dispatcher_sp;
    SHADOW_SP = host.shadow_sp;
    SHADOW_TOP = host.shadow_top;
    EXIT_REASON = host.exit_reason;
    HOST_FLOAT_CONTROL = host.host_float_control;
    EXIT_SITE = host.exit_site;
    CALLOUT_FN = host.callout_fn;
    CALLOUT_CONTEXT = host.callout_context;
    CALLOUT_RESULT = host.callout_result;
    REGISTERS = host.registers;
    HOST_FLAG_SITE = host.flag_site;
}

/// Offset of `reg` in the state.
pub(crate) fn gpr_offset(reg: Gpr) -> i32 {
    GPR + 8 * reg as i32
}

/// Offset of quadword `word` of vector register `reg`.
pub(crate) fn vector_offset(reg: u8, word: i32) -> i32 {
    VECTOR + 32 * i32::from(reg) + 8 * word
}

/// Offset of the base address of `seg`.
pub(crate) fn segment_base_offset(seg: Seg) -> i32 {
    offset_of!(CpuState, segment_base) as i32 + 8 * seg as i32
}

/// Offset of the selector in `seg`.
pub(crate) fn selector_offset(seg: Seg) -> i32 {
    offset_of!(CpuState, selector) as i32 + 2 * seg as i32
}

/// Offset of spill slot `slot`.
pub(crate) fn slot_offset(slot: u8) -> i32 {
    (offset_of!(CpuState, host) + offset_of!(HostArea, spill)) as i32 + 8 * i32::from(slot)
}

/// Offset of operand `n` of a callout.
pub(crate) const fn callout_arg_offset(n: usize) -> i32 {
    (offset_of!(CpuState, host) + offset_of!(HostArea, callout_args) + 32 * n) as i32
}

/// Offset of vector spill slot `slot`, 32 bytes.
pub(crate) const fn vector_slot_offset(slot: u8) -> i32 {
    (offset_of!(CpuState, host) + offset_of!(HostArea, vector_spill)) as i32 + 32 * slot as i32
}

// Vectors are moved by instructions whose offsets are multiples of 16.
const _: () = assert!(callout_arg_offset(0) % 16 == 0 && CALLOUT_RESULT % 16 == 0 && vector_slot_offset(0) % 16 == 0);
