//! What a region has at an address.

use hokku_ir::{BlockId, GuestAddr};

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing.
    Nothing,
    /// A block is to start there.
    Awaited,
    /// An instruction with which a block starts: of this number, once blocks have numbers.
    Start(u32),
    /// An instruction inside a block, and the number of its first value.
    Inside(u32),
}

/// What is known of addresses: asked for each instruction, emptied for each region.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// A power of two of them, at most half in use; an address is in the first free one from its own on.
    slots: Vec<Slot>,
    used: usize,
    /// Number of the region.
    region: u32,
}

/// In use if it is of the region.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: GuestAddr,
    region: u32,
    /// [`AWAITED`], a block's number, or a value's with [`INSIDE`].
    seen: u32,
}

/// No region's number.
const NO_REGION: u32 = u32::MAX;
const FREE: Slot = Slot { at: GuestAddr(0), region: NO_REGION, seen: 0 };
const AWAITED: u32 = u32::MAX;
const INSIDE: u32 = 1 << 31;

/// The fewest slots.
const FEWEST: usize = 512;

/// The slot of an address, until something is set.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    at: GuestAddr,
    slot: usize,
}

impl Places {
    /// Forgets all. To be called before anything else.
    pub(crate) fn clear(&mut self) {
        self.used = 0;
        self.region += 1;
        if self.region == NO_REGION {
            self.slots.fill(FREE);
            self.region = 0;
        }
        if self.slots.is_empty() {
            self.slots.resize(FEWEST, FREE);
        }
    }

    /// The slot that holds `at`, or the one that it would go to. There are free ones.
    fn slot(&self, at: GuestAddr) -> usize {
        let mask = self.slots.len() - 1;
        let mut n = (at.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.slots[n].region == self.region && self.slots[n].at != at {
            n = (n + 1) & mask;
        }
        n
    }

    /// The block that starts at `at`, once blocks have numbers.
    pub(crate) fn block(&self, at: GuestAddr) -> Option<BlockId> {
        let slot = &self.slots[self.slot(at)];
        (slot.region == self.region && slot.seen & INSIDE == 0).then_some(BlockId(slot.seen))
    }

    /// The block that starts at `at` has this number.
    pub(crate) fn set_block(&mut self, at: GuestAddr, BlockId(number): BlockId) {
        let slot = self.slot(at);
        self.set(Place { at, slot }, Seen::Start(number));
    }

    /// The place of `at`, and what is known of it.
    pub(crate) fn find(&self, at: GuestAddr) -> (Place, Seen) {
        let slot = self.slot(at);
        let Slot { region, seen, .. } = self.slots[slot];
        let seen = match seen {
            _ if region != self.region => Seen::Nothing,
            AWAITED => Seen::Awaited,
            value if value & INSIDE != 0 => Seen::Inside(value & !INSIDE),
            number => Seen::Start(number),
        };
        (Place { at, slot }, seen)
    }

    /// From now on `seen` is what is known of `place`.
    pub(crate) fn set(&mut self, place: Place, seen: Seen) {
        let (region, seen) = match seen {
            Seen::Nothing => return,
            Seen::Awaited => (self.region, AWAITED),
            Seen::Start(number) => (self.region, number),
            Seen::Inside(value) => (self.region, value | INSIDE),
        };
        let slot = &mut self.slots[place.slot];
        self.used += usize::from(slot.region != region);
        *slot = Slot { at: place.at, region, seen };
        if 2 * self.used > self.slots.len() {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let more = 2 * self.slots.len();
        for old in std::mem::replace(&mut self.slots, vec![FREE; more]) {
            if old.region == self.region {
                let n = self.slot(old.at);
                self.slots[n] = old;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(places: &mut Places, at: GuestAddr, seen: Seen) {
        let (place, _) = places.find(at);
        places.set(place, seen);
    }

    #[test]
    fn finds_what_was_entered_and_nothing_else() {
        let mut places = Places::default();
        for _ in 0..3 {
            places.clear();
            // Addresses that share low bits, and those at both ends.
            let at = |n: u32| GuestAddr((u64::from(n) << 32).wrapping_sub(7));
            let seen = |n: u32| [Seen::Awaited, Seen::Start(n), Seen::Inside(n)][n as usize % 3];
            for n in 0..2000 {
                assert_eq!(places.find(at(n)).1, Seen::Nothing);
                set(&mut places, at(n), seen(n));
            }
            for n in 0..2000 {
                assert_eq!(places.find(at(n)).1, seen(n));
            }
            assert_eq!(places.find(GuestAddr(1)).1, Seen::Nothing);
        }
        set(&mut places, GuestAddr(0), Seen::Awaited);
        set(&mut places, GuestAddr(0), Seen::Start(5));
        assert_eq!(places.find(GuestAddr(0)).1, Seen::Start(5));
        // Numbers of regions start again.
        places.region = NO_REGION - 1;
        set(&mut places, GuestAddr(1), Seen::Awaited);
        places.clear();
        assert_eq!(places.find(GuestAddr(0)).1, Seen::Nothing);
        assert_eq!(places.find(GuestAddr(1)).1, Seen::Nothing);
    }
}
