//! Searching, counting and reversing bits.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Op, Value, Width};

use crate::Features;
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
            return self.callout(dst, op);
        }
        let ra = self.reg(a);
        let d = self.result(dst);
        self.asm.i(SRLI, d, ra, REV8);
        if w != Width::W64 {
            self.asm.i(SRLI, d, d, 64 - w.bits() as i32);
        }
        self.done(dst, if w == Width::W64 { UpperBits::BOTH } else { UpperBits::ZERO });
    }
}
