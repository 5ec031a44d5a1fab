//! Searching, counting and reversing bits.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Op, Value, Width};

use crate::Features;
use crate::arith::sum_upper;
use crate::assign::SCRATCH;
use crate::encode::*;
use crate::lower::Lowering;

impl Lowering<'_> {
    /// `bsf`, or `bsr` where `reverse`.
    pub(crate) fn bit_scan(&mut self, dst: Value, op: Op, w: Width, a: Value, zero: Value, reverse: bool) {
        if !self.has(Features::ZBB) {
            return self.callout(dst, op);
        }
        let upper = self.upper(zero).and(UpperBits::BOTH);
        let (ra, rz) = (self.zero_extended(a), self.reg(zero));
        let d = self.result(dst);
        let keep = self.asm.label();
        self.asm.mv(SCRATCH, rz);
        self.asm.branch(Branch::Eq, ra, ZERO, keep);
        if reverse {
            self.asm.i(SLLI, SCRATCH, ra, CLZ);
            self.asm.i(XORI, SCRATCH, SCRATCH, 63);
        } else {
            self.asm.i(SLLI, SCRATCH, ra, CTZ);
        }
        self.asm.bind(keep);
        self.asm.mv(d, SCRATCH);
        self.done(dst, if w == Width::W64 { UpperBits::BOTH } else { upper });
    }

    pub(crate) fn count_zeros(&mut self, dst: Value, op: Op, w: Width, a: Value, leading: bool) {
        if !self.has(Features::ZBB) || (!leading && w < Width::W32) {
            return self.callout(dst, op);
        }
        let ra = match (leading, w) {
            (true, Width::W8 | Width::W16) => self.zero_extended(a),
            _ => self.reg(a),
        };
        let d = self.result(dst);
        let count = if leading { CLZ } else { CTZ };
        self.asm.i(if w == Width::W32 { SLLIW } else { SLLI }, d, ra, count);
        if w < Width::W32 {
            self.asm.i(ADDI, d, d, w.bits() as i32 - 64);
        }
        self.done(dst, UpperBits::BOTH);
    }

    pub(crate) fn count_ones(&mut self, dst: Value, op: Op, w: Width, a: Value) {
        if !self.has(Features::ZBB) {
            return self.callout(dst, op);
        }
        let ra = if w < Width::W32 { self.zero_extended(a) } else { self.reg(a) };
        let d = self.result(dst);
        self.asm.i(if w == Width::W32 { SLLIW } else { SLLI }, d, ra, CPOP);
        self.done(dst, UpperBits::BOTH);
    }

    pub(crate) fn byte_swap(&mut self, dst: Value, op: Op, w: Width, a: Value) {
        if !self.has(Features::ZBB) {
            return self.swap_by_halves(dst, op, w, a);
        }
        let ra = self.reg(a);
        let d = self.result(dst);
        self.asm.i(SRLI, d, ra, REV8);
        if w != Width::W64 {
            self.asm.i(SRLI, d, d, 64 - w.bits() as i32);
        }
        self.done(dst, if w == Width::W64 { UpperBits::BOTH } else { UpperBits::ZERO });
    }

    /// Reverses bytes by swapping neighbours, then pairs, then halves.
    fn swap_by_halves(&mut self, dst: Value, op: Op, w: Width, a: Value) {
        if w < Width::W32 {
            return self.callout(dst, op);
        }
        let ra = self.reg(a);
        let t = self.temp();
        let d = self.temp();
        let bits = w.bits() as i32;
        let (left, right) = if w == Width::W64 { (SLLI, SRLI) } else { (SLLIW, SRLIW) };
        let mut from = ra;
        let mut by = 8;
        while by < bits / 2 {
            // Every second unit of `by` bits.
            let mask = (0..bits / by / 2).fold(0i64, |mask, n| mask | ((1 << by) - 1) << (2 * by * n));
            let mask = self.shared_constant(mask);
            self.asm.i(right, t, from, by);
            self.asm.r(AND, t, t, mask);
            self.asm.r(AND, d, from, mask);
            self.asm.i(left, d, d, by);
            self.asm.r(OR, d, d, t);
            from = d;
            by *= 2;
        }
        self.asm.i(right, t, d, by);
        self.asm.i(left, SCRATCH, d, by);
        let d = self.result(dst);
        self.asm.r(OR, d, t, SCRATCH);
        self.done(dst, sum_upper(w));
    }
}
