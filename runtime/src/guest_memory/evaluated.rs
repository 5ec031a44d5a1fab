//! Guest memory as the evaluator uses it: each access is the host's own, at guest addresses.
//!
//! A store to a page with translated code fails like one to protected memory: the dispatcher tells the two apart, and has the code dropped
//! before the instruction runs once more. So code that changes itself is seen by the next instruction.

use std::sync::atomic::{Ordering, fence};

use hokku_ir::eval::{Memory, MemoryFault as EvalMemoryFault, MemoryFaultKind};
use hokku_ir::{AtomicOp, CpuMode, Fence, GuestAddr, Width};

use super::{Access, FaultCause, GuestMemory, MemoryFault};
use crate::host::PAGE_SIZE;
use crate::host::arch::guest_access::{self, HostFault};

impl From<MemoryFault> for EvalMemoryFault {
    fn from(fault: MemoryFault) -> Self {
        let kind = match fault.cause {
            FaultCause::Unmapped | FaultCause::Bus => MemoryFaultKind::Unmapped,
            FaultCause::Protection => MemoryFaultKind::Protected,
        };
        EvalMemoryFault { at: fault.address, write: fault.access == Access::Write, kind }
    }
}

impl GuestMemory {
    /// #GP for an address whose upper bits are no sign extension: the processor does not even look it up.
    fn canonical(&self, at: GuestAddr, write: bool) -> Result<(), EvalMemoryFault> {
        if self.mode() == CpuMode::Long64 && (at.0 as i64) << 16 >> 16 != at.0 as i64 {
            return Err(EvalMemoryFault { at, write, kind: MemoryFaultKind::NotCanonical });
        }
        Ok(())
    }

    fn evaluated<T>(&self, access: Access, result: Result<T, HostFault>) -> Result<T, EvalMemoryFault> {
        result.map_err(|fault| self.memory_fault(fault, access).into())
    }

    /// Makes sure that a store of `len` bytes, done in several accesses, is done whole or not at all.
    fn probe_store(&self, at: GuestAddr, len: usize) -> Result<(), EvalMemoryFault> {
        let last = at.offset(len as u64 - 1);
        if at.0 / PAGE_SIZE != last.0 / PAGE_SIZE {
            Memory::atomic_cas(self, Width::W8, at, 0, 0)?;
            let fault = |fault| EvalMemoryFault { at: GuestAddr(last.0 & !(PAGE_SIZE - 1)), ..fault };
            Memory::atomic_cas(self, Width::W8, last, 0, 0).map_err(fault)?;
        }
        Ok(())
    }
}

fn int(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

impl Memory for GuestMemory {
    #[inline]
    fn read(&self, at: GuestAddr, buf: &mut [u8]) -> Result<(), EvalMemoryFault> {
        self.canonical(at, false)?;
        if let 1 | 2 | 4 | 8 = buf.len() {
            let value = self.evaluated(Access::Read, guest_access::load(at.0, buf.len() as u32))?;
            buf.copy_from_slice(&value.to_le_bytes()[..buf.len()]);
            return Ok(());
        }
        if let 16 | 32 = buf.len() {
            // Halves of 32 bytes by themselves, as the processor is free to do.
            for (half, part) in buf.chunks_exact_mut(16).enumerate() {
                let bytes = guest_access::load_16(at.0.wrapping_add(16 * half as u64));
                part.copy_from_slice(&self.evaluated(Access::Read, bytes)?);
            }
            return Ok(());
        }
        self.evaluated(Access::Read, guest_access::read(at.0, buf))
    }

    #[inline]
    fn write(&self, at: GuestAddr, bytes: &[u8]) -> Result<(), EvalMemoryFault> {
        self.canonical(at, true)?;
        if let 1 | 2 | 4 | 8 = bytes.len() {
            return self.evaluated(Access::Write, guest_access::store(at.0, bytes.len() as u32, int(bytes)));
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if let Ok(bytes) = bytes.try_into() {
            return self.evaluated(Access::Write, guest_access::store_16(at.0, bytes));
        }
        self.probe_store(at, bytes.len())?;
        if let (Some((low, rest)), 32) = (bytes.split_first_chunk::<16>(), bytes.len()) {
            self.evaluated(Access::Write, guest_access::store_16(at.0, low))?;
            if let Ok(high) = rest.try_into() {
                self.evaluated(Access::Write, guest_access::store_16(at.offset(16).0, high))?;
            }
            return Ok(());
        }
        self.evaluated(Access::Write, guest_access::write(at.0, bytes))
    }

    fn atomic_rmw(&self, op: AtomicOp, w: Width, at: GuestAddr, v: u64) -> Result<u64, EvalMemoryFault> {
        self.canonical(at, true)?;
        let mut old = self.evaluated(Access::Write, guest_access::load(at.0, w.bytes()))?;
        loop {
            let found = self.atomic_cas(w, at, old, combine(op, w, old, v))?;
            if found == old {
                return Ok(old);
            }
            old = found;
        }
    }

    fn atomic_cas(&self, w: Width, at: GuestAddr, expected: u64, new: u64) -> Result<u64, EvalMemoryFault> {
        self.canonical(at, true)?;
        self.check(at, u64::from(w.bytes()), Access::Write)?;
        let old = guest_access::compare_exchange(at.0, w.bytes(), expected & w.mask(), new & w.mask());
        self.evaluated(Access::Write, old)
    }

    fn atomic_cas_16(&self, at: GuestAddr, expected: u128, new: u128) -> Result<u128, EvalMemoryFault> {
        self.canonical(at, true)?;
        let halves = |v: u128| [v as u64, (v >> 64) as u64];
        self.check(at, 16, Access::Write)?;
        let old = guest_access::compare_exchange_16(at.0, halves(expected), halves(new));
        let [low, high] = self.evaluated(Access::Write, old)?;
        Ok(u128::from(high) << 64 | u128::from(low))
    }

    fn fence(&self, _kind: Fence) {
        fence(Ordering::SeqCst);
    }
}

/// What an atomic read-modify-write stores.
fn combine(op: AtomicOp, w: Width, old: u64, v: u64) -> u64 {
    let new = match op {
        AtomicOp::Xchg => v,
        AtomicOp::Add => old.wrapping_add(v),
        AtomicOp::Sub => old.wrapping_sub(v),
        AtomicOp::And => old & v,
        AtomicOp::Or => old | v,
        AtomicOp::Xor => old ^ v,
        AtomicOp::Neg => old.wrapping_neg(),
    };
    new & w.mask()
}
