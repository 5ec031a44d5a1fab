//! From ops to the methods that lower them.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Effects, FlagSet, Inst, Num, Op, Type, VecBin, Width};

use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;
use crate::shift::Shift;

impl Lowering<'_> {
    /// Writes the code of `inst`. Ops that are not named are evaluated by the runtime.
    pub(crate) fn inst(&mut self, inst: &Inst) {
        let (dst, op) = (inst.value, inst.op);
        match op {
            Op::Insn { pc, .. } => self.pc = pc,
            Op::GetGpr { reg, w } => self.get_gpr(dst, reg, w),
            Op::SetGpr { reg, w, v } => self.set_gpr(reg, w, v),
            Op::GetGprHigh { reg } => self.get_gpr_high(dst, reg),
            Op::SetGprHigh { reg, v } => self.set_gpr_high(reg, v),
            // A note that the plan has taken.
            Op::SetFlags { .. } => {}
            Op::GetSegmentBase { seg } => {
                let d = self.result(dst);
                self.asm.i(LD, d, STATE, segment_base_offset(seg));
                self.done(dst, UpperBits::BOTH);
            }
            Op::GetSelector { seg } => {
                let d = self.result(dst);
                self.asm.i(LHU, d, STATE, selector_offset(seg));
                self.done(dst, UpperBits::ZERO);
            }
            Op::GetVec { reg: Num(n), .. } => self.get_vec(dst, n),
            Op::SetVec { reg: Num(n), ty, upper, v } => self.set_vec(n, ty, upper, v),

            Op::Add { w, a, b } => self.add(dst, w, a, b),
            Op::Sub { w, a, b } => self.sub(dst, w, a, b),
            Op::Adc { w, a, b, f } => self.with_carry(dst, w, (a, b, f), FlagSet::CF, false),
            Op::Sbb { w, a, b, f } => self.with_carry(dst, w, (a, b, f), FlagSet::CF, true),
            Op::Ado { w, a, b, f } => self.with_carry(dst, w, (a, b, f), FlagSet::OF, false),
            Op::And { a, b, .. } => self.bitwise(dst, (AND, ANDI), a, b),
            Op::Or { a, b, .. } => self.bitwise(dst, (OR, ORI), a, b),
            Op::Xor { a, b, .. } => self.bitwise(dst, (XOR, XORI), a, b),
            Op::Not { a, .. } => self.not(dst, a),
            Op::Mul { w, a, b } => self.mul(dst, w, a, b),
            Op::MulHighU { w, a, b } => self.mul_high(dst, false, w, a, b),
            Op::MulHighS { w, a, b } => self.mul_high(dst, true, w, a, b),
            Op::DivU { .. } | Op::DivS { .. } => self.divide(dst, op, false),
            Op::RemU { .. } | Op::RemS { .. } => self.divide(dst, op, true),
            Op::Shl { w, a, n } => self.shift(dst, Shift::Left, w, a, n),
            Op::Shr { w, a, n } => self.shift(dst, Shift::Logical, w, a, n),
            Op::Sar { w, a, n } => self.shift(dst, Shift::Arithmetic, w, a, n),
            Op::Rotl { w, a, n } => self.rotate(dst, true, w, a, n),
            Op::Rotr { w, a, n } => self.rotate(dst, false, w, a, n),
            Op::Shld { w, a, b, n } => self.double_shift(dst, op, true, w, a, b, n),
            Op::Shrd { w, a, b, n } => self.double_shift(dst, op, false, w, a, b, n),
            Op::BitScanForward { w, a, zero } => self.bit_scan(dst, op, w, a, zero, false),
            Op::BitScanReverse { w, a, zero } => self.bit_scan(dst, op, w, a, zero, true),
            Op::CountLeadingZeros { w, a } => self.count_zeros(dst, op, w, a, true),
            Op::CountTrailingZeros { w, a } => self.count_zeros(dst, op, w, a, false),
            Op::CountOnes { w, a } => self.count_ones(dst, op, w, a),
            Op::ByteSwap { w, a } => self.byte_swap(dst, op, w, a),
            Op::ExtendZero { from, v, .. } => self.extend_zero(dst, from, v),
            Op::ExtendSign { from, v, .. } => self.extend_sign(dst, from, v),
            Op::Select { c, a, b, .. } => self.select(dst, c, a, b),
            Op::Compare { op, w, a, b } => {
                let test = self.compare(op, w, a, b);
                self.truth_value(dst, test);
            }
            Op::Condition { .. } => {
                let test = self.test_of(op);
                self.truth_value(dst, test);
            }
            Op::FlagsToInt { f } => self.flags_to_int(dst, f),
            Op::FpArith { op: kind, ty, a, b } => self.fp_arith(dst, op, kind, ty, a, b),
            Op::FpSqrt { ty, a } => self.fp_sqrt(dst, op, ty, a),
            Op::FpConvert { from, to, v } => self.fp_convert(dst, op, from, to, v),
            Op::IntToFp { w, ty, v } => self.int_to_fp(dst, w, ty, v),
            Op::FpToInt { ty, w, round, v } => self.fp_to_int(dst, op, ty, w, round, v),
            Op::FpCompareMask { ty, predicate, a, b } => self.fp_compare_mask(dst, op, ty, predicate, a, b),
            Op::FpCompareFlags { ty, a, b, .. } => self.fp_compare_flags(dst, op, ty, a, b),
            Op::VecBinary { op: VecBin::Pand, ty, a, b } if !self.is_vector(ty) => {
                self.vec_bitwise(dst, ty, AND, false, a, b)
            }
            Op::VecBinary { op: VecBin::Pandn, ty, a, b } if !self.is_vector(ty) => {
                self.vec_bitwise(dst, ty, AND, true, a, b)
            }
            Op::VecBinary { op: VecBin::Por, ty, a, b } if !self.is_vector(ty) => {
                self.vec_bitwise(dst, ty, OR, false, a, b)
            }
            Op::VecBinary { op: VecBin::Pxor, ty, a, b } if !self.is_vector(ty) => {
                self.vec_bitwise(dst, ty, XOR, false, a, b)
            }
            Op::VecBinary { ty, .. }
            | Op::VecUnary { ty, .. }
            | Op::VecShiftBy { ty, .. }
            | Op::VecShiftImm { ty, .. }
            | Op::VecShuffleImm { ty, .. }
            | Op::VecCompare { ty, .. }
            | Op::VecMask { ty, .. }
            | Op::VecExtract { ty, .. }
            | Op::VecInsert { ty, .. }
                if ty == Type::V128 =>
            {
                if self.has_vectors() {
                    self.packed(dst, op)
                } else {
                    self.lanes(dst, op)
                }
            }
            Op::VecConst { ty, bit } => self.vec_const(dst, ty, bit.0),
            Op::VecZeroExtend { from, ty, v } => self.vec_zero_extend(dst, from, ty, v),
            Op::VecMergeLow { ty, a, low } => self.vec_merge_low(dst, ty, a, low),
            Op::VecHalf { ty, high, a } => self.vec_half(dst, ty, high.0, a),
            Op::VecJoin { ty, low, high } => self.vec_join(dst, ty, low, high),
            Op::Bitcast { from, to, v } => self.bitcast(dst, op, from, to, v),

            Op::Lea { w, at } => self.lea(dst, w, at),
            Op::Load { ty, at, .. } => self.load(dst, op, ty, &at),
            Op::Store { ty, at, v, .. } => self.store(op, ty, &at, v),
            Op::AtomicRmw { op: kind, w, at, v } => self.atomic_rmw(dst, op, kind, w, &at, v),
            Op::AtomicCas { w, at, expected, new } => self.atomic_cas(dst, op, w, &at, expected, new),
            Op::FenceOp { kind } => self.fence(kind),
            // `pause`, a hint among the fences.
            Op::Pause {} => self.asm.word(fence(1, 0)),
            Op::TrapIf { c, .. } => {
                let lazy = self.lazy();
                let test = self.test(c);
                let one = self.constant(1);
                let slow = self.out_of_line_in(op, vec![(one, Width::W8)], lazy);
                self.branch_if(test, slow.label);
                self.out_of_line_ends(slow, None);
            }
            Op::CheckCode { pc, w, expected } => {
                let lazy = self.lazy();
                let at = self.constant(pc.0 as i64);
                let t = self.temp();
                let load = match w {
                    Width::W8 => LB,
                    Width::W16 => LH,
                    Width::W32 => LW,
                    Width::W64 => LD,
                };
                self.may_fault(lazy);
                self.asm.i(load, t, at, 0);
                let n = self.scratch_constant(expected.0, w);
                let slow = self.out_of_line_in(op, Vec::new(), lazy);
                self.asm.branch(Branch::Ne, t, n, slow.label);
                self.out_of_line_ends(slow, None);
            }
            _ if op.effects().contains(Effects::x87) => self.x87(dst, op),
            Op::String { .. } if self.string(op) => {}
            _ => self.callout(dst, op),
        }
    }
}
