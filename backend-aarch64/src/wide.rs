//! Vectors of 256 bits: parts of them, and the upper halves of guest registers.

use hokku_ir::{CpuMode, Type, Value, Width};

use crate::access::Piece;
use crate::assign::{STATE, vector_offset};
use crate::lower::Lowering;

impl Lowering<'_> {
    /// `vec_zero_extend` to 256 bits.
    pub(crate) fn wide_zero_extend(&mut self, dst: Value, from: Type, v: Value) {
        let r = self.vec_reg(v);
        let (low, high) = (self.vec_temp(), self.vec_temp());
        match from {
            Type::V128 => self.asm.vec_mov(low, r),
            Type::F32 => self.asm.fp_mov(2, low, r),
            _ => self.asm.fp_mov(3, low, r),
        }
        self.asm.vec_fill(high, false);
        self.own_pair(low, high, dst);
    }

    /// `vec_broadcast` to 256 bits.
    pub(crate) fn wide_broadcast(&mut self, dst: Value, w: Width, a: Value) {
        let r = self.vec_reg(a);
        let t = self.vec_temp();
        self.asm.broadcast_lane(w as u8, t, r, 0);
        self.own_pair(t, t, dst);
    }

    /// `vec_const` of 256 bits.
    pub(crate) fn wide_const(&mut self, dst: Value, bit: bool) {
        let t = self.vec_temp();
        self.asm.vec_fill(t, bit);
        self.own_pair(t, t, dst);
    }

    /// `vec_half` of 256 bits.
    pub(crate) fn wide_half(&mut self, dst: Value, high: bool, a: Value) {
        let r = self.half_reg(a, u8::from(high));
        let d = self.vec_dest(dst);
        self.asm.vec_mov(d, r);
    }

    /// `vec_join` to 256 bits.
    pub(crate) fn wide_join(&mut self, dst: Value, low: Value, high: Value) {
        let (low, high) = (self.vec_reg(low), self.vec_reg(high));
        let pair = (self.vec_temp(), self.vec_temp());
        self.asm.vec_mov(pair.0, low);
        self.asm.vec_mov(pair.1, high);
        self.own_pair(pair.0, pair.1, dst);
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
        self.vectors.clear_above = 0xffff;
    }
}
