//! Exact x87 arithmetic as code of hosts that have integer registers of 64 bits and no x87 unit: the shared functions.
//!
//! Values are in host form ([`crate::eval::x87_to_exact`]): a significand and a word of sign and exponent, in two registers. The functions take ordinary
//! operands (normal values and zeros), round to nearest and to 64 bits, and give an ordinary result; what is not so they refuse. Source of the methods:
//! Knuth, The Art of Computer Programming 2, 4.2 and 4.3.1.

use super::x87_asm::{X87Alu, X87Asm, X87If, X87Imm, X87Part, X87Regs};
use crate::backend::StubId;
use crate::offsets::{X87_SHAPE, X87_TAGS};

use X87Alu::{Add, And, Below, MulHigh, Or, ShiftLeft, ShiftRight, Sub, Xor};
use X87If::{Equal, Less, NotBelow, NotEqual, NotLess};

const SIGN: u64 = 1 << 63;

/// The functions there are.
pub const X87_FUNCTIONS: [StubId; 7] = [
    StubId::X87Sum,
    StubId::X87Difference,
    StubId::X87Product,
    StubId::X87Quotient,
    StubId::X87Comparison,
    StubId::X87Integer,
    StubId::X87Truncation,
];

/// Writes function `id`, with registers `r`.
///
/// # Panics
/// Where it is none of [`X87_FUNCTIONS`].
pub fn x87_function<A: X87Asm>(asm: &mut A, id: StubId, r: X87Regs) {
    let mut f = X87Functions::new(asm, r);
    match id {
        StubId::X87Sum => f.sum(),
        StubId::X87Difference => f.difference(),
        StubId::X87Product => f.product(),
        StubId::X87Quotient => f.quotient(),
        StubId::X87Comparison => f.comparison(),
        StubId::X87Integer => f.integer(false),
        StubId::X87Truncation => f.integer(true),
        _ => panic!("{id:?} is no x87 function"),
    }
    f.end();
}

/// Writes functions.
pub(super) struct X87Functions<'a, A: X87Asm> {
    pub(super) asm: &'a mut A,
    pub(super) r: X87Regs,
    pub(super) refuse: A::Label,
}

impl<'a, A: X87Asm> X87Functions<'a, A> {
    /// With registers `r`.
    fn new(asm: &'a mut A, r: X87Regs) -> Self {
        let refuse = asm.x87_label();
        X87Functions { asm, r, refuse }
    }

    pub(super) fn imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32) {
        self.asm.x87_imm(op, d, a, n);
    }

    pub(super) fn op(&mut self, op: X87Alu, d: u8, a: u8, b: u8) {
        self.asm.x87_op(op, d, a, b);
    }

    fn mv(&mut self, d: u8, a: u8) {
        if d != a {
            self.imm(X87Imm::Add, d, a, 0);
        }
    }

    /// `d = a` without its sign.
    fn magnitude(&mut self, d: u8, a: u8) {
        self.asm.x87_field(d, a, 0, 63);
    }

    /// Branches on `a` against zero.
    pub(super) fn branch_zero(&mut self, on: X87If, a: u8, to: A::Label) {
        self.asm.x87_branch(on, a, self.r.zero, to);
    }

    /// The place of refusal, behind the last function.
    fn end(self) {
        self.asm.x87_bind(self.refuse);
        self.asm.x87_return(false);
    }

    /// Goes to `to` unless both operands are normal; changes `t`.
    pub(super) fn unless_normal(&mut self, to: A::Label) {
        let X87Regs { a, b, t: [t, ..], .. } = self.r;
        self.op(And, t, a.0, b.0);
        self.branch_zero(NotLess, t, to);
    }

    /// Refuses unless the operand `v` is zero; changes `t`.
    pub(super) fn only_zero(&mut self, v: (u8, u8)) {
        let (t, refuse) = (self.r.t[0], self.refuse);
        self.imm(X87Imm::ShiftLeft, t, v.1, 1);
        self.op(Or, t, t, v.0);
        self.branch_zero(NotEqual, t, refuse);
    }

    /// Ends with a result that is exact.
    fn exact(&mut self) {
        self.asm.x87_store(X87Part::Byte, self.r.zero, X87_SHAPE + 2);
        self.asm.x87_return(true);
    }

    /// Rounds `v.0:low`, whose top bit is set, with the word `v.1`, and ends. `t` and `u`, none of these, change.
    fn round(&mut self, v: (u8, u8), low: u8, t: u8, u: u8) {
        let a = self.r.a;
        let (carry, goes_on) = (self.asm.x87_label(), self.asm.x87_label());
        self.asm.x87_rounds_up(t, v.0, low, u);
        self.op(Add, a.0, v.0, t);
        self.mv(a.1, v.1);
        self.branch_zero(Equal, a.0, carry);
        self.asm.x87_bind(goes_on);
        self.rounded(t, low);
        self.asm.x87_bind(carry);
        self.asm.x87_constant(a.0, SIGN);
        self.next_exponent(a.1, u);
        self.asm.x87_jump(goes_on);
    }

    /// Rounds as [`Self::round`] does, where `v.0` is not all ones.
    fn round_less(&mut self, v: (u8, u8), low: u8, t: u8, u: u8) {
        let a = self.r.a;
        self.asm.x87_rounds_up(t, v.0, low, u);
        self.op(Add, a.0, v.0, t);
        self.mv(a.1, v.1);
        self.rounded(t, low);
    }

    /// Ends with a result that is rounded up if `up` is one, and not exact if `rest` is not zero.
    pub(super) fn rounded(&mut self, up: u8, rest: u8) {
        let is_exact = self.asm.x87_label();
        self.asm.x87_store(X87Part::Byte, up, X87_SHAPE + 2);
        self.branch_zero(Equal, rest, is_exact);
        // That is not zero: the exponent.
        self.asm.x87_store(X87Part::Half, self.r.a.1, X87_TAGS);
        self.asm.x87_bind(is_exact);
        self.asm.x87_return(true);
    }

    /// Adds one to the exponent in `w`; refuses what is too large then. `t` changes.
    fn next_exponent(&mut self, w: u8, t: u8) {
        let refuse = self.refuse;
        self.imm(X87Imm::Add, w, w, 1);
        self.imm(X87Imm::Add, t, w, 1);
        self.asm.x87_branch_bit15(t, t, self.r.zero, refuse);
    }

    /// The first operand becomes what it is more than the second.
    fn difference(&mut self) {
        let X87Regs { b, t: [t, ..], .. } = self.r;
        self.asm.x87_flip_top(b.1, b.1, t);
        self.sum();
    }

    /// The first operand becomes the sum of both.
    fn sum(&mut self) {
        let X87Regs { a, b, t: [t, u, v], zero } = self.r;
        let (special, swapped) = (self.asm.x87_label(), self.asm.x87_label());
        self.unless_normal(special);
        self.op(Sub, t, a.1, b.1);
        self.asm.x87_spread(t, t);
        self.branch_zero(Less, t, swapped);
        self.ordered_sum(a, b, [t, u, v], true);
        self.asm.x87_bind(swapped);
        self.op(Sub, t, zero, t);
        self.ordered_sum(b, a, [t, u, v], false);
        self.asm.x87_bind(special);
        self.sum_with_zero();
    }

    /// The sum where one of the operands is not normal.
    fn sum_with_zero(&mut self) {
        let X87Regs { a, b, zero, .. } = self.r;
        let (other, both) = (self.asm.x87_label(), self.asm.x87_label());
        self.asm.x87_branch(NotLess, a.0, zero, other);
        self.only_zero(b);
        self.exact();
        self.asm.x87_bind(other);
        self.only_zero(a);
        self.asm.x87_branch(NotLess, b.0, zero, both);
        self.mv(a.0, b.0);
        self.mv(a.1, b.1);
        self.exact();
        self.asm.x87_bind(both);
        self.only_zero(b);
        // Negative only if both are.
        self.op(And, a.1, a.1, b.1);
        self.exact();
    }

    /// The sum of `p` and `q`, whose exponent is less by what `t` says, or the same if it `may_be_same`; `p` is the first operand then.
    fn ordered_sum(&mut self, p: (u8, u8), q: (u8, u8), [t, u, v]: [u8; 3], may_be_same: bool) {
        let zero = self.r.zero;
        let (far, subtract, carry, add_moved, subtract_moved, same) = (
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
        );
        self.imm(X87Imm::ShiftRight, v, t, 6);
        self.branch_zero(NotEqual, v, far);
        self.op(Xor, v, p.1, q.1);
        self.branch_zero(Less, v, subtract);
        if may_be_same {
            self.branch_zero(Equal, t, same);
        }
        self.move_right(q, [t, u, v]);
        self.asm.x87_bind(add_moved);
        self.asm.x87_add_or(p.0, q.0, carry);
        self.round(p, v, t, u);
        // The second one was moved: the last bit of what is below it is zero, and not all bits of the sum are ones.
        self.asm.x87_bind(carry);
        self.imm(X87Imm::ShiftRight, v, v, 1);
        self.asm.x87_add_shifted(v, p.0, 63, u);
        self.imm(X87Imm::ShiftRight, p.0, p.0, 1);
        self.asm.x87_set_top(p.0, p.0, u);
        self.next_exponent(p.1, u);
        self.round_less(p, v, t, u);
        if may_be_same {
            self.asm.x87_bind(same);
            self.sum_of_same_exponents([t, u, v]);
        }

        // The second operand is less than the last place of the first.
        self.asm.x87_bind(far);
        let found = self.asm.x87_label();
        self.mv(v, q.0);
        self.imm(X87Imm::Add, t, t, -64);
        self.branch_zero(Equal, t, found);
        self.imm(X87Imm::And, v, q.0, 1);
        self.imm(X87Imm::ShiftRight, u, q.0, 1);
        self.op(Or, v, v, u);
        self.imm(X87Imm::Add, t, t, -1);
        self.branch_zero(Equal, t, found);
        self.asm.x87_constant(v, 1);
        self.asm.x87_bind(found);
        self.asm.x87_constant(q.0, 0);
        self.op(Xor, u, p.1, q.1);
        self.branch_zero(Less, u, subtract_moved);
        self.asm.x87_jump(add_moved);

        self.asm.x87_bind(subtract);
        let (equal, by_one, normalise, deep, nothing) = (
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
        );
        if may_be_same {
            self.branch_zero(Equal, t, equal);
        }
        self.move_right(q, [t, u, v]);
        self.asm.x87_bind(subtract_moved);
        self.asm.x87_subtract_wide(p.0, v, q.0, [u, zero]);
        self.branch_zero(NotLess, p.0, by_one);
        self.round_less(p, v, t, u);

        let refuse = self.refuse;
        self.asm.x87_bind(by_one);
        self.asm.x87_double_wide(p.0, v, t);
        self.imm(X87Imm::Add, p.1, p.1, -1);
        self.branch_zero(NotLess, p.0, normalise);
        self.imm(X87Imm::ShiftLeft, t, p.1, 49);
        self.branch_zero(Equal, t, refuse);
        self.round(p, v, t, u);

        self.asm.x87_bind(normalise);
        self.branch_zero(Equal, p.0, deep);
        self.asm.x87_leading_zeros(u, p.0, [t, q.0]);
        self.magnitude(t, p.1);
        self.asm.x87_branch(NotBelow, u, t, refuse);
        self.op(Sub, p.1, p.1, u);
        self.op(ShiftLeft, p.0, p.0, u);
        self.asm.x87_not(t, u);
        self.imm(X87Imm::ShiftRight, q.0, v, 1);
        self.op(ShiftRight, q.0, q.0, t);
        self.op(Or, p.0, p.0, q.0);
        self.op(ShiftLeft, v, v, u);
        self.round(p, v, t, u);

        self.asm.x87_bind(deep);
        self.branch_zero(Equal, v, nothing);
        self.mv(p.0, v);
        self.asm.x87_constant(v, 0);
        self.magnitude(t, p.1);
        self.imm(X87Imm::Below, t, t, 65);
        self.branch_zero(NotEqual, t, refuse);
        self.imm(X87Imm::Add, p.1, p.1, -64);
        self.asm.x87_jump(normalise);
        self.asm.x87_bind(nothing);
        self.asm.x87_constant(self.r.a.0, 0);
        self.asm.x87_constant(self.r.a.1, 0);
        self.exact();

        if may_be_same {
            self.asm.x87_bind(equal);
            let reverse = self.asm.x87_label();
            self.asm.x87_constant(v, 0);
            self.asm.x87_branch(X87If::Below, p.0, q.0, reverse);
            self.op(Sub, p.0, p.0, q.0);
            self.asm.x87_jump(normalise);
            self.asm.x87_bind(reverse);
            self.op(Sub, p.0, q.0, p.0);
            self.mv(p.1, q.1);
            self.asm.x87_jump(normalise);
        }
    }

    /// The sum of operands with the same word: one bit is lost, and it tells that the sum is between two.
    fn sum_of_same_exponents(&mut self, [t, u, v]: [u8; 3]) {
        let X87Regs { a, b, .. } = self.r;
        self.op(Add, a.0, a.0, b.0);
        self.imm(X87Imm::And, v, a.0, 1);
        self.imm(X87Imm::ShiftRight, u, a.0, 1);
        self.op(And, t, u, v);
        self.asm.x87_set_top(a.0, u, b.0);
        self.op(Add, a.0, a.0, t);
        self.next_exponent(a.1, u);
        self.rounded(t, v);
    }

    /// `q.0:v` = the significand of `q` moved right by `t`, 1 to 63. `u` changes.
    fn move_right(&mut self, q: (u8, u8), [t, u, v]: [u8; 3]) {
        self.op(Sub, u, self.r.zero, t);
        self.op(ShiftLeft, v, q.0, u);
        self.op(ShiftRight, q.0, q.0, t);
    }

    /// Zero, with the sign of a product or quotient.
    pub(super) fn signed_zero(&mut self) {
        let X87Regs { a, b, .. } = self.r;
        self.op(Xor, a.1, a.1, b.1);
        self.asm.x87_sign(a.1, a.1);
        self.asm.x87_constant(a.0, 0);
        self.exact();
    }

    /// Refuses the word `w` less `less` if the exponent is not from 0 to `0x7ffc` then; `t` and `u` change. Goes on at `to`.
    pub(super) fn check_exponent(&mut self, w: u8, less: i64, [t, u]: [u8; 2], to: A::Label) {
        let refuse = self.refuse;
        self.mv(t, w);
        self.asm.x87_increase(t, -less, u);
        self.magnitude(t, t);
        self.asm.x87_constant(u, 0x7ffd);
        self.asm.x87_branch(NotBelow, t, u, refuse);
        self.asm.x87_jump(to);
    }

    /// Adds `n` to the word `w`; goes to `outside` unless the exponent is from 0 to `0x3fff` then. `t` changes.
    pub(super) fn move_exponent(&mut self, w: u8, n: i64, t: u8, outside: A::Label) {
        self.asm.x87_increase(w, n, t);
        self.asm.x87_field(t, w, 14, 49);
        self.branch_zero(NotEqual, t, outside);
    }

    /// The first operand becomes the product of both.
    fn product(&mut self) {
        let X87Regs { a, b, t: [t, u, v], zero } = self.r;
        let (special, is_long, outside, inside) =
            (self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label());
        self.unless_normal(special);
        // Exponents and signs at once. The bias is taken off in two steps; between them products of middle size are told from others.
        self.op(Add, a.1, a.1, b.1);
        self.move_exponent(a.1, -0x5000, t, outside);
        self.asm.x87_bind(inside);
        self.op(X87Alu::Mul, v, a.0, b.0);
        self.op(MulHigh, a.0, a.0, b.0);
        self.branch_zero(Less, a.0, is_long);
        self.asm.x87_double_wide(a.0, v, u);
        self.asm.x87_increase(a.1, 0x1001, t);
        self.round(a, v, t, u);
        // That is not above the square of the largest significand.
        self.asm.x87_bind(is_long);
        self.asm.x87_increase(a.1, 0x1002, t);
        self.round_less(a, v, t, u);
        self.asm.x87_bind(outside);
        self.check_exponent(a.1, -0x1000, [t, u], inside);
        self.asm.x87_bind(special);
        // One of them is zero; the other is normal or zero.
        let other = self.asm.x87_label();
        self.asm.x87_branch(NotLess, a.0, zero, other);
        self.only_zero(b);
        self.signed_zero();
        self.asm.x87_bind(other);
        self.only_zero(a);
        let normal = self.asm.x87_label();
        self.asm.x87_branch(Less, b.0, zero, normal);
        self.only_zero(b);
        self.asm.x87_bind(normal);
        self.signed_zero();
    }

    /// The first register becomes what a comparison of the operands tells in the upper byte of the status word, or in the flags: 1 for less, 0x40 for
    /// equal.
    fn comparison(&mut self) {
        let X87Regs { a, b, t: [t, u, _], zero } = self.r;
        let (special, signs, words, significands) =
            (self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label());
        self.unless_normal(special);
        self.op(Xor, t, a.1, b.1);
        self.branch_zero(Less, t, signs);
        self.asm.x87_branch(NotEqual, a.1, b.1, words);
        self.asm.x87_branch(NotEqual, a.0, b.0, significands);
        self.asm.x87_constant(a.0, 0x40);
        self.asm.x87_return(true);
        self.asm.x87_bind(signs);
        self.imm(X87Imm::ShiftRight, a.0, a.1, 63);
        self.asm.x87_return(true);
        for (label, x, y) in [(words, a.1, b.1), (significands, a.0, b.0)] {
            self.asm.x87_bind(label);
            self.op(Below, t, x, y);
            self.imm(X87Imm::ShiftRight, u, a.1, 63);
            self.op(Xor, a.0, t, u);
            self.asm.x87_return(true);
        }
        self.asm.x87_bind(special);
        let (is_zero, equal) = (self.asm.x87_label(), self.asm.x87_label());
        self.asm.x87_branch(NotLess, a.0, zero, is_zero);
        self.only_zero(b);
        self.imm(X87Imm::ShiftRight, a.0, a.1, 63);
        self.asm.x87_return(true);
        self.asm.x87_bind(is_zero);
        self.only_zero(a);
        self.asm.x87_branch(NotLess, b.0, zero, equal);
        self.asm.x87_not(a.0, b.1);
        self.imm(X87Imm::ShiftRight, a.0, a.0, 63);
        self.asm.x87_return(true);
        self.asm.x87_bind(equal);
        self.only_zero(b);
        self.asm.x87_constant(a.0, 0x40);
        self.asm.x87_return(true);
    }

    /// The first operand becomes an integer; the registers of the second tell whether it is larger for that, and whether it is another number at all.
    fn integer(&mut self, truncates: bool) {
        let X87Regs { a, b, t: [t, u, v], zero } = self.r;
        let (special, small, rounds, is_positive, less) = (
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
        );
        let refuse = self.refuse;
        self.asm.x87_branch(NotLess, a.0, zero, special);
        self.magnitude(t, a.1);
        self.asm.x87_constant(u, 16383 + 63);
        self.op(Sub, t, u, t);
        self.asm.x87_branch(NotLess, zero, t, refuse);
        self.imm(X87Imm::ShiftRight, u, t, 6);
        self.branch_zero(NotEqual, u, small);
        self.op(Sub, u, zero, t);
        self.op(ShiftLeft, v, a.0, u);
        self.op(ShiftRight, a.0, a.0, t);
        self.asm.x87_bind(rounds);
        self.op(Below, b.1, zero, v);
        if truncates {
            self.asm.x87_constant(b.0, 0);
        } else {
            self.imm(X87Imm::And, t, a.0, 1);
            self.asm.x87_constant(u, SIGN);
            self.op(Sub, u, u, t);
            self.op(Below, b.0, u, v);
            self.op(Add, a.0, a.0, b.0);
            self.branch_zero(Less, a.0, refuse);
        }
        self.branch_zero(NotLess, a.1, is_positive);
        self.op(Sub, a.0, zero, a.0);
        self.asm.x87_bind(is_positive);
        self.asm.x87_return(true);
        self.asm.x87_bind(small);
        self.mv(v, a.0);
        self.asm.x87_constant(a.0, 0);
        self.imm(X87Imm::Add, t, t, -64);
        self.branch_zero(NotEqual, t, less);
        self.asm.x87_jump(rounds);
        self.asm.x87_bind(less);
        self.asm.x87_constant(v, 1);
        self.asm.x87_jump(rounds);
        self.asm.x87_bind(special);
        self.only_zero(a);
        self.asm.x87_constant(b.0, 0);
        self.asm.x87_constant(b.1, 0);
        self.asm.x87_return(true);
    }
}
