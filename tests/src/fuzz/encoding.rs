//! Random encodings of an instruction: from the decoder's tables, with all sorts of prefixes and addressing forms.

use hokku_ir::CpuMode;
use iced_x86::{
    Code, Decoder, DecoderError, DecoderOptions, EncodingKind, Instruction, MandatoryPrefix, OpCodeInfo,
    OpCodeOperandKind as Kind, OpCodeTableKind as Table,
};

use super::rng::Rng;
use super::vex;

/// Longest legal instruction.
pub const MAX_LEN: usize = 15;

/// Segment prefixes.
const SEGMENTS: [u8; 6] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/// How often a random encoding is tried before an instruction is given up.
const TRIES: usize = 400;

/// One instruction: its bytes and what they mean.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Decoded at the address that it was made for.
    pub insn: Instruction,
}

/// Number of bits of `mode`'s words, as the decoder wants it.
pub fn bitness(mode: CpuMode) -> u32 {
    mode.word().bits()
}

/// Decodes what stands at the start of `bytes`.
pub fn decode(mode: CpuMode, at: u64, bytes: &[u8]) -> Instruction {
    Decoder::with_ip(bitness(mode), bytes, at, DecoderOptions::NONE).decode()
}

/// A random encoding of `code` at address `at`; `None` where none was found.
pub fn random(rng: &mut Rng, code: Code, mode: CpuMode, at: u64) -> Option<Encoded> {
    let info = code.op_code();
    // First with some prefixes too many, then plain.
    (0..TRIES).find_map(|n| {
        let (mut bytes, _) = candidate(rng, info, mode, n < TRIES / 2);
        bytes.truncate(MAX_LEN);
        let insn = decode(mode, at, &bytes);
        (insn.code() == code).then(|| Encoded { bytes: bytes[..insn.len()].to_vec(), insn })
    })
}

/// Bytes that are no instruction, yet differ from an encoding of `code` in one prefix, bit or field alone; `None` where none was found. They
/// have no memory operand that a processor which knows more instructions could use.
pub fn illegal(rng: &mut Rng, code: Code, mode: CpuMode, at: u64) -> Option<Encoded> {
    let info = code.op_code();
    (0..TRIES / 10).find_map(|_| {
        let (mut bytes, modrm) = candidate(rng, info, mode, false);
        bytes[modrm] |= 0xc0;
        match rng.below(4) {
            0 => bytes.insert(0, rng.pick(&[0xf0, 0x66, 0xf2, 0xf3, 0x40, 0x48])),
            1 => bytes[modrm] = bytes[modrm] & 0xc7 | (rng.below(8) as u8) << 3,
            _ => {
                let byte = rng.below(modrm as u64) as usize;
                bytes[byte] ^= 1 << rng.below(8);
            }
        }
        bytes.truncate(MAX_LEN);
        let mut decoder = Decoder::with_ip(bitness(mode), &bytes, at, DecoderOptions::NONE);
        let insn = decoder.decode();
        let invalid = decoder.last_error() == DecoderError::InvalidInstruction;
        (invalid && !may_be_newer(&bytes, mode)).then(|| Encoded { bytes: bytes[..insn.len()].to_vec(), insn })
    })
}

/// Whether a processor may know the bytes as an instruction with a memory operand, or as one of a later extension: EVEX, XOP and opcodes that
/// are not in the tables.
fn may_be_newer(bytes: &[u8], mode: CpuMode) -> bool {
    let legacy = |b: &&u8| matches!(b, 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3);
    let rex = |b: &&u8| mode == CpuMode::Long64 && (0x40..0x50).contains(*b);
    let opcode = bytes.iter().skip_while(|b| legacy(b) || rex(b)).collect::<Vec<_>>();
    let register = |n: usize| opcode.get(n).is_some_and(|b| **b >= 0xc0);
    match opcode[..] {
        [0xc5, ..] => !register(3),
        [0xc4, map, ..] => *map & 0x1f > 3 || *map & 0x1f == 0 || !register(4),
        [0x0f, 0x38 | 0x3a, ..] => !register(3),
        // Calls of this machine's hypervisor are among them, which prefixes do not keep it from.
        [0x0f, 0x01, ..] => true,
        [0x0f, ..] => !register(2),
        [0x62 | 0x8f, ..] => true,
        _ => !register(1),
    }
}

/// Bytes that may be `info`'s instruction, and random ones behind it; where the ModRM byte stands if there is one.
fn candidate(rng: &mut Rng, info: &OpCodeInfo, mode: CpuMode, adorned: bool) -> (Vec<u8>, usize) {
    let mut bytes;
    if info.encoding() == EncodingKind::VEX {
        bytes = Vec::with_capacity(24);
        if adorned && rng.one_in(8) {
            bytes.push(rng.pick(&SEGMENTS));
        }
        if adorned && rng.one_in(10) {
            bytes.push(0x67);
        }
        bytes.extend(vex::prefix(rng, info, mode));
    } else {
        bytes = prefixes(rng, info, mode, adorned);
        match info.table() {
            Table::T0F => bytes.push(0x0f),
            Table::T0F38 => bytes.extend([0x0f, 0x38]),
            Table::T0F3A => bytes.extend([0x0f, 0x3a]),
            _ => {}
        }
    }
    let opcode = info.op_code().to_be_bytes();
    bytes.extend(&opcode[4 - info.op_code_len() as usize..]);
    if info.op_kinds().iter().any(|k| is_in_opcode(*k)) {
        if let Some(last) = bytes.last_mut() {
            *last = *last & !7 | rng.below(8) as u8;
        }
    }
    let modrm = bytes.len();
    for i in 0..16 {
        // Short constants, with their sign, are as likely as long ones.
        let small = i > 2 && rng.percent(40);
        bytes.push(if small { rng.pick(&[0, 0xff]) } else { rng.u64() as u8 });
    }
    if rng.percent(40) {
        bytes[modrm] |= 0xc0;
    }
    if info.is_group() {
        bytes[modrm] = bytes[modrm] & !0x38 | (info.group_index() as u8) << 3;
    }
    if info.is_rm_group() {
        bytes[modrm] = bytes[modrm] & !7 | 0xc0 | info.rm_group_index() as u8;
    }
    if info.op_kinds().iter().any(|k| is_vsib(*k)) {
        // A memory operand with a SIB byte.
        bytes[modrm] = bytes[modrm] & 0x38 | rng.pick(&[0x04, 0x04, 0x44, 0x84]);
    }
    (bytes, modrm)
}

/// Whether the operand is memory that a vector of indices selects.
fn is_vsib(kind: Kind) -> bool {
    matches!(kind, Kind::mem_vsib32x | Kind::mem_vsib64x | Kind::mem_vsib32y | Kind::mem_vsib64y)
}

/// Whether the operand is in the low three bits of the opcode.
fn is_in_opcode(kind: Kind) -> bool {
    matches!(kind, Kind::r8_opcode | Kind::r16_opcode | Kind::r32_opcode | Kind::r64_opcode | Kind::sti_opcode)
}

fn prefixes(rng: &mut Rng, info: &OpCodeInfo, mode: CpuMode, adorned: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24);
    let mut odd = |n| adorned && rng.one_in(n);
    let wide = info.operand_size() == 16;
    let other_address = info.address_size() != 0 && info.address_size() != bitness(mode);
    if odd(8) {
        bytes.push(0xff); // a segment, below
    }
    if wide != odd(24) {
        bytes.push(0x66);
    }
    if other_address || odd(10) {
        bytes.push(0x67);
    }
    if info.can_use_lock_prefix() && odd(3) {
        bytes.push(0xf0);
    }
    let repeats = info.can_use_rep_prefix() || info.can_use_repne_prefix();
    if repeats && !odd(4) || odd(40) {
        bytes.push(0xf3);
    }
    if repeats && odd(4) || odd(40) {
        bytes.push(0xf2);
    }
    match info.mandatory_prefix() {
        MandatoryPrefix::P66 => bytes.push(0x66),
        MandatoryPrefix::PF3 => bytes.push(0xf3),
        MandatoryPrefix::PF2 => bytes.push(0xf2),
        MandatoryPrefix::None | MandatoryPrefix::PNP => {}
    }
    for i in 0..bytes.len() {
        if bytes[i] == 0xff {
            bytes[i] = rng.pick(&SEGMENTS);
        }
        let other = rng.below(bytes.len() as u64) as usize;
        bytes.swap(i, other);
    }
    if mode == CpuMode::Long64 {
        let rex = match info.operand_size() {
            64 => 0x48 | rng.below(8) as u8,
            _ if rng.percent(50) => 0x40 | rng.below(16) as u8,
            _ => return bytes,
        };
        bytes.push(rex);
    }
    bytes
}
