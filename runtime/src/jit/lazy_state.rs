//! Guest state that host code left to be computed after the fact: status flags, upper halves of registers.

use hokku_ir::backend::LazyState;
use hokku_ir::eval::Machine;
use hokku_ir::lowering::{CHAINED, FlagsRecipe, OLDER_SITE_SLOT, recipe_slot};
use hokku_ir::{CpuState, FlagSet, Gpr, GuestAddr};

use super::JitThread;

impl JitThread {
    /// Clears the upper halves that `lazy` names.
    pub(super) fn settle_registers(&self, cpu: &mut CpuState, lazy: LazyState) {
        for g in Gpr::ALL.iter().filter(|g| lazy.narrow & 1 << g.index() != 0) {
            cpu.gpr[g.index()] &= 0xffff_ffff;
        }
    }

    /// Puts the guest state of a thread in order that left its code, or called out, at host address `site` with `lazy`.
    pub(super) fn settle(&self, cpu: &mut CpuState, lazy: LazyState, site: u64) {
        self.settle_registers(cpu, lazy);
        hokku_ir::lowering::settle_x87(cpu, lazy.x87);
        // Bit 0 tells the code something, not us.
        let address = |word: u64| word & !(CHAINED | 1);
        let before = address(cpu.host.flag_site);
        if before == 0 && lazy.flags.is_none() {
            cpu.host.flag_site = 0;
            return;
        }
        let is_chained = cpu.host.flag_site & CHAINED != 0;
        let older = if is_chained { address(recipe_slot(cpu, OLDER_SITE_SLOT)) } else { 0 };
        let (older, passed, here) = {
            let tables = self.team().code.lock();
            let passed = |site: u64| {
                (site != 0).then(|| {
                    let recipe = tables.code_at(site).and_then(|code| code.flag_site(site));
                    recipe.unwrap_or_else(|| panic!("no flags are kept at host address {site:#x}")).clone()
                })
            };
            let (older, passed) = (passed(older), passed(before));
            let here = lazy.flags.map(|n| {
                let recipe = tables.code_at(site).and_then(|code| code.recipe(n));
                recipe.unwrap_or_else(|| panic!("no recipe {n} for host address {site:#x}")).clone()
            });
            (older, passed, here)
        };
        for recipe in [older, passed, here].into_iter().flatten() {
            cpu.status_flags = self.flags_of(cpu, &recipe).bits();
        }
        cpu.host.flag_site = 0;
    }

    fn flags_of(&self, cpu: &mut CpuState, recipe: &FlagsRecipe) -> FlagSet {
        let before = FlagSet::from_bits_truncate(cpu.status_flags);
        let team = self.team();
        let (memory, system, mode, x87) = (&team.memory, &team.processor, team.mode, team.x87);
        let machine = &mut Machine { cpu, memory, system, mode, x87, pc: GuestAddr(0) };
        recipe.evaluate(machine, before).unwrap_or_else(|fault| panic!("a recipe for flags cannot fault: {fault:?}"))
    }
}
