//! Exact x87 division as code: three digits by the host's division, each estimated from below with a divisor of 42 bits.
//!
//! An estimate is too small by less than 1 + 2^-18, so that what is left is below the divisor or hardly above it, and the next digit makes up for it.

use super::x87_asm::{X87Alu, X87Asm, X87If, X87Imm, X87Part, X87Regs};
use super::x87_code::X87Functions;
use crate::offsets::{X87_SHAPE, callout_arg_offset};

use X87Alu::{Add, Below, Div, MulHigh, Or, Sub};
use X87If::{Equal, NotLess};
use X87Imm::{ShiftLeft, ShiftRight};

impl<A: X87Asm> X87Functions<'_, A> {
    /// The first operand becomes what it is if divided by the second.
    pub(super) fn quotient(&mut self) {
        let X87Regs { a, b, t: [t, u, v], zero } = self.r;
        let (special, is_smaller, digits, rounds, again, large, outside, inside) = (
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
        );
        self.unless_normal(special);
        self.op(Sub, a.1, a.1, b.1);
        self.move_exponent(a.1, 0x3000, t, outside);
        self.asm.x87_bind(inside);
        // What is left could be too large for a register.
        self.asm.x87_not(t, b.0);
        self.imm(ShiftRight, t, t, 46);
        self.branch_zero(Equal, t, large);
        self.imm(ShiftRight, b.1, b.0, 22);
        self.imm(X87Imm::Add, b.1, b.1, 1);
        self.asm.x87_branch(X87If::Below, a.0, b.0, is_smaller);
        self.asm.x87_increase(a.1, 0xfff, t);
        self.imm(ShiftRight, t, a.0, 3);
        self.digit(t, t, 19, u);
        self.asm.x87_bind(digits);
        self.digit(v, a.0, 22, u);
        self.asm.x87_add_shifted(v, t, 22, u);
        self.digit(t, a.0, 22, u);
        self.asm.x87_add_shifted(t, v, 22, u);
        // What is left, compared with one half of the divisor: it is never just that, nor is the quotient all ones then.
        self.asm.x87_bind(rounds);
        self.asm.x87_subtract_unless(u, b.0, a.0, again);
        self.op(Below, v, u, a.0);
        let is_exact = self.asm.x87_label();
        self.asm.x87_store(X87Part::Byte, v, X87_SHAPE + 2);
        self.branch_zero(Equal, a.0, is_exact);
        // That is not zero: the exponent.
        self.asm.x87_store(X87Part::Half, a.1, crate::offsets::X87_TAGS);
        self.asm.x87_bind(is_exact);
        self.op(Add, a.0, t, v);
        self.asm.x87_return(true);

        self.asm.x87_bind(is_smaller);
        self.asm.x87_increase(a.1, 0xffe, t);
        self.imm(ShiftRight, t, a.0, 2);
        self.digit(t, t, 20, u);
        self.asm.x87_jump(digits);
        self.asm.x87_bind(again);
        self.op(Sub, a.0, a.0, b.0);
        self.imm(X87Imm::Add, t, t, 1);
        self.asm.x87_jump(rounds);
        self.asm.x87_bind(outside);
        self.check_exponent(a.1, -0xffd, [t, u], inside);
        self.asm.x87_bind(large);
        self.by_large_divisor();
        self.asm.x87_jump(rounds);
        self.asm.x87_bind(special);
        let refuse = self.refuse;
        self.asm.x87_branch(NotLess, b.0, zero, refuse);
        self.only_zero(a);
        self.signed_zero();
    }

    /// `d` = the next digit, estimated with `of`; the rest moves left by `bits`. `u` changes.
    fn digit(&mut self, d: u8, of: u8, bits: i32, u: u8) {
        let X87Regs { a, b, .. } = self.r;
        self.op(Div, d, of, b.1);
        self.imm(ShiftLeft, a.0, a.0, bits);
        self.asm.x87_subtract_product(a.0, d, b.0, u);
    }

    /// The quotient in the first temporary, and the rest, by two digits of 32 bits; the first waits in the state.
    fn by_large_divisor(&mut self) {
        let X87Regs { a, b, t: [t, u, v], .. } = self.r;
        let is_smaller = self.asm.x87_label();
        self.asm.x87_increase(a.1, 0xffe, t);
        self.asm.x87_constant(b.1, 0);
        self.asm.x87_branch(X87If::Below, a.0, b.0, is_smaller);
        self.imm(X87Imm::Add, a.1, a.1, 1);
        self.imm(X87Imm::And, b.1, a.0, 1);
        self.imm(ShiftLeft, b.1, b.1, 31);
        self.imm(ShiftRight, a.0, a.0, 1);
        self.asm.x87_bind(is_smaller);
        self.half([t, u, v]);
        self.imm(ShiftLeft, v, t, 32);
        self.asm.x87_store(X87Part::Long, v, callout_arg_offset(0));
        self.asm.x87_constant(b.1, 0);
        self.half([t, u, v]);
        self.asm.x87_load(X87Part::Long, v, callout_arg_offset(0));
        self.op(Or, t, t, v);
    }

    /// `t` = the quotient of `a.0 * 2^32 + b.1` by `b.0`, which is less than 2^32, and `a.0` = the rest. `u`, `v` and `b.1` change.
    fn half(&mut self, [t, u, v]: [u8; 3]) {
        let X87Regs { a, b, .. } = self.r;
        let (again, done) = (self.asm.x87_label(), self.asm.x87_label());
        self.imm(ShiftRight, v, b.0, 32);
        self.op(Div, t, a.0, v);
        // The rest in `v` and `a.0`: the estimate is too large by two at most.
        self.op(MulHigh, v, t, b.0);
        self.imm(ShiftRight, u, a.0, 32);
        self.op(Sub, v, u, v);
        self.op(X87Alu::Mul, u, t, b.0);
        self.imm(ShiftLeft, a.0, a.0, 32);
        self.op(Or, a.0, a.0, b.1);
        self.op(Below, b.1, a.0, u);
        self.op(Sub, v, v, b.1);
        self.op(Sub, a.0, a.0, u);
        self.asm.x87_bind(again);
        self.branch_zero(NotLess, v, done);
        self.op(Add, a.0, a.0, b.0);
        self.op(Below, u, a.0, b.0);
        self.op(Add, v, v, u);
        self.imm(X87Imm::Add, t, t, -1);
        self.asm.x87_jump(again);
        self.asm.x87_bind(done);
    }
}
