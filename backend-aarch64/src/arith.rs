//! Integer arithmetic: sums, logic, shifts, products, extensions.

use hokku_ir::lowering::{Loc, UpperBits};
use hokku_ir::{Op, Value, Width};

use crate::asm::Size;
use crate::assign::{SCRATCH, ZERO};
use crate::conditions::{ALL_BUT_PARITY, Sense, Test};
use crate::immediate::{add_immediate, bitmask};
use crate::integer::{Logic, Shift, Sum};
use crate::lower::Lowering;

/// `value` of width `w` as a signed number.
fn signed(w: Width, value: u64) -> i64 {
    let unused = 64 - w.bits();
    (value << unused) as i64 >> unused
}

impl Lowering<'_> {
    /// `add` and `sub`, with flags in NZCV where those are wanted.
    pub(crate) fn sum(&mut self, dst: Value, subtract: bool, w: Width, a: Value, b: Value) {
        let carried = self.carried[self.at as usize];
        let size = Size::of(w);
        // A constant comes last.
        let (a, b) = if !subtract && self.constant_of(a).is_some() { (b, a) } else { (a, b) };
        if let Some(c) = carried {
            let ra = self.reg(a);
            if subtract {
                let constant = self.constant_of(b).filter(|_| ra != ZERO);
                let rb = if constant.is_none() { self.operand(b) } else { ZERO };
                let d = self.dest(dst);
                match constant {
                    Some(n) => self.subtract_constant(size, d, ra, n & w.mask()),
                    None => self.asm.add(Sum::Subs, size, d, ra, rb),
                }
            } else {
                let imm = self.constant_of(b).filter(|_| ra != ZERO).and_then(|n| add_immediate(n & w.mask()));
                let rb = if imm.is_none() { self.operand(b) } else { ZERO };
                let d = self.dest(dst);
                match imm {
                    Some(imm) => self.asm.add_imm(Sum::Adds, size, d, ra, imm),
                    None => self.asm.add(Sum::Adds, size, d, ra, rb),
                }
            }
            let sense = if subtract { Sense::Inverted } else { Sense::Direct };
            self.compared(c.flags, sense, ALL_BUT_PARITY);
            return self.define_as(dst, w);
        }
        if let Some(n) = self.constant_of(b)
            && self.constant_of(a).is_none()
        {
            let ra = self.reg(a);
            let n = if subtract { signed(w, n).wrapping_neg() } else { signed(w, n) };
            let d = self.dest(dst);
            self.add_shared(size, d, ra, n);
            return self.define_as(dst, w);
        }
        let (ra, rb) = (self.reg(a), self.operand(b));
        let d = self.dest(dst);
        self.asm.add(if subtract { Sum::Sub } else { Sum::Add }, size, d, ra, rb);
        self.define_as(dst, w);
    }

    /// `adc` and `sbb`.
    pub(crate) fn sum_with_carry(&mut self, dst: Value, subtract: bool, w: Width, a: Value, b: Value, f: Value) {
        let size = Size::of(w);
        let sense = if subtract { Sense::Inverted } else { Sense::Direct };
        // The carry first: it may take a callout, which keeps no register.
        self.carry_in(f, sense);
        let (ra, rb) = (self.reg(a), self.reg(b));
        let d = self.dest(dst);
        let op = match (subtract, self.carried[self.at as usize].is_some()) {
            (false, false) => Sum::Add,
            (false, true) => Sum::Adds,
            (true, false) => Sum::Sub,
            (true, true) => Sum::Subs,
        };
        self.asm.adc(op, size, d, ra, rb);
        if let Some(c) = self.carried[self.at as usize] {
            self.compared(c.flags, sense, ALL_BUT_PARITY);
        }
        self.define_as(dst, w);
    }

    /// `and`, `or`, `xor`.
    pub(crate) fn logic(&mut self, dst: Value, op: Logic, w: Width, a: Value, b: Value) {
        let carried = self.carried[self.at as usize];
        let op = if carried.is_some() { Logic::Ands } else { op };
        let size = Size::of(w);
        let (a, b) = if self.constant_of(a).is_some() { (b, a) } else { (a, b) };
        let zero = match op {
            Logic::And | Logic::Ands => self.is_clean(a, w) || self.is_clean(b, w),
            _ => self.is_clean(a, w) && self.is_clean(b, w),
        };
        let ra = self.reg(a);
        let bits = self.constant_of(b).and_then(|n| {
            let n = n & w.mask();
            // What is above the width does not matter.
            bitmask(size, n).or_else(|| bitmask(size, n | !w.mask()).filter(|_| w < Width::W32))
        });
        let clean_bits = self.constant_of(b).is_some_and(|n| bitmask(size, n & w.mask()).is_some());
        let rb = if bits.is_none() { self.operand(b) } else { ZERO };
        let d = self.dest(dst);
        match bits {
            Some(bits) => self.asm.logic_bits(op, size, d, ra, bits),
            None => self.asm.logic(op, size, d, ra, rb),
        }
        if let Some(c) = carried {
            self.compared(c.flags, Sense::Direct, ALL_BUT_PARITY);
        }
        let zero = w == Width::W32 || zero && (bits.is_none() || clean_bits);
        self.define(dst, if zero { UpperBits::ZERO } else { UpperBits::UNKNOWN });
    }

    /// Whether the register of `v` has zeros above its `w` bits.
    fn is_clean(&self, v: Value, w: Width) -> bool {
        let is_there = self.constant_of(v).is_some() || !self.plan.info(self.plan.root(v)).deferred;
        is_there && self.upper_of(v, w).zero
    }

    /// `not`.
    pub(crate) fn invert(&mut self, dst: Value, w: Width, a: Value) {
        let ra = self.reg(a);
        let d = self.dest(dst);
        self.asm.logic(Logic::Orn, Size::of(w), d, ZERO, ra);
        self.define_as(dst, w);
    }

    /// `mul`.
    pub(crate) fn multiply(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        let (ra, rb) = (self.operand(a), self.operand(b));
        let d = self.dest(dst);
        self.asm.madd(Size::of(w), d, ra, rb, ZERO);
        self.define_as(dst, w);
    }

    /// `mul_high_u` and `mul_high_s`.
    pub(crate) fn multiply_high(&mut self, dst: Value, is_signed: bool, w: Width, a: Value, b: Value) {
        if w == Width::W64 {
            let (ra, rb) = (self.operand(a), self.operand(b));
            let d = self.dest(dst);
            self.asm.mulh(is_signed, d, ra, rb);
            return self.define(dst, UpperBits::UNKNOWN);
        }
        let (ra, rb) = if is_signed {
            (self.sign_extended(a, w, Size::W), self.sign_extended(b, w, Size::W))
        } else {
            (self.zero_extended(a, w), self.zero_extended(b, w))
        };
        let d = self.dest(dst);
        self.asm.mull(is_signed, d, ra, rb);
        self.asm.lsr(Size::X, d, d, w.bits() as u8);
        // Of 32-bit factors the upper half of the register is zero.
        self.define(dst, if w == Width::W32 { UpperBits::ZERO } else { UpperBits::UNKNOWN });
    }

    /// Shifts `a` as flags op `op` does, by the constant `n`, to `d`.
    pub(crate) fn shift_constant_to(&mut self, d: u8, op: &Op, w: Width, a: Value, n: u8) {
        let shift = match op {
            Op::ShlFlags { .. } => Shift::Lsl,
            Op::ShrFlags { .. } => Shift::Lsr,
            _ => Shift::Asr,
        };
        let r = match shift {
            Shift::Lsl => self.reg(a),
            Shift::Lsr => self.zero_extended(a, w),
            _ => self.sign_extended(a, w, Size::of(w)),
        };
        self.shift_by(shift, Size::of(w), d, r, n);
    }

    /// By less than the size, which is not below the width.
    fn shift_by(&mut self, shift: Shift, size: Size, d: u8, r: u8, n: u8) {
        match shift {
            Shift::Lsl => self.asm.lsl(size, d, r, n),
            Shift::Lsr => self.asm.lsr(size, d, r, n),
            _ => self.asm.asr(size, d, r, n),
        }
    }

    /// `shl`, `shr`, `sar`. Counts are below the host's size already.
    pub(crate) fn shift_value(&mut self, dst: Value, shift: Shift, w: Width, a: Value, n: Value) {
        let size = Size::of(w);
        let r = match shift {
            Shift::Lsl => self.reg(a),
            Shift::Lsr => self.zero_extended(a, w),
            _ => self.sign_extended(a, w, size),
        };
        if let Some(n) = self.constant_of(n) {
            let d = self.dest(dst);
            self.shift_by(shift, size, d, r, (n & 63) as u8 & (size.bits() - 1));
        } else {
            // Counts of narrow values are below 32: the host's own mask does not cut them.
            let rn = self.reg(n);
            let d = self.dest(dst);
            self.asm.shift_reg(shift, size, d, r, rn);
        }
        let zero = w == Width::W32 || shift == Shift::Lsr && w < Width::W32;
        self.define(dst, if zero { UpperBits::ZERO } else { UpperBits::UNKNOWN });
    }

    /// `rotl`, `rotr`.
    pub(crate) fn rotate(&mut self, dst: Value, left: bool, w: Width, a: Value, n: Value) {
        let (size, bits) = (Size::of(w), w.bits() as u8);
        let mut r = self.reg(a);
        if w < Width::W32 {
            // The value twice, or four times, fills the register.
            let t = self.temp();
            self.asm.ubfx(Size::W, t, r, 0, bits);
            if w == Width::W8 {
                self.asm.logic_shifted(Logic::Orr, Size::W, t, t, t, Shift::Lsl, 8);
            }
            self.asm.logic_shifted(Logic::Orr, Size::W, t, t, t, Shift::Lsl, 16);
            r = t;
        }
        if let Some(n) = self.constant_of(n) {
            let n = (n & u64::from(bits - 1)) as u8;
            let n = if left { (size.bits() - n) % size.bits() } else { n };
            let d = self.dest(dst);
            self.asm.extr(size, d, r, r, n);
        } else {
            let rn = self.reg(n);
            let mut by = rn;
            if left {
                self.asm.add(Sum::Sub, Size::W, SCRATCH, ZERO, rn);
                by = SCRATCH;
            }
            let d = self.dest(dst);
            self.asm.shift_reg(Shift::Ror, size, d, r, by);
        }
        self.define_as(dst, w);
    }

    /// `extend_zero`, `extend_sign`.
    pub(crate) fn extend(&mut self, dst: Value, is_signed: bool, from: Width, to: Width, v: Value) {
        if !is_signed && self.is_clean(v, from) && self.shares_register(dst, v) {
            return;
        }
        let r = self.reg(v);
        let d = self.dest(dst);
        if is_signed {
            let size = Size::of(to);
            if Size::of(from) == size && from >= Width::W32 {
                self.asm.mov(size, d, r);
            } else {
                self.asm.sbfx(size, d, r, 0, from.bits() as u8);
            }
            return self.define_as(dst, to);
        }
        self.zero_extend_to(d, r, from);
        self.define(dst, UpperBits::ZERO);
    }

    /// Lets `dst` live where `v` does, whose register holds both, if that can be.
    fn shares_register(&mut self, dst: Value, v: Value) -> bool {
        let root = self.plan.root(v);
        if self.constant_of(v).is_some() || self.plan.info(dst).home.is_some() {
            return false;
        }
        match self.values.loc(root) {
            Loc::Home(g) => self.values.hold(g, dst, UpperBits::ZERO),
            Loc::Temp(r) if self.plan.info(root).last.max(self.plan.info(root).last_flags) <= self.at => {
                self.values.give(r, root, dst);
                self.values.set_upper(dst, UpperBits::ZERO);
            }
            _ => return false,
        }
        true
    }

    /// Whether `v` is computed where it is used, which may change NZCV.
    fn is_put_off(&self, v: Value) -> bool {
        self.constant_of(v).is_none() && self.plan.info(self.plan.root(v)).deferred
    }

    /// `select`.
    pub(crate) fn select_value(&mut self, dst: Value, w: Width, c: Value, a: Value, b: Value) {
        let early = [a, b].map(|v| self.is_put_off(v).then(|| self.reg(v)));
        let test = self.test_value(c);
        let ra = early[0].unwrap_or_else(|| self.reg(a));
        let rb = early[1].unwrap_or_else(|| self.reg(b));
        let size = Size::of(w);
        if let Test::Constant(yes) = test {
            let d = self.dest(dst);
            self.asm.mov(size, d, if yes { ra } else { rb });
            return self.define_as(dst, w);
        }
        let cc = self.host_test(test);
        let d = self.dest(dst);
        self.asm.csel(size, d, ra, rb, cc);
        self.define_as(dst, w);
    }

    /// `compare`.
    pub(crate) fn comparison(&mut self, dst: Value, op: hokku_ir::IntCmp, w: Width, a: Value, b: Value) {
        let test = self.test_comparison(op, w, a, b);
        let d = self.dest(dst);
        self.set_by(d, test);
        self.define(dst, UpperBits::BOTH);
    }
}
