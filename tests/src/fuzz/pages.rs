//! The scratch memory of a case as the evaluator sees it: the same pages that the oracle maps.

use std::cell::RefCell;

use hokku_ir::eval::{Memory, MemoryFault, MemoryFaultKind};
use hokku_ir::{AtomicOp, Fence, GuestAddr, Width};

use crate::oracle::layout::{PAGE, SCRATCH, SCRATCH_END, WRITABLE};

/// Bytes of the scratch memory, the constant page included.
pub const BYTES: usize = (SCRATCH_END - SCRATCH) as usize;

/// The scratch pages and the code that runs, which can only be read; all else is unmapped.
#[derive(Clone, Debug)]
pub struct Pages {
    bytes: RefCell<Box<[u8; BYTES]>>,
    code: RefCell<(u64, Vec<u8>)>,
}

impl Pages {
    /// Pages that hold `bytes`.
    pub fn new(bytes: &[u8; BYTES]) -> Pages {
        Pages { bytes: RefCell::new(Box::new(*bytes)), code: RefCell::default() }
    }

    /// Replaces the writable bytes.
    pub fn reset(&self, bytes: &[u8]) {
        self.bytes.borrow_mut()[..WRITABLE as usize].copy_from_slice(bytes);
    }

    /// Makes `bytes` at `at` the code.
    pub fn set_code(&self, at: u64, bytes: &[u8]) {
        *self.code.borrow_mut() = (at, bytes.to_vec());
    }

    /// Fills `buf` from the code, if `at` is inside.
    fn read_code(&self, at: GuestAddr, buf: &mut [u8]) -> bool {
        let (start, code) = &*self.code.borrow();
        let Some(offset) = at.0.checked_sub(*start).filter(|offset| *offset < code.len() as u64) else { return false };
        let found = code.get(offset as usize..).and_then(|rest| rest.get(..buf.len()));
        found.map(|bytes| buf.copy_from_slice(bytes)).is_some()
    }

    /// Calls `f` with the writable bytes.
    pub fn with<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        f(&self.bytes.borrow()[..WRITABLE as usize])
    }

    /// Offset of `len` bytes at `at`, or the fault that an access to them is.
    fn find(at: GuestAddr, len: usize, write: bool) -> Result<usize, MemoryFault> {
        let end = SCRATCH + if write { WRITABLE } else { BYTES as u64 };
        let last = at.0.wrapping_add(len as u64 - 1);
        if at.0 >= SCRATCH && last < end && last >= at.0 {
            return Ok((at.0 - SCRATCH) as usize);
        }
        let canonical = |a: u64| (a as i64) << 16 >> 16 == a as i64;
        let fault = |at: u64, kind| Err(MemoryFault { at: GuestAddr(at), write, kind });
        if !canonical(at.0) || !canonical(last) {
            return fault(at.0, MemoryFaultKind::NotCanonical);
        }
        // The first byte that cannot be reached: this one, or where its page ends.
        let reached = (SCRATCH..end).contains(&at.0);
        let place = if reached { (at.0 | (PAGE - 1)) + 1 } else { at.0 };
        let kind = if (SCRATCH..SCRATCH_END).contains(&place) {
            MemoryFaultKind::Protected
        } else {
            MemoryFaultKind::Unmapped
        };
        fault(place, kind)
    }

    fn replace<const N: usize>(
        &self,
        at: GuestAddr,
        len: usize,
        new: impl FnOnce([u8; N]) -> [u8; N],
    ) -> Result<[u8; N], MemoryFault> {
        let from = Self::find(at, len, true)?;
        let mut bytes = self.bytes.borrow_mut();
        let mut old = [0; N];
        old[..len].copy_from_slice(&bytes[from..from + len]);
        bytes[from..from + len].copy_from_slice(&new(old)[..len]);
        Ok(old)
    }
}

impl Memory for Pages {
    fn read(&self, at: GuestAddr, buf: &mut [u8]) -> Result<(), MemoryFault> {
        if self.read_code(at, buf) {
            return Ok(());
        }
        let from = Self::find(at, buf.len(), false)?;
        buf.copy_from_slice(&self.bytes.borrow()[from..from + buf.len()]);
        Ok(())
    }

    fn write(&self, at: GuestAddr, bytes: &[u8]) -> Result<(), MemoryFault> {
        let from = Self::find(at, bytes.len(), true)?;
        self.bytes.borrow_mut()[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn atomic_rmw(&self, op: AtomicOp, w: Width, at: GuestAddr, v: u64) -> Result<u64, MemoryFault> {
        let new = |old| {
            let old = u64::from_le_bytes(old);
            match op {
                AtomicOp::Xchg => v,
                AtomicOp::Add => old.wrapping_add(v),
                AtomicOp::Sub => old.wrapping_sub(v),
                AtomicOp::And => old & v,
                AtomicOp::Or => old | v,
                AtomicOp::Xor => old ^ v,
                AtomicOp::Neg => old.wrapping_neg(),
            }
            .to_le_bytes()
        };
        self.replace(at, w.bytes() as usize, new).map(u64::from_le_bytes)
    }

    fn atomic_cas(&self, w: Width, at: GuestAddr, expected: u64, new: u64) -> Result<u64, MemoryFault> {
        let new = |old| if u64::from_le_bytes(old) == expected & w.mask() { new.to_le_bytes() } else { old };
        self.replace(at, w.bytes() as usize, new).map(u64::from_le_bytes)
    }

    fn atomic_cas_16(&self, at: GuestAddr, expected: u128, new: u128) -> Result<u128, MemoryFault> {
        let new = |old| if u128::from_le_bytes(old) == expected { new.to_le_bytes() } else { old };
        self.replace(at, 16, new).map(u128::from_le_bytes)
    }

    fn fence(&self, _kind: Fence) {}
}
