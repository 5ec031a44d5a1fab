//! Vector registers of values, on hosts with vectors, and the width of elements that is set.

use hokku_ir::{Type, Value};

use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;
use crate::places::Place;
use crate::vector_encode::*;

impl Lowering<'_> {
    /// Makes instructions act on elements of `sew`.
    pub(crate) fn set_sew(&mut self, sew: Sew) {
        if self.wide.sew != Some(sew) {
            self.asm.word(vsetivli(sew, sew.count()));
            self.wide.sew = Some(sew);
        }
    }

    /// Makes instructions act on 128 bits, of elements of any width; gives the width.
    pub(crate) fn any_sew(&mut self) -> Sew {
        if self.wide.sew.is_none() {
            self.set_sew(Sew::E64);
        }
        self.wide.sew.unwrap_or(Sew::E64)
    }

    /// [`SCRATCH`] = the address at `offset` in the state.
    pub(crate) fn state_address(&mut self, offset: i32) -> Reg {
        self.asm.i(ADDI, SCRATCH, STATE, offset);
        SCRATCH
    }

    /// A free vector register, locked.
    pub(crate) fn vector_temp(&mut self) -> Vreg {
        self.make_room_for_vector();
        let locked = self.wide.locked_vectors | self.wide.run.vectors;
        let all: Regs = VECTORS.into_iter().filter(|v| locked & 1 << v == 0).collect();
        let free = all.iter().copied().find(|v| !self.wide.holds(Place::Vector(*v)));
        let found = free.or(all.first().copied());
        let t = found.unwrap_or_else(|| panic!("an op needs more vector registers than there are"));
        for v in self.wide.held.clone() {
            if self.place(v) == Place::Vector(t) {
                let slot = self.wide_slots(Type::V128);
                let sew = self.any_sew();
                let at = self.state_address(recipe_slot_offset(slot));
                self.asm.word(vse(sew, t, at));
                self.wide.put(v, Place::Slots(slot));
            }
        }
        self.wide.locked_vectors |= 1 << t;
        t
    }

    /// The register that holds the V128 `v`, locked.
    pub(crate) fn vector(&mut self, v: Value) -> Vreg {
        let r = self.unseen_vector(v);
        if self.wide.run.vector_results & 1 << r != 0 && !self.wide.run.joined_by_other {
            self.end_run();
        }
        r
    }

    /// The same, though nobody may have looked at the result yet that is in it.
    pub(crate) fn unseen_vector(&mut self, v: Value) -> Vreg {
        match self.place(v) {
            Place::State(n) => {
                self.write_back(n);
                HOME_VECTOR + n
            }
            Place::Vector(r) => {
                self.wide.locked_vectors |= 1 << r;
                r
            }
            Place::Slots(slot) => {
                let t = self.vector_temp();
                let sew = self.any_sew();
                let at = self.state_address(recipe_slot_offset(slot));
                self.asm.word(vle(sew, t, at));
                self.free_slots(v);
                self.wide.put(v, Place::Vector(t));
                t
            }
            place => panic!("{v} is read as a vector but is {place:?}"),
        }
    }

    /// A register for the V128 result `dst`: that of the guest register which it goes to, if nothing else is still to be read there. It may be an
    /// operand's.
    pub(crate) fn vector_result(&mut self, dst: Value) -> Vreg {
        if !self.wide.run.joined_by_other
            && let Some(n) = self.goes_to(dst)
        {
            self.wide.cached[n as usize] = None;
            self.wide.put(dst, Place::Vector(HOME_VECTOR + n));
            return HOME_VECTOR + n;
        }
        let t = self.vector_temp();
        self.wide.put(dst, Place::Vector(t));
        t
    }

    /// The same for what is loaded.
    pub(crate) fn loaded_vector(&mut self, dst: Value) -> Vreg {
        if self.set_next(dst).is_some_and(|n| self.is_soon_overwritten(n)) {
            let t = self.vector_temp();
            self.wide.put(dst, Place::Vector(t));
            return t;
        }
        self.vector_result(dst)
    }

    /// The V128 `dst` is in `r`, which is from [`Self::vector_temp`].
    pub(crate) fn own_vector(&mut self, r: Vreg, dst: Value) {
        self.wide.put(dst, Place::Vector(r));
    }
}

/// A short list of registers.
type Regs = Vec<Reg>;
