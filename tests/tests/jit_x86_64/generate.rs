//! Random guest instructions that stay inside their memory and whose results the manual defines.

use std::collections::HashSet;

use hokku_ir::CpuMode;
use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, Register, RflagsBits,
};

/// A small generator of random numbers (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

/// Which instructions are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Vector,
    X87,
}

/// A run of instructions and the flags that are undefined behind it.
pub(crate) struct Program {
    pub(crate) bytes: Vec<u8>,
    pub(crate) instructions: Vec<Instruction>,
    pub(crate) undefined_flags: u32,
}

/// Registers that point into the guest's memory or are small indexes: programs read them alone.
const KEPT_64: [Register; 8] = [
    Register::RBX,
    Register::RSI,
    Register::R13,
    Register::R14,
    Register::RDI,
    Register::R15,
    Register::RSP,
    Register::R9,
];
const KEPT_32: [Register; 4] = [Register::RBX, Register::RSI, Register::RDI, Register::RSP];

/// `len` instructions at `at`.
pub(crate) fn program(r: &mut Random, mode: CpuMode, kind: Kind, len: usize, at: u64) -> Program {
    let bits = if mode == CpuMode::Long64 { 64 } else { 32 };
    let mut p = Program { bytes: Vec::new(), instructions: Vec::new(), undefined_flags: 0 };
    let mut factory = InstructionInfoFactory::new();
    while p.instructions.len() < len {
        let bytes = candidate(r, mode, kind);
        let ip = at + p.bytes.len() as u64;
        let insn = Decoder::with_ip(bits, &bytes, ip, DecoderOptions::NONE).decode();
        if insn.is_invalid() || insn.flow_control() != FlowControl::Next || !acceptable(&insn, mode, &mut factory) {
            continue;
        }
        let (read, undefined) = (insn.rflags_read(), insn.rflags_undefined() | undefined_by_count(&insn));
        if read & p.undefined_flags != 0 {
            continue;
        }
        // A variable count may be zero, which leaves the flags as they are.
        let replaced =
            if undefined & RflagsBits::AF != 0 && undefined_by_count(&insn) != 0 { 0 } else { insn.rflags_modified() };
        p.undefined_flags = (p.undefined_flags & !replaced) | undefined;
        p.bytes.extend(&bytes[..insn.len()]);
        p.instructions.push(insn);
    }
    p
}

/// Bytes that begin with an instruction, perhaps.
fn candidate(r: &mut Random, mode: CpuMode, kind: Kind) -> Vec<u8> {
    let mut b = Vec::new();
    let vector = kind == Kind::Vector && r.below(4) != 0;
    let x87 = kind == Kind::X87 && r.below(4) != 0;
    if vector {
        match r.below(4) {
            0 => {}
            1 => b.push(0x66),
            2 => b.push(0xf2),
            _ => b.push(0xf3),
        }
    } else {
        match r.below(12) {
            0 | 1 => b.push(0x66),
            2 => b.push(0xf0),
            3 => b.push(0xf3),
            _ => {}
        }
    }
    if mode == CpuMode::Long64 && r.below(3) != 0 {
        b.push(0x40 | r.below(16) as u8);
    }
    if x87 {
        b.push(0xd8 + r.below(8) as u8);
    } else if vector || r.below(3) == 0 {
        b.push(0x0f);
        b.push(if vector { vector_opcode(r) } else { two_byte_opcode(r) });
    } else {
        b.push(one_byte_opcode(r));
    }
    modrm(r, mode, &mut b);
    for _ in 0..10 {
        // Small immediates often.
        b.push(if r.below(2) == 0 { r.below(4) as u8 } else { r.next() as u8 });
    }
    b
}

fn one_byte_opcode(r: &mut Random) -> u8 {
    match r.below(10) {
        0..4 => ((r.below(8) << 3) + r.below(6)) as u8,
        4 => r.pick(&[0x69, 0x6b, 0x80, 0x81, 0x83, 0x83]),
        5 => 0x84 + r.below(8) as u8,
        6 => r.pick(&[0x8d, 0x98, 0x99, 0xa8, 0xa9, 0x63, 0x86, 0x87, 0x91, 0x92, 0xb0, 0xb4, 0xb8, 0xb9, 0xc6, 0xc7]),
        7 => r.pick(&[0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3]),
        8 => r.pick(&[0xf6, 0xf7, 0xfe, 0xff, 0x40, 0x41, 0x48, 0x4a]),
        _ => r.pick(&[
            0x50, 0x51, 0x58, 0x59, 0x5a, 0x8f, 0x68, 0x6a, 0xf5, 0xf8, 0xf9, 0xfc, 0xfd, 0x9c, 0x9e, 0x9f, 0xa4, 0xa5,
            0xaa, 0xab, 0xac, 0xad, 0xa6, 0xa7, 0xae, 0xaf, 0x27, 0x2f, 0x37, 0x3f,
        ]),
    }
}

fn two_byte_opcode(r: &mut Random) -> u8 {
    match r.below(6) {
        0 => 0x40 + r.below(16) as u8,
        1 => 0x90 + r.below(16) as u8,
        2 => r.pick(&[0xa3, 0xab, 0xb3, 0xbb, 0xba, 0xba]),
        3 => r.pick(&[0xa4, 0xa5, 0xac, 0xad, 0xaf, 0xaf]),
        4 => r.pick(&[0xb6, 0xb7, 0xbe, 0xbf, 0xbc, 0xbd]),
        _ => r.pick(&[0xb0, 0xb1, 0xc0, 0xc1, 0xc8, 0xc9, 0xca, 0xc7]),
    }
}

fn vector_opcode(r: &mut Random) -> u8 {
    match r.below(8) {
        0 => 0x10 + r.below(8) as u8,
        1 => r.pick(&[0x28, 0x29, 0x2a, 0x2c, 0x2d, 0x2e, 0x2f, 0x50]),
        2 | 3 => 0x51 + r.below(15) as u8,
        4 => 0x60 + r.below(23) as u8,
        5 => r.pick(&[0x7e, 0x7f, 0x6e, 0x6f, 0xc2, 0xc4, 0xc5, 0xc6, 0xd6, 0x77]),
        _ => 0xd1 + r.below(46) as u8,
    }
}

fn modrm(r: &mut Random, mode: CpuMode, b: &mut Vec<u8>) {
    let reg = (r.below(8) << 3) as u8;
    match r.below(5) {
        0..3 => b.push(0xc0 | reg | r.below(8) as u8),
        3 => {
            // [rbx + disp8], [rsi + disp8]; with REX.B [r11], [r14].
            b.push(0x40 | reg | r.pick(&[3, 6]));
            b.push((r.below(6) * 16) as u8);
        }
        _ => {
            // [rbx + rdi * 2^n + disp8]; with REX [r11 + r15 * 2^n].
            b.push(0x44 | reg);
            b.push((r.below(4) << 6) as u8 | 7 << 3 | r.pick(&[3, 6, 5]));
            b.push((r.below(4) * 16) as u8);
        }
    }
    let _ = mode;
}

fn acceptable(insn: &Instruction, mode: CpuMode, factory: &mut InstructionInfoFactory) -> bool {
    use Mnemonic::*;
    // Approximations differ from processor to processor; division faults; the rest is not for programs or tested elsewhere.
    let refused = [
        Rcpps, Rcpss, Rsqrtps, Rsqrtss, Div, Idiv, Maskmovq, Maskmovdqu, Fldenv, Frstor, Fnstenv, Fnsave, Fstenv,
        Fsave, Fsin, Fcos, Fsincos, Fptan, Fpatan, F2xm1, Fyl2x, Fyl2xp1, Popf, Popfd, Popfq, Fldcw, Ldmxcsr,
    ];
    if refused.contains(&insn.mnemonic())
        || !insn.cpuid_features().iter().all(|f| {
            use iced_x86::CpuidFeature::*;
            matches!(
                f,
                INTEL8086
                    | INTEL186
                    | INTEL286
                    | INTEL386
                    | INTEL486
                    | X64
                    | CX8
                    | CMOV
                    | SSE
                    | SSE2
                    | MMX
                    | FPU
                    | FPU287
                    | FPU387
            )
        })
    {
        return false;
    }
    if insn.has_rep_prefix() || insn.has_repne_prefix() || insn.has_repe_prefix() {
        return false;
    }
    // Counts beyond the width leave results undefined.
    if matches!(insn.mnemonic(), Shld | Shrd)
        && insn.op0_kind() == iced_x86::OpKind::Register
        && insn.op_register(0).size() == 2
    {
        return false;
    }
    if matches!(insn.mnemonic(), Shld | Shrd) && insn.memory_size().size() == 2 {
        return false;
    }
    let kept: HashSet<Register> = if mode == CpuMode::Long64 { KEPT_64.into() } else { KEPT_32.into() };
    let pointers = if mode == CpuMode::Long64 {
        vec![Register::RBX, Register::RSI, Register::R13, Register::R14, Register::RSP]
    } else {
        vec![Register::RBX, Register::RSI, Register::RSP]
    };
    let stack = matches!(insn.mnemonic(), Push | Pop | Pushf | Pushfd | Pushfq);
    let string = insn.is_string_instruction();
    let info = factory.info(insn);
    for used in info.used_registers() {
        let full = used.register().full_register();
        let writes = !matches!(used.access(), OpAccess::Read | OpAccess::CondRead | OpAccess::None);
        if writes && kept.contains(&full) && !(stack && full == Register::RSP) && !string {
            return false;
        }
        if used.register().is_segment_register() && writes {
            return false;
        }
    }
    for m in info.used_memory() {
        let base_ok = m.base() == Register::None && insn.mnemonic() == Lea
            || pointers.contains(&m.base().full_register())
                && m.base().size() * 8 == if mode == CpuMode::Long64 { 64 } else { 32 };
        let index_ok =
            m.index() == Register::None || matches!(m.index().full_register(), Register::RDI | Register::R15);
        let plain = string || insn.mnemonic() == Lea || (base_ok && index_ok);
        if !plain || matches!(m.segment(), Register::FS | Register::GS) {
            return false;
        }
    }
    // String instructions write through rdi, which holds a small index elsewhere: only with a program of their own.
    if string {
        return false;
    }
    // SSE memory operands must be aligned: no odd indexes.
    let wide = insn.memory_size().size() >= 16;
    !(wide && insn.memory_index() != Register::None)
        && (insn.rflags_modified() & RflagsBits::DF == 0 || insn.mnemonic() == Cld || insn.mnemonic() == Std)
}

/// Flags that a shift leaves undefined by its count.
fn undefined_by_count(insn: &Instruction) -> u32 {
    use Mnemonic::*;
    let rotation = matches!(insn.mnemonic(), Rol | Ror | Rcl | Rcr);
    if !rotation && !matches!(insn.mnemonic(), Shl | Sal | Shr | Sar | Shld | Shrd) {
        return 0;
    }
    let last = insn.op_count() - 1;
    let count = if insn.op_kind(last) == iced_x86::OpKind::Register { None } else { Some(insn.immediate(last) & 63) };
    match count {
        Some(1) => 0,
        Some(n) if n < 8 => RflagsBits::OF,
        _ if rotation => RflagsBits::OF,
        _ => RflagsBits::OF | RflagsBits::CF | RflagsBits::AF,
    }
}
