//! One op at a time, for the unit tests of the families.

use super::{EvalFault, FixedSystem, FlatMemory, Machine, Val, eval_op};
use crate::guest::{CpuState, GuestAddr};
use crate::key::{CpuMode, X87Arithmetic};
use crate::ops::Op;

/// Guest state, memory and system around the op under test.
pub(super) struct Case {
    pub(super) cpu: CpuState,
    pub(super) memory: FlatMemory,
    pub(super) mode: CpuMode,
    pub(super) x87: X87Arithmetic,
}

impl Case {
    pub(super) fn new() -> Self {
        Case {
            cpu: CpuState::new(CpuMode::Long64),
            memory: FlatMemory::new(),
            mode: CpuMode::Long64,
            x87: X87Arithmetic::Exact,
        }
    }

    /// Evaluates `op` as part of the instruction at 0x401000.
    pub(super) fn eval(&mut self, op: Op, args: &[Val]) -> Result<Val, EvalFault> {
        let system = FixedSystem::default();
        let (x87, pc) = (self.x87, GuestAddr(0x40_1000));
        let machine =
            &mut Machine { cpu: &mut self.cpu, memory: &self.memory, system: &system, mode: self.mode, x87, pc };
        eval_op(&op, args, machine)
    }
}

/// Numbers as they come, always the same.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 8) % n
    }
}
