//! Exact x87 ops as code: values stay in the state, in host form; sums, products and the like are calls of functions ([`x87_function`](super::x87_function)).
//!
//! The code is for a known stack ([`X87Stack`]) and ordinary values. Where it finds others it leaves for slow code behind the blocks, which writes what the
//! state does not have and calls the routine, as code does for which the stack is not known.

use super::x87_asm::{X87Alu, X87Asm, X87If, X87Imm, X87Part, X87Regs};
use super::x87_exact_state::X87Zero;
use super::x87_stack::{X87Shape, X87Stack};
use super::{X87Call, x87_call};
use crate::backend::StubId;
use crate::eval::x87_constant_exactly;
use crate::offsets::{X87_CONTROL, X87_REGS, X87_SHAPE, X87_STATUS, X87_TAGS};
use crate::operand::{Addr, X87Control, X87Format, X87Op, X87Unary};
use crate::ops::Op;
use crate::region::Value;
use crate::{GuestAddr, Width};

/// Where an operand in memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct X87Place {
    /// A register that stays as it is, or one of those of [`X87Regs`] that the code keeps.
    pub base: u8,
    /// Added to it.
    pub offset: i32,
    /// The register may change: it is in the state too then.
    pub is_lost: bool,
}

/// Code behind the blocks that does an op as it would be done with an unknown stack.
#[derive(Clone, Debug)]
pub struct X87Slow<L, S> {
    /// Leads there.
    pub label: L,
    /// Where the code goes on.
    pub back: L,
    /// Does it.
    pub call: X87Call,
    /// The op, as it is evaluated where the routine refuses.
    pub evaluated: Op,
    /// Its operand in memory.
    pub place: Option<X87Place>,
    /// The stack before it, and after it.
    pub stack: [X87Stack; 2],
    /// Whether [`X87Regs::a`] holds flags where the code goes on.
    pub gives_flags: bool,
    /// Where the operand, in the register, is zero perhaps: the label that leads there, the one behind the conversion, and the conversion.
    pub zero: Option<(L, L, X87Zero)>,
    /// What the host notes.
    pub site: S,
}

/// A back end's lowering, as this code needs it.
pub trait X87Lowering: Sized {
    /// Its instructions.
    type Asm: X87Asm;
    /// What it notes of the guest instruction at hand.
    type Site: Clone;
    /// Its instructions.
    fn x87_asm(&mut self) -> &mut Self::Asm;
    /// The registers of functions.
    fn x87_regs(&self) -> X87Regs;
    /// The stack at hand, which is known.
    fn x87_stack(&mut self) -> &mut X87Stack;
    /// Makes the registers of functions free, and finds `at`; in a register that stays as it is until the next function is called, or `is_kept`, in
    /// one of which the state has a copy.
    fn x87_claim(&mut self, at: Option<&Addr>, is_kept: bool) -> Option<X87Place>;
    /// The register that holds `v`, a value of 16 bits; asked before others are claimed, it is one of those of functions.
    fn x87_value(&mut self, v: Value) -> u8;
    /// `d` = the operand at `place`, integers sign-extended.
    fn x87_load_guest(&mut self, format: X87Format, d: u8, place: X87Place);
    /// Stores `s` at `place`.
    fn x87_store_guest(&mut self, format: X87Format, s: u8, place: X87Place);
    /// Calls the function `stub`; goes to `refused` where it refuses.
    fn x87_function(&mut self, stub: StubId, refused: <Self::Asm as X87Asm>::Label);
    /// What is to be noted of the guest instruction.
    fn x87_site(&mut self) -> Self::Site;
    /// Notes code to be written behind the blocks.
    fn x87_cold(&mut self, slow: X87Slow<<Self::Asm as X87Asm>::Label, Self::Site>);
    /// The result `dst`, flags, is in register `r`, one of those of functions.
    fn x87_flags(&mut self, dst: Value, r: u8);
    /// The guest instruction's address.
    fn x87_pc(&self) -> GuestAddr;
    /// The width of addresses.
    fn x87_word(&self) -> Width;
}

type Label<H> = <<H as X87Lowering>::Asm as X87Asm>::Label;

/// Offset of physical register `n`.
fn place_offset(n: u8) -> i32 {
    X87_REGS + 16 * i32::from(n)
}

/// Code of one op.
struct Code<'a, H: X87Lowering> {
    h: &'a mut H,
    r: X87Regs,
    op: Op,
    call: X87Call,
    slow: Option<(Label<H>, H::Site, X87Stack)>,
    zero: Option<(Label<H>, Label<H>, X87Zero)>,
    place: Option<X87Place>,
}

/// Lowers `op` for a known stack; false: it is to be done by a call of its routine, or evaluated.
pub fn x87_exact<H: X87Lowering>(h: &mut H, dst: Value, op: Op) -> bool {
    let Some(after) = h.x87_stack().shape.after(&op) else { return false };
    if let Op::X87UnaryOp { op: X87Unary::Fxam | X87Unary::Fincstp | X87Unary::Fdecstp } = op {
        return false;
    }
    let Some(call) = x87_call(&op) else { return false };
    let r = h.x87_regs();
    Code { h, r, op, call, slow: None, zero: None, place: None }.lower(dst, after)
}

impl<H: X87Lowering> Code<'_, H> {
    fn asm(&mut self) -> &mut H::Asm {
        self.h.x87_asm()
    }

    fn imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32) {
        self.asm().x87_imm(op, d, a, n);
    }

    fn alu(&mut self, op: X87Alu, d: u8, a: u8, b: u8) {
        self.asm().x87_op(op, d, a, b);
    }

    /// Where the op is done in the slow way. Ask before the stack changes, and when registers are claimed.
    fn slow(&mut self) -> Label<H> {
        if let Some((label, ..)) = &self.slow {
            return *label;
        }
        let label = self.asm().x87_label();
        let site = self.h.x87_site();
        let stack = self.h.x87_stack().clone();
        self.slow = Some((label, site, stack));
        label
    }

    /// Where the control word may be another than that of most programs, looks.
    fn check_control(&mut self) {
        if self.h.x87_stack().is_nearest {
            return;
        }
        let (label, t, zero) = (self.slow(), self.r.t[0], self.r.zero);
        self.asm().x87_load(X87Part::Half, t, X87_SHAPE);
        self.imm(X87Imm::ShiftRight, t, t, 11);
        self.asm().x87_branch(X87If::NotEqual, t, zero, label);
    }

    /// Claims registers, and checks the control word.
    fn start(&mut self, at: Option<&Addr>, is_kept: bool) {
        self.place = self.h.x87_claim(at, is_kept);
        self.check_control();
    }

    fn place(&self) -> X87Place {
        self.place.unwrap_or_else(|| panic!("the op has an operand in memory"))
    }

    /// Offset of ST(`i`).
    fn offset(&mut self, i: u8) -> i32 {
        place_offset(self.h.x87_stack().shape.place(i))
    }

    /// `to` = ST(`i`).
    fn load(&mut self, to: (u8, u8), i: u8) {
        let offset = self.offset(i);
        self.asm().x87_load_pair(to, offset);
    }

    /// ST(`i`) = `from`.
    fn store(&mut self, from: (u8, u8), i: u8) {
        let offset = self.offset(i);
        self.asm().x87_store_pair(from, offset);
    }

    /// The op is done: the stack has the shape `after`.
    fn done(&mut self, after: X87Shape, clears_c1: bool, gives_flags: bool) {
        let pc = self.h.x87_pc();
        let keeps_c1 = matches!(self.op, Op::X87CompareFlags { .. } | Op::X87Cmov { .. });
        let late = self.h.x87_stack().late().unwrap_or_default();
        self.h.x87_stack().exact_op(pc, after, if keeps_c1 { late.clears_c1 } else { clears_c1 });
        self.end_slow(gives_flags);
    }

    /// Slow code, if there is some, goes on here.
    fn end_slow(&mut self, gives_flags: bool) {
        let Some((label, site, stack)) = self.slow.take() else { return };
        let back = self.asm().x87_label();
        self.asm().x87_bind(back);
        let stack = [stack, self.h.x87_stack().clone()];
        let evaluated = self.call.evaluated(self.op, self.h.x87_word());
        let (call, place, zero) = (self.call, self.place, self.zero.take());
        self.h.x87_cold(X87Slow { label, back, call, evaluated, place, stack, gives_flags, zero, site });
    }

    fn lower(mut self, dst: Value, after: X87Shape) -> bool {
        let X87Regs { a, b, t: [t, ..], .. } = self.r;
        match self.op {
            Op::X87Push { st } => {
                self.start(None, false);
                self.load(a, st.0);
                self.store(a, 7);
            }
            Op::X87Copy { st, .. } if st.0 == 0 => self.start(None, false),
            Op::X87Copy { st, .. } => {
                self.start(None, false);
                self.load(a, 0);
                self.store(a, st.0);
            }
            Op::X87Exchange { st } if st.0 == 0 => self.start(None, false),
            Op::X87Exchange { st } => {
                self.start(None, false);
                self.load(a, 0);
                self.load(b, st.0);
                self.store(a, st.0);
                self.store(b, 0);
            }
            Op::X87Free { .. } => self.start(None, false),
            Op::X87PushConst { value } => {
                self.start(None, false);
                let (significand, word) = x87_constant_exactly(value);
                self.asm().x87_constant(a.0, significand);
                self.asm().x87_constant(a.1, word);
                self.store(a, 7);
            }
            Op::X87UnaryOp { op: op @ (X87Unary::Fchs | X87Unary::Fabs) } => {
                self.start(None, false);
                let offset = self.offset(0) + 8;
                self.asm().x87_load(X87Part::Long, a.1, offset);
                if op == X87Unary::Fabs {
                    self.asm().x87_field(a.1, a.1, 0, 63);
                } else {
                    self.asm().x87_constant(t, 1 << 63);
                    self.alu(X87Alu::Xor, a.1, a.1, t);
                }
                self.asm().x87_store(X87Part::Long, a.1, offset);
            }
            Op::X87Load { format: X87Format::Bcd, .. } | Op::X87Store { format: X87Format::Bcd, .. } => return false,
            Op::X87Load { format: X87Format::F80, at } => {
                self.start(Some(&at), false);
                self.load_extended();
                self.store(a, 7);
            }
            Op::X87Load { format, at } => {
                self.start(Some(&at), false);
                self.load_operand(format, a);
                self.store(a, 7);
            }
            Op::X87Store { format: X87Format::F80, at, .. } => {
                self.start(Some(&at), false);
                self.store_extended();
            }
            Op::X87Store { format: format @ (X87Format::F32 | X87Format::F64), at, .. } => {
                self.start(Some(&at), false);
                self.store_operand(format);
                self.done(after, false, false);
                return true;
            }
            Op::X87Store { format, truncate, at, .. } => {
                self.store_integer(format, truncate.0, &at);
                self.done(after, false, false);
                return true;
            }
            Op::X87Arith { op, dst: d, src, .. } => {
                self.start(None, false);
                let (first, second) = if is_reversed(op) { (b, a) } else { (a, b) };
                self.load(first, d.0);
                self.load(second, src.0);
                self.function(function(op));
                self.store(a, d.0);
                self.done(after, false, false);
                return true;
            }
            Op::X87ArithMem { op, format, at } => {
                self.start(Some(&at), true);
                let (first, second) = if is_reversed(op) { (b, a) } else { (a, b) };
                self.load_operand(format, second);
                self.load(first, 0);
                self.function(function(op));
                self.store(a, 0);
                self.done(after, false, false);
                return true;
            }
            Op::X87Compare { st, .. } => {
                self.start(None, false);
                self.load(a, 0);
                self.load(b, st.0);
                self.conditions();
            }
            Op::X87CompareMem { format, at, .. } => {
                self.start(Some(&at), true);
                self.load_operand(format, b);
                self.load(a, 0);
                self.conditions();
            }
            Op::X87UnaryOp { op: X87Unary::Ftst } => {
                self.start(None, false);
                self.load(a, 0);
                self.asm().x87_constant(b.0, 0);
                self.asm().x87_constant(b.1, 0);
                self.conditions();
            }
            Op::X87CompareFlags { st, .. } => {
                self.start(None, false);
                self.load(a, 0);
                self.load(b, st.0);
                self.function(StubId::X87Comparison);
                self.done(after, false, true);
                self.h.x87_flags(dst, a.0);
                return true;
            }
            Op::X87ControlOp { op: X87Control::Wait } if self.h.x87_stack().is_nearest => return true,
            Op::X87SetControl { v } => {
                self.set_control(v);
                return true;
            }
            _ => return false,
        }
        self.done(after, true, false);
        true
    }

    fn function(&mut self, stub: StubId) {
        let slow = self.slow();
        self.h.x87_function(stub, slow);
    }

    fn conditions(&mut self) {
        self.function(StubId::X87Comparison);
        let a = self.r.a.0;
        self.asm().x87_store(X87Part::Byte, a, X87_STATUS + 1);
    }

    /// `to` = the operand in memory.
    fn load_operand(&mut self, format: X87Format, to: (u8, u8)) {
        let ([t, u, v], zero) = (self.r.t, self.r.zero);
        self.slow();
        let (special, goes_on) = (self.asm().x87_label(), self.asm().x87_label());
        let (place, bits) = (self.place(), v);
        self.h.x87_load_guest(format, bits, place);
        let sign = match format {
            X87Format::F64 => 63,
            X87Format::F32 => 31,
            _ => {
                let is_positive = self.asm().x87_label();
                self.zero = Some((special, goes_on, X87Zero::Load { bits, sign: 63, to, t }));
                self.asm().x87_branch(X87If::Equal, bits, zero, special);
                self.asm().x87_sign(to.1, bits);
                self.asm().x87_branch(X87If::NotLess, bits, zero, is_positive);
                self.alu(X87Alu::Sub, bits, zero, bits);
                self.asm().x87_bind(is_positive);
                self.asm().x87_leading_zeros(u, bits, [t, to.0]);
                self.alu(X87Alu::ShiftLeft, to.0, bits, u);
                self.asm().x87_constant(t, 16383 + 63);
                self.alu(X87Alu::Sub, t, t, u);
                self.alu(X87Alu::Or, to.1, to.1, t);
                self.asm().x87_bind(goes_on);
                return;
            }
        };
        let (fraction, exponent, bias) = if sign == 63 { (52, 11, 16383 - 1023) } else { (23, 8, 16383 - 127) };
        self.zero = Some((special, goes_on, X87Zero::Load { bits, sign, to, t }));
        self.asm().x87_field(t, bits, fraction, exponent);
        self.imm(X87Imm::Add, u, t, 1);
        self.imm(X87Imm::And, u, u, (1 << exponent) - 2);
        self.asm().x87_branch(X87If::Equal, u, zero, special);
        self.asm().x87_constant(u, bias);
        self.alu(X87Alu::Add, t, t, u);
        if sign == 63 {
            self.asm().x87_sign(to.1, bits);
        } else {
            self.imm(X87Imm::ShiftRight, to.1, bits, 31);
            self.imm(X87Imm::ShiftLeft, to.1, to.1, 63);
        }
        self.alu(X87Alu::Or, to.1, to.1, t);
        self.imm(X87Imm::ShiftLeft, to.0, bits, 63 - fraction);
        self.asm().x87_constant(u, 1 << 63);
        self.alu(X87Alu::Or, to.0, to.0, u);
        self.asm().x87_bind(goes_on);
    }

    /// The first operand = the extended value in memory.
    fn load_extended(&mut self) {
        let X87Regs { a, t: [t, u, v], zero, .. } = self.r;
        let slow = self.slow();
        let (special, goes_on) = (self.asm().x87_label(), self.asm().x87_label());
        let place = self.place();
        self.h.x87_load_guest(X87Format::F64, a.0, place);
        self.h.x87_load_guest(X87Format::I16, t, X87Place { offset: place.offset + 8, ..place });
        self.zero = Some((special, goes_on, X87Zero::LoadExtended { from: (a.0, t), to: a.1, t: u }));
        self.asm().x87_field(a.1, t, 0, 15);
        self.asm().x87_branch(X87If::Equal, a.1, zero, special);
        self.asm().x87_branch(X87If::NotLess, a.0, zero, slow);
        self.imm(X87Imm::Add, u, a.1, 1);
        self.imm(X87Imm::ShiftLeft, u, u, 49);
        self.asm().x87_branch(X87If::Equal, u, zero, slow);
        self.asm().x87_sign(v, t);
        self.alu(X87Alu::Or, a.1, a.1, v);
        self.asm().x87_bind(goes_on);
    }

    /// Stores ST(0) as it is.
    fn store_extended(&mut self) {
        let X87Regs { a, t: [t, u, _], zero, .. } = self.r;
        let slow = self.slow();
        let place = self.place();
        // Where the second of two pages cannot be written, nothing is: that is for the evaluator.
        self.imm(X87Imm::Add, t, place.base, place.offset);
        self.asm().x87_field(t, t, 0, 12);
        self.asm().x87_constant(u, 4096 - 10);
        self.asm().x87_branch(X87If::Below, u, t, slow);
        self.load(a, 0);
        self.imm(X87Imm::ShiftLeft, t, a.1, 1);
        self.asm().x87_branch(X87If::Less, t, zero, slow);
        self.imm(X87Imm::ShiftRight, t, a.1, 63);
        self.imm(X87Imm::ShiftLeft, t, t, 15);
        self.alu(X87Alu::Or, t, t, a.1);
        self.h.x87_store_guest(X87Format::F64, a.0, place);
        self.h.x87_store_guest(X87Format::I16, t, X87Place { offset: place.offset + 8, ..place });
    }

    /// Stores ST(0) as a double or single.
    fn store_operand(&mut self, format: X87Format) {
        let X87Regs { a, b, t: [t, u, v], zero } = self.r;
        let slow = self.slow();
        let (special, goes_on) = (self.asm().x87_label(), self.asm().x87_label());
        let is_double = format == X87Format::F64;
        let (sign, drop, bias, largest) =
            if is_double { (63, 11, 16383 - 1023, 0x7fd) } else { (31, 40, 16383 - 127, 0xfd) };
        let (bits, rounding) = (b.0, [u, v]);
        self.zero = Some((special, goes_on, X87Zero::Store { from: a, sign, bits, rounding }));
        self.load(a, 0);
        self.asm().x87_branch(X87If::NotLess, a.0, zero, special);
        self.asm().x87_field(t, a.1, 0, 63);
        self.asm().x87_constant(u, (bias + 1u64).wrapping_neg());
        self.alu(X87Alu::Add, t, t, u);
        self.imm(X87Imm::Below, u, t, largest);
        self.asm().x87_branch(X87If::Equal, u, zero, slow);
        self.imm(X87Imm::ShiftLeft, t, t, 63 - drop);
        self.imm(X87Imm::ShiftRight, b.0, a.0, drop);
        self.alu(X87Alu::Add, t, t, b.0);
        self.imm(X87Imm::And, u, b.0, 1);
        if is_double {
            // Up where the rest, and one if the number is odd, are more than one half.
            self.imm(X87Imm::And, v, a.0, 0x7ff);
            self.alu(X87Alu::Add, u, u, v);
            self.imm(X87Imm::Add, u, u, 0x3ff);
            self.imm(X87Imm::ShiftRight, u, u, 11);
            self.asm().x87_sign(b.0, a.1);
        } else {
            self.imm(X87Imm::ShiftLeft, v, a.0, 24);
            self.asm().x87_constant(b.0, 1 << 63);
            self.alu(X87Alu::Sub, b.0, b.0, u);
            self.alu(X87Alu::Below, u, b.0, v);
            self.imm(X87Imm::ShiftRight, b.0, a.1, 63);
            self.imm(X87Imm::ShiftLeft, b.0, b.0, 31);
        }
        self.alu(X87Alu::Add, t, t, u);
        self.alu(X87Alu::Or, b.0, b.0, t);
        self.asm().x87_bind(goes_on);
        let place = self.place();
        self.h.x87_store_guest(format, bits, place);
        self.tell_rounding(u, v, a.1);
    }

    /// C1 and PE, after the store. `some` has ones among its low 16 bits where the value was not exact.
    fn tell_rounding(&mut self, up: u8, rest: u8, some: u8) {
        let (is_exact, zero) = (self.asm().x87_label(), self.r.zero);
        self.asm().x87_store(X87Part::Byte, up, X87_SHAPE + 2);
        self.asm().x87_branch(X87If::Equal, rest, zero, is_exact);
        self.asm().x87_store(X87Part::Half, some, X87_TAGS);
        self.asm().x87_bind(is_exact);
    }

    fn store_integer(&mut self, format: X87Format, truncates: bool, at: &Addr) {
        let X87Regs { a, b, t: [t, u, _], zero } = self.r;
        self.place = self.h.x87_claim(Some(at), true);
        let slow = self.slow();
        self.load(a, 0);
        if self.h.x87_stack().is_nearest {
            self.function(if truncates { StubId::X87Truncation } else { StubId::X87Integer });
        } else {
            // Truncation is what the control word is changed for.
            const TO_ZERO: i32 = 3 << 2;
            let (nearest, done) = (self.asm().x87_label(), self.asm().x87_label());
            self.asm().x87_load(X87Part::Half, t, X87_SHAPE);
            self.imm(X87Imm::ShiftRight, t, t, 11);
            self.asm().x87_branch(X87If::Equal, t, zero, nearest);
            self.imm(X87Imm::Add, t, t, -TO_ZERO);
            self.asm().x87_branch(X87If::NotEqual, t, zero, slow);
            self.function(StubId::X87Truncation);
            self.asm().x87_jump(done);
            self.asm().x87_bind(nearest);
            self.function(if truncates { StubId::X87Truncation } else { StubId::X87Integer });
            self.asm().x87_bind(done);
        }
        let bits = match format {
            X87Format::I16 => 16,
            X87Format::I32 => 32,
            _ => 64,
        };
        if bits < 64 {
            self.asm().x87_constant(t, 1 << (bits - 1));
            self.alu(X87Alu::Add, t, t, a.0);
            self.imm(X87Imm::ShiftRight, t, t, bits);
            self.asm().x87_branch(X87If::NotEqual, t, zero, slow);
        }
        let mut place = self.place();
        if place.is_lost {
            self.asm().x87_load(X87Part::Long, u, crate::offsets::register_offset(place.base));
            place.base = u;
        }
        self.h.x87_store_guest(format, a.0, place);
        self.tell_rounding(b.0, b.1, b.1);
    }

    /// `fldcw` where that masks all exceptions.
    fn set_control(&mut self, v: Value) {
        let ([t, u, _], zero) = (self.r.t, self.r.zero);
        let value = self.h.x87_value(v);
        self.place = None;
        let slow = self.slow();
        // Nothing is pending, nor would be with all exceptions masked.
        if !self.h.x87_stack().is_nearest {
            self.asm().x87_load(X87Part::Half, t, X87_SHAPE);
            self.imm(X87Imm::ShiftRight, t, t, 15);
            self.asm().x87_branch(X87If::NotEqual, t, zero, slow);
        }
        self.imm(X87Imm::And, t, value, 0x3f);
        self.imm(X87Imm::Add, t, t, -0x3f);
        self.asm().x87_branch(X87If::NotEqual, t, zero, slow);
        self.asm().x87_constant(t, 0x1f3f);
        self.alu(X87Alu::And, t, t, value);
        self.imm(X87Imm::Add, t, t, 0x40);
        self.asm().x87_store(X87Part::Half, t, X87_CONTROL);
        // Rounding above the precision's difference from 64 bits, above the shape.
        self.asm().x87_field(t, t, 8, 4);
        self.asm().x87_constant(u, 3);
        self.alu(X87Alu::Xor, t, t, u);
        self.imm(X87Imm::ShiftLeft, t, t, 11);
        let stack = self.h.x87_stack();
        let (shape, late) = (stack.shape, stack.late().unwrap_or_default());
        self.asm().x87_constant(u, shape.0.into());
        self.alu(X87Alu::Or, t, t, u);
        // From here on C1 is read from the state.
        self.asm().x87_store(if late.clears_c1 { X87Part::Word } else { X87Part::Half }, t, X87_SHAPE);
        self.h.x87_stack().forget_rounding();
        self.end_slow(false);
    }
}

/// Whether `op` takes its operands the other way round.
fn is_reversed(op: X87Op) -> bool {
    matches!(op, X87Op::SubR | X87Op::DivR)
}

fn function(op: X87Op) -> StubId {
    match op {
        X87Op::Add => StubId::X87Sum,
        X87Op::Sub | X87Op::SubR => StubId::X87Difference,
        X87Op::Mul => StubId::X87Product,
        X87Op::Div | X87Op::DivR => StubId::X87Quotient,
    }
}
