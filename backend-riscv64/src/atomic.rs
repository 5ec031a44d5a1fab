//! Locked instructions.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Addr, AtomicOp, Op, Value, Width};

use crate::assign::SCRATCH;
use crate::encode::*;
use crate::lower::Lowering;

impl Lowering<'_> {
    /// The address in one register, or `None` where the width has no atomic instructions.
    fn atomic_address(&mut self, at: &Addr) -> Reg {
        let (base, offset) = self.sum(at);
        if offset == 0 {
            return base;
        }
        let t = self.temp();
        self.asm.i(ADDI, t, base, offset);
        t
    }

    pub(crate) fn atomic_rmw(&mut self, dst: Value, op: Op, kind: AtomicOp, w: Width, at: &Addr, v: Value) {
        let amo_op = match kind {
            AtomicOp::Xchg => Amo::Swap,
            AtomicOp::Add | AtomicOp::Sub => Amo::Add,
            AtomicOp::And => Amo::And,
            AtomicOp::Or => Amo::Or,
            AtomicOp::Xor => Amo::Xor,
            AtomicOp::Neg => return self.callout(dst, op),
        };
        if w < Width::W32 {
            return self.callout(dst, op);
        }
        let lazy = self.lazy();
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(v));
        let slow = self.out_of_line(op, &operands);
        let mut r = self.reg(v);
        if kind == AtomicOp::Sub {
            let t = self.temp();
            self.asm.r(SUB, t, ZERO, r);
            r = t;
        }
        let address = self.atomic_address(at);
        let is_read = self.plan.info(dst).uses > 0;
        let d = if is_read { self.result(dst) } else { ZERO };
        self.asm.i(ANDI, SCRATCH, address, w.bytes() as i32 - 1);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
        self.may_fault(lazy);
        self.asm.word(amo(amo_op, w == Width::W64, d, r, address));
        if is_read {
            self.done(dst, if w == Width::W64 { UpperBits::BOTH } else { UpperBits::SIGN });
        }
        self.out_of_line_ends(slow, is_read.then_some((d, (w == Width::W32).then_some(w))));
    }

    pub(crate) fn atomic_cas(&mut self, dst: Value, op: Op, w: Width, at: &Addr, expected: Value, new: Value) {
        if w < Width::W32 {
            return self.callout(dst, op);
        }
        let wide = w == Width::W64;
        let lazy = self.lazy();
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(v));
        let slow = self.out_of_line(op, &operands);
        // What is loaded is extended with its sign.
        let (re, rn) = (self.sign_extended(expected), self.reg(new));
        let address = self.atomic_address(at);
        let t = self.temp();
        let d = self.result(dst);
        self.asm.i(ANDI, SCRATCH, address, w.bytes() as i32 - 1);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
        let (again, differs) = (self.asm.label(), self.asm.label());
        self.asm.bind(again);
        self.may_fault(lazy);
        self.asm.word(amo(Amo::LoadReserved, wide, t, ZERO, address));
        self.asm.branch(Branch::Ne, t, re, differs);
        self.may_fault(lazy);
        self.asm.word(amo(Amo::StoreConditional, wide, SCRATCH, rn, address));
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, again);
        self.asm.bind(differs);
        self.asm.mv(d, t);
        self.done(dst, if wide { UpperBits::BOTH } else { UpperBits::SIGN });
        self.out_of_line_ends(slow, Some((d, (!wide).then_some(w))));
    }
}
