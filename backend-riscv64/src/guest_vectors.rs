//! Reads and writes of guest vector registers.

use hokku_ir::{Inst, Op, Type, Upper, Value};

use crate::assign::*;
use crate::lower::Lowering;
use crate::places::{CACHED, Cached, Place, high, is_scalar, words};
use crate::vector_encode::*;

impl Lowering<'_> {
    pub(crate) fn get_vec(&mut self, dst: Value, n: u8) {
        if let Some(r) = self.pending_vector(n) {
            if self.ty(dst) == Type::V128 {
                return self.wide.put(dst, Place::Vector(r));
            }
            self.end_run();
        }
        if self.ty(dst) == Type::V256 && self.has_vectors() {
            self.see_home(n);
            self.write_back(n);
            let to = self.wide_result(dst, Type::V256);
            let sew = self.any_sew();
            let at = self.state_address(to);
            self.asm.word(vse(sew, HOME_VECTOR + n, at));
            return self.copy_words(to + 16, vector_offset(n, 2), 2);
        }
        self.wide.put(dst, Place::State(n));
    }

    /// Moves values away from guest register `n`, which is about to be written.
    fn leave_vector(&mut self, n: u8) {
        for v in self.wide.held.clone() {
            if self.place(v) != Place::State(n) || self.plan.info(v).last < self.at {
                continue;
            }
            let ty = self.ty(v);
            if is_scalar(ty) {
                let f = self.unseen_float(v);
                self.wide.put(v, Place::Float(f));
            } else if self.has_vectors() && ty == Type::V128 {
                self.see_home(n);
                self.write_back(n);
                let t = self.vector_temp();
                self.asm.word(vmv1r(t, HOME_VECTOR + n));
                self.wide.put(v, Place::Vector(t));
            } else if ty == Type::V128 {
                let (low, high) = self.unseen_pair(v);
                self.wide.put(v, Place::Pair(low, high));
            } else {
                self.write_back(n);
                let slot = self.wide_slots(ty);
                self.copy_words(recipe_slot_offset(slot), vector_offset(n, 0), words(ty));
                self.wide.put(v, Place::Slots(slot));
            }
        }
    }

    /// Values in guest registers that an op may write go elsewhere; nothing is known of those any more.
    pub(crate) fn leave_vectors(&mut self) {
        self.write_back_all();
        for n in 0..16 {
            self.leave_vector(n);
        }
        self.wide.cached = [None; CACHED as usize];
    }

    pub(crate) fn set_vec(&mut self, n: u8, ty: Type, upper: Upper, v: Value) {
        if self.place(v) != Place::State(n) || upper != Upper::Keep {
            self.leave_vector(n);
        }
        if upper == Upper::Zero256 {
            self.zero_words(vector_offset(n, 0), 2.max(words(ty))..4);
        }
        if is_scalar(ty) {
            self.free_home(n);
            self.set_lane(n, ty, upper, v);
        } else if ty == Type::V128 {
            self.set_vector(n, v);
        } else {
            self.set_double(n, v);
        }
    }

    fn set_lane(&mut self, n: u8, ty: Type, upper: Upper, v: Value) {
        let reg = self.unseen_float(v);
        let is_single = ty == Type::F32;
        let mut dirty = if upper == Upper::Keep { Upper::Keep } else { Upper::Zero128 };
        if let Some(Cached { is_single: was_single, dirty: Some(was), .. }) = self.wide.cached[n as usize]
            && dirty == Upper::Keep
        {
            if is_single && !was_single {
                self.write_lane_back(n);
            } else if was == Upper::Zero128 {
                dirty = was;
            }
        }
        if self.place(v) == Place::State(n) && dirty == Upper::Keep {
            return;
        }
        self.wide.cached[n as usize] = Some(Cached { reg, is_single, dirty: Some(dirty) });
        if dirty == Upper::Zero128 {
            self.wide.cached[high(n) as usize] = None;
        }
    }

    fn set_vector(&mut self, n: u8, v: Value) {
        let from = self.place(v);
        if from == Place::State(n) {
            return;
        }
        if self.has_vectors() && from == Place::Vector(HOME_VECTOR + n) {
            return self.wide.put(v, Place::State(n));
        }
        if self.leave_pending(n, v) {
            return;
        }
        if self.has_vectors() {
            if let Place::State(m) = from
                && self.set_vector_by_lane(n, m)
            {
                return;
            }
            let r = self.vector(v);
            if r != HOME_VECTOR + n {
                self.asm.word(vmv1r(HOME_VECTOR + n, r));
            }
            self.wide.cached[n as usize] = None;
            if let Place::State(m) = from {
                self.wide.cached[n as usize] = self.wide.cached[m as usize];
            }
            if !matches!(from, Place::State(_)) {
                self.free_slots(v);
                self.wide.put(v, Place::State(n));
            }
            return;
        }
        self.set_pair(n, v);
    }

    /// Copies guest register `m` to `n`, on a host with vectors, where its low lane is in a floating-point register, or is about to be: what is dirty
    /// there is so here. Says whether it has done so.
    fn set_vector_by_lane(&mut self, n: u8, m: u8) -> bool {
        self.see_home(m);
        let is_read = |i: &Inst| matches!(i.op, Op::GetVec { reg, ty: Type::F64, .. } if reg.0 == n || reg.0 == m);
        if self.wide.cached[m as usize].is_none() && self.block.insts[self.at as usize..].iter().any(is_read) {
            self.cached_float(m, false);
        }
        let Some(lane) = self.wide.cached[m as usize].filter(|c| !c.is_single) else { return false };
        if lane.dirty != Some(Upper::Zero128) {
            self.any_sew();
            self.asm.word(vmv1r(HOME_VECTOR + n, HOME_VECTOR + m));
        }
        self.wide.cached[n as usize] = Some(lane);
        true
    }

    /// All 256 bits of guest register `n`.
    fn set_double(&mut self, n: u8, v: Value) {
        if self.place(v) == Place::State(n) {
            return;
        }
        let from = self.offset_of(v);
        self.wide.forget_vector(n);
        self.free_home(n);
        let to = vector_offset(n, 0);
        if self.has_vectors() {
            let sew = self.any_sew();
            let at = self.state_address(from);
            self.asm.word(vle(sew, HOME_VECTOR + n, at));
            return self.copy_words(to + 16, from + 16, 2);
        }
        self.copy_words(to, from, 4);
    }
}
