//! Runs of ops on scalar floats, whose results are looked at together.
//!
//! A result that is NaN makes the results NaN that are made of it, and what is made of denormals tells of them: so it is soon enough to look before
//! something else reads one of the results. Operands stay in their registers until then: where a look shows that the evaluator is needed, it does all of
//! the run again.

use hokku_ir::backend::LazyState;
use hokku_ir::{Effects, Op, Type, Value};

use crate::asm::Label;
use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::exits::Cold;
use crate::float::{DENORMAL_OR_NAN, fclass};
use crate::float_looks::Looks;
use crate::lower::Lowering;
use crate::places::Place;
use crate::vector_encode::{Sew, Vreg, vmv1r};

/// Ops whose results nobody has looked at yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct FloatRun {
    pub(crate) members: Vec<OutOfLine>,
    /// How exceptions are to be looked at; else the classes of numbers are.
    pub(crate) looks: Option<Looks>,
    /// Registers that are to be looked at then, and whether they hold doubles.
    looked_at: Vec<(Reg, bool)>,
    /// Registers with results, as bits.
    pub(crate) results: u32,
    /// The same and operands: they stay as they are.
    pub(crate) registers: u32,
    /// The same of vector registers.
    pub(crate) vector_results: u32,
    pub(crate) vectors: u32,
    /// The op at hand, which is none on floats, reads results of the run and joins it.
    pub(crate) joined_by_other: bool,
    /// Guest registers that are to be written when the run is over, and with what.
    pub(crate) pending: Vec<(u8, Vreg)>,
}

/// A run that is evaluated out of line.
#[derive(Clone, Debug)]
pub(crate) struct EvaluatedRun {
    label: Label,
    back: Label,
    again: Again,
    /// Width of vector elements where the code goes on.
    sew: Option<Sew>,
}

/// How a run is evaluated: its ops, one by one, with the exceptions that a register holds.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    members: Vec<OutOfLine>,
    before: Option<Reg>,
    pub(crate) pending: Vec<(u8, Vreg)>,
}

impl FloatRun {
    /// How it is evaluated, as far as it has come.
    pub(crate) fn again(&self) -> Option<Again> {
        let before = self.looks.as_ref().map(|l| l.before);
        let again = || Again { members: self.members.clone(), before, pending: self.pending.clone() };
        (!self.members.is_empty() || !self.pending.is_empty()).then(again)
    }
}

/// Whether `op` does more than to compute a result: it may fault, or works on floats.
pub(crate) fn acts(op: &Op) -> bool {
    let fx = op.effects();
    fx.contains(Effects::float) || fx.contains(Effects::may_fault) || fx.contains(Effects::x87)
}

/// Whether `op` becomes part of a run, or leaves it alone.
pub(crate) fn joins_run(op: &Op, has_vectors: bool) -> bool {
    use hokku_ir::FpOp::{Add, Div, Mul, Sub};
    let is_scalar = matches!(
        op,
        Op::FpArith { op: Add | Sub | Mul | Div, .. }
            | Op::FpSqrt { .. }
            | Op::FpConvert { .. }
            | Op::FpCompareFlags { .. }
            | Op::IntToFp { .. }
    );
    is_scalar || if has_vectors { crate::vector_runs::is_packed_member(op) } else { crate::pairs::is_member(op) }
}

impl Lowering<'_> {
    /// Ends the run if there are not enough registers beside it for `operands` and a result.
    pub(crate) fn make_room_in_run(&mut self, operands: &[Value]) {
        let is_there = |v: &&Value| self.register_of(**v).is_some_and(|f| self.wide.run.registers & 1 << f != 0);
        let others = operands.len() - operands.iter().filter(is_there).count();
        if self.wide.run.registers.count_ones() as usize + others + 1 > FLOATS.len() {
            self.end_run();
        }
    }

    /// Starts a run if there is none: its first op comes right behind.
    pub(crate) fn start_run(&mut self) {
        if self.wide.run.members.is_empty() && self.wide.run.looks.is_none() && self.is_worth_looks() {
            self.wide.run.looks = Some(self.new_looks());
        }
    }

    /// `op`, on `operands` of type `from`, joins the run. It gives `result`, a register and its type, or goes on to [`Self::end_run_with`].
    pub(crate) fn join_run(&mut self, op: Op, operands: &[Reg], from: Type, result: Option<(Reg, Type)>) {
        let mut member = self.out_of_line_in(op, Vec::new(), LazyState::default());
        member.takes(operands.iter().map(|f| Place::Float(*f)), from);
        if let Some((d, ty)) = result {
            member.gives(Place::Float(d), ty);
        }
        self.join_lane(&op, operands, from, result);
        self.wide.run.members.push(member);
    }

    /// A scalar `op`, or the part of `op` that works on one lane, joins the run.
    pub(crate) fn join_lane(&mut self, op: &Op, operands: &[Reg], from: Type, result: Option<(Reg, Type)>) {
        let is_new = |l: &Self, f: &Reg| l.wide.run.results & 1 << f == 0;
        let new: Vec<Reg> = operands.iter().copied().filter(|f| is_new(self, f)).collect();
        let mut untold = self.untold(&new);
        for f in &untold {
            self.wide.run.looked_at.push((*f, from == Type::F64));
        }
        untold.extend(operands.iter().filter(|f| !is_new(self, f)));
        if let Some(looks) = &mut self.wide.run.looks {
            looks.add(op, operands, from, &untold, result);
        }
        // The root of a negative denormal number is invalid, and tells of nothing else.
        let tells = matches!(op, Op::FpConvert { .. });
        for f in operands {
            self.wide.told |= u32::from(tells && is_new(self, f)) << f;
            self.wide.run.registers |= 1 << f;
        }
        if let Some((d, ty)) = result {
            self.wide.run.looked_at.push((d, ty == Type::F64));
            self.wide.run.results |= 1 << d;
            self.wide.run.registers |= 1 << d;
        }
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
            return self.write_homes(&run.pending);
        }
        let (label, back) = (self.asm.label(), self.asm.label());
        if let Some(looks) = &run.looks {
            self.look(looks);
        } else {
            self.look_at_classes(&run.looked_at);
        }
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, label);
        self.asm.bind(back);
        let before = run.looks.map(|l| l.before);
        if let Some(before) = before {
            self.values.unlock(before);
        }
        let sew = self.wide.sew;
        let again = Again { members: run.members, before, pending: Vec::new() };
        self.cold.push(Cold::FloatRun(Box::new(EvaluatedRun { label, back, again, sew })));
        self.write_homes(&run.pending);
    }

    /// The same for an op that needs room, and may have said already how wide its elements are.
    pub(crate) fn end_run_for_room(&mut self) {
        let sew = self.wide.sew;
        self.end_run();
        if let Some(sew) = sew {
            self.set_sew(sew);
        }
    }

    /// Guest registers become what was `pending`.
    fn write_homes(&mut self, pending: &[(u8, Vreg)]) {
        for (n, r) in pending {
            self.asm.word(vmv1r(HOME_VECTOR + n, *r));
        }
    }

    /// [`SCRATCH`] is zero unless one of `floats` is denormal or NaN. Changes x1.
    fn look_at_classes(&mut self, floats: &[(Reg, bool)]) {
        for (n, (f, is_double)) in floats.iter().enumerate() {
            if n == 0 {
                self.asm.word(fclass(*is_double, SCRATCH, *f));
            } else {
                self.asm.word(fclass(*is_double, RA, *f));
                self.asm.r(OR, SCRATCH, SCRATCH, RA);
            }
        }
        self.asm.i(ANDI, SCRATCH, SCRATCH, DENORMAL_OR_NAN as i32);
    }

    /// The register that the run needs stays as it is while the op at hand takes others.
    pub(crate) fn hold_run(&mut self) {
        if let Some(looks) = &self.wide.run.looks {
            self.values.lock(looks.before);
        }
    }

    /// Writes the code of `run`.
    pub(crate) fn write_evaluated_run(&mut self, run: &EvaluatedRun) {
        self.asm.bind(run.label);
        self.wide.sew = None;
        self.evaluate_again(&run.again);
        if let Some(sew) = run.sew {
            self.set_sew(sew);
        }
        self.asm.jump(ZERO, run.back);
    }

    /// Evaluates the ops of a run.
    pub(crate) fn evaluate_again(&mut self, again: &Again) {
        if let Some(before) = again.before {
            self.put_exceptions_back(before);
        }
        for member in &again.members {
            self.evaluate_out_of_line(member);
        }
    }
}
