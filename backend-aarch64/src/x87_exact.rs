//! Exact x87 ops as code: this host's instructions for [`hokku_ir::lowering::x87_exact`].

use hokku_ir::backend::{LazyState, StubId};
use hokku_ir::lowering::{
    UpperBits, X87Alu, X87Asm, X87If, X87Imm, X87Lowering, X87Part, X87Place, X87Regs, X87Slow, X87Stack,
    x87_come_back, x87_write_exact, x87_zero,
};
use hokku_ir::{Addr, GuestAddr, Value, Width, X87Format};

use crate::access::{Piece, Place};
use crate::asm::{Asm, Cc, Label, Size};
use crate::assign::*;
use crate::control::Cold;
use crate::immediate::{add_immediate, bitmask};
use crate::integer::{Logic, Shift, Sum};
use crate::lower::Lowering;
use crate::x87::ADDRESS;

/// The registers of functions.
pub(crate) const REGS: X87Regs =
    X87Regs { a: (TEMPS[0], TEMPS[1]), b: (TEMPS[2], ADDRESS), t: [TEMPS[3], TEMPS[5], TEMPS[6]], zero: ZERO };

/// What slow code must know of its guest instruction.
#[derive(Clone, Debug)]
pub(crate) struct X87Site {
    pc: GuestAddr,
    lazy: LazyState,
    /// Vector registers of values.
    kept: Vec<u8>,
}

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
        self.logic_bits(Logic::And, Size::X, d, a, top_bit());
    }

    fn x87_constant(&mut self, d: u8, n: u64) {
        self.constant(d, n);
    }

    fn x87_spread(&mut self, d: u8, a: u8) {
        self.sbfx(Size::X, d, a, 0, 63);
    }

    fn x87_set_top(&mut self, d: u8, a: u8, _: u8) {
        self.logic_bits(Logic::Orr, Size::X, d, a, top_bit());
    }

    fn x87_flip_top(&mut self, d: u8, a: u8, _: u8) {
        self.logic_bits(Logic::Eor, Size::X, d, a, top_bit());
    }

    fn x87_increase(&mut self, d: u8, n: i64, t: u8) {
        let op = if n < 0 { Sum::Sub } else { Sum::Add };
        if let Some(imm) = add_immediate(n.unsigned_abs()) {
            return self.add_imm(op, Size::X, d, d, imm);
        }
        self.constant(t, n as u64);
        self.add(Sum::Add, Size::X, d, d, t);
    }

    fn x87_subtract_product(&mut self, d: u8, a: u8, b: u8, _: u8) {
        self.msub(Size::X, d, a, b, d);
    }

    fn x87_add_shifted(&mut self, d: u8, a: u8, n: i32, _: u8) {
        self.add_shifted(Sum::Add, Size::X, d, d, a, Shift::Lsl, n as u8);
    }

    fn x87_subtract_unless(&mut self, d: u8, a: u8, b: u8, to: Label) {
        self.add(Sum::Subs, Size::X, d, a, b);
        self.b_cond(Cc::Ls, to);
    }

    fn x87_add_or(&mut self, d: u8, a: u8, to: Label) {
        self.add(Sum::Adds, Size::X, d, d, a);
        self.b_cond(Cc::Hs, to);
    }

    fn x87_subtract_wide(&mut self, high: u8, low: u8, a: u8, _: [u8; 2]) {
        self.add(Sum::Subs, Size::X, low, ZERO, low);
        self.adc(Sum::Sub, Size::X, high, high, a);
    }

    fn x87_double_wide(&mut self, high: u8, low: u8, _: u8) {
        self.add(Sum::Adds, Size::X, low, low, low);
        self.adc(Sum::Add, Size::X, high, high, high);
    }

    fn x87_rounds_up(&mut self, d: u8, high: u8, low: u8, _: u8) {
        // Twice what is below, the odd bit among it, is above 2^64.
        let one = bitmask(Size::X, 1).unwrap_or_else(|| panic!("one bit is a run"));
        self.logic_bits(Logic::And, Size::X, d, high, one);
        self.logic(Logic::Orr, Size::X, d, d, low);
        self.add(Sum::Adds, Size::X, ZERO, d, d);
        self.cset(d, Cc::Hi);
    }

    fn x87_branch_bit15(&mut self, a: u8, _: u8, _: u8, to: Label) {
        self.tbnz(a, 15, to);
    }

    fn x87_load(&mut self, part: X87Part, d: u8, offset: i32) {
        self.load(piece(part), d, STATE, offset);
    }

    fn x87_store(&mut self, part: X87Part, s: u8, offset: i32) {
        self.store(piece(part), s, STATE, offset);
    }

    fn x87_load_pair(&mut self, to: (u8, u8), offset: i32) {
        self.load_pair(Piece::X, to.0, to.1, STATE, offset);
    }

    fn x87_store_pair(&mut self, from: (u8, u8), offset: i32) {
        self.store_pair(Piece::X, from.0, from.1, STATE, offset);
    }

    fn x87_branch(&mut self, on: X87If, a: u8, b: u8, to: Label) {
        match (on, a, b) {
            (X87If::Equal, _, ZERO) => return self.cbz(Size::X, a, to),
            (X87If::NotEqual, _, ZERO) => return self.cbnz(Size::X, a, to),
            // Code behind the blocks is out of the reach of that.
            (X87If::Less, _, ZERO) if self.is_stub => return self.tbnz(a, 63, to),
            (X87If::NotLess, _, ZERO) if self.is_stub => return self.tbz(a, 63, to),
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

/// The topmost bit, as an immediate.
fn top_bit() -> u32 {
    bitmask(Size::X, 1 << 63).unwrap_or_else(|| panic!("one bit is a run"))
}

fn piece(part: X87Part) -> Piece {
    match part {
        X87Part::Byte => Piece::B,
        X87Part::Half => Piece::H,
        X87Part::Word => Piece::W,
        X87Part::Long => Piece::X,
    }
}

impl X87Lowering for Lowering<'_> {
    type Asm = Asm;
    type Site = X87Site;

    fn x87_asm(&mut self) -> &mut Asm {
        &mut self.asm
    }

    fn x87_regs(&self) -> X87Regs {
        REGS
    }

    fn x87_stack(&mut self) -> &mut X87Stack {
        self.stack()
    }

    fn x87_claim(&mut self, at: Option<&Addr>, is_kept: bool) -> Option<X87Place> {
        self.values.take(ADDRESS, &mut self.asm);
        let locks = self.values.locks();
        let place = at.map(|at| {
            let (base, offset) = match self.place(*at, Piece::X, false) {
                Place::Offset { base, offset } => (base, offset),
                _ => (self.address(*at), 0),
            };
            if base < 16 && (-256..=240).contains(&offset) {
                return X87Place { base, offset, is_lost: false };
            }
            self.add_constant(Size::X, ADDRESS, base, offset.into());
            if is_kept {
                self.asm.store(Piece::X, ADDRESS, STATE, register_offset(ADDRESS));
            }
            X87Place { base: ADDRESS, offset: 0, is_lost: is_kept }
        });
        self.values.unlock_since(locks, &[]);
        self.claim_others();
        place
    }

    fn x87_value(&mut self, v: Value) -> u8 {
        self.values.take(ADDRESS, &mut self.asm);
        let locks = self.values.locks();
        let w = self.plan.info(v).op.result_type().width().unwrap_or(Width::W64);
        let r = self.zero_extended(v, w);
        self.asm.mov(Size::X, ADDRESS, r);
        self.values.unlock_since(locks, &[]);
        self.claim_others();
        ADDRESS
    }

    fn x87_load_guest(&mut self, format: X87Format, d: u8, place: X87Place) {
        self.fault_site();
        self.asm.load(crate::x87::piece(format, true), d, place.base, place.offset);
    }

    fn x87_store_guest(&mut self, format: X87Format, s: u8, place: X87Place) {
        self.fault_site();
        self.asm.store(crate::x87::piece(format, false), s, place.base, place.offset);
    }

    fn x87_function(&mut self, stub: StubId, refused: Label) {
        self.branch_to_stub(stub, true);
        self.asm.b(refused);
    }

    fn x87_site(&mut self) -> X87Site {
        let kept = self.vectors.in_use().collect();
        X87Site { pc: self.pc, lazy: self.lazy().with_x87_settled(), kept }
    }

    fn x87_cold(&mut self, slow: X87Slow<Label, X87Site>) {
        self.cold.push(Cold::X87 { n: self.x87_slow.len() });
        self.x87_slow.push(slow);
    }

    fn x87_flags(&mut self, dst: Value, r: u8) {
        let info = self.plan.info(dst);
        if info.uses > 0 || info.last_flags > info.def {
            self.values.own(r, dst);
            self.values.set_upper(dst, UpperBits::ZERO);
        }
    }

    fn x87_pc(&self) -> GuestAddr {
        self.pc
    }

    fn x87_word(&self) -> Width {
        self.mode.word()
    }
}

impl Lowering<'_> {
    /// Makes the registers of functions free, but for [`ADDRESS`]; flags change.
    fn claim_others(&mut self) {
        for r in [REGS.a.0, REGS.a.1, REGS.b.0, REGS.t[0], REGS.t[1], REGS.t[2]] {
            self.values.take(r, &mut self.asm);
        }
        self.compared = None;
    }

    /// Writes slow code number `n`.
    pub(crate) fn write_x87_slow(&mut self, n: usize) {
        let slow = self.x87_slow[n].clone();
        if let Some((label, goes_on, zero)) = slow.zero {
            self.asm.bind(label);
            x87_zero(&mut self.asm, zero, ZERO, slow.label);
            self.asm.b(goes_on);
        }
        self.asm.bind(slow.label);
        self.pc = slow.site.pc;
        let [before, after] = &slow.stack;
        let free = [REGS.a.0, REGS.a.1];
        for r in &slow.site.kept {
            self.asm.store(Piece::Q, *r, STATE, vector_slot_offset(*r));
        }
        x87_write_exact(&mut self.asm, before, free, ZERO);
        match slow.place {
            Some(X87Place { is_lost: true, .. }) => {
                self.asm.load(Piece::X, ADDRESS, STATE, register_offset(ADDRESS));
            }
            Some(X87Place { base, offset, .. }) if base != ADDRESS => {
                self.add_constant(Size::X, ADDRESS, base, offset.into());
            }
            _ => {}
        }
        self.x87_routine(slow.evaluated, &slow.call, slow.site.lazy);
        x87_come_back(&mut self.asm, after, free);
        if slow.gives_flags {
            self.asm.load(Piece::X, REGS.a.0, STATE, CALLOUT_RESULT);
        }
        for r in &slow.site.kept {
            self.asm.load(Piece::Q, *r, STATE, vector_slot_offset(*r));
        }
        self.asm.b(slow.back);
    }
}
