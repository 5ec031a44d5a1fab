//! Runs of ops on scalar floats, whose results are looked at together.
//!
//! A result that is NaN makes the results NaN that are made of it, and what is made of denormals tells of them: so it is soon enough to look before
//! something else reads one of the results. Operands stay in their registers until then: where a look shows that the evaluator is needed, it does all of
//! the run again.

use hokku_ir::backend::LazyState;
use hokku_ir::{Op, Type};

use crate::asm::Label;
use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::exits::Cold;
use crate::float::{DENORMAL_OR_NAN, fclass};
use crate::lower::Lowering;
use crate::places::Place;
use crate::vector_encode::Sew;

/// Ops whose results nobody has looked at yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct FloatRun {
    members: Vec<OutOfLine>,
    /// Registers that are to be looked at, and whether they hold doubles.
    looked_at: Vec<(Reg, bool)>,
    /// Registers with results, as bits.
    pub(crate) results: u32,
    /// The same and operands: they stay as they are.
    pub(crate) registers: u32,
}

/// A run that is evaluated out of line.
#[derive(Clone, Debug)]
pub(crate) struct EvaluatedRun {
    label: Label,
    back: Label,
    members: Vec<OutOfLine>,
    /// Width of vector elements where the code goes on.
    sew: Option<Sew>,
}

impl EvaluatedRun {
    /// Has member `n` tell of a result that is denormal.
    pub(crate) fn tell_denormal(&mut self, n: usize) {
        self.members[n].tells_denormal = true;
    }
}

/// Whether `op` becomes part of a run, or leaves it alone.
pub(crate) fn joins_run(op: &Op) -> bool {
    use hokku_ir::FpOp::{Add, Div, Mul, Sub};
    matches!(
        op,
        Op::FpArith { op: Add | Sub | Mul | Div, .. }
            | Op::FpSqrt { .. }
            | Op::FpConvert { .. }
            | Op::FpCompareFlags { .. }
            | Op::IntToFp { .. }
    )
}

impl Lowering<'_> {
    /// Ends the run if there are not enough registers beside it for one more op.
    pub(crate) fn make_room_in_run(&mut self) {
        if self.wide.run.registers.count_ones() as usize + 4 > FLOATS.len() {
            self.end_run();
        }
    }

    /// `op`, on `operands` of type `from`, joins the run. It gives `result`, a register and its type, or goes on to [`Self::end_run_with`].
    pub(crate) fn join_run(&mut self, op: Op, operands: &[Reg], from: Type, result: Option<(Reg, Type)>) {
        let mut member = self.out_of_line_in(op, Vec::new(), LazyState::default());
        member.takes_floats(operands, from);
        let new: Vec<Reg> = operands.iter().copied().filter(|f| self.wide.run.results & 1 << f == 0).collect();
        for f in self.untold(&new) {
            self.wide.run.looked_at.push((f, from == Type::F64));
        }
        for f in operands {
            self.wide.told |= u32::from(self.wide.run.results & 1 << f == 0) << f;
            self.wide.run.registers |= 1 << f;
        }
        if let Some((d, ty)) = result {
            member.gives(Place::Float(d), ty);
            self.wide.run.looked_at.push((d, ty == Type::F64));
            self.wide.run.results |= 1 << d;
            self.wide.run.registers |= 1 << d;
        }
        self.wide.run.members.push(member);
    }

    /// Looks at the operands of the last member of the run, a comparison that gives `t`, and at the rest of the run.
    pub(crate) fn end_run_with(&mut self, operands: &[Reg], is_double: bool, t: Reg) {
        for f in operands {
            if !self.wide.run.looked_at.contains(&(*f, is_double)) {
                self.wide.run.looked_at.push((*f, is_double));
            }
        }
        if let Some(member) = self.wide.run.members.last_mut() {
            member.gives_integer(t);
        }
        self.end_run();
    }

    /// Looks at what the run has computed. Changes [`SCRATCH`] and x1.
    pub(crate) fn end_run(&mut self) {
        let run = std::mem::take(&mut self.wide.run);
        if run.members.is_empty() {
            return;
        }
        let (label, back) = (self.asm.label(), self.asm.label());
        for (n, (f, is_double)) in run.looked_at.iter().enumerate() {
            if n == 0 {
                self.asm.word(fclass(*is_double, SCRATCH, *f));
            } else {
                self.asm.word(fclass(*is_double, RA, *f));
                self.asm.r(OR, SCRATCH, SCRATCH, RA);
            }
        }
        self.asm.i(ANDI, SCRATCH, SCRATCH, DENORMAL_OR_NAN as i32);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, label);
        self.asm.bind(back);
        for (n, member) in run.members.iter().enumerate() {
            if let Some(d) = member.float_result() {
                self.wide.watched[d as usize] = Some((self.cold.len(), n));
            }
        }
        let sew = self.wide.sew;
        self.cold.push(Cold::FloatRun(Box::new(EvaluatedRun { label, back, members: run.members, sew })));
    }

    /// Writes the code of `run`.
    pub(crate) fn write_evaluated_run(&mut self, run: &EvaluatedRun) {
        self.asm.bind(run.label);
        self.wide.sew = None;
        for member in &run.members {
            self.evaluate_out_of_line(member);
        }
        if let Some(sew) = run.sew {
            self.set_sew(sew);
        }
        self.asm.jump(ZERO, run.back);
    }
}
