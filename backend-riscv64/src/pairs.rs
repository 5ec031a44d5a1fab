//! Vectors of two doubles in floating-point registers, for hosts without vectors: moves and shuffles of doubles, and arithmetic, which joins runs.
//!
//! Loads give pairs. What works on other lanes takes vectors from memory, and has pairs written there.

use hokku_ir::backend::LazyState;
use hokku_ir::{Op, Type, Upper, Value, VecBin, VecUn};

use crate::assign::*;
use crate::encode::*;
use crate::float::{DYNAMIC, fp};
use crate::lower::Lowering;
use crate::places::{Cached, Place, high};
use crate::vector_moves::float_of_int;

/// What `op` is of operations on pairs: the host instruction's funct7.
fn funct7(op: &Op) -> Option<u32> {
    use VecBin as B;
    match *op {
        Op::VecBinary { op: B::AddPd, ty: Type::V128, .. } => Some(0),
        Op::VecBinary { op: B::SubPd, ty: Type::V128, .. } => Some(4),
        Op::VecBinary { op: B::MulPd, ty: Type::V128, .. } => Some(8),
        Op::VecBinary { op: B::DivPd, ty: Type::V128, .. } => Some(12),
        Op::VecUnary { op: VecUn::SqrtPd, ty: Type::V128, .. } => Some(0x2c),
        _ => None,
    }
}

/// Whether `op` may become part of a run of a host without vectors.
pub(crate) fn is_member(op: &Op) -> bool {
    funct7(op).is_some()
}

impl Lowering<'_> {
    /// The high double of guest register `n` in a register.
    fn cached_high(&mut self, n: u8) -> Reg {
        if let Some(c) = self.wide.cached[high(n) as usize] {
            return c.reg;
        }
        if self.wide.cached[n as usize].is_some_and(|c| c.is_single) {
            self.write_lane_back(n);
        }
        let f = self.float_temp();
        let mut dirty = None;
        match &mut self.wide.cached[n as usize] {
            Some(low) if low.dirty == Some(Upper::Zero128) => {
                low.dirty = Some(Upper::Keep);
                dirty = Some(Upper::Keep);
                self.asm.word(float_of_int(false, f, ZERO));
                self.wide.told |= 1 << f;
            }
            _ => self.asm.i(FLD, f, STATE, vector_offset(n, 1)),
        }
        self.wide.cached[high(n) as usize] = Some(Cached { reg: f, is_single: false, dirty });
        f
    }

    /// The register that holds a double of the V128 `v`, the high or the low one, locked. Nobody may have looked at it yet.
    fn unseen_half(&mut self, v: Value, is_high: bool) -> Reg {
        let f = match self.place(v) {
            Place::Pair(_, f) if is_high => f,
            Place::Pair(f, _) => f,
            Place::State(n) if is_high => self.cached_high(n),
            Place::State(n) => self.cached_float(n, false),
            Place::Slots(slot) => {
                let f = self.float_temp();
                self.asm.i(FLD, f, STATE, recipe_slot_offset(slot) + 8 * i32::from(is_high));
                f
            }
            place => panic!("{v} is read as two doubles but is {place:?}"),
        };
        self.wide.locked_floats |= 1 << f;
        f
    }

    /// The registers that hold the V128 `v`, locked. Nobody may have looked at them yet.
    pub(crate) fn unseen_pair(&mut self, v: Value) -> (Reg, Reg) {
        let pair = (self.unseen_half(v, false), self.unseen_half(v, true));
        if let Place::Slots(_) = self.place(v) {
            self.free_slots(v);
            self.wide.put(v, Place::Pair(pair.0, pair.1));
        }
        pair
    }

    /// The same, looked at.
    pub(crate) fn pair(&mut self, v: Value) -> (Reg, Reg) {
        let (low, high) = self.unseen_pair(v);
        self.see_pair(low, high);
        (low, high)
    }

    /// What is in two registers has been looked at from here on.
    pub(crate) fn see_pair(&mut self, low: Reg, high: Reg) {
        if self.wide.run.results & (1 << low | 1 << high) != 0 {
            self.end_run();
        }
    }

    /// Two free registers, locked.
    pub(crate) fn pair_temp(&mut self) -> (Reg, Reg) {
        (self.float_temp(), self.float_temp())
    }

    /// Offset in the state for the V128 `v`, which is in two registers, and is there from here on.
    pub(crate) fn write_pair(&mut self, v: Value, low: Reg, high_double: Reg) -> i32 {
        self.see_pair(low, high_double);
        let is = |c: Option<Cached>, f: Reg| c.is_some_and(|c| c.is(f, false));
        let cached = &self.wide.cached;
        let home = (0..16u8).find(|n| is(cached[*n as usize], low) && is(cached[high(*n) as usize], high_double));
        if let Some(n) = home {
            self.write_back(n);
            self.wide.put(v, Place::State(n));
            return vector_offset(n, 0);
        }
        let slot = self.wide_slots(Type::V128);
        let to = recipe_slot_offset(slot);
        self.store_source(Place::Pair(low, high_double), Type::V128, to);
        self.wide.put(v, Place::Slots(slot));
        to
    }

    /// The low 128 bits of guest register `n` become `v`, which is not there.
    pub(crate) fn set_pair(&mut self, n: u8, v: Value) {
        let (lane, above) = (n as usize, high(n) as usize);
        if let Place::State(m) = self.place(v)
            && let Some(low) = self.wide.cached[m as usize]
            && low.dirty == Some(Upper::Zero128)
        {
            self.wide.cached[lane] = Some(low);
            self.wide.cached[above] = None;
            return;
        }
        let (low, high_double) = self.unseen_pair(v);
        let cached = |reg: Reg| Some(Cached { reg, is_single: false, dirty: Some(Upper::Keep) });
        self.wide.cached[lane] = cached(low);
        self.wide.cached[above] = cached(high_double);
    }

    /// Lowers the V128 `dst` of two doubles of vectors, each the high or the low one.
    pub(crate) fn pair_of_halves(&mut self, dst: Value, low: (Value, bool), high: (Value, bool)) {
        let (low, high) = (self.unseen_half(low.0, low.1), self.unseen_half(high.0, high.1));
        self.wide.put(dst, Place::Pair(low, high));
    }

    /// Lowers the V128 `dst` of two scalars of 64 bits.
    pub(crate) fn pair_of_scalars(&mut self, dst: Value, low: Value, high: Value) {
        let (low, high) = (self.unseen_float(low), self.unseen_float(high));
        self.wide.put(dst, Place::Pair(low, high));
    }

    /// Lowers the V128 `dst` of a scalar of 64 bits and the high double of `a`.
    pub(crate) fn pair_with_low(&mut self, dst: Value, low: Value, a: Value) {
        let (low, high) = (self.unseen_float(low), self.unseen_half(a, true));
        self.wide.put(dst, Place::Pair(low, high));
    }

    /// Lowers the scalar `dst`, a double of `a`.
    pub(crate) fn half_of_pair(&mut self, dst: Value, a: Value, is_high: bool) {
        let f = self.unseen_half(a, is_high);
        self.own_float(f, dst);
    }

    /// A register that holds zero, locked.
    pub(crate) fn float_zero(&mut self) -> Reg {
        let f = self.float_temp();
        self.asm.word(float_of_int(false, f, ZERO));
        self.wide.told |= 1 << f;
        f
    }

    /// Ends the run if there are not enough registers beside it for `operands` and a result.
    pub(crate) fn make_room_for_pairs(&mut self, operands: &[Value]) {
        let in_run = |l: &Self, f: Option<Reg>| f.is_some_and(|f| l.wide.run.registers & 1 << f != 0);
        let mut others = 0;
        for v in operands {
            let (low, high) = match self.place(*v) {
                Place::Pair(low, high) => (Some(low), Some(high)),
                Place::State(n) => [n, high(n)].map(|n| self.wide.cached[n as usize].map(|c| c.reg)).into(),
                _ => (None, None),
            };
            others += usize::from(!in_run(self, low)) + usize::from(!in_run(self, high));
        }
        if self.wide.run.registers.count_ones() as usize + others + 2 > FLOATS.len() {
            self.end_run();
        }
    }

    /// Lowers `op`, arithmetic on doubles: it joins the run. False: it is something else.
    pub(crate) fn pair_arith(&mut self, dst: Value, op: Op) -> bool {
        let Some(funct7) = funct7(&op) else { return false };
        let mut values = Vec::new();
        op.values(&mut |v| values.push(v));
        self.make_room_for_pairs(&values);
        let pairs: Vec<(Reg, Reg)> = values.iter().map(|v| self.unseen_pair(*v)).collect();
        let (low, high) = self.pair_temp();
        self.wide.put(dst, Place::Pair(low, high));
        self.start_run();
        let mut member = self.out_of_line_in(op, Vec::new(), LazyState::default());
        member.takes(pairs.iter().map(|p| Place::Pair(p.0, p.1)), Type::V128);
        member.gives(Place::Pair(low, high), Type::V128);
        let lanes = [(low, pairs.iter().map(|p| p.0).collect()), (high, pairs.iter().map(|p| p.1).collect())];
        let lanes: [(Reg, Vec<Reg>); 2] = lanes;
        for (d, operands) in lanes {
            let second = operands.get(1).map_or(0, |f| u32::from(*f));
            self.asm.word(fp(funct7, true, DYNAMIC, d, operands[0], second));
            self.join_lane(&op, &operands, Type::F64, Some((d, Type::F64)));
        }
        self.wide.run.members.push(member);
        true
    }
}
