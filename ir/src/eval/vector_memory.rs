//! Vector loads and stores of some lanes alone: by a mask, or gathered from many places.

use super::memory::{Memory, bytes, effective, words};
use super::values::Values;
use super::vector::{lane, put};
use super::{EvalFault, Machine, Val};
use crate::guest::GuestAddr;
use crate::operand::{Addr, AtomicOp, Type, Width};

/// Whether the lane of width `w` at byte `at` has its top bit set.
fn chosen(mask: &[u8; 32], w: Width, at: usize) -> bool {
    mask[at + w.bytes() as usize - 1] & 0x80 != 0
}

/// Operands of `gather`.
pub(super) struct Gather {
    pub(super) w: Width,
    pub(super) index: Width,
    pub(super) ty: Type,
    pub(super) dst: u8,
    pub(super) mask: u8,
    pub(super) indices: u8,
    pub(super) scale: u8,
}

impl<M: Memory + ?Sized> Machine<'_, M> {
    /// `load_masked`.
    pub(super) fn load_masked(&self, w: Width, ty: Type, at: GuestAddr, mask: Val) -> Result<Val, EvalFault> {
        let mask = bytes(mask);
        let mut out = [0; 32];
        for i in (0..ty.bytes() as usize).step_by(w.bytes() as usize).filter(|i| chosen(&mask, w, *i)) {
            put(&mut out, w, i, self.read_int(w, at.offset(i as u64))?);
        }
        Ok(Val(words(&out)))
    }

    /// `store_masked`: lane by lane, no access where the mask is empty.
    pub(super) fn store_masked(&self, w: Width, ty: Type, at: GuestAddr, v: Val, mask: Val) -> Result<(), EvalFault> {
        let size = w.bytes() as usize;
        let (v, mask) = (bytes(v), bytes(mask));
        let lanes = || (0..ty.bytes() as usize).step_by(size).filter(|i| chosen(&mask, w, *i));
        let (Some(first), Some(last)) = (lanes().next(), lanes().next_back()) else { return Ok(()) };
        // Probes both ends, so that nothing is written where a later page faults.
        for end in [first, last + size - 1] {
            self.memory.atomic_rmw(AtomicOp::Or, Width::W8, at.offset(end as u64), 0)?;
        }
        for i in lanes() {
            self.write_int(w, at.offset(i as u64), lane(&v, w, i))?;
        }
        Ok(())
    }

    /// `gather`.
    pub(super) fn gather(&mut self, g: &Gather, at: &Addr, values: &impl Values) -> Result<(), EvalFault> {
        let register = |n: u8| usize::from(n & 15);
        let base = effective(at, values);
        let indices = bytes(Val(self.cpu.vector[register(g.indices)]));
        let size = g.w.bytes() as usize;
        let count = (g.ty.bytes() / g.w.bytes().max(g.index.bytes())) as usize;
        let given = bytes(Val(self.cpu.vector[register(g.mask)]));
        let mut mask = [0; 32];
        let length = g.ty.bytes() as usize;
        for i in (0..length).step_by(size).filter(|i| chosen(&given, g.w, *i)) {
            put(&mut mask, g.w, i, u64::MAX);
        }
        self.cpu.vector[register(g.mask)] = words(&mask);
        for i in (0..count).filter(|i| chosen(&given, g.w, i * size)) {
            let index = super::int::signed(g.index, lane(&indices, g.index, i * g.index.bytes() as usize));
            let offset = base.wrapping_add((index as u64) << g.scale) & at.width.mask();
            let place = match at.seg {
                None => GuestAddr(offset),
                Some(seg) => self.in_segment(seg, offset),
            };
            let v = self.read_int(g.w, place)?;
            let mut dst = bytes(Val(self.cpu.vector[register(g.dst)]));
            put(&mut dst, g.w, i * size, v);
            dst[length..].fill(0);
            self.cpu.vector[register(g.dst)] = words(&dst);
            put(&mut mask, g.w, i * size, 0);
            self.cpu.vector[register(g.mask)] = words(&mask);
        }
        self.cpu.vector[register(g.mask)] = [0; 4];
        let mut dst = bytes(Val(self.cpu.vector[register(g.dst)]));
        dst[count * size..].fill(0);
        self.cpu.vector[register(g.dst)] = words(&dst);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::FlatMemory;
    use super::super::testing::Case;
    use super::*;
    use crate::operand::Num;
    use crate::ops::Op;
    use crate::region::Value;

    const TOP: u64 = 1 << 63;

    fn base(at: u64) -> Addr {
        Addr { disp: at as i64, ..Addr::at(Value(0), Width::W64) }
    }

    /// With memory from 0x8000 to 0x8100.
    fn machine() -> Case {
        Case { memory: FlatMemory::with(GuestAddr(0x8000), &[0; 0x100]), ..Case::new() }
    }

    #[test]
    fn masked_lanes_alone_are_accessed() {
        let mut case = machine();
        let edge = 0x8000 + 0x100 - 8;
        let mask = Val([TOP, 0, 0, 0]);
        let load = Op::LoadMasked { w: Width::W64, ty: Type::V256, at: base(edge), mask: Value(1) };
        let store = Op::StoreMasked { w: Width::W64, ty: Type::V256, at: base(edge), v: Value(2), mask: Value(1) };
        assert_eq!(case.eval(store, &[Val::int(0), mask, Val([7, 8, 9, 10])]), Ok(Val::default()));
        assert_eq!(case.eval(load, &[Val::int(0), mask]), Ok(Val::int(7)));
        let beyond = Val([TOP, TOP, 0, 0]);
        assert!(
            matches!(case.eval(load, &[Val::int(0), beyond]), Err(EvalFault::Memory(f)) if f.at == GuestAddr(0x8100))
        );
        assert!(
            matches!(case.eval(store, &[Val::int(0), beyond, Val([1, 2, 3, 4])]), Err(EvalFault::Memory(f)) if f.write)
        );
        assert_eq!(case.eval(load, &[Val::int(0), mask]), Ok(Val::int(7)));
    }

    #[test]
    fn gathers_stop_at_a_fault() {
        let mut case = machine();
        case.memory.write_u32(GuestAddr(0x8010), 0x1111).unwrap();
        case.cpu.vector[1] = [5, 6, 7, 8];
        case.cpu.vector[2] = [TOP | 1 << 31, 1 << 31, 0, 0];
        // Byte offsets 16, far away, 16.
        case.cpu.vector[3] = [0x4000_0000 << 32 | 4, 4, 0, 0];
        let (dst, mask, indices) = (Num(1), Num(2), Num(3));
        let op = Op::Gather {
            w: Width::W32,
            index: Width::W32,
            ty: Type::V128,
            dst,
            mask,
            indices,
            scale: Num(2),
            at: base(0x8000),
        };
        assert!(matches!(case.eval(op, &[Val::int(0)]), Err(EvalFault::Memory(_))));
        assert_eq!(
            (case.cpu.vector[1], case.cpu.vector[2]),
            ([0x1111, 6, 0, 0], [0xffff_ffff << 32, 0xffff_ffff, 0, 0])
        );
        case.cpu.vector[3][0] = 4;
        case.cpu.vector[2][0] = 0;
        assert!(case.eval(op, &[Val::int(0)]).is_ok());
        assert_eq!((case.cpu.vector[1], case.cpu.vector[2]), ([0x1111, 0x1111, 0, 0], [0; 4]));
    }
}
