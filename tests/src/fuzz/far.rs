//! What transfers to another code segment need of their state: selectors that this machine and the guest both have, or neither.

use hokku_ir::{CpuMode, Gpr, Seg};
use iced_x86::{Code, Instruction, Mnemonic, OpAccess, OpKind, UsedMemory};

use super::case::Start;
use super::rng::Rng;
use super::safety::address;
use crate::oracle::layout::{CODE, SCRATCH, SCRATCH_END};

/// Whether `insn` loads the code segment.
pub fn is_far(insn: &Instruction) -> bool {
    let code = insn.code();
    let jump = code.is_jmp_far() || code.is_call_far() || code.is_jmp_far_indirect() || code.is_call_far_indirect();
    jump || is_return(insn)
}

fn is_return(insn: &Instruction) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Retf | Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq)
}

/// Bytes of the offset of a far pointer, and of each item that a far return pops.
fn item(insn: &Instruction) -> u64 {
    use Code::*;
    match insn.code() {
        Jmp_m1616 | Call_m1616 | Retfw | Retfw_imm16 | Iretw => 2,
        Jmp_m1664 | Call_m1664 | Retfq | Retfq_imm16 | Iretq => 8,
        _ => 4,
    }
}

/// Where what `insn` loads is: an offset, a selector, flags, and so on, an item apart.
fn pointer(insn: &Instruction, used: &[UsedMemory], mode: CpuMode, start: &Start) -> Option<u64> {
    if is_return(insn) {
        return Some(start.cpu.get(Gpr::Rsp) & mode.word().mask());
    }
    let memory = (0..insn.op_count()).any(|i| insn.op_kind(i) == OpKind::Memory);
    used.iter().find(|m| m.access() == OpAccess::Read).filter(|_| memory).map(|m| address(m, &start.cpu, mode))
}

/// A selector for `seg`: mostly the one that it has.
fn selector(rng: &mut Rng, start: &Start, seg: Seg) -> u16 {
    let beyond = 0x80 + (rng.below(0x1f0) << 3) as u16;
    let other = [rng.below(4) as u16, beyond, (rng.below(0x2000) << 3) as u16 | 4];
    if rng.percent(85) { start.cpu.selector[seg.index()] } else { rng.pick(&other) }
}

/// Puts a target, selectors, flags and a stack pointer where `insn` loads them from.
pub fn put_pointer(rng: &mut Rng, insn: &Instruction, used: &[UsedMemory], mode: CpuMode, start: &mut Start) {
    let Some(at) = Some(insn).filter(|i| is_far(i)).and_then(|i| pointer(i, used, mode, start)) else { return };
    let size = item(insn);
    let inside = CODE + 0xe00 + rng.below(0x1f0);
    let target = match rng.below(8) {
        0 => rng.u64(),
        1 => 0x4000_0000 + rng.below(0x1000_0000),
        _ => inside,
    };
    let flags = u64::from(rng.u64() as u32 & !0x4_4100);
    let stack = SCRATCH + rng.below(0x2000);
    let items = [
        target,
        u64::from(selector(rng, start, Seg::Cs)) | rng.u64() << 16,
        flags,
        if rng.one_in(8) { rng.u64() } else { stack },
        u64::from(selector(rng, start, Seg::Ss)) | rng.u64() << 16,
    ];
    let mut bytes: Vec<u8> = items.iter().flat_map(|item| item.to_le_bytes()[..size as usize].to_vec()).collect();
    bytes.truncate(length(insn, mode) as usize);
    // Where it begins before the first page, the rest of it.
    let before = SCRATCH.saturating_sub(at).min(bytes.len() as u64);
    start.put(at.wrapping_add(before), &bytes[before as usize..]);
}

/// Number of bytes that `insn` loads.
fn length(insn: &Instruction, mode: CpuMode) -> u64 {
    let size = item(insn);
    match insn.mnemonic() {
        Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq if mode == CpuMode::Long64 => 5 * size,
        Mnemonic::Iret | Mnemonic::Iretd => 3 * size,
        Mnemonic::Retf => 2 * size,
        // The selector stands right behind the offset.
        _ => size + 2,
    }
}

/// Whether `insn` might load a selector, or flags, that the case did not put there.
pub fn loads_other_selector(insn: &Instruction, used: &[UsedMemory], mode: CpuMode, start: &Start) -> bool {
    let Some(at) = Some(insn).filter(|i| is_far(i)).and_then(|i| pointer(i, used, mode, start)) else { return false };
    let end = at.wrapping_add(length(insn, mode));
    let from = at.max(SCRATCH);
    let mapped = at < SCRATCH_END && end > SCRATCH && end > at;
    mapped && !start.memory.iter().any(|(place, bytes)| *place == from && from + bytes.len() as u64 == end)
}

/// The selector in the bytes of a direct far transfer, the last two: the code segment's, mostly.
pub fn aim_direct(rng: &mut Rng, mode: CpuMode, bytes: &mut [u8], insn: &Instruction) {
    if mode == CpuMode::Protected32 && matches!(insn.op0_kind(), OpKind::FarBranch16 | OpKind::FarBranch32) {
        let at = bytes.len() - 2;
        let selector: u16 = if rng.percent(85) { 0x23 } else { rng.pick(&[0, 3, 0x83, 0x7c, 0x1234 & !4 | 0x1000]) };
        bytes[at..].copy_from_slice(&selector.to_le_bytes());
        if insn.op0_kind() == OpKind::FarBranch32 {
            let target = (CODE + 0xe00 + rng.below(0x1f0)) as u32;
            bytes[at - 4..at].copy_from_slice(&target.to_le_bytes());
        }
    }
}
