//! The x87 state is always in [`CpuState::x87`].

use hokku_ir::eval::X87Code;
use hokku_ir::{CpuMode, CpuState, GuestAddr};

/// An x87 instruction of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuestInstruction {
    pub(crate) pc: GuestAddr,
    pub(crate) mode: CpuMode,
    pub(crate) code: X87Code,
}

/// Nothing to take.
pub(crate) fn save(_cpu: &mut CpuState, _translated: impl FnOnce(u64) -> Option<GuestInstruction>) {}

/// Nothing to put.
pub(crate) fn load(_cpu: &mut CpuState) {}
