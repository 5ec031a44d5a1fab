//! Vectors: lanes, shuffles, conversions.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{MaskOp, Type, Value, VecBin, VecShift, VecShuffle, Width};

use crate::asm::Size;
use crate::assign::SCRATCH;
use crate::integer::{Logic, Shift};
use crate::lower::Lowering;
use crate::simd::{Permute, Same};

impl Lowering<'_> {
    /// `bitcast`: the same bits as another type.
    pub(crate) fn cast_bits(&mut self, dst: Value, from: Type, to: Type, v: Value) {
        let log2 = if to.bytes() == 8 { 3 } else { 2 };
        match (from.width().is_some(), to.width().is_some()) {
            (true, false) => {
                let r = self.reg(v);
                let d = self.vec_dest(dst);
                self.asm.gpr_to_fp(log2, d, r);
            }
            (false, true) => {
                let r = self.vec_reg(v);
                let d = self.dest(dst);
                self.asm.fp_to_gpr(log2, d, r);
                self.define(dst, UpperBits::ZERO);
            }
            (false, false) => {
                let r = self.vec_reg(v);
                let d = self.vec_dest(dst);
                self.asm.vec_mov(d, r);
            }
            (true, true) => {
                let r = self.reg(v);
                let d = self.dest(dst);
                self.asm.mov(crate::asm::Size::X, d, r);
            }
        }
    }
}

/// Operations that are one instruction: what it is, the logarithm of the lanes' bytes, and whether the operands are exchanged.
fn one_instruction(op: VecBin) -> Option<(Same, u8, bool)> {
    use VecBin::*;
    let same = match op {
        PaddB => (Same::ADD, 0),
        PaddW => (Same::ADD, 1),
        PaddD => (Same::ADD, 2),
        PaddQ => (Same::ADD, 3),
        PsubB => (Same::SUB, 0),
        PsubW => (Same::SUB, 1),
        PsubD => (Same::SUB, 2),
        PsubQ => (Same::SUB, 3),
        PaddsB => (Same::SQADD, 0),
        PaddsW => (Same::SQADD, 1),
        PaddusB => (Same::UQADD, 0),
        PaddusW => (Same::UQADD, 1),
        PsubsB => (Same::SQSUB, 0),
        PsubsW => (Same::SQSUB, 1),
        PsubusB => (Same::UQSUB, 0),
        PsubusW => (Same::UQSUB, 1),
        PmullW => (Same::MUL, 1),
        PmullD => (Same::MUL, 2),
        PavgB => (Same::URHADD, 0),
        PavgW => (Same::URHADD, 1),
        PminuB => (Same::UMIN, 0),
        PminuW => (Same::UMIN, 1),
        PminuD => (Same::UMIN, 2),
        PminsB => (Same::SMIN, 0),
        PminsW => (Same::SMIN, 1),
        PminsD => (Same::SMIN, 2),
        PmaxuB => (Same::UMAX, 0),
        PmaxuW => (Same::UMAX, 1),
        PmaxuD => (Same::UMAX, 2),
        PmaxsB => (Same::SMAX, 0),
        PmaxsW => (Same::SMAX, 1),
        PmaxsD => (Same::SMAX, 2),
        PcmpeqB => (Same::CMEQ, 0),
        PcmpeqW => (Same::CMEQ, 1),
        PcmpeqD => (Same::CMEQ, 2),
        PcmpgtB => (Same::CMGT, 0),
        PcmpgtW => (Same::CMGT, 1),
        PcmpgtD => (Same::CMGT, 2),
        Pand => (Same::LOGIC, 0),
        Por => (Same::LOGIC, 2),
        Pxor => (Same::EOR, 0),
        Pandn => return Some((Same::LOGIC, 1, true)),
        _ => return None,
    };
    Some((same.0, same.1, false))
}

/// Operations on 128 bits that interleave lanes: which way, of what lanes, and whether the operands are exchanged.
fn interleaving(op: VecBin) -> Option<(Permute, u8, bool)> {
    use VecBin::*;
    Some(match op {
        PunpcklBw => (Permute::Zip1, 0, false),
        PunpcklWd => (Permute::Zip1, 1, false),
        PunpcklDq => (Permute::Zip1, 2, false),
        PunpcklQdq | MovLhps => (Permute::Zip1, 3, false),
        PunpckhBw => (Permute::Zip2, 0, false),
        PunpckhWd => (Permute::Zip2, 1, false),
        PunpckhDq => (Permute::Zip2, 2, false),
        PunpckhQdq => (Permute::Zip2, 3, false),
        MovHlps => (Permute::Zip2, 3, true),
        _ => return None,
    })
}

impl Lowering<'_> {
    /// `vec_binary`. False where the runtime must do it.
    pub(crate) fn vector_binary(&mut self, dst: Value, op: VecBin, ty: Type, a: Value, b: Value) -> bool {
        let q = ty == Type::V128;
        if let Some((same, log2, exchanged)) = one_instruction(op).filter(|_| q || ty == Type::V64) {
            // Lanes of 64 bits are too wide for half a register.
            if !q && log2 == 3 {
                return false;
            }
            let (ra, rb) = (self.vec_reg(a), self.vec_reg(b));
            let (n, m) = if exchanged { (rb, ra) } else { (ra, rb) };
            let d = self.vec_dest(dst);
            self.asm.same(same, q, log2, d, n, m);
            return true;
        }
        if !q {
            return false;
        }
        if let Some((permute, log2, exchanged)) = interleaving(op) {
            let (ra, rb) = (self.vec_reg(a), self.vec_reg(b));
            let (n, m) = if exchanged { (rb, ra) } else { (ra, rb) };
            let d = self.vec_dest(dst);
            self.asm.permute(permute, log2, d, n, m);
            return true;
        }
        use VecBin::*;
        if !matches!(op, PmulhW | PmulhuW | PmuludQ | PmaddWd | PsadBw | PacksswB | PackssdW | PackuswB | PackusDw) {
            return false;
        }
        let (ra, rb) = (self.vec_reg(a), self.vec_reg(b));
        let (t, u) = (self.vec_temp(), self.vec_temp());
        let d = self.vec_dest(dst);
        match op {
            PmulhW | PmulhuW => {
                let signed = op == PmulhW;
                self.asm.multiply_long(signed, false, 1, t, ra, rb);
                self.asm.multiply_long(signed, true, 1, u, ra, rb);
                self.asm.permute(Permute::Uzp2, 1, d, t, u);
            }
            PmuludQ => {
                self.asm.cut_lanes(2, t, ra);
                self.asm.cut_lanes(2, u, rb);
                self.asm.multiply_long(false, false, 2, d, t, u);
            }
            PmaddWd => {
                self.asm.multiply_long(true, false, 1, t, ra, rb);
                self.asm.multiply_long(true, true, 1, u, ra, rb);
                self.asm.same(Same::ADDP, true, 2, d, t, u);
            }
            PsadBw => {
                self.asm.same(Same::UABD, true, 0, t, ra, rb);
                for log2 in 0..2 {
                    self.asm.add_long_pairs(log2, t, t);
                }
                self.asm.add_long_pairs(2, d, t);
            }
            _ => {
                let (unsigned, log2) = match op {
                    PacksswB => (false, 0),
                    PackssdW => (false, 1),
                    PackuswB => (true, 0),
                    _ => (true, 1),
                };
                self.asm.narrow(unsigned, false, log2, t, ra);
                self.asm.narrow(unsigned, true, log2, t, rb);
                self.asm.vec_mov(d, t);
            }
        }
        true
    }

    /// `vec_shift_imm`. False where the runtime must do it.
    pub(crate) fn vector_shift(&mut self, dst: Value, op: VecShift, ty: Type, a: Value, n: u8) -> bool {
        if ty != Type::V128 {
            return false;
        }
        let n = u32::from(n);
        let ra = self.vec_reg(a);
        if matches!(op, VecShift::PsllDq | VecShift::PsrlDq) {
            let zero = self.vec_temp();
            self.asm.vec_fill(zero, false);
            let d = self.vec_dest(dst);
            match (n, op) {
                (0, _) => self.asm.vec_mov(d, ra),
                (16.., _) => self.asm.vec_mov(d, zero),
                (_, VecShift::PsllDq) => self.asm.extract_bytes(d, zero, ra, 16 - n as u8),
                _ => self.asm.extract_bytes(d, ra, zero, n as u8),
            }
            return true;
        }
        let bits = match op {
            VecShift::PsllW | VecShift::PsrlW | VecShift::PsraW => 16,
            VecShift::PsllD | VecShift::PsrlD | VecShift::PsraD => 32,
            _ => 64,
        };
        let signed = matches!(op, VecShift::PsraW | VecShift::PsraD);
        let left = matches!(op, VecShift::PsllW | VecShift::PsllD | VecShift::PsllQ);
        let d = self.vec_dest(dst);
        if n == 0 {
            self.asm.vec_mov(d, ra);
        } else if n >= bits && !signed {
            self.asm.vec_fill(d, false);
        } else if left {
            self.asm.shift_left(true, bits, d, ra, n);
        } else {
            // By all bits, a lane becomes its sign.
            self.asm.shift_right(signed, true, bits, d, ra, n.min(bits));
        }
        true
    }

    /// `vec_shuffle`. False where the runtime must do it.
    pub(crate) fn vector_shuffle(
        &mut self,
        dst: Value,
        op: VecShuffle,
        ty: Type,
        (a, b): (Value, Value),
        imm: u8,
    ) -> bool {
        use VecShuffle::*;
        if ty != Type::V128 || !matches!(op, PshufD | PshufLw | PshufHw | ShufPs | ShufPd | Palignr) {
            return false;
        }
        let rb = self.vec_reg(b);
        let ra = if matches!(op, PshufD | PshufLw | PshufHw) { rb } else { self.vec_reg(a) };
        let two = |n: u8| imm >> (2 * n) & 3;
        match (op, imm) {
            (Palignr, 0..=15) => {
                let d = self.vec_dest(dst);
                self.asm.extract_bytes(d, rb, ra, imm);
                return true;
            }
            (Palignr, _) => return false,
            (ShufPd, _) if imm & 3 != 2 => {
                let d = self.vec_dest(dst);
                match imm & 3 {
                    0 => self.asm.permute(Permute::Zip1, 3, d, ra, rb),
                    1 => self.asm.extract_bytes(d, ra, rb, 8),
                    _ => self.asm.permute(Permute::Zip2, 3, d, ra, rb),
                }
                return true;
            }
            (PshufD | ShufPs, _) => {
                let d = self.vec_dest(dst);
                let whole = op == PshufD;
                match imm {
                    0x44 => self.asm.permute(Permute::Zip1, 3, d, ra, rb),
                    0xee => self.asm.permute(Permute::Zip2, 3, d, ra, rb),
                    0x88 => self.asm.permute(Permute::Uzp1, 2, d, ra, rb),
                    0xdd => self.asm.permute(Permute::Uzp2, 2, d, ra, rb),
                    0x4e => self.asm.extract_bytes(d, ra, rb, 8),
                    0xb1 if whole => self.asm.swap_words(d, ra),
                    0x50 if whole => self.asm.permute(Permute::Zip1, 2, d, ra, ra),
                    0xfa if whole => self.asm.permute(Permute::Zip2, 2, d, ra, ra),
                    0xa0 if whole => self.asm.permute(Permute::Trn1, 2, d, ra, ra),
                    0xf5 if whole => self.asm.permute(Permute::Trn2, 2, d, ra, ra),
                    0x00 | 0x55 | 0xaa | 0xff if whole => self.asm.broadcast_lane(2, d, ra, imm & 3),
                    _ => {
                        let t = self.vec_temp();
                        self.asm.broadcast_lane(2, t, ra, two(0));
                        for n in 1..4 {
                            self.asm.vec_insert(2, t, n, if n < 2 { ra } else { rb }, two(n));
                        }
                        self.asm.vec_mov(d, t);
                    }
                }
            }
            (ShufPd, _) => {
                // The low half of one, the high half of the other.
                let t = self.vec_temp();
                let d = self.vec_dest(dst);
                self.asm.vec_mov(t, rb);
                self.asm.vec_insert(3, t, 0, ra, 0);
                self.asm.vec_mov(d, t);
            }
            _ => {
                let first = if op == PshufHw { 4 } else { 0 };
                let t = self.vec_temp();
                let d = self.vec_dest(dst);
                self.asm.vec_mov(t, rb);
                for n in 0..4 {
                    if two(n) != n {
                        self.asm.vec_insert(1, t, first + n, rb, first + two(n));
                    }
                }
                self.asm.vec_mov(d, t);
            }
        }
        true
    }

    /// `vec_mask`. False where the runtime must do it.
    pub(crate) fn vector_mask(&mut self, dst: Value, op: MaskOp, ty: Type, a: Value) -> bool {
        if ty != Type::V128 {
            return false;
        }
        let ra = self.vec_reg(a);
        let t = self.vec_temp();
        // The top bits of each half come together at its start.
        let bits = match op {
            MaskOp::Pmovmskb => {
                self.asm.shift_right(false, true, 8, t, ra, 7);
                self.asm.shift_right_add(16, t, t, 7);
                self.asm.shift_right_add(32, t, t, 14);
                self.asm.shift_right_add(64, t, t, 28);
                8
            }
            MaskOp::MovmskPs => {
                self.asm.shift_right(false, true, 32, t, ra, 31);
                self.asm.shift_right_add(64, t, t, 31);
                2
            }
            MaskOp::MovmskPd => {
                self.asm.shift_right(false, true, 64, t, ra, 63);
                1
            }
        };
        let d = self.dest(dst);
        self.asm.lane_to_gpr(0, SCRATCH, t, 8);
        self.asm.lane_to_gpr(0, d, t, 0);
        self.asm.logic_shifted(Logic::Orr, Size::W, d, d, SCRATCH, Shift::Lsl, bits);
        self.define(dst, UpperBits::ZERO);
        true
    }

    /// `vec_extract`.
    pub(crate) fn vector_extract(&mut self, dst: Value, w: Width, a: Value, lane: u8) {
        let r = self.vec_reg(a);
        let d = self.dest(dst);
        self.asm.lane_to_gpr(w as u8, d, r, lane);
        self.define(dst, UpperBits::ZERO);
    }

    /// `vec_insert`.
    pub(crate) fn vector_insert(&mut self, dst: Value, w: Width, a: Value, lane: u8, v: Value) {
        let ra = self.vec_reg(a);
        let rv = self.reg(v);
        let d = self.vec_dest(dst);
        self.asm.vec_mov(d, ra);
        self.asm.gpr_to_lane(w as u8, d, lane, rv);
    }

    /// `vec_merge_low`.
    pub(crate) fn vector_merge_low(&mut self, dst: Value, ty: Type, a: Value, low: Value) {
        let (ra, rl) = (self.vec_reg(a), self.vec_reg(low));
        let t = self.vec_temp();
        let d = self.vec_dest(dst);
        self.asm.vec_mov(t, ra);
        self.asm.vec_insert(if ty == Type::F32 { 2 } else { 3 }, t, 0, rl, 0);
        self.asm.vec_mov(d, t);
    }

    /// `vec_zero_extend` to 128 bits.
    pub(crate) fn vector_zero_extend(&mut self, dst: Value, from: Type, v: Value) {
        let r = self.vec_reg(v);
        let d = self.vec_dest(dst);
        self.asm.fp_mov(if from == Type::F32 { 2 } else { 3 }, d, r);
    }

    /// `vec_half` of 128 bits.
    pub(crate) fn vector_half(&mut self, dst: Value, high: bool, a: Value) {
        let r = self.vec_reg(a);
        let d = self.vec_dest(dst);
        if high { self.asm.extract_bytes(d, r, r, 8) } else { self.asm.fp_mov(3, d, r) }
    }

    /// `vec_join` to 128 bits.
    pub(crate) fn vector_join(&mut self, dst: Value, low: Value, high: Value) {
        let (rl, rh) = (self.vec_reg(low), self.vec_reg(high));
        let d = self.vec_dest(dst);
        self.asm.permute(Permute::Zip1, 3, d, rl, rh);
    }
}
