//! Instructions to words. Source: The RISC-V Instruction Set Manual, volume I, chapter "RV32/64G Instruction Set Listings"; the Zb* chapter.

/// A host integer register by number.
pub(crate) type Reg = u8;

/// The constant zero.
pub(crate) const ZERO: Reg = 0;

/// An instruction with two source registers: opcode, funct3 and funct7 at their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct R(pub(crate) u32);

/// An instruction with a source register and a 12-bit immediate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct I(pub(crate) u32);

const fn r(opcode: u32, funct3: u32, funct7: u32) -> R {
    R(opcode | funct3 << 12 | funct7 << 25)
}

const fn i(opcode: u32, funct3: u32) -> I {
    I(opcode | funct3 << 12)
}

macro_rules! instructions {
    ($($(#[$doc:meta])* $NAME:ident: $Ty:ident = $value:expr;)*) => {
        $(
            $(#[$doc])*
            #[allow(dead_code, reason = "the table is the manual's")]
            pub(crate) const $NAME: $Ty = $value;
        )*
    };
}

instructions! {
    ADD: R = r(0x33, 0, 0);
    SUB: R = r(0x33, 0, 0x20);
    SLL: R = r(0x33, 1, 0);
    SLT: R = r(0x33, 2, 0);
    SLTU: R = r(0x33, 3, 0);
    XOR: R = r(0x33, 4, 0);
    SRL: R = r(0x33, 5, 0);
    SRA: R = r(0x33, 5, 0x20);
    OR: R = r(0x33, 6, 0);
    AND: R = r(0x33, 7, 0);
    ADDW: R = r(0x3b, 0, 0);
    SUBW: R = r(0x3b, 0, 0x20);
    SLLW: R = r(0x3b, 1, 0);
    SRLW: R = r(0x3b, 5, 0);
    SRAW: R = r(0x3b, 5, 0x20);
    MUL: R = r(0x33, 0, 1);
    MULH: R = r(0x33, 1, 1);
    MULHU: R = r(0x33, 3, 1);
    DIV: R = r(0x33, 4, 1);
    DIVU: R = r(0x33, 5, 1);
    REM: R = r(0x33, 6, 1);
    REMU: R = r(0x33, 7, 1);
    MULW: R = r(0x3b, 0, 1);
    DIVW: R = r(0x3b, 4, 1);
    DIVUW: R = r(0x3b, 5, 1);
    REMW: R = r(0x3b, 6, 1);
    REMUW: R = r(0x3b, 7, 1);
    /// Zba: `rs2 + zext(rs1)`.
    ADD_UW: R = r(0x3b, 0, 4);
    SH1ADD: R = r(0x33, 2, 0x10);
    SH2ADD: R = r(0x33, 4, 0x10);
    SH3ADD: R = r(0x33, 6, 0x10);
    SH1ADD_UW: R = r(0x3b, 2, 0x10);
    SH2ADD_UW: R = r(0x3b, 4, 0x10);
    SH3ADD_UW: R = r(0x3b, 6, 0x10);
    /// Zbb.
    ANDN: R = r(0x33, 7, 0x20);
    ORN: R = r(0x33, 6, 0x20);
    XNOR: R = r(0x33, 4, 0x20);
    ROL: R = r(0x33, 1, 0x30);
    ROR: R = r(0x33, 5, 0x30);
    ROLW: R = r(0x3b, 1, 0x30);
    RORW: R = r(0x3b, 5, 0x30);
    MIN: R = r(0x33, 4, 5);
    MINU: R = r(0x33, 5, 5);
    MAX: R = r(0x33, 6, 5);
    MAXU: R = r(0x33, 7, 5);
    /// Zbs.
    BEXT: R = r(0x33, 5, 0x24);
    BSET: R = r(0x33, 1, 0x14);
    BCLR: R = r(0x33, 1, 0x24);
    BINV: R = r(0x33, 1, 0x34);
    /// Zicond: zero where `rs2` is zero, or is not.
    CZERO_EQZ: R = r(0x33, 5, 7);
    CZERO_NEZ: R = r(0x33, 7, 7);

    ADDI: I = i(0x13, 0);
    SLTI: I = i(0x13, 2);
    SLTIU: I = i(0x13, 3);
    XORI: I = i(0x13, 4);
    ORI: I = i(0x13, 6);
    ANDI: I = i(0x13, 7);
    SLLI: I = i(0x13, 1);
    SRLI: I = i(0x13, 5);
    /// Its immediate is the count and 0x400.
    SRAI: I = i(0x13, 5);
    ADDIW: I = i(0x1b, 0);
    SLLIW: I = i(0x1b, 1);
    SRLIW: I = i(0x1b, 5);
    SRAIW: I = i(0x1b, 5);
    JALR: I = i(0x67, 0);
    LB: I = i(0x03, 0);
    LH: I = i(0x03, 1);
    LW: I = i(0x03, 2);
    LD: I = i(0x03, 3);
    LBU: I = i(0x03, 4);
    LHU: I = i(0x03, 5);
    LWU: I = i(0x03, 6);
    FLW: I = i(0x07, 2);
    FLD: I = i(0x07, 3);

    SB: I = i(0x23, 0);
    SH: I = i(0x23, 1);
    SW: I = i(0x23, 2);
    SD: I = i(0x23, 3);
    FSW: I = i(0x27, 2);
    FSD: I = i(0x27, 3);
}

/// Added to the count of [`SRAI`] and [`SRAIW`].
pub(crate) const ARITHMETIC: i32 = 0x400;
/// Immediates of the one-operand instructions of Zbb: with [`SLLI`] (or [`SLLIW`]).
pub(crate) const CLZ: i32 = 0x600;
pub(crate) const CTZ: i32 = 0x601;
pub(crate) const CPOP: i32 = 0x602;
pub(crate) const SEXT_B: i32 = 0x604;
pub(crate) const SEXT_H: i32 = 0x605;
/// With [`SRLI`].
pub(crate) const REV8: i32 = 0x6b8;
/// The same for `orc.b`: all ones in bytes that are not zero.
pub(crate) const ORC_B: i32 = 0x287;
/// With [`SRLI`] or [`SRLIW`]: added to the count.
pub(crate) const RORI: i32 = 0x600;
/// Zbs, with [`SRLI`]: added to the place of the bit.
pub(crate) const BEXTI: i32 = 0x480;
/// Zbs, with [`SLLI`].
#[cfg(test)]
pub(crate) const BSETI: i32 = 0x280;
#[cfg(test)]
pub(crate) const BCLRI: i32 = 0x480;
#[cfg(test)]
pub(crate) const BINVI: i32 = 0x680;

/// Zbb: `zext.h`.
pub(crate) fn zext_h(rd: Reg, rs: Reg) -> u32 {
    reg3(R(0x3b | 4 << 12 | 4 << 25), rd, rs, ZERO)
}

/// `rd = rs1 op rs2`.
pub(crate) fn reg3(op: R, rd: Reg, rs1: Reg, rs2: Reg) -> u32 {
    op.0 | u32::from(rd) << 7 | u32::from(rs1) << 15 | u32::from(rs2) << 20
}

/// `rd = rs1 op imm`, or a load from `imm(rs1)`.
pub(crate) fn imm12(op: I, rd: Reg, rs1: Reg, imm: i32) -> u32 {
    debug_assert!((-2048..2048).contains(&imm), "immediate {imm} is out of reach");
    op.0 | u32::from(rd) << 7 | u32::from(rs1) << 15 | (imm as u32) << 20
}

/// A store of `rs2` to `imm(rs1)`.
pub(crate) fn store(op: I, rs2: Reg, rs1: Reg, imm: i32) -> u32 {
    debug_assert!((-2048..2048).contains(&imm), "offset {imm} is out of reach");
    let imm = imm as u32;
    op.0 | (imm & 31) << 7 | u32::from(rs1) << 15 | u32::from(rs2) << 20 | (imm >> 5 & 0x7f) << 25
}

/// `lui` with the upper 20 bits of `value`.
pub(crate) fn lui(rd: Reg, value: i32) -> u32 {
    0x37 | u32::from(rd) << 7 | value as u32 & 0xffff_f000
}

/// `auipc` with the upper 20 bits of `value`.
pub(crate) fn auipc(rd: Reg, value: i32) -> u32 {
    0x17 | u32::from(rd) << 7 | value as u32 & 0xffff_f000
}

/// A conditional branch by its funct3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Branch {
    Eq = 0,
    Ne = 1,
    Lt = 4,
    Ge = 5,
    Ltu = 6,
    Geu = 7,
}

impl Branch {
    /// The opposite.
    pub(crate) fn negate(self) -> Branch {
        match self {
            Branch::Eq => Branch::Ne,
            Branch::Ne => Branch::Eq,
            Branch::Lt => Branch::Ge,
            Branch::Ge => Branch::Lt,
            Branch::Ltu => Branch::Geu,
            Branch::Geu => Branch::Ltu,
        }
    }
}

/// A branch by `distance` bytes, less than 4 KiB.
pub(crate) fn branch(op: Branch, rs1: Reg, rs2: Reg, distance: i32) -> u32 {
    let d = distance as u32;
    let imm = (d >> 12 & 1) << 31 | (d >> 5 & 0x3f) << 25 | (d >> 1 & 15) << 8 | (d >> 11 & 1) << 7;
    0x63 | (op as u32) << 12 | u32::from(rs1) << 15 | u32::from(rs2) << 20 | imm
}

/// `jal rd` by `distance` bytes, less than 1 MiB.
pub(crate) fn jal(rd: Reg, distance: i32) -> u32 {
    let d = distance as u32;
    let imm = (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20 | (d >> 12 & 0xff) << 12;
    0x6f | u32::from(rd) << 7 | imm
}

/// The upper part (for [`auipc`]) and the lower part of a distance or constant of 32 bits.
pub(crate) fn split(value: i64) -> (i32, i32) {
    let low = (value << 52 >> 52) as i32;
    (value.wrapping_sub(low.into()) as i32, low)
}

/// `fence` that orders `before` with `after`: bits 3 to 0 are input, output, reads, writes.
pub(crate) fn fence(before: u32, after: u32) -> u32 {
    0x0f | before << 24 | after << 20
}

/// Atomic instructions by funct5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Amo {
    Add = 0,
    Swap = 1,
    LoadReserved = 2,
    StoreConditional = 3,
    Xor = 4,
    Or = 8,
    And = 12,
}

/// An atomic instruction on four bytes, or eight where `wide`, that acquires and releases.
pub(crate) fn amo(op: Amo, wide: bool, rd: Reg, rs2: Reg, rs1: Reg) -> u32 {
    let size = if wide { 3 } else { 2 };
    0x2f | size << 12 | u32::from(rd) << 7 | u32::from(rs1) << 15 | u32::from(rs2) << 20 | 3 << 25 | (op as u32) << 27
}

/// `ebreak`.
#[cfg(test)]
pub(crate) const EBREAK: u32 = 0x0010_0073;

#[cfg(test)]
mod tests {
    use super::*;
    use dynasmrt::{VecAssembler, dynasm, riscv::RiscvRelocation};

    macro_rules! same {
        ($($word:expr => { $($asm:tt)* })*) => {$(
            let mut a = VecAssembler::<RiscvRelocation>::new(0);
            dynasm!(a ; .arch riscv64 ; .feature g, zba, zbb, zbs, zicond ; $($asm)*);
            let bytes = a.finalize().unwrap();
            let words: Vec<u32> = bytes.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
            assert_eq!(words, [$word], "{} is {:#x}", stringify!($($asm)*), $word);
        )*};
    }

    #[test]
    fn another_assembler_agrees() {
        same! {
            reg3(ADD, 5, 6, 7) => { add x5, x6, x7 }
            reg3(SUBW, 31, 1, 30) => { subw x31, x1, x30 }
            reg3(MULHU, 5, 6, 7) => { mulhu x5, x6, x7 }
            reg3(REMUW, 5, 6, 7) => { remuw x5, x6, x7 }
            reg3(ADD_UW, 5, 6, 7) => { add.uw x5, x6, x7 }
            reg3(SH2ADD, 5, 6, 7) => { sh2add x5, x6, x7 }
            reg3(SH3ADD_UW, 5, 6, 7) => { sh3add.uw x5, x6, x7 }
            reg3(ANDN, 5, 6, 7) => { andn x5, x6, x7 }
            reg3(XNOR, 5, 6, 7) => { xnor x5, x6, x7 }
            reg3(ROLW, 5, 6, 7) => { rolw x5, x6, x7 }
            reg3(RORW, 5, 6, 7) => { rorw x5, x6, x7 }
            reg3(MINU, 5, 6, 7) => { minu x5, x6, x7 }
            reg3(BEXT, 5, 6, 7) => { bext x5, x6, x7 }
            reg3(BSET, 5, 6, 7) => { bset x5, x6, x7 }
            reg3(BINV, 5, 6, 7) => { binv x5, x6, x7 }
            reg3(BCLR, 5, 6, 7) => { bclr x5, x6, x7 }
            reg3(CZERO_EQZ, 5, 6, 7) => { czero.eqz x5, x6, x7 }
            reg3(CZERO_NEZ, 5, 6, 7) => { czero.nez x5, x6, x7 }
            imm12(ADDI, 5, 6, -2048) => { addi x5, x6, -2048 }
            imm12(SRAI, 5, 6, 63 | ARITHMETIC) => { srai x5, x6, 63 }
            imm12(SRAIW, 5, 6, 31 | ARITHMETIC) => { sraiw x5, x6, 31 }
            imm12(SLLI, 5, 6, CLZ) => { clz x5, x6 }
            imm12(SLLIW, 5, 6, CTZ) => { ctzw x5, x6 }
            imm12(SLLI, 5, 6, CPOP) => { cpop x5, x6 }
            imm12(SLLI, 5, 6, SEXT_B) => { sext.b x5, x6 }
            imm12(SLLI, 5, 6, SEXT_H) => { sext.h x5, x6 }
            imm12(SRLI, 5, 6, REV8) => { rev8 x5, x6 }
            imm12(SRLI, 5, 6, RORI | 17) => { rori x5, x6, 17 }
            imm12(SRLIW, 5, 6, RORI | 17) => { roriw x5, x6, 17 }
            imm12(SRLI, 5, 6, BEXTI | 17) => { bexti x5, x6, 17 }
            imm12(SLLI, 5, 6, BSETI | 17) => { bseti x5, x6, 17 }
            imm12(SLLI, 5, 6, BCLRI | 17) => { bclri x5, x6, 17 }
            imm12(SLLI, 5, 6, BINVI | 17) => { binvi x5, x6, 17 }
            zext_h(5, 6) => { zext.h x5, x6 }
            imm12(LWU, 5, 6, 12) => { lwu x5, [x6, 12] }
            store(SD, 5, 6, -8) => { sd x5, [x6, -8] }
            store(SB, 5, 6, 2047) => { sb x5, [x6, 2047] }
            imm12(JALR, 1, 6, 20) => { jalr x1, x6, 20 }
            amo(Amo::Add, true, 5, 6, 7) => { amoadd.d.aqrl x5, x6, [x7] }
            amo(Amo::StoreConditional, false, 5, 6, 7) => { sc.w.aqrl x5, x6, [x7] }
            fence(3, 3) => { fence rw, rw }
            fence(2, 3) => { fence r, rw }
            EBREAK => { ebreak }
        }
    }

    #[test]
    fn distances_and_constants_are_split_as_they_are_added() {
        for value in [0, 2047, 2048, -2048, -2049, 0x1234_5678, -0x1234_5678, 0x7fff_f7ff] {
            let (high, low) = split(value);
            assert_eq!(i64::from(high) + i64::from(low), value);
            assert_eq!(high & 0xfff, 0);
        }
        assert_eq!(jal(1, -4) >> 7 & 31, 1);
    }
}
