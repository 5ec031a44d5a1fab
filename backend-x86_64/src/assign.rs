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

pub(crate) use hokku_ir::offsets::*;
use hokku_ir::{CpuMode, Gpr};

pub(crate) const RAX: u8 = 0;
pub(crate) const RCX: u8 = 1;
pub(crate) const RDX: u8 = 2;
pub(crate) const RBX: u8 = 3;
pub(crate) const RSP: u8 = 4;
pub(crate) const RBP: u8 = 5;
pub(crate) const RSI: u8 = 6;
pub(crate) const RDI: u8 = 7;
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

/// Number of spill slots of eight bytes.
pub(crate) const SLOTS: u8 = 64;
