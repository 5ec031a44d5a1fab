//! Notes of what the guest's flags are, for code beyond a block: in [`FLAGS`], and operands in slots.

use hokku_ir::backend::FlagSite;
use hokku_ir::lowering::{
    CHAIN_SLOTS, CHAINED, FLAG_SLOTS, FlagsRecipe, OLDER_SITE_SLOT, RecipeStep, X87Stack, count_is_known, sees_flags,
};
use hokku_ir::{Block, CpuMode, Effects, FlagSet, Inst, Op, Target, Value};

use crate::asm::Label;
use crate::assign::*;
use crate::encode::*;
use crate::exits::Cold;
use crate::lower::Lowering;

/// Operands of the guest's flags that are kept beyond a block.
const KEPT: usize = 64 - FLAG_SLOTS as usize;
/// The same where the flags build on others.
const CHAIN_KEPT: usize = (OLDER_SITE_SLOT - CHAIN_SLOTS) as usize;

/// What is to be done so that [`FLAGS`] tells what the guest's flags are.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Number of the recipe.
    recipe: u32,
    /// Registers and slots that are to be kept, from [`FLAG_SLOTS`] on.
    leaves: Vec<RecipeStep>,
    base: Base,
    /// The count of a shift that leaves the flags as they are, and so the note, where it is zero.
    count: Option<RecipeStep>,
}

/// What a note takes of the flags before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Nothing,
    /// CF: that is in the state, or of the site before, which is kept beside.
    Carry,
    /// Flags of the site before, which is kept beside.
    Site,
}

impl Base {
    /// The first slot of operands, and how many there are.
    fn slots(self) -> (u8, usize) {
        match self {
            Base::Nothing => (FLAG_SLOTS, KEPT),
            Base::Carry | Base::Site => (CHAIN_SLOTS, CHAIN_KEPT),
        }
    }

    /// The instructions that it takes beside the one that takes an address.
    fn instructions(self) -> usize {
        match self {
            Base::Nothing => 0,
            Base::Carry | Base::Site => 4,
        }
    }
}

/// In [`FLAGS`]: a note that is replaced by one of the same kind leaves CF where it is.
const CARRY_STAYS: i32 = 1;

impl Note {
    pub(crate) fn instructions(&self) -> usize {
        self.leaves.len() + 1 + self.base.instructions() + 2 * usize::from(self.count.is_some())
    }
}

impl Lowering<'_> {
    /// Notes in [`FLAGS`] what the guest's flags are, if there is anybody in `seen` to see it.
    pub(crate) fn note_flags(&mut self, seen: &[Target]) {
        if !seen.is_empty() {
            let note = self.note(seen);
            self.write_note(note);
        }
    }

    /// How [`FLAGS`] will tell what the guest's flags are, to `targets` or, if there are none, to anybody; `None` where they have been brought to the state.
    pub(crate) fn note(&mut self, targets: &[Target]) -> Option<Note> {
        let node = self.plan.flags_at(self.at as usize);
        let mut recipe = self.values.recipe(&self.plan, node);
        let count = takes_count(&mut recipe);
        if !self.node_reads_older(node, self.seen_of(targets)) {
            // Those that are left out are dead.
            recipe.steps.iter_mut().filter(|s| **s == RecipeStep::Before).for_each(|s| *s = RecipeStep::Constant(0));
        }
        let stays = self.homes_that_stay(targets);
        let mut leaves: Vec<RecipeStep> = Vec::new();
        for step in &recipe.steps {
            let is_kept = match step {
                RecipeStep::Register(r) => stays & 1 << r == 0,
                RecipeStep::Slot(_) => true,
                _ => false,
            };
            if is_kept && !leaves.contains(step) {
                leaves.push(*step);
            }
        }
        let base = match recipe.reads_before() {
            false => Base::Nothing,
            true if keeps_carry_alone(&recipe) => Base::Carry,
            true => Base::Site,
        };
        let (first, room) = base.slots();
        if leaves.len() > room {
            let lazy = self.lazy();
            self.settle_flags(lazy);
            return None;
        }
        let kept = |step: &RecipeStep| match leaves.iter().position(|leaf| leaf == step) {
            Some(n) => RecipeStep::Slot(first + n as u8),
            None => *step,
        };
        let recipe = FlagsRecipe { steps: recipe.steps.iter().map(kept).collect() };
        let recipe = self.recipes.number(recipe);
        Some(Note { recipe, leaves, base, count })
    }

    pub(crate) fn write_note(&mut self, note: Option<Note>) {
        let Some(Note { recipe, leaves, base, count }) = note else { return };
        let unchanged = self.asm.label();
        if let Some(count) = count {
            let r = match count {
                RecipeStep::Register(r) => r,
                RecipeStep::Slot(from) => {
                    self.asm.i(LD, SCRATCH, STATE, recipe_slot_offset(from));
                    SCRATCH
                }
                _ => panic!("a count is in a register or a slot"),
            };
            self.asm.i(ANDI, SCRATCH, r, 63);
            self.asm.branch(Branch::Eq, SCRATCH, ZERO, unchanged);
        }
        match base {
            Base::Nothing => {}
            Base::Carry => {
                let (label, back) = (self.asm.label(), self.asm.label());
                self.asm.i(ANDI, SCRATCH, FLAGS, CARRY_STAYS);
                self.asm.branch(Branch::Eq, SCRATCH, ZERO, label);
                self.asm.bind(back);
                self.cold.push(Cold::KeepCarry { label, back, stack: self.x87.clone() });
            }
            Base::Site => {
                let (label, back) = (self.asm.label(), self.asm.label());
                // Flags of a site that took CF have operands where this one's are to be.
                self.asm.i(ANDI, SCRATCH, FLAGS, CHAINED as i32 | CARRY_STAYS);
                self.asm.branch(Branch::Ne, SCRATCH, ZERO, label);
                self.asm.bind(back);
                self.cold.push(Cold::Settle { label, back, stack: self.x87.clone() });
                self.asm.s(SD, FLAGS, STATE, recipe_slot_offset(OLDER_SITE_SLOT));
            }
        }
        for (n, leaf) in leaves.iter().enumerate() {
            let slot = base.slots().0 + n as u8;
            match *leaf {
                RecipeStep::Register(r) => self.asm.s(SD, r, STATE, recipe_slot_offset(slot)),
                RecipeStep::Slot(from) => {
                    self.asm.i(LD, SCRATCH, STATE, recipe_slot_offset(from));
                    self.asm.s(SD, SCRATCH, STATE, recipe_slot_offset(slot));
                }
                _ => {}
            }
        }
        if base == Base::Carry {
            self.asm.i(ANDI, SCRATCH, FLAGS, CHAINED as i32 | CARRY_STAYS);
        }
        self.out.flag_sites.push(FlagSite { offset: self.asm.here(), recipe });
        self.asm.word(auipc(FLAGS, 0));
        match base {
            Base::Nothing => {}
            Base::Carry => self.asm.r(ADD, FLAGS, FLAGS, SCRATCH),
            Base::Site => self.asm.i(ADDI, FLAGS, FLAGS, CHAINED as i32),
        }
        self.asm.bind(unchanged);
    }

    /// `label`: a note that takes CF comes behind one of another kind. Goes on at `back`, where [`FLAGS`] tells where CF is.
    pub(crate) fn keep_carry(&mut self, label: Label, back: Label, stack: Option<&X87Stack>) {
        self.asm.bind(label);
        let chained = self.asm.label();
        self.asm.i(ANDI, SCRATCH, FLAGS, CHAINED as i32);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, chained);
        self.asm.s(SD, FLAGS, STATE, recipe_slot_offset(OLDER_SITE_SLOT));
        self.asm.i(ADDI, FLAGS, ZERO, CHAINED as i32 | CARRY_STAYS);
        self.asm.jump(ZERO, back);
        self.asm.bind(chained);
        // Flags that are in the state leave 1 in the register.
        self.settle_flags_beside(stack);
        self.asm.jump(ZERO, back);
    }

    /// The flags that may be seen at one of `targets`, or anywhere if there are none.
    fn seen_of(&self, targets: &[Target]) -> FlagSet {
        let of = |target: &Target| match target {
            Target::Block(b) => self.seen_in[b.0 as usize],
            Target::Guest(_) => FlagSet::STATUS,
        };
        targets.iter().map(of).reduce(|a, b| a | b).unwrap_or(FlagSet::STATUS)
    }

    /// Homes, as bits, that each of `targets` leaves as they are as long as anybody may look at the flags with which it is entered.
    fn homes_that_stay(&self, targets: &[Target]) -> u32 {
        let of = |target: &Target| match target {
            // What jumps back in code that is counted may come to go elsewhere.
            Target::Block(b) if !self.is_back_edge(*b) => homes_that_stay(self.region.block(*b), self.mode),
            _ => 0,
        };
        targets.iter().map(of).reduce(|a, b| a & b).unwrap_or(0)
    }
}

/// Where `recipe` is a shift's that takes the flags before as they are where its count is zero: makes it one for other counts, and gives the count.
fn takes_count(recipe: &mut FlagsRecipe) -> Option<RecipeStep> {
    let before = recipe.steps.iter().position(|s| *s == RecipeStep::Before)?;
    let (last, others) = recipe.steps.split_last()?;
    let RecipeStep::Op(
        Op::ShlFlags { n, f, .. }
        | Op::ShrFlags { n, f, .. }
        | Op::SarFlags { n, f, .. }
        | Op::ShldFlags { n, f, .. }
        | Op::ShrdFlags { n, f, .. },
    ) = *last
    else {
        return None;
    };
    let reads = |step: &RecipeStep| {
        let mut reads = false;
        if let RecipeStep::Op(op) = step {
            op.values(&mut |v| reads |= v.0 as usize == before);
        }
        reads
    };
    let count = *recipe.steps.get(n.0 as usize)?;
    let is_found = matches!(count, RecipeStep::Register(_) | RecipeStep::Slot(_));
    if f.0 as usize != before || others.iter().any(reads) || !is_found {
        return None;
    }
    recipe.steps[before] = RecipeStep::Constant(0);
    Some(count)
}

/// Homes, as bits, that `block` leaves as they are as long as anybody may look at the flags with which it is entered: until it sets all of them.
fn homes_that_stay(block: &Block, mode: CpuMode) -> u32 {
    let mut stay = HOMES[..mode.gpr_count()].iter().fold(0, |bits, r| bits | 1u32 << r);
    let sets_all = |i: &Inst| matches!(i.op, Op::SetFlags { set, .. } if set.is_all());
    let Some(end) = block.insts.iter().position(sets_all) else { return 0 };
    let before = &block.insts[..end];
    let place = |v: Value| block.insts.iter().position(|i| i.value == v);
    let constant = |v: Value| match block.insts[place(v)?].op {
        Op::Iconst { value, .. } => Some(value.0),
        _ => None,
    };
    for inst in before {
        if matches!(inst.op, Op::GetFlags {}) {
            let reads = |i: &Inst| {
                let mut reads = false;
                i.op.values(&mut |v| reads |= v == inst.value);
                reads && !count_is_known(&i.op, constant)
            };
            // What comes behind may be made of the older flags.
            if block.insts.iter().any(reads) {
                return 0;
            }
        }
    }
    // Behind the last place where somebody may look at them nothing matters.
    let sees = |i: &Inst| i.op.effects().contains(Effects::may_fault) || sees_flags(&i.op);
    let Some(last) = before.iter().rposition(sees) else { return stay };
    for (n, inst) in block.insts.iter().enumerate() {
        let (reg, from) = match inst.op {
            // The value may be computed in its register straight away.
            Op::SetGpr { reg, mut v, .. } => {
                let mut from = place(v);
                while let Some(Op::Truncate { v: wider, .. }) = from.map(|n| block.insts[n].op) {
                    v = wider;
                    from = place(v);
                }
                (reg, from.map_or(n, |from| from.min(n)))
            }
            Op::SetGprHigh { reg, .. } => (reg, n),
            Op::SetVec { .. } | Op::SetFlags { .. } => continue,
            op if n <= last && op.effects().contains(Effects::writes_state) => return 0,
            _ => continue,
        };
        if from <= last {
            stay &= !(1 << home(reg));
        }
    }
    stay
}

/// Whether all that `recipe` takes of the flags before is CF.
fn keeps_carry_alone(recipe: &FlagsRecipe) -> bool {
    let before = recipe.steps.iter().position(|s| *s == RecipeStep::Before).map(|n| Value(n as u32));
    let Some(before) = before else { return true };
    recipe.steps.iter().all(|step| match step {
        RecipeStep::Op(Op::MergeFlags { set, a, b }) if *b == before => *a != before && set.contains(!FlagSet::CF),
        RecipeStep::Op(op) => {
            let mut reads = false;
            op.values(&mut |v| reads |= v == before);
            !reads
        }
        _ => true,
    })
}
