//! Where each value is while a block's code is written.

use super::plan::{FlagsNode, NodeId, Plan};
use super::recipe::{CHAIN_SLOTS, FlagsCode, FlagsRecipe, RecipeStep};
use crate::guest::{FlagSet, Gpr};
use crate::operand::{Addr, Type, Width};
use crate::ops::Op;
use crate::region::Value;

/// Number of spill slots of eight bytes for values.
pub const SLOTS: u8 = CHAIN_SLOTS;

/// Largest distance of a [`Loc::Offset`].
pub const MAX_OFFSET: i32 = 1024;

/// What a register holds above the value's own bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpperBits {
    /// Zeros.
    pub zero: bool,
    /// Copies of the value's top bit.
    pub sign: bool,
}

impl UpperBits {
    /// Nothing is known.
    pub const UNKNOWN: UpperBits = UpperBits { zero: false, sign: false };
    /// Zeros.
    pub const ZERO: UpperBits = UpperBits { zero: true, sign: false };
    /// Copies of the sign.
    pub const SIGN: UpperBits = UpperBits { zero: false, sign: true };
    /// The value's top bit is zero as well.
    pub const BOTH: UpperBits = UpperBits { zero: true, sign: true };

    /// What is true of both.
    #[must_use]
    pub fn and(self, other: UpperBits) -> UpperBits {
        UpperBits { zero: self.zero && other.zero, sign: self.sign && other.sign }
    }
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loc {
    /// Nowhere: not computed yet, or not needed any more, or deferred.
    Nowhere,
    /// In a temporary.
    Temp(u8),
    /// In the home of a guest register.
    Home(Gpr),
    /// In a spill slot.
    Slot(u8),
    /// Nowhere by itself: the home of a guest register, plus so much.
    Offset(Gpr, i32),
    /// Overwritten; recipes compute it back by this op.
    Derived(Op),
}

/// How a back end moves words between registers and spill slots.
pub trait Moves {
    /// Copies register `from` to register `to`.
    fn copy(&mut self, to: u8, from: u8);
    /// Stores register `from` in `slot`.
    fn spill(&mut self, slot: u8, from: u8);
    /// Loads register `to` from `slot`.
    fn reload(&mut self, to: u8, slot: u8);
    /// Register `to` = the low bits of register `from` plus `by`, which is at most [`MAX_OFFSET`] either way; gives what `to` holds above them.
    fn add(&mut self, w: Width, to: u8, from: u8, by: i32) -> UpperBits;
}

/// Where the values of the block at hand are.
#[derive(Clone, Debug)]
pub struct Values {
    /// Host register of each guest register that has a home.
    homes: [u8; 16],
    temporaries: &'static [u8],
    locs: Vec<Loc>,
    upper: Vec<UpperBits>,
    owner: [Option<Value>; 32],
    locked: u32,
    /// Bit for each spill slot in use.
    slots: u64,
    /// The value that is in each slot in use.
    slotted: [Value; SLOTS as usize],
    /// Values whose low bits each home holds, and what it holds above them.
    held: [Vec<(Value, UpperBits)>; 16],
    /// Values at a [`Loc::Offset`], and some that were.
    offsets: Vec<Value>,
    /// Constants that temporaries without an owner hold.
    constants: [Option<i64>; 32],
    /// The place that code is written for.
    at: u32,
    /// The code of one op asked for more temporaries than there are: what has been written is of no use.
    pub is_exhausted: bool,
    /// Flags that are kept in code.
    coded: Vec<(Value, FlagsCode)>,
}

impl Values {
    /// For a host that keeps guest registers in `homes` and has `temporaries`, which are taken in that order; for up to `count` values.
    pub fn new(homes: [u8; 16], temporaries: &'static [u8], count: u32) -> Values {
        Values {
            homes,
            temporaries,
            locs: vec![Loc::Nowhere; count as usize],
            upper: vec![UpperBits::UNKNOWN; count as usize],
            owner: [None; 32],
            locked: 0,
            slots: 0,
            slotted: [Value(0); SLOTS as usize],
            held: Default::default(),
            offsets: Vec::new(),
            constants: [None; 32],
            at: 0,
            is_exhausted: false,
            coded: Vec::new(),
        }
    }

    /// Flags `v` are kept as `code` says.
    pub fn encode(&mut self, v: Value, code: FlagsCode) {
        self.coded.push((v, code));
    }

    /// How flags `v` are kept, if not at their EFLAGS places.
    pub fn code(&self, v: Value) -> Option<FlagsCode> {
        self.coded.iter().find(|c| c.0 == v).map(|c| c.1)
    }

    /// A block starts: everything is in its home.
    pub fn start_block(&mut self) {
        self.owner = [None; 32];
        self.locked = 0;
        self.slots = 0;
        self.held.iter_mut().for_each(Vec::clear);
        self.offsets.clear();
        self.constants = [None; 32];
        self.coded.clear();
        self.at = 0;
    }

    /// Code for the op at place `n` is written from here on.
    pub fn start(&mut self, n: u32) {
        self.at = n;
    }

    /// The code of the op at hand is written: what it held and what is needed no more is free.
    pub fn finish(&mut self, plan: &Plan) {
        self.locked = 0;
        for r in self.temporaries {
            if let Some(v) = self.owner[*r as usize]
                && last(plan, v) <= self.at
            {
                self.owner[*r as usize] = None;
                self.locs[v.0 as usize] = Loc::Nowhere;
            }
        }
        self.offsets.retain(|v| {
            let loc = &mut self.locs[v.0 as usize];
            let is_one = matches!(loc, Loc::Offset(..));
            let is_done = last(plan, *v) <= self.at;
            if is_one && is_done {
                *loc = Loc::Nowhere;
            }
            is_one && !is_done
        });
        // Not by where values are: those of blocks before may have been in the same slots.
        let mut rest = self.slots;
        while rest != 0 {
            let slot = rest.trailing_zeros();
            rest &= rest - 1;
            let v = self.slotted[slot as usize];
            if last(plan, v) <= self.at {
                self.slots &= !(1 << slot);
                self.locs[v.0 as usize] = Loc::Nowhere;
            }
        }
    }

    /// The home of `g`.
    pub fn home(&self, g: Gpr) -> u8 {
        self.homes[g.index()]
    }

    /// Where `v` is.
    pub fn loc(&self, v: Value) -> Loc {
        self.locs[v.0 as usize]
    }

    /// What the register of `v` holds above its bits.
    pub fn upper(&self, v: Value) -> UpperBits {
        match self.loc(v) {
            Loc::Home(g) => {
                self.held[g.index()].iter().find(|h| h.0 == v).map_or(UpperBits::UNKNOWN, |(_, upper)| *upper)
            }
            _ => self.upper[v.0 as usize],
        }
    }

    /// Notes what the register of `v` holds above its bits.
    pub fn set_upper(&mut self, v: Value, upper: UpperBits) {
        self.upper[v.0 as usize] = upper;
        if let Loc::Home(g) = self.loc(v) {
            self.held[g.index()].iter_mut().filter(|h| h.0 == v).for_each(|h| h.1 = upper);
        }
    }

    /// The home of `g` holds the low bits of `v` as well, with `upper` above them; it has just been written, or `v` was read from it.
    pub fn hold(&mut self, g: Gpr, v: Value, upper: UpperBits) {
        self.held[g.index()].push((v, upper));
        match self.loc(v) {
            Loc::Temp(r) => {
                self.owner[r as usize] = None;
                self.locs[v.0 as usize] = Loc::Home(g);
            }
            Loc::Slot(slot) => {
                self.slots &= !(1 << slot);
                self.locs[v.0 as usize] = Loc::Home(g);
            }
            Loc::Nowhere | Loc::Derived(_) | Loc::Offset(..) => self.locs[v.0 as usize] = Loc::Home(g),
            Loc::Home(_) if upper != UpperBits::UNKNOWN => self.locs[v.0 as usize] = Loc::Home(g),
            Loc::Home(_) => {}
        }
    }

    /// The home of `g` has got zeros above: those of its values that `is_whole` says of know it.
    pub fn home_is_zero_above(&mut self, g: Gpr, is_whole: impl Fn(Value) -> bool) {
        self.held[g.index()].iter_mut().filter(|h| is_whole(h.0)).for_each(|h| h.1 = UpperBits::ZERO);
    }

    /// Keeps `reg` from being taken or spilled until the op at hand is done.
    pub fn lock(&mut self, reg: u8) {
        self.locked |= 1 << reg;
    }

    /// Gives back what [`Self::lock`] or [`Self::temp`] took.
    pub fn unlock(&mut self, reg: u8) {
        self.locked &= !(1 << reg);
    }

    /// What is locked now, for [`Self::unlock_since`].
    pub fn locks(&self) -> u32 {
        self.locked
    }

    /// Gives back what has been locked since `then`, but for `keep`.
    pub fn unlock_since(&mut self, then: u32, keep: &[u8]) {
        let keep = keep.iter().fold(0, |mask, r| mask | 1 << r);
        self.locked &= then | keep;
    }

    /// Whether `reg` is a temporary that the op at hand has taken for itself.
    pub fn is_loose(&self, reg: u8) -> bool {
        let is_free = self.owner[reg as usize].is_none() && self.constants[reg as usize].is_none();
        self.temporaries.contains(&reg) && is_free && self.locked & 1 << reg != 0
    }

    /// A temporary without an owner, locked.
    pub fn temp(&mut self, plan: &Plan, host: &mut impl Moves) -> u8 {
        let free = |r: &u8| self.is_free(*r);
        let found = self.temporaries.iter().copied().find(|r| free(r) && self.constants[*r as usize].is_none());
        let found = found.or_else(|| self.temporaries.iter().copied().find(free));
        let reg = found.unwrap_or_else(|| {
            // The one whose value is needed last.
            let loose = self.temporaries.iter().copied().filter(|r| self.locked & 1 << r == 0);
            let victim = loose.max_by_key(|r| self.owner[*r as usize].map_or(0, |v| plan.info(v).last));
            let Some(victim) = victim else {
                self.is_exhausted = true;
                return self.temporaries[0];
            };
            self.spill(victim, host);
            victim
        });
        self.constants[reg as usize] = None;
        self.lock(reg);
        reg
    }

    /// Whether `reg` has no owner and is not locked.
    pub fn is_free(&self, reg: u8) -> bool {
        self.owner[reg as usize].is_none() && self.locked & 1 << reg == 0
    }

    /// The temporary that still holds the constant `n`, locked, which must not be written.
    pub fn constant(&mut self, n: i64) -> Option<u8> {
        let reg = self.temporaries.iter().copied().find(|r| self.constants[*r as usize] == Some(n))?;
        self.lock(reg);
        Some(reg)
    }

    /// Temporary `reg`, which has no owner, holds the constant `n` until it is taken.
    pub fn keep_constant(&mut self, reg: u8, n: i64) {
        self.constants[reg as usize] = Some(n);
    }

    /// Temporaries that hold constants, with these.
    pub fn constants(&self) -> impl Iterator<Item = (u8, i64)> + '_ {
        self.temporaries.iter().filter_map(|r| self.constants[*r as usize].map(|n| (*r, n)))
    }

    /// The guest register of whose home `v` is so far away: in it, or at a [`Loc::Offset`].
    pub fn near(&self, v: Value) -> Option<(Gpr, i32)> {
        match self.loc(v) {
            Loc::Home(g) => Some((g, 0)),
            Loc::Offset(g, by) => Some((g, by)),
            _ => None,
        }
    }

    /// `v`, which is computed nowhere, is the home of `g` plus `by`.
    pub fn place(&mut self, v: Value, g: Gpr, by: i32) {
        if by == 0 {
            return self.hold(g, v, UpperBits::UNKNOWN);
        }
        self.locs[v.0 as usize] = Loc::Offset(g, by);
        if !self.offsets.contains(&v) {
            self.offsets.push(v);
        }
    }

    /// The home of `g` has become greater by `by`.
    pub fn home_has_moved(&mut self, g: Gpr, by: i32) {
        let mut there = std::mem::take(&mut self.held[g.index()]);
        there.retain(|(v, _)| self.loc(*v) == Loc::Home(g));
        for v in self.at_offset(g) {
            if let Loc::Offset(_, from) = self.loc(v) {
                self.place(v, g, from - by);
            }
        }
        for (v, _) in there {
            self.place(v, g, -by);
        }
    }

    /// Values at a distance from the home of `g`.
    fn at_offset(&self, g: Gpr) -> Vec<Value> {
        let is_one = |v: &Value| matches!(self.loc(*v), Loc::Offset(of, _) if of == g);
        self.offsets.iter().copied().filter(is_one).collect()
    }

    /// Makes temporary `reg` free, wherever its value goes, and locks it.
    pub fn take(&mut self, reg: u8, host: &mut impl Moves) {
        self.spill(reg, host);
        self.constants[reg as usize] = None;
        self.lock(reg);
    }

    /// Moves what temporary `reg` holds to a slot.
    fn spill(&mut self, reg: u8, host: &mut impl Moves) {
        if let Some(v) = self.owner[reg as usize].take() {
            let slot = (!self.slots).trailing_zeros() as u8;
            assert!(slot < SLOTS || self.is_exhausted, "more values are live than there are spill slots");
            let slot = slot.min(SLOTS - 1);
            self.slots |= 1 << slot;
            self.slotted[slot as usize] = v;
            host.spill(slot, reg);
            self.locs[v.0 as usize] = Loc::Slot(slot);
        }
    }

    /// Moves all temporaries' values to slots.
    pub fn spill_all(&mut self, host: &mut impl Moves) {
        for r in self.temporaries {
            self.spill(*r, host);
        }
    }

    /// The register that holds `v`, which is computed already, locked.
    pub fn register(&mut self, v: Value, plan: &Plan, host: &mut impl Moves) -> u8 {
        let reg = match self.loc(v) {
            Loc::Temp(r) => r,
            Loc::Home(g) => self.home(g),
            Loc::Slot(slot) => {
                let r = self.temp(plan, host);
                host.reload(r, slot);
                self.slots &= !(1 << slot);
                self.own(r, v);
                r
            }
            Loc::Offset(g, by) => {
                let r = self.temp(plan, host);
                self.move_from(g, by, v, r, plan, host);
                r
            }
            _ if self.is_exhausted => self.temporaries[0],
            Loc::Nowhere | Loc::Derived(_) => panic!("{v} is read where it is not kept"),
        };
        self.lock(reg);
        reg
    }

    /// Temporary `reg` gets `v`, which is the home of `g` plus `by`.
    fn move_from(&mut self, g: Gpr, by: i32, v: Value, reg: u8, plan: &Plan, host: &mut impl Moves) {
        let w = plan.info(v).op.result_type().width().unwrap_or(Width::W64);
        self.upper[v.0 as usize] = host.add(w, reg, self.home(g), by);
        self.own(reg, v);
    }

    /// Temporary `reg` holds `v` from now on.
    pub fn own(&mut self, reg: u8, v: Value) {
        self.owner[reg as usize] = Some(v);
        self.locs[v.0 as usize] = Loc::Temp(reg);
    }

    /// Temporary `reg`, which held `from`, holds `to` from now on.
    pub fn give(&mut self, reg: u8, from: Value, to: Value) {
        self.locs[from.0 as usize] = Loc::Nowhere;
        self.own(reg, to);
    }

    /// A register for the result `v` of the op at hand, locked: its home where the plan says so, else a temporary. Call it when the operands are in
    /// registers; it may be one of theirs.
    pub fn result(&mut self, v: Value, plan: &mut Plan, host: &mut impl Moves) -> u8 {
        if let Some(g) = plan.info(v).home {
            self.overwrite(g, Some(v), plan, host);
            self.held[g.index()].push((v, UpperBits::UNKNOWN));
            self.locs[v.0 as usize] = Loc::Home(g);
            let home = self.home(g);
            self.lock(home);
            return home;
        }
        let r = self.temp(plan, host);
        self.own(r, v);
        r
    }

    /// Moves what is still needed away from the home of `g`, which is about to be written: with `new`, if that is a value.
    pub fn overwrite(&mut self, g: Gpr, new: Option<Value>, plan: &mut Plan, host: &mut impl Moves) {
        for v in self.at_offset(g) {
            let Loc::Offset(_, by) = self.loc(v) else { continue };
            self.locs[v.0 as usize] = Loc::Nowhere;
            if Some(v) != new && last(plan, v) > self.at {
                let home = self.home(g);
                self.lock(home);
                let r = self.temp(plan, host);
                self.move_from(g, by, v, r, plan, host);
                self.unlock(r);
            }
        }
        for (v, _) in std::mem::take(&mut self.held[g.index()]) {
            if self.loc(v) != Loc::Home(g) {
                continue;
            }
            let elsewhere = Gpr::ALL.iter().find(|other| self.held[other.index()].iter().any(|h| h.0 == v));
            if let Some(other) = elsewhere {
                self.locs[v.0 as usize] = Loc::Home(*other);
                continue;
            }
            self.locs[v.0 as usize] = Loc::Nowhere;
            let info = *plan.info(v);
            // Constants are written anew.
            if Some(v) == new || info.last.max(info.last_flags) <= self.at || plan.constant(v).is_some() {
                continue;
            }
            if info.last <= self.at
                && let Some(new) = new
                && let Some(op) = inverse(plan, new, v)
                && self.keeps_operands(&op, new, plan)
            {
                op.values(&mut |source| {
                    let last = &mut plan.values[source.0 as usize].last_flags;
                    *last = (*last).max(info.last_flags);
                });
                self.locs[v.0 as usize] = Loc::Derived(op);
                continue;
            }
            let home = self.home(g);
            self.lock(home);
            let upper = self.upper[v.0 as usize];
            let r = self.temp(plan, host);
            host.copy(r, home);
            self.own(r, v);
            self.upper[v.0 as usize] = if upper == UpperBits::ZERO { upper } else { UpperBits::UNKNOWN };
            self.unlock(r);
        }
    }

    /// Whether each operand of `op`, the result `new` aside, is still kept itself: what is gone, or computed back from `new` as well, is of no use.
    fn keeps_operands(&self, op: &Op, new: Value, plan: &Plan) -> bool {
        let is_kept = |v| !matches!(self.loc(plan.root(v)), Loc::Nowhere | Loc::Derived(_));
        let mut keeps = true;
        op.values(&mut |v| keeps &= plan.constant(v).is_some() || plan.root(v) == plan.root(new) || is_kept(v));
        keeps
    }

    /// How the flags of `node` are computed from what registers and slots hold now.
    pub fn recipe(&self, plan: &Plan, node: NodeId) -> FlagsRecipe {
        self.recipe_for(plan, node, FlagSet::STATUS)
    }

    /// The same for those in `wanted`: what it gives for the others means nothing.
    pub fn recipe_for(&self, plan: &Plan, node: NodeId, wanted: FlagSet) -> FlagsRecipe {
        if self.is_exhausted {
            return FlagsRecipe::default();
        }
        let mut recipe = Writing { values: self, plan, steps: Vec::new(), known: Vec::new() };
        let flags = recipe.node(node, wanted);
        if flags.0 as usize + 1 != recipe.steps.len() {
            let set = FlagSet::STATUS;
            recipe.steps.push(RecipeStep::Op(Op::MergeFlags { set, a: flags, b: flags }));
        }
        FlagsRecipe { steps: recipe.steps }
    }
}

/// The last place where `v` is needed for anything.
fn last(plan: &Plan, v: Value) -> u32 {
    let info = plan.info(v);
    info.last.max(info.last_flags)
}

/// The op that computes operand `old` of the op of `new` back from its result, where the other operand is not `old` too and is still to be found.
fn inverse(plan: &Plan, new: Value, old: Value) -> Option<Op> {
    let is_old = |v: Value| plan.root(v) == old;
    let narrow = |v: Value| v != old;
    Some(match plan.info(new).op {
        Op::Add { w, a, b } if is_old(a) && !is_old(b) && fits(plan, w, old, narrow(a)) => {
            Op::Sub { w, a: new, b: plan.root(b) }
        }
        Op::Add { w, a, b } if is_old(b) && !is_old(a) && fits(plan, w, old, narrow(b)) => {
            Op::Sub { w, a: new, b: plan.root(a) }
        }
        Op::Sub { w, a, b } if is_old(a) && !is_old(b) && fits(plan, w, old, narrow(a)) => {
            Op::Add { w, a: new, b: plan.root(b) }
        }
        Op::Lea { w, at: Addr { base: Some(base), index: None, disp, width, .. } }
            if w == width && is_old(base) && fits(plan, w, old, narrow(base)) =>
        {
            let disp = disp.wrapping_neg();
            Op::Lea { w, at: Addr { base: Some(new), index: None, scale: 0, disp, seg: None, width } }
        }
        _ => return None,
    })
}

/// Whether `old` has width `w` itself: only its low bits come back otherwise.
fn fits(plan: &Plan, w: Width, old: Value, is_cut: bool) -> bool {
    !is_cut && plan.info(old).op.result_type().width() == Some(w)
}

/// A recipe while it is written.
struct Writing<'a> {
    values: &'a Values,
    plan: &'a Plan,
    steps: Vec<RecipeStep>,
    known: Vec<(Value, Value)>,
}

impl Writing<'_> {
    fn push(&mut self, step: RecipeStep) -> Value {
        if !matches!(step, RecipeStep::Op(_))
            && let Some(n) = self.steps.iter().position(|s| *s == step)
        {
            return Value(n as u32);
        }
        self.steps.push(step);
        Value(self.steps.len() as u32 - 1)
    }

    /// Node `node`, as far as the flags `wanted` matter.
    fn node(&mut self, node: NodeId, wanted: FlagSet) -> Value {
        match self.plan.node(node) {
            FlagsNode::Entry => self.push(RecipeStep::Before),
            FlagsNode::Set { set, v, .. } if set.contains(wanted) => self.value(v),
            FlagsNode::Set { set, rest, .. } if !set.intersects(wanted) => self.node(rest, wanted),
            FlagsNode::Set { set, v, rest } => {
                let b = self.node(rest, wanted - set);
                let a = self.value(v);
                self.push(RecipeStep::Op(Op::MergeFlags { set, a, b }))
            }
        }
    }

    fn value(&mut self, v: Value) -> Value {
        if let Some((_, step)) = self.known.iter().find(|k| k.0 == v) {
            return *step;
        }
        let step = self.new_value(v);
        self.known.push((v, step));
        step
    }

    fn new_value(&mut self, v: Value) -> Value {
        if let Some(n) = self.plan.constant(v) {
            return self.push(RecipeStep::Constant(n));
        }
        let root = self.plan.root(v);
        if root != v {
            return self.value(root);
        }
        let info = self.plan.info(v);
        match self.values.loc(v) {
            Loc::Temp(r) => {
                let word = self.push(RecipeStep::Register(r));
                self.decoded(v, word)
            }
            Loc::Home(g) => self.push(RecipeStep::Register(self.values.home(g))),
            Loc::Slot(slot) => {
                let word = self.push(RecipeStep::Slot(slot));
                self.decoded(v, word)
            }
            Loc::Offset(g, by) => {
                let w = info.op.result_type().width().unwrap_or(Width::W64);
                let a = self.push(RecipeStep::Register(self.values.home(g)));
                let b = self.push(RecipeStep::Constant(by as u64 & w.mask()));
                self.push(RecipeStep::Op(Op::Add { w, a, b }))
            }
            Loc::Derived(op) => self.op(op),
            Loc::Nowhere if matches!(info.op, Op::GetFlags {}) => {
                self.node(self.plan.flags_at(info.def as usize), FlagSet::STATUS)
            }
            Loc::Nowhere if info.deferred => self.op(info.op),
            Loc::Nowhere => panic!("{v} = {} is part of the guest's flags and not kept", info.op.name()),
        }
    }

    /// What the `word` that is kept for `v` says.
    fn decoded(&mut self, v: Value, word: Value) -> Value {
        let Some(FlagsCode { shift, table }) = self.values.code(v) else { return word };
        let w = Width::W64;
        let [shift, mask, table] = [shift.into(), 63, table].map(|n| self.push(RecipeStep::Constant(n)));
        let by = self.push(RecipeStep::Op(Op::Shr { w, a: word, n: shift }));
        let n = self.push(RecipeStep::Op(Op::And { w, a: by, b: mask }));
        let v = self.push(RecipeStep::Op(Op::Shr { w, a: table, n }));
        self.push(RecipeStep::Op(Op::IntToFlags { v }))
    }

    fn op(&mut self, mut op: Op) -> Value {
        let plan = self.plan;
        let drops_older = super::count_is_known(&op, |n| plan.constant(n));
        let is_flags = |v: Value| plan.info(v).op.result_type() == Type::Flags;
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(v));
        let steps: Vec<Value> = operands
            .iter()
            .map(|v| if drops_older && is_flags(*v) { self.push(RecipeStep::Constant(0)) } else { self.value(*v) })
            .collect();
        let mut n = 0;
        op.map_values(&mut |_| {
            n += 1;
            steps[n - 1]
        });
        self.push(RecipeStep::Op(op))
    }
}
