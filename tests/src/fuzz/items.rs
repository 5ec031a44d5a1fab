//! Items of random pieces of code that are more than one instruction: what keeps an instruction to the rules of a piece stands before it, what
//! sets things right again behind it.

use hokku_ir::{CpuFeatures, CpuMode};
use iced_x86::{Instruction, Register, RflagsBits};

use super::rng::Rng;

/// A string instruction, repeated or not, between pointers into the scratch pages, in either direction. The registers that it moves are saved on the
/// stack and set back, the direction is forwards again. It needs room below rsp.
pub fn string(rng: &mut Rng, mode: CpuMode) -> Vec<u8> {
    // push rcx; push rsi; push rdi
    let mut code = vec![0x51, 0x56, 0x57];
    let wide = mode == CpuMode::Long64;
    // lea rdi, [rbx + n]
    code.extend(if wide { &[0x48, 0x8d, 0x7b][..] } else { &[0x8d, 0x7b] });
    code.push(rng.below(64) as u8);
    // mov ecx, n
    code.push(0xb9);
    let most = if rng.one_in(4) { 80 } else { 8 };
    code.extend((rng.below(most) as u32).to_le_bytes());
    let backwards = rng.percent(20);
    if backwards {
        code.push(0xfd);
    }
    let operation = rng.pick(&[0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]);
    let repeats: &[u8] = if matches!(operation, 0xa6 | 0xa7 | 0xae | 0xaf) { &[0, 0xf2, 0xf3] } else { &[0, 0xf3] };
    let prefix = rng.pick(repeats);
    if prefix != 0 {
        code.push(prefix);
    }
    match rng.below(4) {
        0 if operation & 1 != 0 => code.push(0x66),
        1 if operation & 1 != 0 && wide => code.push(0x48),
        _ => {}
    }
    code.push(operation);
    if backwards {
        code.push(0xfc);
    }
    // pop rdi; pop rsi; pop rcx
    code.extend([0x5f, 0x5e, 0x59]);
    code
}

/// A division whose quotient fits, of rdx:rax by a register that is not zero.
pub fn division(rng: &mut Rng, mode: CpuMode) -> Vec<u8> {
    let wide = mode == CpuMode::Long64 && rng.percent(50);
    let rex: &[u8] = if wide { &[0x48] } else { &[] };
    let signed = rng.percent(50);
    // or ecx, 1
    let mut code = [rex, &[0x83, 0xc9, 1]].concat();
    code.extend(rex);
    // cdq or xor edx, edx
    code.extend(if signed { &[0x99][..] } else { &[0x31, 0xd2] });
    code.extend(rex);
    // idiv ecx or div ecx
    code.extend([0xf7, if signed { 0xf9 } else { 0xf1 }]);
    code
}

/// A bit scan of a register that is not zero: `or ecx, n; bsf eax, ecx`.
pub fn scan(rng: &mut Rng, mode: CpuMode) -> Vec<u8> {
    let rex: &[u8] = if mode == CpuMode::Long64 && rng.percent(50) { &[0x48] } else { &[] };
    let bit = 1 << rng.below(7);
    [rex, &[0x83, 0xc9, bit], rex, &[0x0f, 0xbc | rng.below(2) as u8, 0xc1]].concat()
}

/// A bit test of a string of bits in memory: `and eax, 0x1ff` and `bts [rbx], eax` or its kin, locked or not.
pub fn bit_string(rng: &mut Rng, mode: CpuMode) -> Vec<u8> {
    let wide = mode == CpuMode::Long64 && rng.percent(50);
    let mut code = vec![0x25, 0xff, 1, 0, 0];
    let operation = rng.pick(&[0xa3, 0xab, 0xb3, 0xbb]);
    if operation != 0xa3 && rng.percent(30) {
        code.push(0xf0);
    }
    if wide {
        code.push(0x48);
    }
    code.extend([0x0f, operation, 0x03]);
    code
}

/// Loads mxcsr or the x87 control word with another rounding, precision or treatment of denormals, all exceptions masked; through the stack.
pub fn rounding(rng: &mut Rng, mode: CpuMode, features: CpuFeatures) -> Vec<u8> {
    let vector = rng.percent(60) && features.contains(CpuFeatures::SSE);
    let word = if vector {
        0x1f80 | rng.below(4) << 13 | rng.pick(&[0, 0, 0x40, 0x8000, 0x8040])
    } else {
        0x7f | rng.pick(&[0, 2, 3, 3]) << 8 | rng.below(4) << 10
    };
    let mut code = vec![0x68];
    code.extend((word as u32).to_le_bytes());
    code.extend(if vector { &[0x0f, 0xae, 0x14, 0x24][..] } else { &[0xd9, 0x2c, 0x24] });
    // lea rsp, [rsp + 8]
    code.extend(if mode == CpuMode::Long64 { &[0x48, 0x8d, 0x64, 0x24, 8][..] } else { &[0x8d, 0x64, 0x24, 4] });
    code
}

/// A gather from near rbx: an index register with small numbers, then the gather, with whatever mask there is.
pub fn gather(rng: &mut Rng) -> Vec<u8> {
    let destination = rng.below(8) as u8;
    let (index, mask) = ((destination + 1 + rng.below(3) as u8) & 7, (destination + 4 + rng.below(4) as u8) & 7);
    let wide = rng.below(2) as u8;
    let long = (rng.below(2) as u8) << 2;
    let source = rng.below(8) as u8;
    // vpsrld or vpsrlq of the source, so that one byte of each lane is left
    let (shift, count) = if wide == 0 { (0x72, 24) } else { (0x73, 56) };
    let mut code = vec![0xc5, 0x80 | (!index & 15) << 3 | 4 | 1, shift, 0xd0 | source, count];
    let lanes = (rng.below(2) as u8) << 7;
    let opcode = 0x90 | wide | (rng.below(2) as u8) << 1;
    code.extend([0xc4, 0xe2, lanes | (!mask & 15) << 3 | long | 1, opcode]);
    // [rbx + index * scale + displacement]
    code.extend([0x44 | destination << 3, (rng.below(4) as u8) << 6 | index << 3 | 3, rng.below(128) as u8]);
    code
}

/// Sets the trap flag: `pushf; or byte [rsp + 1], 1; popf`. The next instruction is the last.
pub fn single_step() -> Vec<u8> {
    vec![0x9c, 0x80, 0x4c, 0x24, 1, 1, 0x9d]
}

/// Reads the flags that `insn` leaves defined into a register that a piece may write, where there is a condition of these alone: `setcc cl`.
pub fn read_flags(rng: &mut Rng, insn: &Instruction) -> Option<Vec<u8>> {
    let shift = super::sequence::is_shift(insn);
    let bits = match insn.op0_register() {
        Register::None => insn.memory_size().size() * 8,
        register => register.size() * 8,
    };
    let undefined = match insn.rflags_undefined() {
        // Of narrow operands a count may reach the width.
        _ if shift && bits < 32 => return None,
        bits if shift => bits | RflagsBits::OF | RflagsBits::AF,
        bits => bits,
    };
    // Conditions by number, without their negations.
    const READ: [(u8, u32); 8] = [
        (0, RflagsBits::OF),
        (2, RflagsBits::CF),
        (4, RflagsBits::ZF),
        (6, RflagsBits::CF | RflagsBits::ZF),
        (8, RflagsBits::SF),
        (10, RflagsBits::PF),
        (12, RflagsBits::SF | RflagsBits::OF),
        (14, RflagsBits::ZF | RflagsBits::SF | RflagsBits::OF),
    ];
    let defined: Vec<u8> = READ.iter().filter(|(_, read)| read & undefined == 0).map(|(n, _)| *n).collect();
    if defined.is_empty() {
        return None;
    }
    Some(vec![0x0f, 0x90 | rng.pick(&defined) | rng.below(2) as u8, 0xc1])
}
