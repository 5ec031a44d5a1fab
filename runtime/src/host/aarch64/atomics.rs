//! Atomic accesses to guest memory: by the aligned words and pairs of words of ARMv8.0.

use crate::host::native::contained;
use crate::host::native::guest_access::Outcome;

pub(crate) use contained::{compare_exchange, compare_exchange_16, hold, prepare_store};

unsafe extern "C" {
    fn hokku_guest_cas128(at: u64, expected: *mut [u64; 2], new: *const [u64; 2]) -> Outcome;
}

/// Whether [`swap_16`] works.
pub(crate) const SWAPS_16: bool = true;

/// Replaces the 16 bytes at `at`, a multiple of 16, by `new` where they equal `expected`; gives the old ones, or nothing where that faults.
pub(crate) fn swap_16(at: u64, expected: [u64; 2], new: [u64; 2]) -> Option<Option<[u64; 2]>> {
    let mut old = expected;
    // SAFETY: a fault comes back as an outcome; the caller passes guest addresses, where no Rust object lives; both pointers are to live values.
    let outcome = unsafe { hokku_guest_cas128(at, &raw mut old, &raw const new) };
    Some((outcome.faulted == 0).then_some(old))
}
