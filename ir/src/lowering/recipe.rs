//! How the guest's status flags are computed after the fact.

use std::collections::HashMap;

use crate::eval::{EvalFault, Machine, Memory, Val, eval_op};
use crate::guest::{CpuState, FlagSet};
use crate::ops::Op;
use crate::region::Value;

/// How flags that a host's comparison left are kept: those at their EFLAGS places are `table`, shifted to the right by the low six bits of the
/// word that is kept, shifted by `shift`. Bits of `table` that come to be at other places mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagsCode {
    /// Bits of the word that are not looked at.
    pub shift: u8,
    /// The flags.
    pub table: u64,
}

/// Spill slots from here on belong to the guest's flags: operands that a recipe reads after its block has ended.
pub const FLAG_SLOTS: u8 = 60;

/// Spill slots from here to [`FLAG_SLOTS`] belong to flags that build on those of another site ([`CHAINED`]); the last one holds that
/// site, as [`HostArea::flag_site`](crate::guest::HostArea::flag_site) had it.
pub const CHAIN_SLOTS: u8 = 56;

/// Where an older site is kept: the last of [`CHAIN_SLOTS`].
pub const OLDER_SITE_SLOT: u8 = FLAG_SLOTS - 1;

/// Set in [`HostArea::flag_site`](crate::guest::HostArea::flag_site) where the recipe's [`RecipeStep::Before`] are the flags of the site in
/// [`OLDER_SITE_SLOT`], which is not such a one itself.
pub const CHAINED: u64 = 2;

/// What is in spill slot `slot` of a back end that keeps flags as recipes.
pub fn recipe_slot(cpu: &CpuState, slot: u8) -> u64 {
    match usize::from(slot & 63).checked_sub(CHAIN_SLOTS.into()) {
        Some(n) => cpu.flag_slots[n],
        None => cpu.host.spill[usize::from(slot & 63)],
    }
}

/// One step of a recipe: a value that later steps refer to by the step's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecipeStep {
    /// What a host register holds ([`crate::guest::HostArea::registers`] once the thread has left).
    Register(u8),
    /// What a spill slot holds.
    Slot(u8),
    /// A constant.
    Constant(u64),
    /// The flags before: at a place inside a block those with which it was entered, else those in [`CpuState::status_flags`].
    Before,
    /// The result of an op without effects, whose operands are numbers of earlier steps.
    Op(Op),
}

/// How to compute the guest's flags from what the registers and slots hold: the result is the last step's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagsRecipe {
    /// The steps, in order.
    pub steps: Vec<RecipeStep>,
}

impl FlagsRecipe {
    /// The flags, where `before` are those that [`RecipeStep::Before`] stands for. Follows the host part of the state for registers and slots.
    pub fn evaluate<M: Memory + ?Sized>(
        &self,
        machine: &mut Machine<'_, M>,
        before: FlagSet,
    ) -> Result<FlagSet, EvalFault> {
        let mut results: Vec<Val> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let cpu = &machine.cpu;
            let result = match *step {
                RecipeStep::Register(r) => Val::int(cpu.host.registers[usize::from(r & 31)]),
                RecipeStep::Slot(s) => Val::int(recipe_slot(cpu, s)),
                RecipeStep::Constant(n) => Val::int(n),
                RecipeStep::Before => Val::int(before.bits().into()),
                RecipeStep::Op(op) => {
                    let mut args = Vec::new();
                    op.values(&mut |v| args.push(results.get(v.0 as usize).copied().unwrap_or_default()));
                    let mut op = op;
                    let mut n = 0;
                    op.map_values(&mut |_| {
                        n += 1;
                        Value(n - 1)
                    });
                    eval_op(&op, &args, machine)?
                }
            };
            results.push(result);
        }
        let last = results.last().map_or(before.bits(), |v| v.low() as u32);
        Ok(FlagSet::from_bits_truncate(last))
    }

    /// Whether it builds on the flags before.
    pub fn reads_before(&self) -> bool {
        self.steps.contains(&RecipeStep::Before)
    }
}

/// The recipes of a region, each once.
#[derive(Clone, Debug, Default)]
pub struct Recipes {
    all: Vec<FlagsRecipe>,
    known: HashMap<FlagsRecipe, u32>,
}

impl Recipes {
    /// The number of `recipe`.
    pub fn number(&mut self, recipe: FlagsRecipe) -> u32 {
        if let Some(n) = self.known.get(&recipe) {
            return *n;
        }
        let n = self.all.len() as u32;
        self.all.push(recipe.clone());
        self.known.insert(recipe, n);
        n
    }

    /// All of them, by number.
    pub fn take(&mut self) -> Vec<FlagsRecipe> {
        self.known.clear();
        std::mem::take(&mut self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{FixedSystem, FlatMemory};
    use crate::guest::CpuState;
    use crate::key::{CpuMode, X87Arithmetic};
    use crate::operand::Width;
    use crate::region::Value;

    #[test]
    fn an_operand_is_computed_back_from_the_result() {
        // add a, b with the sum in register 5 and b in slot 60: 0xff + 1.
        let (sum, b, a) = (Value(0), Value(1), Value(2));
        let steps = vec![
            RecipeStep::Register(5),
            RecipeStep::Slot(60),
            RecipeStep::Op(Op::Sub { w: Width::W8, a: sum, b }),
            RecipeStep::Op(Op::AddFlags { w: Width::W8, a, b }),
            RecipeStep::Before,
            RecipeStep::Op(Op::MergeFlags { set: FlagSet::CF.complement(), a: Value(3), b: Value(4) }),
        ];
        let recipe = FlagsRecipe { steps };
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.host.registers[5] = 0x100;
        cpu.flag_slots[4] = 1;
        let memory = FlatMemory::new();
        let machine = &mut Machine {
            cpu: &mut cpu,
            memory: &memory,
            system: &FixedSystem::default(),
            mode: CpuMode::Long64,
            x87: X87Arithmetic::Exact,
            pc: crate::guest::GuestAddr(0),
        };
        let flags = recipe.evaluate(machine, FlagSet::CF | FlagSet::OF);
        assert_eq!(flags, Ok(FlagSet::ZF | FlagSet::PF | FlagSet::AF | FlagSet::CF));
        assert!(recipe.reads_before());
    }

    #[test]
    fn equal_recipes_have_one_number() {
        let mut recipes = Recipes::default();
        let one = || FlagsRecipe { steps: vec![RecipeStep::Before] };
        assert_eq!((recipes.number(one()), recipes.number(FlagsRecipe::default()), recipes.number(one())), (0, 1, 0));
        assert_eq!(recipes.take().len(), 2);
    }
}
