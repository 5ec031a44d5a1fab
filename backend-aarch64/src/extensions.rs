//! What registers hold above their values, and values extended to whole registers.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Op, Value, Width};

use crate::asm::Size;
use crate::lower::Lowering;

impl Lowering<'_> {
    /// What is known above the low `w` bits of `v`'s register.
    pub(crate) fn upper_of(&self, v: Value, w: Width) -> UpperBits {
        if self.constant_of(v).is_some() {
            return UpperBits::ZERO;
        }
        let root = self.plan.root(v);
        let info = self.plan.info(root);
        if info.deferred {
            let is_bit = matches!(info.op, Op::Condition { .. } | Op::Compare { .. });
            return if is_bit { UpperBits::BOTH } else { UpperBits::UNKNOWN };
        }
        let upper = self.values.upper(root);
        match info.op.result_type().width() {
            Some(own) if own == w => upper,
            Some(own) if self.fits(&info.op, w) && (own == Width::W64 || upper.zero) => UpperBits::ZERO,
            _ => UpperBits::UNKNOWN,
        }
    }

    /// Whether what `op` gives is below two to the number of bits of `w`, whatever its operands are.
    fn fits(&self, op: &Op, w: Width) -> bool {
        match *op {
            Op::ExtendZero { from, .. } => from <= w,
            Op::And { a, b, .. } => [a, b].iter().any(|v| self.constant_of(*v).is_some_and(|n| n <= w.mask())),
            Op::Shr { w: of, n, .. } => {
                self.constant_of(n).is_some_and(|n| u64::from(of.bits()) <= n + u64::from(w.bits()))
            }
            _ => false,
        }
    }

    /// A register with `v` of width `w`, zero-extended.
    pub(crate) fn zero_extended(&mut self, v: Value, w: Width) -> u8 {
        let r = self.reg(v);
        if w == Width::W64 || self.upper_of(v, w).zero {
            return r;
        }
        let t = self.temp();
        self.zero_extend_to(t, r, w);
        t
    }

    /// A register with `v` of width `w`, sign-extended to `size`.
    pub(crate) fn sign_extended(&mut self, v: Value, w: Width, size: Size) -> u8 {
        let r = self.reg(v);
        if Size::of(w) == size && w >= Width::W32 {
            return r;
        }
        let t = self.temp();
        self.asm.sbfx(size, t, r, 0, w.bits() as u8);
        t
    }

    /// All of `d` = the low `w` bits of `r`.
    pub(crate) fn zero_extend_to(&mut self, d: u8, r: u8, w: Width) {
        match w {
            Width::W64 => self.asm.mov(Size::X, d, r),
            Width::W32 => self.asm.mov(Size::W, d, r),
            _ => self.asm.ubfx(Size::W, d, r, 0, w.bits() as u8),
        }
    }
}
