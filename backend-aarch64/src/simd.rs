//! Float and vector instructions of the host, by name. Source: Arm ARM, C7.
#![allow(dead_code, reason = "an instruction is listed with its family")]

use crate::asm::{Asm, Cc, Size};
use crate::float::Float;

fn r(reg: u8, at: u32) -> u32 {
    u32::from(reg) << at
}

impl Asm {
    /// `mov d.16b, n.16b`.
    pub(crate) fn vec_mov(&mut self, d: u8, n: u8) {
        if d != n {
            self.word(0x4ea0_1c00 | r(n, 16) | r(n, 5) | r(d, 0));
        }
    }

    /// `mov d.t[i], n.t[j]`: lanes of 2^`log2` bytes.
    pub(crate) fn vec_insert(&mut self, log2: u8, d: u8, i: u8, n: u8, j: u8) {
        let to = u32::from(i) << (log2 + 1) | 1 << log2;
        let from = u32::from(j) << log2;
        self.word(0x6e00_0400 | to << 16 | from << 11 | r(n, 5) | r(d, 0));
    }

    /// `fmov sd, sn` (`log2` 2) or `fmov dd, dn` (3): the rest of `d` is cleared.
    pub(crate) fn fp_mov(&mut self, log2: u8, d: u8, n: u8) {
        let ty = u32::from(log2 == 3) << 22;
        self.word(0x1e20_4000 | ty | r(n, 5) | r(d, 0));
    }

    /// `fmov wd, sn` or `fmov xd, dn`.
    pub(crate) fn fp_to_gpr(&mut self, log2: u8, d: u8, n: u8) {
        let op = if log2 == 3 { 0x9e66_0000 } else { 0x1e26_0000 };
        self.word(op | r(n, 5) | r(d, 0));
    }

    /// `fmov sd, wn` or `fmov dd, xn`: the rest of `d` is cleared.
    pub(crate) fn gpr_to_fp(&mut self, log2: u8, d: u8, n: u8) {
        let op = if log2 == 3 { 0x9e67_0000 } else { 0x1e27_0000 };
        self.word(op | r(n, 5) | r(d, 0));
    }
}

/// Lane-by-lane instructions of two vectors: the U bit and the opcode. The size is apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Same(pub(crate) u32, pub(crate) u32);

impl Same {
    pub(crate) const ADD: Same = Same(0, 0x10);
    pub(crate) const SUB: Same = Same(1, 0x10);
    pub(crate) const SQADD: Same = Same(0, 1);
    pub(crate) const UQADD: Same = Same(1, 1);
    pub(crate) const SQSUB: Same = Same(0, 5);
    pub(crate) const UQSUB: Same = Same(1, 5);
    pub(crate) const MUL: Same = Same(0, 0x13);
    pub(crate) const SMAX: Same = Same(0, 0xc);
    pub(crate) const SMIN: Same = Same(0, 0xd);
    pub(crate) const UMAX: Same = Same(1, 0xc);
    pub(crate) const UMIN: Same = Same(1, 0xd);
    pub(crate) const CMEQ: Same = Same(1, 0x11);
    pub(crate) const CMGT: Same = Same(0, 6);
    pub(crate) const URHADD: Same = Same(1, 2);
    pub(crate) const ADDP: Same = Same(0, 0x17);
    pub(crate) const UABD: Same = Same(1, 0xe);
    /// Size 0: and; 1: bic; 2: orr; 3: orn.
    pub(crate) const LOGIC: Same = Same(0, 3);
    /// Size 0: eor; 1: bsl; 2: bit; 3: bif.
    pub(crate) const EOR: Same = Same(1, 3);
    /// Each lane of `n` shifted by the low byte of `m`'s, to the left, or where that is negative to the right.
    pub(crate) const SSHL: Same = Same(0, 8);
    pub(crate) const USHL: Same = Same(1, 8);
    pub(crate) const CMHI: Same = Same(1, 6);
    pub(crate) const CMTST: Same = Same(0, 0x11);
    /// Floats: size 0 or 1 for singles or doubles.
    pub(crate) const FADD: Same = Same(0, 0x1a);
    pub(crate) const FMUL: Same = Same(1, 0x1b);
    pub(crate) const FDIV: Same = Same(1, 0x1f);
    pub(crate) const FMLA: Same = Same(0, 0x19);
    pub(crate) const FMAX: Same = Same(0, 0x1e);
    pub(crate) const FCMEQ: Same = Same(0, 0x1c);
    pub(crate) const FCMGE: Same = Same(1, 0x1c);
    /// Floats: size 2 or 3 for singles or doubles. The first two have the opcodes of `FADD` and `FMLA`.
    pub(crate) const FSUB: Same = Same(0, 0x1a);
    pub(crate) const FMLS: Same = Same(0, 0x19);
    pub(crate) const FMIN: Same = Same(0, 0x1e);
    pub(crate) const FCMGT: Same = Same(1, 0x1c);
}

/// Lane-by-lane instructions of one vector: the U bit and the opcode. The size is apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct One(pub(crate) u32, pub(crate) u32);

impl One {
    pub(crate) const ABS: One = One(0, 0xb);
    pub(crate) const NEG: One = One(1, 0xb);
    /// Size 0.
    pub(crate) const NOT: One = One(1, 5);
    /// The lanes of each 64 bits, or of each 32, in reverse.
    pub(crate) const REV64: One = One(0, 0);
    pub(crate) const REV32: One = One(1, 0);
    /// Lanes below zero.
    pub(crate) const CMLT: One = One(0, 0xa);
    pub(crate) const SADDLP: One = One(0, 2);
    /// Floats: size 0 or 1 for singles or doubles.
    pub(crate) const FRINTN: One = One(0, 0x18);
    pub(crate) const FRINTM: One = One(0, 0x19);
    pub(crate) const FRINTX: One = One(1, 0x19);
    pub(crate) const SCVTF: One = One(0, 0x1d);
    /// Floats: size 2 or 3 for singles or doubles.
    pub(crate) const FRINTP: One = One(0, 0x18);
    pub(crate) const FRINTZ: One = One(0, 0x19);
    pub(crate) const FRINTI: One = One(1, 0x19);
    pub(crate) const FCVTZS: One = One(0, 0x1b);
    pub(crate) const FSQRT: One = One(1, 0x1f);
    pub(crate) const FNEG: One = One(1, 0xf);
    /// The two low singles to doubles (size 1); two doubles to singles in the low half, zeros above (size 1).
    pub(crate) const FCVTL: One = One(0, 0x17);
    pub(crate) const FCVTN: One = One(0, 0x16);
}

/// Instructions of the cryptographic extensions by their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crypto {
    Aese = 0x4e28_4800,
    Aesd = 0x4e28_5800,
    Aesmc = 0x4e28_6800,
    Aesimc = 0x4e28_7800,
    Sha256su0 = 0x5e28_2800,
}

/// Permutations of two vectors by their opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permute {
    Uzp1 = 1,
    Trn1 = 2,
    Zip1 = 3,
    Uzp2 = 5,
    Trn2 = 6,
    Zip2 = 7,
}

impl Asm {
    /// An instruction of three vectors of the same lanes, of 2^`log2` bytes; on 128 bits where `q`.
    pub(crate) fn same(&mut self, op: Same, q: bool, log2: u8, d: u8, n: u8, m: u8) {
        let word = 0x0e20_0400 | u32::from(q) << 30 | op.0 << 29 | u32::from(log2) << 22 | op.1 << 11;
        self.word(word | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// An instruction of one vector; `size` is the logarithm of the lanes' bytes, or as the instruction has it.
    pub(crate) fn one(&mut self, op: One, q: bool, size: u8, d: u8, n: u8) {
        let word = 0x0e20_0800 | u32::from(q) << 30 | op.0 << 29 | u32::from(size) << 22 | op.1 << 12;
        self.word(word | r(n, 5) | r(d, 0));
    }

    /// As [`Asm::same`] on one lane of 4 (`log2` 2) or 8 bytes: floats, whose `size` is as there.
    pub(crate) fn same_scalar(&mut self, op: Same, size: u8, d: u8, n: u8, m: u8) {
        let word = 0x5e20_0400 | op.0 << 29 | u32::from(size) << 22 | op.1 << 11;
        self.word(word | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `sxtl` (`uxtl`) of the low lanes of 2^`log2` bytes, or of the high ones.
    pub(crate) fn extend_lanes(&mut self, signed: bool, high: bool, log2: u8, d: u8, n: u8) {
        let word = 0x0f00_a400 | u32::from(high) << 30 | u32::from(!signed) << 29 | 8 << log2 << 16;
        self.word(word | r(n, 5) | r(d, 0));
    }

    /// `rshrn d, n, #by` to lanes of 16 bits, to the low half or, keeping that, the high one: the low bits of the shifted and rounded words.
    pub(crate) fn round_words(&mut self, high: bool, d: u8, n: u8, by: u32) {
        self.word(0x0f00_8c00 | u32::from(high) << 30 | (32 - by) << 16 | r(n, 5) | r(d, 0));
    }

    /// `shrn d.8b, n.8h, #4`: of a mask of bytes half of each.
    pub(crate) fn narrow_by_four(&mut self, d: u8, n: u8) {
        self.word(0x0f0c_8400 | r(n, 5) | r(d, 0));
    }

    /// `tbl d, {n}, m`: bytes of `n` by those of `m`, zero for those from 16 on.
    pub(crate) fn table_bytes(&mut self, d: u8, n: u8, m: u8) {
        self.word(0x4e00_0000 | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `movi d.16b, #byte`.
    pub(crate) fn fill_bytes(&mut self, d: u8, byte: u8) {
        self.word(0x4f00_e400 | u32::from(byte >> 5) << 16 | u32::from(byte & 31) << 5 | r(d, 0));
    }

    /// `dup d.t, n`: the low 2^`log2` bytes of a general register in each lane.
    pub(crate) fn broadcast_gpr(&mut self, log2: u8, d: u8, n: u8) {
        self.word(0x4e00_0c00 | 1 << log2 << 16 | r(n, 5) | r(d, 0));
    }

    /// `umaxp d.4s, n.4s, m.4s`.
    pub(crate) fn greatest_pairs(&mut self, d: u8, n: u8, m: u8) {
        self.word(0x6ea0_a400 | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// An instruction of the cryptographic extensions that works on `d` and `n`, by its word.
    pub(crate) fn crypto(&mut self, op: Crypto, d: u8, n: u8) {
        self.word(op as u32 | r(n, 5) | r(d, 0));
    }

    /// `sha256su1 d, n, m`.
    pub(crate) fn sha256su1(&mut self, d: u8, n: u8, m: u8) {
        self.word(0x5e00_6000 | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `pmull d.1q, n.1d, m.1d`, or of the high halves.
    pub(crate) fn carryless(&mut self, high: bool, d: u8, n: u8, m: u8) {
        self.word(0x0ee0_e000 | u32::from(high) << 30 | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `zip1 d, n, m` and kin.
    pub(crate) fn permute(&mut self, op: Permute, log2: u8, d: u8, n: u8, m: u8) {
        self.word(0x4e00_0800 | u32::from(log2) << 22 | (op as u32) << 12 | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `smull`, `umull` of lanes of 2^`log2` bytes: of the low halves, or the high ones where `high`.
    pub(crate) fn multiply_long(&mut self, signed: bool, high: bool, log2: u8, d: u8, n: u8, m: u8) {
        let word = 0x0e20_c000 | u32::from(high) << 30 | u32::from(!signed) << 29 | u32::from(log2) << 22;
        self.word(word | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `sqxtn` (`unsigned`: `sqxtun`) to lanes of 2^`log2` bytes, to the low half or, keeping that, the high one.
    pub(crate) fn narrow(&mut self, unsigned: bool, high: bool, log2: u8, d: u8, n: u8) {
        let op = if unsigned { 0x2e21_2800 } else { 0x0e21_4800 };
        self.word(op | u32::from(high) << 30 | u32::from(log2) << 22 | r(n, 5) | r(d, 0));
    }

    /// `xtn` to lanes of 2^`log2` bytes.
    pub(crate) fn cut_lanes(&mut self, log2: u8, d: u8, n: u8) {
        self.word(0x0e21_2800 | u32::from(log2) << 22 | r(n, 5) | r(d, 0));
    }

    /// `uaddlp` of lanes of 2^`log2` bytes.
    pub(crate) fn add_long_pairs(&mut self, log2: u8, d: u8, n: u8) {
        self.word(0x6e20_2800 | u32::from(log2) << 22 | r(n, 5) | r(d, 0));
    }

    /// `shl d, n, #by` of lanes of `bits`.
    pub(crate) fn shift_left(&mut self, q: bool, bits: u32, d: u8, n: u8, by: u32) {
        self.word(0x0f00_5400 | u32::from(q) << 30 | (bits + by) << 16 | r(n, 5) | r(d, 0));
    }

    /// `sshr` or `ushr d, n, #by` of lanes of `bits`, by at least one.
    pub(crate) fn shift_right(&mut self, signed: bool, q: bool, bits: u32, d: u8, n: u8, by: u32) {
        let word = 0x0f00_0400 | u32::from(!signed) << 29 | u32::from(q) << 30;
        self.word(word | (2 * bits - by) << 16 | r(n, 5) | r(d, 0));
    }

    /// `usra d, n, #by` of lanes of `bits`: adds the shifted lanes.
    pub(crate) fn shift_right_add(&mut self, bits: u32, d: u8, n: u8, by: u32) {
        self.word(0x6f00_1400 | (2 * bits - by) << 16 | r(n, 5) | r(d, 0));
    }

    /// `ext d, n, m, #by`: 16 bytes of `n` and then `m` from byte `by` on.
    pub(crate) fn extract_bytes(&mut self, d: u8, n: u8, m: u8, by: u8) {
        self.word(0x6e00_0000 | r(by, 11) | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `movi d.2d, #0`, or all ones.
    pub(crate) fn vec_fill(&mut self, d: u8, ones: bool) {
        self.word(if ones { 0x6f07_e7e0 } else { 0x6f00_e400 } | r(d, 0));
    }

    /// `dup d, n.t[lane]`.
    pub(crate) fn broadcast_lane(&mut self, log2: u8, d: u8, n: u8, lane: u8) {
        let imm = u32::from(lane) << (log2 + 1) | 1 << log2;
        self.word(0x4e00_0400 | imm << 16 | r(n, 5) | r(d, 0));
    }

    /// `umov d, n.t[lane]`.
    pub(crate) fn lane_to_gpr(&mut self, log2: u8, d: u8, n: u8, lane: u8) {
        let imm = u32::from(lane) << (log2 + 1) | 1 << log2;
        self.word(0x0e00_3c00 | u32::from(log2 == 3) << 30 | imm << 16 | r(n, 5) | r(d, 0));
    }

    /// `ins d.t[lane], n`.
    pub(crate) fn gpr_to_lane(&mut self, log2: u8, d: u8, lane: u8, n: u8) {
        let imm = u32::from(lane) << (log2 + 1) | 1 << log2;
        self.word(0x4e00_1c00 | imm << 16 | r(n, 5) | r(d, 0));
    }

    /// The words of each half exchanged.
    pub(crate) fn swap_words(&mut self, d: u8, n: u8) {
        self.one(One::REV64, true, 2, d, n);
    }
}

impl Asm {
    /// `fadd d, n, m` and kin.
    pub(crate) fn fp_two(&mut self, op: Float, double: bool, d: u8, n: u8, m: u8) {
        self.word(0x1e20_0800 | u32::from(double) << 22 | (op as u32) << 12 | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `fsqrt d, n`.
    pub(crate) fn fp_sqrt(&mut self, double: bool, d: u8, n: u8) {
        self.word(0x1e21_c000 | u32::from(double) << 22 | r(n, 5) | r(d, 0));
    }

    /// `frintx d, n`: to an integral value by the current rounding.
    pub(crate) fn fp_round(&mut self, double: bool, d: u8, n: u8) {
        self.word(0x1e27_4000 | u32::from(double) << 22 | r(n, 5) | r(d, 0));
    }

    /// `frinti` and kin by opcode bits 17:15: 0 `frintn`, 1 `frintp`, 2 `frintm`, 3 `frintz`, 6 `frintx`, 7 `frinti`.
    pub(crate) fn fp_integral(&mut self, op: u32, double: bool, d: u8, n: u8) {
        self.word(0x1e24_4000 | u32::from(double) << 22 | op << 15 | r(n, 5) | r(d, 0));
    }

    /// `fmadd d, n, m, a`: a + n * m; negating the product and the addend.
    pub(crate) fn fp_multiply_add(&mut self, (product, addend): (bool, bool), double: bool, d: u8, [n, m, a]: [u8; 3]) {
        // o1 negates the addend and the product, o0 the product once more.
        let word = 0x1f00_0000 | u32::from(double) << 22 | u32::from(addend) << 21 | u32::from(product != addend) << 15;
        self.word(word | r(m, 16) | r(a, 10) | r(n, 5) | r(d, 0));
    }

    /// `fcvt`: a double (`from_double`) to a single, or back.
    pub(crate) fn fp_convert(&mut self, from_double: bool, d: u8, n: u8) {
        self.word(if from_double { 0x1e62_4000 } else { 0x1e22_c000 } | r(n, 5) | r(d, 0));
    }

    /// `fcmp n, m`, or `fcmpe` where `signalling`.
    pub(crate) fn fp_compare(&mut self, signalling: bool, double: bool, n: u8, m: u8) {
        self.word(0x1e20_2000 | u32::from(double) << 22 | u32::from(signalling) << 4 | r(m, 16) | r(n, 5));
    }

    /// `fcsel d, n, m, cc`.
    pub(crate) fn fp_select(&mut self, double: bool, d: u8, n: u8, m: u8, cc: Cc) {
        self.word(0x1e20_0c00 | u32::from(double) << 22 | (cc as u32) << 12 | r(m, 16) | r(n, 5) | r(d, 0));
    }

    /// `scvtf d, n` from a general register.
    pub(crate) fn int_to_fp(&mut self, size: Size, double: bool, d: u8, n: u8) {
        self.word(0x1e22_0000 | size.bit31() | u32::from(double) << 22 | r(n, 5) | r(d, 0));
    }

    /// `fcvtzs d, n` to a general register.
    pub(crate) fn fp_to_int(&mut self, size: Size, double: bool, d: u8, n: u8) {
        self.word(0x1e38_0000 | size.bit31() | u32::from(double) << 22 | r(n, 5) | r(d, 0));
    }
}
