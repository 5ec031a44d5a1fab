//! Exact x87 arithmetic as code of hosts that have integer registers of 64 bits and no x87 unit: the shared functions.
//!
//! Values are in host form ([`crate::eval::x87_to_exact`]): a significand and a word of sign and exponent, in two registers. The functions take ordinary
//! operands (normal values and zeros), round to nearest and to 64 bits, and give an ordinary result; what is not so they refuse. Source of the methods:
//! Knuth, The Art of Computer Programming 2, 4.2 and 4.3.1.

use crate::backend::StubId;
use crate::offsets::{X87_SHAPE, X87_TAGS};

/// The registers of the functions: significand and word of the first operand, which the result replaces, and of the second; three more that they change.
#[derive(Clone, Copy, Debug)]
pub struct X87Regs {
    /// The first operand and the result.
    pub a: (u8, u8),
    /// The second operand.
    pub b: (u8, u8),
    /// Changed.
    pub t: [u8; 3],
    /// Reads as zero.
    pub zero: u8,
}

/// Instructions of three registers. Shifts count modulo 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87Alu {
    Add,
    Sub,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
    /// One where the first is below the second.
    Below,
    Mul,
    MulHigh,
    Div,
}

/// Instructions with a small constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87Imm {
    /// -2048 to 2047.
    Add,
    /// A run of ones from any bit below 11 on.
    And,
    ShiftLeft,
    ShiftRight,
    /// One where the register is below the constant, which is positive.
    Below,
}

/// Conditions of branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87If {
    Equal,
    NotEqual,
    /// Signed.
    Less,
    /// Signed.
    NotLess,
    Below,
    NotBelow,
}

/// How much of a register an access to the state moves; loads have zeros above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum X87Part {
    Byte,
    Half,
    Word,
    Long,
}

/// A host's instructions.
pub trait X87Asm {
    /// A place in the code.
    type Label: Copy;
    /// A label without a place.
    fn x87_label(&mut self) -> Self::Label;
    /// Gives `label` its place: here.
    fn x87_bind(&mut self, label: Self::Label);
    /// `d = a op b`.
    fn x87_op(&mut self, op: X87Alu, d: u8, a: u8, b: u8);
    /// `d = a op n`.
    fn x87_imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32);
    /// `d = !a`.
    fn x87_not(&mut self, d: u8, a: u8);
    /// `d` = the zeros above the topmost one of `a`, which is not zero; `t` changes.
    fn x87_leading_zeros(&mut self, d: u8, a: u8, t: [u8; 2]);
    /// `d` = the bits of `a` from bit `from` on, `count` of them.
    fn x87_field(&mut self, d: u8, a: u8, from: i32, count: i32) {
        self.x87_imm(X87Imm::ShiftLeft, d, a, 64 - from - count);
        self.x87_imm(X87Imm::ShiftRight, d, d, 64 - count);
    }
    /// `d` = the topmost bit of `a`, in its place.
    fn x87_sign(&mut self, d: u8, a: u8) {
        self.x87_imm(X87Imm::ShiftRight, d, a, 63);
        self.x87_imm(X87Imm::ShiftLeft, d, d, 63);
    }
    /// `d = n`.
    fn x87_constant(&mut self, d: u8, n: u64);
    /// `d` = the state at `offset`.
    fn x87_load(&mut self, part: X87Part, d: u8, offset: i32);
    /// The state at `offset` = `s`.
    fn x87_store(&mut self, part: X87Part, s: u8, offset: i32);
    /// Branches to `to`.
    fn x87_branch(&mut self, on: X87If, a: u8, b: u8, to: Self::Label);
    /// Jumps to `to`.
    fn x87_jump(&mut self, to: Self::Label);
    /// Ends a function: to the call's second instruction behind it if it has been done, else to the first.
    fn x87_return(&mut self, is_done: bool);
}

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
struct X87Functions<'a, A: X87Asm> {
    asm: &'a mut A,
    r: X87Regs,
    refuse: A::Label,
}

impl<'a, A: X87Asm> X87Functions<'a, A> {
    /// With registers `r`.
    fn new(asm: &'a mut A, r: X87Regs) -> Self {
        let refuse = asm.x87_label();
        X87Functions { asm, r, refuse }
    }

    fn imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32) {
        self.asm.x87_imm(op, d, a, n);
    }

    fn op(&mut self, op: X87Alu, d: u8, a: u8, b: u8) {
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
    fn branch_zero(&mut self, on: X87If, a: u8, to: A::Label) {
        self.asm.x87_branch(on, a, self.r.zero, to);
    }

    /// The place of refusal, behind the last function.
    fn end(self) {
        self.asm.x87_bind(self.refuse);
        self.asm.x87_return(false);
    }

    /// Goes to `to` unless both operands are normal; changes `t`.
    fn unless_normal(&mut self, to: A::Label) {
        let X87Regs { a, b, t: [t, ..], .. } = self.r;
        self.op(And, t, a.0, b.0);
        self.branch_zero(NotLess, t, to);
    }

    /// Refuses unless the operand `v` is zero; changes `t`.
    fn only_zero(&mut self, v: (u8, u8)) {
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
        let (carry, goes_on, is_exact) = (self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label());
        // Up where the rest is above one half, or one half and the significand odd.
        self.imm(X87Imm::And, t, v.0, 1);
        self.asm.x87_constant(u, SIGN);
        self.op(Sub, u, u, t);
        self.op(Below, t, u, low);
        self.op(Add, a.0, v.0, t);
        self.mv(a.1, v.1);
        self.branch_zero(Equal, a.0, carry);
        self.asm.x87_bind(goes_on);
        self.asm.x87_store(X87Part::Byte, t, X87_SHAPE + 2);
        self.branch_zero(Equal, low, is_exact);
        // That is not zero: the exponent.
        self.asm.x87_store(X87Part::Half, a.1, X87_TAGS);
        self.asm.x87_bind(is_exact);
        self.asm.x87_return(true);
        self.asm.x87_bind(carry);
        self.asm.x87_constant(a.0, SIGN);
        self.next_exponent(a.1, u);
        self.asm.x87_jump(goes_on);
    }

    /// Adds one to the exponent in `w`; refuses what is too large then. `t` changes.
    fn next_exponent(&mut self, w: u8, t: u8) {
        let refuse = self.refuse;
        self.imm(X87Imm::Add, w, w, 1);
        self.imm(X87Imm::Add, t, w, 1);
        self.imm(X87Imm::ShiftLeft, t, t, 49);
        self.branch_zero(Equal, t, refuse);
    }

    /// The first operand becomes what it is more than the second.
    fn difference(&mut self) {
        let X87Regs { b, t: [t, ..], .. } = self.r;
        self.asm.x87_constant(t, SIGN);
        self.op(Xor, b.1, b.1, t);
        self.sum();
    }

    /// The first operand becomes the sum of both.
    fn sum(&mut self) {
        let X87Regs { a, b, t: [t, u, v], .. } = self.r;
        let (special, swapped) = (self.asm.x87_label(), self.asm.x87_label());
        self.unless_normal(special);
        self.imm(X87Imm::ShiftLeft, t, a.1, 1);
        self.imm(X87Imm::ShiftLeft, u, b.1, 1);
        self.asm.x87_branch(X87If::Below, t, u, swapped);
        self.ordered_sum(a, b, [t, u, v]);
        self.asm.x87_bind(swapped);
        self.ordered_sum(b, a, [u, t, v]);
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

    /// The sum of `p` and `q`, whose exponent is not greater; the exponents twice in `t` and `u`.
    fn ordered_sum(&mut self, p: (u8, u8), q: (u8, u8), [t, u, v]: [u8; 3]) {
        let zero = self.r.zero;
        let (far, subtract, carry, add_moved, subtract_moved) = (
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
            self.asm.x87_label(),
        );
        self.op(Sub, t, t, u);
        self.imm(X87Imm::ShiftRight, t, t, 1);
        self.imm(X87Imm::ShiftRight, v, t, 6);
        self.branch_zero(NotEqual, v, far);
        self.op(Xor, v, p.1, q.1);
        self.branch_zero(Less, v, subtract);
        self.move_right(q, [t, u, v]);
        self.asm.x87_bind(add_moved);
        self.op(Add, p.0, p.0, q.0);
        self.op(Below, u, p.0, q.0);
        self.branch_zero(NotEqual, u, carry);
        self.round(p, v, t, u);
        self.asm.x87_bind(carry);
        self.imm(X87Imm::And, u, v, 1);
        self.imm(X87Imm::ShiftRight, v, v, 1);
        self.op(Or, v, v, u);
        self.imm(X87Imm::ShiftLeft, u, p.0, 63);
        self.op(Or, v, v, u);
        self.imm(X87Imm::ShiftRight, p.0, p.0, 1);
        self.asm.x87_constant(u, SIGN);
        self.op(Or, p.0, p.0, u);
        self.next_exponent(p.1, u);
        self.round(p, v, t, u);

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
        let (same, normalise, deep, nothing) =
            (self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label());
        self.branch_zero(Equal, t, same);
        self.move_right(q, [t, u, v]);
        self.asm.x87_bind(subtract_moved);
        self.op(Sub, p.0, p.0, q.0);
        self.op(Below, u, zero, v);
        self.op(Sub, p.0, p.0, u);
        self.op(Sub, v, zero, v);
        self.branch_zero(NotLess, p.0, normalise);
        self.round(p, v, t, u);

        self.asm.x87_bind(normalise);
        self.branch_zero(Equal, p.0, deep);
        self.asm.x87_leading_zeros(u, p.0, [t, q.0]);
        self.magnitude(t, p.1);
        let refuse = self.refuse;
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

        self.asm.x87_bind(same);
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

    /// `q.0:v` = the significand of `q` moved right by `t`, which is less than 64. `u` changes.
    fn move_right(&mut self, q: (u8, u8), [t, u, v]: [u8; 3]) {
        self.imm(X87Imm::ShiftLeft, v, q.0, 1);
        self.asm.x87_not(u, t);
        self.op(ShiftLeft, v, v, u);
        self.op(ShiftRight, q.0, q.0, t);
    }

    /// Zero, with the sign of a product or quotient.
    fn signed_zero(&mut self) {
        let X87Regs { a, b, .. } = self.r;
        self.op(Xor, a.1, a.1, b.1);
        self.asm.x87_sign(a.1, a.1);
        self.asm.x87_constant(a.0, 0);
        self.exact();
    }

    /// Refuses a word whose exponent is not between 1 and 0x7ffd; `t` and `u` change.
    fn check_exponent(&mut self, w: u8, t: u8, u: u8) {
        let refuse = self.refuse;
        self.magnitude(t, w);
        self.imm(X87Imm::Add, t, t, -1);
        self.asm.x87_constant(u, 0x7ffd);
        self.asm.x87_branch(NotBelow, t, u, refuse);
    }

    /// The first operand becomes the product of both.
    fn product(&mut self) {
        let X87Regs { a, b, t: [t, u, v], zero } = self.r;
        let (special, is_long, ends) = (self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label());
        self.unless_normal(special);
        // Exponents and signs at once.
        self.op(Add, a.1, a.1, b.1);
        self.asm.x87_constant(t, 16383u64.wrapping_neg());
        self.op(Add, a.1, a.1, t);
        self.op(X87Alu::Mul, v, a.0, b.0);
        self.op(MulHigh, a.0, a.0, b.0);
        self.branch_zero(Less, a.0, is_long);
        self.imm(X87Imm::ShiftRight, u, v, 63);
        self.imm(X87Imm::ShiftLeft, a.0, a.0, 1);
        self.op(Or, a.0, a.0, u);
        self.imm(X87Imm::ShiftLeft, v, v, 1);
        self.asm.x87_bind(ends);
        self.check_exponent(a.1, t, u);
        self.round(a, v, t, u);
        self.asm.x87_bind(is_long);
        self.imm(X87Imm::Add, a.1, a.1, 1);
        self.asm.x87_jump(ends);
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

    /// The first operand becomes what it is if divided by the second.
    fn quotient(&mut self) {
        let X87Regs { a, b, t: [t, u, v], zero } = self.r;
        let (special, is_smaller, divide) = (self.asm.x87_label(), self.asm.x87_label(), self.asm.x87_label());
        self.unless_normal(special);
        // The word of the second is free then.
        self.op(Sub, a.1, a.1, b.1);
        self.asm.x87_constant(t, 16383);
        self.op(Add, a.1, a.1, t);
        self.check_exponent(a.1, t, u);
        self.asm.x87_constant(b.1, 0);
        self.asm.x87_branch(X87If::Below, a.0, b.0, is_smaller);
        self.imm(X87Imm::And, b.1, a.0, 1);
        self.imm(X87Imm::ShiftLeft, b.1, b.1, 31);
        self.imm(X87Imm::ShiftRight, a.0, a.0, 1);
        self.asm.x87_bind(divide);
        // Two digits of 32 bits; the first waits in the state.
        self.digit([t, u, v]);
        self.imm(X87Imm::ShiftLeft, v, t, 32);
        self.asm.x87_store(X87Part::Long, v, crate::offsets::callout_arg_offset(0));
        self.asm.x87_constant(b.1, 0);
        self.digit([t, u, v]);
        self.asm.x87_load(X87Part::Long, v, crate::offsets::callout_arg_offset(0));
        self.op(Or, v, v, t);
        // The rest, compared with one half of the divisor.
        let (rounds, is_up) = (self.asm.x87_label(), self.asm.x87_label());
        self.op(Sub, u, b.0, a.0);
        self.asm.x87_constant(t, 0);
        self.branch_zero(Equal, a.0, rounds);
        self.asm.x87_constant(t, 1);
        self.asm.x87_branch(X87If::Below, a.0, u, rounds);
        self.asm.x87_branch(NotEqual, a.0, u, is_up);
        self.asm.x87_constant(t, SIGN);
        self.asm.x87_jump(rounds);
        self.asm.x87_bind(is_up);
        self.asm.x87_constant(t, SIGN);
        self.imm(X87Imm::Add, t, t, 1);
        self.asm.x87_bind(rounds);
        self.round((v, a.1), t, u, b.0);
        self.asm.x87_bind(is_smaller);
        self.imm(X87Imm::Add, a.1, a.1, -1);
        let refuse = self.refuse;
        self.magnitude(t, a.1);
        self.branch_zero(Equal, t, refuse);
        self.asm.x87_jump(divide);
        self.asm.x87_bind(special);
        self.asm.x87_branch(NotLess, b.0, zero, refuse);
        self.only_zero(a);
        self.signed_zero();
    }

    /// `t` = the quotient of `a.0 * 2^32 + b.1` by `b.0`, which is less than 2^32, and `a.0` = the rest. `u`, `v` and `b.1` change.
    fn digit(&mut self, [t, u, v]: [u8; 3]) {
        let X87Regs { a, b, .. } = self.r;
        let (again, done) = (self.asm.x87_label(), self.asm.x87_label());
        self.imm(X87Imm::ShiftRight, v, b.0, 32);
        self.op(X87Alu::Div, t, a.0, v);
        // The rest in `v` and `a.0`: the estimate is too large by two at most.
        self.op(MulHigh, v, t, b.0);
        self.imm(X87Imm::ShiftRight, u, a.0, 32);
        self.op(Sub, v, u, v);
        self.op(X87Alu::Mul, u, t, b.0);
        self.imm(X87Imm::ShiftLeft, a.0, a.0, 32);
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
