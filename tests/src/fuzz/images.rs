//! Differences inside stored images of the x87 unit and the vector registers, for [`super::makes`].

use std::ops::Range;

use hokku_ir::guest::{MXCSR_START, X87};
use hokku_ir::{CpuState, Gpr};
use iced_x86::{Code, Mnemonic};

use super::explain::Case;
use super::makes::operand;
use super::system::XSAVE_BYTES;
use crate::oracle::Ending;
use crate::oracle::layout::SCRATCH;

/// Bytes of memory that differ: the address, the processor's and ours.
pub fn apart<'a>(case: &'a Case<'_>) -> impl Iterator<Item = (u64, u8, u8)> + 'a {
    let both = case.native.memory.iter().zip(case.ours.memory).enumerate();
    both.filter(|(_, (a, b))| a != b).map(|(n, (a, b))| (SCRATCH + n as u64, *a, *b))
}

/// Whether all bytes that differ are of the stored image's x87 pointers, and no exception is pending; or are the bit of the mask of mxcsr that AMD's
/// have and Intel's have not.
pub fn only_pointers_are_apart(case: &Case<'_>) -> bool {
    let Some(at) = operand(case) else { return false };
    let pending = case.before.x87.status & 0x80 != 0;
    apart(case).all(|(place, a, b)| {
        let offset = place.wrapping_sub(at);
        is_pointer(case, pending, offset, a) || is_mask(case, offset, a, b)
    })
}

/// Whether all bytes that differ are of components in their initial configuration, or as in [`only_pointers_are_apart`].
pub fn only_initial_components_are_apart(case: &Case<'_>) -> bool {
    use Mnemonic::*;
    let stores = matches!(case.insn.mnemonic(), Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64);
    let Some(at) = operand(case).filter(|_| stores) else { return false };
    let initial = initial_components(case.before);
    let pending = case.before.x87.status & 0x80 != 0;
    let always_whole = matches!(case.insn.mnemonic(), Xsave | Xsave64);
    let compacted = matches!(case.insn.mnemonic(), Xsavec | Xsavec64);
    apart(case).all(|(place, a, b)| {
        let offset = place.wrapping_sub(at);
        let component = match offset {
            0..24 | 32..160 => 1,
            24..32 if compacted => 2,
            160..416 => 2,
            // XSTATE_BV
            512 => return (a ^ b) & !initial == 0,
            _ => 0,
        };
        let not_stored = !always_whole && component & initial != 0;
        not_stored || is_pointer(case, pending, offset, a) || is_mask(case, offset, a, b)
    })
}

/// Whether a component in its initial configuration is stored, where that faults, on one side alone.
pub fn one_side_stores_nothing_that_faults(case: &Case<'_>) -> bool {
    use Mnemonic::*;
    let optimised = matches!(case.insn.mnemonic(), Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64);
    let asked = case.before.get(Gpr::Rax) as u8;
    let Some(at) = operand(case).filter(|_| optimised && asked & initial_components(case.before) != 0) else {
        return false;
    };
    match (case.native.ending, case.ours.ending) {
        (Ending::Exception { page: Some((place, true)), .. }, Ending::Arrived)
        | (Ending::Arrived, Ending::Exception { page: Some((place, true)), .. }) => {
            place.wrapping_sub(at) < XSAVE_BYTES as u64
        }
        _ => false,
    }
}

/// Components of the state in their initial configuration, by their bits: x87, SSE, AVX. Pointers of the x87 unit, which another make does not keep,
/// do not count.
fn initial_components(cpu: &CpuState) -> u8 {
    let X87 { opcode, instruction, operand, .. } = cpu.x87;
    let x87 = cpu.x87 == X87 { opcode, instruction, operand, ..X87::INIT };
    let sse = cpu.vector.iter().all(|v| v[..2] == [0; 2]) && cpu.mxcsr == MXCSR_START;
    let avx = cpu.vector.iter().all(|v| v[2..] == [0; 2]);
    u8::from(x87) | u8::from(sse) << 1 | u8::from(avx) << 2
}

/// Whether the byte `a` at `offset` is of x87 pointers that are not kept: all while no exception is pending, else what is above 48 bits.
fn is_pointer(case: &Case<'_>, pending: bool, offset: u64, a: u8) -> bool {
    use Mnemonic::*;
    let long = matches!(case.insn.mnemonic(), Fxsave64 | Xsave64 | Xsaveopt64 | Xsavec64);
    let sign = matches!(offset, 14..16 | 22..24) && matches!(a, 0 | 0xff);
    if pending { long && sign } else { pointers(case.insn.mnemonic(), is_short(case)).contains(&offset) }
}

/// Where the image that `mnemonic` stores has x87 pointers, in short form or not.
fn pointers(mnemonic: Mnemonic, short: bool) -> Range<u64> {
    use Mnemonic::*;
    match mnemonic {
        Fnstenv | Fnsave if short => 6..14,
        Fnstenv | Fnsave => 12..28,
        Fxsave | Fxsave64 | Xsave | Xsave64 | Xsaveopt | Xsaveopt64 | Xsavec | Xsavec64 => 6..24,
        _ => 0..0,
    }
}

/// Whether the instruction stores an environment of 16-bit words.
fn is_short(case: &Case<'_>) -> bool {
    matches!(case.insn.code(), Code::Fnstenv_m14byte | Code::Fnsave_m94byte)
}

/// Whether `a` and `b`, at `offset` of an FXSAVE image or one of its kin, differ in bit 17 of the mask of mxcsr: exceptions for misaligned operands.
fn is_mask(case: &Case<'_>, offset: u64, a: u8, b: u8) -> bool {
    let has_mask = pointers(case.insn.mnemonic(), false).start == 6;
    has_mask && offset == 30 && a ^ b == 2
}

#[cfg(test)]
mod tests {
    use hokku_ir::CpuMode;

    use super::*;

    #[test]
    fn pointers_are_where_the_images_have_them() {
        assert_eq!(pointers(Mnemonic::Fnstenv, true), 6..14);
        assert_eq!(pointers(Mnemonic::Fnsave, false), 12..28);
        assert_eq!(pointers(Mnemonic::Fxsave64, false), 6..24);
        assert!(pointers(Mnemonic::Fst, false).is_empty());
    }

    #[test]
    fn components_are_initial_whatever_the_pointers() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.x87.instruction = 0x1234;
        assert_eq!(initial_components(&cpu), 7);
        cpu.vector[3][2] = 1;
        cpu.mxcsr = 0x1fa0;
        assert_eq!(initial_components(&cpu), 1);
        cpu.x87.tags = 1;
        assert_eq!(initial_components(&cpu), 0);
    }
}
