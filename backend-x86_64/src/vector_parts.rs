//! Parts of vectors: lanes, halves, wider and narrower ones, masked accesses.

use hokku_ir::{Addr, Align, Op, Type, Value, Width};

use crate::Features;
use crate::assign::vector_offset;
use crate::encode::{Mem, Opcode, Rm};
use crate::lower::Lowering;
use crate::values::Loc;
use crate::vector_forms::VecCode;
use crate::vector_values::Form;

impl Lowering<'_> {
    /// `vec_merge_low` that is not part of the instruction which computes the scalar.
    pub(crate) fn vector_merge_low(&mut self, v: Value, ty: Type, a: Value, low: Value) {
        let s = self.vec_reg(low, ty);
        let op = Opcode::sse(if ty == Type::F32 { 0xf3 } else { 0xf2 }, 0x0f10);
        self.vec_with(v, a, |l, form, d, a| l.emit_vec(form, op, false, d, a, s, &[]), s);
    }

    pub(crate) fn vector_zero_extend(&mut self, v: Value, from: Type, ty: Type, a: Value) {
        if ty == Type::V256 && !self.avx() {
            return self.rest(v);
        }
        let form = self.vec_form(v);
        let s = self.vec_operand(a, from, form);
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, None);
        match s {
            Rm::Reg(s) => self.zero_extend_vec(form, d.reg, s, from),
            Rm::Mem(m) => self.load_vec(form, d.reg, m, from, Align::Any),
        }
        self.define_vec(v, d);
    }

    pub(crate) fn vector_broadcast(&mut self, v: Value, w: Width, ty: Type, a: Value) {
        let code = match w {
            Width::W8 => 0x0f3878,
            Width::W16 => 0x0f3879,
            Width::W32 => 0x0f3858,
            Width::W64 => 0x0f3859,
        };
        if self.vec_form(v) == Form::Legacy || !self.features.contains(Features::AVX2) {
            return self.rest(v);
        }
        let s = match self.extended_load(a, w.bytes()) {
            Some(m) => Rm::Mem(m),
            None => Rm::Reg(self.vec_reg(a, Type::V128)),
        };
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, None);
        self.asm.vex(Opcode::sse(0x66, code), ty == Type::V256, d.reg, 0, s, &[]);
        self.define_vec(v, d);
    }

    /// The memory operand where the V128 `a` is a deferred load of `bytes` bytes with zeros above. The caller consumes `a`.
    pub(crate) fn extended_load(&mut self, a: Value, bytes: u32) -> Option<Mem> {
        let root = self.root(a);
        let Some(Op::VecZeroExtend { from, v, .. }) = self.op_at(root).filter(|_| self.loc(root) == Loc::Deferred)
        else {
            return None;
        };
        if from.bytes() != bytes || !self.is_deferred_load(v) {
            return None;
        }
        let Rm::Mem(m) = self.vec_operand(v, from, Form::Vex) else { return None };
        self.vals[root.0 as usize].loc = Loc::Nowhere;
        let def = self.def(root);
        self.consume_inst(def);
        Some(m)
    }

    pub(crate) fn vector_half(&mut self, v: Value, ty: Type, high: bool, a: Value) {
        if ty == Type::V256 && !self.avx() {
            return self.rest(v);
        }
        let r = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        if ty == Type::V128 {
            let t = self.vec_temp();
            match high {
                true => self.vec_one_code(self.free_form(), Opcode::sse(0x66, 0x0f70), false, t, 0, r, &[0xee]),
                false => self.vec_copy_from(t, Rm::Reg(r), ty),
            }
            return self.define_vec_temp(v, t);
        }
        let d = self.vec_dest(v, Some(r));
        match (high, d.form) {
            (true, Form::Vex) => self.asm.vex(Opcode::sse(0x66, 0x0f3a19), true, r, 0, d.reg, &[1]),
            (true, Form::Legacy) => {
                let t = self.vec_temp();
                self.asm.vex(Opcode::sse(0x66, 0x0f3a19), true, r, 0, t, &[1]);
                self.vec_copy_from(d.reg, Rm::Reg(t), Type::V128);
            }
            (false, form) => self.vec_move(form, d.reg, Rm::Reg(r), Type::V128),
        }
        self.define_vec(v, d);
    }

    pub(crate) fn vector_join(&mut self, v: Value, ty: Type, low: Value, high: Value) {
        if ty == Type::V256 {
            // vinsertf128
            let code = VecCode::vex_only(0x0f3a18, Features::AVX);
            if !self.avx() {
                return self.rest(v);
            }
            return self.vec_pair(v, code.op, (low, Type::V128), (high, Type::V128), &[1]);
        }
        let h = self.vec_reg(high, Type::V64);
        let op = Opcode::sse(0x66, 0x0f6c);
        self.vec_with(v, low, |l, form, d, a| l.emit_vec(form, op, false, d, a, h, &[]), h);
    }

    /// The V256 `v` = `op a, b` of narrower operands.
    fn vec_pair(&mut self, v: Value, op: Opcode, (a, a_ty): (Value, Type), (b, b_ty): (Value, Type), imm: &[u8]) {
        self.force(a);
        if self.is_aligned_load(b) {
            self.force(b);
        }
        let a = self.vec_reg(a, a_ty);
        let b = self.vec_operand(b, b_ty, Form::Vex);
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, Some(a));
        self.asm.vex(op, true, d.reg, a, b, imm);
        self.define_vec(v, d);
    }

    /// `vcvtps2ph`.
    pub(crate) fn vector_to_half(&mut self, v: Value, mode: u8, ty: Type, a: Value) {
        if !self.features.contains(Features::F16C) || self.vec_form(v) == Form::Legacy {
            return self.rest(v);
        }
        let s = self.vec_reg(a, ty);
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, Some(s));
        self.may_trap();
        self.asm.vex(Opcode::sse(0x66, 0x0f3a1d), ty == Type::V256, s, 0, d.reg, &[mode]);
        self.define_vec(v, d);
    }

    /// `vzeroupper`, or `vzeroall`.
    pub(crate) fn zero_all_vectors(&mut self, v: Value, all: bool) {
        if !self.avx() {
            return self.rest(v);
        }
        (0..16).for_each(|n| self.evict_vec(n));
        let first = crate::assign::pinned_vectors(self.mode);
        (first..16).for_each(|n| self.spill_vec_temp(n));
        self.asm.plain(if all { &[0xc5, 0xfc, 0x77] } else { &[0xc5, 0xf8, 0x77] });
        if self.mode == hokku_ir::CpuMode::Protected32 {
            return;
        }
        let t = self.vec_temp();
        if !all {
            self.asm.vex(Opcode::of(0x0f57), false, t, t, t, &[]);
        }
        for n in first..16 {
            let (word, ty) = if all { (0, Type::V256) } else { (2, Type::V128) };
            self.store_vec(Mem::state(vector_offset(n, word)), t, ty, Align::Any);
        }
    }

    // ---- Masked accesses

    /// Last opcode byte of `vmaskmovps` or `vmaskmovpd` as a load; the stores are two further.
    fn masked_code(&self, w: Width, ty: Type) -> Option<u32> {
        let vector = matches!(ty, Type::V128 | Type::V256) && self.avx();
        match w {
            Width::W32 if vector => Some(0x0f382c),
            Width::W64 if vector => Some(0x0f382d),
            _ => None,
        }
    }

    pub(crate) fn masked_load(&mut self, v: Value, w: Width, ty: Type, at: Addr, mask: Value) {
        let Some(code) = self.masked_code(w, ty).filter(|_| self.vec_form(v) == Form::Vex) else { return self.rest(v) };
        self.force(mask);
        self.before_fault();
        let m = self.address(at);
        let mask = self.vec_reg(mask, ty);
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, None);
        self.asm.vex(Opcode::sse(0x66, code), ty == Type::V256, d.reg, mask, m, &[]);
        self.define_vec(v, d);
    }

    pub(crate) fn masked_store(&mut self, dst: Value, w: Width, ty: Type, at: Addr, v: Value, mask: Value) {
        let Some(code) = self.masked_code(w, ty) else { return self.rest(dst) };
        self.force(v);
        self.force(mask);
        self.before_fault();
        let m = self.address(at);
        let (r, mask) = (self.vec_reg(v, ty), self.vec_reg(mask, ty));
        self.consume_inst(self.cur);
        self.asm.vex(Opcode::sse(0x66, code + 2), ty == Type::V256, r, mask, m, &[]);
    }

    /// A gather: the host's own, on the registers where the guest's are.
    pub(crate) fn gather_lanes(
        &mut self,
        v: Value,
        (w, index): (Width, Width),
        ty: Type,
        regs: [u8; 3],
        scale: u8,
        at: Addr,
    ) {
        let pinned = regs.iter().all(|r| !self.is_vec_temp(*r));
        // With a segment's base or other wrapping of addresses it is not one operand.
        let plain = at.seg.is_none() && at.width == self.mode.word() && at.index.is_none();
        if !self.features.contains(Features::AVX2) || !pinned || !plain {
            return self.rest(v);
        }
        let [dst, mask, indices] = regs;
        self.evict_vec(dst);
        self.evict_vec(mask);
        self.before_fault();
        let mut m = self.address(at);
        if m.index.is_some() {
            let t = self.reusable(&m);
            self.asm.lea(self.mode.word(), t, m);
            m = Mem { space: crate::encode::Space::Guest, ..Mem::plain(t, 0) };
        }
        self.consume_inst(self.cur);
        m = Mem { index: Some(indices), scale, short: at.width != Width::W64, ..m };
        let op = Opcode::sse(0x66, if index == Width::W32 { 0x0f3892 } else { 0x0f3893 });
        self.asm.vex(op.wide(w == Width::W64), ty == Type::V256, dst, mask, m, &[]);
    }

    /// `pcmpistri`, its flags with it. The other string comparisons, which take lengths or give a mask, are rarer.
    pub(crate) fn string_index(&mut self, v: Value, control: u8, explicit: bool, a: Value, b: Value) {
        if explicit || !self.features.contains(Features::SSE42) {
            return self.rest(v);
        }
        self.take_rcx();
        let form = self.free_form();
        if self.is_deferred_load(b) {
            self.force(a);
        }
        if form == Form::Legacy || self.is_aligned_load(b) {
            self.force(b);
        }
        let a = self.vec_reg(a, Type::V128);
        let b = self.vec_operand(b, Type::V128, form);
        self.consume_pair();
        let flags = self.joined_flags();
        self.clobber_flags();
        self.vec_one_code(form, Opcode::sse(0x66, 0x0f3a63), false, a, 0, b, &[control]);
        self.flags_are(flags);
        self.define_temp(v, crate::assign::RCX);
    }
}
