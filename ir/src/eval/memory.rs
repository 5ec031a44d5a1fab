//! Guest memory as the evaluator sees it, and the ops on it.

use super::values::Values;
use super::{EvalFault, Machine, Val};
use crate::guest::{Gpr, GuestAddr};
use crate::key::CpuMode;
use crate::operand::{Addr, Align, AtomicOp, Fence, Type, Width};

/// Why an access to guest memory failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFault {
    /// The first byte of the access that could not be reached: what the processor tells in `cr2`.
    pub at: GuestAddr,
    /// Whether it was a write (read-modify-write accesses are).
    pub write: bool,
    /// What is wrong there.
    pub kind: MemoryFaultKind,
}

/// What is wrong at a faulting address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFaultKind {
    /// Nothing is mapped there.
    Unmapped,
    /// The mapping does not allow the access.
    Protected,
    /// No address of the mode: bits 63 to 47 differ (#GP).
    NotCanonical,
}

/// Guest memory. Shared by threads: methods take `&self`.
///
/// An access that faults has no effect at all. Little-endian, any alignment. Code that was translated from bytes that are written here is the
/// implementation's care.
pub trait Memory {
    /// Fills `buf` from the bytes at `at`.
    fn read(&self, at: GuestAddr, buf: &mut [u8]) -> Result<(), MemoryFault>;
    /// Writes `bytes` at `at`, whole or not at all.
    fn write(&self, at: GuestAddr, bytes: &[u8]) -> Result<(), MemoryFault>;

    /// Atomically (to other guest threads) replaces the integer at `at` by `op(old, v)`; the result is the old one, zero-extended. A full fence.
    fn atomic_rmw(&self, op: AtomicOp, w: Width, at: GuestAddr, v: u64) -> Result<u64, MemoryFault>;
    /// Atomically replaces the integer at `at` by `new` where it equals `expected`; the result is the old one. A full fence.
    /// A page that cannot be written faults in any case.
    fn atomic_cas(&self, w: Width, at: GuestAddr, expected: u64, new: u64) -> Result<u64, MemoryFault>;
    /// The same for the 16 bytes at `at`, which is 16-byte aligned.
    fn atomic_cas_16(&self, at: GuestAddr, expected: u128, new: u128) -> Result<u128, MemoryFault>;
    /// Orders accesses of this thread.
    fn fence(&self, kind: Fence);

    /// The byte at `at`.
    #[inline]
    fn read_u8(&self, at: GuestAddr) -> Result<u8, MemoryFault> {
        let mut b = [0; 1];
        self.read(at, &mut b).map(|()| b[0])
    }
    /// The 16-bit integer at `at`.
    #[inline]
    fn read_u16(&self, at: GuestAddr) -> Result<u16, MemoryFault> {
        let mut b = [0; 2];
        self.read(at, &mut b).map(|()| u16::from_le_bytes(b))
    }
    /// The 32-bit integer at `at`.
    #[inline]
    fn read_u32(&self, at: GuestAddr) -> Result<u32, MemoryFault> {
        let mut b = [0; 4];
        self.read(at, &mut b).map(|()| u32::from_le_bytes(b))
    }
    /// The 64-bit integer at `at`.
    #[inline]
    fn read_u64(&self, at: GuestAddr) -> Result<u64, MemoryFault> {
        let mut b = [0; 8];
        self.read(at, &mut b).map(|()| u64::from_le_bytes(b))
    }
    /// The 128-bit integer at `at`.
    #[inline]
    fn read_u128(&self, at: GuestAddr) -> Result<u128, MemoryFault> {
        let mut b = [0; 16];
        self.read(at, &mut b).map(|()| u128::from_le_bytes(b))
    }
    /// Writes the byte `v`.
    #[inline]
    fn write_u8(&self, at: GuestAddr, v: u8) -> Result<(), MemoryFault> {
        self.write(at, &[v])
    }
    /// Writes the 16-bit integer `v`.
    #[inline]
    fn write_u16(&self, at: GuestAddr, v: u16) -> Result<(), MemoryFault> {
        self.write(at, &v.to_le_bytes())
    }
    /// Writes the 32-bit integer `v`.
    #[inline]
    fn write_u32(&self, at: GuestAddr, v: u32) -> Result<(), MemoryFault> {
        self.write(at, &v.to_le_bytes())
    }
    /// Writes the 64-bit integer `v`.
    #[inline]
    fn write_u64(&self, at: GuestAddr, v: u64) -> Result<(), MemoryFault> {
        self.write(at, &v.to_le_bytes())
    }
    /// Writes the 128-bit integer `v`.
    #[inline]
    fn write_u128(&self, at: GuestAddr, v: u128) -> Result<(), MemoryFault> {
        self.write(at, &v.to_le_bytes())
    }
}

/// `op(old, v)` mod 2^w: what an atomic read-modify-write stores.
pub(super) fn combine(op: AtomicOp, w: Width, old: u64, v: u64) -> u64 {
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

/// The address without segment base: zero-extended from the address width.
#[inline(always)]
pub(super) fn effective(at: &Addr, values: &impl Values) -> u64 {
    let mut sum = at.disp as u64;
    if let Some(base) = at.base {
        sum = sum.wrapping_add(values[base].low());
    }
    if let Some(index) = at.index {
        sum = sum.wrapping_add(values[index].low() << at.scale);
    }
    sum & at.width.mask()
}

impl<M: Memory + ?Sized> Machine<'_, M> {
    /// The linear address that `at` means.
    #[inline(always)]
    pub(super) fn linear(&self, at: &Addr, values: &impl Values) -> GuestAddr {
        let offset = effective(at, values);
        match at.seg {
            None => GuestAddr(offset),
            Some(seg) => self.in_segment(seg, offset),
        }
    }

    /// The linear address of `offset` in segment `seg`.
    pub(super) fn in_segment(&self, seg: crate::guest::Seg, offset: u64) -> GuestAddr {
        let sum = self.cpu.segment_base[seg.index()].wrapping_add(offset);
        GuestAddr(match self.mode {
            CpuMode::Protected32 => sum & 0xffff_ffff,
            CpuMode::Long64 => sum,
        })
    }

    /// The integer of width `w` at `at`, zero-extended.
    #[inline(always)]
    pub(super) fn read_int(&self, w: Width, at: GuestAddr) -> Result<u64, MemoryFault> {
        match w {
            Width::W8 => self.memory.read_u8(at).map(u64::from),
            Width::W16 => self.memory.read_u16(at).map(u64::from),
            Width::W32 => self.memory.read_u32(at).map(u64::from),
            Width::W64 => self.memory.read_u64(at),
        }
    }

    /// Writes the low `w` bits of `v`.
    #[inline(always)]
    pub(super) fn write_int(&self, w: Width, at: GuestAddr, v: u64) -> Result<(), MemoryFault> {
        match w {
            Width::W8 => self.memory.write_u8(at, v as u8),
            Width::W16 => self.memory.write_u16(at, v as u16),
            Width::W32 => self.memory.write_u32(at, v as u32),
            Width::W64 => self.memory.write_u64(at, v),
        }
    }

    /// `load` of 128 bits.
    #[inline(always)]
    pub(super) fn load_128(&self, align: Align, at: GuestAddr) -> Result<Val, EvalFault> {
        check_alignment(Type::V128, align, at)?;
        Ok(Val::v128(self.memory.read_u128(at)?))
    }

    /// `store` of 128 bits.
    #[inline(always)]
    pub(super) fn store_128(&self, align: Align, at: GuestAddr, v: &Val) -> Result<(), EvalFault> {
        check_alignment(Type::V128, align, at)?;
        Ok(self.memory.write_u128(at, v.low128())?)
    }

    /// `load` of a type of more than 128 bits.
    pub(super) fn load_wide(&self, ty: Type, align: Align, at: GuestAddr) -> Result<Val, EvalFault> {
        let len = check_alignment(ty, align, at)?;
        let mut bytes = [0; 32];
        self.memory.read(at, &mut bytes[..len])?;
        Ok(Val(words(&bytes)))
    }

    /// `store` of a type of more than 128 bits.
    pub(super) fn store_wide(&self, ty: Type, align: Align, at: GuestAddr, v: Val) -> Result<(), EvalFault> {
        let len = check_alignment(ty, align, at)?;
        Ok(self.memory.write(at, &bytes(v)[..len])?)
    }

    /// `CMPXCHG8B` (W32) and `CMPXCHG16B` (W64) up to the flags; whether the pair was equal.
    pub(super) fn compare_exchange_pair(&mut self, w: Width, at: GuestAddr) -> Result<bool, EvalFault> {
        let half = |reg| self.cpu.get(reg) & w.mask();
        let pair = |high, low| u128::from(half(high)) << w.bits() | u128::from(half(low));
        let (expected, new) = (pair(Gpr::Rdx, Gpr::Rax), pair(Gpr::Rcx, Gpr::Rbx));
        let old = if w == Width::W64 {
            if at.0 % 16 != 0 {
                return Err(EvalFault::Protection);
            }
            self.memory.atomic_cas_16(at, expected, new)?
        } else {
            u128::from(self.memory.atomic_cas(Width::W64, at, expected as u64, new as u64)?)
        };
        if old == expected {
            return Ok(true);
        }
        self.cpu.set(Gpr::Rax, old as u64 & w.mask());
        self.cpu.set(Gpr::Rdx, (old >> w.bits()) as u64 & w.mask());
        Ok(false)
    }
}

/// Bytes of `ty`; #GP where `at` is not as aligned as `align` demands.
#[inline(always)]
fn check_alignment(ty: Type, align: Align, at: GuestAddr) -> Result<usize, EvalFault> {
    let len = ty.bytes();
    if align == Align::Natural && at.0 % u64::from(len) != 0 {
        return Err(EvalFault::Protection);
    }
    Ok(len as usize)
}

/// The 32 bytes of `v` as they stand in memory.
#[inline]
pub(super) fn bytes(v: Val) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(v.0) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The words that stand in memory as `bytes`.
#[inline]
pub(super) fn words(bytes: &[u8; 32]) -> [u64; 4] {
    std::array::from_fn(|i| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[i * 8..i * 8 + 8]);
        u64::from_le_bytes(word)
    })
}
