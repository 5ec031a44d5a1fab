//! Locked instructions, by FEAT_LSE or by pairs of exclusive accesses.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Addr, AtomicOp, Value, Width};

use crate::Features;
use crate::access::Lse;
use crate::asm::{Cc, Label, Size};
use crate::assign::{SCRATCH, TARGET, ZERO};
use crate::immediate::bitmask;
use crate::integer::{Logic, Sum};
use crate::lower::Lowering;

impl Lowering<'_> {
    /// `atomic_rmw`.
    pub(crate) fn atomic_modify(&mut self, dst: Value, op: AtomicOp, w: Width, at: Addr, v: Value) {
        let operand = self.reg(v);
        let r = self.address(at);
        let at_once = self.features.contains(Features::LSE) && op != AtomicOp::Neg;
        let status = if at_once { ZERO } else { self.temp() };
        let done = self.unless_aligned(r, w);
        if at_once {
            self.modify_at_once(op, w, operand, r);
        } else {
            self.modify_exclusively(op, w, operand, r, status);
        }
        self.after_atomic(dst, done, w);
    }

    /// The old value goes to [`TARGET`].
    fn modify_at_once(&mut self, op: AtomicOp, w: Width, operand: u8, r: u8) {
        let (lse, operand) = match op {
            AtomicOp::Xchg => (Lse::Swp, operand),
            AtomicOp::Add => (Lse::Add, operand),
            AtomicOp::Or => (Lse::Set, operand),
            AtomicOp::Xor => (Lse::Eor, operand),
            AtomicOp::Sub => {
                self.asm.add(Sum::Sub, Size::of(w), SCRATCH, ZERO, operand);
                (Lse::Add, SCRATCH)
            }
            AtomicOp::And | AtomicOp::Neg => {
                self.asm.logic(Logic::Orn, Size::of(w), SCRATCH, ZERO, operand);
                (Lse::Clr, SCRATCH)
            }
        };
        self.fault_site();
        self.asm.lse(lse, w as u8, operand, TARGET, r);
    }

    /// The same by exclusive accesses, and a barrier, since those order less.
    fn modify_exclusively(&mut self, op: AtomicOp, w: Width, operand: u8, r: u8, status: u8) {
        let size = Size::of(w);
        let again = self.asm.here();
        self.fault_site();
        self.asm.load_exclusive(w as u8, TARGET, r);
        match op {
            AtomicOp::Xchg => self.asm.mov(size, SCRATCH, operand),
            AtomicOp::Add => self.asm.add(Sum::Add, size, SCRATCH, TARGET, operand),
            AtomicOp::Sub => self.asm.add(Sum::Sub, size, SCRATCH, TARGET, operand),
            AtomicOp::Or => self.asm.logic(Logic::Orr, size, SCRATCH, TARGET, operand),
            AtomicOp::Xor => self.asm.logic(Logic::Eor, size, SCRATCH, TARGET, operand),
            AtomicOp::And => self.asm.logic(Logic::And, size, SCRATCH, TARGET, operand),
            AtomicOp::Neg => self.asm.add(Sum::Sub, size, SCRATCH, ZERO, TARGET),
        }
        self.fault_site();
        self.asm.store_exclusive(w as u8, status, SCRATCH, r);
        self.asm.cbnz(Size::W, status, again);
        self.asm.dmb_all();
    }

    /// `atomic_cas`.
    pub(crate) fn compare_exchange(&mut self, dst: Value, w: Width, at: Addr, expected: Value, new: Value) {
        let at_once = self.features.contains(Features::LSE);
        let e = if at_once { self.reg(expected) } else { self.zero_extended(expected, w) };
        let n = self.reg(new);
        let r = self.address(at);
        let status = if at_once { ZERO } else { self.temp() };
        let done = self.unless_aligned(r, w);
        if at_once {
            self.asm.mov(Size::X, TARGET, e);
            self.fault_site();
            self.asm.cas(w as u8, TARGET, n, r);
        } else {
            let again = self.asm.here();
            self.fault_site();
            self.asm.load_exclusive(w as u8, TARGET, r);
            self.asm.add(Sum::Subs, Size::of(w), ZERO, TARGET, e);
            // The old value is written back: memory that must not be written faults in any case.
            self.asm.csel(Size::of(w), SCRATCH, n, TARGET, Cc::Eq);
            self.fault_site();
            self.asm.store_exclusive(w as u8, status, SCRATCH, r);
            self.asm.cbnz(Size::W, status, again);
            self.asm.dmb_all();
        }
        self.after_atomic(dst, done, w);
    }

    /// Where the address in `r` is not a multiple of the width's bytes the runtime does it. Gives where that comes back.
    fn unless_aligned(&mut self, r: u8, w: Width) -> Label {
        let done = self.asm.label();
        if let Some(bits) = bitmask(Size::X, u64::from(w.bytes()) - 1) {
            let operands = self.operands_at_hand();
            let slow = self.asm.label();
            self.asm.logic_bits(Logic::And, Size::X, SCRATCH, r, bits);
            self.asm.cbnz(Size::X, SCRATCH, slow);
            self.evaluate_at(slow, done, TARGET, operands);
        }
        done
    }

    /// The old value is in [`TARGET`].
    fn after_atomic(&mut self, dst: Value, done: Label, w: Width) {
        self.asm.bind(done);
        self.compared = None;
        if self.plan.info(dst).uses > 0 {
            let d = self.dest(dst);
            self.asm.mov(Size::of(w), d, TARGET);
            self.define(dst, UpperBits::ZERO);
        }
    }
}
