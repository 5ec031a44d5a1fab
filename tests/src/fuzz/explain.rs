//! Differences that the manual allows, by name.

use hokku_ir::{CpuState, FlagSet, Gpr};
use iced_x86::{Instruction, Mnemonic, OpKind, Register, RflagsBits};

/// What may differ after an instruction, and in whose words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Name for the tally.
    pub name: &'static str,
    /// The manual's words (Intel SDM volume 2 unless said otherwise).
    pub words: &'static str,
}

/// All explanations that exist.
pub const EXPLAINED: &[Explained] = &[UNDEFINED_FLAGS, DOUBLE_SHIFT_BEYOND, STACK_FAULT, READ_MODIFY_WRITE];

/// Flags that the instruction leaves undefined.
pub const UNDEFINED_FLAGS: Explained = Explained {
    name: "undefined flags",
    words: "\"Flags affected\" of each instruction: \"the OF flag is affected only on 1-bit shifts\", \"the SF, ZF, AF and PF flags are undefined\" and the like",
};

/// `shld`/`shrd` by more than the operand's width.
pub const DOUBLE_SHIFT_BEYOND: Explained = Explained {
    name: "double shift beyond the width",
    words: "SHLD: \"If the count is greater than the operand size, the result is undefined.\"",
};

/// #SS where the evaluator says #GP.
pub const STACK_FAULT: Explained = Explained {
    name: "stack fault",
    words: "volume 1, 3.3.7.1: an address that is not canonical is \"a general-protection exception (#GP)\", through rsp or rbp \"a stack fault (#SS)\"; a program gets the same signal for both",
};

/// A page fault of an instruction that reads and writes an unmapped operand, told as a read.
pub const READ_MODIFY_WRITE: Explained = Explained {
    name: "read-modify-write of an unmapped operand",
    words: "volume 3, 4.7: the W/R flag of the error code; a program does not see it, and where the page is mapped the write is told. Of an \
            operand over a page that cannot be written and one that is not mapped, either may be told",
};

/// Status flags that `insn`, run from `before`, leaves undefined.
pub fn undefined_flags(insn: &Instruction, before: &CpuState) -> FlagSet {
    let Some(count) = shift_count(insn, before) else { return from_rflags(insn.rflags_undefined()) };
    let bits = operand_bits(insn);
    let double = matches!(insn.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd);
    let rotate = matches!(insn.mnemonic(), Mnemonic::Rol | Mnemonic::Ror | Mnemonic::Rcl | Mnemonic::Rcr);
    if count == 0 {
        return FlagSet::empty();
    }
    let mut undefined = FlagSet::empty();
    undefined.set(FlagSet::OF, count != 1);
    undefined.set(FlagSet::AF, !rotate);
    if double && count > bits {
        return FlagSet::STATUS;
    }
    // "The CF flag contains the value of the last bit shifted out; it is undefined for SHL and SHR instructions where the count is greater than
    // or equal to the size (in bits) of the destination operand."
    let logical = matches!(insn.mnemonic(), Mnemonic::Shl | Mnemonic::Sal | Mnemonic::Shr);
    undefined.set(FlagSet::CF, logical && count >= bits);
    undefined
}

/// Whether the destination of `insn` is undefined; the double shifts of 16 bits.
pub fn destination_is_undefined(insn: &Instruction, before: &CpuState) -> bool {
    matches!(insn.mnemonic(), Mnemonic::Shld | Mnemonic::Shrd)
        && shift_count(insn, before).is_some_and(|count| count > operand_bits(insn))
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
