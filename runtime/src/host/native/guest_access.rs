//! Accesses to guest memory that report a fault instead of crashing.
//!
//! Each routine is a few instructions of assembly ([`processor::access`]). The fault handler ([`super::fault`]) recognises their addresses by
//! [`fixup`] and sends a faulting one to its error return. No routine reads or writes anything but its operands, so that any address whatever is safe to pass
//! as far as faults go; that the address is the guest's own is the caller's duty ([`crate::GuestMemory`]).

use crate::host::processor;
pub(crate) use processor::atomics::{compare_exchange, compare_exchange_16, hold};

/// A routine's result and whether it faulted, in the two registers of such results.
#[repr(C)]
pub(in crate::host) struct Outcome {
    pub(in crate::host) value: u64,
    pub(in crate::host) faulted: u64,
}

unsafe extern "C" {
    fn hokku_guest_load8(at: u64) -> Outcome;
    fn hokku_guest_load16(at: u64) -> Outcome;
    fn hokku_guest_load32(at: u64) -> Outcome;
    fn hokku_guest_load64(at: u64) -> Outcome;
    fn hokku_guest_store8(at: u64, value: u64) -> Outcome;
    fn hokku_guest_store16(at: u64, value: u64) -> Outcome;
    fn hokku_guest_store32(at: u64, value: u64) -> Outcome;
    fn hokku_guest_store64(at: u64, value: u64) -> Outcome;
    fn hokku_guest_load128(at: u64, to: *mut [u8; 16]) -> Outcome;
    fn hokku_guest_store128(at: u64, from: *const [u8; 16]) -> Outcome;
    fn hokku_guest_copy(to: u64, from: u64, len: u64) -> u64;
    static hokku_guest_values_start: u8;
    static hokku_guest_values_end: u8;
    static hokku_guest_values_fixup: u8;
    static hokku_guest_copy_start: u8;
    static hokku_guest_copy_bytes: u8;
    static hokku_guest_copy_end: u8;
}

/// Where a fault at host address `pc` goes on, when `pc` is in one of the routines. A copy in large pieces goes on byte by byte, which stops at the
/// very byte.
pub(crate) fn fixup(pc: u64) -> Option<u64> {
    let (values, pieces, bytes) = (
        (&raw const hokku_guest_values_start, &raw const hokku_guest_values_end, &raw const hokku_guest_values_fixup),
        (&raw const hokku_guest_copy_start, &raw const hokku_guest_copy_bytes, &raw const hokku_guest_copy_bytes),
        (&raw const hokku_guest_copy_bytes, &raw const hokku_guest_copy_end, &raw const hokku_guest_copy_end),
    );
    [values, pieces, bytes]
        .into_iter()
        .chain(processor::access::more_fixups())
        .find(|(start, end, _)| (start.addr() as u64..end.addr() as u64).contains(&pc))
        .map(|(_, _, fixup)| fixup.addr() as u64)
}

/// The access faulted; the address is where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostFault {
    pub(crate) address: u64,
    /// SIGBUS: mapped, but nothing is behind it.
    pub(crate) bus: bool,
}

pub(in crate::host) fn result(outcome: Outcome) -> Result<u64, HostFault> {
    if outcome.faulted == 0 { Ok(outcome.value) } else { Err(super::fault::last_fault()) }
}

/// The first byte that could not be accessed by an access at `at` whose fault the kernel places at `address`. Processors tell that byte; qemu 10 on
/// processors with FEAT_LSE2 tells the aligned word that the access starts in.
pub(in crate::host) fn first_byte(at: u64, address: u64) -> u64 {
    if at.wrapping_sub(address) < 16 { at } else { address }
}

/// [`result`] of an access at `at`.
fn result_at(at: u64, outcome: Outcome) -> Result<u64, HostFault> {
    result(outcome).map_err(|fault| HostFault { address: first_byte(at, fault.address), ..fault })
}

/// Reads `bytes` (1, 2, 4 or 8) bytes at `at`, zero-extended, in one access; what comes after it stays after it, as on x86.
pub(crate) fn load(at: u64, bytes: u32) -> Result<u64, HostFault> {
    // SAFETY: a fault comes back as an outcome; the routine touches nothing else.
    let outcome = unsafe {
        match bytes {
            1 => hokku_guest_load8(at),
            2 => hokku_guest_load16(at),
            4 => hokku_guest_load32(at),
            _ => hokku_guest_load64(at),
        }
    };
    result_at(at, outcome)
}

/// Writes the low `bytes` (1, 2, 4 or 8) bytes of `value` at `at` in one access; what comes before it stays before it, as on x86.
/// Where it faults, nothing is written.
pub(crate) fn store(at: u64, bytes: u32, value: u64) -> Result<(), HostFault> {
    processor::atomics::prepare_store(at, bytes)?;
    // SAFETY: a fault comes back as an outcome; the caller passes guest addresses, where no Rust object lives.
    let outcome = unsafe {
        match bytes {
            1 => hokku_guest_store8(at, value),
            2 => hokku_guest_store16(at, value),
            4 => hokku_guest_store32(at, value),
            _ => hokku_guest_store64(at, value),
        }
    };
    result_at(at, outcome).map(drop)
}

/// Reads 16 bytes at `at`: in one access, where the host has such. On an x86-64 host that is atomic where `at` is aligned on processors that
/// have AVX (Intel SDM vol. 3A, 9.1.1), which x86 processors do not promise otherwise.
pub(crate) fn load_16(at: u64) -> Result<[u8; 16], HostFault> {
    let mut bytes = [0; 16];
    // SAFETY: a fault comes back as an outcome; the routine writes to `bytes` alone.
    result_at(at, unsafe { hokku_guest_load128(at, &raw mut bytes) }).map(|_| bytes)
}

/// Writes 16 bytes at `at`; see [`load_16`]. Where it faults, nothing is written.
pub(crate) fn store_16(at: u64, bytes: &[u8; 16]) -> Result<(), HostFault> {
    processor::atomics::prepare_store(at, 16)?;
    // SAFETY: as in `store`; the routine reads `bytes` alone.
    result_at(at, unsafe { hokku_guest_store128(at, &raw const *bytes) }).map(drop)
}

/// Copies guest memory at `at` to `to`.
pub(crate) fn read(at: u64, to: &mut [u8]) -> Result<(), HostFault> {
    // SAFETY: writes go to `to` alone; a fault of a read comes back as bytes left over.
    let left = unsafe { hokku_guest_copy(to.as_mut_ptr() as u64, at, to.len() as u64) };
    if left == 0 {
        Ok(())
    } else {
        Err(HostFault { address: at + to.len() as u64 - left, ..super::fault::last_fault() })
    }
}

/// Copies `from` to guest memory at `at`.
pub(crate) fn write(at: u64, from: &[u8]) -> Result<(), HostFault> {
    // SAFETY: as in `store`; a fault of a write comes back as bytes left over.
    let left = unsafe { hokku_guest_copy(at, from.as_ptr() as u64, from.len() as u64) };
    if left == 0 {
        Ok(())
    } else {
        Err(HostFault { address: at + from.len() as u64 - left, ..super::fault::last_fault() })
    }
}

#[cfg(test)]
mod tests {
    use super::first_byte;

    #[test]
    fn faults_are_at_the_first_byte_that_is_missing() {
        assert_eq!(first_byte(0x2fff_ffff, 0x2fff_fffc), 0x2fff_ffff);
        assert_eq!(first_byte(0x2fff_fff1, 0x2fff_fff0), 0x2fff_fff1);
        // The second page is the one that is missing.
        assert_eq!(first_byte(0x2fff_ffff, 0x3000_0000), 0x3000_0000);
        // No address of the host's: it says zero.
        assert_eq!(first_byte(0x8000_0000_0000_0000, 0), 0);
    }
}
