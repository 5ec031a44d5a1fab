//! The guest's stack pointer, which moves all the time and mostly by constants.
//!
//! Its host register is brought up to date only where that is needed: at a block's end, and for an instruction that reads or writes it as a
//! register. In between, guest rsp is the register plus [`Asm::stack_delta`](crate::encode::Asm::stack_delta), and values that are rsp plus a
//! constant are [`Loc::Stack`]: a push is a store, a pop a load. An instruction that faults meanwhile tells the runtime what the register lacks
//! ([`FaultSite::stack_delta`](hokku_ir::backend::FaultSite)).

use hokku_ir::{Addr, Gpr, Value, Width};

use crate::assign::R13;
use crate::encode::{Mem, Src};
use crate::lower::Lowering;
use crate::values::Loc;

impl Lowering<'_> {
    /// Makes the register of rsp hold what it should.
    #[inline]
    pub(crate) fn flush_stack(&mut self) {
        if self.asm.stack_delta != 0 {
            self.move_stack();
        }
    }

    #[inline(never)]
    fn move_stack(&mut self) {
        let delta = self.asm.stack_delta;
        self.evict_named(Gpr::Rsp);
        self.asm.lea(self.mode.word(), R13, Mem::plain(R13, delta));
        self.asm.stack_delta = 0;
        let list = std::mem::take(&mut self.aliases[Gpr::Rsp.index()]);
        for v in &list {
            if let Loc::Stack(offset) = &mut self.vals[v.0 as usize].loc {
                *offset -= delta;
            }
        }
        self.aliases[Gpr::Rsp.index()] = list;
    }

    /// `v` is rsp's register plus `offset`.
    pub(crate) fn define_stack(&mut self, v: Value, offset: i32) {
        self.define_alias(v, Loc::Stack(offset), Gpr::Rsp);
    }

    /// A value at `offset` from rsp's register, as an operand.
    pub(crate) fn stack_src(&mut self, offset: i32) -> Src {
        let named = self.locked & 1 << R13 != 0;
        if offset != 0 && offset == self.asm.stack_delta && !named {
            self.flush_stack();
        } else if offset != 0 {
            let t = self.temp();
            self.asm.lea(self.mode.word(), t, Mem::plain(R13, offset));
            return Src::Reg(t);
        }
        self.lock(R13);
        Src::Reg(R13)
    }

    /// If `at` is rsp plus a constant: that constant, from rsp's register.
    pub(crate) fn stack_offset(&self, at: &Addr) -> Option<i32> {
        let (Some(base), None) = (at.base, at.index) else { return None };
        let Loc::Stack(offset) = self.loc(base) else { return None };
        (at.width == self.mode.word()).then(|| i32::try_from(at.disp.checked_add(offset.into())?).ok()).flatten()
    }

    /// The sum of `a` and the constant `b`, or the difference, as an offset from rsp's register, if it is one.
    pub(crate) fn stack_sum(&self, w: Width, a: Value, b: Value, subtract: bool) -> Option<i32> {
        let (Loc::Stack(offset), Some(n)) = (self.loc(a), self.constant_of(b)) else { return None };
        if w != self.mode.word() {
            return None;
        }
        let n = if w == Width::W32 { i64::from(n as i32) } else { n as i64 };
        let n = if subtract { n.checked_neg()? } else { n };
        i32::try_from(n.checked_add(offset.into())?).ok()
    }
}
