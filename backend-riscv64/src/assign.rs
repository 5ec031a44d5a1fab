//! Where guest state lives in host registers, and which host registers are free.
//!
//! | host | what |
//! |---|---|
//! | x10 to x17, x18 to x25 | rax to rdi, r8 to r15 (32-bit code: temporaries) |
//! | x8 | the state: [`hokku_ir::CpuState`] |
//! | x9 | the shadow return stack: entries of two words, host address and guest address, growing down |
//! | x26 | where the guest's flags are: [`hokku_ir::guest::HostArea::flag_site`]; 1 where all are in the state |
//! | x27 | those status flags that the block at hand reads of the ones before, at their EFLAGS places |
//! | x5 to x7, x28 to x30 | temporaries; x30 holds a computed jump's target |
//! | x31, x1 | scratch within an instruction's code |
//! | x2 to x4 | the host's own: its stack, and what signal handlers need |
//!
//! Vector registers, x87 and MMX are in memory.

use std::mem::offset_of;

use hokku_ir::guest::HostArea;
use hokku_ir::{CpuMode, CpuState, Gpr, Seg};

use crate::encode::Reg;

pub(crate) const RA: Reg = 1;
pub(crate) const SP: Reg = 2;
pub(crate) const STATE: Reg = 8;
pub(crate) const SHADOW: Reg = 9;
/// Where the guest's flags are.
pub(crate) const FLAGS: Reg = 26;
/// Flags before the block, as bits.
pub(crate) const OLDER: Reg = 27;
pub(crate) const TARGET: Reg = 30;
pub(crate) const SCRATCH: Reg = 31;

/// Bytes from the host address in an entry of the shadow stack to where the call returns to: five instructions.
pub(crate) const RETURN_DISTANCE: i32 = 20;

/// The homes of the guest registers.
pub(crate) const HOMES: [Reg; 16] = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25];

/// The home of `g`.
pub(crate) fn home(g: Gpr) -> Reg {
    HOMES[g.index()]
}

/// Host registers without a fixed meaning, in the order in which they are taken.
pub(crate) fn temporaries(mode: CpuMode) -> &'static [Reg] {
    match mode {
        CpuMode::Long64 => &[5, 6, 7, 28, 29, 30],
        CpuMode::Protected32 => &[5, 6, 7, 28, 29, 18, 19, 20, 21, 22, 23, 24, 25, 30],
    }
}

macro_rules! offsets {
    ($($(#[$doc:meta])* $NAME:ident = $($field:ident).+;)*) => {
        $($(#[$doc])* pub(crate) const $NAME: i32 = offset_of!(CpuState, $($field).+) as i32;)*
    };
}

offsets! {
    RIP = rip;
    STATUS_FLAGS = status_flags;
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
    /// Not zero where `mxcsr` asks for more than a rounding mode: kept by the stubs.
    FLOAT_IS_ODD = host.float_is_odd;
    FLAG_SITE = host.flag_site;
    REGISTERS = host.registers;
}

// All of it is within reach of one instruction.
const _: () = assert!(REGISTERS + 31 * 8 < 2048 && FLAG_SITE < 2048);

/// Offset of `reg` in the state.
pub(crate) fn gpr_offset(reg: Gpr) -> i32 {
    offset_of!(CpuState, gpr) as i32 + 8 * reg as i32
}

/// Offset of quadword `word` of vector register `reg`.
pub(crate) fn vector_offset(reg: u8, word: i32) -> i32 {
    offset_of!(CpuState, vector) as i32 + 32 * i32::from(reg) + 8 * word
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
pub(crate) fn callout_arg_offset(n: usize) -> i32 {
    (offset_of!(CpuState, host) + offset_of!(HostArea, callout_args) + 32 * n) as i32
}

/// Offset of the place where host register `r` is saved.
pub(crate) fn register_offset(r: Reg) -> i32 {
    REGISTERS + 8 * i32::from(r)
}
