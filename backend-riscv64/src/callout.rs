//! Ops that the runtime evaluates: operands go to memory, the shared stub saves guest state and calls.

use hokku_ir::backend::{Callout, LazyState, StubId};
use hokku_ir::lowering::{UpperBits, X87Stack};
use hokku_ir::{Effects, FlagSet, Gpr, GuestAddr, Op, Type, Value, Width};

use crate::asm::Label;
use crate::assign::*;
use crate::encode::*;
use crate::exits::Cold;
use crate::float_runs::Again;
use crate::lower::Lowering;
use crate::places::{Dirty, Place};
use crate::vector_encode::Sew;

/// An op that is evaluated behind the blocks' code, where that is necessary.
#[derive(Clone, Debug)]
pub(crate) struct OutOfLine {
    /// Leads there.
    pub(crate) label: Label,
    /// The run at hand is evaluated first: the op may fault.
    again: Option<Again>,
    /// Where the code goes on.
    pub(crate) back: Label,
    /// Integer operands: registers and widths.
    args: Vec<(Reg, Width)>,
    /// Other operands: their number, place and type.
    wide: Vec<(usize, Place, Type)>,
    /// Lanes of guest registers that are still to be written.
    dirty: Vec<Dirty>,
    op: Op,
    pc: GuestAddr,
    lazy: LazyState,
    /// Where the result goes, and the width with whose sign it is extended.
    result: Option<(Reg, Option<Width>)>,
    /// [`OLDER`] is to be what the op leaves of the flags.
    pub(crate) reads_flags: bool,
    /// Homes, by guest registers' numbers, whose upper halves the runtime clears: they get their signs back, which the code goes on with.
    pub(crate) signs: u16,
    /// Where a result goes that is no integer, and its type.
    wide_result: Option<(Place, Type)>,
    /// Instead of all that, a vector is moved at an address that is no multiple of its size; one to be stored only if it lies in one page.
    moves: Option<Moves>,
    /// Width of vector elements where the code goes on.
    sew: Option<Sew>,
    /// The x87 stack before the op, and where the code goes on.
    stack: Option<X87Stack>,
    pub(crate) stack_after: Option<X87Stack>,
}

impl OutOfLine {
    /// Its operands are at `places`, of type `ty`, and what is dirty need not be written: the op reads nothing else, and does not fault.
    pub(crate) fn takes(&mut self, places: impl Iterator<Item = Place>, ty: Type) {
        self.wide = places.enumerate().map(|(n, place)| (n, place, ty)).collect();
        self.dirty.clear();
        self.again = None;
    }

    /// Its result goes to `place`.
    pub(crate) fn gives(&mut self, place: Place, ty: Type) {
        self.wide_result = Some((place, ty));
    }

    /// Its result goes to register `r`.
    pub(crate) fn gives_integer(&mut self, r: Reg) {
        self.result = Some((r, None));
    }
}

/// How a vector is moved out of line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moves {
    /// From the address in `base` to a vector register.
    Load { to: Reg, base: Reg },
    /// From there to `offset` behind `base`.
    Store { from: Place, ty: Type, base: Reg, offset: i32 },
}

/// `op` with its operands numbered.
pub(crate) fn numbered(mut op: Op) -> Op {
    let mut n = 0;
    op.map_values(&mut |_| {
        n += 1;
        Value(n - 1)
    });
    op
}

impl Lowering<'_> {
    /// Lowers `op`, whose result is `dst`, by a callout.
    pub(crate) fn callout(&mut self, dst: Value, op: Op) {
        self.end_run();
        self.pass_operands(&op);
        let fx = op.effects();
        let writes = fx.contains(Effects::writes_state);
        if writes {
            // What is needed by this op's own fault is needed still.
            self.values.start(self.at.saturating_sub(1));
            Gpr::ALL.iter().for_each(|g| self.overwrite(*g, None));
            self.values.start(self.at);
        }
        self.write_back_all();
        if matches!(op, Op::SetMxcsr { .. } | Op::Xsave { .. } | Op::StateImageOp { .. }) {
            self.evaluates_floats = true;
        }
        let writes_vectors =
            matches!(op, Op::ZeroVectors { .. } | Op::Gather { .. } | Op::Xsave { .. } | Op::StateImageOp { .. });
        if writes_vectors {
            self.leave_vectors();
        }
        // Nobody looks at the flags at other ops: what they are made of need not be there.
        let sees_flags = fx.contains(Effects::may_fault) || hokku_ir::lowering::sees_flags(&op);
        let lazy = if sees_flags { self.lazy() } else { LazyState { narrow: self.narrow, ..LazyState::default() } };
        self.call(numbered(op), lazy);
        if writes || fx.contains(Effects::reads_state) {
            // The runtime has put all of it in order.
            for g in Gpr::ALL.iter().filter(|g| self.narrow & 1 << g.index() != 0) {
                self.values.home_is_zero_above(*g, |v| self.plan.info(v).op.result_type() == Type::I32);
            }
            self.narrow = 0;
        }
        if hokku_ir::lowering::sees_flags(&op) {
            self.asm.i(LWU, OLDER, STATE, STATUS_FLAGS);
        }
        self.take_result(dst, op.result_type());
    }

    pub(crate) fn take_result(&mut self, dst: Value, ty: Type) {
        let info = self.plan.info(dst);
        let is_needed = info.uses > 0 || info.last_flags > info.def;
        match ty {
            Type::Void => {}
            _ if !is_needed => {}
            Type::Flags => {
                let t = self.temp();
                self.asm.i(LD, t, STATE, CALLOUT_RESULT);
                self.values.own(t, dst);
            }
            _ if ty.width().is_some() => {
                let d = self.result(dst);
                self.asm.i(LD, d, STATE, CALLOUT_RESULT);
                self.done(dst, if ty == Type::I64 { UpperBits::BOTH } else { UpperBits::ZERO });
            }
            _ => self.take_wide_result(dst, ty),
        }
    }

    /// Stores the operands of `op` where the runtime looks for them.
    fn pass_operands(&mut self, op: &Op) {
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(v));
        let drops_older = hokku_ir::lowering::count_is_known(op, |n| self.plan.constant(n));
        // Flags first: they may take callouts of their own.
        let locks = self.values.locks();
        let mut images = Vec::new();
        let (flags, others): (Vec<_>, Vec<_>) = operands.into_iter().enumerate().partition(|(_, v)| self.is_flags(*v));
        for (n, v) in flags {
            let since = self.values.locks();
            let r = if drops_older { ZERO } else { self.image(v, FlagSet::STATUS) };
            self.values.unlock_since(since, &[r]);
            images.push((n, r));
        }
        for (n, r) in images {
            self.asm.s(SD, r, STATE, callout_arg_offset(n));
        }
        self.values.unlock_since(locks, &[]);
        for (n, v) in others {
            let locks = self.values.locks();
            let to = callout_arg_offset(n);
            if self.op_of(v).result_type().width().is_some() {
                let r = self.zero_extended(v);
                self.asm.s(SD, r, STATE, to);
            } else {
                self.pass_wide(v, to);
            }
            self.values.unlock_since(locks, &[]);
        }
    }

    /// The op of a flags value, evaluated now: its image in a temporary.
    pub(crate) fn evaluate_to_temp(&mut self, op: Op) -> Reg {
        // Its members put the x87 stack back as it was when they were written.
        self.end_run();
        self.pass_operands(&op);
        let lazy = LazyState::default();
        self.call(numbered(op), lazy);
        let t = self.temp();
        self.asm.i(LD, t, STATE, CALLOUT_RESULT);
        t
    }

    /// The call alone.
    fn call(&mut self, op: Op, lazy: LazyState) {
        self.call_stub();
        let lazy = lazy.with_x87_settled();
        self.out.callouts.push(Callout { offset: self.asm.here(), op, pc: self.pc, lazy });
    }

    fn call_stub(&mut self) {
        self.leave_stack();
        self.jump_to_stub(RA, StubId::Callout);
        self.wide.sew = self.has_vectors().then_some(Sew::E64);
    }

    /// Has the runtime compute the guest's flags, as `lazy` says what they are: they are in the state then.
    pub(crate) fn settle_flags(&mut self, lazy: LazyState) {
        // Registers stay as they are: a test may have been made of them.
        let lazy = LazyState { narrow: 0, ..lazy.with_x87_settled() };
        self.call_stub();
        self.out.callouts.push(Callout { offset: self.asm.here(), op: Op::GetFlags {}, pc: self.pc, lazy });
    }

    /// The same in code out of line of a place where the x87 stack is `stack`, which it leaves as it is.
    pub(crate) fn settle_flags_beside(&mut self, stack: Option<&X87Stack>) {
        stack.into_iter().for_each(|stack| self.leave_for_evaluation(stack));
        self.settle_flags(LazyState::default());
        stack.into_iter().for_each(|stack| self.come_back_from_evaluation(stack));
    }

    /// `op`, whose operands are integers and in registers that stay as they are until the branch, to be evaluated out of line.
    pub(crate) fn out_of_line(&mut self, op: Op, operands: &[Value]) -> OutOfLine {
        let lazy = self.lazy();
        let args = operands.iter().map(|v| (self.reg(*v), self.width(*v))).collect();
        self.out_of_line_in(op, args, lazy)
    }

    /// The same with operands in the registers `args`.
    pub(crate) fn out_of_line_in(&mut self, op: Op, args: Vec<(Reg, Width)>, lazy: LazyState) -> OutOfLine {
        let (label, back) = (self.asm.label(), self.asm.label());
        OutOfLine {
            label,
            again: self.wide.run.again(),
            back,
            args,
            wide: Vec::new(),
            dirty: self.wide.dirty(),
            moves: None,
            sew: None,
            stack: self.x87.clone(),
            stack_after: self.x87.clone(),
            op: numbered(op),
            pc: self.pc,
            lazy,
            result: None,
            reads_flags: false,
            signs: 0,
            wide_result: None,
        }
    }

    /// `op`, whose operands may be anything, to be evaluated out of line.
    pub(crate) fn out_of_line_wide(&mut self, op: Op) -> OutOfLine {
        let lazy = self.lazy();
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(v));
        let (mut args, mut wide) = (Vec::new(), Vec::new());
        for (n, v) in operands.into_iter().enumerate() {
            if self.op_of(v).result_type().width().is_some() {
                args.push((self.reg(v), self.width(v)));
            } else {
                args.push((ZERO, Width::W64));
                wide.push((n, self.wide_source(v), self.ty(v)));
            }
        }
        OutOfLine { wide, ..self.out_of_line_in(op, args, lazy) }
    }

    /// The code that may have branched to `slow` ends here, with a result of type `ty` at `place`.
    pub(crate) fn out_of_line_ends_at(&mut self, mut slow: OutOfLine, place: Place, ty: Type) {
        slow.wide_result = Some((place, ty));
        self.out_of_line_ends(slow, None);
    }

    /// The same, where a vector is moved.
    pub(crate) fn out_of_line_moves(&mut self, mut slow: OutOfLine, moves: Moves) {
        slow.moves = Some(moves);
        self.out_of_line_ends(slow, None);
    }

    /// The code that may have branched to `slow` ends here, with `result`.
    pub(crate) fn out_of_line_ends(&mut self, mut slow: OutOfLine, result: Option<(Reg, Option<Width>)>) {
        self.asm.bind(slow.back);
        slow.result = result;
        slow.sew = self.wide.sew;
        self.cold.push(Cold::OutOfLine(Box::new(slow)));
    }

    /// Writes the code of `slow`.
    pub(crate) fn write_out_of_line(&mut self, slow: &OutOfLine) {
        self.asm.bind(slow.label);
        self.wide.sew = None;
        self.pc = slow.pc;
        if let Some(again) = &slow.again {
            self.evaluate_again(again);
        }
        match slow.moves {
            Some(Moves::Load { to, base }) => self.load_unaligned(to, base, slow.lazy),
            Some(Moves::Store { from, ty, base, offset }) => {
                // A store that faults must not have written.
                let evaluated = self.asm.label();
                self.asm.i(ADDI, SCRATCH, base, offset);
                self.asm.i(ADDI, RA, SCRATCH, ty.bytes() as i32 - 1);
                self.asm.r(XOR, SCRATCH, SCRATCH, RA);
                self.asm.i(SRLI, SCRATCH, SCRATCH, 12);
                self.asm.branch(Branch::Ne, SCRATCH, ZERO, evaluated);
                self.store_unaligned(from, ty, (base, offset), slow.lazy);
                self.goes_on(slow);
                self.asm.bind(evaluated);
                self.wide.sew = None;
                self.evaluate_out_of_line(slow);
            }
            None => self.evaluate_out_of_line(slow),
        }
        self.goes_on(slow);
    }

    /// Goes on behind the code that branched to `slow`.
    fn goes_on(&mut self, slow: &OutOfLine) {
        if let Some(sew) = slow.sew {
            self.set_sew(sew);
        }
        let back = slow.back;
        self.asm.jump(ZERO, back);
    }

    pub(crate) fn evaluate_out_of_line(&mut self, slow: &OutOfLine) {
        for (n, (r, w)) in slow.args.iter().enumerate() {
            let mut from = *r;
            if *w != Width::W64 && *r != ZERO {
                self.extend_zero_to(SCRATCH, *r, *w);
                from = SCRATCH;
            }
            self.asm.s(SD, from, STATE, callout_arg_offset(n));
        }
        for (n, from, ty) in &slow.wide {
            self.store_source(*from, *ty, callout_arg_offset(*n));
        }
        for dirty in &slow.dirty {
            self.write_lane(*dirty);
        }
        let pending = slow.again.as_ref().map_or(&[][..], |again| &again.pending);
        self.write_pending(pending);
        if let Some(stack) = &slow.stack {
            self.leave_for_evaluation(stack);
        }
        self.call_stub();
        let (offset, lazy) = (self.asm.here(), slow.lazy.with_x87_settled());
        self.out.callouts.push(Callout { offset, op: slow.op, pc: slow.pc, lazy });
        for g in Gpr::ALL.iter().filter(|g| slow.signs & 1 << g.index() != 0) {
            self.asm.i(ADDIW, home(*g), home(*g), 0);
        }
        self.take_pending_back(pending);
        if let Some(stack) = &slow.stack_after {
            self.come_back_from_evaluation(stack);
        }
        if slow.reads_flags {
            self.asm.i(LWU, OLDER, STATE, STATUS_FLAGS);
        }
        if let Some((d, form)) = slow.result {
            self.asm.i(LD, d, STATE, CALLOUT_RESULT);
            if let Some(w) = form {
                self.extend_sign_to(d, d, w);
            }
        }
        if let Some((place, ty)) = slow.wide_result {
            self.load_result(place, ty);
        }
    }
}
