//! What single instructions of the system need of their state: images of extended state, and selectors.

use hokku_ir::{CpuMode, CpuState, Gpr, Seg};
use iced_x86::{Instruction, Mnemonic, OpKind, UsedMemory};

use super::case::Start;
use super::rng::Rng;
use super::safety::{address, set_value};
use crate::oracle::layout::{SCRATCH, SCRATCH_END};

/// Bytes of the standard form of an image with x87, SSE and AVX state.
pub const XSAVE_BYTES: usize = 832;

/// Where the header of an XSAVE image is.
const HEADER: u64 = 512;

/// State components that the guest has: x87, SSE, AVX. Those of no processor yet stand beside them; this machine's others must not be drawn,
/// since it has them and the guest has not.
const COMPONENTS: u64 = 7;
const OF_NO_PROCESSOR: u64 = 0x7fff_ffff_fff0_0000;

/// Whether it stores or loads extended state.
fn is_xsave(insn: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(insn.mnemonic(), Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64) || is_xrstor(insn)
}

fn is_xrstor(insn: &Instruction) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Xrstor | Mnemonic::Xrstor64)
}

/// Some state components, mostly valid ones.
fn components(rng: &mut Rng) -> u64 {
    let others = if rng.one_in(12) { rng.u64() & rng.u64() & OF_NO_PROCESSOR } else { 0 };
    let known = if rng.percent(50) { COMPONENTS } else { rng.below(COMPONENTS + 1) };
    known | others
}

/// Gives edx and eax the components that an `xsave` or its kin is asked for.
pub fn set_components(rng: &mut Rng, insn: &Instruction, cpu: &mut CpuState) {
    if !is_xsave(insn) {
        return;
    }
    let asked = components(rng) | if rng.percent(50) { rng.u64() & OF_NO_PROCESSOR } else { 0 };
    cpu.set(Gpr::Rax, asked & 0xffff_ffff);
    cpu.set(Gpr::Rdx, asked >> 32);
}

/// Puts mostly valid images of x87 and vector state where an instruction loads or replaces them.
pub fn put_image(rng: &mut Rng, insn: &Instruction, used: &[UsedMemory], mode: CpuMode, start: &mut Start) {
    let loads = is_xrstor(insn) || matches!(insn.mnemonic(), Mnemonic::Fxrstor | Mnemonic::Fxrstor64);
    if !loads && !is_xsave(insn) {
        return;
    }
    let Some(memory) = used.first() else { return };
    let at = address(memory, &start.cpu, mode);
    // Mostly no reserved bits in mxcsr.
    let mxcsr = rng.u64() as u32 & if rng.one_in(8) { u32::MAX } else { 0xffff };
    start.put(at.wrapping_add(24), &mxcsr.to_le_bytes());
    if is_xsave(insn) {
        start.put(at.wrapping_add(HEADER), &header(rng));
    }
}

/// The 64 bytes of an image's header: XSTATE_BV, XCOMP_BV, reserved ones.
fn header(rng: &mut Rng) -> Vec<u8> {
    let there = components(rng);
    let layout = match rng.below(8) {
        0..=3 => 0,
        4 | 5 => 1 << 63 | there | components(rng),
        6 => 1 << 63 | components(rng),
        _ => components(rng),
    };
    let mut bytes = [there.to_le_bytes(), layout.to_le_bytes()].concat();
    bytes.resize(64, 0);
    if rng.one_in(12) {
        bytes[16 + rng.below(48) as usize] = rng.u64() as u8;
    }
    bytes
}

/// Gives an instruction that loads a segment or asks about one a selector of one that both the guest and this machine have, or neither.
pub fn set_selector(rng: &mut Rng, insn: &Instruction, cpu: &mut CpuState) {
    let operand = match insn.mnemonic() {
        Mnemonic::Lar | Mnemonic::Lsl => 1,
        Mnemonic::Verr | Mnemonic::Verw => 0,
        Mnemonic::Mov if insn.op0_register().is_segment_register() => 1,
        _ => return,
    };
    if insn.op_kind(operand) == OpKind::Register {
        let register = insn.op_register(operand);
        set_value(cpu, register, selector(rng, cpu) | rng.u64() << 16);
    }
}

/// The same for selectors in memory.
pub fn put_selector(rng: &mut Rng, insn: &Instruction, used: &[UsedMemory], mode: CpuMode, start: &mut Start) {
    let Some(at) = selector_in_memory(insn, used, mode, &start.cpu) else { return };
    let selector = selector(rng, &start.cpu) as u16;
    start.put(at, &selector.to_le_bytes());
}

/// Where in memory the selector is that `insn` loads or asks about.
fn selector_in_memory(insn: &Instruction, used: &[UsedMemory], mode: CpuMode, cpu: &CpuState) -> Option<u64> {
    use Mnemonic::*;
    let behind = match insn.mnemonic() {
        Lar | Lsl | Verr | Verw => 0,
        Mov | Pop if insn.op0_register().is_segment_register() => 0,
        // Behind the offset.
        Lds | Les | Lss | Lfs | Lgs => insn.op0_register().size() as u64,
        _ => return None,
    };
    used.first().map(|memory| address(memory, cpu, mode).wrapping_add(behind))
}

/// Whether an `xsave` or its kin is asked for components that this machine may have and the guest has not.
pub fn asks_for_other_components(insn: &Instruction, cpu: &CpuState) -> bool {
    let asked = cpu.get(Gpr::Rdx) << 32 | cpu.get(Gpr::Rax) & 0xffff_ffff;
    is_xsave(insn) && asked & !(COMPONENTS | OF_NO_PROCESSOR | 1 << 63) != 0
}

/// Whether this machine may know a selector that the guest does not: one in memory that the case did not put there.
pub fn asks_for_other_segment(insn: &Instruction, used: &[UsedMemory], mode: CpuMode, start: &Start) -> bool {
    let Some(at) = selector_in_memory(insn, used, mode, &start.cpu) else { return false };
    let mapped = (SCRATCH - 2..SCRATCH_END).contains(&at);
    mapped && !start.memory.iter().any(|(place, bytes)| *place == at && bytes.len() == 2)
}

/// A selector: of the segments in `cpu`, null, or beyond all tables.
fn selector(rng: &mut Rng, cpu: &CpuState) -> u64 {
    let privilege = rng.below(4);
    let known = |seg: Seg| u64::from(cpu.selector[seg.index()]);
    match rng.below(8) {
        0 => privilege,
        // Linux' table has 16 entries, and a program no table of its own.
        1 => (0x80 + (rng.below(0x1f0) << 3)) | privilege,
        2 => rng.below(0x2000) << 3 | 4 | privilege,
        3 | 4 => known(Seg::Cs) & !3 | privilege,
        5 => known(rng.pick(&[Seg::Fs, Seg::Gs])) & !3 | privilege,
        _ => known(Seg::Ds) & !3 | privilege,
    }
}
