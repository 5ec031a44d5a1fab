//! Atomic accesses to guest memory on processors whose own are for aligned words alone.
//!
//! An access inside an aligned word is a compare and swap of that word. One that no word of the processor contains takes a lock: it is atomic among
//! its kind in this process, not against other accesses.

use std::sync::{Mutex, MutexGuard};

use super::fault::last_fault;
use super::guest_access::{self, HostFault, Outcome, result};
use crate::host::{PAGE_SIZE, processor};

unsafe extern "C" {
    fn hokku_guest_cas64(at: u64, expected: u64, new: u64) -> Outcome;
    fn hokku_guest_probe(at: u64) -> Outcome;
}

static SPLIT: Mutex<()> = Mutex::new(());

/// Held during an access that no word contains; for a fork, so that the child finds it free.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    SPLIT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Replaces the `bytes` bytes at `at` by `new` where they equal `expected`, atomically and with a full fence; gives the old value.
pub(crate) fn compare_exchange(at: u64, bytes: u32, expected: u64, new: u64) -> Result<u64, HostFault> {
    let bits = bytes * 8;
    let ones = u64::MAX >> (64 - bits);
    let (word, shift) = (at & !7, (at & 7) as u32 * 8);
    if shift + bits <= 64 {
        let here = |fault: HostFault| HostFault { address: at, ..fault };
        let mut seen = guest_access::load(word, 8).map_err(here)?;
        loop {
            let old = seen >> shift & ones;
            // x86 writes in any case.
            let value = if old == expected { new } else { old };
            // SAFETY: a fault comes back as an outcome; the caller passes guest addresses, where no Rust object lives.
            let next = seen & !(ones << shift) | value << shift;
            let found = result(unsafe { hokku_guest_cas64(word, seen, next) }).map_err(here)?;
            if found == seen {
                return Ok(old);
            }
            seen = found;
        }
    }
    let (block, shift) = (at & !15, (at & 15) as u32 * 8);
    if processor::atomics::SWAPS_16 && shift + bits <= 128 {
        let here = |fault: HostFault| HostFault { address: at, ..fault };
        let mut seen = u128::from_le_bytes(guest_access::load_16(block).map_err(here)?);
        loop {
            let old = (seen >> shift) as u64 & ones;
            let value = if old == expected { new } else { old };
            let next = seen & !(u128::from(ones) << shift) | u128::from(value) << shift;
            let found = join(compare_exchange_16(block, halves(seen), halves(next)).map_err(here)?);
            if found == seen {
                return Ok(old);
            }
            seen = found;
        }
    }
    let _one = hold();
    prepare_store(at, bytes)?;
    let old = guest_access::load(at, bytes)?;
    guest_access::store(at, bytes, if old == expected { new } else { old })?;
    Ok(old)
}

fn halves(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

fn join([low, high]: [u64; 2]) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

/// [`compare_exchange`] of 16 bytes, which `at` must be aligned to.
pub(crate) fn compare_exchange_16(at: u64, expected: [u64; 2], new: [u64; 2]) -> Result<[u64; 2], HostFault> {
    if let Some(old) = processor::atomics::swap_16(at, expected, new) {
        return old.ok_or_else(last_fault);
    }
    let _one = hold();
    prepare_store(at, 16)?;
    let old = halves(u128::from_le_bytes(guest_access::load_16(at)?));
    let now = if old == expected { new } else { old };
    guest_access::store_16(at, &join(now).to_le_bytes())?;
    Ok(old)
}

/// Makes sure that a store of `bytes` bytes at `at` that faults writes nothing: both pages of one that lies on two are tried first.
pub(crate) fn prepare_store(at: u64, bytes: u32) -> Result<(), HostFault> {
    if at % PAGE_SIZE + u64::from(bytes) <= PAGE_SIZE {
        return Ok(());
    }
    let second = (at & !(PAGE_SIZE - 1)).wrapping_add(PAGE_SIZE);
    for first_byte in [at, second] {
        // SAFETY: a fault comes back as an outcome; what is written is what is there, atomically.
        let tried = result(unsafe { hokku_guest_probe(first_byte & !3) });
        tried.map_err(|fault| HostFault { address: first_byte, ..fault })?;
    }
    Ok(())
}
