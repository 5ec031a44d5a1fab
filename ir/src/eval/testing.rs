//! One op at a time, for the unit tests of the families.

use super::{EvalFault, FixedSystem, FlatMemory, Machine, Val, eval_op};
use crate::guest::{CpuState, GuestAddr};
use crate::key::CpuMode;
use crate::ops::Op;

/// Guest state, memory and system around the op under test.
pub(super) struct Case {
    pub(super) cpu: CpuState,
    pub(super) memory: FlatMemory,
    pub(super) mode: CpuMode,
}

impl Case {
    pub(super) fn new() -> Self {
        Case { cpu: CpuState::new(CpuMode::Long64), memory: FlatMemory::new(), mode: CpuMode::Long64 }
    }

    /// Evaluates `op` as part of the instruction at 0x401000.
    pub(super) fn eval(&mut self, op: Op, args: &[Val]) -> Result<Val, EvalFault> {
        let system = FixedSystem::default();
        let pc = GuestAddr(0x40_1000);
        let machine = &mut Machine { cpu: &mut self.cpu, memory: &self.memory, system: &system, mode: self.mode, pc };
        eval_op(&op, args, machine)
    }
}
