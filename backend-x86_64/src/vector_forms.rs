//! Instructions on vectors, by the number of their operands: in the guest's own registers where that is possible.

use hokku_ir::{Type, Value};

use crate::Features;
use crate::encode::{Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::vector_values::{Form, VecDest};

/// An instruction on vectors and what its encodings need of the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VecCode {
    pub(crate) op: Opcode,
    /// The legacy form; `None` where there is none.
    legacy: Option<Features>,
    /// VEX on 128 bits or less.
    vex: Features,
    /// VEX on 256 bits.
    long: Features,
}

impl VecCode {
    /// SSE or SSE2 on floats or bits: 256 bits came with AVX.
    pub(crate) fn float(prefix: u8, code: u32) -> VecCode {
        let op = Opcode::sse(prefix, code);
        VecCode { op, legacy: Some(Features::empty()), vex: Features::AVX, long: Features::AVX }
    }

    /// SSE2 on integers, mostly with prefix 66h: 256 bits came with AVX2.
    pub(crate) fn int(code: u32) -> VecCode {
        VecCode::int_with(0x66, code)
    }

    /// The same with another prefix.
    pub(crate) fn int_with(prefix: u8, code: u32) -> VecCode {
        VecCode { long: Features::AVX2, ..VecCode::float(prefix, code) }
    }

    /// `cmpps` and kin, of which the legacy forms know eight predicates.
    pub(crate) fn compare(prefix: u8, predicate: u8) -> VecCode {
        let code = VecCode::float(prefix, 0x0fc2);
        VecCode { legacy: code.legacy.filter(|_| predicate < 8), ..code }
    }

    /// On 128 bits alone, prefix 66h; the features come with [`Self::since`].
    pub(crate) fn crypto(code: u32) -> VecCode {
        VecCode { long: Features::NEVER, ..VecCode::int(code) }
    }

    /// Without a legacy form; prefix 66h.
    pub(crate) fn vex_only(code: u32, needs: Features) -> VecCode {
        VecCode { op: Opcode::sse(0x66, code), legacy: None, vex: needs, long: needs }
    }

    /// Without a VEX form; no prefix.
    pub(crate) fn legacy_only(code: u32, needs: Features) -> VecCode {
        VecCode { op: Opcode::of(code), legacy: Some(needs), vex: Features::NEVER, long: Features::NEVER }
    }

    /// With prefix 66h.
    pub(crate) fn prefixed(self) -> VecCode {
        VecCode { op: Opcode { prefix: 0x66, ..self.op }, ..self }
    }

    /// With VEX.W.
    pub(crate) fn wide(self) -> VecCode {
        VecCode { op: self.op.wide(true), ..self }
    }

    /// The same of a later extension than SSE2.
    pub(crate) fn since(self, legacy: Features) -> VecCode {
        VecCode { legacy: Some(legacy), vex: self.vex | legacy, ..self }
    }

    /// Whether the host has it in form `form` on vectors of type `ty`.
    pub(crate) fn runs(&self, features: Features, form: Form, ty: Type) -> bool {
        match (form, ty) {
            (Form::Legacy, Type::V256) => false,
            (Form::Legacy, _) => self.legacy.is_some_and(|f| features.contains(f)),
            (Form::Vex, Type::V256) => features.contains(self.long),
            (Form::Vex, _) => features.contains(self.vex),
        }
    }
}

impl Lowering<'_> {
    /// The form for an instruction that computes `v`, whose last operand is `b`, with `code` on `ty`; `None` where the host lacks it.
    fn choose_form(&mut self, v: Value, code: &VecCode, ty: Type, b: Value) -> Option<Form> {
        let form = self.vec_form(v);
        let free = self.plan.values[v.0 as usize].vec_target.is_none_or(|r| self.is_vec_temp(r));
        // VEX instructions do not check alignment.
        let checks = form == Form::Vex && self.is_aligned_load(b);
        let legacy = free && code.runs(self.features, Form::Legacy, ty);
        if legacy && (checks || !code.runs(self.features, form, ty)) {
            return Some(Form::Legacy);
        }
        if !code.runs(self.features, form, ty) {
            return None;
        }
        if checks {
            self.force(b);
        }
        Some(form)
    }

    /// `v` as an operand of an instruction of form `form`; what is in MMX registers is not read as SSE's from memory.
    fn last_operand(&mut self, v: Value, ty: Type, form: Form) -> Rm {
        if ty == Type::V64 { Rm::Reg(self.vec_reg(v, ty)) } else { self.vec_operand(v, ty, form) }
    }

    /// Marks the next instruction as one that may fault without a memory operand.
    pub(crate) fn may_trap(&mut self) {
        self.before_fault();
        self.asm.may_fault_here();
    }

    /// `op d, a, rm` in form `form`, for which a legacy instruction has `a` in `d` already.
    pub(crate) fn emit_vec(&mut self, form: Form, op: Opcode, long: bool, d: u8, a: u8, rm: impl Into<Rm>, imm: &[u8]) {
        debug_assert!(form == Form::Vex || a == d, "a legacy instruction has two operands");
        self.vec_one_code(form, op, long, d, a, rm, imm);
    }

    /// `v` = `a op b`, `ty`s of which the low one counts. `b` has type `b_ty`. By callout where the host lacks the instruction.
    pub(crate) fn vec_two(
        &mut self,
        v: Value,
        code: VecCode,
        (a, ty): (Value, Type),
        (b, b_ty): (Value, Type),
        traps: bool,
        imm: &[u8],
    ) {
        let Some(form) = self.choose_form(v, &code, ty, b) else { return self.rest(v) };
        if self.is_deferred_load(b) {
            self.force(a);
        }
        let a_reg = match self.plan.values[v.0 as usize].merged {
            Some(n) => self.upper_source(n),
            None => self.vec_reg(a, ty),
        };
        let sb = self.last_operand(b, b_ty, form);
        self.consume_inst(self.cur);
        let goal = self.vec_dest(v, Some(a_reg));
        if form == Form::Vex {
            if traps {
                self.may_trap();
            }
            self.asm.vex(code.op, ty == Type::V256, goal.reg, a_reg, sb, imm);
            return self.define_vec(v, goal);
        }
        let mut d = goal;
        let may_fault = traps || Src::from(sb).may_fault();
        if a_reg != d.reg && (sb == Rm::Reg(d.reg) || (d.home.is_some() && (may_fault || ty != Type::V128))) {
            d = VecDest { reg: self.vec_scratch(a_reg), home: None, form };
        }
        self.vec_copy_from(d.reg, Rm::Reg(a_reg), Type::V128);
        if traps {
            self.may_trap();
        }
        self.asm.op(code.op, d.reg, sb, imm);
        self.finish_vec(v, ty, d, goal);
    }

    /// `v` = `op a`, an instruction that writes its destination's low `ty`, on 256 bits where `ty` or `a_ty` is.
    pub(crate) fn vec_one(&mut self, v: Value, code: VecCode, (a, a_ty): (Value, Type), traps: bool, imm: &[u8]) {
        let ty = self.vals[v.0 as usize].ty;
        let width = if ty == Type::V256 { ty } else { a_ty };
        let Some(form) = self.choose_form(v, &code, width, a) else { return self.rest(v) };
        let sa = self.last_operand(a, a_ty, form);
        let merged = self.plan.values[v.0 as usize].merged.map(|n| self.upper_source(n));
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, if let Rm::Reg(r) = sa { Some(r) } else { None });
        if traps {
            self.may_trap();
        }
        // Scalars have a further operand, which gives the bits above.
        let upper = match (ty, sa, merged) {
            (_, _, Some(r)) => r,
            (Type::F32 | Type::F64, Rm::Reg(s), _) => s,
            (Type::F32 | Type::F64, Rm::Mem(_), _) => d.reg,
            _ => 0,
        };
        self.vec_one_code(form, code.op, width == Type::V256, d.reg, upper, sa, imm);
        self.define_vec(v, d);
    }

    /// Runs `f(form, d, a)` to compute `v` into `d` of `a`, which a legacy form finds in `d` already; `other` is a register that `f` reads (or
    /// that of `a`), VEX ones not after writing `d`. Consumes the op's operands.
    pub(crate) fn vec_with(&mut self, v: Value, a: Value, f: impl FnOnce(&mut Self, Form, u8, u8), other: u8) {
        let ty = self.val(a).ty;
        let form = self.vec_form(v);
        let a = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        let goal = self.vec_dest(v, Some(a));
        let result = self.vals[v.0 as usize].ty;
        if form == Form::Vex {
            f(self, form, goal.reg, a);
            return self.define_vec(v, goal);
        }
        let mut d = goal;
        if (d.reg == other && a != d.reg) || (d.home.is_some() && result != Type::V128) {
            d = VecDest { reg: self.vec_scratch(a), home: None, form };
        }
        if d.reg == other && other != a {
            d = VecDest { reg: self.vec_scratch(a), home: None, form };
        }
        self.vec_copy_from(d.reg, Rm::Reg(a), Type::V128);
        f(self, form, d.reg, d.reg);
        self.finish_vec(v, result, d, goal);
    }

    /// `op d, a, imm`, a shift by a constant: opcode `code` extended by `ext`.
    pub(crate) fn emit_shift(&mut self, form: Form, (code, ext): (u32, u8), long: bool, d: u8, a: u8, n: u8) {
        let op = Opcode::sse(0x66, code);
        match form {
            Form::Legacy => self.asm.op(op, ext, Rm::Reg(d), &[n]),
            Form::Vex => self.asm.vex(op, long, ext, d, a, &[n]),
        }
    }
}
