//! Atomic accesses to guest memory: by the aligned 64-bit words of RV64A.

use crate::host::native::contained;

pub(crate) use contained::{compare_exchange, compare_exchange_16, hold, prepare_store};

/// Whether [`swap_16`] works.
pub(crate) const SWAPS_16: bool = false;

/// Nothing: the base instructions have no such access.
pub(crate) fn swap_16(_at: u64, _expected: [u64; 2], _new: [u64; 2]) -> Option<Option<[u64; 2]>> {
    None
}
