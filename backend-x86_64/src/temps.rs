//! Temporaries: host registers without a fixed meaning, and the spill slots behind them.

use hokku_ir::{Gpr, Width};

use crate::Optimisations;
use crate::assign::{R15, RCX, SLOTS, home, slot_offset};
use crate::encode::Mem;
use crate::lower::Lowering;
use crate::values::{Borrowed, Loc};

impl Lowering<'_> {
    /// `words` consecutive free spill slots.
    pub(crate) fn take_slot(&mut self, words: u8) -> u8 {
        let mask = (1u64 << words) - 1;
        let mut slot = 0;
        while slot + words < SLOTS && self.slots & mask << slot != 0 {
            slot += words;
        }
        self.slots |= mask << slot;
        slot
    }

    /// A temporary that no live value owns, locked. Spills a value that this instruction does not name if there is none.
    pub(crate) fn temp(&mut self) -> u8 {
        let all = self.temporaries;
        let free = |l: &Self, r: u8| l.temp_owner[r as usize].is_none() && l.locked & 1 << r == 0;
        // What r15 is a copy of may be wanted again.
        let only_r15_copies = self.r15_copy.is_some() && self.rcx_copy.is_none();
        let other = (only_r15_copies && self.wants_rcx.is_none() && free(self, RCX)).then_some(RCX);
        let found = other.or_else(|| all.iter().copied().find(|r| free(self, *r)));
        let reg = found.or_else(|| {
            let victim = all.iter().copied().find(|r| self.locked & 1 << r == 0)?;
            self.spill_temp(victim);
            Some(victim)
        });
        let reg = reg.unwrap_or_else(|| self.borrow());
        self.lock(reg);
        self.forget_copy(reg);
        reg
    }

    /// Temporary `reg` is about to hold something else.
    pub(crate) fn forget_copy(&mut self, reg: u8) {
        match reg {
            R15 => self.r15_copy = None,
            RCX => self.rcx_copy = None,
            _ => {}
        }
    }

    /// Temporary `reg` holds all of guest register `of`, which is in memory.
    pub(crate) fn note_copy(&mut self, reg: u8, of: Gpr) {
        // One that was borrowed is in memory for an instruction only.
        let stays = home(of).is_none();
        if !stays || !self.optimisations.contains(Optimisations::REMEMBERED_REGISTERS) {
            return;
        }
        match reg {
            R15 => self.r15_copy = Some(of),
            RCX => self.rcx_copy = Some(of),
            _ => {}
        }
    }

    /// Last resort where the instruction at hand names all temporaries: a guest register that it does not name, put back at its end.
    pub(crate) fn borrow(&mut self) -> u8 {
        let reg = [0u8, 2, 3, 6, 7, 5].into_iter().find(|r| self.locked & 1 << r == 0).unwrap_or(0);
        let slot = self.take_slot(1);
        self.asm.mov(Width::W64, Mem::state(slot_offset(slot)), reg);
        self.borrowed.push(Borrowed { reg, slot, since: self.asm.offset() });
        reg
    }

    /// Puts borrowed guest registers back.
    #[inline(never)]
    pub(crate) fn give_back(&mut self) {
        while let Some(Borrowed { reg, slot, .. }) = self.borrowed.pop() {
            self.spill_temp(reg);
            self.asm.mov(Width::W64, reg, Mem::state(slot_offset(slot)));
            self.freed_slots.push((slot, 1));
        }
    }

    /// Moves the value in temporary `reg` to a spill slot.
    pub(crate) fn spill_temp(&mut self, reg: u8) {
        if let Some(owner) = self.temp_owner[reg as usize].take() {
            let slot = self.take_slot(1);
            self.asm.mov(Width::W64, Mem::state(slot_offset(slot)), reg);
            self.vals[owner.0 as usize].loc = Loc::Slot(slot);
        }
    }

    /// Makes rcx free and locks it. Call before operands are looked at.
    pub(crate) fn take_rcx(&mut self) {
        debug_assert!(self.locked & 1 << RCX == 0, "rcx is part of the instruction already");
        self.empty_rcx();
    }

    /// Moves the value that owns rcx away, if one does, and locks rcx, which holds the value meanwhile.
    pub(crate) fn empty_rcx(&mut self) {
        if let Some(owner) = self.temp_owner[RCX as usize] {
            self.lock(RCX);
            let free = self
                .temporaries
                .iter()
                .copied()
                .find(|r| self.temp_owner[*r as usize].is_none() && self.locked & 1 << r == 0);
            match free {
                Some(r) => {
                    self.forget_copy(r);
                    self.asm.mov(Width::W64, r, RCX);
                    self.temp_owner[RCX as usize] = None;
                    self.temp_owner[r as usize] = Some(owner);
                    self.vals[owner.0 as usize].loc = Loc::Temp(r);
                }
                None => self.spill_temp(RCX),
            }
        }
        self.lock(RCX);
    }
}
