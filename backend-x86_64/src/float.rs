//! SSE scalars: the host's own instructions, in place in the guest's registers where these are two-operand instructions on them.

use hokku_ir::{FpOp, FpRound, Type, Value, Width};

use crate::assign::{RAX, RDX, pinned_vectors, slot_offset};
use crate::encode::{Mem, Opcode, Rm, Space, Src};
use crate::lower::Lowering;
use crate::values::Loc;

/// A vector register being written and, if it is the place of one, the guest register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VecDest {
    pub(crate) reg: u8,
    pub(crate) home: Option<u8>,
}

fn prefix(ty: Type) -> u8 {
    if ty == Type::F32 { 0xf3 } else { 0xf2 }
}

impl Lowering<'_> {
    // ---- Vector results

    /// The register into which the vector `v` is computed, after its operands have been consumed.
    pub(crate) fn vec_dest(&mut self, v: Value, reuse: Option<u8>) -> VecDest {
        if let Some(reg) = self.plan.values[v.0 as usize].vec_target
            && reg < pinned_vectors(self.mode)
            && !self.is_vec_aliased(reg)
        {
            return VecDest { reg, home: Some(reg) };
        }
        if let Some(r) = reuse
            && r >= pinned_vectors(self.mode)
            && self.vec_owner[r as usize].is_none()
        {
            self.vec_locked |= 1 << r;
            return VecDest { reg: r, home: None };
        }
        VecDest { reg: self.vec_temp(), home: None }
    }

    fn is_vec_aliased(&self, reg: u8) -> bool {
        self.vec_aliases[reg as usize].iter().any(|v| {
            let val = self.vals[v.0 as usize];
            val.uses > 0 && val.loc == Loc::VecHome(reg)
        })
    }

    pub(crate) fn define_vec(&mut self, v: Value, d: VecDest) {
        match d.home {
            Some(reg) => {
                self.vals[v.0 as usize].loc = Loc::VecHome(reg);
                self.vec_aliases[reg as usize].push(v);
            }
            None => self.define_vec_temp(v, d.reg),
        }
    }

    /// Whether `v` is a load of a `ty` whose code is still to be written.
    pub(crate) fn is_deferred_vector_load(&self, v: Value, ty: Type) -> bool {
        self.is_deferred_load(v) && self.val(v).ty == ty
    }

    /// `reg` = the `ty` at `src`, zeros above, by the instruction for an aligned vector where `src` is one.
    pub(crate) fn load_vec(&mut self, reg: u8, src: Rm, ty: Type) {
        match src {
            Rm::Mem(m) if ty == Type::V128 && m.space == Space::Guest => self.asm.op(Opcode::of(0x0f28), reg, m, &[]),
            _ => self.vec_copy_from(reg, src, ty),
        }
    }

    /// Marks the next instruction as one that may fault without a memory operand.
    pub(crate) fn may_trap(&mut self) {
        self.before_fault();
        self.asm.may_fault_here();
    }

    /// `v` = `a op b`, a two-operand instruction whose destination is `a`; only the low `ty` of the result counts. `b` has type `b_ty`.
    pub(crate) fn vec_two(
        &mut self,
        v: Value,
        op: Opcode,
        (a, ty): (Value, Type),
        (b, b_ty): (Value, Type),
        traps: bool,
        imm: &[u8],
    ) {
        if self.is_deferred_load(b) {
            self.force(a);
        }
        let a_reg = self.vec_reg(a, ty);
        // Memory operands of MMX size must not be read as SSE's.
        let sb = if b_ty == Type::V64 { Rm::Reg(self.vec_reg(b, b_ty)) } else { self.vec_src(b, b_ty) };
        self.consume_inst(self.cur);
        let goal = self.vec_dest(v, Some(a_reg));
        let mut d = goal;
        let may_fault = traps || Src::from(sb).may_fault();
        if a_reg != d.reg && (sb == Rm::Reg(d.reg) || (d.home.is_some() && (may_fault || ty != Type::V128))) {
            d = VecDest { reg: self.vec_scratch(a_reg), home: None };
        }
        self.vec_copy_from(d.reg, Rm::Reg(a_reg), Type::V128);
        if traps {
            self.may_trap();
        }
        self.asm.op(op, d.reg, sb, imm);
        self.finish_vec(v, ty, d, goal);
    }

    /// `v` = `op a`, an instruction that writes its destination's low `ty` and, for scalars, leaves the rest.
    pub(crate) fn vec_one(&mut self, v: Value, op: Opcode, (a, a_ty): (Value, Type), traps: bool, imm: &[u8]) {
        let sa = if a_ty == Type::V64 { Rm::Reg(self.vec_reg(a, a_ty)) } else { self.vec_src(a, a_ty) };
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, if let Rm::Reg(r) = sa { Some(r) } else { None });
        if traps {
            self.may_trap();
        }
        self.asm.op(op, d.reg, sa, imm);
        self.define_vec(v, d);
    }

    /// Moves a result from where it was computed to where it is wanted.
    pub(crate) fn finish_vec(&mut self, v: Value, ty: Type, d: VecDest, goal: VecDest) {
        if d != goal && goal.home.is_some() {
            if ty == Type::V128 {
                self.vec_copy_from(goal.reg, Rm::Reg(d.reg), ty);
            } else {
                self.merge_low(goal.reg, d.reg, ty);
            }
            self.define_vec(v, goal);
        } else {
            self.define_vec(v, d);
        }
    }

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
        self.vec_two(v, Opcode::sse(prefix(ty), code), (a, ty), (b, ty), true, &[]);
    }

    pub(crate) fn scalar_sqrt(&mut self, v: Value, ty: Type, a: Value) {
        self.vec_one(v, Opcode::sse(prefix(ty), 0x0f51), (a, ty), true, &[]);
    }

    /// `ucomis` or `comis`.
    pub(crate) fn scalar_compare(&mut self, v: Value, ty: Type, signalling: bool, a: Value, b: Value) {
        if self.is_deferred_load(b) {
            self.force(a);
        }
        let a = self.vec_reg(a, ty);
        let sb = self.vec_src(b, ty);
        self.consume_inst(self.cur);
        self.may_trap();
        self.clobber_flags();
        self.asm.may_fault_here();
        let p = if ty == Type::F32 { 0 } else { 0x66 };
        self.asm.op(Opcode::sse(p, if signalling { 0x0f2f } else { 0x0f2e }), a, sb, &[]);
        self.flags_are(Some(v));
    }

    pub(crate) fn scalar_mask(&mut self, v: Value, ty: Type, predicate: u8, a: Value, b: Value) {
        if predicate > 7 {
            let op = self.block.insts[self.cur as usize].op;
            return self.callout(v, op);
        }
        self.vec_two(v, Opcode::sse(prefix(ty), 0x0fc2), (a, ty), (b, ty), true, &[predicate]);
    }

    pub(crate) fn scalar_to_int(&mut self, v: Value, ty: Type, w: Width, round: FpRound, a: Value) {
        let s = self.vec_src(a, ty);
        self.consume_inst(self.cur);
        let d = self.dest(v, None);
        let code = if round == FpRound::Truncate { 0x0f2c } else { 0x0f2d };
        self.may_trap();
        self.asm.op(Opcode::sse(prefix(ty), code).wide(w == Width::W64), d.reg, s, &[]);
        self.define(v, d);
    }

    pub(crate) fn int_to_scalar(&mut self, v: Value, w: Width, ty: Type, a: Value) {
        let s = self.src_rm(a, w);
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, None);
        self.may_trap();
        self.asm.op(Opcode::sse(prefix(ty), 0x0f2a).wide(w == Width::W64), d.reg, s, &[]);
        self.define_vec(v, d);
    }

    pub(crate) fn scalar_convert(&mut self, v: Value, from: Type, a: Value) {
        self.vec_one(v, Opcode::sse(prefix(from), 0x0f5a), (a, from), true, &[]);
    }

    /// The same bits in the other kind of register.
    pub(crate) fn cast_bits(&mut self, v: Value, from: Type, to: Type, a: Value) {
        match (from.width(), to.width()) {
            (Some(w), None) => {
                let s = self.src_rm(a, w);
                self.consume_inst(self.cur);
                let t = self.vec_temp();
                self.asm.op(Opcode::sse(0x66, 0x0f6e).wide(w == Width::W64), t, s, &[]);
                self.define_vec_temp(v, t);
            }
            (None, Some(w)) => {
                let r = self.vec_reg(a, from);
                self.consume_inst(self.cur);
                let d = self.dest(v, None);
                self.asm.op(Opcode::sse(0x66, 0x0f7e).wide(w == Width::W64), r, d.reg, &[]);
                self.define(v, d);
            }
            _ => {
                let r = self.vec_reg(a, from);
                self.consume_inst(self.cur);
                let t = self.vec_dest(v, Some(r));
                self.vec_copy_from(t.reg, Rm::Reg(r), Type::V128);
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

    /// `ldmxcsr`: the processor itself refuses reserved bits.
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
