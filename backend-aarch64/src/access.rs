//! Loads, stores and barriers of the host, by name. Source: Arm ARM, C6 and C7.
#![allow(dead_code, reason = "an instruction is listed with its family")]

use crate::asm::{Asm, Size};
use crate::integer::{Extend, Shift};

/// What a load or store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The low bytes of an x-register, zero-extended by loads: logarithm of their number.
    Int(u8),
    /// The same, sign-extended to 64 bits by loads; to 32 where `short`.
    Signed { log2_bytes: u8, short: bool },
    /// The low bytes of a v-register, the rest cleared by loads: 2 to 4.
    Vec(u8),
}

impl Piece {
    pub(crate) const B: Piece = Piece::Int(0);
    pub(crate) const H: Piece = Piece::Int(1);
    pub(crate) const W: Piece = Piece::Int(2);
    pub(crate) const X: Piece = Piece::Int(3);
    pub(crate) const Q: Piece = Piece::Vec(4);

    /// Logarithm of the number of bytes.
    pub(crate) fn log2(self) -> u8 {
        match self {
            Piece::Int(n) | Piece::Vec(n) | Piece::Signed { log2_bytes: n, .. } => n,
        }
    }

    /// The bits of size, register file and direction.
    fn bits(self, load: bool) -> u32 {
        match self {
            Piece::Int(n) => u32::from(n) << 30 | u32::from(load) << 22,
            Piece::Signed { log2_bytes, short } => {
                debug_assert!(load && log2_bytes < 3);
                u32::from(log2_bytes) << 30 | if short { 3 } else { 2 } << 22
            }
            Piece::Vec(4) => 1 << 26 | 1 << 23 | u32::from(load) << 22,
            Piece::Vec(n) => u32::from(n) << 30 | 1 << 26 | u32::from(load) << 22,
        }
    }
}

/// Where an access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `[base, #offset]`.
    Offset { base: u8, offset: i32 },
    /// `[base, index, extend #shift]`: `Uxtw`, `Sxtw` or (as `lsl`) `Uxtx`; `shifted` by the piece's size.
    Index { base: u8, index: u8, extend: Extend, shifted: bool },
    /// `[base, #offset]!`.
    Before { base: u8, offset: i32 },
    /// `[base], #offset`.
    After { base: u8, offset: i32 },
}

/// Read-modify-write instructions of FEAT_LSE by their opcode bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lse {
    Add = 0,
    /// Clears the bits that are set in the operand.
    Clr = 1,
    Eor = 2,
    Set = 3,
    Swp = 8,
}

fn r(reg: u8, at: u32) -> u32 {
    u32::from(reg) << at
}

fn signed(value: i32, bits: u32) -> u32 {
    value as u32 & ((1 << bits) - 1)
}

/// Whether one instruction can access `piece` at a constant `offset`.
pub(crate) fn offset_fits(piece: Piece, offset: i64) -> bool {
    let log2 = u32::from(piece.log2());
    (-256..256).contains(&offset) || (offset >= 0 && offset & ((1 << log2) - 1) == 0 && offset >> log2 < 4096)
}

impl Asm {
    /// `ldr`/`str` and kin.
    pub(crate) fn access(&mut self, load: bool, piece: Piece, reg: u8, place: Place) {
        let word = piece.bits(load) | r(reg, 0);
        let log2 = piece.log2();
        self.word(match place {
            Place::Offset { base, offset } => {
                if offset >= 0 && offset & ((1 << log2) - 1) == 0 && offset >> log2 < 4096 {
                    0x3900_0000 | word | ((offset >> log2) as u32) << 10 | r(base, 5)
                } else {
                    debug_assert!(offset_fits(piece, offset.into()));
                    0x3800_0000 | word | signed(offset, 9) << 12 | r(base, 5)
                }
            }
            Place::Index { base, index, extend, shifted } => {
                0x3820_0800 | word | r(index, 16) | (extend as u32) << 13 | u32::from(shifted) << 12 | r(base, 5)
            }
            Place::Before { base, offset } => 0x3800_0c00 | word | signed(offset, 9) << 12 | r(base, 5),
            Place::After { base, offset } => 0x3800_0400 | word | signed(offset, 9) << 12 | r(base, 5),
        });
    }

    /// `ldr piece, [base, #offset]`.
    pub(crate) fn load(&mut self, piece: Piece, reg: u8, base: u8, offset: i32) {
        self.access(true, piece, reg, Place::Offset { base, offset });
    }

    /// `str piece, [base, #offset]`.
    pub(crate) fn store(&mut self, piece: Piece, reg: u8, base: u8, offset: i32) {
        self.access(false, piece, reg, Place::Offset { base, offset });
    }

    /// `ldp`/`stp a, b` of W, X, S, D or Q: `mode` 1 is `[base], #offset`, 2 `[base, #offset]`, 3 `[base, #offset]!`.
    fn pair(&mut self, mode: u32, load: bool, piece: Piece, (a, b): (u8, u8), base: u8, offset: i32) {
        let log2 = piece.log2();
        let file = match piece {
            Piece::Vec(n) => u32::from(n - 2) << 30 | 1 << 26,
            _ => u32::from(log2 == 3) << 31,
        };
        debug_assert!(offset & ((1 << log2) - 1) == 0 && (-64..64).contains(&(offset >> log2)));
        let offset = signed(offset >> log2, 7) << 15;
        self.word(0x2800_0000 | file | mode << 23 | u32::from(load) << 22 | offset | r(b, 10) | r(base, 5) | r(a, 0));
    }

    /// `ldp a, b, [base, #offset]`.
    pub(crate) fn load_pair(&mut self, piece: Piece, a: u8, b: u8, base: u8, offset: i32) {
        self.pair(2, true, piece, (a, b), base, offset);
    }

    /// `stp a, b, [base, #offset]`.
    pub(crate) fn store_pair(&mut self, piece: Piece, a: u8, b: u8, base: u8, offset: i32) {
        self.pair(2, false, piece, (a, b), base, offset);
    }

    /// `stp a, b, [base], #offset`.
    pub(crate) fn store_pair_after(&mut self, piece: Piece, a: u8, b: u8, base: u8, offset: i32) {
        self.pair(1, false, piece, (a, b), base, offset);
    }

    /// `ldp a, b, [base], #offset`.
    pub(crate) fn pop_pair(&mut self, piece: Piece, a: u8, b: u8, base: u8, offset: i32) {
        self.pair(1, true, piece, (a, b), base, offset);
    }

    /// `stp a, b, [base, #-offset]!`.
    pub(crate) fn push_pair(&mut self, piece: Piece, a: u8, b: u8, base: u8, offset: i32) {
        self.pair(3, false, piece, (a, b), base, -offset);
    }

    /// `ldar`/`stlr` of an integer.
    pub(crate) fn ordered(&mut self, load: bool, log2_bytes: u8, reg: u8, base: u8) {
        self.word(0x089f_fc00 | u32::from(log2_bytes) << 30 | u32::from(load) << 22 | r(base, 5) | r(reg, 0));
    }

    /// `ldapr`: FEAT_LRCPC.
    pub(crate) fn load_acquire_pc(&mut self, log2_bytes: u8, reg: u8, base: u8) {
        self.word(0x38bf_c000 | u32::from(log2_bytes) << 30 | r(base, 5) | r(reg, 0));
    }

    /// `ldapur`/`stlur` with an offset from -256 to 255: FEAT_LRCPC2.
    pub(crate) fn ordered_offset(&mut self, load: bool, log2_bytes: u8, reg: u8, base: u8, offset: i32) {
        let op = 0x1900_0000 | u32::from(log2_bytes) << 30 | u32::from(load) << 22;
        self.word(op | signed(offset, 9) << 12 | r(base, 5) | r(reg, 0));
    }

    /// `ldaxr reg, [base]`.
    pub(crate) fn load_exclusive(&mut self, log2_bytes: u8, reg: u8, base: u8) {
        self.word(0x085f_fc00 | u32::from(log2_bytes) << 30 | r(base, 5) | r(reg, 0));
    }

    /// `stlxr status, reg, [base]`: the status is zero where it stored.
    pub(crate) fn store_exclusive(&mut self, log2_bytes: u8, status: u8, reg: u8, base: u8) {
        self.word(0x0800_fc00 | u32::from(log2_bytes) << 30 | r(status, 16) | r(base, 5) | r(reg, 0));
    }

    /// `ldaddal` and kin: FEAT_LSE.
    pub(crate) fn lse(&mut self, op: Lse, log2_bytes: u8, operand: u8, old: u8, base: u8) {
        let word = 0x38e0_0000 | u32::from(log2_bytes) << 30 | (op as u32) << 12;
        self.word(word | r(operand, 16) | r(base, 5) | r(old, 0));
    }

    /// `casal expected, new, [base]`; the old value replaces `expected`. FEAT_LSE.
    pub(crate) fn cas(&mut self, log2_bytes: u8, expected: u8, new: u8, base: u8) {
        self.word(0x08e0_fc00 | u32::from(log2_bytes) << 30 | r(expected, 16) | r(base, 5) | r(new, 0));
    }

    /// `caspal expected, new, [base]` of register pairs that start at even numbers. FEAT_LSE.
    pub(crate) fn cas_pair(&mut self, size: Size, expected: u8, new: u8, base: u8) {
        self.word(0x0860_fc00 | (size as u32) << 30 | r(expected, 16) | r(base, 5) | r(new, 0));
    }

    /// `dmb ish`.
    pub(crate) fn dmb_all(&mut self) {
        self.word(0xd503_3bbf);
    }

    /// `dmb ishld`: loads before it with all accesses after it.
    pub(crate) fn dmb_loads(&mut self) {
        self.word(0xd503_39bf);
    }

    /// `dmb ishst`: stores before it with stores after it.
    pub(crate) fn dmb_stores(&mut self) {
        self.word(0xd503_3abf);
    }

    /// `add d, n, m, shift #by` as address arithmetic, 64 bits.
    pub(crate) fn add_scaled(&mut self, d: u8, n: u8, m: u8, by: u8) {
        self.add_shifted(crate::integer::Sum::Add, Size::X, d, n, m, Shift::Lsl, by);
    }
}
