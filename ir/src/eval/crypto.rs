//! AES, SHA and carry-less products. Sources: FIPS 197, FIPS 180-4, and for the places of the words Intel SDM vol. 2.

use super::Val;
use super::memory::bytes;
use super::vector_permute::{dwords, of_dwords};
use crate::operand::{Type, VecBin, VecImm};

/// Product in AES's field, modulo x^8 + x^4 + x^3 + x + 1.
const fn field_product(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        b >>= 1;
    }
    product
}

/// The substitution of bytes: inverse in the field (zero for zero), then an affine map.
const SUBSTITUTION: [u8; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        // The inverse is the 254th power.
        let (mut inverse, mut power, mut exponent) = (1, n as u8, 254);
        while exponent != 0 {
            if exponent & 1 != 0 {
                inverse = field_product(inverse, power);
            }
            power = field_product(power, power);
            exponent >>= 1;
        }
        let b: u8 = inverse;
        table[n] = b ^ b.rotate_left(1) ^ b.rotate_left(2) ^ b.rotate_left(3) ^ b.rotate_left(4) ^ 0x63;
        n += 1;
    }
    table
};

const INVERSE_SUBSTITUTION: [u8; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        table[SUBSTITUTION[n] as usize] = n as u8;
        n += 1;
    }
    table
};

/// Factors of the two column mixings, for the row itself and those below.
const MIX: [u8; 4] = [2, 3, 1, 1];
const INVERSE_MIX: [u8; 4] = [14, 11, 13, 9];

/// The state's bytes: row `i % 4`, column `i / 4`.
type State = [u8; 16];

fn state(v: Val) -> State {
    let bytes = bytes(v);
    std::array::from_fn(|i| bytes[i])
}

fn of_state(state: State) -> Val {
    Val::v128(u128::from_le_bytes(state))
}

fn mix_columns(s: State, factors: [u8; 4]) -> State {
    std::array::from_fn(|i| {
        let (row, column) = (i % 4, i / 4 * 4);
        (0..4).fold(0, |sum, k| sum ^ field_product(s[column + (row + k) % 4], factors[k]))
    })
}

/// `AESENC` and kin.
pub(super) fn aes_round(op: VecBin, a: Val, key: Val) -> Val {
    let s = state(a);
    // Row r moves r columns: the byte comes from column c + r, or c - r on the way back.
    let shifted = |sign: usize| -> State { std::array::from_fn(|i| s[i % 4 + (i / 4 + sign * (i % 4)) % 4 * 4]) };
    let s = match op {
        VecBin::AesEnc => mix_columns(shifted(1).map(|b| SUBSTITUTION[usize::from(b)]), MIX),
        VecBin::AesEncLast => shifted(1).map(|b| SUBSTITUTION[usize::from(b)]),
        VecBin::AesDec => mix_columns(shifted(3).map(|b| INVERSE_SUBSTITUTION[usize::from(b)]), INVERSE_MIX),
        _ => shifted(3).map(|b| INVERSE_SUBSTITUTION[usize::from(b)]),
    };
    Val::v128(u128::from_le_bytes(s) ^ key.low128())
}

/// `AESIMC`.
pub(super) fn aes_inverse_mix(a: Val) -> Val {
    of_state(mix_columns(state(a), INVERSE_MIX))
}

/// `AESKEYGENASSIST`.
fn aes_key_assist(a: Val, constant: u8) -> Val {
    let substituted = |w: u32| u32::from_le_bytes(w.to_le_bytes().map(|b| SUBSTITUTION[usize::from(b)]));
    let [_, x1, _, x3, ..] = dwords(a).map(substituted);
    let rotated = |w: u32| w.rotate_right(8) ^ u32::from(constant);
    of_dwords(Type::V128, [x1, rotated(x1), x3, rotated(x3), 0, 0, 0, 0])
}

/// `PCLMULQDQ`.
fn carryless_product(a: u64, b: u64) -> Val {
    Val::v128((0..64).filter(|n| b >> n & 1 != 0).fold(0, |sum, n| sum ^ u128::from(a) << n))
}

/// Those of `vec_imm` that belong here.
pub(super) fn by_immediate(op: VecImm, a: Val, b: Val, imm: u8) -> Val {
    match op {
        VecImm::PclmulQdq => carryless_product(a.0[usize::from(imm & 1)], b.0[usize::from(imm >> 4 & 1)]),
        VecImm::AesKeygenAssist => aes_key_assist(b, imm),
        _ => sha1_rounds(a, b, imm),
    }
}

/// The four words, high one first: the order in which SHA counts them (but for SHA-256's messages).
fn from_high(v: Val) -> [u32; 4] {
    let words = dwords(v);
    [words[3], words[2], words[1], words[0]]
}

fn of_high(words: [u32; 4]) -> Val {
    of_dwords(Type::V128, [words[3], words[2], words[1], words[0], 0, 0, 0, 0])
}

fn choose(x: u32, y: u32, z: u32) -> u32 {
    x & y ^ !x & z
}

fn majority(x: u32, y: u32, z: u32) -> u32 {
    x & y ^ x & z ^ y & z
}

/// `SHA1RNDS4`.
fn sha1_rounds(state: Val, message: Val, imm: u8) -> Val {
    let [mut a, mut b, mut c, mut d] = from_high(state);
    let parity = |x: u32, y: u32, z: u32| x ^ y ^ z;
    let (f, k): (fn(u32, u32, u32) -> u32, u32) = match imm & 3 {
        0 => (choose, 0x5a82_7999),
        1 => (parity, 0x6ed9_eba1),
        2 => (majority, 0x8f1b_bcdc),
        _ => (parity, 0xca62_c1d6),
    };
    // The first word comes with E added.
    let mut e = 0u32;
    for w in from_high(message) {
        let next = f(b, c, d).wrapping_add(a.rotate_left(5)).wrapping_add(w).wrapping_add(e).wrapping_add(k);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    of_high([a, b, c, d])
}

/// `SHA256RNDS2`.
pub(super) fn sha256_rounds(cdgh: Val, abef: Val, constants: Val) -> Val {
    let ([mut a, mut b, mut e, mut f], [mut c, mut d, mut g, mut h]) = (from_high(abef), from_high(cdgh));
    for wk in &dwords(constants)[..2] {
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let t1 = h.wrapping_add(s1).wrapping_add(choose(e, f, g)).wrapping_add(*wk);
        let t2 = s0.wrapping_add(majority(a, b, c));
        (a, b, c, d, e, f, g, h) = (t1.wrapping_add(t2), a, b, c, d.wrapping_add(t1), e, f, g);
    }
    of_high([a, b, e, f])
}

/// `SHA1NEXTE`, `SHA1MSG1`, `SHA1MSG2`, `SHA256MSG1`, `SHA256MSG2`.
pub(super) fn sha_message(op: VecBin, a: Val, b: Val) -> Val {
    let (x, y) = (from_high(a), from_high(b));
    match op {
        VecBin::Sha1Nexte => of_high([y[0].wrapping_add(x[0].rotate_left(30)), y[1], y[2], y[3]]),
        VecBin::Sha1Msg1 => of_high([x[2] ^ x[0], x[3] ^ x[1], y[0] ^ x[2], y[1] ^ x[3]]),
        VecBin::Sha1Msg2 => {
            let [w16, w17, w18] = std::array::from_fn(|i| (x[i] ^ y[i + 1]).rotate_left(1));
            of_high([w16, w17, w18, (x[3] ^ w16).rotate_left(1)])
        }
        VecBin::Sha256Msg1 => {
            let s0 = |w: u32| w.rotate_right(7) ^ w.rotate_right(18) ^ w >> 3;
            let next = [y[3], x[0], x[1], x[2]];
            of_high(std::array::from_fn(|i| x[i].wrapping_add(s0(next[i]))))
        }
        _ => {
            let s1 = |w: u32| w.rotate_right(17) ^ w.rotate_right(19) ^ w >> 10;
            let w16 = x[3].wrapping_add(s1(y[1]));
            let w17 = x[2].wrapping_add(s1(y[0]));
            of_high([x[0].wrapping_add(s1(w17)), x[1].wrapping_add(s1(w16)), w17, w16])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, appendix B: the first round of its example, and back.
    #[test]
    fn aes_rounds() {
        let start = Val::v128(0x193d_e3be_a0f4_e22b_9ac6_8d2a_e9f8_4808u128.swap_bytes());
        let key = Val::v128(0xa0fa_fe17_8854_2cb1_23a3_3939_2a6c_7605u128.swap_bytes());
        let after = Val::v128(0xa49c_7ff2_689f_352b_6b5b_ea43_026a_5049u128.swap_bytes());
        assert_eq!(aes_round(VecBin::AesEnc, start, key), after);
        let unmixed = aes_inverse_mix(Val::v128(after.low128() ^ key.low128()));
        assert_eq!(aes_round(VecBin::AesDecLast, unmixed, Val::v128(0)), start);
        let last = aes_round(VecBin::AesEncLast, start, Val::v128(0));
        let mixed = aes_round(VecBin::AesDec, last, Val::v128(0));
        assert_eq!(mixed, aes_inverse_mix(start));
    }

    /// FIPS 197, appendix A.1: the first step of the expansion.
    #[test]
    fn aes_key() {
        let key = Val::v128(0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3cu128.swap_bytes());
        let word = (by_immediate(VecImm::AesKeygenAssist, key, key, 1).low128() >> 96) as u32;
        assert_eq!(word.swap_bytes(), 0x8b84_eb01);
    }

    #[test]
    fn products_without_carries() {
        assert_eq!(by_immediate(VecImm::PclmulQdq, Val([0, 3, 0, 0]), Val([3, 0, 0, 0]), 1), Val::int(5));
        assert_eq!(carryless_product(1 << 63, 1 << 63).low128(), 1 << 126);
    }

    /// FIPS 180-4's hash of "abc", whose block is the only one.
    #[test]
    fn sha256_of_abc() {
        let k: [u32; 4] = [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5];
        let m: [u32; 4] = [0x6162_6380, 0, 0, 0];
        let abef = of_high([0x6a09_e667, 0xbb67_ae85, 0x510e_527f, 0x9b05_688c]);
        let cdgh = of_high([0x3c6e_f372, 0xa54f_f53a, 0x1f83_d9ab, 0x5be0_cd19]);
        let wk = |n: usize| {
            of_dwords(Type::V128, [k[n].wrapping_add(m[n]), k[n + 1].wrapping_add(m[n + 1]), 0, 0, 0, 0, 0, 0])
        };
        let second = sha256_rounds(cdgh, abef, wk(0));
        // The standard's example lists A and E after t = 1.
        assert_eq!(from_high(second), [0x5a6a_d9ad, 0x5d6a_ebcd, 0x78ce_7989, 0xfa2a_4622]);
    }

    /// FIPS 180-4's SHA-1 of "abc": A to D after t = 3.
    #[test]
    fn sha1_of_abc() {
        let state = of_high([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]);
        let message = of_high([0x6162_6380u32.wrapping_add(0xc3d2_e1f0), 0, 0, 0]);
        let four = by_immediate(VecImm::Sha1Rnds4, state, message, 0);
        assert_eq!(from_high(four), [0xcdd8_e11b, 0xa139_0f08, 0x6264_14db, 0xc045_bf0c]);
    }
}
