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
//! | f8, f9, f18 to f26 | scalars: see [`crate::places`] |
//! | f27 | 2 to the power of -624: see [`crate::float_looks`] |
//! | f10 to f17 | x87 values, where those are doubles |
//! | v16 to v31 | the low 128 bits of xmm0 to xmm15, on hosts with vectors |
//! | v8 to v14, v15 | vectors within a block; zero |
//! | other f and v | scratch within an instruction's code |
//!
//! Upper halves of vector registers, all of them on hosts without vectors, x87 and MMX are in memory. Outside blocks, elements are of 64 bits.

pub(crate) use hokku_ir::offsets::*;
use hokku_ir::{CpuMode, Gpr};

use crate::encode::Reg;

pub(crate) const RA: Reg = 1;
pub(crate) const SP: Reg = 2;
pub(crate) const STATE: Reg = 8;
pub(crate) const SHADOW: Reg = 9;
/// Where the guest's flags are.
pub(crate) const FLAGS: Reg = 26;
/// Flags before the block, as bits.
pub(crate) const OLDER: Reg = 27;
/// Where a computed jump that is no call came from: the host address behind it.
pub(crate) const JUMPED: Reg = 29;
pub(crate) const TARGET: Reg = 30;
pub(crate) const SCRATCH: Reg = 31;
/// The floating-point registers of scalars: those that functions keep.
pub(crate) const FLOATS: [Reg; 11] = [8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26];
/// Holds what makes doubles tiny.
pub(crate) const SCALE: Reg = 27;
/// The home of xmm0.
pub(crate) const HOME_VECTOR: Reg = 16;
/// Holds zero.
pub(crate) const ZERO_VECTOR: Reg = 15;
/// The vector registers of values.
pub(crate) const VECTORS: [Reg; 7] = [8, 9, 10, 11, 12, 13, 14];

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

// All of it is within reach of one instruction.
const _: () = assert!(REGISTERS + 31 * 8 < 2048 && FLAG_SITE < 2048);
