//! Shuffles of vectors of 128 bits by constants as instructions: of registers, not of values.

use hokku_ir::VecShuffle;

use crate::asm::Asm;
use crate::assign::ZERO;
use crate::lanes::Regs;
use crate::simd::{One, Permute};

/// The immediate for half `half` of a V256 of an instruction with `imm`: some have bits for all lanes.
pub(crate) fn half_immediate(op: VecShuffle, imm: u8, half: u8) -> u8 {
    match op {
        VecShuffle::BlendPs => imm >> (4 * half),
        VecShuffle::BlendPd | VecShuffle::ShufPd => imm >> (2 * half),
        _ => imm,
    }
}

impl Asm {
    /// `op`, which does not go across 128 bits, of `a` and `b` by `imm`. The destination may be one of the operands.
    pub(crate) fn vector_shuffle(&mut self, op: VecShuffle, regs: Regs, imm: u8) {
        use VecShuffle::*;
        let Regs { d, b, .. } = regs;
        // Where a result is made of parts.
        let t = if d == regs.a || d == b { regs.t } else { d };
        let regs = Regs { t, ..regs };
        let one_source = matches!(op, PshufD | PshufLw | PshufHw);
        let a = if one_source { b } else { regs.a };
        let two = |n: u8| imm >> (2 * n) & 3;
        match (op, imm) {
            (Palignr, 0..=15) => self.extract_bytes(d, b, a, imm),
            (Palignr, 16..=31) => {
                self.vec_fill(t, false);
                self.extract_bytes(d, a, t, imm - 16);
            }
            (Palignr, _) => self.vec_fill(d, false),
            (ShufPd, _) => match imm & 3 {
                0 => self.permute(Permute::Zip1, 3, d, a, b),
                1 => self.extract_bytes(d, a, b, 8),
                2 => self.choose_lanes(regs, 3, 2),
                _ => self.permute(Permute::Zip2, 3, d, a, b),
            },
            (BlendPs, _) => self.choose_lanes(regs, 2, imm & 15),
            (BlendPd, _) => self.choose_lanes(regs, 3, imm & 3),
            (PblendW, _) => self.choose_lanes(regs, 1, imm),
            (InsertPs, _) => {
                self.vec_mov(t, a);
                self.vec_insert(2, t, imm >> 4 & 3, b, imm >> 6);
                for lane in (0..4).filter(|lane| imm >> lane & 1 != 0) {
                    self.gpr_to_lane(2, t, lane, ZERO);
                }
                self.vec_mov(d, t);
            }
            (PshufD | ShufPs, 0x44) => self.permute(Permute::Zip1, 3, d, a, b),
            (PshufD | ShufPs, 0xee) => self.permute(Permute::Zip2, 3, d, a, b),
            (PshufD | ShufPs, 0x88) => self.permute(Permute::Uzp1, 2, d, a, b),
            (PshufD | ShufPs, 0xdd) => self.permute(Permute::Uzp2, 2, d, a, b),
            (PshufD | ShufPs, 0x4e) => self.extract_bytes(d, a, b, 8),
            (PshufD | ShufPs, 0xe4) if a == b => self.vec_mov(d, a),
            (PshufD | ShufPs, 0x39) if a == b => self.extract_bytes(d, a, a, 4),
            (PshufD | ShufPs, 0x93) if a == b => self.extract_bytes(d, a, a, 12),
            (PshufD | ShufPs, 0xb1) if a == b => self.swap_words(d, a),
            (PshufD | ShufPs, 0x50) if a == b => self.permute(Permute::Zip1, 2, d, a, a),
            (PshufD | ShufPs, 0xfa) if a == b => self.permute(Permute::Zip2, 2, d, a, a),
            (PshufD | ShufPs, 0xa0) if a == b => self.permute(Permute::Trn1, 2, d, a, a),
            (PshufD | ShufPs, 0xf5) if a == b => self.permute(Permute::Trn2, 2, d, a, a),
            (PshufD | ShufPs, 0x00 | 0x55 | 0xaa | 0xff) if a == b => self.broadcast_lane(2, d, a, imm & 3),
            (PshufD | ShufPs, _) => {
                self.broadcast_lane(2, t, a, two(0));
                for n in 1..4 {
                    self.vec_insert(2, t, n, if n < 2 { a } else { b }, two(n));
                }
                self.vec_mov(d, t);
            }
            (_, 0x1b | 0xb1 | 0x4e | 0x00 | 0x55 | 0xaa | 0xff) => {
                let (first, other) = if op == PshufHw { (4, 0) } else { (0, 1) };
                match imm {
                    0x1b => self.one(One::REV64, true, 1, t, b),
                    0xb1 => self.one(One::REV32, true, 1, t, b),
                    0x4e => self.swap_words(t, b),
                    _ => self.broadcast_lane(1, t, b, first + (imm & 3)),
                }
                self.vec_insert(3, t, other, b, other);
                self.vec_mov(d, t);
            }
            _ => {
                let first = if op == PshufHw { 4 } else { 0 };
                self.vec_mov(t, b);
                for n in (0..4).filter(|n| two(*n) != *n) {
                    self.vec_insert(1, t, first + n, b, first + two(n));
                }
                self.vec_mov(d, t);
            }
        }
    }

    /// `d`: the lanes of 2^`log2` bytes of `b` that `chosen` has bits for, the others of `a`.
    fn choose_lanes(&mut self, regs: Regs, log2: u8, chosen: u8) {
        let Regs { d, a, b, t, .. } = regs;
        let count = 16 >> log2;
        // The one that gives more is copied.
        let mostly_b = 2 * chosen.count_ones() > count;
        let (base, other, wanted) = if mostly_b { (b, a, !chosen) } else { (a, b, chosen) };
        self.vec_mov(t, base);
        for lane in (0..count as u8).filter(|lane| wanted >> lane & 1 != 0) {
            self.vec_insert(log2, t, lane, other, lane);
        }
        self.vec_mov(d, t);
    }
}
