//! String instructions. Source: Intel SDM vol. 2, `MOVS`, `STOS`, `LODS`, `CMPS`, `SCAS`, `REP`.
//!
//! Registers advance after each element, so that at a fault they tell what is done; the status flags change at the end alone.

use super::memory::Memory;
use super::state::set_gpr;
use super::{EvalFault, Machine, flags};
use crate::guest::{FlagSet, Gpr, GuestAddr, Seg, eflags};
use crate::operand::{Rep, StringOp, Width};

/// Bytes that are moved at once at most.
const CHUNK: usize = 512;

/// Chunks stay within pages of this size: they fault as a whole or not at all.
const PAGE: u64 = 4096;

/// A string instruction's operands.
#[derive(Clone, Copy)]
pub(super) struct StringInsn {
    pub(super) op: StringOp,
    pub(super) w: Width,
    pub(super) rep: Rep,
    pub(super) address: Width,
    /// The source's segment where it is overridden.
    pub(super) source: Option<Seg>,
}

impl<M: Memory + ?Sized> Machine<'_, M> {
    /// Runs the instruction to its end or its first fault; with the trap flag, one element.
    pub(super) fn string(&mut self, insn: StringInsn) -> Result<(), EvalFault> {
        let StringInsn { op, w, rep, address, .. } = insn;
        let repeats = rep != Rep::Once;
        let traps = self.cpu.system_flags & eflags::TF != 0;
        let mut count = if repeats { self.cpu.get(Gpr::Rcx) & address.mask() } else { 1 };
        let mut flags = None;
        if repeats && address == Width::W32 {
            self.cut_registers(op);
        }
        while count != 0 {
            let chunk = if repeats && !traps { self.chunk(insn, count) } else { 0 };
            let done = if chunk != 0 && self.move_chunk(insn, chunk).is_ok() {
                chunk
            } else {
                flags = self.element(insn)?;
                1
            };
            let bytes = done * u64::from(w.bytes());
            if matches!(op, StringOp::Movs | StringOp::Lods | StringOp::Cmps) {
                self.advance(Gpr::Rsi, address, bytes);
            }
            if op != StringOp::Lods {
                self.advance(Gpr::Rdi, address, bytes);
            }
            count -= done;
            if repeats {
                set_gpr(self.cpu, Gpr::Rcx, address, count);
            }
            let stops = match (rep, flags) {
                (Rep::Repe, Some(f)) => !f.contains(FlagSet::ZF),
                (Rep::Repne, Some(f)) => f.contains(FlagSet::ZF),
                _ => false,
            };
            if stops || traps {
                break;
            }
        }
        if let Some(flags) = flags {
            self.cpu.status_flags = flags.bits();
        }
        Ok(())
    }

    /// What processors do to the upper halves of the registers before the first element with 32-bit addresses, even
    /// where there is none or it faults.
    fn cut_registers(&mut self, op: StringOp) {
        let mut cut = |reg| set_gpr(self.cpu, reg, Width::W32, self.cpu.get(reg));
        cut(Gpr::Rcx);
        if op == StringOp::Movs {
            cut(Gpr::Rsi);
        }
        if matches!(op, StringOp::Movs | StringOp::Stos) {
            cut(Gpr::Rdi);
        }
    }

    fn source(&self, insn: StringInsn) -> GuestAddr {
        let offset = self.cpu.get(Gpr::Rsi) & insn.address.mask();
        match insn.source {
            None => GuestAddr(offset),
            Some(seg) => self.in_segment(seg, offset),
        }
    }

    fn destination(&self, insn: StringInsn) -> GuestAddr {
        GuestAddr(self.cpu.get(Gpr::Rdi) & insn.address.mask())
    }

    /// One element; the flags where the instruction sets them.
    fn element(&mut self, insn: StringInsn) -> Result<Option<FlagSet>, EvalFault> {
        let w = insn.w;
        let (from, to, rax) = (self.source(insn), self.destination(insn), self.cpu.get(Gpr::Rax));
        match insn.op {
            StringOp::Movs => self.write_int(w, to, self.read_int(w, from)?)?,
            StringOp::Stos => self.write_int(w, to, rax)?,
            StringOp::Lods => set_gpr(self.cpu, Gpr::Rax, w, self.read_int(w, from)?),
            StringOp::Cmps => {
                // Processors reach the second operand first, as their faults tell.
                let second = self.read_int(w, to)?;
                return Ok(Some(flags::sub(w, self.read_int(w, from)?, second, false)));
            }
            StringOp::Scas => return Ok(Some(flags::sub(w, rax, self.read_int(w, to)?, false))),
        }
        Ok(None)
    }

    fn goes_down(&self) -> bool {
        self.cpu.system_flags & eflags::DF != 0
    }

    fn advance(&mut self, reg: Gpr, address: Width, bytes: u64) {
        let old = self.cpu.get(reg);
        let new = if self.goes_down() { old.wrapping_sub(bytes) } else { old.wrapping_add(bytes) };
        set_gpr(self.cpu, reg, address, new);
    }

    /// How many elements can be moved at once with the same effect as one by one; zero where that is not worth it.
    fn chunk(&self, insn: StringInsn, count: u64) -> u64 {
        let (from, to) = (self.source(insn).0, self.destination(insn).0);
        let in_page = |at: u64| PAGE - at % PAGE;
        let mut bytes = in_page(to).min(CHUNK as u64);
        match insn.op {
            StringOp::Movs if insn.source.is_none() => {
                bytes = bytes.min(in_page(from));
                // A destination shortly behind the source reads what was just written.
                if to > from {
                    bytes = bytes.min(to - from);
                }
            }
            StringOp::Stos => {}
            _ => return 0,
        }
        let elements = count.min(bytes / u64::from(insn.w.bytes()));
        if self.goes_down() || insn.address == Width::W16 || elements < 4 { 0 } else { elements }
    }

    fn move_chunk(&self, insn: StringInsn, elements: u64) -> Result<(), EvalFault> {
        let mut buffer = [0; CHUNK];
        let size = insn.w.bytes() as usize;
        let bytes = &mut buffer[..elements as usize * size];
        if insn.op == StringOp::Movs {
            self.memory.read(self.source(insn), bytes)?;
        } else {
            let pattern = self.cpu.get(Gpr::Rax).to_le_bytes();
            bytes.chunks_exact_mut(size).for_each(|element| element.copy_from_slice(&pattern[..size]));
        }
        Ok(self.memory.write(self.destination(insn), bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Case;
    use super::super::{MemoryFault, MemoryFaultKind};
    use super::*;
    use crate::operand::Flag;
    use crate::ops::Op;

    fn string(op: StringOp, w: Width, rep: Rep) -> Op {
        Op::String { op, w, rep, address: Width::W64, seg: Flag(false), source: Seg::Ds }
    }

    #[test]
    fn rep_movs_stops_exactly_at_a_fault() {
        let mut case = Case::new();
        case.memory.map(GuestAddr(0x1000), (0..100).collect(), true);
        case.memory.map(GuestAddr(0x2000), vec![0; 42], true);
        case.cpu.gpr[Gpr::Rsi.index()] = 0x1000;
        case.cpu.gpr[Gpr::Rdi.index()] = 0x2000;
        case.cpu.gpr[Gpr::Rcx.index()] = 25;
        let fault = MemoryFault { at: GuestAddr(0x202a), write: true, kind: MemoryFaultKind::Unmapped };
        assert_eq!(case.eval(string(StringOp::Movs, Width::W32, Rep::Rep), &[]), Err(EvalFault::Memory(fault)));
        assert_eq!(case.cpu.get(Gpr::Rcx), 15);
        assert_eq!(case.cpu.get(Gpr::Rsi), 0x1028);
        assert_eq!(case.cpu.get(Gpr::Rdi), 0x2028);
        let expected: Vec<u8> = (0..40).chain([0, 0]).collect();
        assert_eq!(case.memory.contents()[1].1, expected);
    }

    #[test]
    fn rep_movs_spreads_a_pattern_over_itself() {
        let mut case = Case::new();
        case.memory.map(GuestAddr(0x1000), vec![1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0], true);
        case.cpu.gpr[Gpr::Rsi.index()] = 0x1000;
        case.cpu.gpr[Gpr::Rdi.index()] = 0x1003;
        case.cpu.gpr[Gpr::Rcx.index()] = 9;
        assert_eq!(case.eval(string(StringOp::Movs, Width::W8, Rep::Rep), &[]).map(|_| ()), Ok(()));
        assert_eq!(case.memory.contents()[0].1, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn stos_downwards() {
        let mut case = Case::new();
        case.memory.map(GuestAddr(0x1000), vec![0; 8], true);
        case.cpu.gpr[Gpr::Rax.index()] = 0x1234;
        case.cpu.gpr[Gpr::Rdi.index()] = 0x1006;
        case.cpu.gpr[Gpr::Rcx.index()] = 3;
        case.cpu.system_flags |= eflags::DF;
        assert_eq!(case.eval(string(StringOp::Stos, Width::W16, Rep::Rep), &[]).map(|_| ()), Ok(()));
        assert_eq!(case.memory.contents()[0].1, [0, 0, 0x34, 0x12, 0x34, 0x12, 0x34, 0x12]);
        assert_eq!((case.cpu.get(Gpr::Rcx), case.cpu.get(Gpr::Rdi)), (0, 0x1000));
    }

    #[test]
    fn repne_scas_finds_and_repe_with_zero_count_does_nothing() {
        let mut case = Case::new();
        case.memory.map(GuestAddr(0x1000), b"hokku\0".to_vec(), false);
        case.cpu.gpr[Gpr::Rdi.index()] = 0x1000;
        case.cpu.gpr[Gpr::Rcx.index()] = u64::MAX;
        assert_eq!(case.eval(string(StringOp::Scas, Width::W8, Rep::Repne), &[]).map(|_| ()), Ok(()));
        assert_eq!(!case.cpu.get(Gpr::Rcx) - 1, 5);
        assert_eq!(case.cpu.status_flags, (FlagSet::ZF | FlagSet::PF).bits());
        case.cpu.gpr[Gpr::Rcx.index()] = 0;
        case.cpu.status_flags = FlagSet::OF.bits();
        assert_eq!(case.eval(string(StringOp::Cmps, Width::W8, Rep::Repe), &[]).map(|_| ()), Ok(()));
        assert_eq!(case.cpu.status_flags, FlagSet::OF.bits());
    }

    #[test]
    fn repe_cmps_leaves_flags_at_a_fault() {
        let mut case = Case::new();
        case.memory.map(GuestAddr(0x1000), vec![7; 4], true);
        case.cpu.gpr[Gpr::Rsi.index()] = 0x1000;
        case.cpu.gpr[Gpr::Rdi.index()] = 0x1001;
        case.cpu.gpr[Gpr::Rcx.index()] = 10;
        case.cpu.status_flags = FlagSet::CF.bits();
        assert!(case.eval(string(StringOp::Cmps, Width::W8, Rep::Repe), &[]).is_err());
        assert_eq!((case.cpu.get(Gpr::Rcx), case.cpu.status_flags), (7, FlagSet::CF.bits()));
    }
}
