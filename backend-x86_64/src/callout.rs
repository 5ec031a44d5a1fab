//! Ops that the runtime evaluates: operands go to memory, the shared stub saves guest state and calls.

use hokku_ir::backend::{Callout, LazyState, Relocation, StubId};
use hokku_ir::{Align, Effects, Gpr, Op, Type, Value, Width};

use crate::assign::{CALLOUT_RESULT, callout_arg_offset, slot_offset};
use crate::encode::{Mem, Rm, Src};
use crate::lower::Lowering;
use crate::values::Loc;

impl Lowering<'_> {
    /// Lowers `op`, whose result is `dst`, by a callout.
    pub(crate) fn callout(&mut self, dst: Value, op: Op) {
        self.call_out(op);
        let slot = match op.result_type() {
            Type::Void => return,
            Type::V128 => self.result_slots(2),
            Type::V256 => self.result_slots(4),
            _ => self.result_slots(1),
        };
        if self.vals[dst.0 as usize].uses == 0 {
            self.freed_slots.push((slot, 1));
        } else if op.result_type() == Type::Flags {
            self.vals[dst.0 as usize].loc = Loc::Flags;
            self.saved_flags.push((dst, slot));
        } else {
            self.vals[dst.0 as usize].loc = Loc::Slot(slot);
        }
    }

    /// The deferred flags op `op` of value `f`.
    pub(crate) fn flags_by_callout(&mut self, f: Value, op: Op) {
        self.callout(f, op);
        self.need_flags(f);
    }

    /// Copies the result of a callout to fresh slots.
    fn result_slots(&mut self, words: u8) -> u8 {
        let slot = self.take_slot(words);
        let t = self.temp();
        for n in 0..i32::from(words) {
            self.asm.mov(Width::W64, t, Mem::state(CALLOUT_RESULT + 8 * n));
            self.asm.mov(Width::W64, Mem::state(slot_offset(slot) + 8 * n), t);
        }
        self.unlock(t);
        slot
    }

    fn call_out(&mut self, op: Op) {
        // Registers that an instruction around this op, which is computed for it, has filled already.
        let mut held: Vec<(u8, u8)> = Vec::new();
        for r in self.temporaries {
            if self.locked & 1 << r != 0 {
                held.push((*r, self.take_slot(1)));
            }
        }
        for (r, slot) in &held {
            self.asm.mov(Width::W64, Mem::state(slot_offset(*slot)), *r);
        }
        self.locked = 0;
        self.call_stub(op);
        for (r, slot) in held {
            self.asm.mov(Width::W64, r, Mem::state(slot_offset(slot)));
            self.freed_slots.push((slot, 1));
            self.lock(r);
        }
    }

    fn call_stub(&mut self, op: Op) {
        let mut operands = Vec::new();
        let mut numbered = op;
        numbered.map_values(&mut |v| {
            operands.push(v);
            Value(operands.len() as u32 - 1)
        });
        // A fault shows the flags from before this op, even where it replaces them all.
        let fx = op.effects();
        let outer = std::mem::replace(&mut self.fault_follows, fx.contains(Effects::may_fault));
        for v in &operands {
            self.force(*v);
            if self.val(*v).ty == Type::Flags {
                self.prepare_flags(*v);
            }
        }
        for (n, v) in operands.iter().enumerate() {
            self.pass_operand(n, *v);
            // What one operand needed is free for the next.
            self.locked = 0;
            self.vec_locked = 0;
        }
        self.consume_inst(self.cur);
        self.settle_for_stub(&op);
        self.fault_follows = outer;
        self.call_stub_now(numbered);
        if fx.contains(Effects::writes_state) {
            let new = self.new_flags();
            self.guest_flags = new;
            self.flags_are(Some(new));
        }
    }

    /// Brings everything to where the callout stub expects it.
    pub(crate) fn settle_for_stub(&mut self, op: &Op) {
        self.flush_stack();
        let fx = op.effects();
        if fx.contains(Effects::writes_state) {
            Gpr::ALL.iter().for_each(|g| self.evict(*g));
            (0..16).for_each(|n| self.evict_vec(n));
        }
        self.before_fault();
        if let Some(f) = self.eflags
            && fx.contains(Effects::writes_state)
        {
            // The stub loads new flags.
            self.keep_flags_values(f);
        }
        for r in self.temporaries {
            self.spill_temp(*r);
        }
        for r in crate::assign::pinned_vectors(self.mode)..16 {
            self.spill_vec_temp(r);
        }
    }

    /// The call alone, of `op` with its operands `numbered`; after [`Self::settle_for_stub`].
    pub(crate) fn call_stub_now(&mut self, numbered: Op) {
        (self.r15_copy, self.rcx_copy) = (None, None);
        self.asm.count += 1;
        self.asm.bytes(&[0xe8]);
        let offset = self.asm.offset();
        self.out.relocations.push(Relocation { offset, stub: StubId::Callout });
        self.asm.bytes(&[0; 4]);
        self.out.callouts.push(Callout {
            offset: self.asm.offset(),
            op: numbered,
            pc: self.pc,
            lazy: LazyState::default(),
        });
    }

    /// Stores operand `n`, zero-extended to 64 bits if it is an integer.
    fn pass_operand(&mut self, n: usize, v: Value) {
        let to = Mem::state(callout_arg_offset(n));
        let ty = self.val(v).ty;
        match (ty, ty.width()) {
            (_, Some(w)) => match self.constant_of(v) {
                Some(n) if i32::try_from(n as i64).is_ok() => self.asm.mov(Width::W64, to, Src::Imm(n as i32)),
                _ => {
                    let s = self.src(v, w);
                    let t = match s {
                        Src::Reg(r) if r & crate::encode::HIGH != 0 => self.copy_src(s, w),
                        Src::Reg(r) => {
                            let t = self.temp();
                            self.asm.movzx(w, t, Rm::Reg(r));
                            t
                        }
                        Src::Mem(m) => {
                            let t = self.temp();
                            self.asm.movzx(w, t, Rm::Mem(m));
                            t
                        }
                        s => self.copy_src(s, w),
                    };
                    self.asm.mov(Width::W64, to, t);
                }
            },
            (Type::Flags, _) => {
                let t = self.flags_to_reg(v);
                self.asm.mov(Width::W64, to, t);
            }
            (Type::V256, _) if !self.avx() => {
                if let Loc::Slot(slot) = self.loc(v) {
                    let t = self.vec_temp();
                    for half in 0..2 {
                        self.vec_copy_from(t, Rm::Mem(Mem::state(slot_offset(slot) + 16 * half)), Type::V128);
                        self.store_vec(to.plus(16 * half), t, Type::V128, Align::Any);
                    }
                }
            }
            _ => {
                let r = self.vec_reg(v, ty);
                let whole = if ty == Type::V256 { ty } else { Type::V128 };
                self.store_vec(to, r, whole, Align::Any);
            }
        }
    }
}
