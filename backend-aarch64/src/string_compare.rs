//! `cmps` and `scas`: by chunks in vector registers that lie within pages, and by single elements.

use hokku_ir::lowering::{FLAG_SLOTS, FlagsRecipe, RecipeStep};
use hokku_ir::{Op, Rep, StringOp, Value};

use crate::access::{Piece, Place};
use crate::asm::{Cc, Label, Size};
use crate::assign::*;
use crate::integer::{Logic, Shift, Sum};
use crate::lower::{KnownSite, Lowering};
use crate::simd::Same;
use crate::string::{CHUNK, Loop, RAX, RCX, RDI, RSI};

/// Bytes of a vector register.
const HALF: i32 = CHUNK / 2;

/// Vector registers of a comparison by chunks.
#[derive(Clone, Copy)]
struct Halves {
    /// The halves of the operands; the second is at rdi.
    first: [u8; 2],
    second: [u8; 2],
    /// Where elements are the same, by halves.
    same: [u8; 2],
    scratch: u8,
}

impl Lowering<'_> {
    /// The flags are those of the last comparison, if there was one.
    pub(crate) fn compare_elements(&mut self, l: Loop) {
        if l.op == StringOp::Scas {
            self.zero_extend_to(l.element, RAX, l.w);
        }
        let out = self.asm.label();
        if l.rep == Rep::Once {
            self.compare_element(l);
        } else {
            self.compare_repeatedly(l, out);
        }
        self.asm.bind(out);
        for (n, reg) in [l.element, l.second].into_iter().enumerate() {
            self.asm.store(Piece::X, reg, STATE, recipe_slot_offset(FLAG_SLOTS + n as u8));
        }
        let op = Op::SubFlags { w: l.w, a: Value(0), b: Value(1) };
        let operands = [RecipeStep::Slot(FLAG_SLOTS), RecipeStep::Slot(FLAG_SLOTS + 1)];
        let steps = vec![operands[0], operands[1], RecipeStep::Op(op)];
        let label = self.routine(FlagsRecipe { steps });
        self.asm.adr(FLAG_SITE, label);
        let site = Some(KnownSite { label, op, operands: operands.map(Some) });
        self.entry_site = site;
        self.sites[self.block_number] = site;
    }

    /// Reads the operands of one comparison; counts it.
    fn compare_element(&mut self, l: Loop) {
        // Processors reach the second operand first, as their faults tell.
        if l.op == StringOp::Cmps {
            self.read_element(l, l.second, RDI);
            self.read_on(l, l.element, RSI);
            self.advance(l, RDI, l.bytes());
        } else {
            self.read_on(l, l.second, RDI);
        }
        if l.rep != Rep::Once {
            self.advance(l, RCX, -1);
        }
    }

    /// Reads an element at `at`, which moves on.
    fn read_on(&mut self, l: Loop, to: u8, at: u8) {
        if l.size == Size::W {
            // Addresses of 32 bits wrap.
            self.read_element(l, to, at);
            return self.advance(l, at, l.bytes());
        }
        self.string_site();
        self.asm.access(true, l.piece(), to, Place::After { base: at, offset: l.bytes() });
    }

    /// The same, and goes to `out` where that was the last comparison.
    fn compare_one_of_many(&mut self, l: Loop, out: Label) {
        self.compare_element(l);
        self.asm.add(Sum::Subs, Size::of(l.w), ZERO, l.element, l.second);
        self.asm.b_cond(if l.rep == Rep::Repne { Cc::Eq } else { Cc::Ne }, out);
    }

    fn compare_repeatedly(&mut self, l: Loop, out: Label) {
        let compares_strings = l.op == StringOp::Cmps;
        let value = self.vec_temp();
        let first = if compares_strings { [value, self.vec_temp()] } else { [value; 2] };
        let h = Halves {
            first,
            second: [self.vec_temp(), self.vec_temp()],
            same: [self.vec_temp(), self.vec_temp()],
            scratch: self.vec_temp(),
        };
        let [head, single, tail, found] = [(); 4].map(|()| self.asm.label());
        if !compares_strings {
            self.asm.broadcast_gpr(l.w as u8, value, RAX);
        }
        self.asm.bind(head);
        self.asm.add_imm(Sum::Subs, l.size, ZERO, RCX, (CHUNK >> l.w as u8) as u32);
        self.asm.b_cond(Cc::Lo, tail);
        self.chunks_on_pages(l, l.left, l.other, compares_strings);
        self.asm.cbz(Size::W, l.left, single);
        let chunk = self.asm.here();
        self.compare_chunk(l, h, found);
        self.advance_both(l, CHUNK);
        self.asm.add_imm(Sum::Sub, Size::W, l.left, l.left, 1);
        self.asm.cbnz(Size::W, l.left, chunk);
        self.asm.cbnz(l.size, RCX, head);
        // The last elements.
        let lane = (HALF >> l.w as u8) as u8 - 1;
        self.asm.lane_to_gpr(l.w as u8, l.second, h.second[1], lane);
        if compares_strings {
            self.asm.lane_to_gpr(l.w as u8, l.element, h.first[1], lane);
        }
        self.asm.b(out);
        self.asm.bind(found);
        self.end_in_chunk(l, h);
        self.asm.b(out);
        self.asm.bind(single);
        self.compare_one_of_many(l, out);
        self.asm.cbnz(l.size, RCX, head);
        self.asm.b(out);
        self.asm.bind(tail);
        self.compare_one_of_many(l, out);
        self.asm.cbnz(l.size, RCX, tail);
    }

    /// `bytes` more have been compared.
    fn advance_both(&mut self, l: Loop, bytes: i32) {
        self.advance(l, RDI, bytes);
        if l.op == StringOp::Cmps {
            self.advance(l, RSI, bytes);
        }
        self.advance(l, RCX, -(bytes >> l.w as u8));
    }

    /// Goes to `found` where an element of the chunk ends it.
    fn compare_chunk(&mut self, l: Loop, h: Halves, found: Label) {
        self.string_site();
        self.asm.load_pair(Piece::Q, h.second[0], h.second[1], RDI, 0);
        if l.op == StringOp::Cmps {
            self.string_site();
            self.asm.load_pair(Piece::Q, h.first[0], h.first[1], RSI, 0);
        }
        for n in 0..2 {
            self.asm.same(Same::CMEQ, true, l.w as u8, h.same[n], h.first[n], h.second[n]);
        }
        let [low, high] = h.same;
        let until_same = l.rep == Rep::Repne;
        self.asm.same(Same::LOGIC, true, if until_same { 2 } else { 0 }, h.scratch, low, high);
        self.asm.narrow_by_four(h.scratch, h.scratch);
        self.asm.fp_to_gpr(3, l.other, h.scratch);
        if until_same {
            return self.asm.cbnz(Size::X, l.other, found);
        }
        self.asm.add_imm(Sum::Adds, Size::X, ZERO, l.other, 1);
        self.asm.b_cond(Cc::Ne, found);
    }

    /// The elements that end it are in the chunk: reads and counts them.
    fn end_in_chunk(&mut self, l: Loop, h: Halves) {
        let is_low = self.asm.label();
        self.end_bits(l, h, 0);
        self.asm.cbnz(Size::X, l.other, is_low);
        self.advance_both(l, HALF);
        self.end_bits(l, h, 1);
        self.asm.vec_mov(h.second[0], h.second[1]);
        self.asm.vec_mov(h.first[0], h.first[1]);
        self.asm.bind(is_low);
        // Four bits for each byte.
        self.asm.rbit(Size::X, l.other, l.other);
        self.asm.clz(Size::X, l.other, l.other);
        self.asm.lsr(Size::X, l.other, l.other, 2);
        self.asm.add(Sum::Add, Size::X, l.left, STATE, l.other);
        let mut place = callout_arg_offset(0);
        for (half, to) in [(h.second[0], l.second), (h.first[0], l.element)] {
            if to == l.second || l.op == StringOp::Cmps {
                self.asm.store(Piece::Q, half, STATE, place);
                self.asm.load(l.piece(), to, l.left, place);
            }
            place += HALF;
        }
        self.asm.add(Sum::Add, l.size, RDI, RDI, l.other);
        if l.op == StringOp::Cmps {
            self.asm.add(Sum::Add, l.size, RSI, RSI, l.other);
        }
        self.asm.add_shifted(Sum::Sub, l.size, RCX, RCX, l.other, Shift::Lsr, l.w as u8);
        self.advance_both(l, l.bytes());
    }

    /// Bits of [`Loop::other`] that are ones where elements of half `n` end it.
    fn end_bits(&mut self, l: Loop, h: Halves, n: usize) {
        self.asm.narrow_by_four(h.scratch, h.same[n]);
        self.asm.fp_to_gpr(3, l.other, h.scratch);
        if l.rep != Rep::Repne {
            self.asm.logic(Logic::Orn, Size::X, l.other, ZERO, l.other);
        }
    }
}
