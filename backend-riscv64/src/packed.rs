//! Operations on packed integers, for hosts with vectors. Registers v0 to v7 are scratch within an op.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{MaskOp, Num, Op, Type, Value, VecBin, VecShift, VecUn, Width};

use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;
use crate::vector_encode::*;

/// The instruction for a lane-by-lane operation that the host has, and the width of its lanes.
fn plain(op: VecBin) -> Option<(V, Sew)> {
    use Sew::*;
    use VecBin as B;
    Some(match op {
        B::PaddB => (VADD, E8),
        B::PaddW => (VADD, E16),
        B::PaddD => (VADD, E32),
        B::PaddQ => (VADD, E64),
        B::PaddsB => (VSADD, E8),
        B::PaddsW => (VSADD, E16),
        B::PaddusB => (VSADDU, E8),
        B::PaddusW => (VSADDU, E16),
        B::PsubB => (VSUB, E8),
        B::PsubW => (VSUB, E16),
        B::PsubD => (VSUB, E32),
        B::PsubQ => (VSUB, E64),
        B::PsubsB => (VSSUB, E8),
        B::PsubsW => (VSSUB, E16),
        B::PsubusB => (VSSUBU, E8),
        B::PsubusW => (VSSUBU, E16),
        B::PmullW => (VMUL, E16),
        B::PmullD => (VMUL, E32),
        B::PmulhW => (VMULH, E16),
        B::PmulhuW => (VMULHU, E16),
        B::PavgB => (VAADDU, E8),
        B::PavgW => (VAADDU, E16),
        B::PminuB => (VMINU, E8),
        B::PminuW => (VMINU, E16),
        B::PminuD => (VMINU, E32),
        B::PminsB => (VMIN, E8),
        B::PminsW => (VMIN, E16),
        B::PminsD => (VMIN, E32),
        B::PmaxuB => (VMAXU, E8),
        B::PmaxuW => (VMAXU, E16),
        B::PmaxuD => (VMAXU, E32),
        B::PmaxsB => (VMAX, E8),
        B::PmaxsW => (VMAX, E16),
        B::PmaxsD => (VMAX, E32),
        _ => return None,
    })
}

/// What an instruction of several sources makes of two vectors.
#[derive(Clone, Copy, Debug)]
struct Operands {
    a: Vreg,
    b: Vreg,
}

impl Lowering<'_> {
    /// Lowers `op` on V128 lanes, by vector instructions where there are any for it.
    pub(crate) fn packed(&mut self, dst: Value, op: Op) {
        if let Op::VecBinary { op: VecBin::PunpcklQdq | VecBin::MovLhps, a, b, .. } = op
            && self.broadcast(dst, a, b)
        {
            return;
        }
        let joins = self.start_other_member(&op);
        let is_done = match op {
            Op::VecBinary { op: kind, a, b, .. } if kind.is_float() => self.packed_arith(dst, op, kind, a, b),
            Op::VecBinary { op: kind, a, b, .. } => self.packed_binary(dst, kind, a, b),
            Op::VecUnary { op: kind, ty, a } => self.packed_unary(dst, op, kind, ty, a),
            Op::VecShiftBy { op: kind, a, n, .. } => self.packed_shift(dst, kind, a, n),
            Op::VecShiftImm { op: kind, a, n, .. } => self.packed_shift_imm(dst, kind, a, n),
            Op::VecShuffleImm { op: kind, a, b, imm, .. } => self.shuffle(dst, kind, a, b, imm),
            Op::VecCompare { lane, predicate, a, b, .. } => self.packed_compare(dst, op, lane, predicate, a, b),
            Op::VecMask { op: kind, a, .. } => self.packed_mask(dst, kind, a),
            Op::VecExtract { w, a, lane, .. } => self.extract(dst, w, a, lane),
            Op::VecInsert { w, a, lane, v, .. } => self.insert(dst, w, a, lane, v),
            _ => false,
        };
        if joins {
            self.end_other_member(dst, op);
        }
        if !is_done {
            self.callout(dst, op);
        }
    }

    pub(crate) fn vv(&mut self, op: V, vd: Vreg, vs2: Vreg, vs1: Vreg) {
        self.asm.word(vv(op, vd, vs2, vs1));
    }

    pub(crate) fn vx(&mut self, op: V, vd: Vreg, vs2: Vreg, rs1: Reg) {
        self.asm.word(vx(op, vd, vs2, rs1));
    }

    pub(crate) fn vi(&mut self, op: V, vd: Vreg, vs2: Vreg, imm: i32) {
        self.asm.word(vi(op, vd, vs2, imm));
    }

    pub(crate) fn move_vector(&mut self, vd: Vreg, vs: Vreg) {
        if vd != vs {
            self.asm.word(vmv1r(vd, vs));
        }
    }

    /// [`SCRATCH`] = `n`.
    pub(crate) fn scratch(&mut self, n: i64) -> Reg {
        self.asm.li(SCRATCH, n);
        SCRATCH
    }

    /// All ones in those lanes of `d` whose bit in v0 is set, zeros in others.
    pub(crate) fn lanes_of_mask(&mut self, d: Vreg) {
        self.asm.word(masked(vi(VMERGE, d, ZERO_VECTOR, -1)));
    }

    fn packed_binary(&mut self, dst: Value, kind: VecBin, a: Value, b: Value) -> bool {
        use VecBin as B;
        let (va, vb) = (self.vector(a), self.vector(b));
        let v = Operands { a: va, b: vb };
        if let Some((instruction, sew)) = plain(kind) {
            self.set_sew(sew);
            let d = self.vector_result(dst);
            self.vv(instruction, d, va, vb);
            return true;
        }
        match kind {
            B::Pand | B::Por | B::Pxor | B::Pandn => {
                self.any_sew();
                let d = self.vector_result(dst);
                let instruction = match kind {
                    B::Por => VOR,
                    B::Pxor => VXOR,
                    _ => VAND,
                };
                if kind == B::Pandn {
                    self.vi(VXOR, 1, va, -1);
                    self.vv(VAND, d, 1, vb);
                } else {
                    self.vv(instruction, d, va, vb);
                }
            }
            B::PcmpeqB | B::PcmpeqW | B::PcmpeqD | B::PcmpeqQ | B::PcmpgtB | B::PcmpgtW | B::PcmpgtD | B::PcmpgtQ => {
                let (sew, is_equal) = match kind {
                    B::PcmpeqB => (Sew::E8, true),
                    B::PcmpeqW => (Sew::E16, true),
                    B::PcmpeqD => (Sew::E32, true),
                    B::PcmpeqQ => (Sew::E64, true),
                    B::PcmpgtB => (Sew::E8, false),
                    B::PcmpgtW => (Sew::E16, false),
                    B::PcmpgtD => (Sew::E32, false),
                    _ => (Sew::E64, false),
                };
                self.set_sew(sew);
                let d = self.vector_result(dst);
                if is_equal {
                    self.vv(VMSEQ, 0, va, vb);
                } else {
                    self.vv(VMSLT, 0, vb, va);
                }
                self.lanes_of_mask(d);
            }
            B::PmuludQ | B::PmuldQ => {
                self.set_sew(Sew::E64);
                let d = self.vector_result(dst);
                let n = self.scratch(32);
                // The high half of the product of both halves moved up.
                self.vx(VSLL, 1, va, n);
                let other = if va == vb { 1 } else { 2 };
                if other == 2 {
                    self.vx(VSLL, 2, vb, n);
                }
                self.vv(if kind == B::PmuludQ { VMULHU } else { VMULH }, d, 1, other);
            }
            B::PmaddWd => self.multiply_pairs(dst, v),
            B::PsadBw => self.sum_of_differences(dst, v),
            B::PacksswB | B::PackssdW | B::PackuswB | B::PackusDw => self.pack(dst, kind, v),
            B::PunpcklQdq | B::MovLhps => self.low_halves(dst, v),
            B::PunpckhQdq => {
                self.set_sew(Sew::E64);
                let d = self.vector_result(dst);
                self.asm.word(vmv_v_i(0, 1));
                self.move_vector(1, vb);
                self.asm.word(masked(vi(VSLIDEDOWN, 1, va, 1)));
                self.move_vector(d, 1);
            }
            B::MovHlps => {
                self.set_sew(Sew::E64);
                let d = self.vector_result(dst);
                self.asm.word(vmv_v_i(0, 1));
                if d == vb && d != va {
                    self.move_vector(1, va);
                    self.asm.word(masked(vi(VSLIDEDOWN, 1, vb, 1)));
                    self.move_vector(d, 1);
                } else {
                    self.move_vector(d, va);
                    self.asm.word(masked(vi(VSLIDEDOWN, d, vb, 1)));
                }
            }
            B::PunpcklBw | B::PunpckhBw => self.interleave(dst, Sew::E8, kind == B::PunpckhBw, v),
            B::PunpcklWd | B::PunpckhWd => self.interleave(dst, Sew::E16, kind == B::PunpckhWd, v),
            B::PunpcklDq | B::PunpckhDq => self.interleave(dst, Sew::E32, kind == B::PunpckhDq, v),
            B::PshufB => {
                self.set_sew(Sew::E8);
                let d = self.vector_result(dst);
                // Numbers beyond the register give zeros.
                let n = self.scratch(0x8f);
                self.vx(VAND, 1, vb, n);
                let to = if d == va { 2 } else { d };
                self.vv(VRGATHER, to, va, 1);
                self.move_vector(d, to);
            }
            _ => return false,
        }
        true
    }

    fn multiply_pairs(&mut self, dst: Value, Operands { a, b }: Operands) {
        self.set_sew(Sew::E32);
        let d = self.vector_result(dst);
        // Low words: the high half of their product when both are moved up. High words: moved down.
        self.vi(VSLL, 1, a, 16);
        self.vi(VSLL, 2, b, 16);
        self.vi(VSRA, 3, a, 16);
        self.vi(VSRA, 4, b, 16);
        self.vv(VMULH, d, 1, 2);
        self.vv(VMACC, d, 3, 4);
    }

    fn sum_of_differences(&mut self, dst: Value, Operands { a, b }: Operands) {
        let d = self.vector_result(dst);
        self.set_sew(Sew::E8);
        self.vv(VMAXU, 1, a, b);
        self.vv(VMINU, 2, a, b);
        self.vv(VSUB, 1, 1, 2);
        // Pairs of bytes, then the four sums by a multiplication.
        self.set_sew(Sew::E16);
        self.vi(VSRL, 2, 1, 8);
        self.vi(VSLL, 1, 1, 8);
        self.vi(VSRL, 1, 1, 8);
        self.vv(VADD, 1, 1, 2);
        self.set_sew(Sew::E64);
        let ones = self.scratch(0x0001_0001_0001_0001);
        self.vx(VMUL, 1, 1, ones);
        let n = self.scratch(48);
        self.vx(VSRL, d, 1, n);
    }

    fn pack(&mut self, dst: Value, kind: VecBin, Operands { a, b }: Operands) {
        use VecBin as B;
        let (wide, narrow) = match kind {
            B::PacksswB | B::PackuswB => (Sew::E16, Sew::E8),
            _ => (Sew::E32, Sew::E16),
        };
        let is_unsigned = matches!(kind, B::PackuswB | B::PackusDw);
        let (mut low, mut high) = (a, b);
        let d = self.vector_result(dst);
        if is_unsigned {
            self.set_sew(wide);
            self.vx(VMAX, 1, a, ZERO);
            self.vx(VMAX, 2, b, ZERO);
            (low, high) = (1, 2);
        }
        // One after the other: where registers are longer than 128 bits, two of them do not hold the lanes in a row.
        let half = wide.count();
        self.asm.word(vsetivli_half(narrow, half));
        self.wide.sew = None;
        let instruction = if is_unsigned { VNCLIPU } else { VNCLIP };
        self.vi(instruction, 3, low, 0);
        self.vi(instruction, 4, high, 0);
        self.set_sew(narrow);
        self.vi(VSLIDEUP, 3, 4, half as i32);
        self.move_vector(d, 3);
    }

    /// The low halves of both.
    pub(crate) fn low_halves_of(&mut self, d: Vreg, a: Vreg, b: Vreg) {
        if a == b {
            let to = if d == a { 1 } else { d };
            self.vi(VRGATHER, to, a, 0);
            self.move_vector(d, to);
        } else if b == d {
            self.move_vector(1, a);
            self.vi(VSLIDEUP, 1, b, 1);
            self.move_vector(d, 1);
        } else {
            self.move_vector(d, a);
            self.vi(VSLIDEUP, d, b, 1);
        }
    }

    fn low_halves(&mut self, dst: Value, Operands { a, b }: Operands) {
        self.set_sew(Sew::E64);
        let d = self.vector_result(dst);
        self.low_halves_of(d, a, b);
    }

    /// Lanes of both in turns, of their low or high halves.
    fn interleave(&mut self, dst: Value, sew: Sew, high: bool, Operands { a, b }: Operands) {
        self.set_sew(sew);
        let d = self.vector_result(dst);
        let (mut low, mut other) = (a, b);
        if high {
            let half = sew.count() as i32 / 2;
            self.vi(VSLIDEDOWN, 4, a, half);
            self.vi(VSLIDEDOWN, 5, b, half);
            (low, other) = (4, 5);
        }
        // a + b + b * (2^n - 1), in lanes of twice the width.
        self.vv(VWADDU, 2, low, other);
        self.asm.li(SCRATCH, -1);
        self.asm.word(vx(VWMACCU, 2, other, SCRATCH));
        self.move_vector(d, 2);
    }

    fn packed_unary(&mut self, dst: Value, op: Op, kind: VecUn, ty: Type, a: Value) -> bool {
        use VecUn as U;
        if kind.is_float() || kind == U::CvtDq2Pd {
            return self.packed_float_unary(dst, kind, op, a);
        }
        let (sew, word) = match kind {
            U::PabsB | U::PabsW | U::PabsD if ty == Type::V128 => {
                let sew = match kind {
                    U::PabsB => Sew::E8,
                    U::PabsW => Sew::E16,
                    _ => Sew::E32,
                };
                let va = self.vector(a);
                self.set_sew(sew);
                let d = self.vector_result(dst);
                self.asm.word(vx(VRSUB, 1, va, ZERO));
                self.vv(VMAX, d, va, 1);
                return true;
            }
            U::PmovsxBw => (Sew::E16, SIGNED_HALVES),
            U::PmovsxBd => (Sew::E32, SIGNED_QUARTERS),
            U::PmovsxBq => (Sew::E64, SIGNED_EIGHTHS),
            U::PmovsxWd => (Sew::E32, SIGNED_HALVES),
            U::PmovsxWq => (Sew::E64, SIGNED_QUARTERS),
            U::PmovsxDq => (Sew::E64, SIGNED_HALVES),
            U::PmovzxBw => (Sew::E16, HALVES),
            U::PmovzxBd => (Sew::E32, QUARTERS),
            U::PmovzxBq => (Sew::E64, EIGHTHS),
            U::PmovzxWd => (Sew::E32, HALVES),
            U::PmovzxWq => (Sew::E64, QUARTERS),
            U::PmovzxDq => (Sew::E64, HALVES),
            _ => return false,
        };
        let va = self.vector(a);
        self.set_sew(sew);
        let d = self.vector_result(dst);
        // The result may not overlap the operand.
        let to = if d == va { 1 } else { d };
        self.vv(VEXTEND, to, va, word);
        self.move_vector(d, to);
        true
    }

    fn shift_of(kind: VecShift) -> Option<(V, Sew)> {
        Some(match kind {
            VecShift::PsllW => (VSLL, Sew::E16),
            VecShift::PsllD => (VSLL, Sew::E32),
            VecShift::PsllQ => (VSLL, Sew::E64),
            VecShift::PsrlW => (VSRL, Sew::E16),
            VecShift::PsrlD => (VSRL, Sew::E32),
            VecShift::PsrlQ => (VSRL, Sew::E64),
            VecShift::PsraW => (VSRA, Sew::E16),
            VecShift::PsraD => (VSRA, Sew::E32),
            VecShift::PsllDq | VecShift::PsrlDq => return None,
        })
    }

    fn packed_shift(&mut self, dst: Value, kind: VecShift, a: Value, n: Value) -> bool {
        let Some((instruction, sew)) = Self::shift_of(kind) else { return false };
        let (va, vn) = (self.vector(a), self.vector(n));
        let d = self.vector_result(dst);
        self.set_sew(Sew::E64);
        self.asm.word(vmv_x_s(SCRATCH, vn));
        self.set_sew(sew);
        let width = sew.bits() as i32;
        self.asm.i(SLTIU, RA, SCRATCH, width);
        if instruction == VSRA {
            // All ones in the count where it is too large.
            self.asm.i(ADDI, RA, RA, -1);
            self.asm.r(OR, SCRATCH, SCRATCH, RA);
            self.vx(VSRA, d, va, SCRATCH);
        } else {
            self.asm.r(SUB, RA, ZERO, RA);
            self.vx(instruction, d, va, SCRATCH);
            self.vx(VAND, d, d, RA);
        }
        true
    }

    fn packed_shift_imm(&mut self, dst: Value, kind: VecShift, a: Value, n: Num) -> bool {
        let n = i32::from(n.0);
        let va = self.vector(a);
        let Some((instruction, sew)) = Self::shift_of(kind) else {
            self.shift_bytes(dst, kind == VecShift::PsllDq, va, n);
            return true;
        };
        self.set_sew(sew);
        let d = self.vector_result(dst);
        let width = sew.bits() as i32;
        if n >= width && instruction != VSRA {
            self.asm.word(vmv_v_i(d, 0));
            return true;
        }
        let n = n.min(width - 1);
        if n < 32 {
            self.vi(instruction, d, va, n);
        } else {
            let n = self.scratch(n.into());
            self.vx(instruction, d, va, n);
        }
        true
    }

    /// All 128 bits by `n` bytes.
    fn shift_bytes(&mut self, dst: Value, left: bool, a: Vreg, n: i32) {
        self.any_sew();
        let d = self.vector_result(dst);
        if n >= 16 {
            return self.asm.word(vmv_v_i(d, 0));
        }
        let to = if d == a { 1 } else { d };
        self.move_vector(to, ZERO_VECTOR);
        if left {
            self.set_sew(Sew::E8);
            self.vi(VSLIDEUP, to, a, n);
        } else {
            // What lies above the 128 bits stays out.
            self.asm.word(vsetivli(Sew::E8, 16 - n as u32));
            self.wide.sew = None;
            self.vi(VSLIDEDOWN, to, a, n);
        }
        self.move_vector(d, to);
    }

    fn packed_mask(&mut self, dst: Value, kind: MaskOp, a: Value) -> bool {
        let va = self.vector(a);
        let sew = match kind {
            MaskOp::Pmovmskb => Sew::E8,
            MaskOp::MovmskPs => Sew::E32,
            MaskOp::MovmskPd => Sew::E64,
        };
        self.set_sew(sew);
        self.vx(VMSLT, 1, va, ZERO);
        if sew == Sew::E8 {
            self.set_sew(Sew::E16);
        }
        let d = self.result(dst);
        self.asm.word(vmv_x_s(d, 1));
        if sew == Sew::E8 {
            self.extend_zero_to(d, d, Width::W16);
        } else {
            self.asm.i(ANDI, d, d, (1 << sew.count()) - 1);
        }
        self.done(dst, UpperBits::BOTH);
        true
    }

    fn extract(&mut self, dst: Value, w: Width, a: Value, lane: Num) -> bool {
        let mut va = self.vector(a);
        let sew = [Sew::E8, Sew::E16, Sew::E32, Sew::E64][w as usize];
        self.set_sew(sew);
        if lane.0 != 0 {
            self.vi(VSLIDEDOWN, 1, va, lane.0.into());
            va = 1;
        }
        let d = self.result(dst);
        self.asm.word(vmv_x_s(d, va));
        let upper = match w {
            Width::W64 => UpperBits::BOTH,
            Width::W32 => UpperBits::SIGN,
            _ => {
                self.extend_zero_to(d, d, w);
                UpperBits::BOTH
            }
        };
        self.done(dst, upper);
        true
    }

    fn insert(&mut self, dst: Value, w: Width, a: Value, lane: Num, v: Value) -> bool {
        let (va, r) = (self.vector(a), self.reg(v));
        let sew = [Sew::E8, Sew::E16, Sew::E32, Sew::E64][w as usize];
        self.set_sew(sew);
        let d = self.vector_result(dst);
        self.move_vector(d, va);
        if lane.0 == 0 {
            self.asm.word(vmv_s_x(d, r));
            return true;
        }
        self.asm.word(vmv_s_x(1, r));
        self.asm.word(vsetivli(sew, u32::from(lane.0) + 1));
        self.wide.sew = None;
        self.vi(VSLIDEUP, d, 1, lane.0.into());
        true
    }
}
