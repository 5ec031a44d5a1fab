//! The x87 state is always in [`CpuState::x87`].

use hokku_ir::CpuState;

/// Nothing to take.
pub(crate) fn save(_cpu: &mut CpuState) {}

/// Nothing to put.
pub(crate) fn load(_cpu: &mut CpuState) {}
