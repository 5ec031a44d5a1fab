//! Reads, writes and atomic operations on guest memory from Rust code.

use hokku_ir::GuestAddr;

use super::{Access, Change, FaultCause, GuestMemory, MemoryFault};
use crate::host::arch::guest_access::{self, HostFault};

impl GuestMemory {
    /// Copies the bytes at `at` to `to`.
    pub fn read_bytes(&self, at: GuestAddr, to: &mut [u8]) -> Result<(), MemoryFault> {
        self.check(at, to.len() as u64, Access::Read)?;
        guest_access::read(at.0, to).map_err(|fault| self.memory_fault(fault, Access::Read))
    }

    /// Copies `from` to `at`. Where it fails, bytes before the fault's address may have been written.
    pub fn write_bytes(&self, at: GuestAddr, from: &[u8]) -> Result<(), MemoryFault> {
        self.check(at, from.len() as u64, Access::Write)?;
        self.writing(|| guest_access::write(at.0, from))
    }

    /// Writes `value` to `len` bytes at `at`.
    pub fn fill(&self, at: GuestAddr, value: u8, len: u64) -> Result<(), MemoryFault> {
        self.check(at, len, Access::Write)?;
        let piece = [value; 4096];
        let mut done = 0;
        while done < len {
            let n = (len - done).min(piece.len() as u64);
            self.writing(|| guest_access::write(at.0 + done, &piece[..n as usize]))?;
            done += n;
        }
        Ok(())
    }

    /// Replaces the 32-bit word at `at` by `new` where it equals `expected`, atomically; gives the old value.
    pub fn compare_exchange_u32(&self, at: GuestAddr, expected: u32, new: u32) -> Result<u32, MemoryFault> {
        self.compare_exchange(at, 4, u64::from(expected), u64::from(new)).map(|old| old as u32)
    }

    /// Replaces the 32-bit word at `at` by `f` of it, atomically; gives the old value.
    pub fn update_u32(&self, at: GuestAddr, f: impl Fn(u32) -> u32) -> Result<u32, MemoryFault> {
        let mut old = self.read_u32(at)?;
        loop {
            let found = self.compare_exchange_u32(at, old, f(old))?;
            if found == old {
                return Ok(old);
            }
            old = found;
        }
    }

    /// Replaces the `bytes` (1, 2, 4 or 8) bytes at `at` by `new` where they equal `expected`, atomically; gives the old value.
    pub(crate) fn compare_exchange(
        &self,
        at: GuestAddr,
        bytes: u32,
        expected: u64,
        new: u64,
    ) -> Result<u64, MemoryFault> {
        self.check(at, u64::from(bytes), Access::Write)?;
        self.writing(|| guest_access::compare_exchange(at.0, bytes, expected, new))
    }

    /// Loads 1, 2, 4 or 8 bytes at `at` as the guest's own instruction would: in one access.
    pub(crate) fn load(&self, at: GuestAddr, bytes: u32) -> Result<u64, MemoryFault> {
        guest_access::load(at.0, bytes).map_err(|fault| self.memory_fault(fault, Access::Read))
    }

    /// Stores 1, 2, 4 or 8 bytes at `at` as the guest's own instruction would: in one access.
    pub(crate) fn store(&self, at: GuestAddr, bytes: u32, value: u64) -> Result<(), MemoryFault> {
        self.writing(|| guest_access::store(at.0, bytes, value))
    }

    /// Does `access`, once more after each time that it failed because of translated code.
    pub(crate) fn writing<T>(&self, access: impl Fn() -> Result<T, HostFault>) -> Result<T, MemoryFault> {
        loop {
            match access() {
                Ok(value) => return Ok(value),
                Err(fault) => {
                    let at = GuestAddr(fault.address);
                    let guest_may = self.protection(at).is_some_and(|p| p.allows(Access::Write));
                    if fault.bus || !guest_may {
                        return Err(self.memory_fault(fault, Access::Write));
                    }
                    // Another thread may have released the page in the meantime; then the next attempt succeeds.
                    self.drop_code(fault.address..fault.address + 1, Change::HostStore);
                }
            }
        }
    }

    /// What a fault at host level means to the guest.
    pub(crate) fn memory_fault(&self, fault: HostFault, access: Access) -> MemoryFault {
        let address = GuestAddr(fault.address);
        let cause = match self.protection(address) {
            _ if fault.bus => FaultCause::Bus,
            Some(_) => FaultCause::Protection,
            None => FaultCause::Unmapped,
        };
        MemoryFault { address, access, cause }
    }
}
