//! Products, quotients and remainders.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Op, Value, Width};

use crate::arith::sum_upper;
use crate::assign::{RA, SCRATCH};
use crate::encode::*;
use crate::lower::Lowering;

impl Lowering<'_> {
    pub(crate) fn mul(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        let (ra, rb) = (self.reg(a), self.reg(b));
        let d = self.result(dst);
        self.asm.r(if w == Width::W32 { MULW } else { MUL }, d, ra, rb);
        self.done(dst, sum_upper(w));
    }

    pub(crate) fn mul_high(&mut self, dst: Value, signed: bool, w: Width, a: Value, b: Value) {
        let (ra, rb) = if signed {
            (self.sign_extended(a), self.sign_extended(b))
        } else {
            (self.zero_extended(a), self.zero_extended(b))
        };
        let d = self.result(dst);
        if w == Width::W64 {
            self.asm.r(if signed { MULH } else { MULHU }, d, ra, rb);
            return self.done(dst, UpperBits::BOTH);
        }
        self.asm.r(MUL, d, ra, rb);
        let n = w.bits() as i32;
        self.asm.i(SRLI, d, d, if signed { n | ARITHMETIC } else { n });
        self.done(dst, if signed { UpperBits::SIGN } else { UpperBits::ZERO });
    }

    /// Division of `high:low` by `d`: the quotient, or the remainder. What does not fit, or has no result, is evaluated out of line.
    pub(crate) fn divide(&mut self, dst: Value, op: Op, remainder: bool) {
        let (w, high, low, d, signed) = match op {
            Op::DivU { w, high, low, d } | Op::RemU { w, high, low, d } => (w, high, low, d, false),
            Op::DivS { w, high, low, d } | Op::RemS { w, high, low, d } => (w, high, low, d, true),
            _ => return self.callout(dst, op),
        };
        let extends = self.extends(high, low, w, signed);
        if w < Width::W32 || (self.frugal && !extends) {
            return self.callout(dst, op);
        }
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(v));
        let slow = self.out_of_line(op, &operands);
        let label = slow.label;
        let extended = |l: &mut Self, v| if signed { l.sign_extended(v) } else { l.zero_extended(v) };
        let rd = extended(self, d);
        let (quotient, rest) = if signed { (DIV, REM) } else { (DIVU, REMU) };
        // All registers are found before the first branch: what is moved for them is moved on either way.
        if w == Width::W64 {
            let (rl, rh) = (self.reg(low), if extends { ZERO } else { self.reg(high) });
            let to = self.result(dst);
            self.asm.branch(Branch::Eq, rd, ZERO, label);
            if !extends && signed {
                // Only where it is the sign of the low half.
                self.asm.i(SRAI, SCRATCH, rl, 63 | ARITHMETIC);
                self.asm.branch(Branch::Ne, SCRATCH, rh, label);
            } else if !extends {
                self.asm.branch(Branch::Ne, rh, ZERO, label);
            }
            if signed {
                self.asm.i(ADDI, SCRATCH, rd, 1);
                self.asm.branch(Branch::Eq, SCRATCH, ZERO, label);
            }
            self.asm.r(if remainder { rest } else { quotient }, to, rl, rd);
            self.done(dst, UpperBits::BOTH);
            return self.out_of_line_ends(slow, Some((to, None)));
        }
        let dividend = if extends {
            extended(self, low)
        } else {
            let (rl, rh) = (self.zero_extended(low), extended(self, high));
            let t = self.temp();
            self.asm.i(SLLI, t, rh, w.bits() as i32);
            self.asm.r(OR, t, t, rl);
            t
        };
        let to = self.result(dst);
        self.asm.branch(Branch::Eq, rd, ZERO, label);
        let form = signed.then_some(w);
        // A dividend of the divisor's width has a quotient that fits, but for one.
        if !extends || signed {
            self.asm.r(quotient, SCRATCH, dividend, rd);
            if signed {
                self.extend_sign_to(RA, SCRATCH, w);
            } else {
                self.extend_zero_to(RA, SCRATCH, w);
            }
            self.asm.branch(Branch::Ne, SCRATCH, RA, label);
        }
        if remainder {
            self.asm.r(rest, to, dividend, rd);
        } else if !extends || signed {
            self.asm.mv(to, SCRATCH);
        } else {
            self.asm.r(quotient, to, dividend, rd);
        }
        self.done(dst, if signed { UpperBits::SIGN } else { UpperBits::ZERO });
        self.out_of_line_ends(slow, Some((to, form)));
    }

    /// Whether `high` is what extends `low`, with its sign or with zeros.
    fn extends(&self, high: Value, low: Value, w: Width, signed: bool) -> bool {
        if !signed {
            return self.plan.constant(high) == Some(0);
        }
        let top = u64::from(w.bits() - 1);
        match self.op_of(high) {
            Op::Sar { w: of, a, n } => {
                of == w && self.plan.root(a) == self.plan.root(low) && self.plan.constant(n) == Some(top)
            }
            _ => false,
        }
    }
}
