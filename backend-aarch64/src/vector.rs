//! Vectors: lanes, shuffles, tests; on 128 bits at a time.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{MaskOp, Type, Value, VecBin, VecImm, VecShift, VecShuffle, VecTer, VecTest, VecUn, Width};

use crate::Features;
use crate::asm::{Asm, Cc, Size};
use crate::assign::{SCRATCH, TARGET, ZERO};
use crate::float::Settling;
use crate::integer::{Logic, Shift, Sum};
use crate::lanes::{self, Regs};
use crate::lower::Lowering;
use crate::shuffles::half_immediate;
use crate::simd::{One, Permute, Same};

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

impl Lowering<'_> {
    /// `f`, which gives its destination, operands, and two registers that are free, on 128 bits of three operands; on each half of a V256. The
    /// destination may be an operand's register.
    fn by_halves(
        &mut self,
        dst: Value,
        ty: Type,
        operands: [Value; 3],
        f: impl Fn(&mut Asm, u8, u8, [u8; 3], [u8; 2]),
    ) {
        if ty != Type::V256 {
            let operands = operands.map(|v| self.vec_reg(v));
            let free = [self.vec_temp(), self.vec_temp()];
            let d = self.vec_dest(dst);
            return f(&mut self.asm, 0, d, operands, free);
        }
        self.pair_halves(dst, operands, f);
    }

    fn pair_halves(&mut self, dst: Value, operands: [Value; 3], f: impl Fn(&mut Asm, u8, u8, [u8; 3], [u8; 2])) {
        let d = [self.vec_temp(), self.vec_temp()];
        let free = [self.vec_temp(), self.vec_temp()];
        for half in 0..2 {
            let registers = self.operand_halves(operands, half);
            f(&mut self.asm, half, d[usize::from(half)], registers, free);
        }
        self.own_pair(d[0], d[1], dst);
    }

    /// Registers with half `half` of three V256.
    fn operand_halves(&mut self, operands: [Value; 3], half: u8) -> [u8; 3] {
        let mut registers = [0; 3];
        for n in 0..3 {
            let first = operands.iter().position(|v| *v == operands[n]).unwrap_or(n);
            registers[n] = if first < n { registers[first] } else { self.half_reg(operands[n], half) };
        }
        registers
    }

    /// As [`Self::by_halves`] for operations on floats; the destination is no operand's register.
    pub(crate) fn float_halves(
        &mut self,
        dst: Value,
        ty: Type,
        operands: [Value; 3],
        f: impl Fn(&mut Asm, u8, [u8; 3], [u8; 2]),
    ) {
        self.float_halves_from(dst, ty, operands, Settling::default(), f);
    }

    /// As [`Self::float_halves`], with what [`Self::settle_from`] wants to know.
    pub(crate) fn float_halves_from(
        &mut self,
        dst: Value,
        ty: Type,
        operands: [Value; 3],
        settling: Settling,
        f: impl Fn(&mut Asm, u8, [u8; 3], [u8; 2]),
    ) {
        if ty == Type::V256 {
            self.pair_halves(dst, operands, |asm, _, d, operands, free| f(asm, d, operands, free));
        } else {
            let operands = operands.map(|v| self.vec_reg(v));
            let free = [self.vec_temp(), self.vec_temp()];
            let d = self.packed_dest(dst, &operands[..settling.late], settling.doubts);
            f(&mut self.asm, d, operands, free);
        }
        self.settle_from(dst, settling);
    }

    /// `vec_binary`. False where the runtime must do it.
    pub(crate) fn vector_binary(&mut self, dst: Value, op: VecBin, ty: Type, a: Value, b: Value) -> bool {
        if op.is_float() {
            return self.packed_arith(dst, op, ty, a, b);
        }
        if ty == Type::V64 {
            // Lanes of 64 bits are too wide for half a register.
            let Some((same, log2, exchanged)) = lanes::one_instruction(op).filter(|i| i.1 < 3) else { return false };
            let (ra, rb) = (self.vec_reg(a), self.vec_reg(b));
            let (n, m) = if exchanged { (rb, ra) } else { (ra, rb) };
            let d = self.vec_dest(dst);
            self.asm.same(same, false, log2, d, n, m);
            return true;
        }
        if op == VecBin::Pxor && a == b && ty == Type::V128 && self.is_attempt() {
            self.vectors.be_zero(dst);
            return true;
        }
        if !lanes::binary_is_native(op, self.features) {
            return false;
        }
        self.by_halves(dst, ty, [a, b, b], |asm, _, d, [a, b, _], [t, u]| {
            asm.vector_binary(op, Regs { d, a, b, t, u });
        });
        true
    }

    /// `vec_unary`. False where the runtime must do it.
    pub(crate) fn vector_unary(&mut self, dst: Value, op: VecUn, ty: Type, a: Value) -> bool {
        if ty == Type::V64 || !lanes::unary_is_native(op, self.features) {
            return self.packed_convert(dst, op, ty, a);
        }
        let widens = lanes::widening(op).filter(|_| ty == Type::V256);
        let Some((_, from, to)) = widens else {
            self.by_halves(dst, ty, [a, a, a], |asm, _, d, [a, _, _], _| asm.vector_unary(op, d, a));
            return true;
        };
        let ra = self.vec_reg(a);
        let (low, high) = (self.vec_temp(), self.vec_temp());
        self.asm.vector_unary(op, low, ra);
        self.asm.extract_bytes(high, ra, ra, 16 >> (to - from));
        self.asm.vector_unary(op, high, high);
        self.own_pair(low, high, dst);
        true
    }

    /// `vec_ternary`. False where the runtime must do it.
    pub(crate) fn vector_ternary(&mut self, dst: Value, op: VecTer, ty: Type, abc: [Value; 3]) -> bool {
        let log2 = match op {
            VecTer::BlendvB => 0,
            VecTer::BlendvPs => 2,
            VecTer::BlendvPd => 3,
            VecTer::Sha256Rnds2 => return false,
        };
        self.by_halves(dst, ty, abc, |asm, _, d, [a, b, c], [t, _]| {
            asm.one(One::CMLT, true, log2, t, c);
            asm.same(Same::EOR, true, 1, t, b, a);
            asm.vec_mov(d, t);
        });
        true
    }

    /// `vec_imm`. False where the runtime must do it.
    pub(crate) fn vector_imm(&mut self, dst: Value, op: VecImm, ty: Type, a: Value, b: Value, imm: u8) -> bool {
        if op != VecImm::PclmulQdq || ty != Type::V128 || !self.features.contains(Features::PMULL) {
            return false;
        }
        self.by_halves(dst, ty, [a, b, b], |asm, _, d, [a, b, _], [t, _]| {
            let (high_a, high_b) = (imm & 1 != 0, imm & 16 != 0);
            if high_a == high_b {
                asm.carryless(high_a, d, a, b);
            } else {
                asm.broadcast_lane(3, t, b, u8::from(high_b));
                asm.carryless(high_a, d, a, t);
            }
        });
        true
    }

    /// `vec_shift_imm`. False where the runtime must do it.
    pub(crate) fn vector_shift(&mut self, dst: Value, op: VecShift, ty: Type, a: Value, n: u8) -> bool {
        if ty == Type::V64 {
            return false;
        }
        self.by_halves(dst, ty, [a, a, a], |asm, _, d, [a, _, _], [t, _]| {
            asm.vector_shift_by(op, d, a, n.into(), t);
        });
        true
    }

    /// `vec_shift`. False where the runtime must do it.
    pub(crate) fn vector_shift_by_value(&mut self, dst: Value, op: VecShift, ty: Type, a: Value, n: Value) -> bool {
        if ty == Type::V64 || matches!(op, VecShift::PsllDq | VecShift::PsrlDq) {
            return false;
        }
        let bits = lanes::lane_bits(op);
        let rn = self.vec_reg(n);
        let count = self.vec_temp();
        self.asm.lane_to_gpr(3, SCRATCH, rn, 0);
        self.asm.constant(TARGET, bits.into());
        self.asm.add(Sum::Subs, Size::X, ZERO, SCRATCH, TARGET);
        self.compared = None;
        self.asm.csel(Size::X, SCRATCH, SCRATCH, TARGET, Cc::Lo);
        let log2 = (bits / 8).trailing_zeros() as u8;
        self.asm.broadcast_gpr(log2, count, SCRATCH);
        if !matches!(op, VecShift::PsllW | VecShift::PsllD | VecShift::PsllQ) {
            self.asm.one(One::NEG, true, log2, count, count);
        }
        let signed = matches!(op, VecShift::PsraW | VecShift::PsraD);
        self.by_halves(dst, ty, [a, a, a], |asm, _, d, [a, _, _], _| {
            asm.same(if signed { Same::SSHL } else { Same::USHL }, true, log2, d, a, count);
        });
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
        match op {
            _ if ty == Type::V64 => return false,
            VecShuffle::Perm2F128 => self.permute_halves(dst, a, b, imm),
            VecShuffle::PermQ => self.permute_quarters(dst, b, imm),
            _ => self.by_halves(dst, ty, [a, b, b], |asm, half, d, [a, b, _], [t, u]| {
                asm.vector_shuffle(op, Regs { d, a, b, t, u }, half_immediate(op, imm, half));
            }),
        }
        true
    }

    fn permute_halves(&mut self, dst: Value, a: Value, b: Value, imm: u8) {
        let d = [self.vec_temp(), self.vec_temp()];
        for half in 0..2 {
            let control = imm >> (4 * half);
            let d = d[half];
            match control & 8 {
                0 => self.load_half(d, if control & 2 == 0 { a } else { b }, control & 1),
                _ => self.asm.vec_fill(d, false),
            }
        }
        self.own_pair(d[0], d[1], dst);
    }

    fn permute_quarters(&mut self, dst: Value, b: Value, imm: u8) {
        let from = [self.half_reg(b, 0), self.half_reg(b, 1)];
        let d = [self.vec_temp(), self.vec_temp()];
        for n in 0..4u8 {
            let lane = imm >> (2 * n) & 3;
            self.asm.vec_insert(3, d[usize::from(n >> 1)], n & 1, from[usize::from(lane >> 1)], lane & 1);
        }
        self.own_pair(d[0], d[1], dst);
    }

    /// `vec_test_flags`: flags at their EFLAGS places. False where the runtime must do it.
    pub(crate) fn vector_test(&mut self, dst: Value, op: VecTest, ty: Type, a: Value, b: Value) -> bool {
        let [both, only_b] = [self.vec_temp(), self.vec_temp()];
        let halves = if ty == Type::V256 { 2 } else { 1 };
        for half in 0..halves {
            let (ra, rb) = match ty {
                Type::V256 => (self.half_reg(a, half), self.half_reg(b, half)),
                _ => (self.vec_reg(a), self.vec_reg(b)),
            };
            if half == 0 {
                self.asm.same(Same::LOGIC, true, 0, both, ra, rb);
                self.asm.same(Same::LOGIC, true, 1, only_b, rb, ra);
            } else {
                let t = self.vec_temp();
                self.asm.same(Same::LOGIC, true, 0, t, ra, rb);
                self.asm.same(Same::LOGIC, true, 2, both, both, t);
                self.asm.same(Same::LOGIC, true, 1, t, rb, ra);
                self.asm.same(Same::LOGIC, true, 2, only_b, only_b, t);
            }
        }
        let d = self.dest(dst);
        for r in [both, only_b] {
            match op {
                VecTest::Ptest => {}
                VecTest::VtestPs => self.asm.one(One::CMLT, true, 2, r, r),
                VecTest::VtestPd => self.asm.one(One::CMLT, true, 3, r, r),
            }
        }
        // Both halves of each word to a doubleword, then to one bit.
        self.asm.greatest_pairs(both, both, only_b);
        self.asm.lane_to_gpr(3, SCRATCH, both, 0);
        self.asm.lane_to_gpr(3, TARGET, both, 1);
        self.asm.add(Sum::Subs, Size::X, ZERO, SCRATCH, ZERO);
        self.asm.cset(SCRATCH, Cc::Eq);
        self.asm.add(Sum::Subs, Size::X, ZERO, TARGET, ZERO);
        self.asm.cset(d, Cc::Eq);
        self.compared = None;
        self.asm.logic_shifted(Logic::Orr, Size::W, d, d, SCRATCH, Shift::Lsl, 6);
        self.define(dst, UpperBits::ZERO);
        true
    }

    /// `vec_mask`. False where the runtime must do it.
    pub(crate) fn vector_mask(&mut self, dst: Value, op: MaskOp, ty: Type, a: Value) -> bool {
        if ty == Type::V64 {
            return false;
        }
        let t = self.vec_temp();
        if ty == Type::V256 {
            let d = self.dest(dst);
            let low = self.half_reg(a, 0);
            let width = self.half_mask(op, low, t, d);
            let high = self.half_reg(a, 1);
            self.half_mask(op, high, t, TARGET);
            self.asm.logic_shifted(Logic::Orr, Size::W, d, d, TARGET, Shift::Lsl, width);
        } else {
            let ra = self.vec_reg(a);
            let d = self.dest(dst);
            if op == MaskOp::Pmovmskb && self.is_tested_for_zero(dst) {
                self.mask_if_any(a, ra, t, d);
            } else {
                self.half_mask(op, ra, t, d);
            }
        }
        self.define(dst, UpperBits::ZERO);
        true
    }

    /// Whether the block looks whether `v` is zero.
    fn is_tested_for_zero(&self, v: Value) -> bool {
        self.block.insts.iter().any(|i| matches!(i.op, hokku_ir::Op::LogicFlags { v: of, .. } if of == v))
    }

    /// `d` = the mask of the bytes `a` in `ra`; where it is zero that is found out first.
    fn mask_if_any(&mut self, a: Value, ra: u8, t: u8, d: u8) {
        use hokku_ir::VecBin::{PcmpeqB, PcmpeqD, PcmpeqW};
        let is_whole = |op| matches!(op, hokku_ir::Op::VecBinary { op: PcmpeqB | PcmpeqW | PcmpeqD, .. });
        let mut bytes = ra;
        if !is_whole(self.plan.info(self.vectors.root(a)).op) {
            self.asm.one(One::CMLT, true, 0, t, ra);
            bytes = t;
        }
        self.asm.narrow_by_four(t, bytes);
        self.asm.fp_to_gpr(3, d, t);
        let (any, done) = (self.asm.label(), self.asm.label());
        self.asm.cbnz(Size::X, d, any);
        self.outline(any, |l| {
            l.half_mask(MaskOp::Pmovmskb, ra, t, d);
            l.asm.b(done);
        });
        self.asm.bind(done);
    }

    /// The mask of the 128 bits in `ra`; gives how many bits it has.
    fn half_mask(&mut self, op: MaskOp, ra: u8, t: u8, d: u8) -> u8 {
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
        self.asm.lane_to_gpr(0, SCRATCH, t, 8);
        self.asm.lane_to_gpr(0, d, t, 0);
        self.asm.logic_shifted(Logic::Orr, Size::W, d, d, SCRATCH, Shift::Lsl, bits);
        2 * bits
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

    /// `vec_broadcast` to 128 bits.
    pub(crate) fn vector_broadcast(&mut self, dst: Value, w: Width, a: Value) {
        let r = self.vec_reg(a);
        let d = self.vec_dest(dst);
        self.asm.broadcast_lane(w as u8, d, r, 0);
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
