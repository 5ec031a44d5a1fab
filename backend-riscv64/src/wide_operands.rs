//! Operands and results, which are no integers, of ops that the runtime evaluates.

use hokku_ir::{Type, Value};

use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;
use crate::places::{Place, is_scalar, words};
use crate::vector_encode::*;

impl Lowering<'_> {
    /// Stores `v` at `to` in the state.
    pub(crate) fn pass_wide(&mut self, v: Value, to: i32) {
        let ty = self.ty(v);
        let place = self.wide_source(v);
        self.store_source(place, ty, to);
    }

    /// Where `v` is, as code out of line may find it.
    pub(crate) fn wide_source(&mut self, v: Value) -> Place {
        let ty = self.ty(v);
        match self.place(v) {
            Place::State(n) if !is_scalar(ty) => {
                self.see_home(n);
                self.write_back(n);
                if self.has_vectors() { Place::Vector(HOME_VECTOR + n) } else { Place::State(n) }
            }
            Place::State(_) | Place::Float(_) => Place::Float(self.float(v)),
            Place::Vector(r) => {
                if self.wide.run.vector_results & 1 << r != 0 {
                    self.end_run();
                }
                Place::Vector(r)
            }
            Place::Pair(low, high) => {
                self.see_pair(low, high);
                self.wide.locked_floats |= 1 << low | 1 << high;
                Place::Pair(low, high)
            }
            place => place,
        }
    }

    /// Stores what is at `place` at `to` in the state. Changes [`SCRATCH`].
    pub(crate) fn store_source(&mut self, place: Place, ty: Type, to: i32) {
        let from = match place {
            Place::Float(f) if ty == Type::F32 => {
                self.asm.s(SW, ZERO, STATE, to + 4);
                return self.asm.s(FSW, f, STATE, to);
            }
            Place::Float(f) => return self.asm.s(FSD, f, STATE, to),
            Place::Vector(r) => {
                let sew = self.any_sew();
                let at = self.state_address(to);
                return self.asm.word(vse(sew, r, at));
            }
            Place::Pair(low, high) => {
                self.asm.s(FSD, low, STATE, to);
                return self.asm.s(FSD, high, STATE, to + 8);
            }
            Place::State(n) => vector_offset(n, 0),
            Place::Slots(slot) => recipe_slot_offset(slot),
            Place::Nowhere => panic!("an operand is read where it is not kept"),
        };
        for word in 0..i32::from(words(ty)) {
            self.asm.i(if ty == Type::F32 { LWU } else { LD }, SCRATCH, STATE, from + 8 * word);
            self.asm.s(SD, SCRATCH, STATE, to + 8 * word);
        }
    }

    /// A place for the result `dst` of type `ty`, for [`Self::load_result`].
    pub(crate) fn place_result(&mut self, dst: Value, ty: Type) -> Place {
        if is_scalar(ty) {
            self.float_result(dst);
        } else if ty == Type::V128 && self.has_vectors() {
            let r = self.vector_temp();
            self.own_vector(r, dst);
        } else {
            self.wide_result(dst, ty);
        }
        self.place(dst)
    }

    /// Loads a callout's result of type `ty` to `place`. Changes [`SCRATCH`].
    pub(crate) fn load_result(&mut self, place: Place, ty: Type) {
        match place {
            Place::Float(f) => self.asm.i(if ty == Type::F32 { FLW } else { FLD }, f, STATE, CALLOUT_RESULT),
            Place::Vector(r) => {
                let sew = self.any_sew();
                let at = self.state_address(CALLOUT_RESULT);
                self.asm.word(vle(sew, r, at));
            }
            Place::Pair(low, high) => {
                self.asm.i(FLD, low, STATE, CALLOUT_RESULT);
                self.asm.i(FLD, high, STATE, CALLOUT_RESULT + 8);
            }
            Place::Slots(slot) => {
                for word in 0..i32::from(words(ty)) {
                    self.asm.i(LD, SCRATCH, STATE, CALLOUT_RESULT + 8 * word);
                    self.asm.s(SD, SCRATCH, STATE, recipe_slot_offset(slot) + 8 * word);
                }
            }
            Place::State(n) => {
                for word in 0..words(ty) {
                    self.asm.i(LD, SCRATCH, STATE, CALLOUT_RESULT + 8 * i32::from(word));
                    self.asm.s(SD, SCRATCH, STATE, vector_offset(n, word.into()));
                }
            }
            Place::Nowhere => panic!("a result has no place"),
        }
    }
}
