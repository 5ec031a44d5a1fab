//! Loads, stores and fences.

use hokku_ir::{Addr, Align, Fence, Op, Type, Value, Width};

use crate::assign::slot_offset;
use crate::encode::{Mem, Rm, Src};
use crate::lower::Lowering;
use crate::plan::NONE;
use crate::values::Loc;
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
        if w == Width::W8
            && self.loc(root) == Loc::Deferred
            && let Some(Op::Condition { cc, f }) = self.op_at(root)
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
