//! Where guest state lives in host registers, and which host registers are free.
//!
//! | guest | host |
//! |---|---|
//! | rax rdx rbx rsi rdi rbp, r8 to r12 | the same register |
//! | rsp, rcx | r13, r14 |
//! | r13, r14, r15 | memory, [`hokku_ir::CpuState::gpr`] |
//! | status flags | the status flags |
//! | xmm0 to xmm13 (32-bit code: xmm7) | the same register; upper halves too where the host has AVX |
//! | xmm14, xmm15 | memory |
//! | x87 and MMX | the processor's own |
//!
//! Host rsp is the shadow return stack, gs the state pointer; rcx and r15 (32-bit code: r8 to r12 too) are temporaries. rcx holds a computed jump's target.

use std::mem::offset_of;

use hokku_ir::guest::HostArea;
use hokku_ir::{CpuMode, CpuState, Gpr, Seg};

pub(crate) const RAX: u8 = 0;
pub(crate) const RCX: u8 = 1;
pub(crate) const RDX: u8 = 2;
pub(crate) const RBX: u8 = 3;
pub(crate) const RSP: u8 = 4;
pub(crate) const RBP: u8 = 5;
pub(crate) const R13: u8 = 13;
pub(crate) const R14: u8 = 14;
pub(crate) const R15: u8 = 15;

/// The host register that holds `reg`, if one does.
pub(crate) fn home(reg: Gpr) -> Option<u8> {
    match reg {
        Gpr::Rsp => Some(R13),
        Gpr::Rcx => Some(R14),
        Gpr::R13 | Gpr::R14 | Gpr::R15 => None,
        _ => Some(reg as u8),
    }
}

/// Host registers without a fixed meaning, in the order in which they are taken.
pub(crate) fn temporaries(mode: CpuMode) -> &'static [u8] {
    match mode {
        CpuMode::Long64 => &[R15, RCX],
        CpuMode::Protected32 => &[R15, 8, 9, 10, 11, 12, RCX],
    }
}

/// Number of vector registers that live in the host's.
pub(crate) fn pinned_vectors(mode: CpuMode) -> u8 {
    match mode {
        CpuMode::Long64 => 14,
        CpuMode::Protected32 => 8,
    }
}

macro_rules! offsets {
    ($($(#[$doc:meta])* $NAME:ident = $($field:ident).+;)*) => { $($(#[$doc])* pub(crate) const $NAME: i32 = offset_of!(CpuState, $($field).+) as i32;)* };
}

offsets! {
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
}

/// Number of spill slots of eight bytes.
pub(crate) const SLOTS: u8 = 64;

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
