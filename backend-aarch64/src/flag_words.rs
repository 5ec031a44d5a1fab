//! The guest's flags as bits, where they are not known from the block itself.
//!
//! [`FLAG_SITE`] is the address of a routine, out of line, that puts the flags that were left with it into `status_flags`: code that needs them as bits
//! calls it. Zero says that they are there already.

use hokku_ir::backend::{Callout, FlagSite, LazyState, StubId};
use hokku_ir::lowering::{FlagsRecipe, RecipeStep};
use hokku_ir::{Addr, FlagSet, Op, Type, Width};

use crate::access::Piece;
use crate::asm::{Asm, Label, Size};
use crate::assign::*;
use crate::flag_code::{Room, Source};
use crate::integer::{Logic, Shift, Sum};
use crate::lower::Lowering;

/// Where routines keep their caller's address over a callout.
const KEPT_LINK: i32 = callout_arg_offset(3);

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

    /// The same, with a place of its own at `label`.
    pub(crate) fn routine_at(&mut self, label: Label, recipe: FlagsRecipe) -> Label {
        let number = self.recipes.number(recipe.clone());
        self.routines.push(Routine { label, number, recipe });
        label
    }

    /// Brings the flags with which the block was entered into `status_flags`. Temporaries survive, vectors and NZCV do not.
    pub(crate) fn settle_flags(&mut self) {
        self.spill_vectors();
        self.compared = None;
        self.fpsr.is_known = false;
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
            let start = self.asm.offset();
            self.out.flag_sites.push(FlagSite { offset: start, recipe: number });
            if !compute_flags(&mut self.asm, &recipe.steps) {
                self.asm.cut(start);
                self.asm.store(Piece::X, LINK, STATE, KEPT_LINK);
                self.branch_to_stub(StubId::Callout, true);
                let (offset, op, pc) = (self.asm.offset(), Op::GetFlags {}, self.region.key.pc);
                self.out.callouts.push(Callout { offset, op, pc, lazy: LazyState::default() });
                self.asm.load(Piece::X, LINK, STATE, KEPT_LINK);
            }
            self.asm.ret();
        }
    }
}

/// Registers of code that computes flags: temporaries, which it gives back as they were.
struct Registers {
    free: Vec<u8>,
    used: Vec<u8>,
}

impl Registers {
    fn take(&mut self, asm: &mut Asm) -> Option<u8> {
        let r = self.free.pop()?;
        if !self.used.contains(&r) {
            self.used.push(r);
            asm.store(Piece::X, r, STATE, kept(r));
        }
        Some(r)
    }
}

/// Where temporary `r` is kept.
fn kept(r: u8) -> i32 {
    REGISTERS + 8 * i32::from(r)
}

/// Computes the flags of `steps` into `status_flags`; says so in [`FLAG_SITE`]. False, and what is written is of no use, where that is left to the runtime.
pub(crate) fn compute_flags(asm: &mut Asm, steps: &[RecipeStep]) -> bool {
    write_steps(asm, steps).is_some()
}

fn write_steps(asm: &mut Asm, steps: &[RecipeStep]) -> Option<()> {
    let is_free = |r: &u8| !steps.contains(&RecipeStep::Register(*r));
    let mut registers = Registers { free: TEMPS.iter().rev().copied().filter(is_free).collect(), used: Vec::new() };
    let wanted = wanted_flags(steps);
    let mut last: Vec<usize> = (0..steps.len()).collect();
    for (n, step) in steps.iter().enumerate() {
        if let RecipeStep::Op(op) = step {
            op.values(&mut |v| last[v.0 as usize] = n);
        }
    }
    let mut sources: Vec<Source> = Vec::with_capacity(steps.len());
    for (n, step) in steps.iter().enumerate() {
        let source = match *step {
            RecipeStep::Constant(value) => Source::Constant(value),
            RecipeStep::Slot(slot) => {
                let r = registers.take(asm)?;
                asm.load(Piece::X, r, STATE, recipe_slot_offset(slot));
                Source::Register(r)
            }
            RecipeStep::Before => {
                let r = registers.take(asm)?;
                asm.load(Piece::W, r, STATE, STATUS_FLAGS);
                Source::Register(r)
            }
            RecipeStep::Register(r) => Source::Register(r),
            RecipeStep::Op(op) => {
                let mut operands = Vec::new();
                op.values(&mut |v| operands.push(sources[v.0 as usize]));
                let d = registers.take(asm)?;
                if op.result_type() == Type::Flags {
                    let (t, u) = (registers.take(asm)?, registers.take(asm)?);
                    if !asm.flags_of(&op, &operands, wanted[n], Room { word: d, t, u }) {
                        return None;
                    }
                    registers.free.extend([u, t]);
                } else {
                    write_integer(asm, &op, &operands, d)?;
                }
                Source::Register(d)
            }
        };
        sources.push(source);
        for (k, source) in sources.iter().enumerate() {
            if let Source::Register(r) = *source
                && last[k] == n
                && k != n
                && registers.used.contains(&r)
                && !registers.free.contains(&r)
            {
                registers.free.push(r);
            }
        }
    }
    match *sources.last()? {
        Source::Register(r) => asm.store(Piece::W, r, STATE, STATUS_FLAGS),
        Source::Constant(_) => return None,
    }
    asm.constant(FLAG_SITE, 0);
    for r in registers.used {
        asm.load(Piece::X, r, STATE, kept(r));
    }
    Some(())
}

/// By step: which flags of its result matter.
fn wanted_flags(steps: &[RecipeStep]) -> Vec<FlagSet> {
    let mut wanted = vec![FlagSet::empty(); steps.len()];
    if let Some(last) = wanted.last_mut() {
        *last = FlagSet::STATUS;
    }
    for n in (0..steps.len()).rev() {
        match steps[n] {
            RecipeStep::Op(Op::MergeFlags { set, a, b }) => {
                let all = wanted[n];
                wanted[a.0 as usize] |= all & set;
                wanted[b.0 as usize] |= all - set;
            }
            RecipeStep::Op(op) => op.values(&mut |v| wanted[v.0 as usize] = FlagSet::STATUS),
            _ => {}
        }
    }
    wanted
}

/// `d` = what an operand was before it was overwritten, or part of what a word says that a comparison left.
fn write_integer(asm: &mut Asm, op: &Op, operands: &[Source], d: u8) -> Option<()> {
    let (sum, w, a, b) = match (*op, operands) {
        (Op::Add { w, .. }, [a, b]) => (Sum::Add, w, *a, *b),
        (Op::Sub { w, .. }, [a, b]) => (Sum::Sub, w, *a, *b),
        (Op::Lea { w, at: Addr { base: Some(_), index: None, disp, seg: None, .. } }, [base]) => {
            (Sum::Add, w, *base, Source::Constant(disp as u64))
        }
        (Op::Shr { w: Width::W64, .. } | Op::And { w: Width::W64, .. }, [a, b]) => {
            let [a, b] = [(*a, SCRATCH), (*b, TARGET)].map(|(source, into)| asm.source(source, into));
            match op {
                Op::Shr { .. } => asm.shift_reg(Shift::Lsr, Size::X, d, a, b),
                _ => asm.logic(Logic::And, Size::X, d, a, b),
            }
            return Some(());
        }
        _ => return None,
    };
    let [a, b] = [(a, SCRATCH), (b, TARGET)].map(|(source, into)| asm.source(source, into));
    asm.add(sum, Size::of(w), d, a, b);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hokku_ir::Value;

    #[test]
    fn flags_of_integer_ops_take_no_callout() {
        let (w, a, b, f) = (Width::W32, Value(0), Value(1), Value(2));
        let ops = [
            Op::AddFlags { w, a, b },
            Op::SubFlags { w, a, b },
            Op::AdcFlags { w, a, b, f },
            Op::SbbFlags { w, a, b, f },
            Op::AdoFlags { w, a, b, f },
            Op::IncFlags { w, a },
            Op::DecFlags { w, a },
            Op::LogicFlags { w, v: a },
            Op::MulFlagsU { w, a, b },
            Op::MulFlagsS { w, a, b },
            Op::ShlFlags { w, a, n: b, f },
            Op::ShrFlags { w, a, n: b, f },
            Op::SarFlags { w, a, n: b, f },
            Op::RotlFlags { w, a, n: b, f },
            Op::RotrFlags { w, a, n: b, f },
            Op::ShldFlags { w, a, b: a, n: b, f },
            Op::ShrdFlags { w, a, b: a, n: b, f },
            Op::BitTestFlags { w, a, n: b, f },
            Op::BitScanFlags { w, a },
            Op::CountOnesFlags { w, a },
            Op::CountZerosFlags { w, a, v: b },
        ];
        for op in ops {
            let mut steps = vec![RecipeStep::Slot(60), RecipeStep::Slot(61), RecipeStep::Before, RecipeStep::Op(op)];
            assert!(compute_flags(&mut Asm::new(), &steps), "{}", op.name());
            steps.push(RecipeStep::Op(Op::MergeFlags { set: FlagSet::CF.complement(), a: Value(3), b: Value(2) }));
            assert!(compute_flags(&mut Asm::new(), &steps), "{} and older ones", op.name());
        }
    }

    #[test]
    fn registers_of_a_recipe_are_left_alone() {
        let [first, .., last] = TEMPS;
        let steps = [first, last].map(RecipeStep::Register);
        let op = Op::SubFlags { w: Width::W64, a: Value(0), b: Value(1) };
        let mut asm = Asm::new();
        assert!(compute_flags(&mut asm, &[steps[0], steps[1], RecipeStep::Op(op)]));
        for word in asm.finish().chunks(4) {
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            // Stores apart, the low five bits name what is written.
            let is_store = word >> 22 & 0x1ff == 0x1e4 || word >> 22 & 0x1ff == 0xe4;
            let written = (word & 31) as u8;
            assert!(is_store || ![first, last].contains(&written), "{word:#x}");
        }
    }
}
