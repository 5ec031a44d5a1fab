//! The guest's flags as bits, where they are not known from the block itself.
//!
//! [`FLAG_SITE`] is the address of a routine, out of line, that puts the flags that were left with it into `status_flags`: code that needs them as bits
//! calls it. Zero says that they are there already.

use hokku_ir::backend::{Callout, FlagSite, LazyState, StubId};
use hokku_ir::lowering::{FlagsRecipe, RecipeStep};
use hokku_ir::{FlagSet, Op, Width};

use crate::access::Piece;
use crate::asm::{Cc, Label, Size};
use crate::assign::*;
use crate::immediate::bitmask;
use crate::integer::{Logic, Shift, Sum};
use crate::lower::Lowering;

/// Where routines keep what they need to give back: their caller's address and two temporaries.
const KEPT: [i32; 3] = [callout_arg_offset(3), callout_arg_offset(4), callout_arg_offset(5)];

/// A routine to be written behind all blocks.
#[derive(Clone, Debug)]
pub(crate) struct Routine {
    label: Label,
    number: u32,
    recipe: FlagsRecipe,
}

impl Lowering<'_> {
    /// The routine for flags of `recipe`, which reads slots, constants and older flags alone.
    pub(crate) fn routine(&mut self, recipe: FlagsRecipe) -> Label {
        let number = self.recipes.number(recipe.clone());
        if let Some(known) = self.routines.iter().find(|r| r.number == number) {
            return known.label;
        }
        let label = self.asm.label();
        self.routines.push(Routine { label, number, recipe });
        label
    }

    /// Brings the flags with which the block was entered into `status_flags`. Temporaries survive, vectors and NZCV do not.
    pub(crate) fn settle_flags(&mut self) {
        self.spill_vectors();
        self.compared = None;
        let there = self.asm.label();
        self.asm.cbz(Size::X, FLAG_SITE, there);
        self.asm.blr(FLAG_SITE);
        self.asm.bind(there);
    }

    /// Those flags at their EFLAGS places, in a locked register.
    pub(crate) fn entry_word(&mut self) -> u8 {
        self.settle_flags();
        let t = self.temp();
        self.asm.load(Piece::W, t, STATE, STATUS_FLAGS);
        t
    }

    /// Writes the routines.
    pub(crate) fn write_routines(&mut self) {
        for Routine { label, number, recipe } in std::mem::take(&mut self.routines) {
            self.asm.bind(label);
            self.out.flag_sites.push(FlagSite { offset: self.asm.offset(), recipe: number });
            if !self.compute_flags(&recipe.steps) {
                self.asm.store(Piece::X, LINK, STATE, KEPT[0]);
                self.branch_to_stub(StubId::Callout, true);
                let (offset, op, pc) = (self.asm.offset(), Op::GetFlags {}, self.region.key.pc);
                self.out.callouts.push(Callout { offset, op, pc, lazy: LazyState::default() });
                self.asm.load(Piece::X, LINK, STATE, KEPT[0]);
            }
            self.asm.ret();
        }
    }

    /// Computes the flags of a sum, difference or logical result; all, or those besides older ones. False where `steps` are others.
    fn compute_flags(&mut self, steps: &[RecipeStep]) -> bool {
        let Some((op, set, sources)) = simple(steps) else { return false };
        let (sum, w, count) = match op {
            Op::SubFlags { w, .. } => (Some(Sum::Subs), w, 2),
            Op::AddFlags { w, .. } => (Some(Sum::Adds), w, 2),
            Op::DecFlags { w, .. } if !set.contains(FlagSet::CF) => (Some(Sum::Subs), w, 1),
            Op::IncFlags { w, .. } if !set.contains(FlagSet::CF) => (Some(Sum::Adds), w, 1),
            Op::LogicFlags { w, .. } => (None, w, 1),
            _ => return false,
        };
        let (a, b, t, word) = (SCRATCH, TARGET, TEMPS[0], TEMPS[1]);
        let mut operands = Vec::new();
        op.values(&mut |v| operands.push(sources.get(v.0 as usize).copied()));
        self.asm.store(Piece::X, t, STATE, KEPT[1]);
        self.asm.store(Piece::X, word, STATE, KEPT[2]);
        for (n, reg) in [a, b].into_iter().enumerate() {
            match operands.get(n).copied().flatten() {
                Some(RecipeStep::Slot(slot)) => self.asm.load(Piece::X, reg, STATE, slot_offset(slot)),
                Some(RecipeStep::Constant(n)) => self.asm.constant(reg, n & w.mask()),
                _ => self.asm.constant(reg, u64::from(count == 1 && sum.is_some())),
            }
        }
        // AF, at its place.
        match sum {
            Some(Sum::Adds) => self.asm.add(Sum::Add, Size::W, t, a, b),
            Some(_) => self.asm.add(Sum::Sub, Size::W, t, a, b),
            None => self.asm.mov(Size::W, t, a),
        }
        if sum.is_some() {
            self.asm.logic(Logic::Eor, Size::W, word, a, b);
            self.asm.logic(Logic::Eor, Size::W, word, word, t);
            let half = bitmask(Size::W, 0x10).unwrap_or(0);
            self.asm.logic_bits(Logic::And, Size::W, word, word, half);
        } else {
            self.asm.constant(word, 0);
        }
        // PF: an even number of ones in the low byte.
        for by in [4, 2, 1] {
            self.asm.logic_shifted(Logic::Eor, Size::W, t, t, t, Shift::Lsr, by);
        }
        self.asm.logic(Logic::Orn, Size::W, t, ZERO, t);
        self.asm.bfi(Size::W, word, t, 2, 1);
        // The others are the host's, of values at the top of the register.
        let size = Size::of(w);
        let by = if w < Width::W32 { 32 - w.bits() as u8 } else { 0 };
        if by != 0 {
            self.asm.lsl(Size::W, a, a, by);
        }
        match sum {
            Some(sum) => self.asm.add_shifted(sum, size, ZERO, a, b, Shift::Lsl, by),
            None => self.asm.logic(Logic::Ands, size, ZERO, a, a),
        }
        let carry = match sum {
            Some(Sum::Adds) => Some(Cc::Hs),
            Some(_) => Some(Cc::Lo),
            None => None,
        };
        for (cc, place) in [(carry, 0), (Some(Cc::Eq), 6), (Some(Cc::Mi), 7), (sum.map(|_| Cc::Vs), 11)] {
            if let Some(cc) = cc {
                self.asm.cset(t, cc);
                self.asm.logic_shifted(Logic::Orr, Size::W, word, word, t, Shift::Lsl, place);
            }
        }
        if set != FlagSet::STATUS {
            self.asm.load(Piece::W, t, STATE, STATUS_FLAGS);
            self.asm.constant(a, set.bits().into());
            self.asm.logic(Logic::And, Size::W, word, word, a);
            self.asm.logic(Logic::Bic, Size::W, t, t, a);
            self.asm.logic(Logic::Orr, Size::W, word, word, t);
        }
        self.asm.store(Piece::W, word, STATE, STATUS_FLAGS);
        self.asm.constant(FLAG_SITE, 0);
        self.asm.load(Piece::X, t, STATE, KEPT[1]);
        self.asm.load(Piece::X, word, STATE, KEPT[2]);
        true
    }
}

/// The one flags op of `steps`, which of its flags count (the others are older ones), and the steps that its operands number.
fn simple(steps: &[RecipeStep]) -> Option<(Op, FlagSet, &[RecipeStep])> {
    let plain = |s: &RecipeStep| matches!(s, RecipeStep::Slot(_) | RecipeStep::Constant(_) | RecipeStep::Before);
    let (RecipeStep::Op(last), sources) = steps.split_last()? else { return None };
    if sources.iter().all(plain) {
        return Some((*last, FlagSet::STATUS, sources));
    }
    let Op::MergeFlags { set, a, b } = *last else { return None };
    let op = match sources.get(a.0 as usize)? {
        RecipeStep::Op(op) => *op,
        _ => return None,
    };
    let older = matches!(sources.get(b.0 as usize)?, RecipeStep::Before);
    let others = sources.iter().enumerate().all(|(n, s)| n == a.0 as usize || plain(s));
    (older && others).then_some((op, set, sources))
}
