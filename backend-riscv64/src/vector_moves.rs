//! Values that are not integers: where they are, and how they move.

use hokku_ir::backend::LazyState;
use hokku_ir::lowering::SLOTS;
use hokku_ir::{Addr, Align, Op, Type, Upper, Value};

use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::lower::Lowering;

/// Spill slots from here on hold such values.
const FIRST_SLOT: u8 = 16;

/// Where a value is that is not an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere.
    Nowhere,
    /// In the low part of a guest register, in the state.
    State(u8),
    /// In spill slots from that one on.
    Slots(u8),
}

/// Double words of a value of type `ty`.
fn words(ty: Type) -> u8 {
    (ty.bytes().div_ceil(8)).max(1) as u8
}

/// Whether the load or store `op` of a `ty` is one that must be aligned.
fn is_aligned(op: &Op, ty: Type) -> bool {
    let natural = matches!(op, Op::Load { align: Align::Natural, .. } | Op::Store { align: Align::Natural, .. });
    natural && matches!(ty, Type::V128 | Type::V256)
}

impl Lowering<'_> {
    fn place(&self, v: Value) -> Place {
        self.places[v.0 as usize]
    }

    fn ty(&self, v: Value) -> Type {
        self.op_of(v).result_type()
    }

    /// Fresh slots for a value of type `ty`.
    fn wide_slots(&mut self, ty: Type) -> u8 {
        let mask = (1u64 << words(ty)) - 1;
        let slot = (FIRST_SLOT..SLOTS - words(ty)).find(|s| self.wide_slots & mask << s == 0);
        let slot = slot.unwrap_or_else(|| panic!("more vectors are live than there are spill slots"));
        self.wide_slots |= mask << slot;
        slot
    }

    /// Gives slots back whose values are needed no more.
    pub(crate) fn free_wide_slots(&mut self) {
        if self.wide_slots == 0 {
            return;
        }
        for inst in &self.block.insts[..=self.at as usize] {
            let v = inst.value;
            if let Place::Slots(slot) = self.place(v)
                && self.plan.info(v).last <= self.at
            {
                self.wide_slots &= !(((1u64 << words(self.ty(v))) - 1) << slot);
                self.places[v.0 as usize] = Place::Nowhere;
            }
        }
    }

    /// Offset in the state where the words of `v` are.
    pub(crate) fn offset_of(&self, v: Value) -> i32 {
        match self.place(v) {
            Place::State(n) => vector_offset(n, 0),
            Place::Slots(slot) => slot_offset(slot),
            Place::Nowhere => panic!("{v} is read where it is not kept"),
        }
    }

    fn copy_words(&mut self, to: i32, from: i32, count: u8) {
        let t = self.temp();
        for n in 0..i32::from(count) {
            self.asm.i(LD, t, STATE, from + 8 * n);
            self.asm.s(SD, t, STATE, to + 8 * n);
        }
        self.values.unlock(t);
    }

    fn zero_words(&mut self, to: i32, range: std::ops::Range<u8>) {
        for n in range {
            self.asm.s(SD, ZERO, STATE, to + 8 * i32::from(n));
        }
    }

    pub(crate) fn pass_wide(&mut self, v: Value, to: i32) {
        let (from, ty) = (self.offset_of(v), self.ty(v));
        if ty == Type::F32 {
            let t = self.temp();
            self.asm.i(LWU, t, STATE, from);
            self.asm.s(SD, t, STATE, to);
            return self.values.unlock(t);
        }
        self.copy_words(to, from, words(ty));
    }

    /// Offset in the state of slots for the result `dst` of type `ty`.
    pub(crate) fn wide_result(&mut self, dst: Value, ty: Type) -> i32 {
        let slot = self.wide_slots(ty);
        self.places[dst.0 as usize] = Place::Slots(slot);
        slot_offset(slot)
    }

    pub(crate) fn take_wide_result(&mut self, dst: Value, ty: Type) {
        let slot = self.wide_slots(ty);
        self.copy_words(slot_offset(slot), CALLOUT_RESULT, words(ty));
        self.places[dst.0 as usize] = Place::Slots(slot);
    }

    /// Values in guest registers that an op may write go to slots.
    pub(crate) fn spill_wide_state(&mut self) {
        for n in 0..16 {
            self.leave_vector(n);
        }
    }

    /// Nothing is in floating-point registers.
    pub(crate) fn spill_floats(&mut self) {}

    /// Moves values away from vector register `n`, which is about to be written.
    fn leave_vector(&mut self, n: u8) {
        for k in 0..self.at as usize {
            let v = self.block.insts[k].value;
            if self.place(v) == Place::State(n) {
                if self.plan.info(v).last < self.at {
                    self.places[v.0 as usize] = Place::Nowhere;
                    continue;
                }
                let ty = self.ty(v);
                let slot = self.wide_slots(ty);
                self.copy_words(slot_offset(slot), vector_offset(n, 0), words(ty));
                self.places[v.0 as usize] = Place::Slots(slot);
            }
        }
    }

    pub(crate) fn get_vec(&mut self, dst: Value, n: u8) {
        self.places[dst.0 as usize] = Place::State(n);
    }

    pub(crate) fn set_vec(&mut self, n: u8, ty: Type, upper: Upper, v: Value) {
        let to = vector_offset(n, 0);
        if self.place(v) != Place::State(n) {
            self.leave_vector(n);
        }
        let from = self.offset_of(v);
        if from != to {
            if ty == Type::F32 {
                let t = self.temp();
                self.asm.i(LWU, t, STATE, from);
                self.asm.s(SW, t, STATE, to);
                self.values.unlock(t);
            } else {
                self.copy_words(to, from, words(ty));
            }
        }
        if let Place::Slots(slot) = self.place(v) {
            // From here on it is in the register.
            self.wide_slots &= !(((1u64 << words(ty)) - 1) << slot);
            self.places[v.0 as usize] = Place::State(n);
        }
        if ty == Type::F32 && upper != Upper::Keep {
            self.asm.s(SW, ZERO, STATE, to + 4);
        }
        match upper {
            Upper::Keep => {}
            Upper::Zero128 => self.zero_words(to, words(ty)..2),
            Upper::Zero256 => self.zero_words(to, words(ty)..4),
        }
    }

    pub(crate) fn load_wide(&mut self, dst: Value, op: Op, ty: Type, at: &Addr) {
        if ty == Type::F80 {
            return self.callout(dst, op);
        }
        let lazy = self.lazy();
        let slow = is_aligned(&op, ty).then(|| self.out_of_line_wide(op));
        let (base, offset) = self.sum(at);
        let (base, offset) = self.within_reach(base, offset, ty);
        let to = self.wide_result(dst, ty);
        let t = self.temp();
        if let Some(slow) = &slow {
            self.unless_aligned(slow, base, offset, ty);
        }
        for n in 0..i32::from(words(ty)) {
            self.may_fault(lazy);
            self.asm.i(if ty == Type::F32 { LWU } else { LD }, t, base, offset + 8 * n);
            self.asm.s(SD, t, STATE, to + 8 * n);
        }
        if let Some(slow) = slow {
            self.out_of_line_ends(slow, None);
        }
    }

    /// Goes out of line, where that faults, unless the address is a multiple of the size of a `ty`.
    fn unless_aligned(&mut self, slow: &OutOfLine, base: Reg, offset: i32, ty: Type) {
        let mask = ty.bytes() as i32 - 1;
        let mut from = base;
        if offset & mask != 0 {
            self.asm.i(ADDI, SCRATCH, base, offset);
            from = SCRATCH;
        }
        self.asm.i(ANDI, SCRATCH, from, mask);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
    }

    /// The same address with an offset to which the bytes of a `ty` can be added.
    fn within_reach(&mut self, base: Reg, offset: i32, ty: Type) -> (Reg, i32) {
        if offset + (ty.bytes() as i32) < 2048 {
            return (base, offset);
        }
        let t = self.temp();
        self.asm.i(ADDI, t, base, offset);
        (t, 0)
    }

    pub(crate) fn store_wide(&mut self, op: Op, ty: Type, at: &Addr, v: Value) {
        if ty == Type::F80 {
            return self.callout(v, op);
        }
        let lazy = self.lazy();
        let slow = is_aligned(&op, ty).then(|| self.out_of_line_wide(op));
        let (base, offset) = self.sum(at);
        let (base, offset) = self.within_reach(base, offset, ty);
        let from = self.offset_of(v);
        let t = self.temp();
        if let Some(slow) = &slow {
            self.unless_aligned(slow, base, offset, ty);
        }
        // The last word first: where it cannot be stored, nothing has been.
        for n in (0..i32::from(words(ty))).rev() {
            self.asm.i(LD, t, STATE, from + 8 * n);
            self.may_fault(LazyState { behind: 8 * n as u8, ..lazy });
            self.asm.s(if ty == Type::F32 { SW } else { SD }, t, base, offset + 8 * n);
        }
        if let Some(slow) = slow {
            self.out_of_line_ends(slow, None);
        }
    }

    /// Integers and vectors of the same bits.
    pub(crate) fn bitcast(&mut self, dst: Value, op: Op, from: Type, to: Type, v: Value) {
        use hokku_ir::lowering::UpperBits;
        match (from.width(), to.width()) {
            (Some(_), None) => {
                let r = self.zero_extended(v);
                let slot = self.wide_slots(to);
                self.asm.s(SD, r, STATE, slot_offset(slot));
                self.places[dst.0 as usize] = Place::Slots(slot);
            }
            (None, Some(w)) => {
                let offset = self.offset_of(v);
                let d = self.result(dst);
                let is_whole = w == hokku_ir::Width::W64;
                self.asm.i(if is_whole { LD } else { LWU }, d, STATE, offset);
                self.done(dst, if is_whole { UpperBits::BOTH } else { UpperBits::ZERO });
            }
            _ => self.callout(dst, op),
        }
    }

    /// `a op b` bit by bit; `not_a` complements `a` first.
    pub(crate) fn vec_bitwise(&mut self, dst: Value, ty: Type, op: R, not_a: bool, a: Value, b: Value) {
        let (from_a, from_b) = (self.offset_of(a), self.offset_of(b));
        let to = self.wide_result(dst, ty);
        let t = self.temp();
        for n in 0..i32::from(words(ty)) {
            self.asm.i(LD, t, STATE, from_a + 8 * n);
            if not_a {
                self.asm.i(XORI, t, t, -1);
            }
            self.asm.i(LD, SCRATCH, STATE, from_b + 8 * n);
            self.asm.r(op, t, t, SCRATCH);
            self.asm.s(SD, t, STATE, to + 8 * n);
        }
    }

    pub(crate) fn vec_const(&mut self, dst: Value, ty: Type, bit: bool) {
        let to = self.wide_result(dst, ty);
        let r = if bit { self.constant(-1) } else { ZERO };
        for n in 0..i32::from(words(ty)) {
            self.asm.s(SD, r, STATE, to + 8 * n);
        }
    }

    /// `v` of type `from` in the low part of a `ty`, zeros above.
    pub(crate) fn vec_zero_extend(&mut self, dst: Value, from: Type, ty: Type, v: Value) {
        let source = self.offset_of(v);
        let to = self.wide_result(dst, ty);
        if from == Type::F32 {
            let t = self.temp();
            self.asm.i(LWU, t, STATE, source);
            self.asm.s(SD, t, STATE, to);
        } else {
            self.copy_words(to, source, words(from));
        }
        self.zero_words(to, words(from)..words(ty));
    }

    /// `a` with its low lane replaced.
    pub(crate) fn vec_merge_low(&mut self, dst: Value, ty: Type, a: Value, low: Value) {
        let (from, lane) = (self.offset_of(a), self.offset_of(low));
        let to = self.wide_result(dst, Type::V128);
        self.copy_words(to, from, 2);
        let t = self.temp();
        let (load, store) = if ty == Type::F32 { (LWU, SW) } else { (LD, SD) };
        self.asm.i(load, t, STATE, lane);
        self.asm.s(store, t, STATE, to);
    }

    pub(crate) fn vec_half(&mut self, dst: Value, ty: Type, high: bool, a: Value) {
        let half = words(ty) / 2;
        let from = self.offset_of(a) + if high { 8 * i32::from(half) } else { 0 };
        let to = self.wide_result(dst, if ty == Type::V256 { Type::V128 } else { Type::V64 });
        self.copy_words(to, from, half);
    }

    pub(crate) fn vec_join(&mut self, dst: Value, ty: Type, low: Value, high: Value) {
        let (low, high) = (self.offset_of(low), self.offset_of(high));
        let to = self.wide_result(dst, ty);
        let half = words(ty) / 2;
        self.copy_words(to, low, half);
        self.copy_words(to + 8 * i32::from(half), high, half);
    }
}
