//! Shifts and rotations. Counts are masked already; the host looks at their low bits alone.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Op, Value, Width};

use crate::Features;
use crate::arith::sum_upper;
use crate::assign::SCRATCH;
use crate::encode::*;
use crate::lower::Lowering;

/// A kind of shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Left,
    Logical,
    Arithmetic,
}

impl Lowering<'_> {
    pub(crate) fn shift(&mut self, dst: Value, kind: Shift, w: Width, a: Value, n: Value) {
        let is_short = w < Width::W32;
        let ra = match kind {
            Shift::Logical if is_short => self.zero_extended(a),
            Shift::Arithmetic if is_short => self.sign_extended(a),
            _ => self.reg(a),
        };
        let count = self.plan.constant(n).map(|n| (n & 63) as i32);
        let rn = if count.is_none() { self.reg(n) } else { ZERO };
        let d = self.result(dst);
        let wide = w == Width::W32;
        match count {
            Some(n) => {
                let (op, n) = match kind {
                    Shift::Left => (if wide { SLLIW } else { SLLI }, n),
                    Shift::Logical => (if wide { SRLIW } else { SRLI }, n),
                    Shift::Arithmetic => (if wide { SRAIW } else { SRAI }, n | ARITHMETIC),
                };
                self.asm.i(op, d, ra, n);
            }
            None => {
                let op = match kind {
                    Shift::Left => SLL,
                    Shift::Logical => SRL,
                    Shift::Arithmetic => SRA,
                };
                self.asm.r(if wide { R(op.0 | 8) } else { op }, d, ra, rn);
            }
        }
        let upper = match (kind, w) {
            (Shift::Logical, Width::W8 | Width::W16) => UpperBits::ZERO,
            (Shift::Arithmetic, Width::W8 | Width::W16) => UpperBits::SIGN,
            (Shift::Logical, Width::W32) if count.is_some_and(|n| n > 0) => UpperBits::BOTH,
            _ => sum_upper(w),
        };
        self.done(dst, upper);
    }

    /// A rotation left, or right.
    pub(crate) fn rotate(&mut self, dst: Value, left: bool, w: Width, a: Value, n: Value) {
        let bits = w.bits() as i32;
        let ra = match w {
            Width::W8 | Width::W16 => {
                // As often as it fits, so that a rotation of 32 bits does.
                let r = self.zero_extended(a);
                let t = self.temp();
                self.asm.i(SLLI, t, r, bits);
                self.asm.r(OR, t, t, r);
                if w == Width::W8 {
                    self.asm.i(SLLI, SCRATCH, t, 16);
                    self.asm.r(OR, t, t, SCRATCH);
                }
                t
            }
            _ => self.reg(a),
        };
        let wide = w == Width::W64;
        let all = if wide { 64 } else { 32 };
        let word = |op: R| if wide { op } else { R(op.0 | 8) };
        if let Some(n) = self.plan.constant(n) {
            let n = n as i32 & (all - 1);
            let right = if left { (all - n) & (all - 1) } else { n };
            let d = self.result(dst);
            if self.has(Features::ZBB) {
                self.asm.i(if wide { SRLI } else { SRLIW }, d, ra, RORI | right);
            } else {
                self.asm.i(if wide { SLLI } else { SLLIW }, SCRATCH, ra, (all - right) & (all - 1));
                self.asm.i(if wide { SRLI } else { SRLIW }, d, ra, right);
                self.asm.r(OR, d, d, SCRATCH);
            }
        } else {
            let rn = self.reg(n);
            let d = self.result(dst);
            if self.has(Features::ZBB) {
                self.asm.r(word(if left { ROL } else { ROR }), d, ra, rn);
            } else {
                let (there, back) = if left { (SLL, SRL) } else { (SRL, SLL) };
                self.asm.r(SUB, SCRATCH, ZERO, rn);
                self.asm.r(word(back), SCRATCH, ra, SCRATCH);
                self.asm.r(word(there), d, ra, rn);
                self.asm.r(OR, d, d, SCRATCH);
            }
        }
        self.done(dst, sum_upper(w));
    }

    /// `shld`, or `shrd`.
    pub(crate) fn double_shift(&mut self, dst: Value, op: Op, left: bool, w: Width, a: Value, b: Value, n: Value) {
        if w < Width::W32 {
            return self.callout(dst, op);
        }
        let wide = w == Width::W64;
        let Some(n) = self.plan.constant(n).map(|n| n as i32 & 63).filter(|n| *n != 0) else {
            return self.double_shift_by(dst, left, wide, (a, b, n));
        };
        let back = w.bits() as i32 - n;
        let (ra, rb) = (self.reg(a), self.reg(b));
        let (up, down) = if wide { (SLLI, SRLI) } else { (SLLIW, SRLIW) };
        let (there, here) = if left { (down, up) } else { (up, down) };
        self.asm.i(there, SCRATCH, rb, back);
        let d = self.result(dst);
        self.asm.i(here, d, ra, n);
        self.asm.r(OR, d, d, SCRATCH);
        self.done(dst, sum_upper(w));
    }

    /// The same by a count that is not known. What comes in is shifted by one, and then by one less: nothing where the count is zero.
    fn double_shift_by(&mut self, dst: Value, left: bool, wide: bool, (a, b, n): (Value, Value, Value)) {
        let (ra, rb, rn) = (self.reg(a), self.reg(b), self.reg(n));
        let t = self.temp();
        let word = |op: R| if wide { op } else { R(op.0 | 8) };
        let (there, here, one) = match (left, wide) {
            (true, true) => (SRL, SLL, SRLI),
            (true, false) => (SRL, SLL, SRLIW),
            (false, true) => (SLL, SRL, SLLI),
            (false, false) => (SLL, SRL, SLLIW),
        };
        self.asm.i(XORI, SCRATCH, rn, -1);
        self.asm.i(one, t, rb, 1);
        self.asm.r(word(there), t, t, SCRATCH);
        let d = self.result(dst);
        self.asm.r(word(here), d, ra, rn);
        self.asm.r(OR, d, d, t);
        self.done(dst, sum_upper(if wide { Width::W64 } else { Width::W32 }));
    }
}
