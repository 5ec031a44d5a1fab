//! x87 ops: calls of the routines in [`hokku_ir::eval::X87_ROUTINES`] by way of a stub; loads and stores of their operands.
//!
//! The stub takes its operands in the temporaries named here and changes all of them but [`ADDRESS`]. What a routine leaves to the evaluator, the stub
//! has done by a callout, for which the code has noted the op: with the address as its only operand. Then [`WORD`] is not zero.

use hokku_ir::backend::{Callout, LazyState, StubId};
use hokku_ir::lowering::{UpperBits, X87Access, X87Call, X87Shape, x87_call, x87_come_back, x87_exact, x87_status};
use hokku_ir::{Op, Type, Value, X87Format};

use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;

/// What is to be done: [`X87Call::word`].
pub(crate) const WORD: Reg = 5;
/// The guest instruction's address.
pub(crate) const PC: Reg = 6;
/// The operand's bits.
pub(crate) const BITS: Reg = 7;
/// Those of an extended operand above 64.
pub(crate) const UPPER: Reg = 29;
/// The operand's address, or the operand that is an integer.
pub(crate) const ADDRESS: Reg = 28;
/// Changed by the stub too.
const CHANGED: Reg = 30;

/// The load that extends an operand's first 64 bits as routines expect it.
pub(crate) fn load_of(format: X87Format) -> I {
    match format {
        X87Format::F32 => LWU,
        X87Format::I16 => LH,
        X87Format::I32 => LW,
        _ => LD,
    }
}

pub(crate) fn store_of(format: X87Format) -> I {
    match format {
        X87Format::I16 => SH,
        X87Format::F32 | X87Format::I32 => SW,
        _ => SD,
    }
}

impl Lowering<'_> {
    /// `x87_get_status`, `x87_get_control`.
    pub(crate) fn x87_word(&mut self, dst: Value, offset: i32) {
        let d = self.result(dst);
        self.asm.i(LHU, d, STATE, offset);
        self.done(dst, UpperBits::ZERO);
    }

    /// The x87 op at hand.
    pub(crate) fn x87(&mut self, dst: Value, op: Op) {
        if self.computes_in_doubles() {
            return self.x87_double(dst, op);
        }
        match op {
            Op::X87GetControl {} => self.x87_word(dst, X87_CONTROL),
            Op::X87GetStatus {} => {
                let stack = self.x87.clone();
                let (d, t) = (self.result(dst), self.temp());
                x87_status(&mut self.asm, d, [SCRATCH, t], ZERO, stack.as_ref());
                self.done(dst, UpperBits::ZERO);
            }
            _ if self.x87.is_some() && x87_exact(self, dst, op) => {}
            _ => match x87_call(&op) {
                Some(call) => self.x87_call(dst, op, &call),
                None => self.evaluate_x87(dst, op),
            },
        }
    }

    /// An op has been done in the slow way, in place; it leaves the shape `after`, if that is known.
    pub(crate) fn x87_was_done(&mut self, after: Option<X87Shape>) {
        match (after, &mut self.x87) {
            (Some(shape), Some(stack)) => {
                stack.renew(shape);
                if !stack.is_nearest && stack.late().is_some() {
                    x87_come_back(&mut self.asm, stack, [SCRATCH, RA]);
                }
            }
            _ => self.x87 = None,
        }
    }

    /// Lowers `op` by `call`.
    pub(crate) fn x87_call(&mut self, dst: Value, op: Op, call: &X87Call) {
        self.values.take(ADDRESS, &mut self.asm);
        let locks = self.values.locks();
        let evaluated = call.evaluated(op, self.mode.word());
        let after = self.x87.as_ref().and_then(|stack| stack.shape.after(&op));
        match call.access {
            X87Access::Load(_, at) | X87Access::Store(_, at) => {
                let (base, offset) = self.sum(&at);
                self.asm.i(ADDI, ADDRESS, base, offset);
            }
            X87Access::Value(v) => {
                let r = self.zero_extended(v);
                self.asm.mv(ADDRESS, r);
            }
            X87Access::None | X87Access::Zero => {}
        }
        self.values.unlock_since(locks, &[]);
        for r in [WORD, PC, BITS, UPPER, CHANGED] {
            self.values.take(r, &mut self.asm);
        }
        self.write_stack_back();
        let lazy = self.lazy();
        self.x87_routine(evaluated, call, lazy);
        self.x87_was_done(after);
        if op.result_type() != Type::Void {
            self.take_result(dst, op.result_type());
        }
    }

    /// Calls the routine of `call`, or has `evaluated` evaluated; the operand's address, or the operand, is in [`ADDRESS`].
    pub(crate) fn x87_routine(&mut self, evaluated: Op, call: &X87Call, lazy: LazyState) {
        match call.access {
            X87Access::Load(format, _) => {
                self.may_fault(lazy);
                self.asm.i(load_of(format), BITS, ADDRESS, 0);
                if format == X87Format::F80 {
                    self.may_fault(lazy);
                    self.asm.i(LHU, UPPER, ADDRESS, 8);
                }
            }
            X87Access::Value(_) => self.asm.mv(BITS, ADDRESS),
            X87Access::Zero => self.asm.mv(BITS, ZERO),
            X87Access::Store(..) | X87Access::None => {}
        }
        self.asm.li(WORD, call.word().into());
        if let X87Access::Store(X87Format::F80, _) = call.access {
            // Where the second of two pages cannot be written, nothing is: that is for the evaluator.
            let one_page = self.asm.label();
            self.asm.i(SLLI, BITS, ADDRESS, 52);
            self.asm.i(SRLI, BITS, BITS, 52);
            self.asm.i(ADDI, BITS, BITS, -2048);
            self.asm.i(ADDI, BITS, BITS, -(4096 - 10 - 2048));
            self.asm.branch(Branch::Ge, ZERO, BITS, one_page);
            self.asm.li(WORD, X87Call::REFUSED.into());
            self.asm.bind(one_page);
        }
        self.asm.li(PC, self.pc.0 as i64);
        self.jump_to_stub(RA, StubId::X87);
        // Where the op is evaluated, the width of elements changes.
        self.wide.sew = None;
        self.out.callouts.push(Callout { offset: self.asm.here(), op: evaluated, pc: self.pc, lazy });
        if let X87Access::Store(format, _) = call.access {
            let over = self.asm.label();
            self.asm.branch(Branch::Ne, WORD, ZERO, over);
            self.asm.i(LD, BITS, STATE, CALLOUT_RESULT);
            self.may_fault(lazy);
            self.asm.s(store_of(format), BITS, ADDRESS, 0);
            if format == X87Format::F80 {
                self.asm.i(LHU, BITS, STATE, CALLOUT_RESULT + 8);
                self.may_fault(lazy);
                self.asm.s(SH, BITS, ADDRESS, 8);
            }
            self.asm.i(LHU, BITS, STATE, CALLOUT_RESULT + 16);
            self.asm.s(SH, BITS, STATE, X87_STATUS);
            self.asm.i(LW, BITS, STATE, CALLOUT_RESULT + 24);
            self.asm.s(SW, BITS, STATE, X87_SHAPE);
            self.asm.li(PC, self.pc.0 as i64);
            self.asm.s(SD, PC, STATE, X87_INSTRUCTION);
            self.asm.bind(over);
        }
    }
}
