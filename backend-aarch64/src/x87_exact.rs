//! Exact x87 ops as code: this host's instructions for [`hokku_ir::lowering::x87_exact`].

use hokku_ir::lowering::{X87Alu, X87Asm, X87If, X87Imm, X87Part};

use crate::access::Piece;
use crate::asm::{Asm, Cc, Label, Size};
use crate::assign::*;
use crate::immediate::bitmask;
use crate::integer::{Logic, Shift, Sum};

impl X87Asm for Asm {
    type Label = Label;

    fn x87_label(&mut self) -> Label {
        self.label()
    }

    fn x87_bind(&mut self, label: Label) {
        self.bind(label);
    }

    fn x87_op(&mut self, op: X87Alu, d: u8, a: u8, b: u8) {
        match op {
            X87Alu::Add => self.add(Sum::Add, Size::X, d, a, b),
            X87Alu::Sub => self.add(Sum::Sub, Size::X, d, a, b),
            X87Alu::And => self.logic(Logic::And, Size::X, d, a, b),
            X87Alu::Or => self.logic(Logic::Orr, Size::X, d, a, b),
            X87Alu::Xor => self.logic(Logic::Eor, Size::X, d, a, b),
            X87Alu::ShiftLeft => self.shift_reg(Shift::Lsl, Size::X, d, a, b),
            X87Alu::ShiftRight => self.shift_reg(Shift::Lsr, Size::X, d, a, b),
            X87Alu::Below => {
                self.add(Sum::Subs, Size::X, ZERO, a, b);
                self.cset(d, Cc::Lo);
            }
            X87Alu::Mul => self.madd(Size::X, d, a, b, ZERO),
            X87Alu::MulHigh => self.mulh(false, d, a, b),
            X87Alu::Div => self.udiv(Size::X, d, a, b),
        }
    }

    fn x87_imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32) {
        match op {
            X87Imm::Add if n == 0 => self.mov(Size::X, d, a),
            X87Imm::Add if n < 0 => self.add_imm(Sum::Sub, Size::X, d, a, n.unsigned_abs()),
            X87Imm::Add => self.add_imm(Sum::Add, Size::X, d, a, n as u32),
            X87Imm::And => {
                let bits = bitmask(Size::X, n as u64).unwrap_or_else(|| panic!("{n:#x} is no run of ones"));
                self.logic_bits(Logic::And, Size::X, d, a, bits);
            }
            X87Imm::ShiftLeft => self.lsl(Size::X, d, a, n as u8),
            X87Imm::ShiftRight => self.lsr(Size::X, d, a, n as u8),
            X87Imm::Below => {
                self.add_imm(Sum::Subs, Size::X, ZERO, a, n as u32);
                self.cset(d, Cc::Lo);
            }
        }
    }

    fn x87_not(&mut self, d: u8, a: u8) {
        self.logic(Logic::Orn, Size::X, d, ZERO, a);
    }

    fn x87_leading_zeros(&mut self, d: u8, a: u8, _: [u8; 2]) {
        self.clz(Size::X, d, a);
    }

    fn x87_field(&mut self, d: u8, a: u8, from: i32, count: i32) {
        self.ubfx(Size::X, d, a, from as u8, count as u8);
    }

    fn x87_sign(&mut self, d: u8, a: u8) {
        let bits = bitmask(Size::X, 1 << 63).unwrap_or_else(|| panic!("one bit is a run"));
        self.logic_bits(Logic::And, Size::X, d, a, bits);
    }

    fn x87_constant(&mut self, d: u8, n: u64) {
        self.constant(d, n);
    }

    fn x87_load(&mut self, part: X87Part, d: u8, offset: i32) {
        self.load(piece(part), d, STATE, offset);
    }

    fn x87_store(&mut self, part: X87Part, s: u8, offset: i32) {
        self.store(piece(part), s, STATE, offset);
    }

    fn x87_branch(&mut self, on: X87If, a: u8, b: u8, to: Label) {
        match (on, a, b) {
            (X87If::Equal, _, ZERO) => return self.cbz(Size::X, a, to),
            (X87If::NotEqual, _, ZERO) => return self.cbnz(Size::X, a, to),
            (X87If::Less, _, ZERO) => return self.tbnz(a, 63, to),
            (X87If::NotLess, _, ZERO) => return self.tbz(a, 63, to),
            _ => {}
        }
        self.add(Sum::Subs, Size::X, ZERO, a, b);
        let cc = match on {
            X87If::Equal => Cc::Eq,
            X87If::NotEqual => Cc::Ne,
            X87If::Less => Cc::Lt,
            X87If::NotLess => Cc::Ge,
            X87If::Below => Cc::Lo,
            X87If::NotBelow => Cc::Hs,
        };
        self.b_cond(cc, to);
    }

    fn x87_jump(&mut self, to: Label) {
        self.b(to);
    }

    fn x87_return(&mut self, is_done: bool) {
        if !is_done {
            return self.ret();
        }
        self.add_imm(Sum::Add, Size::X, LINK, LINK, 4);
        self.ret();
    }
}

fn piece(part: X87Part) -> Piece {
    match part {
        X87Part::Byte => Piece::B,
        X87Part::Half => Piece::H,
        X87Part::Word => Piece::W,
        X87Part::Long => Piece::X,
    }
}
