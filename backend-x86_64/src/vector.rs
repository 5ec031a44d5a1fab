//! Vector operations: two-operand SSE instructions. MMX values (V64) are computed in the low halves of SSE registers.

use hokku_ir::{FpRound, MaskOp, Type, Value, VecBin, VecShift, VecShuffle, VecUn, Width};

use crate::assign::slot_offset;
use crate::encode::{Mem, Opcode, Rm, Src};
use crate::float::VecDest;
use crate::lower::Lowering;

/// Prefix and opcode of a two-operand SSE or SSE2 instruction.
fn binary_code(op: VecBin) -> Option<(u8, u32)> {
    use VecBin::*;
    let integer = |code: u32| (0x66, 0x0f00 | code);
    Some(match op {
        PaddB => integer(0xfc),
        PaddW => integer(0xfd),
        PaddD => integer(0xfe),
        PaddQ => integer(0xd4),
        PaddsB => integer(0xec),
        PaddsW => integer(0xed),
        PaddusB => integer(0xdc),
        PaddusW => integer(0xdd),
        PsubB => integer(0xf8),
        PsubW => integer(0xf9),
        PsubD => integer(0xfa),
        PsubQ => integer(0xfb),
        PsubsB => integer(0xe8),
        PsubsW => integer(0xe9),
        PsubusB => integer(0xd8),
        PsubusW => integer(0xd9),
        PmullW => integer(0xd5),
        PmulhW => integer(0xe5),
        PmulhuW => integer(0xe4),
        PmuludQ => integer(0xf4),
        PmaddWd => integer(0xf5),
        PsadBw => integer(0xf6),
        PavgB => integer(0xe0),
        PavgW => integer(0xe3),
        PminuB => integer(0xda),
        PminsW => integer(0xea),
        PmaxuB => integer(0xde),
        PmaxsW => integer(0xee),
        PcmpeqB => integer(0x74),
        PcmpeqW => integer(0x75),
        PcmpeqD => integer(0x76),
        PcmpgtB => integer(0x64),
        PcmpgtW => integer(0x65),
        PcmpgtD => integer(0x66),
        Pand => integer(0xdb),
        Pandn => integer(0xdf),
        Por => integer(0xeb),
        Pxor => integer(0xef),
        PacksswB => integer(0x63),
        PackssdW => integer(0x6b),
        PackuswB => integer(0x67),
        PunpcklBw => integer(0x60),
        PunpcklWd => integer(0x61),
        PunpcklDq => integer(0x62),
        PunpcklQdq => integer(0x6c),
        PunpckhBw => integer(0x68),
        PunpckhWd => integer(0x69),
        PunpckhDq => integer(0x6a),
        PunpckhQdq => integer(0x6d),
        MovHlps => (0, 0x0f12),
        MovLhps => (0, 0x0f16),
        AddPs => (0, 0x0f58),
        AddPd => (0x66, 0x0f58),
        SubPs => (0, 0x0f5c),
        SubPd => (0x66, 0x0f5c),
        MulPs => (0, 0x0f59),
        MulPd => (0x66, 0x0f59),
        DivPs => (0, 0x0f5e),
        DivPd => (0x66, 0x0f5e),
        MinPs => (0, 0x0f5d),
        MinPd => (0x66, 0x0f5d),
        MaxPs => (0, 0x0f5f),
        MaxPd => (0x66, 0x0f5f),
        _ => return None,
    })
}

fn unary_code(op: VecUn) -> Option<(u8, u32)> {
    Some(match op {
        VecUn::SqrtPs => (0, 0x0f51),
        VecUn::SqrtPd => (0x66, 0x0f51),
        VecUn::RcpPs => (0, 0x0f53),
        VecUn::RsqrtPs => (0, 0x0f52),
        VecUn::RcpSs => (0xf3, 0x0f53),
        VecUn::RsqrtSs => (0xf3, 0x0f52),
        VecUn::CvtDq2Ps => (0, 0x0f5b),
        VecUn::CvtPs2Dq => (0x66, 0x0f5b),
        VecUn::CvttPs2Dq => (0xf3, 0x0f5b),
        VecUn::CvtDq2Pd => (0xf3, 0x0fe6),
        VecUn::CvtPd2Dq => (0xf2, 0x0fe6),
        VecUn::CvttPd2Dq => (0x66, 0x0fe6),
        VecUn::CvtPs2Pd => (0, 0x0f5a),
        VecUn::CvtPd2Ps => (0x66, 0x0f5a),
        _ => return None,
    })
}

/// Last opcode byte with a register count; last opcode byte and extension with an immediate one.
fn shift_code(op: VecShift) -> (Option<u32>, u32, u8) {
    match op {
        VecShift::PsllW => (Some(0x0ff1), 0x0f71, 6),
        VecShift::PsllD => (Some(0x0ff2), 0x0f72, 6),
        VecShift::PsllQ => (Some(0x0ff3), 0x0f73, 6),
        VecShift::PsrlW => (Some(0x0fd1), 0x0f71, 2),
        VecShift::PsrlD => (Some(0x0fd2), 0x0f72, 2),
        VecShift::PsrlQ => (Some(0x0fd3), 0x0f73, 2),
        VecShift::PsraW => (Some(0x0fe1), 0x0f71, 4),
        VecShift::PsraD => (Some(0x0fe2), 0x0f72, 4),
        VecShift::PsllDq => (None, 0x0f73, 7),
        VecShift::PsrlDq => (None, 0x0f73, 3),
    }
}

impl Lowering<'_> {
    fn by_callout(&mut self, v: Value) {
        let op = self.block.insts[self.cur as usize].op;
        self.callout(v, op);
    }

    pub(crate) fn vector_binary(&mut self, v: Value, op: VecBin, ty: Type, a: Value, b: Value) {
        let (Some((prefix, code)), true) = (binary_code(op), ty != Type::V256) else { return self.by_callout(v) };
        let code = Opcode::sse(prefix, code);
        if ty == Type::V128 && matches!(op, VecBin::MovHlps | VecBin::MovLhps) {
            // Their memory forms are other instructions.
            self.force(b);
            let b = self.vec_reg(b, ty);
            return self.vec_with(v, a, |l, d| l.asm.op(code, d, Rm::Reg(b), &[]), b);
        }
        if ty == Type::V64 {
            use VecBin::*;
            let low_form = match op {
                PunpckhBw => Some(PunpcklBw),
                PunpckhWd => Some(PunpcklWd),
                PunpckhDq => Some(PunpcklDq),
                _ => None,
            };
            if let Some((prefix, code)) = low_form.and_then(binary_code) {
                let b = self.vec_reg(b, ty);
                return self.vec_with(
                    v,
                    a,
                    |l, d| {
                        l.asm.op(Opcode::sse(prefix, code), d, Rm::Reg(b), &[]);
                        l.asm.op(Opcode::sse(0x66, 0x0f73), 3, Rm::Reg(d), &[8]);
                    },
                    b,
                );
            }
            if matches!(op, PacksswB | PackssdW | PackuswB) {
                let b = self.vec_reg(b, ty);
                return self.vec_with(
                    v,
                    a,
                    |l, d| {
                        l.asm.op(Opcode::sse(0x66, 0x0f6c), d, Rm::Reg(b), &[]);
                        l.asm.op(code, d, Rm::Reg(d), &[]);
                    },
                    b,
                );
            }
        }
        self.vec_two(v, code, (a, ty), (b, ty), op.is_float(), &[]);
    }

    /// Copies `a` into the destination, runs `f` on that; `other` is a register that `f` reads (or that of `a`). Consumes the op's operands.
    fn vec_with(&mut self, v: Value, a: Value, f: impl FnOnce(&mut Self, u8), other: u8) {
        let ty = self.val(a).ty;
        let a = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        let goal = self.vec_dest(v, Some(a));
        let mut d = goal;
        let result = self.vals[v.0 as usize].ty;
        if (d.reg == other && a != d.reg) || (d.home.is_some() && result != Type::V128) {
            d = VecDest { reg: self.vec_scratch(a), home: None };
        }
        let other_is_a = other == a;
        if d.reg == other && !other_is_a {
            d = VecDest { reg: self.vec_scratch(a), home: None };
        }
        self.vec_copy_from(d.reg, Rm::Reg(a), Type::V128);
        f(self, d.reg);
        self.finish_vec(v, result, d, goal);
    }

    pub(crate) fn vector_unary(&mut self, v: Value, op: VecUn, ty: Type, a: Value) {
        let (Some((prefix, code)), Type::V128) = (unary_code(op), ty) else { return self.by_callout(v) };
        let code = Opcode::sse(prefix, code);
        let traps = op.is_float();
        if matches!(op, VecUn::RcpSs | VecUn::RsqrtSs) {
            let s = self.vec_reg(a, ty);
            return self.vec_with(v, a, |l, d| l.asm.op(code, d, Rm::Reg(s), &[]), s);
        }
        if matches!(op, VecUn::CvtDq2Pd | VecUn::CvtPs2Pd) {
            // These read eight bytes only.
            self.force(a);
        }
        self.vec_one(v, code, (a, ty), traps, &[]);
    }

    /// `cvtpi2ps` and `cvtpi2pd`.
    pub(crate) fn vector_from_ints(&mut self, v: Value, to: Type, a: Value) {
        let s = self.vec_reg(a, Type::V64);
        self.consume_inst(self.cur);
        let t = self.vec_temp();
        if to == Type::V128 {
            self.asm.op(Opcode::sse(0xf3, 0x0fe6), t, Rm::Reg(s), &[]);
        } else {
            self.zero_extend_vec(t, s, Type::V64);
            self.may_trap();
            self.asm.op(Opcode::of(0x0f5b), t, Rm::Reg(t), &[]);
        }
        self.define_vec_temp(v, t);
    }

    /// `cvtps2pi`, `cvtpd2pi` and the truncating ones.
    pub(crate) fn vector_to_ints(&mut self, v: Value, from: Type, round: FpRound, a: Value) {
        let s = self.vec_reg(a, from);
        self.consume_inst(self.cur);
        let t = self.vec_temp();
        let truncate = round == FpRound::Truncate;
        if from == Type::V128 {
            self.may_trap();
            self.asm.op(Opcode::sse(if truncate { 0x66 } else { 0xf2 }, 0x0fe6), t, Rm::Reg(s), &[]);
        } else {
            self.zero_extend_vec(t, s, Type::V64);
            self.may_trap();
            self.asm.op(Opcode::sse(if truncate { 0xf3 } else { 0x66 }, 0x0f5b), t, Rm::Reg(t), &[]);
        }
        self.define_vec_temp(v, t);
    }

    pub(crate) fn vector_shift(&mut self, v: Value, op: VecShift, ty: Type, a: Value, n: Value) {
        let (Some(code), true) = (shift_code(op).0, ty != Type::V256) else { return self.by_callout(v) };
        let count_ty = self.val(n).ty;
        self.force(n);
        let n = self.vec_reg(n, count_ty);
        self.vec_with(v, a, |l, d| l.asm.op(Opcode::sse(0x66, code), d, Rm::Reg(n), &[]), n);
    }

    pub(crate) fn vector_shift_imm(&mut self, v: Value, op: VecShift, ty: Type, a: Value, n: u8) {
        if ty == Type::V256 {
            return self.by_callout(v);
        }
        let (_, code, ext) = shift_code(op);
        let r = self.vec_reg(a, ty);
        self.vec_with(v, a, |l, d| l.asm.op(Opcode::sse(0x66, code), ext, Rm::Reg(d), &[n]), r);
    }

    pub(crate) fn vector_shuffle(&mut self, v: Value, op: VecShuffle, ty: Type, a: Value, b: Value, imm: u8) {
        if ty == Type::V256 {
            return self.by_callout(v);
        }
        let prefix = match op {
            VecShuffle::PshufD | VecShuffle::ShufPd => 0x66,
            VecShuffle::PshufLw | VecShuffle::PshufW => 0xf2,
            VecShuffle::PshufHw => 0xf3,
            VecShuffle::ShufPs => 0,
            _ => return self.by_callout(v),
        };
        if matches!(op, VecShuffle::ShufPs | VecShuffle::ShufPd) {
            return self.vec_two(v, Opcode::sse(prefix, 0x0fc6), (a, ty), (b, ty), false, &[imm]);
        }
        // The first operand has no part in these.
        self.force(a);
        self.vec_one(v, Opcode::sse(prefix, 0x0f70), (b, ty), false, &[imm]);
    }

    pub(crate) fn vector_compare(&mut self, v: Value, lane: Type, predicate: u8, ty: Type, a: Value, b: Value) {
        if ty != Type::V128 || predicate > 7 {
            return self.by_callout(v);
        }
        let prefix = if lane == Type::F32 { 0 } else { 0x66 };
        self.vec_two(v, Opcode::sse(prefix, 0x0fc2), (a, ty), (b, ty), true, &[predicate]);
    }

    pub(crate) fn vector_mask(&mut self, v: Value, op: MaskOp, ty: Type, a: Value) {
        if ty == Type::V256 {
            return self.by_callout(v);
        }
        let code = match op {
            MaskOp::Pmovmskb => Opcode::sse(0x66, 0x0fd7),
            MaskOp::MovmskPs => Opcode::of(0x0f50),
            MaskOp::MovmskPd => Opcode::sse(0x66, 0x0f50),
        };
        let r = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        let d = self.dest(v, None);
        self.asm.op(code, d.reg, Rm::Reg(r), &[]);
        if ty == Type::V64 {
            self.asm.movzx(Width::W8, d.reg, Rm::Reg(d.reg));
        }
        self.define(v, d);
    }

    pub(crate) fn vector_extract(&mut self, v: Value, w: Width, ty: Type, a: Value, lane: u8) {
        if ty == Type::V256 {
            return self.by_callout(v);
        }
        let r = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        let d = self.dest(v, None);
        if w == Width::W16 {
            self.asm.op(Opcode::sse(0x66, 0x0fc5), d.reg, Rm::Reg(r), &[lane]);
        } else {
            let from = if lane == 0 {
                r
            } else {
                let t = self.vec_temp();
                self.vec_copy_from(t, Rm::Reg(r), Type::V128);
                self.asm.op(Opcode::sse(0x66, 0x0f73), 3, Rm::Reg(t), &[lane * w.bytes() as u8]);
                t
            };
            self.asm.op(Opcode::sse(0x66, 0x0f7e).wide(w == Width::W64), from, d.reg, &[]);
            if w == Width::W8 {
                self.asm.movzx(w, d.reg, Rm::Reg(d.reg));
            }
        }
        self.define(v, d);
    }

    pub(crate) fn vector_insert(&mut self, v: Value, w: Width, ty: Type, a: Value, lane: u8, i: Value) {
        if ty == Type::V256 || w == Width::W8 {
            return self.by_callout(v);
        }
        self.force(i);
        let wide = if w == Width::W64 { Width::W64 } else { Width::W32 };
        let s = self.src(i, wide);
        let slot = self.take_slot(1);
        let word = Mem::state(slot_offset(slot));
        let r = match s {
            Src::Reg(r) => r,
            s => self.copy_src(s, wide),
        };
        if w != Width::W16 {
            self.asm.mov(wide, word, r);
        }
        let own = self.vec_reg(a, ty);
        self.vec_with(
            v,
            a,
            |l, d| match (w, lane) {
                (Width::W16, _) => l.asm.op(Opcode::sse(0x66, 0x0fc4), d, Rm::Reg(r), &[lane]),
                (Width::W64, 0) => l.asm.op(Opcode::sse(0x66, 0x0f12), d, word, &[]),
                (Width::W64, _) => l.asm.op(Opcode::sse(0x66, 0x0f16), d, word, &[]),
                _ => {
                    for part in 0..2 {
                        l.asm.op(Opcode::sse(0x66, 0x0fc4), d, word.plus(2 * i32::from(part)), &[2 * lane + part]);
                    }
                }
            },
            own,
        );
        self.freed_slots.push((slot, 1));
    }

    pub(crate) fn vector_half(&mut self, v: Value, high: bool, a: Value) {
        let r = self.vec_reg(a, Type::V128);
        self.consume_inst(self.cur);
        let t = self.vec_temp();
        if high {
            self.asm.op(Opcode::sse(0x66, 0x0f70), t, Rm::Reg(r), &[0xee]);
        } else {
            self.vec_copy_from(t, Rm::Reg(r), Type::V128);
        }
        self.define_vec_temp(v, t);
    }

    pub(crate) fn vector_join(&mut self, v: Value, low: Value, high: Value) {
        let h = self.vec_reg(high, Type::V64);
        self.vec_with(v, low, |l, d| l.asm.op(Opcode::sse(0x66, 0x0f6c), d, Rm::Reg(h), &[]), h);
    }

    pub(crate) fn vector_const(&mut self, v: Value, ty: Type, bit: bool) {
        if ty == Type::V256 {
            return self.by_callout(v);
        }
        let mut d = self.vec_dest(v, None);
        let goal = d;
        if ty != Type::V128 && d.home.is_some() {
            d = VecDest { reg: self.vec_temp(), home: None };
        }
        self.asm.op(Opcode::sse(0x66, if bit { 0x0f76 } else { 0x0fef }), d.reg, Rm::Reg(d.reg), &[]);
        self.finish_vec(v, ty, d, goal);
    }
}
