//! Sums, differences, bitwise operations, extensions, addresses as values.

use hokku_ir::lowering::{Loc, UpperBits};
use hokku_ir::{Addr, CpuMode, IntCmp, Op, Value, Width};

use crate::Features;
use crate::assign::SCRATCH;
use crate::conditions::Test;
use crate::encode::*;
use crate::lower::Lowering;

impl Lowering<'_> {
    pub(crate) fn add(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        let (a, b) = if self.plan.constant(a).is_some() { (b, a) } else { (a, b) };
        if let Some(n) = self.small(b)
            && self.near_stack(dst, w, a, n.into())
        {
            return;
        }
        let ra = self.reg(a);
        match self.small(b) {
            Some(n) => self.add_small(dst, w, ra, n),
            None => {
                let rb = self.reg(b);
                let d = self.result(dst);
                self.asm.r(if w == Width::W32 { ADDW } else { ADD }, d, ra, rb);
                self.done(dst, sum_upper(w));
            }
        }
    }

    pub(crate) fn add_small(&mut self, dst: Value, w: Width, a: Reg, n: i32) {
        let d = self.result(dst);
        self.asm.i(if w == Width::W32 { ADDIW } else { ADDI }, d, a, n);
        self.done(dst, sum_upper(w));
    }

    pub(crate) fn sub(&mut self, dst: Value, w: Width, a: Value, b: Value) {
        if let Some(n) = self.small(b)
            && self.near_stack(dst, w, a, -i64::from(n))
        {
            return;
        }
        let ra = self.reg(a);
        match self.small(b).map(|n| -n).filter(|n| *n < 2048) {
            Some(n) => self.add_small(dst, w, ra, n),
            None => {
                let rb = self.reg(b);
                let d = self.result(dst);
                self.asm.r(if w == Width::W32 { SUBW } else { SUB }, d, ra, rb);
                self.done(dst, sum_upper(w));
            }
        }
    }

    /// `a + b + carry`, or `a - b - carry`, where `carry` is in a register.
    pub(crate) fn add_carry(&mut self, dst: Value, w: Width, a: Value, b: Value, carry: Reg, subtract: bool) {
        let (ra, rb) = (self.reg(a), self.reg(b));
        let op = if subtract { SUB } else { ADD };
        let wide = w == Width::W32;
        self.asm.r(op, SCRATCH, ra, rb);
        let d = self.result(dst);
        self.asm.r(if wide { R(op.0 | 8) } else { op }, d, SCRATCH, carry);
        self.done(dst, sum_upper(w));
    }

    /// `and`, `or`, `xor` by their instructions.
    pub(crate) fn bitwise(&mut self, dst: Value, (op, with_imm): (R, I), a: Value, b: Value) {
        let (a, b) = if self.plan.constant(a).is_some() { (b, a) } else { (a, b) };
        let (ra, ua) = (self.reg(a), self.upper(a));
        let upper = |ub: UpperBits| match op {
            AND => UpperBits {
                zero: ua.zero || ub.zero,
                sign: ua.sign && ub.sign || ua == UpperBits::BOTH || ub == UpperBits::BOTH,
            },
            _ => ua.and(ub),
        };
        let ub = self.upper(b);
        if let Some(n) = self.small(b) {
            let d = self.result(dst);
            self.asm.i(with_imm, d, ra, n);
            self.done(dst, upper(ub));
            return;
        }
        let rb = self.reg(b);
        let d = self.result(dst);
        self.asm.r(op, d, ra, rb);
        self.done(dst, upper(ub));
    }

    pub(crate) fn not(&mut self, dst: Value, a: Value) {
        let (ra, ua) = (self.reg(a), self.upper(a));
        let d = self.result(dst);
        self.asm.i(XORI, d, ra, -1);
        self.done(dst, UpperBits { zero: false, sign: ua.sign });
    }

    pub(crate) fn extend_zero(&mut self, dst: Value, from: Width, v: Value) {
        if self.plan.info(dst).home.is_none() {
            // Where the value is extended already or is needed no more, both share its place.
            let r = self.zero_extended(v);
            if self.share(dst, v, r, UpperBits::ZERO) {
                return;
            }
            let d = self.result(dst);
            self.asm.mv(d, r);
            return self.done(dst, UpperBits::BOTH);
        }
        let (r, upper) = (self.reg(v), self.upper(v));
        let d = self.result(dst);
        if upper.zero {
            self.asm.mv(d, r)
        } else {
            self.extend_zero_to(d, r, from)
        }
        self.done(dst, UpperBits::BOTH);
    }

    pub(crate) fn extend_sign(&mut self, dst: Value, from: Width, v: Value) {
        let (r, upper) = (self.reg(v), self.upper(v));
        if upper.sign && self.plan.info(dst).home.is_none() && self.share(dst, v, r, UpperBits::SIGN) {
            return;
        }
        let d = self.result(dst);
        if upper.sign {
            self.asm.mv(d, r)
        } else {
            self.extend_sign_to(d, r, from)
        }
        self.done(dst, UpperBits::SIGN);
    }

    /// Lets `dst` be where `v`, which has that extended form in register `r`, is; says whether that is possible.
    fn share(&mut self, dst: Value, v: Value, r: Reg, upper: UpperBits) -> bool {
        let root = self.plan.root(v);
        if root != v || self.plan.constant(v).is_some() || self.plan.info(v).deferred {
            return false;
        }
        match self.values.loc(v) {
            Loc::Home(g) if crate::assign::home(g) == r && self.values.upper(v).zero && upper.zero => {
                self.values.hold(g, dst, UpperBits::BOTH);
                true
            }
            Loc::Temp(t) if t == r && self.plan.info(v).last <= self.at && self.plan.info(v).last_flags <= self.at => {
                self.values.give(t, v, dst);
                self.values.set_upper(dst, upper);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn select(&mut self, dst: Value, c: Value, a: Value, b: Value) {
        let test = self.test(c);
        let upper = self.upper(a).and(self.upper(b));
        let (ra, rb) = (self.reg(a), self.reg(b));
        let d = self.result(dst);
        if self.has(Features::ZICOND) && d != rb && (ra == ZERO || rb == ZERO) {
            let c = self.truth(test);
            let (op, r) = if ra == ZERO { (CZERO_NEZ, rb) } else { (CZERO_EQZ, ra) };
            self.asm.r(op, d, r, c);
            return self.done(dst, upper);
        }
        let skip = self.asm.label();
        // The result may be the place of an operand of the test.
        if d == rb {
            self.branch_unless(test, skip);
            self.asm.mv(d, ra);
        } else if d == ra {
            self.branch_if(test, skip);
            self.asm.mv(d, rb);
        } else {
            let is_read = test.reads(d);
            let t = if is_read { SCRATCH } else { d };
            self.asm.mv(t, rb);
            self.branch_unless(test, skip);
            self.asm.mv(t, ra);
            self.asm.bind(skip);
            self.asm.mv(d, t);
            return self.done(dst, upper);
        }
        self.asm.bind(skip);
        self.done(dst, upper);
    }

    pub(crate) fn truth_value(&mut self, dst: Value, test: Test) {
        let d = self.result(dst);
        self.truth_to(d, test);
        self.done(dst, UpperBits::BOTH);
    }

    pub(crate) fn compare(&mut self, op: IntCmp, w: Width, a: Value, b: Value) -> Test {
        self.compare_test(op, w, a, b)
    }

    pub(crate) fn lea(&mut self, dst: Value, w: Width, at: Addr) {
        if let (Some(base), None) = (at.base, at.index)
            && at.width == w
            && self.near_stack(dst, w, base, at.disp)
        {
            return;
        }
        let (base, offset) = self.low_sum(&at);
        let end = self.asm.here();
        // What is in the low bits does not depend on those above.
        let is_cut = at.width < w || at.width == Width::W16;
        if w == Width::W32 && !is_cut {
            let d = self.result(dst);
            if offset != 0 || !self.values.is_loose(base) || !self.asm.retarget_word(end, base, d) {
                self.asm.i(ADDIW, d, base, offset);
            }
            return self.done(dst, UpperBits::SIGN);
        }
        let d = self.result(dst);
        if offset != 0 || !self.values.is_loose(base) || !self.asm.retarget(end, base, d) {
            self.asm.i(ADDI, d, base, offset);
        }
        if is_cut {
            self.extend_zero_to(d, d, at.width);
        }
        let upper = if is_cut && at.width < w { UpperBits::BOTH } else { UpperBits::UNKNOWN };
        self.done(dst, if w == Width::W64 { UpperBits::BOTH } else { upper });
    }

    pub(crate) fn is_64(&self) -> bool {
        self.mode == CpuMode::Long64
    }

    /// The op of `v`.
    pub(crate) fn op_of(&self, v: Value) -> Op {
        self.plan.info(v).op
    }
}

pub(crate) fn sum_upper(w: Width) -> UpperBits {
    match w {
        Width::W64 => UpperBits::BOTH,
        Width::W32 => UpperBits::SIGN,
        _ => UpperBits::UNKNOWN,
    }
}
