//! x87 ops: calls of the routines in [`hokku_ir::eval::X87_ROUTINES`] by way of a stub; loads and stores of their operands.
//!
//! The stub takes its operands in the temporaries named here. What a routine leaves to the evaluator, the stub has done by a callout, for which the
//! code has noted the op: with the address as its only operand. Then [`WORD`] is zero.

use hokku_ir::backend::{Callout, LazyState, StubId};
use hokku_ir::lowering::{UpperBits, X87Access, X87Call, x87_call, x87_exact, x87_status};
use hokku_ir::{Op, Type, Value, Width, X87Format};

use crate::access::Piece;
use crate::asm::{Cc, Size};
use crate::assign::*;
use crate::immediate::bitmask;
use crate::integer::{Logic, Sum};
use crate::lower::Lowering;

/// What is to be done: [`X87Call::word`]. Then whether a routine has done it.
pub(crate) const WORD: u8 = TEMPS[0];
/// The guest instruction's address.
pub(crate) const PC: u8 = TEMPS[1];
/// The operand's bits.
pub(crate) const BITS: u8 = TEMPS[2];
/// Those of an extended operand above 64.
pub(crate) const UPPER: u8 = TEMPS[3];
/// The operand's address, or the operand that is an integer.
pub(crate) const ADDRESS: u8 = TEMPS[4];

/// The access to an operand's first 64 bits; loads extend them as routines expect it.
pub(crate) fn piece(format: X87Format, is_load: bool) -> Piece {
    match format {
        X87Format::F32 => Piece::W,
        X87Format::I16 if is_load => Piece::Signed { log2_bytes: 1, short: false },
        X87Format::I32 if is_load => Piece::Signed { log2_bytes: 2, short: false },
        X87Format::I16 => Piece::H,
        X87Format::I32 => Piece::W,
        _ => Piece::X,
    }
}

impl Lowering<'_> {
    /// `x87_get_status`, `x87_get_control`.
    pub(crate) fn x87_word(&mut self, dst: Value, offset: i32) {
        let d = self.dest(dst);
        self.asm.load(Piece::H, d, STATE, offset);
        self.define(dst, UpperBits::ZERO);
    }

    /// The x87 op at hand.
    pub(crate) fn x87(&mut self, dst: Value) {
        let op = self.block.insts[self.at as usize].op;
        if self.computes_in_doubles() {
            return self.x87_double(dst, op);
        }
        if self.x87.is_some() && x87_exact(self, dst, op) {
            return;
        }
        match x87_call(&op) {
            Some(call) => self.x87_call(dst, op, &call),
            None => self.callout(dst, op),
        }
    }

    /// `x87_get_status` of code that computes exactly.
    pub(crate) fn x87_exact_status(&mut self, dst: Value) {
        let d = self.dest(dst);
        let t = self.temp();
        self.compared = None;
        x87_status(&mut self.asm, d, [t, SCRATCH], ZERO, self.x87.as_ref());
        self.define(dst, UpperBits::ZERO);
    }

    fn x87_call(&mut self, dst: Value, op: Op, call: &X87Call) {
        self.spill_vectors();
        self.values.take(ADDRESS, &mut self.asm);
        let evaluated = call.evaluated(op, self.mode.word());
        let locks = self.values.locks();
        match call.access {
            X87Access::Load(_, at) | X87Access::Store(_, at) => {
                let r = self.address(at);
                self.asm.mov(Size::X, ADDRESS, r);
            }
            X87Access::Value(v) => {
                let w = self.plan.info(v).op.result_type().width().unwrap_or(Width::W64);
                let r = self.zero_extended(v, w);
                self.asm.mov(Size::X, ADDRESS, r);
            }
            X87Access::None | X87Access::Zero => {}
        }
        self.values.unlock_since(locks, &[]);
        for r in [WORD, PC, BITS, UPPER] {
            self.values.take(r, &mut self.asm);
        }
        self.write_stack_back();
        self.compared = None;
        let lazy = self.lazy();
        self.x87_routine(evaluated, call, lazy);
        self.x87_was_evaluated(&op);
        if op.result_type() != Type::Void {
            self.take_result(dst, op.result_type());
        }
    }

    /// Calls the routine of `call`, or has `evaluated` evaluated; the operand's address, or the operand, is in [`ADDRESS`].
    pub(crate) fn x87_routine(&mut self, evaluated: Op, call: &X87Call, lazy: LazyState) {
        match call.access {
            X87Access::Load(format, _) => {
                self.fault_site_with(lazy);
                self.asm.load(piece(format, true), BITS, ADDRESS, 0);
                if format == X87Format::F80 {
                    self.fault_site_with(lazy);
                    self.asm.load(Piece::H, UPPER, ADDRESS, 8);
                }
            }
            X87Access::Value(_) => self.asm.mov(Size::X, BITS, ADDRESS),
            X87Access::Zero => self.asm.constant(BITS, 0),
            X87Access::Store(..) | X87Access::None => {}
        }
        self.asm.constant(WORD, call.word().into());
        if let X87Access::Store(X87Format::F80, _) = call.access {
            // Where the second of two pages cannot be written, nothing is: that is for the evaluator.
            let one_page = self.asm.label();
            let in_page = bitmask(Size::X, 0xfff).unwrap_or(0);
            self.asm.logic_bits(Logic::And, Size::X, BITS, ADDRESS, in_page);
            self.asm.add_imm(Sum::Subs, Size::X, ZERO, BITS, 4096 - 10);
            self.asm.b_cond(Cc::Ls, one_page);
            self.asm.constant(WORD, X87Call::REFUSED.into());
            self.asm.bind(one_page);
        }
        self.asm.constant(PC, self.pc.0);
        self.branch_to_stub(StubId::X87, true);
        self.out.callouts.push(Callout { offset: self.asm.offset(), op: evaluated, pc: self.pc, lazy });
        if let X87Access::Store(format, _) = call.access {
            let over = self.asm.label();
            self.asm.cbz(Size::X, WORD, over);
            self.asm.load(Piece::X, BITS, STATE, CALLOUT_RESULT);
            self.fault_site_with(lazy);
            self.asm.store(piece(format, false), BITS, ADDRESS, 0);
            if format == X87Format::F80 {
                self.asm.load(Piece::H, BITS, STATE, CALLOUT_RESULT + 8);
                self.fault_site_with(lazy);
                self.asm.store(Piece::H, BITS, ADDRESS, 8);
            }
            self.asm.load(Piece::H, BITS, STATE, CALLOUT_RESULT + 16);
            self.asm.store(Piece::H, BITS, STATE, X87_STATUS);
            self.asm.load(Piece::W, BITS, STATE, CALLOUT_RESULT + 24);
            self.asm.store(Piece::W, BITS, STATE, X87_SHAPE);
            self.asm.store(Piece::X, PC, STATE, X87_INSTRUCTION);
            self.asm.bind(over);
        }
    }
}
