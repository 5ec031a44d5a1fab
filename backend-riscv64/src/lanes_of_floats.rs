//! Operations on packed floats, for hosts without vectors: lane by lane, in registers that are scratch within an op. Arithmetic on doubles stands in
//! [`crate::pairs`].

use hokku_ir::{Num, Op, Type, Value, VecBin, Width};

use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::float::{Compared, DENORMAL, DENORMAL_OR_NAN, DYNAMIC, copy_float, fclass, fp};
use crate::lanes::{at, count};
use crate::lower::Lowering;
use crate::places::Place;

/// The registers of operands' lanes, and of the first lane of a result: that and the next three.
const LEFT: Reg = 0;
const RIGHT: Reg = 1;
const RESULT: Reg = 2;

fn width(is_double: bool) -> Width {
    if is_double { Width::W64 } else { Width::W32 }
}

impl Lowering<'_> {
    /// `f` = a lane of the vector at `offset` in the state.
    fn load_float(&mut self, f: Reg, is_double: bool, offset: i32, lane: u32) {
        self.asm.i(if is_double { FLD } else { FLW }, f, STATE, at((offset, lane), width(is_double)));
    }

    /// Adds the classes of `floats` to those in `t`, which is fresh if they are the first.
    fn gather_classes(&mut self, t: Reg, is_first: bool, is_double: bool, floats: &[Reg]) {
        for (n, f) in floats.iter().enumerate() {
            if is_first && n == 0 {
                self.asm.word(fclass(is_double, t, *f));
            } else {
                self.asm.word(fclass(is_double, SCRATCH, *f));
                self.asm.r(OR, t, t, SCRATCH);
            }
        }
    }

    /// Ends an op whose result is in the registers from [`RESULT`] on, and goes to `to`; out of line where the classes in `t` are of `mask`.
    fn lanes_done(&mut self, dst: Value, slow: OutOfLine, is_double: bool, to: i32, t: Reg, mask: i64) {
        self.asm.i(ANDI, t, t, mask as i32);
        self.asm.branch(Branch::Ne, t, ZERO, slow.label);
        let w = width(is_double);
        for lane in 0..count(w) {
            self.asm.s(if is_double { FSD } else { FSW }, RESULT + lane as Reg, STATE, at((to, lane), w));
        }
        let place = self.place(dst);
        self.out_of_line_ends_at(slow, place, Type::V128);
    }

    pub(crate) fn lanes_of_ints(&mut self, dst: Value, a: Value, w: Width) -> bool {
        let from = self.offset_of(a);
        let x = self.temp();
        if w == Width::W64 {
            let (low, high) = self.pair_temp();
            for (lane, f) in [low, high].into_iter().enumerate() {
                self.load_lane(x, (from, lane as u32), Width::W32, true);
                self.asm.word(fp(0x68, true, DYNAMIC, f, x, 0));
                self.wide.told |= 1 << f;
            }
            self.wide.put(dst, Place::Pair(low, high));
            return true;
        }
        let to = self.wide_result(dst, Type::V128);
        for lane in 0..count(w) {
            self.load_lane(x, (from, lane), Width::W32, true);
            self.asm.word(fp(0x68, false, DYNAMIC, 0, x, 0));
            self.asm.s(FSW, 0, STATE, at((to, lane), w));
        }
        true
    }

    pub(crate) fn float_lanes(&mut self, dst: Value, op: Op, kind: VecBin, a: Value, b: Value) -> bool {
        use VecBin as B;
        let (is_double, funct7) = match kind {
            B::AddPs => (false, Some(0)),
            B::SubPs => (false, Some(4)),
            B::MulPs => (false, Some(8)),
            B::DivPs => (false, Some(12)),
            B::MinPs | B::MaxPs => (false, None),
            B::MinPd | B::MaxPd => (true, None),
            _ => return false,
        };
        let is_max = matches!(kind, B::MaxPs | B::MaxPd);
        let (oa, ob) = (self.offset_of(a), self.offset_of(b));
        let slow = self.out_of_line_wide(op);
        let to = self.lanes_result(dst);
        let t = self.temp();
        for lane in 0..count(width(is_double)) {
            let d = RESULT + lane as Reg;
            self.load_float(LEFT, is_double, oa, lane);
            self.load_float(RIGHT, is_double, ob, lane);
            let Some(funct7) = funct7 else {
                self.gather_classes(t, lane == 0, is_double, &[LEFT, RIGHT]);
                // The second of zeros, and where one is NaN.
                let (less, more) = if is_max { (RIGHT, LEFT) } else { (LEFT, RIGHT) };
                self.asm.word(fp(0x50, is_double, 1, SCRATCH, less, more.into()));
                self.asm.word(copy_float(is_double, d, LEFT));
                let chosen = self.asm.label();
                self.asm.branch(Branch::Ne, SCRATCH, ZERO, chosen);
                self.asm.word(copy_float(is_double, d, RIGHT));
                self.asm.bind(chosen);
                continue;
            };
            self.asm.word(fp(funct7, is_double, DYNAMIC, d, LEFT, RIGHT.into()));
            self.gather_classes(t, lane == 0, is_double, &[LEFT, RIGHT, d]);
        }
        let mask = if funct7.is_some() { DENORMAL_OR_NAN } else { DENORMAL };
        self.lanes_done(dst, slow, is_double, to, t, mask);
        true
    }

    pub(crate) fn lanes_of_roots(&mut self, dst: Value, op: Op, a: Value) -> bool {
        let from = self.offset_of(a);
        let slow = self.out_of_line_wide(op);
        let to = self.lanes_result(dst);
        let t = self.temp();
        for lane in 0..count(Width::W32) {
            let d = RESULT + lane as Reg;
            self.load_float(LEFT, false, from, lane);
            self.asm.word(fp(0x2c, false, DYNAMIC, d, LEFT, 0));
            self.gather_classes(t, lane == 0, false, &[LEFT, d]);
        }
        self.lanes_done(dst, slow, false, to, t, DENORMAL_OR_NAN);
        true
    }

    pub(crate) fn compared_lanes(
        &mut self,
        dst: Value,
        op: Op,
        lane: Type,
        predicate: Num,
        a: Value,
        b: Value,
    ) -> bool {
        let Some(compared) = Compared::by(predicate) else { return false };
        let is_double = lane == Type::F64;
        let w = width(is_double);
        let (oa, ob) = (self.offset_of(a), self.offset_of(b));
        let slow = self.out_of_line_wide(op);
        // In slots of its own: where an operand turns out to be denormal, both are read again.
        let to = self.wide_result(dst, Type::V128);
        let t = self.temp();
        for lane in 0..count(w) {
            self.load_float(LEFT, is_double, oa, lane);
            self.load_float(RIGHT, is_double, ob, lane);
            self.gather_classes(t, lane == 0, is_double, &[LEFT, RIGHT]);
            self.compare_floats(SCRATCH, compared, is_double, LEFT, RIGHT);
            self.store_lane(SCRATCH, (to, lane), w);
        }
        self.asm.i(ANDI, t, t, DENORMAL as i32);
        self.asm.branch(Branch::Ne, t, ZERO, slow.label);
        let place = self.place(dst);
        self.out_of_line_ends_at(slow, place, Type::V128);
        true
    }
}
