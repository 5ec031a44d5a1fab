//! Guest memory lent to a host system call.

use hokku_ir::GuestAddr;

use super::lent::Loan;
use super::{Access, Change, GuestMemory, MemoryFault, Prot};

/// A checked range of guest memory for a host call: the pointer may be passed to the kernel, which reports a fault instead of crashing.
///
/// Not to be dereferenced: another guest thread may unmap the range at any time.
/// While it lives, code in the range is not write-protected.
#[derive(Debug)]
pub struct HostBuffer {
    pointer: *mut u8,
    len: usize,
    _loan: Option<Loan>,
}

impl HostBuffer {
    /// Host address of the first byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.pointer
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl GuestMemory {
    /// Checks that the guest may do `access` with `len` bytes at `at`, and makes the memory ready for the host's kernel to do it.
    pub fn host_buffer(&self, at: GuestAddr, len: u64, access: Access) -> Result<HostBuffer, MemoryFault> {
        self.check(at, len, access)?;
        let mut loan = None;
        if access == Access::Write && len > 0 {
            let range = at.0..at.0 + len;
            let executable = |(_, a): &(_, super::Attributes)| a.prot.contains(Prot::EXECUTE);
            if self.read_ranges().overlapping(range.clone()).iter().any(executable) {
                // In this order: what is translated from now on is not protected.
                loan = Some(self.lent.lend(range.clone()));
            }
            self.drop_code(range, Change::HostStore);
        }
        Ok(HostBuffer { pointer: at.0 as *mut u8, len: len as usize, _loan: loan })
    }
}
