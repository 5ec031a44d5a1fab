//! Vector values: where they are, the registers they are computed into, and how they move.
//!
//! On a host with AVX the guest's registers are all 256 bits of the host's. Legacy instructions keep the upper half of the register that they
//! write, VEX ones clear it: so a guest instruction comes out in its own [`Form`]. What is computed into a temporary is always VEX, which has no
//! old value to depend on. On other hosts the upper halves are in the state, and values of 256 bits in spill slots.

use hokku_ir::{Align, Op, Type, Upper, Value};

use crate::Features;
use crate::assign::{pinned_vectors, slot_offset, vector_offset};
use crate::encode::{Mem, Opcode, Rm, Space};
use crate::lower::Lowering;
use crate::plan::NONE;
use crate::values::Loc;

/// Encoding of an instruction on vectors, which says what becomes of the rest of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Two operands; the rest stays.
    Legacy,
    /// Three operands; bits from 128 (256) on become zero.
    Vex,
}

/// A vector register being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VecDest {
    pub(crate) reg: u8,
    /// The guest register whose place it is.
    pub(crate) home: Option<u8>,
    /// How it must be written.
    pub(crate) form: Form,
}

impl Lowering<'_> {
    pub(crate) fn avx(&self) -> bool {
        self.features.contains(Features::AVX)
    }

    /// The form for an instruction that writes no guest vector register.
    pub(crate) fn free_form(&self) -> Form {
        if self.avx() { Form::Vex } else { Form::Legacy }
    }

    /// Where vector register `reg` lives.
    pub(crate) fn vec_home(&self, reg: u8) -> Rm {
        if reg < pinned_vectors(self.mode) { Rm::Reg(reg) } else { Rm::Mem(Mem::state(vector_offset(reg, 0))) }
    }

    /// Whether host register `reg` is a temporary.
    pub(crate) fn is_vec_temp(&self, reg: u8) -> bool {
        reg >= pinned_vectors(self.mode)
    }

    // ---- Operands

    /// The vector value `v` as an operand of an instruction of form `form`: a register, or memory if the instruction reads exactly a `ty` there.
    pub(crate) fn vec_operand(&mut self, v: Value, ty: Type, form: Form) -> Rm {
        let root = self.root(v);
        match self.loc(root) {
            Loc::VecHome(n) => {
                let rm = self.vec_home(n);
                if let Rm::Reg(r) = rm {
                    self.vec_locked |= 1 << r;
                }
                rm
            }
            Loc::VecTemp(r) => {
                self.vec_locked |= 1 << r;
                Rm::Reg(r)
            }
            Loc::Slot(s) => {
                // Slots are aligned to eight bytes alone.
                let m = Mem::state(slot_offset(s));
                if ty == Type::V128 && form == Form::Legacy {
                    let t = self.vec_temp();
                    self.vec_copy_from(t, Rm::Mem(m), ty);
                    Rm::Reg(t)
                } else {
                    Rm::Mem(m)
                }
            }
            Loc::Deferred => {
                let def = self.def(root);
                if let Op::Load { ty: loaded, at, align } = self.block.insts[def as usize].op
                    && loaded == ty
                    && folds(ty, align, form)
                {
                    self.before_fault();
                    let mem = self.address(at);
                    self.consume_inst(def);
                    self.vals[root.0 as usize].loc = Loc::Nowhere;
                    return Rm::Mem(mem);
                }
                self.force(root);
                self.vec_operand(root, ty, form)
            }
            _ => {
                debug_assert!(false, "{v} is no vector at {:?}", self.loc(root));
                Rm::Reg(15)
            }
        }
    }

    /// The vector value `v` in a register.
    pub(crate) fn vec_reg(&mut self, v: Value, ty: Type) -> u8 {
        self.force(v);
        match self.vec_operand(v, ty, self.free_form()) {
            Rm::Reg(r) => r,
            rm => {
                let t = self.vec_temp();
                self.vec_copy_from(t, rm, ty);
                t
            }
        }
    }

    /// Whether `v` is a load whose code is still to be written.
    fn deferred_load(&self, v: Value) -> Option<(Type, Align)> {
        match self.op_at(self.root(v)) {
            Some(Op::Load { ty, align, .. }) if self.loc(v) == Loc::Deferred => Some((ty, align)),
            _ => None,
        }
    }

    /// Whether it is one that checks the alignment of its address.
    pub(crate) fn is_aligned_load(&self, v: Value) -> bool {
        matches!(self.deferred_load(v), Some((Type::V128 | Type::V256, Align::Natural)))
    }

    // ---- Results

    /// The form in which the instruction that computes `v` must write its destination.
    pub(crate) fn vec_form(&self, v: Value) -> Form {
        if !self.avx() {
            return Form::Legacy;
        }
        let info = self.plan.values[v.0 as usize];
        if info.vec_target.is_none_or(|r| self.is_vec_temp(r)) || info.vec_set == NONE {
            return Form::Vex;
        }
        match self.block.insts[info.vec_set as usize].op {
            Op::SetVec { ty, upper, .. } if ty == Type::V256 || upper == Upper::Zero256 => Form::Vex,
            _ => Form::Legacy,
        }
    }

    /// The register into which the vector `v` is computed, after its operands have been consumed. `reuse` is a register to compute in place where
    /// that is possible.
    pub(crate) fn vec_dest(&mut self, v: Value, reuse: Option<u8>) -> VecDest {
        let form = self.vec_form(v);
        if let Some(reg) = self.plan.values[v.0 as usize].vec_target
            && !self.is_vec_temp(reg)
            && !self.is_vec_aliased(reg)
        {
            return VecDest { reg, home: Some(reg), form };
        }
        if let Some(r) = reuse
            && self.is_vec_temp(r)
            && self.vec_owner[r as usize].is_none()
        {
            self.vec_locked |= 1 << r;
            return VecDest { reg: r, home: None, form };
        }
        VecDest { reg: self.vec_temp(), home: None, form }
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

    /// Moves a result from where it was computed to where it is wanted.
    pub(crate) fn finish_vec(&mut self, v: Value, ty: Type, d: VecDest, goal: VecDest) {
        let Some(home) = goal.home.filter(|_| d.reg != goal.reg) else { return self.define_vec(v, d) };
        if matches!(ty, Type::V128 | Type::V256) || goal.form == Form::Vex {
            self.vec_move(goal.form, home, Rm::Reg(d.reg), if ty == Type::V256 { ty } else { Type::V128 });
        } else {
            self.merge_low(home, d.reg, ty);
        }
        self.define_vec(v, goal);
    }

    // ---- Moves

    /// `dst`, a temporary or the place of a register of which nothing must stay but what a legacy move keeps, = the `ty` at `src`.
    pub(crate) fn vec_copy_from(&mut self, dst: u8, src: Rm, ty: Type) {
        let form = if self.is_vec_temp(dst) || ty == Type::V256 { self.free_form() } else { Form::Legacy };
        if src != Rm::Reg(dst) {
            self.vec_move(form, dst, src, ty);
        }
    }

    /// `dst` = the `ty` at `src` (a whole register from a register), in form `form`; zeros above from memory.
    pub(crate) fn vec_move(&mut self, form: Form, dst: u8, src: Rm, ty: Type) {
        let code = match (src, ty) {
            (Rm::Reg(_), _) => Opcode::of(0x0f28),
            (_, Type::F32) => Opcode::sse(0xf3, 0x0f10),
            (_, Type::F64) => Opcode::sse(0xf2, 0x0f10),
            (_, Type::V64) => Opcode::sse(0xf3, 0x0f7e),
            _ => Opcode::of(0x0f10),
        };
        self.vec_one_code(form, code, ty == Type::V256, dst, 0, src, &[]);
    }

    /// `op reg, rm` in form `form`, where VEX has `v` as a further source (0 for none).
    pub(crate) fn vec_one_code(
        &mut self,
        form: Form,
        op: Opcode,
        long: bool,
        reg: u8,
        v: u8,
        rm: impl Into<Rm>,
        imm: &[u8],
    ) {
        match form {
            Form::Legacy => self.asm.op(op, reg, rm, imm),
            Form::Vex => self.asm.vex(op, long, reg, v, rm, imm),
        }
    }

    /// `reg` = the `ty` at `src`, which is deferred or a register: loads check alignment where `align` says so. Zeros above.
    pub(crate) fn load_vec(&mut self, form: Form, reg: u8, src: Mem, ty: Type, align: Align) {
        if matches!(ty, Type::V128 | Type::V256) && align == Align::Natural {
            self.vec_one_code(form, Opcode::of(0x0f28), ty == Type::V256, reg, 0, src, &[]);
        } else {
            self.vec_move(form, reg, Rm::Mem(src), ty);
        }
    }

    /// Stores the low `ty` of `reg` at `m`.
    pub(crate) fn store_vec(&mut self, m: Mem, reg: u8, ty: Type, align: Align) {
        let code = match (ty, align) {
            (Type::F32, _) => Opcode::sse(0xf3, 0x0f11),
            (Type::F64, _) => Opcode::sse(0xf2, 0x0f11),
            (Type::V64, _) => Opcode::sse(0x66, 0x0fd6),
            (_, Align::Natural) => Opcode::of(0x0f29),
            _ => Opcode::of(0x0f11),
        };
        self.vec_one_code(self.free_form(), code, ty == Type::V256, reg, 0, m, &[]);
    }

    /// Low `ty` of `dst` = that of `src`; the rest of `dst` stays.
    pub(crate) fn merge_low(&mut self, dst: u8, src: u8, ty: Type) {
        if dst != src {
            let prefix = if ty == Type::F32 { 0xf3 } else { 0xf2 };
            self.asm.op(Opcode::sse(prefix, 0x0f10), dst, src, &[]);
        }
    }

    /// `dst` = low `ty` of `src`, zeros above: in form `form`.
    pub(crate) fn zero_extend_vec(&mut self, form: Form, dst: u8, src: u8, ty: Type) {
        match (ty, form) {
            (Type::F32, Form::Vex) => {
                // `vinsertps` that clears all lanes but the first.
                self.asm.vex(Opcode::sse(0x66, 0x0f3a21), false, dst, src, src, &[0x0e]);
            }
            (Type::F32, Form::Legacy) if dst == src => {
                let t = self.vec_temp();
                self.asm.op(Opcode::of(0x0f57), t, t, &[]);
                self.asm.op(Opcode::sse(0xf3, 0x0f10), t, src, &[]);
                self.asm.op(Opcode::of(0x0f28), dst, t, &[]);
            }
            (Type::F32, Form::Legacy) => {
                self.asm.op(Opcode::of(0x0f57), dst, dst, &[]);
                self.asm.op(Opcode::sse(0xf3, 0x0f10), dst, src, &[]);
            }
            (Type::V128, _) => self.vec_move(form, dst, Rm::Reg(src), ty),
            _ => self.vec_one_code(form, Opcode::sse(0xf3, 0x0f7e), false, dst, 0, src, &[]),
        }
    }

    // ---- Temporaries

    /// A vector temporary that no live value owns, locked.
    pub(crate) fn vec_temp(&mut self) -> u8 {
        let all = pinned_vectors(self.mode)..16;
        let found = all.clone().find(|r| self.vec_owner[*r as usize].is_none() && self.vec_locked & 1 << r == 0);
        let reg = found.unwrap_or_else(|| {
            let victim = all.clone().find(|r| self.vec_locked & 1 << r == 0).unwrap_or(15);
            self.spill_vec_temp(victim);
            victim
        });
        self.vec_locked |= 1 << reg;
        reg
    }

    /// A register to compute in that starts as a copy of operand `a` and is none of the other operands: `a` itself where it is a temporary (a
    /// value that is still needed moves away), so that two temporaries are enough for an instruction.
    pub(crate) fn vec_scratch(&mut self, a: u8) -> u8 {
        if !self.is_vec_temp(a) {
            return self.vec_temp();
        }
        self.spill_vec_temp(a);
        a
    }

    /// Moves the value in vector temporary `reg` to spill slots.
    pub(crate) fn spill_vec_temp(&mut self, reg: u8) {
        if let Some(owner) = self.vec_owner[reg as usize].take() {
            let words = self.slot_words(owner);
            let slot = self.take_slot(words);
            let ty = match words {
                1 => Type::V64,
                2 => Type::V128,
                _ => Type::V256,
            };
            self.store_vec(Mem::state(slot_offset(slot)), reg, ty, Align::Any);
            self.vals[owner.0 as usize].loc = Loc::Slot(slot);
        }
    }

    /// Copies values that are in the place of vector register `reg` and still needed.
    pub(crate) fn evict_vec(&mut self, reg: u8) {
        let mut list = std::mem::take(&mut self.vec_aliases[reg as usize]);
        for v in list.drain(..) {
            let val = self.vals[v.0 as usize];
            if val.loc != Loc::VecHome(reg) {
                continue;
            }
            if val.uses == 0 {
                self.vals[v.0 as usize].loc = Loc::Nowhere;
                continue;
            }
            let temp = self.vec_temp();
            let ty = if val.ty == Type::V256 { val.ty } else { Type::V128 };
            self.vec_copy_from(temp, self.vec_home(reg), ty);
            self.vec_locked &= !(1 << temp);
            self.define_vec_temp(v, temp);
        }
        self.vec_aliases[reg as usize] = list;
    }

    // ---- Guest registers

    /// `get_vec`: another name for the low part of the register's place; 256 bits are copied on hosts without AVX.
    pub(crate) fn read_vec(&mut self, v: Value, reg: u8, ty: Type) {
        if ty != Type::V256 || self.avx() {
            self.vals[v.0 as usize].loc = Loc::VecHome(reg);
            self.vec_aliases[reg as usize].push(v);
            return;
        }
        let slot = self.take_slot(4);
        let t = self.vec_temp();
        for half in 0..2 {
            let from = if half == 0 { self.vec_home(reg) } else { Rm::Mem(Mem::state(vector_offset(reg, 2))) };
            self.vec_copy_from(t, from, Type::V128);
            self.store_vec(Mem::state(slot_offset(slot) + 16 * half), t, Type::V128, Align::Any);
        }
        self.vals[v.0 as usize].loc = Loc::Slot(slot);
    }

    /// `set_vec`.
    pub(crate) fn write_vec(&mut self, reg: u8, ty: Type, upper: Upper, v: Value) {
        match (self.avx(), ty, upper) {
            (false, Type::V256, _) => self.write_halves(reg, v),
            (true, Type::V256, _) => self.write_all(reg, ty, v),
            (true, _, Upper::Zero256) => self.write_all(reg, ty, v),
            _ => self.write_low(reg, ty, upper, v),
        }
    }

    /// Writes the low `ty` of vector register `reg`; what is above is zero. Host with AVX.
    fn write_all(&mut self, reg: u8, ty: Type, v: Value) {
        let root = self.root(v);
        let computed = !matches!(self.op_at(root), Some(Op::GetVec { .. }));
        let is_there = self.loc(root) == Loc::VecHome(reg);
        let whole = matches!(ty, Type::V128 | Type::V256);
        match self.vec_home(reg) {
            // Computed in place, by an instruction that clears the rest.
            Rm::Reg(_) if is_there && whole && (computed || ty == Type::V256) => self.consume(v),
            Rm::Mem(_) if is_there && ty == Type::V256 => self.consume(v),
            Rm::Reg(h) => {
                let src = self.vec_operand(root, ty, Form::Vex);
                self.consume(v);
                self.evict_vec(reg);
                match src {
                    Rm::Reg(s) if !whole => self.zero_extend_vec(Form::Vex, h, s, ty),
                    _ => self.vec_move(Form::Vex, h, src, ty),
                }
            }
            Rm::Mem(m) => {
                let r = self.vec_reg(root, ty);
                self.consume(v);
                self.evict_vec(reg);
                if ty == Type::V256 {
                    return self.store_vec(m, r, ty, Align::Any);
                }
                let free = self.is_vec_temp(r) && self.vec_owner[r as usize].is_none();
                let t = if free { r } else { self.vec_temp() };
                self.zero_extend_vec(Form::Vex, t, r, ty);
                self.store_vec(m, t, Type::V256, Align::Any);
            }
        }
    }

    /// Writes the low `ty`; what is above stays, at least from bit 128 on (but see `Zero256`, on hosts without AVX).
    fn write_low(&mut self, reg: u8, ty: Type, upper: Upper, v: Value) {
        let full = ty == Type::V128;
        let keep = upper == Upper::Keep && !full;
        if self.loc(v) == Loc::VecHome(reg) && (full || keep) {
            self.consume(v);
        } else {
            self.set_low(reg, ty, keep, v);
        }
        if upper == Upper::Zero256 {
            for word in 2..4 {
                let half = Mem::state(vector_offset(reg, word));
                self.asm.mov(hokku_ir::Width::W64, half, crate::encode::Src::Imm(0));
            }
        }
    }

    /// Writes the low 128 bits of vector register `reg`: `v` and, above it, zeros or what is there.
    fn set_low(&mut self, reg: u8, ty: Type, keep: bool, v: Value) {
        let home = self.vec_home(reg);
        let root = self.root(v);
        // A load into a register clears what is above.
        if let (Rm::Reg(h), false, Some((loaded, align))) = (home, keep, self.deferred_load(root))
            && loaded == ty
            && let Rm::Mem(m) = self.vec_operand(root, ty, Form::Legacy)
            && m.space == Space::Guest
        {
            self.consume(v);
            self.evict_vec(reg);
            return self.load_vec(Form::Legacy, h, m, ty, align);
        }
        let src = self.vec_reg(root, ty);
        self.consume(v);
        self.evict_vec(reg);
        match (home, ty, keep) {
            (Rm::Reg(h), Type::V128, _) => self.vec_copy_from(h, Rm::Reg(src), Type::V128),
            (Rm::Reg(h), _, true) => self.merge_low(h, src, ty),
            (Rm::Reg(h), _, false) => self.zero_extend_vec(Form::Legacy, h, src, ty),
            (Rm::Mem(m), Type::V128 | Type::F32, _) if keep || ty == Type::V128 => {
                self.store_vec(m, src, ty, Align::Any)
            }
            (Rm::Mem(m), _, true) => self.store_vec(m, src, Type::V64, Align::Any),
            (Rm::Mem(m), _, false) => {
                let free = self.is_vec_temp(src) && self.vec_owner[src as usize].is_none();
                let t = if free { src } else { self.vec_temp() };
                self.zero_extend_vec(self.free_form(), t, src, ty);
                self.store_vec(m, t, Type::V128, Align::Any);
            }
        }
    }

    /// Writes a value of 256 bits that is in spill slots. Host without AVX.
    fn write_halves(&mut self, reg: u8, v: Value) {
        self.force(v);
        let Loc::Slot(slot) = self.loc(v) else { return };
        self.consume(v);
        self.evict_vec(reg);
        let t = self.vec_temp();
        let from = Mem::state(slot_offset(slot));
        self.vec_copy_from(t, Rm::Mem(from.plus(16)), Type::V128);
        self.store_vec(Mem::state(vector_offset(reg, 2)), t, Type::V128, Align::Any);
        self.vec_copy_from(t, Rm::Mem(from), Type::V128);
        match self.vec_home(reg) {
            Rm::Reg(h) => self.vec_copy_from(h, Rm::Reg(t), Type::V128),
            Rm::Mem(m) => self.store_vec(m, t, Type::V128, Align::Any),
        }
    }
}

/// Whether an instruction of form `form` can have a load of `ty` as its operand.
pub(crate) fn folds(ty: Type, align: Align, form: Form) -> bool {
    match (ty, form) {
        (Type::V128, Form::Legacy) => align == Align::Natural,
        (Type::V256, Form::Legacy) => false,
        (Type::V128 | Type::V256, Form::Vex) => align == Align::Any,
        _ => true,
    }
}
