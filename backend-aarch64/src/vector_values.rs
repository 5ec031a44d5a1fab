//! Where values of vector and float types are while a block's code is written.
//!
//! A register holds 128 bits. The upper half of a V256 in a guest register is in memory; others are in two registers, or in a spill slot.

use hokku_ir::lowering::Plan;
use hokku_ir::{Op, Type, Upper, Value};

use crate::access::Piece;
use crate::assign::{STATE, ZERO, vector_offset, vector_slot_offset};
use crate::lower::Lowering;

/// Registers for values.
const TEMPS: std::ops::Range<u8> = 16..32;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VecLoc {
    Nowhere,
    /// In no register yet: it is zero.
    Zero,
    Temp(u8),
    /// The halves of a V256, which may be the same.
    Pair(u8, u8),
    /// The low part of guest register `n`.
    Home(u8),
    Slot(u8),
}

/// Spill slots for values; as many behind them are for code out of line, by register.
const SPILL_SLOTS: usize = 16;

/// Where the values of the block at hand are.
#[derive(Clone, Debug)]
pub(crate) struct VectorValues {
    locs: Vec<VecLoc>,
    owner: [Option<Value>; 32],
    locked: u32,
    /// Bit for each spill slot in use.
    slots: u32,
    /// The value that is in each slot in use.
    slotted: [Value; SPILL_SLOTS],
    /// By guest register: values that are its low part.
    held: [Vec<Value>; 16],
    /// Values that are the low part of another one.
    names: Vec<(Value, Value)>,
    /// By guest register: its upper half is zero.
    pub(crate) clear_above: u16,
    /// A float that was loaded into the guest register of this number, with zeros above it.
    loaded: Option<(Value, u8)>,
    /// A float that was computed in the guest register of this number, with what was above it left there.
    merged: Option<(Value, u8)>,
}

impl VectorValues {
    pub(crate) fn new(count: u32) -> Self {
        VectorValues {
            locs: vec![VecLoc::Nowhere; count as usize],
            owner: [None; 32],
            locked: 0,
            slots: 0,
            slotted: [Value(0); SPILL_SLOTS],
            held: Default::default(),
            names: Vec::new(),
            clear_above: 0,
            loaded: None,
            merged: None,
        }
    }

    pub(crate) fn start_block(&mut self) {
        self.owner = [None; 32];
        (self.locked, self.slots, self.clear_above) = (0, 0, 0);
        self.held.iter_mut().for_each(Vec::clear);
        self.names.clear();
        self.loaded = None;
        self.merged = None;
    }

    /// The code of the op at place `at` is written: what it held and what is needed no more is free.
    pub(crate) fn finish(&mut self, plan: &Plan, at: u32) {
        self.locked = 0;
        for r in TEMPS {
            if let Some(v) = self.owner[r as usize]
                && plan.info(v).last <= at
            {
                self.owner[r as usize] = None;
                self.locs[v.0 as usize] = VecLoc::Nowhere;
            }
        }
        // Not by where values are: those of blocks before may have been in the same slots.
        let mut rest = self.slots;
        while rest != 0 {
            let slot = rest.trailing_zeros();
            rest &= rest - 1;
            let v = self.slotted[slot as usize];
            if plan.info(v).last <= at {
                self.slots &= !(1 << slot);
                self.locs[v.0 as usize] = VecLoc::Nowhere;
            }
        }
    }

    pub(crate) fn loc(&self, v: Value) -> VecLoc {
        self.locs[self.root(v).0 as usize]
    }

    /// `name`, which is not anywhere yet, is the low part of `v`.
    pub(crate) fn name_again(&mut self, name: Value, v: Value) {
        self.names.push((name, self.root(v)));
    }

    /// The value in whose place `v` is.
    pub(crate) fn root(&self, v: Value) -> Value {
        self.names.iter().find(|n| n.0 == v).map_or(v, |n| n.1)
    }

    /// Whether `v` is in guest register `n`.
    pub(crate) fn is_in_home(&self, v: Value, n: u8) -> bool {
        self.loc(v) == VecLoc::Home(n)
    }

    /// Whether guest register `n` holds a value that is needed behind place `at`.
    pub(crate) fn is_needed_in(&self, n: u8, plan: &Plan, at: u32) -> bool {
        self.held[usize::from(n)].iter().any(|v| self.loc(*v) == VecLoc::Home(n) && plan.info(*v).last > at)
    }

    /// The V128 `v` is zero.
    pub(crate) fn be_zero(&mut self, v: Value) {
        self.locs[v.0 as usize] = VecLoc::Zero;
    }

    /// All registers may be taken.
    pub(crate) fn unlock_all(&mut self) {
        self.locked = 0;
    }

    /// A spill slot for `v`.
    fn take_slot(&mut self, v: Value) -> u8 {
        let slot = (!self.slots).trailing_zeros() as u8;
        assert!(usize::from(slot) < SPILL_SLOTS, "more vectors are live than there are spill slots");
        self.slots |= 1 << slot;
        self.slotted[usize::from(slot)] = v;
        slot
    }

    /// The temporaries that hold values.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = u8> + use<> {
        let owner = self.owner;
        TEMPS.filter(move |r| owner[*r as usize].is_some())
    }

    /// `v` is in `slot`.
    pub(crate) fn in_slot(&mut self, v: Value, slot: u8) {
        self.locs[v.0 as usize] = VecLoc::Slot(slot);
    }

    pub(crate) fn lock(&mut self, reg: u8) {
        self.locked |= 1 << reg;
    }

    /// The low part of guest register `n` is `v` as well.
    pub(crate) fn hold(&mut self, n: u8, v: Value) {
        let v = self.root(v);
        self.held[usize::from(n)].push(v);
        match self.locs[v.0 as usize] {
            VecLoc::Temp(r) => self.owner[r as usize] = None,
            VecLoc::Pair(low, high) => {
                self.owner[low as usize] = None;
                self.owner[high as usize] = None;
            }
            VecLoc::Slot(slot) => self.slots &= !(1 << slot),
            VecLoc::Home(_) | VecLoc::Nowhere | VecLoc::Zero => {}
        }
        self.locs[v.0 as usize] = VecLoc::Home(n);
    }
}

impl Lowering<'_> {
    /// A vector register without a value, locked.
    pub(crate) fn vec_temp(&mut self) -> u8 {
        let free =
            TEMPS.into_iter().find(|r| self.vectors.owner[*r as usize].is_none() && self.vectors.locked & 1 << *r == 0);
        let r = free.unwrap_or_else(|| {
            if self.fail_attempt() {
                return TEMPS.start;
            }
            let loose = TEMPS.into_iter().filter(|r| self.vectors.locked & 1 << *r == 0);
            let victim = loose.max_by_key(|r| self.vectors.owner[*r as usize].map_or(0, |v| self.plan.info(v).last));
            let victim = victim.unwrap_or_else(|| panic!("the code of one op locks all vector registers"));
            self.spill_vector(victim);
            victim
        });
        self.vectors.lock(r);
        r
    }

    fn spill_vector(&mut self, reg: u8) {
        if let Some(v) = self.vectors.owner[reg as usize].take() {
            let slot = self.vectors.take_slot(v);
            if let VecLoc::Pair(low, high) = self.vectors.loc(v) {
                self.vectors.owner[low as usize] = None;
                self.vectors.owner[high as usize] = None;
                self.store_half(low, slot, 0);
                self.store_half(high, slot, 1);
            } else {
                self.store_half(reg, slot, 0);
            }
            self.vectors.in_slot(v, slot);
        }
    }

    /// Saves what a callout would lose.
    pub(crate) fn spill_vectors(&mut self) {
        if self.fail_attempt() {
            return;
        }
        TEMPS.for_each(|r| self.spill_vector(r));
    }

    /// The register with the low 128 bits of `v`, locked.
    pub(crate) fn vec_reg(&mut self, v: Value) -> u8 {
        let v = self.vectors.root(v);
        let r = match self.vectors.loc(v) {
            VecLoc::Temp(r) | VecLoc::Home(r) | VecLoc::Pair(r, _) => r,
            VecLoc::Slot(slot) => {
                let r = self.vec_temp();
                self.asm.load(Piece::Q, r, STATE, vector_slot_offset(slot));
                if self.plan.info(v).op.result_type() != Type::V256 {
                    self.vectors.slots &= !(1 << slot);
                    self.own_vec(r, v);
                }
                r
            }
            VecLoc::Zero => {
                let r = self.vec_temp();
                self.asm.vec_fill(r, false);
                self.own_vec(r, v);
                r
            }
            VecLoc::Nowhere => panic!("{v} is read where it is not kept"),
        };
        self.vectors.lock(r);
        r
    }

    /// Loads half `half` of the V256 `v` into `to`.
    pub(crate) fn load_half(&mut self, to: u8, v: Value, half: u8) {
        let offset = 16 * i32::from(half);
        match self.vectors.loc(v) {
            VecLoc::Slot(slot) => self.asm.load(Piece::Q, to, STATE, vector_slot_offset(slot) + offset),
            VecLoc::Home(n) if half == 0 => self.asm.vec_mov(to, n),
            VecLoc::Pair(low, high) => self.asm.vec_mov(to, if half == 0 { low } else { high }),
            VecLoc::Home(n) => self.asm.load(Piece::Q, to, STATE, vector_offset(n, 2)),
            VecLoc::Zero => self.asm.vec_fill(to, false),
            VecLoc::Temp(_) | VecLoc::Nowhere => panic!("{v} of 256 bits is read where it is not kept"),
        }
    }

    /// The register with half `half` of the V256 `v`, locked; not to be changed.
    pub(crate) fn half_reg(&mut self, v: Value, half: u8) -> u8 {
        let r = match self.vectors.loc(v) {
            VecLoc::Home(n) if half == 0 => n,
            VecLoc::Pair(low, high) => [low, high][usize::from(half)],
            _ => {
                let t = self.vec_temp();
                self.load_half(t, v, half);
                t
            }
        };
        self.vectors.lock(r);
        r
    }

    /// `low` and `high` are the V256 `v`.
    pub(crate) fn own_pair(&mut self, low: u8, high: u8, v: Value) {
        self.vectors.owner[low as usize] = Some(v);
        self.vectors.owner[high as usize] = Some(v);
        self.vectors.locs[v.0 as usize] = VecLoc::Pair(low, high);
    }

    /// Stores half `half` of a V256 to spill slot `slot`.
    pub(crate) fn store_half(&mut self, from: u8, slot: u8, half: u8) {
        self.asm.store(Piece::Q, from, STATE, vector_slot_offset(slot) + 16 * i32::from(half));
    }

    pub(crate) fn own_vec(&mut self, reg: u8, v: Value) {
        debug_assert!(self.vectors.root(v) == v, "{v} is another's low part");
        self.vectors.owner[reg as usize] = Some(v);
        self.vectors.locs[v.0 as usize] = VecLoc::Temp(reg);
    }

    /// A register for the result `v`, locked: the guest register that it is written to next, or a temporary.
    pub(crate) fn vec_dest(&mut self, v: Value) -> u8 {
        self.vec_dest_for(v, |ty, _| ty == Type::V128)
    }

    /// The same for what is loaded with zeros above it.
    pub(crate) fn loaded_dest(&mut self, v: Value) -> u8 {
        let r = self.vec_dest_for(v, |ty, upper| ty == Type::V128 || ty != Type::V256 && upper != Upper::Keep);
        self.vectors.loaded = (self.vectors.loc(v) == VecLoc::Home(r)).then_some((v, r));
        r
    }

    fn vec_dest_for(&mut self, v: Value, fits: impl Fn(Type, Upper) -> bool) -> u8 {
        if self.is_attempt() {
            return self.placed_dest(v, true, fits).unwrap_or_else(|| self.own_temp(v));
        }
        if let Some(n) = self.vec_home(v, fits) {
            self.overwrite_vec(n, Some(v));
            self.vectors.hold(n, v);
            self.vectors.lock(n);
            return n;
        }
        self.own_temp(v)
    }

    /// A temporary that becomes `v`, locked.
    pub(crate) fn own_temp(&mut self, v: Value) -> u8 {
        let r = self.vec_temp();
        self.own_vec(r, v);
        r
    }

    /// The guest register `n` for the float `v`, which is computed with what is above it left there; locked.
    pub(crate) fn merged_dest(&mut self, v: Value, n: u8) -> u8 {
        self.overwrite_vec(n, Some(v));
        self.vectors.hold(n, v);
        self.vectors.lock(n);
        self.vectors.merged = Some((v, n));
        n
    }

    /// The guest register that takes all of `v` soon in a way that `fits`, with nothing in between that needs the old value.
    pub(crate) fn vec_home(&self, v: Value, fits: impl Fn(Type, Upper) -> bool) -> Option<u8> {
        let from = self.at as usize + 1;
        let until = (from + 6).min(self.block.insts.len());
        for (k, inst) in self.block.insts.iter().enumerate().take(until).skip(from) {
            match inst.op {
                Op::SetVec { reg, ty, upper, v: set } if set == v && fits(ty, upper) => {
                    // Something may read the register before.
                    let read = self.block.insts[from..k]
                        .iter()
                        .any(|i| matches!(i.op, Op::GetVec { reg: r, .. } | Op::SetVec { reg: r, .. } if r == reg));
                    return (!read).then_some(reg.0);
                }
                Op::SetFlags { .. } | Op::GetFlags {} | Op::SetVec { .. } | Op::GetVec { .. } => {}
                op if op.effects() == hokku_ir::Effects::empty() => {}
                _ => return None,
            }
        }
        None
    }

    /// Moves what is still needed away from guest register `n`, which is about to be written: with `new`, if that is a value.
    pub(crate) fn overwrite_vec(&mut self, n: u8, new: Option<Value>) {
        for v in std::mem::take(&mut self.vectors.held[usize::from(n)]) {
            if self.vectors.loc(v) != VecLoc::Home(n) || Some(v) == new {
                continue;
            }
            self.vectors.locs[v.0 as usize] = VecLoc::Nowhere;
            if self.plan.info(v).last <= self.at {
                continue;
            }
            if self.plan.info(v).op.result_type() == Type::V256 {
                let (low, high) = (self.vec_temp(), self.vec_temp());
                self.asm.load(Piece::Q, high, STATE, vector_offset(n, 2));
                self.asm.vec_mov(low, n);
                self.own_pair(low, high, v);
                self.vectors.locked &= !(1 << low | 1 << high);
                continue;
            }
            let t = self.vec_temp();
            self.asm.vec_mov(t, n);
            self.own_vec(t, v);
            self.vectors.locked &= !(1 << t);
        }
    }

    /// Moves what is still needed away from all guest registers.
    pub(crate) fn keep_vectors(&mut self) {
        (0..16).for_each(|n| self.overwrite_vec(n, None));
    }

    /// `get_vec`: another name for the register.
    pub(crate) fn read_vec(&mut self, dst: Value, n: u8) {
        if self.is_attempt() {
            return self.read_pending(dst, n);
        }
        self.vectors.hold(n, dst);
    }

    /// `set_vec`.
    pub(crate) fn write_vec(&mut self, n: u8, ty: Type, upper: Upper, v: Value) {
        if self.is_attempt() {
            return self.write_pending(n, ty, upper, v);
        }
        if ty == Type::V256 {
            return self.write_vec_256(n, v);
        }
        let in_place = if upper == Upper::Keep { self.vectors.merged } else { self.vectors.loaded };
        let is_whole = ty == Type::V128 || in_place == Some((v, n));
        let placed = is_whole && self.vectors.loc(v) == VecLoc::Home(n);
        if self.vectors.loc(v) == VecLoc::Zero {
            self.overwrite_vec(n, Some(v));
            self.asm.vec_fill(n, false);
            self.vectors.hold(n, v);
        } else if !placed {
            let r = self.vec_reg(v);
            self.overwrite_vec(n, Some(v));
            match (ty, upper) {
                (Type::V128, _) => self.asm.vec_mov(n, r),
                (Type::F32, Upper::Keep) => self.asm.vec_insert(2, n, 0, r, 0),
                (_, Upper::Keep) => self.asm.vec_insert(3, n, 0, r, 0),
                (Type::F32, _) => self.asm.fp_mov(2, n, r),
                _ => self.asm.fp_mov(3, n, r),
            }
            if ty == Type::V128 || self.vectors.loc(v) == VecLoc::Home(n) || self.vectors.loc(v) == VecLoc::Nowhere {
                self.vectors.hold(n, v);
            }
        }
        if upper == Upper::Zero256 && self.vectors.clear_above & 1 << n == 0 {
            let at = vector_offset(n, 2);
            if at < 512 {
                self.asm.store_pair(Piece::X, ZERO, ZERO, STATE, at);
            } else {
                self.asm.store(Piece::X, ZERO, STATE, at);
                self.asm.store(Piece::X, ZERO, STATE, at + 8);
            }
            self.vectors.clear_above |= 1 << n;
        }
    }

    fn write_vec_256(&mut self, n: u8, v: Value) {
        if self.vectors.loc(v) == VecLoc::Home(n) {
            return;
        }
        let (low, high) = (self.half_reg(v, 0), self.half_reg(v, 1));
        self.overwrite_vec(n, Some(v));
        self.asm.vec_mov(n, low);
        self.asm.store(Piece::Q, high, STATE, vector_offset(n, 2));
        self.vectors.clear_above &= !(1 << n);
        self.vectors.hold(n, v);
    }
}
