//! Atomic accesses to guest memory: the processor's own instructions, at any alignment.

use crate::host::native::fault::last_fault;
use crate::host::native::guest_access::{HostFault, Outcome, result};

unsafe extern "C" {
    fn hokku_guest_cas8(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas16(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas32(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas64(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_cas128(at: u64, expected: *mut [u64; 2], new: *const [u64; 2]) -> u64;
}

/// Replaces the `bytes` bytes at `at` by `new` where they equal `expected`, atomically and with a full fence; gives the old value.
pub(crate) fn compare_exchange(at: u64, bytes: u32, expected: u64, new: u64) -> Result<u64, HostFault> {
    // SAFETY: a fault comes back as an outcome; the caller passes guest addresses, where no Rust object lives.
    result(unsafe {
        match bytes {
            1 => hokku_guest_cas8(at, expected, new),
            2 => hokku_guest_cas16(at, expected, new),
            4 => hokku_guest_cas32(at, expected, new),
            _ => hokku_guest_cas64(at, expected, new),
        }
    })
}

/// [`compare_exchange`] of 16 bytes, which `at` must be aligned to.
pub(crate) fn compare_exchange_16(at: u64, expected: [u64; 2], new: [u64; 2]) -> Result<[u64; 2], HostFault> {
    let mut old = expected;
    // SAFETY: as in `store`; the two pointers are to live local values.
    let faulted = unsafe { hokku_guest_cas128(at, &raw mut old, &raw const new) };
    if faulted == 0 { Ok(old) } else { Err(last_fault()) }
}

/// Nothing: a store that faults writes nothing.
pub(crate) fn prepare_store(_at: u64, _bytes: u32) -> Result<(), HostFault> {
    Ok(())
}

/// What other hosts hold here: no access takes a lock on this one.
pub(crate) struct NoLock;

/// Nothing.
pub(crate) fn hold() -> NoLock {
    NoLock
}
