//! Where values are that are not integers: guest registers, floating-point registers, vector registers, spill slots.
//!
//! Guest vector registers are in the state, or on hosts with vectors, in vector registers (their low 128 bits). Scalars are computed in floating-point
//! registers. What the guest writes of them stays there, *dirty*, until something may look at the guest register: an access to memory, a callout, the
//! block's end. Ways out of line write it where it belongs.

use hokku_ir::lowering::SLOTS;
use hokku_ir::{Addr, Op, Type, Upper, Value};

use crate::Features;
use crate::assign::*;
use crate::encode::*;
use crate::float_runs::FloatRun;
use crate::lower::Lowering;
use crate::vector_encode::*;

/// Spill slots from here on hold such values.
const FIRST_SLOT: u8 = 16;

/// Where a value is that is not an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere.
    Nowhere,
    /// In the low part of a guest register.
    State(u8),
    /// In spill slots from that one on.
    Slots(u8),
    /// In a floating-point register: F32, F64 and V64.
    Float(Reg),
    /// Its low and its high double in floating-point registers: V128 on hosts without vectors.
    Pair(Reg, Reg),
    /// In a vector register: V128 on hosts with vectors.
    Vector(Vreg),
}

impl Place {
    /// Whether that is floating-point register `f`, or it is one of two.
    pub(crate) fn is_in(self, f: Reg) -> bool {
        matches!(self, Place::Float(a) if a == f) || matches!(self, Place::Pair(a, b) if a == f || b == f)
    }
}

/// Lanes of guest registers that may be in floating-point registers: the low ones, then, on hosts without vectors, the high doubles of the low 128 bits.
pub(crate) const CACHED: u8 = 32;

/// The number of the high double of guest register `n` among the lanes.
pub(crate) fn high(n: u8) -> u8 {
    16 + n
}

/// Offset in the state of lane `n`.
pub(crate) fn lane_offset(n: u8) -> i32 {
    vector_offset(n % 16, i32::from(n / 16))
}

/// A lane of a guest register, in a floating-point register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cached {
    pub(crate) reg: Reg,
    /// Whether it is a single.
    pub(crate) is_single: bool,
    /// What is still to be written to the guest register: the lane, and with `Zero128`, zeros above it; the high double is not in a register then.
    pub(crate) dirty: Option<Upper>,
}

impl Cached {
    /// Whether it is in `reg`.
    pub(crate) fn is(self, reg: Reg, is_single: bool) -> bool {
        self.reg == reg && self.is_single == is_single
    }
}

/// A dirty lane, for code out of line: its number, and what is in it.
pub(crate) type Dirty = (u8, Cached);

/// What is known of the places at hand.
#[derive(Debug)]
pub(crate) struct Places {
    /// By value number.
    of: Vec<Place>,
    slots: u64,
    pub(crate) cached: [Option<Cached>; CACHED as usize],
    /// Values that are in floating-point registers, vector registers, guest registers, slots.
    pub(crate) held: Vec<Value>,
    pub(crate) locked_floats: u32,
    pub(crate) locked_vectors: u32,
    /// Floating-point registers that hold no denormals or whose denormals the exceptions tell of already, by their bits. An operand of two is not
    /// told of: beside a NaN it is not looked at.
    pub(crate) told: u32,
    /// Addresses that are multiples of 16, with the low bits of what is added to their registers.
    pub(crate) aligned: Vec<Addr>,
    /// Registers whose numbers are no denormals and not tiny, and whether they are doubles: see [`crate::float_looks`].
    pub(crate) sound: Vec<(Reg, bool)>,
    /// Ops whose results nobody has looked at yet.
    pub(crate) run: FloatRun,
    /// Width of elements that is set.
    pub(crate) sew: Option<Sew>,
}

impl Places {
    pub(crate) fn new(count: u32) -> Places {
        Places {
            of: vec![Place::Nowhere; count as usize],
            slots: 0,
            cached: [None; CACHED as usize],
            held: Vec::new(),
            locked_floats: 0,
            locked_vectors: 0,
            told: 0,
            aligned: Vec::new(),
            sound: Vec::new(),
            run: FloatRun::default(),
            sew: None,
        }
    }

    /// A block starts: everything is where it belongs.
    pub(crate) fn start_block(&mut self) {
        let of = std::mem::take(&mut self.of);
        *self = Places { of, ..Places::new(0) };
    }

    /// Lane `n` is in `f`, and not tiny.
    pub(crate) fn keep_lane(&mut self, n: u8, f: Reg, is_single: bool) {
        self.cached[usize::from(n)] = Some(Cached { reg: f, is_single, dirty: None });
        self.told |= 1 << f;
        self.sound.push((f, !is_single));
    }

    pub(crate) fn put(&mut self, v: Value, place: Place) {
        self.of[v.0 as usize] = place;
        if !self.held.contains(&v) {
            self.held.push(v);
        }
    }

    /// What is dirty.
    pub(crate) fn dirty(&self) -> Vec<Dirty> {
        let all = self.cached.iter().enumerate();
        all.filter_map(|(n, c)| c.filter(|c| c.dirty.is_some()).map(|c| (n as u8, c))).collect()
    }

    pub(crate) fn holds(&self, place: Place) -> bool {
        self.held.iter().any(|v| self.of[v.0 as usize] == place)
    }

    /// Whether a value, or part of one, is in `f`.
    fn holds_float(&self, f: Reg) -> bool {
        self.held.iter().any(|v| self.of[v.0 as usize].is_in(f))
    }

    /// What is in guest register `n` is known no more, and what was to be written there is written no more.
    pub(crate) fn forget_vector(&mut self, n: u8) {
        self.cached[usize::from(n)] = None;
        self.cached[usize::from(high(n))] = None;
    }
}

/// Double words of a value of type `ty`.
pub(crate) fn words(ty: Type) -> u8 {
    (ty.bytes().div_ceil(8)).max(1) as u8
}

/// Whether values of type `ty` live in floating-point registers.
pub(crate) fn is_scalar(ty: Type) -> bool {
    matches!(ty, Type::F32 | Type::F64 | Type::V64)
}

/// The width of a scalar's elements.
pub(crate) fn element(is_single: bool) -> Sew {
    if is_single { Sew::E32 } else { Sew::E64 }
}

impl Lowering<'_> {
    pub(crate) fn has_vectors(&self) -> bool {
        self.has(Features::V)
    }

    pub(crate) fn place(&self, v: Value) -> Place {
        self.wide.of[v.0 as usize]
    }

    pub(crate) fn ty(&self, v: Value) -> Type {
        self.op_of(v).result_type()
    }

    /// The op at hand is done: frees what nobody needs any more.
    pub(crate) fn finish_wide(&mut self) {
        self.wide.locked_floats = 0;
        self.wide.locked_vectors = 0;
        let held = std::mem::take(&mut self.wide.held);
        for v in held {
            if self.plan.info(v).last > self.at {
                self.wide.held.push(v);
                continue;
            }
            if let Place::Slots(slot) = self.place(v) {
                self.wide.slots &= !(((1u64 << words(self.ty(v))) - 1) << slot);
            }
            self.wide.of[v.0 as usize] = Place::Nowhere;
        }
    }

    // ---- Spill slots

    /// Fresh slots for a value of type `ty`.
    pub(crate) fn wide_slots(&mut self, ty: Type) -> u8 {
        let mask = (1u64 << words(ty)) - 1;
        let slot = (FIRST_SLOT..SLOTS - words(ty)).find(|s| self.wide.slots & mask << s == 0);
        let slot = slot.unwrap_or_else(|| panic!("more vectors are live than there are spill slots"));
        self.wide.slots |= mask << slot;
        slot
    }

    /// Offset in the state of slots for the result `dst` of type `ty`.
    pub(crate) fn wide_result(&mut self, dst: Value, ty: Type) -> i32 {
        let slot = self.wide_slots(ty);
        self.wide.put(dst, Place::Slots(slot));
        recipe_slot_offset(slot)
    }

    /// Offset in the state for the V128 `dst`: that of the guest register which it goes to, if nothing else is still to be read there.
    pub(crate) fn memory_result(&mut self, dst: Value) -> i32 {
        if let Some(n) = self.goes_to(dst) {
            self.wide.forget_vector(n);
            self.wide.put(dst, Place::State(n));
            return vector_offset(n, 0);
        }
        self.wide_result(dst, Type::V128)
    }

    /// The guest register that the next op writes with the V128 `dst`, if nothing else is still to be read there.
    pub(crate) fn goes_to(&self, dst: Value) -> Option<u8> {
        self.set_next(dst).filter(|n| !self.is_home_of_run(*n))
    }

    /// The guest register that the next op writes with the V128 `dst`, if no value is still to be read there.
    pub(crate) fn set_next(&self, dst: Value) -> Option<u8> {
        let next = self.following(1)?;
        let Op::SetVec { reg, ty: Type::V128, v, .. } = next.op else { return None };
        let in_use = |v: &Value| self.place(*v) == Place::State(reg.0) && self.plan.info(*v).last > self.at;
        (v == dst && !self.wide.held.iter().any(in_use)).then_some(reg.0)
    }

    /// Offset in the state where the words of `v` are, which is no scalar, and in no vector register.
    pub(crate) fn offset_of(&mut self, v: Value) -> i32 {
        match self.place(v) {
            Place::State(n) => {
                self.write_back(n);
                vector_offset(n, 0)
            }
            Place::Slots(slot) => recipe_slot_offset(slot),
            Place::Pair(low, high) => self.write_pair(v, low, high),
            place => panic!("{v} is read in memory but is {place:?}"),
        }
    }

    pub(crate) fn copy_words(&mut self, to: i32, from: i32, count: u8) {
        let t = self.temp();
        for n in 0..i32::from(count) {
            self.asm.i(LD, t, STATE, from + 8 * n);
            self.asm.s(SD, t, STATE, to + 8 * n);
        }
        self.values.unlock(t);
    }

    pub(crate) fn zero_words(&mut self, to: i32, range: std::ops::Range<u8>) {
        for n in range {
            self.asm.s(SD, ZERO, STATE, to + 8 * i32::from(n));
        }
    }

    // ---- Floating-point registers

    /// A free one, locked. What it held is known no more.
    pub(crate) fn float_temp(&mut self) -> Reg {
        if FLOATS.iter().all(|f| (self.wide.locked_floats | self.wide.run.registers) & 1 << f != 0) {
            self.end_run_for_room();
        }
        let locked = self.wide.locked_floats | self.wide.run.registers;
        let unlocked = |_: &Self| FLOATS.into_iter().filter(|f| locked & 1 << f == 0).collect::<Regs>();
        let has_value = |l: &Self, f: Reg| l.wide.holds_float(f);
        let cached = |l: &Self, f: Reg| l.wide.cached.iter().flatten().any(|c| c.reg == f);
        let dirty = |l: &Self, f: Reg| l.wide.cached.iter().flatten().any(|c| c.reg == f && c.dirty.is_some());
        let all = unlocked(self);
        let pick = |test: &dyn Fn(Reg) -> bool| all.iter().copied().find(|f| test(*f));
        let found = pick(&|f| !has_value(self, f) && !cached(self, f))
            .or_else(|| pick(&|f| !has_value(self, f) && !dirty(self, f)))
            .or_else(|| pick(&|f| !has_value(self, f)))
            .or_else(|| pick(&|_| true));
        let f = found.unwrap_or_else(|| panic!("an op needs more floating-point registers than there are"));
        for n in 0..CACHED {
            if self.wide.cached[n as usize].is_some_and(|c| c.reg == f) {
                self.write_lane_back(n);
                self.wide.cached[n as usize] = None;
            }
        }
        for v in self.wide.held.clone() {
            let place = self.place(v);
            if place.is_in(f) {
                if let Place::Pair(low, high) = place {
                    self.see_pair(low, high);
                }
                let ty = self.ty(v);
                let slot = self.wide_slots(ty);
                self.store_source(place, ty, recipe_slot_offset(slot));
                self.wide.put(v, Place::Slots(slot));
            }
        }
        self.wide.locked_floats |= 1 << f;
        self.wide.told &= !(1 << f);
        self.wide.sound.retain(|s| s.0 != f);
        if let Some(looks) = &mut self.wide.run.looks {
            looks.forget(f);
        }
        f
    }

    /// The register that holds the scalar `v`, if one does.
    pub(crate) fn register_of(&self, v: Value) -> Option<Reg> {
        match self.place(v) {
            Place::Float(f) => Some(f),
            Place::State(n) => self.wide.cached[n as usize].map(|c| c.reg),
            _ => None,
        }
    }

    /// The register that holds the scalar `v`, locked.
    pub(crate) fn float(&mut self, v: Value) -> Reg {
        let f = self.unseen_float(v);
        if self.wide.run.results & 1 << f != 0 {
            self.end_run();
        }
        f
    }

    /// The same, though nobody may have looked at the result yet that is in it.
    pub(crate) fn unseen_float(&mut self, v: Value) -> Reg {
        let is_single = self.ty(v) == Type::F32;
        let f = match self.place(v) {
            Place::Float(f) => f,
            Place::State(n) => self.cached_float(n, is_single),
            Place::Slots(slot) => {
                let f = self.float_temp();
                self.asm.i(if is_single { FLW } else { FLD }, f, STATE, recipe_slot_offset(slot));
                self.free_slots(v);
                self.wide.put(v, Place::Float(f));
                f
            }
            place => panic!("{v} is read as a scalar but is {place:?}"),
        };
        self.wide.locked_floats |= 1 << f;
        f
    }

    pub(crate) fn free_slots(&mut self, v: Value) {
        if let Place::Slots(slot) = self.place(v) {
            self.wide.slots &= !(((1u64 << words(self.ty(v))) - 1) << slot);
        }
    }

    /// The register that holds the low double of guest register `n`, if one does.
    pub(crate) fn double_lane(&self, n: u8) -> Option<Reg> {
        self.wide.cached[n as usize].filter(|c| !c.is_single).map(|c| c.reg)
    }

    /// The low lane of guest register `n` in a register.
    pub(crate) fn cached_float(&mut self, n: u8, is_single: bool) -> Reg {
        if let Some(c) = self.wide.cached[n as usize] {
            if c.is_single == is_single {
                return c.reg;
            }
            self.write_lane_back(n);
        }
        self.see_home(n);
        let f = self.float_temp();
        if self.has_vectors() {
            self.set_sew(element(is_single));
            self.asm.word(vfmv_f_s(f, HOME_VECTOR + n));
        } else {
            self.asm.i(if is_single { FLW } else { FLD }, f, STATE, vector_offset(n, 0));
        }
        self.wide.cached[n as usize] = Some(Cached { reg: f, is_single, dirty: None });
        f
    }

    /// `f`, from [`Self::float_temp`], holds the result `dst`.
    pub(crate) fn own_float(&mut self, f: Reg, dst: Value) {
        self.wide.put(dst, Place::Float(f));
    }

    /// A register for the scalar result `dst`.
    pub(crate) fn float_result(&mut self, dst: Value) -> Reg {
        let f = self.float_temp();
        self.own_float(f, dst);
        f
    }

    /// Writes what is dirty of guest register `n`.
    pub(crate) fn write_back(&mut self, n: u8) {
        self.write_lane_back(n);
        self.write_lane_back(high(n));
    }

    /// Writes lane `n` if it is dirty.
    pub(crate) fn write_lane_back(&mut self, n: u8) {
        if self.wide.cached[n as usize].is_some_and(|c| c.dirty.is_some() && self.wide.run.results & 1 << c.reg != 0) {
            self.end_run();
        }
        if let Some(c) = &mut self.wide.cached[n as usize]
            && c.dirty.is_some()
        {
            let was = *c;
            c.dirty = None;
            self.free_home(n % 16);
            self.write_lane((n, was));
        }
    }

    /// Writes all that is dirty.
    pub(crate) fn write_back_all(&mut self) {
        for n in 0..16 {
            self.write_back(n);
        }
    }

    /// Writes `dirty`.
    pub(crate) fn write_lane(&mut self, (n, c): Dirty) {
        if n >= 16 {
            return self.asm.s(FSD, c.reg, STATE, lane_offset(n));
        }
        let clears = c.dirty != Some(Upper::Keep);
        if self.has_vectors() {
            self.set_sew(element(c.is_single));
            let home = HOME_VECTOR + n;
            let word = if clears { vx(VFSLIDE1UP, home, ZERO_VECTOR, c.reg) } else { vfmv_s_f(home, c.reg) };
            return self.asm.word(word);
        }
        let at = vector_offset(n, 0);
        self.asm.s(if c.is_single { FSW } else { FSD }, c.reg, STATE, at);
        if clears && c.is_single {
            self.asm.s(SW, ZERO, STATE, at + 4);
        }
        if clears {
            self.asm.s(SD, ZERO, STATE, at + 8);
        }
    }
}

/// A short list of registers.
type Regs = Vec<Reg>;
