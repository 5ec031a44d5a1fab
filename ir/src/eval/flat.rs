//! A small guest memory of plain bytes, for tests and the lab.

use std::cell::RefCell;

use super::memory::{Memory, MemoryFault, MemoryFaultKind, combine};
use crate::guest::GuestAddr;
use crate::operand::{AtomicOp, Fence, Width};

/// Areas of bytes at guest addresses, for one thread. Everything else is unmapped.
#[derive(Clone, Debug, Default)]
pub struct FlatMemory {
    areas: RefCell<Vec<Area>>,
}

#[derive(Clone, Debug)]
struct Area {
    start: u64,
    bytes: Vec<u8>,
    writable: bool,
}

impl FlatMemory {
    /// Memory without areas.
    pub fn new() -> Self {
        FlatMemory::default()
    }

    /// Memory with one writable area of `bytes` at `at`.
    pub fn with(at: GuestAddr, bytes: &[u8]) -> Self {
        let memory = FlatMemory::new();
        memory.map(at, bytes.to_vec(), true);
        memory
    }

    /// Adds an area; areas must not overlap.
    pub fn map(&self, at: GuestAddr, bytes: Vec<u8>, writable: bool) {
        self.areas.borrow_mut().push(Area { start: at.0, bytes, writable });
    }

    /// The bytes of each area, in the order in which they were mapped.
    pub fn contents(&self) -> Vec<(GuestAddr, Vec<u8>)> {
        self.areas.borrow().iter().map(|a| (GuestAddr(a.start), a.bytes.clone())).collect()
    }

    /// Calls `f` with each piece of `len` bytes at `at` and its place in the access, after all of them were found accessible.
    fn pieces(
        &self,
        at: GuestAddr,
        len: usize,
        write: bool,
        mut f: impl FnMut(&mut [u8], usize),
    ) -> Result<(), MemoryFault> {
        let mut areas = self.areas.borrow_mut();
        let mut found = Vec::new();
        let mut done = 0;
        while done < len {
            let place = at.offset(done as u64);
            let fault = |kind| MemoryFault { at: place, write, kind };
            let inside = |a: &Area| place.0.wrapping_sub(a.start) < a.bytes.len() as u64;
            let index = areas.iter().position(inside).ok_or_else(|| fault(MemoryFaultKind::Unmapped))?;
            if write && !areas[index].writable {
                return Err(fault(MemoryFaultKind::Protected));
            }
            let from = (place.0 - areas[index].start) as usize;
            let part = (areas[index].bytes.len() - from).min(len - done);
            found.push((index, from, done, part));
            done += part;
        }
        for (index, from, done, part) in found {
            f(&mut areas[index].bytes[from..from + part], done);
        }
        Ok(())
    }

    fn replace<const N: usize>(
        &self,
        at: GuestAddr,
        len: usize,
        new: impl FnOnce([u8; N]) -> [u8; N],
    ) -> Result<[u8; N], MemoryFault> {
        let mut old = [0; N];
        self.pieces(at, len, true, |piece, done| old[done..done + piece.len()].copy_from_slice(piece))?;
        self.write(at, &new(old)[..len])?;
        Ok(old)
    }
}

impl Memory for FlatMemory {
    fn read(&self, at: GuestAddr, buf: &mut [u8]) -> Result<(), MemoryFault> {
        self.pieces(at, buf.len(), false, |piece, done| buf[done..done + piece.len()].copy_from_slice(piece))
    }

    fn write(&self, at: GuestAddr, bytes: &[u8]) -> Result<(), MemoryFault> {
        self.pieces(at, bytes.len(), true, |piece, done| {
            let len = piece.len();
            piece.copy_from_slice(&bytes[done..done + len]);
        })
    }

    fn atomic_rmw(&self, op: AtomicOp, w: Width, at: GuestAddr, v: u64) -> Result<u64, MemoryFault> {
        let new = |old| combine(op, w, u64::from_le_bytes(old), v).to_le_bytes();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_over_two_areas_is_whole_or_not_at_all() {
        let memory = FlatMemory::with(GuestAddr(0x1000), &[1, 2, 3, 4]);
        memory.map(GuestAddr(0x1004), vec![5, 6, 7, 8], false);
        assert_eq!(memory.read_u32(GuestAddr(0x1002)), Ok(0x0605_0403));
        let fault = MemoryFault { at: GuestAddr(0x1004), write: true, kind: MemoryFaultKind::Protected };
        assert_eq!(memory.write_u32(GuestAddr(0x1002), 0), Err(fault));
        assert_eq!(memory.read_u32(GuestAddr(0x1000)), Ok(0x0403_0201));
        let fault = MemoryFault { at: GuestAddr(0x1008), write: false, kind: MemoryFaultKind::Unmapped };
        assert_eq!(memory.read_u64(GuestAddr(0x1002)), Err(fault));
    }

    #[test]
    fn atomics_give_the_old_value() {
        let memory = FlatMemory::with(GuestAddr(0x1000), &[0xff, 0, 0, 0]);
        assert_eq!(memory.atomic_rmw(AtomicOp::Add, Width::W8, GuestAddr(0x1000), 3), Ok(0xff));
        assert_eq!(memory.atomic_cas(Width::W16, GuestAddr(0x1000), 2, 0x1234), Ok(2));
        assert_eq!(memory.atomic_cas(Width::W16, GuestAddr(0x1000), 2, 0), Ok(0x1234));
        assert_eq!(memory.read_u32(GuestAddr(0x1000)), Ok(0x1234));
    }
}
