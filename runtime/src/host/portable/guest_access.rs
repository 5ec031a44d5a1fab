//! Accesses to guest memory that report a fault instead of crashing: the host's kernel does them.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard};

use crate::host::system;

/// The access faulted; the address is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostFault {
    pub(crate) address: u64,
    pub(crate) bus: bool,
}

/// Serialises the atomic operations that the host's own instructions cannot do at any alignment.
static UNALIGNED: Mutex<()> = Mutex::new(());

/// Held during an access that is not atomic by itself; for a fork, so that the child finds it free.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    UNALIGNED.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn copied(done: usize, at: u64, len: usize) -> Result<(), HostFault> {
    if done == len { Ok(()) } else { Err(HostFault { address: at + done as u64, bus: false }) }
}

/// Copies guest memory at `at` to `to`.
pub(crate) fn read(at: u64, to: &mut [u8]) -> Result<(), HostFault> {
    copied(system::read_memory(at, to), at, to.len())
}

/// Copies `from` to guest memory at `at`.
pub(crate) fn write(at: u64, from: &[u8]) -> Result<(), HostFault> {
    // SAFETY: the caller passes guest addresses, where no Rust object lives.
    copied(unsafe { system::write_memory(at, from) }, at, from.len())
}

/// Reads `bytes` (1, 2, 4 or 8) bytes at `at`, zero-extended; what comes after it stays after it, as on x86.
pub(crate) fn load(at: u64, bytes: u32) -> Result<u64, HostFault> {
    let mut value = [0; 8];
    read(at, &mut value[..bytes as usize])?;
    fence(Ordering::Acquire);
    Ok(u64::from_le_bytes(value))
}

/// Writes the low `bytes` (1, 2, 4 or 8) bytes of `value` at `at`; what comes before it stays before it, as on x86.
pub(crate) fn store(at: u64, bytes: u32, value: u64) -> Result<(), HostFault> {
    fence(Ordering::Release);
    write(at, &value.to_le_bytes()[..bytes as usize])
}

/// Reads 16 bytes at `at`.
pub(crate) fn load_16(at: u64) -> Result<[u8; 16], HostFault> {
    let mut bytes = [0; 16];
    read(at, &mut bytes).map(|()| bytes)
}

/// Writes 16 bytes at `at`.
pub(crate) fn store_16(at: u64, bytes: &[u8; 16]) -> Result<(), HostFault> {
    write(at, bytes)
}

/// Replaces the `bytes` bytes at `at` by `new` where they equal `expected`, atomically and with a full fence; gives the old value.
pub(crate) fn compare_exchange(at: u64, bytes: u32, expected: u64, new: u64) -> Result<u64, HostFault> {
    // x86 writes back always: a location that cannot be written faults here, before the host's own instruction touches it.
    let now = load(at, bytes)?;
    if at % u64::from(bytes) != 0 {
        let _one = hold();
        let old = load(at, bytes)?;
        store(at, bytes, if old == expected { new } else { old })?;
        return Ok(old);
    }
    let _ = now;
    macro_rules! swap {
        ($Atomic:ident, $Int:ident) => {{
            // SAFETY: aligned, readable a moment ago and outside of all Rust objects; other accesses to guest memory are atomic or by the kernel.
            let place = unsafe { $Atomic::from_ptr(at as *mut $Int) };
            let swapped = place.compare_exchange(expected as $Int, new as $Int, Ordering::SeqCst, Ordering::SeqCst);
            u64::from(swapped.unwrap_or_else(|old| old))
        }};
    }
    Ok(match bytes {
        1 => swap!(AtomicU8, u8),
        2 => swap!(AtomicU16, u16),
        4 => swap!(AtomicU32, u32),
        _ => swap!(AtomicU64, u64),
    })
}

/// [`compare_exchange`] of 16 bytes: atomic among themselves.
pub(crate) fn compare_exchange_16(at: u64, expected: [u64; 2], new: [u64; 2]) -> Result<[u64; 2], HostFault> {
    let _one = hold();
    let old = [load(at, 8)?, load(at.wrapping_add(8), 8)?];
    let now = if old == expected { new } else { old };
    store(at, 8, now[0])?;
    store(at.wrapping_add(8), 8, now[1])?;
    Ok(old)
}
