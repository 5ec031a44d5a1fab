//! Code that has been rewritten: it is evaluated at first, because it may be rewritten again before a translation has paid.
//!
//! Translating costs about as much as evaluating the same code a few times, bytes to result. So code whose translation was dropped because its bytes
//! changed is evaluated [`RUNS`] times before it is translated again, and anew after each change: the cost is never more than about
//! twice that of the better choice. Code that has then run so often is translated at once after the next [`TRUSTED`] changes, for it is likely to
//! do so again.

use std::sync::{Mutex, MutexGuard};

use hashbrown::HashMap;
use hokku_ir::{GuestAddr, Region};

use crate::guest_memory::GuestMemory;

/// Times that unchanged code is evaluated before it is translated.
const RUNS: u8 = 4;

/// Changes after which code is translated at once, when it had run [`RUNS`] times before.
const TRUSTED: u8 = 3;

/// The most blocks that are remembered.
const MOST: usize = 1 << 18;

/// A block whose translation was dropped.
#[derive(Debug, Default)]
struct Rewritten {
    /// Evaluations left before it is translated.
    left: u8,
    /// Changes left after which it is not evaluated.
    trusted: u8,
    /// What it was when it was evaluated last.
    bytes: Vec<u8>,
}

/// The blocks of a team that were rewritten, by address.
#[derive(Debug, Default)]
pub(crate) struct RewrittenCode(Mutex<HashMap<u64, Rewritten>>);

impl RewrittenCode {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Rewritten>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Notes that the translations of `blocks` were dropped because of a store.
    pub(crate) fn note(&self, blocks: &[u64]) {
        let mut all = self.lock();
        if all.len() + blocks.len() > MOST {
            all.clear();
        }
        for &pc in blocks {
            let block = all.entry(pc).or_default();
            if block.trusted > 0 {
                // Nothing to compare with: whatever it is now is translated.
                *block = Rewritten { left: 0, trusted: block.trusted - 1, bytes: Vec::new() };
            } else {
                block.left = RUNS;
            }
        }
    }

    /// Whether the block at `pc` is to be evaluated this time.
    pub(crate) fn is_evaluated(&self, memory: &GuestMemory, pc: GuestAddr) -> bool {
        let mut all = self.lock();
        let Some(block) = all.get_mut(&pc.0) else { return false };
        if block.left == 0 {
            let mut now = vec![0; block.bytes.len()];
            if memory.read_bytes(pc, &mut now).is_ok_and(|()| now == block.bytes) {
                return false;
            }
            block.left = RUNS;
        }
        true
    }

    /// Counts an evaluation of `block`, which was made of the code as it is now.
    pub(crate) fn count(&self, memory: &GuestMemory, block: &Region) {
        let len = block.ranges.first().map_or(0, |range| range.1 as usize);
        let mut now = vec![0; len];
        // What cannot be read has left nothing to compare: it counts as the same.
        let readable = memory.read_bytes(block.key.pc, &mut now).is_ok();
        let mut all = self.lock();
        let Some(known) = all.get_mut(&block.key.pc.0) else { return };
        if readable && known.bytes != now {
            *known = Rewritten { left: RUNS, trusted: 0, bytes: now };
        }
        known.left = known.left.saturating_sub(1);
        if known.left == 0 {
            known.trusted = TRUSTED;
        }
    }

    /// Keeps the blocks as they are until the guard is dropped.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.lock()
    }
}

#[cfg(test)]
mod tests {
    use hokku_ir::{BlockKey, CpuMode};

    use super::*;
    use crate::guest_memory::{HIGHEST_64, Placement, Prot};
    use crate::host::PAGE_SIZE;

    #[test]
    fn code_that_stays_is_translated_after_some_runs_and_code_that_changes_is_not() {
        let memory = GuestMemory::new(CpuMode::Long64).unwrap();
        let place = Placement::Lowest { low: GuestAddr(0x3_0000_0000), high: HIGHEST_64, align: PAGE_SIZE };
        let at = memory.map_anonymous(place, PAGE_SIZE, Prot::all(), false).unwrap();
        let key = BlockKey::new(at, CpuMode::Long64);
        let block = Region { key, blocks: Vec::new(), value_count: 0, ranges: vec![(at, 6)] };
        let code = RewrittenCode::default();
        assert!(!code.is_evaluated(&memory, at), "never translated before");
        code.note(&[at.0]);
        let runs = |code: &RewrittenCode| {
            let mut runs = 0;
            while code.is_evaluated(&memory, at) {
                code.count(&memory, &block);
                runs += 1;
            }
            runs
        };
        assert!((1..10).contains(&runs(&code)));
        for value in 1..50 {
            memory.write_u8(at.offset(5), value).unwrap();
            assert!(code.is_evaluated(&memory, at));
            code.count(&memory, &block);
        }
        assert!((1..10).contains(&runs(&code)));
        for _ in 0..3 {
            for _ in 0..TRUSTED {
                code.note(&[at.0]);
                assert_eq!(runs(&code), 0, "it ran often before");
            }
            code.note(&[at.0]);
            assert!((1..10).contains(&runs(&code)));
        }
        memory.write_u8(at.offset(6), 1).unwrap();
        assert_eq!(runs(&code), 0, "a change behind it is none");
    }
}
