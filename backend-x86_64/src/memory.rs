//! Loads, stores and atomics.

use hokku_ir::{Addr, Align, AtomicOp, Fence, Op, Type, Value, Width};

use crate::assign::{RAX, slot_offset};
use crate::encode::{Alu, HIGH, Mem, Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::plan::NONE;
use crate::values::{Dest, Loc};
use crate::vector_values::Form;

impl Lowering<'_> {
    /// `load` as an instruction of its own.
    pub(crate) fn load_value(&mut self, v: Value, ty: Type, align: Align, at: Addr) {
        self.before_fault();
        let m = self.address(at);
        self.consume_inst(self.cur);
        let Some(w) = ty.width() else { return self.load_vector(v, ty, align, m) };
        if self.vals[v.0 as usize].uses == 0 {
            let t = self.temp();
            self.load_reg(t, Src::Mem(m), w);
            return;
        }
        let d = self.dest(v, m.base.or(m.index));
        self.move_to(d, Src::Mem(m), w);
        self.define(v, d);
    }

    fn load_vector(&mut self, v: Value, ty: Type, align: Align, m: Mem) {
        if ty == Type::V256 && !self.avx() {
            return self.load_halves(v, align, m);
        }
        let t = self.vec_dest(v, None);
        self.load_vec(t.form, t.reg, m, ty, align);
        self.define_vec(v, t);
    }

    /// 256 bits to spill slots, on a host without AVX.
    fn load_halves(&mut self, v: Value, align: Align, m: Mem) {
        let slot = self.take_slot(4);
        let t = self.vec_temp();
        for half in [1, 0] {
            // The second half first: where it faults nothing has been read that counts.
            self.load_vec(Form::Legacy, t, m.plus(16 * half), Type::V128, align);
            self.store_vec(Mem::state(slot_offset(slot) + 16 * half), t, Type::V128, Align::Any);
        }
        self.vals[v.0 as usize].loc = Loc::Slot(slot);
    }

    /// `store`.
    pub(crate) fn store_value(&mut self, ty: Type, align: Align, at: Addr, v: Value) {
        let op = self.plan.insts[self.cur as usize].modify;
        if op != NONE && self.loc(v) == Loc::Deferred {
            return self.modify_memory(at, op);
        }
        let Some(w) = ty.width() else { return self.store_vector(ty, align, at, v) };
        let root = self.root(v);
        if let (Loc::Deferred, Some(Op::Condition { cc, f }), Width::W8) = (self.loc(root), self.op_at(root), w)
            && self.is_condition_on_guest_flags(root)
            && self.vals[root.0 as usize].uses == 1
        {
            self.need_flags(f);
            let m = self.address(at);
            self.vals[root.0 as usize].loc = Loc::Nowhere;
            self.consume(f);
            self.consume_inst(self.cur);
            self.asm.setcc(cc, Rm::Mem(m));
            return;
        }
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        let src = match self.src(v, w) {
            Src::Mem(slot) => Src::Reg(self.copy_src(Src::Mem(slot), w)),
            s => s,
        };
        let src = self.encodable(w, Rm::Mem(m), src);
        self.consume_inst(self.cur);
        self.asm.mov(w, m, src);
    }

    fn store_vector(&mut self, ty: Type, align: Align, at: Addr, v: Value) {
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        if ty == Type::V256 && !self.avx() {
            self.store_halves(align, m, v);
            return self.consume_inst(self.cur);
        }
        let r = self.vec_reg(v, ty);
        self.consume_inst(self.cur);
        self.store_vec(m, r, ty, align);
    }

    /// 256 bits from spill slots, on a host without AVX.
    fn store_halves(&mut self, align: Align, m: Mem, v: Value) {
        let Loc::Slot(slot) = self.loc(v) else { return };
        let t = self.vec_temp();
        // A store that faults must not have written: try the second half's page first by writing what is there.
        let probe = self.vec_temp();
        self.vec_copy_from(probe, Rm::Mem(m.plus(16)), Type::V128);
        self.store_vec(m.plus(16), probe, Type::V128, Align::Any);
        for half in 0..2 {
            self.vec_copy_from(t, Rm::Mem(Mem::state(slot_offset(slot) + 16 * half)), Type::V128);
            self.store_vec(m.plus(16 * half), t, Type::V128, align);
        }
    }

    /// `atomic_rmw`. False where the runtime must do it.
    pub(crate) fn atomic_modify(&mut self, dst: Value, op: AtomicOp, w: Width, at: Addr, v: Value) -> bool {
        let alu = match op {
            AtomicOp::Xchg => return self.exchange(dst, w, at, v),
            AtomicOp::Add => Alu::Add,
            AtomicOp::Sub => Alu::Sub,
            AtomicOp::And => Alu::And,
            AtomicOp::Or => Alu::Or,
            AtomicOp::Xor => Alu::Xor,
            AtomicOp::Neg => return false,
        };
        if let Some(flags) = self.flags_of_old_value(dst, alu, w, v) {
            self.lock_alu(alu, w, at, v, flags);
            return true;
        }
        match alu {
            Alu::Add | Alu::Sub => {
                self.fetch_add(dst, alu == Alu::Sub, w, at, v);
                true
            }
            _ => false,
        }
    }

    /// Where the old value `dst` serves to compute the flags (and the unused result) alone: those flags, if they are wanted.
    fn flags_of_old_value(&self, dst: Value, alu: Alu, w: Width, operand: Value) -> Option<Option<(Value, [u32; 2])>> {
        let mut found = None;
        let mut ops = [NONE; 2];
        let mut uses = 0;
        let mut count = 0;
        for (k, inst) in self.block.insts.iter().enumerate().skip(self.cur as usize + 1).take(6) {
            if matches!(inst.op, Op::Insn { .. }) {
                break;
            }
            let mut names = 0;
            inst.op.values(&mut |u| names += u32::from(self.plan.root(u) == dst));
            if names == 0 || self.plan.insts[k].dead {
                continue;
            }
            uses += names;
            let same = |a: Value, b: Value| a == dst && self.root(b) == self.root(operand);
            match inst.op {
                Op::AddFlags { w: w2, a, b } if alu == Alu::Add && w2 == w && same(a, b) => found = Some(inst.value),
                Op::SubFlags { w: w2, a, b } if alu == Alu::Sub && w2 == w && same(a, b) => found = Some(inst.value),
                Op::IncFlags { w: w2, .. } if alu == Alu::Add && w2 == w && self.constant_of(operand) == Some(1) => {
                    found = Some(inst.value)
                }
                Op::DecFlags { w: w2, .. } if alu == Alu::Sub && w2 == w && self.constant_of(operand) == Some(1) => {
                    found = Some(inst.value)
                }
                Op::And { w: w2, a, b } if alu == Alu::And && w2 == w && same(a, b) => {
                    found = self.logic_flags_alone(inst.value, k)
                }
                Op::Or { w: w2, a, b } if alu == Alu::Or && w2 == w && same(a, b) => {
                    found = self.logic_flags_alone(inst.value, k)
                }
                Op::Xor { w: w2, a, b } if alu == Alu::Xor && w2 == w && same(a, b) => {
                    found = self.logic_flags_alone(inst.value, k)
                }
                _ => return None,
            }
            if count == 2 || found.is_none() {
                return None;
            }
            ops[count] = k as u32;
            count += 1;
        }
        if uses != self.vals[dst.0 as usize].uses {
            return None;
        }
        if uses == 0 {
            return Some(None);
        }
        found.map(|f| Some((f, ops)))
    }

    /// The flags value that is the only use of the logic result `v`.
    fn logic_flags_alone(&self, v: Value, at: usize) -> Option<Value> {
        if self.vals[v.0 as usize].uses != 1 {
            return None;
        }
        self.block
            .insts
            .iter()
            .skip(at + 1)
            .take(2)
            .find_map(|i| matches!(i.op, Op::LogicFlags { v: of, .. } if of == v).then_some(i.value))
    }

    /// `lock op [at], v`.
    fn lock_alu(&mut self, alu: Alu, w: Width, at: Addr, v: Value, flags: Option<(Value, [u32; 2])>) {
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        let src = match self.src(v, w) {
            Src::Mem(s) => Src::Reg(self.copy_src(Src::Mem(s), w)),
            s => s,
        };
        let src = self.encodable(w, Rm::Mem(m), src);
        self.consume_inst(self.cur);
        match flags {
            Some((f, ops)) => {
                let step = matches!(self.op_at(f), Some(Op::IncFlags { .. } | Op::DecFlags { .. }));
                if step {
                    self.before_merge();
                    self.asm.op(Opcode::group(w, 0xfe).locked(), u8::from(alu == Alu::Sub), m, &[]);
                    self.flags_are_merged(f);
                } else {
                    self.clobber_flags();
                    self.asm.alu_locked(alu, w, m, src);
                    self.flags_are(Some(f));
                }
                for k in ops.into_iter().filter(|k| *k != NONE) {
                    self.skip_inst(k);
                }
                if let Some(Op::LogicFlags { .. }) = self.op_at(f) {
                    let k = self.def(f);
                    self.skip_inst(k);
                }
            }
            None => {
                self.clobber_flags();
                self.asm.alu_locked(alu, w, m, src);
            }
        }
    }

    /// Op `k` has been done by another's instruction: its operands are used up.
    fn skip_inst(&mut self, k: u32) {
        self.consume_inst(k);
        self.done.push(k);
    }

    /// `lock xadd`: the old value; the flags are those of the addition.
    fn fetch_add(&mut self, dst: Value, negate: bool, w: Width, at: Addr, v: Value) {
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        let t = self.copy(w, v);
        self.consume_inst(self.cur);
        if negate {
            // -v = !v + 1, without flags.
            self.asm.unary(2, w, t);
            self.asm.lea(w.max(Width::W32), t, Mem::plain(t, 1));
        }
        self.clobber_flags();
        self.asm.op(Opcode::int(w, 0x0fc0).locked(), t, m, &[]);
        self.flags_are(None);
        self.define_temp(dst, t);
    }

    /// `xchg`: a locked instruction by itself.
    fn exchange(&mut self, dst: Value, w: Width, at: Addr, v: Value) -> bool {
        self.force(v);
        self.before_fault();
        let m = self.address(at);
        let s = self.src(v, w);
        // The usual form: the register that gives the value gets the old one.
        if let (Src::Reg(r), Some(place)) = (s, self.plan.values[dst.0 as usize].target)
            && let crate::plan::Place::Low(g) = place
            && self.loc(v) == Loc::Home(g)
            && r & HIGH == 0
        {
            self.consume_inst(self.cur);
            if !self.is_aliased(g) {
                self.asm.op(Opcode::int(w, 0x86), r, m, &[]);
                self.define(dst, Dest { reg: r, place: Some(place) });
                return true;
            }
            let t = self.temp();
            self.load_reg(t, s, w);
            self.asm.op(Opcode::int(w, 0x86), t, m, &[]);
            self.define_temp(dst, t);
            return true;
        }
        let t = if let Src::Reg(r) = s
            && r & HIGH != 0
        {
            self.copy_src(s, w)
        } else {
            let t = self.temp();
            self.load_reg(t, s, w);
            t
        };
        self.consume_inst(self.cur);
        self.asm.op(Opcode::int(w, 0x86), t, m, &[]);
        self.define_temp(dst, t);
        true
    }

    /// `lock cmpxchg`, with rax as it was afterwards. False where what is expected is not guest rax.
    pub(crate) fn compare_exchange(&mut self, dst: Value, w: Width, at: Addr, expected: Value, new: Value) -> bool {
        if !self.src_is_reg(expected, RAX) {
            return false;
        }
        self.force(new);
        self.before_fault();
        let slot = self.take_slot(1);
        self.lock(RAX);
        let m = self.address(at);
        let s = self.src(new, w);
        let new = match s {
            Src::Reg(r) if r & HIGH == 0 => r,
            s => self.copy_src(s, w),
        };
        self.consume_inst(self.cur);
        self.clobber_flags();
        self.asm.mov(Width::W64, Mem::state(slot_offset(slot)), RAX);
        self.asm.op(Opcode::int(w, 0x0fb0).locked(), new, m, &[]);
        self.flags_are(None);
        let t = m.base.filter(|r| self.is_free_temp(*r)).unwrap_or_else(|| self.temp());
        self.asm.mov(w.max(Width::W32), t, RAX);
        self.asm.mov(Width::W64, RAX, Mem::state(slot_offset(slot)));
        self.freed_slots.push((slot, 1));
        self.define_temp(dst, t);
        true
    }

    fn src_is_reg(&self, v: Value, reg: u8) -> bool {
        match self.loc(v) {
            Loc::Home(g) => self.home_rm(g) == Rm::Reg(reg),
            _ => false,
        }
    }

    /// `mfence` and kin.
    pub(crate) fn fence_memory(&mut self, kind: Fence) {
        let which = match kind {
            Fence::Load => 0xe8,
            Fence::Full => 0xf0,
            Fence::Store => 0xf8,
            // The host orders these by itself.
            Fence::Acquire | Fence::Release | Fence::AcquireRelease => return,
        };
        self.asm.plain(&[0x0f, 0xae, which]);
    }
}
