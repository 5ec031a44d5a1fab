//! Differences that are allowed, by name: what the manual leaves open, and the few places where hokku is knowingly simpler.
//!
//! "SDM" is the Intel 64 and IA-32 Architectures Software Developer's Manual; words in quotes are its own.

use hokku_ir::guest::{F80, X87};
use hokku_ir::{CpuState, FlagSet, Gpr};
use iced_x86::{Instruction, MemorySize, Mnemonic, OpKind, Register, RflagsBits};

use super::case::Program;
use super::compare::{After, Field};
use super::makes;
use crate::oracle::layout::SCRATCH_END;
use crate::oracle::{Ending, vector};

/// An explanation: what it is called, why it is right, and which differences it covers.
pub struct Explained {
    /// Name for the tally.
    pub name: &'static str,
    /// The manual's words, or what hokku does instead.
    pub words: &'static str,
    /// Whether it covers `field` of a case.
    pub(super) covers: fn(&Case<'_>, &Field) -> bool,
}

/// One compared case of a single instruction.
pub struct Case<'a> {
    /// The instruction.
    pub insn: &'a Instruction,
    /// State before.
    pub before: &'a CpuState,
    /// The processor's result.
    pub native: &'a After<'a>,
    /// Hokku's.
    pub ours: &'a After<'a>,
}

/// All explanations.
pub const EXPLAINED: &[Explained] = &[
    Explained {
        name: "undefined flags",
        words: "\"Flags Affected\" of each instruction; of shifts: \"The CF flag ... is undefined for SHL and SHR instructions where the \
                count is greater than or equal to the size (in bits) of the destination operand. The OF flag is affected only for 1-bit \
                shifts; otherwise, it is undefined. ... For a non-zero count, the AF flag is undefined.\"",
        covers: |case, field| {
            let undefined = undefined_flags(case.insn, case.before).bits();
            let apart = case.native.cpu.eflags() ^ case.ours.cpu.eflags();
            field.name == "eflags" && case.native.ending == Ending::Arrived && apart & !undefined == 0
        },
    },
    Explained {
        name: "double shift beyond the width",
        words: "SHLD, SHRD: \"If the count is greater than the operand size, the result is undefined.\"",
        covers: |case, field| {
            let beyond = shift_count(case.insn, case.before).is_some_and(|count| count > operand_bits(case.insn));
            let double = matches!(case.insn.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd);
            double && beyond && field.name != "ending" && field.name != "rip"
        },
    },
    Explained {
        name: "bit scan of zero",
        words: "BSF, BSR: \"If the content of the source operand is 0, the content of the destination operand is undefined.\" Here it keeps \
                its low half, as on processors",
        covers: |case, field| {
            let destination = case.insn.op0_register();
            let scan = matches!(case.insn.mnemonic(), Mnemonic::Bsf | Mnemonic::Bsr);
            if !scan || destination.size() != 4 || field.name != destination.full_register().to_string_lower() {
                return false;
            }
            let register = destination.full_register().number();
            case.native.cpu.gpr[register] as u32 == case.ours.cpu.gpr[register] as u32
        },
    },
    Explained {
        name: "transcendental functions",
        words: "volume 1, 8.3.10: \"the accuracy of the x87 FPU transcendental instructions ... is 1 ulp\" and C1, PE, UE and OE tell of \
                that result's rounding",
        covers: |case, field| match field.name.as_str() {
            _ if !is_transcendental(case.insn) => false,
            "x87 status" => (case.native.cpu.x87.status ^ case.ours.cpu.x87.status) & !0x82b8 == 0,
            name => register_number(name).is_some_and(|n| near(&case.native.cpu.x87, &case.ours.cpu.x87, n)),
        },
    },
    Explained {
        name: "operand over two bad pages",
        words: "volume 3, 4.7: of an operand over a page that cannot be written and one that is not mapped, either may be told",
        covers: |case, field| match (case.native.ending, case.ours.ending) {
            (Ending::Exception { page: Some((a, _)), .. }, Ending::Exception { page: Some((b, _)), .. }) => {
                let over_both = a.min(b) < SCRATCH_END && a.min(b) >= SCRATCH_END - 16 && a.max(b) == SCRATCH_END;
                field.name == "ending" && over_both
            }
            _ => false,
        },
    },
    Explained {
        name: "which of two faults",
        words: "volume 3, 6.9: among the \"faults on executing an instruction\", x87 exceptions, #BR, #GP and page faults are of one class, \
                and \"the order ... within each class is implementation-dependent\"",
        covers: |case, field| {
            let of_class = |v: u8| [vector::MF, vector::BR, vector::GP, vector::SS, vector::PF].contains(&v);
            field.name == "ending" && exceptions(case).is_some_and(|(a, b)| a != b && of_class(a) && of_class(b))
        },
    },
    Explained {
        name: "place of a fault in a long operand",
        words: "volume 3, 4.7: cr2 is \"the linear address that generated the exception\", one of those that the instruction uses; which \
                part of an operand of more than 16 bytes is reached first, and what of it is written by then, is the processor's choice",
        covers: |case, field| {
            let both = exceptions(case) == Some((vector::PF, vector::PF));
            both && is_long(case.insn) && (field.name == "ending" || field.name.starts_with('['))
        },
    },
    Explained {
        name: "state loaded halfway",
        words: "volume 1, 13.8, gives XRSTOR no order between loading a component and finding a bad mxcsr or page: what it selects may be loaded \
                by then. Hokku loads all or nothing",
        covers: |case, field| {
            let loads = matches!(case.insn.mnemonic(), Mnemonic::Xrstor | Mnemonic::Xrstor64);
            let loaded = field.name.starts_with("x87") || field.name.starts_with("ymm") || field.name.starts_with('R');
            loads && loaded && exceptions(case).is_some_and(|(a, b)| a == b && [vector::GP, vector::PF].contains(&a))
        },
    },
    Explained {
        name: "masked store of nothing",
        words: "MASKMOVDQU, MASKMOVQ with a mask of all zeros: \"Exceptions associated with addressing memory and page faults may still be \
                signaled (implementation dependent).\"",
        covers: |case, field| {
            let masked =
                matches!(case.insn.mnemonic(), Mnemonic::Maskmovq | Mnemonic::Maskmovdqu | Mnemonic::Vmaskmovdqu);
            masked
                && matches!(case.native.ending, Ending::Exception { vector: vector::PF | vector::GP, .. })
                && (field.name == "ending" || case.ours.ending == Ending::Arrived)
        },
    },
    Explained {
        name: "popa halfway",
        words: "volume 3, 6.5, of faults after which an instruction cannot be started again: \"executing a POPAD instruction where the stack \
                frame crosses over the end of the stack segment causes a fault to be reported ... internal processor state (the general-purpose \
                registers) will have been modified.\" Hokku changes none",
        covers: |case, field| {
            let popa = matches!(case.insn.mnemonic(), Mnemonic::Popa | Mnemonic::Popad);
            popa && field.name != "rsp" && exceptions(case) == Some((vector::PF, vector::PF))
        },
    },
];

/// Removes from `fields` what is explained; the names of the explanations used. `is_processor`: what ran it is this processor itself.
pub fn explain(
    is_processor: bool,
    program: &Program,
    before: &CpuState,
    native: &After<'_>,
    ours: &After<'_>,
    fields: &mut Vec<Field>,
) -> Vec<&'static str> {
    let mut used = Vec::new();
    let makes: &[&[Explained]] = match (crate::is_of_another_make(), is_processor) {
        (false, _) => &[],
        (true, false) => &[makes::OF_ITS_CODE],
        (true, true) => &[makes::OF_ITS_CODE, makes::OF_THE_PROCESSOR],
    };
    if !makes.is_empty() && makes::without_pointers(program, before, native, ours, fields) {
        used.push("x87 pointers without an exception");
    }
    // Of a piece of code, the instruction that faulted may explain something; the others leave nothing undefined.
    let at = if program.is_single() { program.at } else { native.cpu.rip };
    // Where another make arrived behind the last one, that one.
    let last = program.insns.last().filter(|i| !makes.is_empty() && i.next_ip() == at);
    let Some(insn) = program.insns.iter().find(|i| i.ip() == at).or(last) else { return used };
    let case = Case { insn, before, native, ours };
    fields.retain(|field| {
        let explanation = EXPLAINED.iter().chain(makes.iter().copied().flatten()).find(|e| (e.covers)(&case, field));
        used.extend(explanation.map(|e| e.name));
        explanation.is_none()
    });
    used.dedup();
    used
}

/// Numbers of the exceptions on both sides, if there is one on both.
pub(super) fn exceptions(case: &Case<'_>) -> Option<(u8, u8)> {
    match (case.native.ending, case.ours.ending) {
        (Ending::Exception { vector: a, .. }, Ending::Exception { vector: b, .. }) => Some((a, b)),
        _ => None,
    }
}

pub(super) fn is_transcendental(insn: &Instruction) -> bool {
    use Mnemonic::*;
    matches!(insn.mnemonic(), Fsin | Fcos | Fsincos | Fptan | Fpatan | F2xm1 | Fyl2x | Fyl2xp1)
}

/// Whether the memory operand is one that processors access in many parts.
fn is_long(insn: &Instruction) -> bool {
    use Mnemonic::*;
    let image = matches!(
        insn.mnemonic(),
        Fldenv
            | Fnstenv
            | Frstor
            | Fnsave
            | Fxsave
            | Fxsave64
            | Fxrstor
            | Fxrstor64
            | Xsave
            | Xsave64
            | Xsaveopt
            | Xsaveopt64
            | Xsavec
            | Xsavec64
            | Xrstor
            | Xrstor64
            | Enter
            | Pusha
            | Pushad
            | Popa
            | Popad
    );
    image || matches!(insn.memory_size(), MemorySize::Float80 | MemorySize::Bcd)
}

/// Number of the physical x87 register called `name`.
pub(super) fn register_number(name: &str) -> Option<usize> {
    name.strip_prefix('R')?.parse().ok()
}

/// Whether register `n` of two units holds values at most one unit in the last place apart.
///
/// An unmasked overflow or underflow leaves a result that is scaled by 2^24576 (volume 1, 8.5.4 and 8.5.5): what it was before counts, so that the
/// largest number and the overflow beside it are neighbours.
pub(super) fn near(a: &X87, b: &X87, n: usize) -> bool {
    const SCALE: i128 = 0x6000;
    let line = |unit: &X87| {
        let unmasked = unit.status & !unit.control;
        let scale = SCALE * (i128::from(unmasked >> 3 & 1) - i128::from(unmasked >> 4 & 1));
        let v = unit.regs[n];
        (i128::from(v.sign_exponent & 0x7fff) + scale) << 63 | i128::from(v.significand & !(1 << 63))
    };
    let (x, y) = (a.regs[n], b.regs[n]);
    let finite = |v: F80| v.sign_exponent & 0x7fff != 0x7fff;
    x.sign_exponent >> 15 == y.sign_exponent >> 15 && (finite(x) || finite(y)) && (line(a) - line(b)).abs() <= 1
}

/// A register's name in lower case, as the states' fields have it.
trait LowerName {
    fn to_string_lower(self) -> String;
}

impl LowerName for Register {
    fn to_string_lower(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Status flags that `insn`, run from `before`, leaves undefined.
pub fn undefined_flags(insn: &Instruction, before: &CpuState) -> FlagSet {
    let Some(count) = shift_count(insn, before) else { return from_rflags(insn.rflags_undefined()) };
    let bits = operand_bits(insn);
    let double = matches!(insn.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd);
    let rotate = matches!(insn.mnemonic(), Mnemonic::Rol | Mnemonic::Ror | Mnemonic::Rcl | Mnemonic::Rcr);
    if count == 0 {
        return FlagSet::empty();
    }
    if double && count > bits {
        return FlagSet::STATUS;
    }
    let logical = matches!(insn.mnemonic(), Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr);
    let mut undefined = FlagSet::empty();
    undefined.set(FlagSet::OF, count != 1);
    undefined.set(FlagSet::AF, !rotate);
    undefined.set(FlagSet::CF, logical && count >= bits);
    undefined
}

/// The masked count of a shift or rotation; `None` for other instructions.
fn shift_count(insn: &Instruction, before: &CpuState) -> Option<u32> {
    use Mnemonic::*;
    let operand = match insn.mnemonic() {
        Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr => 1,
        Shld | Shrd => 2,
        _ => return None,
    };
    let count = match insn.op_kind(operand) {
        OpKind::Register if insn.op_register(operand) == Register::CL => before.get(Gpr::Rcx) as u32,
        OpKind::Register => return None,
        _ => insn.immediate(operand) as u32,
    };
    Some(count & if operand_bits(insn) == 64 { 63 } else { 31 })
}

fn operand_bits(insn: &Instruction) -> u32 {
    let bytes = match insn.op_kind(0) {
        OpKind::Register => insn.op0_register().size(),
        _ => insn.memory_size().size(),
    };
    bytes as u32 * 8
}

fn from_rflags(bits: u32) -> FlagSet {
    let pairs = [
        (RflagsBits::OF, FlagSet::OF),
        (RflagsBits::SF, FlagSet::SF),
        (RflagsBits::ZF, FlagSet::ZF),
        (RflagsBits::AF, FlagSet::AF),
        (RflagsBits::CF, FlagSet::CF),
        (RflagsBits::PF, FlagSet::PF),
    ];
    pairs.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, flag)| *flag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_number_and_the_overflow_beside_it_are_near() {
        let unit = |control, status, sign_exponent, significand| {
            let mut unit = X87 { control, status, ..X87::INIT };
            unit.regs[7] = F80 { significand, sign_exponent, padding: [0; 3] };
            unit
        };
        let largest = unit(0xb40, 0xfca0, 0x7ffe, u64::MAX);
        assert!(near(&largest, &unit(0xb40, 0xfea8, 0x1fff, 1 << 63), 7));
        assert!(!near(&largest, &unit(0xb40, 0xfea8, 0x1fff, 1 << 63 | 1), 7));
        // Masked, nothing is scaled: a small number is another.
        assert!(!near(&largest, &unit(0xb7f, 0x7e28, 0x1fff, 1 << 63), 7));
        assert!(near(&largest, &unit(0xb7f, 0x7e28, 0x7fff, 1 << 63), 7));
    }
}
