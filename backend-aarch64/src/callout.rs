//! Ops that the runtime evaluates: operands go to memory, the shared stub saves guest state and calls.

use hokku_ir::backend::{Callout, LazyState, StubId};
use hokku_ir::lowering::{UpperBits, count_is_known};
use hokku_ir::{Effects, Gpr, Op, Type, Value};

use crate::access::Piece;
use crate::asm::Label;
use crate::assign::{CALLOUT_RESULT, SCRATCH, STATE, ZERO, callout_arg_offset, vector_slot_offset};
use crate::lower::Lowering;
use crate::vector_values::VecLoc;

/// An operand of a callout that is made out of line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    /// In a register.
    Register(u8),
    /// Known.
    Constant(u64),
}

impl Lowering<'_> {
    /// Lowers `op`, whose result is `dst`, by a callout.
    pub(crate) fn callout(&mut self, dst: Value, op: Op) {
        self.call_out(op);
        self.take_result(dst, op.result_type());
    }

    /// The result of a callout for the op at hand becomes `dst`.
    pub(crate) fn take_result(&mut self, dst: Value, ty: Type) {
        match ty {
            Type::Void => {}
            ty if ty.width().is_some() || ty == Type::Flags => {
                let d = self.dest(dst);
                self.asm.load(Piece::X, d, STATE, CALLOUT_RESULT);
                self.define(dst, UpperBits::ZERO);
            }
            Type::V256 => {
                let (low, high) = (self.vec_temp(), self.vec_temp());
                self.asm.load(Piece::Q, low, STATE, CALLOUT_RESULT);
                self.asm.load(Piece::Q, high, STATE, CALLOUT_RESULT + 16);
                self.own_pair(low, high, dst);
            }
            _ => {
                let d = self.vec_dest(dst);
                self.asm.load(Piece::Q, d, STATE, CALLOUT_RESULT);
            }
        }
    }

    /// Evaluates `op`, which gives an integer or flags, for the op at hand; the result is in a locked register.
    pub(crate) fn evaluate_now(&mut self, op: Op) -> u8 {
        self.call_out(op);
        let t = self.temp();
        self.asm.load(Piece::X, t, STATE, CALLOUT_RESULT);
        t
    }

    /// The call alone: the result is in memory.
    pub(crate) fn call_out(&mut self, op: Op) {
        if self.fail_attempt() {
            return;
        }
        let mut operands = Vec::new();
        let mut numbered = op;
        numbered.map_values(&mut |v| {
            operands.push(v);
            Value(operands.len() as u32 - 1)
        });
        // Operands that are computed for this op call out themselves.
        // A shift that does shift replaces all older flags.
        let drops_older = count_is_known(&op, |n| self.constant_of(n));
        let mut words = Vec::new();
        for v in &operands {
            words.push(match self.is_flags(*v) {
                true if drops_older => Some(ZERO),
                true => Some(self.flags_word(*v)),
                false => None,
            });
        }
        for (n, v) in operands.iter().enumerate() {
            let to = callout_arg_offset(n);
            let ty = self.plan.info(*v).op.result_type();
            if let Some(word) = words[n] {
                self.asm.store(Piece::X, word, STATE, to);
                self.values.unlock(word);
            } else if ty.width().is_some() {
                let r = self.reg(*v);
                self.asm.store(Piece::X, r, STATE, to);
                self.values.unlock(r);
            } else if ty == Type::V256 {
                for half in 0..2 {
                    let r = self.half_reg(*v, half);
                    self.asm.store(Piece::Q, r, STATE, to + 16 * i32::from(half));
                }
            } else {
                let r = self.vec_reg(*v);
                self.asm.store(Piece::Q, r, STATE, to);
            }
        }
        let fx = op.effects();
        if matches!(op, Op::SetMxcsr { .. } | Op::Xsave { .. } | Op::StateImageOp { .. }) && self.has_alternate_floats()
        {
            // There has been no look at what mxcsr is now.
            self.evaluates_floats = true;
            self.floats_are_usual = false;
        }
        if fx.contains(Effects::writes_state) {
            // What the flags at hand are made of is still needed.
            self.values.start(self.at.saturating_sub(1));
            for g in Gpr::ALL {
                self.values.overwrite(*g, None, &mut self.plan, &mut self.asm);
            }
            self.values.start(self.at);
            self.keep_vectors();
            self.vectors.clear_above = 0;
        }
        self.spill_vectors();
        self.compared = None;
        // Where the flags at hand cannot be seen, the runtime deals with those of the block's start alone.
        let sees_flags = matches!(op, Op::String { .. } | Op::CompareExchangePair { .. });
        let lazy = if sees_flags || fx.contains(Effects::may_fault) { self.lazy() } else { LazyState::default() };
        self.branch_to_stub(StubId::Callout, true);
        let lazy = lazy.with_x87_settled();
        self.out.callouts.push(Callout { offset: self.asm.offset(), op: numbered, pc: self.pc, lazy });
        if fx.contains(Effects::x87) {
            self.x87_was_evaluated(&op);
        }
    }

    /// Evaluates the op at hand, which does not touch state but mxcsr and whose operands are in registers, slots or constants, without moving any
    /// value.
    pub(crate) fn call_out_of_line(&mut self) {
        let mut op = self.block.insts[self.at as usize].op;
        let mut operands = Vec::new();
        op.map_values(&mut |v| {
            operands.push(v);
            Value(operands.len() as u32 - 1)
        });
        let kept: Vec<u8> = self.vectors.in_use().collect();
        for r in &kept {
            self.asm.store(Piece::Q, *r, STATE, vector_slot_offset(*r));
        }
        for (n, v) in operands.iter().enumerate() {
            let to = callout_arg_offset(n);
            let ty = self.plan.info(*v).op.result_type();
            if ty == Type::V256 {
                continue;
            } else if ty.width().is_none() {
                let r = self.vec_reg(*v);
                self.asm.store(Piece::Q, r, STATE, to);
            } else if let Some(n) = self.constant_of(*v) {
                self.asm.constant(SCRATCH, n);
                self.asm.store(Piece::X, SCRATCH, STATE, to);
            } else {
                let r = self.reg(*v);
                self.asm.store(Piece::X, r, STATE, to);
            }
        }
        // All temporaries are saved by now; one that is not an operand's is free.
        let is_wide = |l: &Self, v: Value| l.plan.info(v).op.result_type() == Type::V256;
        let wide: Vec<(usize, Value)> =
            operands.iter().copied().enumerate().filter(|(_, v)| is_wide(self, *v)).collect();
        let is_read = |l: &Self, r: u8| {
            wide.iter().any(|(_, v)| matches!(l.vectors.loc(*v), VecLoc::Pair(low, high) if low == r || high == r))
        };
        let free = (16..32).rev().find(|r| !is_read(self, *r)).unwrap_or(31);
        for (n, v) in wide {
            for half in 0..2 {
                self.load_half(free, v, half);
                self.asm.store(Piece::Q, free, STATE, callout_arg_offset(n) + 16 * i32::from(half));
            }
        }
        let may_fault = op.effects().contains(Effects::may_fault);
        let lazy = if may_fault { self.lazy().with_x87_settled() } else { LazyState::default() };
        let knows_fpsr = self.fpsr.is_known;
        self.branch_to_stub(StubId::Callout, true);
        self.out.callouts.push(Callout { offset: self.asm.offset(), op, pc: self.pc, lazy });
        self.know_fpsr_again(knows_fpsr);
        for r in &kept {
            self.asm.load(Piece::Q, *r, STATE, vector_slot_offset(*r));
        }
    }

    /// Where the operands of the op at hand are, in order, for [`Self::evaluate_at`]; their registers are locked.
    pub(crate) fn operands_at_hand(&mut self) -> Vec<Operand> {
        let mut values = Vec::new();
        self.block.insts[self.at as usize].op.values(&mut |v| values.push(v));
        values
            .into_iter()
            .map(|v| match self.constant_of(v) {
                Some(n) => Operand::Constant(n),
                None => Operand::Register(self.reg(v)),
            })
            .collect()
    }

    /// At `slow`, behind all blocks: the runtime evaluates the op at hand, which does not touch state, for `operands` (integers); the result goes to
    /// register `to`, and then on at `done`. No value moves.
    pub(crate) fn evaluate_at(&mut self, slow: Label, done: Label, to: u8, operands: Vec<Operand>) {
        let mut op = self.block.insts[self.at as usize].op;
        let mut n = 0;
        op.map_values(&mut |_| {
            n += 1;
            Value(n - 1)
        });
        let kept: Vec<u8> = self.vectors.in_use().collect();
        let (lazy, pc) = (self.lazy().with_x87_settled(), self.pc);
        self.outline(slow, |l| {
            for r in &kept {
                l.asm.store(Piece::Q, *r, STATE, vector_slot_offset(*r));
            }
            for (n, operand) in operands.into_iter().enumerate() {
                let r = match operand {
                    Operand::Register(r) => r,
                    Operand::Constant(n) => {
                        l.asm.constant(SCRATCH, n);
                        SCRATCH
                    }
                };
                l.asm.store(Piece::X, r, STATE, callout_arg_offset(n));
            }
            let knows_fpsr = l.fpsr.is_known;
            l.branch_to_stub(StubId::Callout, true);
            l.out.callouts.push(Callout { offset: l.asm.offset(), op, pc, lazy });
            l.know_fpsr_again(knows_fpsr);
            for r in &kept {
                l.asm.load(Piece::Q, *r, STATE, vector_slot_offset(*r));
            }
            l.asm.load(Piece::X, to, STATE, CALLOUT_RESULT);
            l.asm.b(done);
        });
    }

    fn is_flags(&self, v: Value) -> bool {
        self.plan.info(v).op.result_type() == Type::Flags
    }
}
