//! Counting, scanning and moving bits; checksums.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Value, Width};

use crate::Features;
use crate::asm::{Cc, Size};
use crate::assign::{SCRATCH, TARGET, ZERO};
use crate::immediate::bitmask;
use crate::integer::{Logic, Shift, Sum};
use crate::lower::Lowering;

impl Lowering<'_> {
    /// `count_ones`: by bytes in a vector register.
    pub(crate) fn count_ones_of(&mut self, dst: Value, w: Width, a: Value) {
        let r = self.zero_extended(a, w);
        let t = self.vec_temp();
        let d = self.dest(dst);
        self.asm.gpr_to_fp(3, t, r);
        self.asm.count_byte_ones(t, t);
        self.asm.add_bytes(t, t);
        self.asm.fp_to_gpr(2, d, t);
        self.define(dst, UpperBits::ZERO);
    }

    /// `low_bits`: those below bit `n` (of which the low byte counts) of `a`, of 32 or 64 bits.
    pub(crate) fn low_bits_of(&mut self, dst: Value, w: Width, a: Value, n: Value) {
        let size = Size::of(w);
        let (ra, rn) = (self.reg(a), self.reg(n));
        self.asm.ubfx(Size::W, SCRATCH, rn, 0, 8);
        self.asm.constant(TARGET, u64::MAX);
        self.asm.shift_reg(Shift::Lsl, size, TARGET, TARGET, SCRATCH);
        self.asm.logic(Logic::Bic, size, TARGET, ra, TARGET);
        self.asm.add_imm(Sum::Subs, Size::W, ZERO, SCRATCH, w.bits());
        self.compared = None;
        let d = self.dest(dst);
        self.asm.csel(size, d, TARGET, ra, Cc::Lo);
        self.define_as(dst, w);
    }

    /// `crc32c`; false where the host lacks it.
    pub(crate) fn checksum(&mut self, dst: Value, from: Width, crc: Value, v: Value) -> bool {
        if !self.features.contains(Features::CRC32) {
            return false;
        }
        let (rc, rv) = (self.reg(crc), self.reg(v));
        let d = self.dest(dst);
        self.asm.crc32c(from as u8, d, rc, rv);
        self.define(dst, UpperBits::ZERO);
        true
    }

    /// `shld`, `shrd` of 32 and 64 bits; counts are below the width. False where the runtime must do it.
    pub(crate) fn double_shift(&mut self, dst: Value, left: bool, w: Width, a: Value, b: Value, n: Value) -> bool {
        if w < Width::W32 {
            return false;
        }
        let size = Size::of(w);
        let (ra, rb) = (self.reg(a), self.reg(b));
        if let Some(n) = self.constant_of(n) {
            let n = (n & 63) as u8 & (size.bits() - 1);
            let d = self.dest(dst);
            match (n, left) {
                (0, _) => self.asm.mov(size, d, ra),
                (_, true) => self.asm.extr(size, d, ra, rb, size.bits() - n),
                (_, false) => self.asm.extr(size, d, rb, ra, n),
            }
        } else {
            // The other operand by one place and then by the rest, which may be all places but one.
            let rn = self.reg(n);
            let (there, back) = if left { (Shift::Lsl, Shift::Lsr) } else { (Shift::Lsr, Shift::Lsl) };
            self.asm.logic(Logic::Orn, Size::W, SCRATCH, ZERO, rn);
            match back {
                Shift::Lsr => self.asm.lsr(size, TARGET, rb, 1),
                _ => self.asm.lsl(size, TARGET, rb, 1),
            }
            self.asm.shift_reg(back, size, TARGET, TARGET, SCRATCH);
            self.asm.shift_reg(there, size, SCRATCH, ra, rn);
            let d = self.dest(dst);
            self.asm.logic(Logic::Orr, size, d, SCRATCH, TARGET);
        }
        self.define_as(dst, w);
        true
    }

    /// `byte_swap`.
    pub(crate) fn swap_bytes(&mut self, dst: Value, w: Width, a: Value) {
        let r = self.reg(a);
        let d = self.dest(dst);
        self.asm.rev(Size::of(w), d, r);
        self.define_as(dst, w);
    }

    /// `count_leading_zeros`, `count_trailing_zeros`.
    pub(crate) fn count_zeros(&mut self, dst: Value, leading: bool, w: Width, a: Value) {
        let size = Size::of(w);
        if leading {
            let r = self.zero_extended(a, w);
            let d = self.dest(dst);
            self.asm.clz(size, d, r);
            if w < Width::W32 {
                self.asm.add_imm(Sum::Sub, Size::W, d, d, 32 - w.bits());
            }
        } else {
            let mut r = self.reg(a);
            if w < Width::W32 {
                // A one above the width ends the search.
                let bits = bitmask(Size::W, 1 << w.bits()).unwrap_or(0);
                self.asm.logic_bits(Logic::Orr, Size::W, SCRATCH, r, bits);
                r = SCRATCH;
            }
            let d = self.dest(dst);
            self.asm.rbit(size, d, r);
            self.asm.clz(size, d, d);
        }
        self.define(dst, UpperBits::ZERO);
    }

    /// `bit_scan_forward`, `bit_scan_reverse`.
    pub(crate) fn bit_scan(&mut self, dst: Value, forward: bool, w: Width, a: Value, zero: Value) {
        let size = Size::of(w);
        let r = self.zero_extended(a, w);
        let rz = self.reg(zero);
        if forward {
            self.asm.rbit(size, TARGET, r);
            self.asm.clz(size, TARGET, TARGET);
        } else {
            self.asm.clz(size, TARGET, r);
            let bits = bitmask(Size::W, u64::from(size.bits()) - 1).unwrap_or(0);
            self.asm.logic_bits(Logic::Eor, Size::W, TARGET, TARGET, bits);
        }
        self.compared = None;
        self.asm.logic(Logic::Ands, size, ZERO, r, r);
        let d = self.dest(dst);
        self.asm.csel(size, d, rz, TARGET, Cc::Eq);
        self.define_as(dst, w);
    }
}
