//! Integer instructions of the host, by name. Source: Arm ARM, C6.
#![allow(dead_code, reason = "an instruction is listed with its family")]

use crate::asm::{Asm, Cc, Size};

/// How the last operand of an instruction is shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Shift {
    Lsl,
    Lsr,
    Asr,
    /// Logical instructions alone.
    Ror,
}

/// How the last operand of an addition is extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Extend {
    Uxtb,
    Uxth,
    Uxtw,
    Uxtx,
    Sxtb,
    Sxth,
    Sxtw,
    Sxtx,
}

/// Additions and subtractions, with and without flags, by their two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Sum {
    Add,
    Adds,
    Sub,
    Subs,
}

/// Logical instructions by their two bits and the one that inverts the second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logic {
    And,
    Bic,
    Orr,
    Orn,
    Eor,
    Eon,
    Ands,
    Bics,
}

impl Logic {
    fn op(self) -> u32 {
        (self as u32 >> 1) << 29
    }
    fn inverts(self) -> u32 {
        (self as u32 & 1) << 21
    }
}

fn r(reg: u8, at: u32) -> u32 {
    u32::from(reg) << at
}

impl Asm {
    fn three(&mut self, op: u32, size: Size, d: u8, n: u8, m: u8) {
        self.word(op | size.bit31() | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `add d, n, #imm` and kin; `imm` as [`crate::immediate::add_immediate`] gives it.
    pub(crate) fn add_imm(&mut self, op: Sum, size: Size, d: u8, n: u8, imm: u32) {
        self.word(0x1100_0000 | (op as u32) << 29 | size.bit31() | imm << 10 | r(n, 5) | r(d, 0));
    }

    /// `add d, n, m, shift #by` and kin.
    pub(crate) fn add_shifted(&mut self, op: Sum, size: Size, d: u8, n: u8, m: u8, shift: Shift, by: u8) {
        self.three(0x0b00_0000 | (op as u32) << 29 | (shift as u32) << 22 | r(by, 10), size, d, n, m);
    }

    /// `add d, n, m` and kin.
    pub(crate) fn add(&mut self, op: Sum, size: Size, d: u8, n: u8, m: u8) {
        self.add_shifted(op, size, d, n, m, Shift::Lsl, 0);
    }

    /// `add d, n, m, extend #by` and kin; `n`, and `d` without flags, may be the stack pointer.
    pub(crate) fn add_extended(&mut self, op: Sum, size: Size, d: u8, n: u8, m: u8, extend: Extend, by: u8) {
        self.three(0x0b20_0000 | (op as u32) << 29 | (extend as u32) << 13 | r(by, 10), size, d, n, m);
    }

    /// `and d, n, #imm` and kin without inversion; `bits` as [`crate::immediate::bitmask`] gives them.
    pub(crate) fn logic_bits(&mut self, op: Logic, size: Size, d: u8, n: u8, bits: u32) {
        debug_assert!(op.inverts() == 0);
        self.word(0x1200_0000 | op.op() | size.bit31() | bits << 10 | r(n, 5) | r(d, 0));
    }

    /// `orr d, n, #imm`.
    pub(crate) fn orr_bits(&mut self, size: Size, d: u8, n: u8, bits: u32) {
        self.logic_bits(Logic::Orr, size, d, n, bits);
    }

    /// `and d, n, m, shift #by` and kin.
    pub(crate) fn logic_shifted(&mut self, op: Logic, size: Size, d: u8, n: u8, m: u8, shift: Shift, by: u8) {
        self.three(0x0a00_0000 | op.op() | op.inverts() | (shift as u32) << 22 | r(by, 10), size, d, n, m);
    }

    /// `and d, n, m` and kin.
    pub(crate) fn logic(&mut self, op: Logic, size: Size, d: u8, n: u8, m: u8) {
        self.logic_shifted(op, size, d, n, m, Shift::Lsl, 0);
    }

    /// `mov d, m`.
    pub(crate) fn mov(&mut self, size: Size, d: u8, m: u8) {
        self.logic(Logic::Orr, size, d, 31, m);
    }

    /// `ubfm`, `sbfm` (`signed`) or `bfm` by its number 2, 0, 1.
    fn bitfield(&mut self, op: u32, size: Size, d: u8, n: u8, immr: u8, imms: u8) {
        let wide = size as u32;
        self.word(0x1300_0000 | op << 29 | size.bit31() | wide << 22 | r(immr, 16) | r(imms, 10) | r(n, 5) | r(d, 0));
    }

    /// `ubfx d, n, #lsb, #width`.
    pub(crate) fn ubfx(&mut self, size: Size, d: u8, n: u8, lsb: u8, width: u8) {
        self.bitfield(2, size, d, n, lsb, lsb + width - 1);
    }

    /// `sbfx d, n, #lsb, #width`.
    pub(crate) fn sbfx(&mut self, size: Size, d: u8, n: u8, lsb: u8, width: u8) {
        self.bitfield(0, size, d, n, lsb, lsb + width - 1);
    }

    /// `ubfiz d, n, #lsb, #width`.
    pub(crate) fn ubfiz(&mut self, size: Size, d: u8, n: u8, lsb: u8, width: u8) {
        self.bitfield(2, size, d, n, (size.bits() - lsb) % size.bits(), width - 1);
    }

    /// `bfi d, n, #lsb, #width`.
    pub(crate) fn bfi(&mut self, size: Size, d: u8, n: u8, lsb: u8, width: u8) {
        self.bitfield(1, size, d, n, (size.bits() - lsb) % size.bits(), width - 1);
    }

    /// `bfxil d, n, #lsb, #width`.
    pub(crate) fn bfxil(&mut self, size: Size, d: u8, n: u8, lsb: u8, width: u8) {
        self.bitfield(1, size, d, n, lsb, lsb + width - 1);
    }

    /// `lsl d, n, #by`, less than the size.
    pub(crate) fn lsl(&mut self, size: Size, d: u8, n: u8, by: u8) {
        self.bitfield(2, size, d, n, (size.bits() - by) % size.bits(), size.bits() - 1 - by);
    }

    /// `lsr d, n, #by`, less than the size.
    pub(crate) fn lsr(&mut self, size: Size, d: u8, n: u8, by: u8) {
        self.bitfield(2, size, d, n, by, size.bits() - 1);
    }

    /// `asr d, n, #by`, less than the size.
    pub(crate) fn asr(&mut self, size: Size, d: u8, n: u8, by: u8) {
        self.bitfield(0, size, d, n, by, size.bits() - 1);
    }

    /// `extr d, n, m, #lsb`: `n:m` shifted right.
    pub(crate) fn extr(&mut self, size: Size, d: u8, n: u8, m: u8, lsb: u8) {
        let wide = size as u32;
        self.three(0x1380_0000 | wide << 22 | r(lsb, 10), size, d, n, m);
    }

    fn two_sources(&mut self, op: u32, size: Size, d: u8, n: u8, m: u8) {
        self.three(0x1ac0_0000 | op << 10, size, d, n, m);
    }

    /// `udiv d, n, m`.
    pub(crate) fn udiv(&mut self, size: Size, d: u8, n: u8, m: u8) {
        self.two_sources(2, size, d, n, m);
    }

    /// `sdiv d, n, m`.
    pub(crate) fn sdiv(&mut self, size: Size, d: u8, n: u8, m: u8) {
        self.two_sources(3, size, d, n, m);
    }

    /// `lsl d, n, m` and kin: by `m` modulo the size.
    pub(crate) fn shift_reg(&mut self, shift: Shift, size: Size, d: u8, n: u8, m: u8) {
        self.two_sources(8 + shift as u32, size, d, n, m);
    }

    /// `crc32cb`, `crc32ch`, `crc32cw`, `crc32cx` by the logarithm of the number of bytes.
    pub(crate) fn crc32c(&mut self, log2_bytes: u8, d: u8, n: u8, m: u8) {
        let size = if log2_bytes == 3 { Size::X } else { Size::W };
        self.two_sources(0x14 | u32::from(log2_bytes), size, d, n, m);
    }

    /// `madd d, n, m, a`: `a + n * m`.
    pub(crate) fn madd(&mut self, size: Size, d: u8, n: u8, m: u8, a: u8) {
        self.three(0x1b00_0000 | r(a, 10), size, d, n, m);
    }

    /// `msub d, n, m, a`: `a - n * m`.
    pub(crate) fn msub(&mut self, size: Size, d: u8, n: u8, m: u8, a: u8) {
        self.three(0x1b00_8000 | r(a, 10), size, d, n, m);
    }

    /// `umull d, n, m` (32 by 32 bits), or `smull`.
    pub(crate) fn mull(&mut self, signed: bool, d: u8, n: u8, m: u8) {
        let op = if signed { 0x1b20_7c00 } else { 0x1ba0_7c00 };
        self.three(op, Size::X, d, n, m);
    }

    /// `umulh d, n, m`, or `smulh`.
    pub(crate) fn mulh(&mut self, signed: bool, d: u8, n: u8, m: u8) {
        let op = if signed { 0x1b40_7c00 } else { 0x1bc0_7c00 };
        self.three(op, Size::X, d, n, m);
    }

    fn one_source(&mut self, op: u32, size: Size, d: u8, n: u8) {
        self.word(0x5ac0_0000 | op << 10 | size.bit31() | r(n, 5) | r(d, 0));
    }

    /// `rbit d, n`.
    pub(crate) fn rbit(&mut self, size: Size, d: u8, n: u8) {
        self.one_source(0, size, d, n);
    }

    /// `rev16 d, n`.
    pub(crate) fn rev16(&mut self, size: Size, d: u8, n: u8) {
        self.one_source(1, size, d, n);
    }

    /// `rev d, n`: all bytes.
    pub(crate) fn rev(&mut self, size: Size, d: u8, n: u8) {
        self.one_source(2 + size as u32, size, d, n);
    }

    /// `clz d, n`.
    pub(crate) fn clz(&mut self, size: Size, d: u8, n: u8) {
        self.one_source(4, size, d, n);
    }

    /// `cnt d.8b, n.8b`: the ones of each byte.
    pub(crate) fn count_byte_ones(&mut self, d: u8, n: u8) {
        self.word(0x0e20_5800 | r(n, 5) | r(d, 0));
    }

    /// `addv d, n.8b`: the sum of eight bytes.
    pub(crate) fn add_bytes(&mut self, d: u8, n: u8) {
        self.word(0x0e31_b800 | r(n, 5) | r(d, 0));
    }

    /// `csel d, n, m, cc`.
    pub(crate) fn csel(&mut self, size: Size, d: u8, n: u8, m: u8, cc: Cc) {
        self.three(0x1a80_0000 | (cc as u32) << 12, size, d, n, m);
    }

    /// `csinc d, n, m, cc`: `n`, else `m + 1`.
    pub(crate) fn csinc(&mut self, size: Size, d: u8, n: u8, m: u8, cc: Cc) {
        self.three(0x1a80_0400 | (cc as u32) << 12, size, d, n, m);
    }

    /// `csinv d, n, m, cc`: `n`, else `!m`.
    pub(crate) fn csinv(&mut self, size: Size, d: u8, n: u8, m: u8, cc: Cc) {
        self.three(0x5a80_0000 | (cc as u32) << 12, size, d, n, m);
    }

    /// `cset d, cc`.
    pub(crate) fn cset(&mut self, d: u8, cc: Cc) {
        self.csinc(Size::W, d, 31, 31, cc.negate());
    }

    /// `csetm d, cc`.
    pub(crate) fn csetm(&mut self, size: Size, d: u8, cc: Cc) {
        self.csinv(size, d, 31, 31, cc.negate());
    }

    /// `ccmp n, #imm, #nzcv, cc`.
    pub(crate) fn ccmp_imm(&mut self, size: Size, n: u8, imm: u8, nzcv: u8, cc: Cc) {
        self.word(0x7a40_0800 | size.bit31() | r(imm, 16) | (cc as u32) << 12 | r(n, 5) | r(nzcv, 0));
    }

    /// `ccmp n, m, #nzcv, cc`.
    pub(crate) fn ccmp(&mut self, size: Size, n: u8, m: u8, nzcv: u8, cc: Cc) {
        self.word(0x7a40_0000 | size.bit31() | r(m, 16) | (cc as u32) << 12 | r(n, 5) | r(nzcv, 0));
    }

    /// `adc d, n, m` and kin.
    pub(crate) fn adc(&mut self, op: Sum, size: Size, d: u8, n: u8, m: u8) {
        self.three(0x1a00_0000 | (op as u32) << 29, size, d, n, m);
    }

    /// `mrs reg, nzcv`.
    pub(crate) fn read_nzcv(&mut self, reg: u8) {
        self.word(0xd53b_4200 | r(reg, 0));
    }

    /// `msr nzcv, reg`.
    pub(crate) fn write_nzcv(&mut self, reg: u8) {
        self.word(0xd51b_4200 | r(reg, 0));
    }

    /// `mrs reg, fpcr`.
    pub(crate) fn read_fpcr(&mut self, reg: u8) {
        self.word(0xd53b_4400 | r(reg, 0));
    }

    /// `msr fpcr, reg`.
    pub(crate) fn write_fpcr(&mut self, reg: u8) {
        self.word(0xd51b_4400 | r(reg, 0));
    }

    /// `mrs reg, fpsr`.
    pub(crate) fn read_fpsr(&mut self, reg: u8) {
        self.word(0xd53b_4420 | r(reg, 0));
    }

    /// `msr fpsr, reg`.
    pub(crate) fn write_fpsr(&mut self, reg: u8) {
        self.word(0xd51b_4420 | r(reg, 0));
    }

    /// `cfinv`: FEAT_FlagM.
    pub(crate) fn cfinv(&mut self) {
        self.word(0xd500_401f);
    }

    /// `rmif n, #by, #mask`: the low four bits of `n` rotated right become those of NZCV that `mask` names. FEAT_FlagM.
    pub(crate) fn rmif(&mut self, n: u8, by: u8, mask: u8) {
        self.word(0xba00_0400 | r(by, 15) | r(n, 5) | r(mask, 0));
    }

    /// `br reg`.
    pub(crate) fn br(&mut self, reg: u8) {
        self.word(0xd61f_0000 | r(reg, 5));
    }

    /// `blr reg`.
    pub(crate) fn blr(&mut self, reg: u8) {
        self.word(0xd63f_0000 | r(reg, 5));
    }

    /// `ret`: to x30.
    pub(crate) fn ret(&mut self) {
        self.word(0xd65f_03c0);
    }

    /// `nop`.
    pub(crate) fn nop(&mut self) {
        self.word(0xd503_201f);
    }

    /// `yield`.
    pub(crate) fn pause(&mut self) {
        self.word(0xd503_203f);
    }
}
