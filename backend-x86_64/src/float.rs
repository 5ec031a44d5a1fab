//! SSE scalars: the host's own instructions, in place in the guest's registers where these are two-operand instructions on them.

use hokku_ir::{FpOp, FpRound, Type, Value, Width};

use crate::Features;
use crate::assign::{RAX, RDX, slot_offset};
use crate::encode::{Mem, Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::vector_forms::VecCode;
use crate::vector_values::Form;

fn prefix(ty: Type) -> u8 {
    if ty == Type::F32 { 0xf3 } else { 0xf2 }
}

impl Lowering<'_> {
    // ---- Scalars

    pub(crate) fn scalar_arith(&mut self, v: Value, op: FpOp, ty: Type, a: Value, b: Value) {
        let code = match op {
            FpOp::Add => 0x0f58,
            FpOp::Mul => 0x0f59,
            FpOp::Sub => 0x0f5c,
            FpOp::Min => 0x0f5d,
            FpOp::Div => 0x0f5e,
            FpOp::Max => 0x0f5f,
        };
        self.vec_two(v, VecCode::float(prefix(ty), code), (a, ty), (b, ty), true, &[]);
    }

    pub(crate) fn scalar_sqrt(&mut self, v: Value, ty: Type, a: Value) {
        self.vec_one(v, VecCode::float(prefix(ty), 0x0f51), (a, ty), true, &[]);
    }

    /// `ucomis` or `comis`.
    pub(crate) fn scalar_compare(&mut self, v: Value, ty: Type, signalling: bool, a: Value, b: Value) {
        if self.is_deferred_load(b) {
            self.force(a);
        }
        let form = self.free_form();
        let a = self.vec_reg(a, ty);
        let sb = self.vec_operand(b, ty, form);
        self.consume_inst(self.cur);
        self.may_trap();
        self.clobber_flags();
        self.asm.may_fault_here();
        let p = if ty == Type::F32 { 0 } else { 0x66 };
        let code = Opcode::sse(p, if signalling { 0x0f2f } else { 0x0f2e });
        self.vec_one_code(form, code, false, a, 0, sb, &[]);
        self.flags_are(Some(v));
    }

    pub(crate) fn scalar_mask(&mut self, v: Value, ty: Type, predicate: u8, a: Value, b: Value) {
        self.vec_two(v, VecCode::compare(prefix(ty), predicate), (a, ty), (b, ty), true, &[predicate]);
    }

    pub(crate) fn scalar_to_int(&mut self, v: Value, ty: Type, w: Width, round: FpRound, a: Value) {
        let form = self.free_form();
        let s = self.vec_operand(a, ty, form);
        self.consume_inst(self.cur);
        let d = self.dest(v, None);
        let code = if round == FpRound::Truncate { 0x0f2c } else { 0x0f2d };
        self.may_trap();
        let code = Opcode::sse(prefix(ty), code).wide(w == Width::W64);
        self.vec_one_code(form, code, false, d.reg, 0, s, &[]);
        self.define(v, d);
    }

    pub(crate) fn int_to_scalar(&mut self, v: Value, w: Width, ty: Type, a: Value) {
        let s = self.src_rm(a, w);
        let merged = self.plan.values[v.0 as usize].merged.map(|n| self.upper_source(n));
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, None);
        self.may_trap();
        let code = Opcode::sse(prefix(ty), 0x0f2a).wide(w == Width::W64);
        self.vec_one_code(d.form, code, false, d.reg, merged.unwrap_or(d.reg), s, &[]);
        self.define_vec(v, d);
    }

    pub(crate) fn scalar_convert(&mut self, v: Value, from: Type, a: Value) {
        self.vec_one(v, VecCode::float(prefix(from), 0x0f5a), (a, from), true, &[]);
    }

    /// `roundss` or `roundsd`.
    pub(crate) fn scalar_integral(&mut self, v: Value, ty: Type, mode: u8, a: Value) {
        let code = if ty == Type::F32 { 0x0f3a0a } else { 0x0f3a0b };
        self.vec_one(v, VecCode::float(0x66, code).since(Features::SSE41), (a, ty), true, &[mode]);
    }

    /// The same bits in the other kind of register.
    pub(crate) fn cast_bits(&mut self, v: Value, from: Type, to: Type, a: Value) {
        match (from.width(), to.width()) {
            (Some(w), None) => {
                let s = self.src_rm(a, w);
                self.consume_inst(self.cur);
                let t = self.vec_temp();
                let form = self.free_form();
                self.vec_one_code(form, Opcode::sse(0x66, 0x0f6e).wide(w == Width::W64), false, t, 0, s, &[]);
                self.define_vec_temp(v, t);
            }
            (None, Some(w)) => {
                let r = self.vec_reg(a, from);
                self.consume_inst(self.cur);
                let d = self.dest(v, None);
                let form = self.free_form();
                self.vec_one_code(form, Opcode::sse(0x66, 0x0f7e).wide(w == Width::W64), false, r, 0, d.reg, &[]);
                self.define(v, d);
            }
            _ => {
                let r = self.vec_reg(a, from);
                self.consume_inst(self.cur);
                let t = self.vec_dest(v, Some(r));
                if t.reg != r || t.form == Form::Vex {
                    self.vec_move(t.form, t.reg, Rm::Reg(r), Type::V128);
                }
                self.define_vec(v, t);
            }
        }
    }

    // ---- System

    /// `rdtsc`, with rax and rdx as before.
    pub(crate) fn read_tsc(&mut self, v: Value) {
        let slots = [self.take_slot(1), self.take_slot(1), self.take_slot(1)];
        let [a, d, value] = slots.map(|s| Mem::state(slot_offset(s)));
        self.asm.mov(Width::W64, a, RAX);
        self.asm.mov(Width::W64, d, RDX);
        self.asm.plain(&[0x0f, 0x31]);
        self.asm.mov(Width::W32, value, RAX);
        self.asm.mov(Width::W32, value.plus(4), RDX);
        self.asm.mov(Width::W64, RAX, a);
        self.asm.mov(Width::W64, RDX, d);
        for s in slots {
            self.freed_slots.push((s, 1));
        }
        let t = self.temp();
        self.asm.mov(Width::W64, t, value);
        self.define_temp(v, t);
    }

    /// `ldmxcsr` on processors that refuse the guest's reserved bits themselves.
    pub(crate) fn write_mxcsr(&mut self, v: Value) {
        self.force(v);
        self.before_fault();
        let s = self.src(v, Width::W32);
        let slot = self.take_slot(1);
        let m = Mem::state(slot_offset(slot));
        match s {
            Src::Mem(_) => {
                let r = self.copy_src(s, Width::W32);
                self.asm.mov(Width::W32, m, r);
            }
            s => self.asm.mov(Width::W32, m, s),
        }
        self.consume_inst(self.cur);
        self.may_trap();
        self.asm.op(Opcode::of(0x0fae), 2, m, &[]);
        self.freed_slots.push((slot, 1));
    }
}
