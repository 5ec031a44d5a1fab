//! Operations on vectors: the host's own instructions. MMX values (V64) are computed in the low halves of SSE registers.

use hokku_ir::{FpRound, MaskOp, Type, Value, VecBin, VecImm, VecShift, VecShuffle, VecTest, VecUn, Width};

use crate::Features;
use crate::assign::slot_offset;
use crate::encode::{Mem, Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::vector_code::{binary_code, imm_code, shift_code, shuffle_code, unary_code};
use crate::vector_forms::VecCode;
use crate::vector_values::{Form, VecDest};

impl Lowering<'_> {
    pub(crate) fn vector_binary(&mut self, v: Value, op: VecBin, ty: Type, a: Value, b: Value) {
        use VecBin::*;
        let code = binary_code(op);
        match (ty, op) {
            // Lanes come from within 64 bits.
            (Type::V64, PshufB | PhaddW | PhaddD | PhaddsW | PhsubW | PhsubD | PhsubsW) => self.rest(v),
            // Its indices are the first operand.
            (_, PermD) => self.vec_two(v, code, (b, ty), (a, ty), false, &[]),
            // Their memory forms are other instructions.
            (Type::V128, MovHlps | MovLhps) => {
                self.force(b);
                let b = self.vec_reg(b, ty);
                self.vec_with(v, a, |l, form, d, a| l.emit_vec(form, code.op, false, d, a, b, &[]), b);
            }
            (Type::V64, PunpckhBw | PunpckhWd | PunpckhDq) => {
                let low = Opcode { code: code.op.code - 8, ..code.op };
                let b = self.vec_reg(b, ty);
                let compute = |l: &mut Self, form, d, a| {
                    l.emit_vec(form, low, false, d, a, b, &[]);
                    l.emit_shift(form, (0x0f73, 3), false, d, d, 8);
                };
                self.vec_with(v, a, compute, b);
            }
            (Type::V64, PacksswB | PackssdW | PackuswB) => {
                let b = self.vec_reg(b, ty);
                let compute = |l: &mut Self, form, d, a| {
                    l.emit_vec(form, Opcode::sse(0x66, 0x0f6c), false, d, a, b, &[]);
                    l.emit_vec(form, code.op, false, d, d, d, &[]);
                };
                self.vec_with(v, a, compute, b);
            }
            _ => self.vec_two(v, code, (a, ty), (b, ty), op.is_float(), &[]),
        }
    }

    pub(crate) fn vector_unary(&mut self, v: Value, op: VecUn, ty: Type, a: Value) {
        let code = unary_code(op);
        let operand = op.operand_type(ty);
        if matches!(op, VecUn::RcpSs | VecUn::RsqrtSs) {
            let s = self.vec_reg(a, ty);
            return self.vec_with(v, a, |l, form, d, a| l.emit_vec(form, code.op, false, d, a, s, &[]), s);
        }
        if op.widens() && operand_bytes(op, ty) != 16 {
            let form = self.vec_form(v);
            if code.runs(self.features, form, ty)
                && let Some(m) = self.extended_load(a, operand_bytes(op, ty))
            {
                self.consume_inst(self.cur);
                let d = self.vec_dest(v, None);
                if op.is_float() {
                    self.may_trap();
                }
                self.vec_one_code(form, code.op, ty == Type::V256, d.reg, 0, m, &[]);
                return self.define_vec(v, d);
            }
            // A load of 16 bytes is no operand of what reads fewer.
            self.force(a);
        }
        self.vec_one(v, code, (a, operand), op.is_float(), &[]);
    }

    /// `cvtpi2ps` and `cvtpi2pd`.
    pub(crate) fn vector_from_ints(&mut self, v: Value, to: Type, a: Value) {
        let s = self.vec_reg(a, Type::V64);
        self.consume_inst(self.cur);
        let t = self.vec_temp();
        let form = self.free_form();
        if to == Type::V128 {
            self.vec_one_code(form, Opcode::sse(0xf3, 0x0fe6), false, t, 0, s, &[]);
        } else {
            self.zero_extend_vec(form, t, s, Type::V64);
            self.may_trap();
            self.vec_one_code(form, Opcode::of(0x0f5b), false, t, 0, t, &[]);
        }
        self.define_vec_temp(v, t);
    }

    /// `cvtps2pi`, `cvtpd2pi` and the truncating ones.
    pub(crate) fn vector_to_ints(&mut self, v: Value, from: Type, round: FpRound, a: Value) {
        let s = self.vec_reg(a, from);
        self.consume_inst(self.cur);
        let t = self.vec_temp();
        let form = self.free_form();
        let truncate = round == FpRound::Truncate;
        if from == Type::V128 {
            self.may_trap();
            let code = Opcode::sse(if truncate { 0x66 } else { 0xf2 }, 0x0fe6);
            self.vec_one_code(form, code, false, t, 0, s, &[]);
        } else {
            self.zero_extend_vec(form, t, s, Type::V64);
            self.may_trap();
            let code = Opcode::sse(if truncate { 0xf3 } else { 0x66 }, 0x0f5b);
            self.vec_one_code(form, code, false, t, 0, t, &[]);
        }
        self.define_vec_temp(v, t);
    }

    pub(crate) fn vector_shift(&mut self, v: Value, op: VecShift, ty: Type, a: Value, n: Value) {
        let Some(code) = shift_code(op).0 else { return self.rest(v) };
        let count_ty = self.val(n).ty;
        if ty == Type::V256 && (!self.features.contains(Features::AVX2) || count_ty != Type::V128) {
            return self.rest(v);
        }
        self.force(n);
        let n = self.vec_reg(n, count_ty);
        let op = Opcode::sse(0x66, code);
        self.vec_with(v, a, |l, form, d, a| l.emit_vec(form, op, ty == Type::V256, d, a, n, &[]), n);
    }

    pub(crate) fn vector_shift_imm(&mut self, v: Value, op: VecShift, ty: Type, a: Value, n: u8) {
        if ty == Type::V256 && !self.features.contains(Features::AVX2) {
            return self.rest(v);
        }
        let (_, code) = shift_code(op);
        let r = self.vec_reg(a, ty);
        self.vec_with(v, a, |l, form, d, a| l.emit_shift(form, code, ty == Type::V256, d, a, n), r);
    }

    pub(crate) fn vector_shuffle(&mut self, v: Value, op: VecShuffle, ty: Type, a: Value, b: Value, imm: u8) {
        let (code, two) = shuffle_code(op);
        if ty == Type::V64 && op == VecShuffle::Palignr {
            return self.rest(v);
        }
        if op == VecShuffle::InsertPs {
            // Its memory form reads one lane.
            if !self.features.contains(Features::SSE41) {
                return self.rest(v);
            }
            let b = self.vec_reg(b, ty);
            return self.vec_with(v, a, |l, form, d, a| l.emit_vec(form, code.op, false, d, a, b, &[imm]), b);
        }
        self.by_immediate(v, code, two, ty, (a, b), imm);
    }

    pub(crate) fn vector_imm(&mut self, v: Value, op: VecImm, ty: Type, a: Value, b: Value, imm: u8) {
        let (code, two) = imm_code(op);
        self.by_immediate(v, code, two, ty, (a, b), imm);
    }

    /// `v` = `code` with an immediate on `a` and `b`, or on `b` alone.
    fn by_immediate(&mut self, v: Value, code: VecCode, two: bool, ty: Type, (a, b): (Value, Value), imm: u8) {
        if two {
            return self.vec_two(v, code, (a, ty), (b, ty), false, &[imm]);
        }
        self.force(a);
        self.vec_one(v, code, (b, ty), false, &[imm]);
    }

    pub(crate) fn vector_compare(&mut self, v: Value, lane: Type, predicate: u8, ty: Type, a: Value, b: Value) {
        let prefix = if lane == Type::F32 { 0 } else { 0x66 };
        self.vec_two(v, VecCode::compare(prefix, predicate), (a, ty), (b, ty), true, &[predicate]);
    }

    pub(crate) fn vector_mask(&mut self, v: Value, op: MaskOp, ty: Type, a: Value) {
        let code = match op {
            MaskOp::Pmovmskb => VecCode::int(0x0fd7),
            MaskOp::MovmskPs => VecCode::float(0, 0x0f50),
            MaskOp::MovmskPd => VecCode::float(0x66, 0x0f50),
        };
        let form = self.free_form();
        if !code.runs(self.features, form, ty) {
            return self.rest(v);
        }
        let r = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        let d = self.dest(v, None);
        self.vec_one_code(form, code.op, ty == Type::V256, d.reg, 0, r, &[]);
        if ty == Type::V64 {
            self.asm.movzx(Width::W8, d.reg, Rm::Reg(d.reg));
        }
        self.define(v, d);
    }

    pub(crate) fn vector_extract(&mut self, v: Value, w: Width, ty: Type, a: Value, lane: u8) {
        if ty == Type::V256 {
            return self.rest(v);
        }
        let r = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        let d = self.dest(v, None);
        let form = self.free_form();
        let wide = w == Width::W64;
        if w == Width::W16 {
            self.vec_one_code(form, Opcode::sse(0x66, 0x0fc5), false, d.reg, 0, r, &[lane]);
        } else if lane == 0 && w != Width::W8 {
            self.vec_one_code(form, Opcode::sse(0x66, 0x0f7e).wide(wide), false, r, 0, d.reg, &[]);
        } else if self.features.contains(Features::SSE41) {
            let code = if w == Width::W8 { 0x0f3a14 } else { 0x0f3a16 };
            self.vec_one_code(form, Opcode::sse(0x66, code).wide(wide), false, r, 0, d.reg, &[lane]);
        } else {
            let t = self.vec_temp();
            self.vec_copy_from(t, Rm::Reg(r), Type::V128);
            self.emit_shift(Form::Legacy, (0x0f73, 3), false, t, t, lane * w.bytes() as u8);
            self.asm.op(Opcode::sse(0x66, 0x0f7e).wide(wide), t, d.reg, &[]);
            if w == Width::W8 {
                self.asm.movzx(w, d.reg, Rm::Reg(d.reg));
            }
        }
        self.define(v, d);
    }

    pub(crate) fn vector_insert(&mut self, v: Value, w: Width, ty: Type, a: Value, lane: u8, i: Value) {
        let new = self.features.contains(Features::SSE41);
        if ty == Type::V256 || (w == Width::W8 && !new) {
            return self.rest(v);
        }
        self.force(i);
        let wide = if w == Width::W64 { Width::W64 } else { Width::W32 };
        let r = match self.src(i, wide) {
            Src::Reg(r) => r,
            s => self.copy_src(s, wide),
        };
        let own = self.vec_reg(a, ty);
        if w == Width::W16 || new {
            let code = match w {
                Width::W16 => 0x0fc4,
                Width::W8 => 0x0f3a20,
                _ => 0x0f3a22,
            };
            let op = Opcode::sse(0x66, code).wide(w == Width::W64);
            return self.vec_with(v, a, |l, form, d, a| l.emit_vec(form, op, false, d, a, r, &[lane]), own);
        }
        let slot = self.take_slot(1);
        let word = Mem::state(slot_offset(slot));
        self.asm.mov(wide, word, r);
        let compute = |l: &mut Self, _, d, _| match (w, lane) {
            (Width::W64, 0) => l.asm.op(Opcode::sse(0x66, 0x0f12), d, word, &[]),
            (Width::W64, _) => l.asm.op(Opcode::sse(0x66, 0x0f16), d, word, &[]),
            _ => {
                for part in 0..2 {
                    l.asm.op(Opcode::sse(0x66, 0x0fc4), d, word.plus(2 * i32::from(part)), &[2 * lane + part]);
                }
            }
        };
        self.vec_with(v, a, compute, own);
        self.freed_slots.push((slot, 1));
    }

    /// `roundps` or `roundpd`.
    pub(crate) fn vector_integral(&mut self, v: Value, lane: Type, mode: u8, ty: Type, a: Value) {
        let code = if lane == Type::F32 { 0x0f3a08 } else { 0x0f3a09 };
        self.vec_one(v, VecCode::float(0x66, code).since(Features::SSE41), (a, ty), true, &[mode]);
    }

    /// `dpps` or `dppd`.
    pub(crate) fn vector_dot(&mut self, v: Value, lane: Type, imm: u8, ty: Type, a: Value, b: Value) {
        let code = if lane == Type::F32 { 0x0f3a40 } else { 0x0f3a41 };
        self.vec_two(v, VecCode::float(0x66, code).since(Features::SSE41), (a, ty), (b, ty), true, &[imm]);
    }

    /// The host's flags are those of `ptest a, b` or kin. False where the host lacks it.
    pub(crate) fn test_vectors(&mut self, op: VecTest, ty: Type, a: Value, b: Value) -> bool {
        let code = match op {
            VecTest::Ptest => VecCode::float(0x66, 0x0f3817).since(Features::SSE41),
            VecTest::VtestPs => VecCode::vex_only(0x0f380e, Features::AVX),
            VecTest::VtestPd => VecCode::vex_only(0x0f380f, Features::AVX),
        };
        let form = self.free_form();
        if !code.runs(self.features, form, ty) {
            return false;
        }
        self.force(a);
        if form == Form::Vex && self.is_aligned_load(b) {
            self.force(b);
        }
        let a = self.vec_reg(a, ty);
        let b = self.vec_operand(b, ty, form);
        self.clobber_flags();
        self.vec_one_code(form, code.op, ty == Type::V256, a, 0, b, &[]);
        true
    }

    pub(crate) fn vector_const(&mut self, v: Value, ty: Type, bit: bool) {
        let code = if bit { VecCode::int(0x0f76) } else { VecCode::float(0, 0x0f57) };
        let goal = self.vec_dest(v, None);
        // Zeros of 128 bits are zeros of 256 in VEX.
        let long = ty == Type::V256 && bit;
        if !code.runs(self.features, goal.form, if long { ty } else { Type::V128 }) || (ty == Type::V256 && !self.avx())
        {
            return self.rest(v);
        }
        let mut d = goal;
        if !matches!(ty, Type::V128 | Type::V256) && d.home.is_some() {
            d = VecDest { reg: self.vec_temp(), home: None, form: goal.form };
        }
        self.vec_one_code(d.form, code.op, long, d.reg, d.reg, d.reg, &[]);
        self.finish_vec(v, ty, d, goal);
    }
}

/// Bytes that a widening operation to `ty` reads.
fn operand_bytes(op: VecUn, ty: Type) -> u32 {
    use VecUn::*;
    let ratio = match op {
        PmovsxBd | PmovsxWq | PmovzxBd | PmovzxWq => 4,
        PmovsxBq | PmovzxBq => 8,
        _ => 2,
    };
    ty.bytes() / ratio
}
