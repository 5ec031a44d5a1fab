//! Vectors of 256 bits: parts of them, and the upper halves of guest registers.

use hokku_ir::{CpuMode, Type, Value, Width};

use crate::access::Piece;
use crate::assign::{STATE, vector_offset};
use crate::lower::Lowering;

impl Lowering<'_> {
    /// `vec_zero_extend` to 256 bits.
    pub(crate) fn wide_zero_extend(&mut self, dst: Value, from: Type, v: Value) {
        let r = self.vec_reg(v);
        let t = self.vec_temp();
        let slot = self.vectors.take_slot();
        match from {
            Type::V128 => self.store_half(r, slot, 0),
            _ => {
                self.asm.fp_mov(if from == Type::F32 { 2 } else { 3 }, t, r);
                self.store_half(t, slot, 0);
            }
        }
        self.asm.vec_fill(t, false);
        self.store_half(t, slot, 1);
        self.vectors.in_slot(dst, slot);
    }

    /// `vec_broadcast` to 256 bits.
    pub(crate) fn wide_broadcast(&mut self, dst: Value, w: Width, a: Value) {
        let r = self.vec_reg(a);
        let t = self.vec_temp();
        self.asm.broadcast_lane(w as u8, t, r, 0);
        self.both_halves(dst, t);
    }

    /// `vec_const` of 256 bits.
    pub(crate) fn wide_const(&mut self, dst: Value, bit: bool) {
        let t = self.vec_temp();
        self.asm.vec_fill(t, bit);
        self.both_halves(dst, t);
    }

    fn both_halves(&mut self, dst: Value, r: u8) {
        let slot = self.vectors.take_slot();
        (0..2).for_each(|half| self.store_half(r, slot, half));
        self.vectors.in_slot(dst, slot);
    }

    /// `vec_half` of 256 bits.
    pub(crate) fn wide_half(&mut self, dst: Value, high: bool, a: Value) {
        let t = self.vec_temp();
        self.load_half(t, a, u8::from(high));
        let d = self.vec_dest(dst);
        self.asm.vec_mov(d, t);
    }

    /// `vec_join` to 256 bits.
    pub(crate) fn wide_join(&mut self, dst: Value, low: Value, high: Value) {
        let (low, high) = (self.vec_reg(low), self.vec_reg(high));
        let slot = self.vectors.take_slot();
        self.store_half(low, slot, 0);
        self.store_half(high, slot, 1);
        self.vectors.in_slot(dst, slot);
    }

    /// `zero_vectors`: the upper halves of the guest's registers, or `all` of them.
    pub(crate) fn clear_vectors(&mut self, all: bool) {
        self.keep_vectors();
        let t = self.vec_temp();
        self.asm.vec_fill(t, false);
        for n in 0..if self.mode == CpuMode::Long64 { 16 } else { 8 } {
            self.asm.store(Piece::Q, t, STATE, vector_offset(n, 2));
            if all {
                self.asm.vec_fill(n, false);
            }
        }
    }
}
