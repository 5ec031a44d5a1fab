//! Which instruction of a region stands at an address.

use hokku_ir::GuestAddr;

/// Places of instructions by their addresses: asked for each instruction, emptied for each region.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// A power of two of them (or none), less than half in use; an entry is in the first free one from its own on.
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    at: GuestAddr,
    place: u32,
}

const FREE: Slot = Slot { at: GuestAddr(0), place: u32::MAX };

/// The fewest slots.
const FEWEST: usize = 32;
/// The most that are made before they are needed.
const MOST_AT_FIRST: usize = 512;

impl Places {
    /// Forgets all; makes room for `expected` of them.
    pub(crate) fn clear(&mut self, expected: usize) {
        let slots = expected.saturating_mul(2).clamp(FEWEST, MOST_AT_FIRST).next_power_of_two();
        self.slots.clear();
        self.slots.resize(slots, FREE);
        self.used = 0;
    }

    /// The slot that holds `at`, or the one that it would go to. There are slots.
    fn slot(&self, at: GuestAddr) -> usize {
        let mask = self.slots.len() - 1;
        let mut n = (at.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.slots[n].place != FREE.place && self.slots[n].at != at {
            n = (n + 1) & mask;
        }
        n
    }

    /// The place of the instruction at `at`.
    pub(crate) fn find(&self, at: GuestAddr) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        Some(self.slots[self.slot(at)].place).filter(|place| *place != FREE.place)
    }

    /// The instruction at `at`, which had none, has `place`.
    pub(crate) fn insert(&mut self, at: GuestAddr, place: u32) {
        if 2 * (self.used + 1) > self.slots.len() {
            let more = (2 * self.slots.len()).max(FEWEST);
            for old in std::mem::replace(&mut self.slots, vec![FREE; more]) {
                if old.place != FREE.place {
                    let n = self.slot(old.at);
                    self.slots[n] = old;
                }
            }
        }
        let n = self.slot(at);
        self.slots[n] = Slot { at, place };
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_entered_and_nothing_else() {
        let mut places = Places::default();
        assert_eq!(places.find(GuestAddr(0)), None);
        for expected in [1, 64, 100_000] {
            places.clear(expected);
            // Addresses that share low bits, and those at both ends.
            let at = |n: u32| GuestAddr((u64::from(n) << 32).wrapping_sub(7));
            for n in 0..2000 {
                assert_eq!(places.find(at(n)), None);
                places.insert(at(n), n);
            }
            for n in 0..2000 {
                assert_eq!(places.find(at(n)), Some(n));
            }
            assert_eq!(places.find(GuestAddr(1)), None);
        }
        places.clear(8);
        assert_eq!(places.find(GuestAddr(u64::MAX - 6)), None);
    }
}
