//! The stack pointer's home is late: `push`, `pop` and kin address the stack relative to it, and it moves once behind several.

use hokku_ir::lowering::MAX_OFFSET;
use hokku_ir::{CpuMode, Gpr, Op, Value, Width};

use crate::assign::home;
use crate::encode::*;
use crate::lower::Lowering;

/// Whether the code of `op` neither leaves nor calls the runtime but by a fault, so that the stack pointer may be late.
pub(crate) fn leaves_stack_late(op: &Op) -> bool {
    match op {
        Op::Load { ty, .. } | Op::Store { ty, .. } => ty.width().is_some(),
        Op::GetGpr { reg: Gpr::Rsp, w } | Op::SetGpr { reg: Gpr::Rsp, w, .. } => *w >= Width::W32,
        Op::Insn { .. }
        | Op::GetGpr { .. }
        | Op::SetGpr { .. }
        | Op::GetGprHigh { .. }
        | Op::SetGprHigh { .. }
        | Op::GetFlags {}
        | Op::SetFlags { .. }
        | Op::Add { .. }
        | Op::Sub { .. }
        | Op::And { .. }
        | Op::Or { .. }
        | Op::Xor { .. }
        | Op::Not { .. }
        | Op::Mul { .. }
        | Op::Shl { .. }
        | Op::Shr { .. }
        | Op::Sar { .. }
        | Op::Lea { .. }
        | Op::ExtendZero { .. }
        | Op::ExtendSign { .. }
        | Op::FenceOp { .. } => true,
        _ => false,
    }
}

impl Lowering<'_> {
    /// The width of the guest's registers.
    fn whole(&self) -> Width {
        if self.mode == CpuMode::Long64 { Width::W64 } else { Width::W32 }
    }

    /// How far from the home of the stack pointer `v` is, if it is near.
    pub(crate) fn stack_distance(&self, v: Value) -> Option<i32> {
        let (g, by) = self.values.near(v)?;
        (g == Gpr::Rsp && self.plan.root(v) == v && self.width(v) == self.whole()).then_some(by)
    }

    /// Makes `dst` = `a` + `by`, if that is near the stack pointer's home: no code, but where it is read.
    pub(crate) fn near_stack(&mut self, dst: Value, w: Width, a: Value, by: i64) -> bool {
        let is_meant_for_another = self.plan.info(dst).home.is_some_and(|g| g != Gpr::Rsp);
        if w != self.whole() || is_meant_for_another {
            return false;
        }
        let Some(from) = self.stack_distance(a) else { return false };
        let Some(to) = by.checked_add(from.into()).filter(|to| to.abs() <= MAX_OFFSET.into()) else { return false };
        self.values.place(dst, Gpr::Rsp, to as i32);
        true
    }

    /// The guest's stack pointer as the value `dst`.
    pub(crate) fn get_late_stack(&mut self, dst: Value) {
        self.values.place(dst, Gpr::Rsp, self.late);
    }

    /// The guest's stack pointer is so far from its home from now on.
    pub(crate) fn set_late_stack(&mut self, by: i32) {
        self.late = by;
    }

    /// Brings the stack pointer's home up to date.
    pub(crate) fn move_stack(&mut self) {
        let by = std::mem::take(&mut self.late);
        if by == 0 {
            return;
        }
        let rsp = home(Gpr::Rsp);
        if self.whole() == Width::W64 {
            self.asm.i(ADDI, rsp, rsp, by);
        } else {
            self.asm.i(ADDIW, rsp, rsp, by);
            self.narrow |= 1 << Gpr::Rsp.index();
        }
        self.values.home_has_moved(Gpr::Rsp, by);
    }
}
