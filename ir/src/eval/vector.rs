//! Vector integer operations: lane by lane, on the words that the type has. Source: Intel SDM vol. 2, the instructions of the same names.

use super::Val;
use super::flags::when;
use super::int::signed;
use super::memory::{bytes, words};
use super::{crypto, vector_permute, vector_sums};
use crate::guest::FlagSet;
use crate::operand::{MaskOp, Type, VecBin, VecShift, VecTest, Width};

/// Applies `f` to each word of `ty`; words beyond are zero.
#[inline(always)]
pub(super) fn by_words(ty: Type, f: impl Fn(usize) -> u64) -> Val {
    let count = ty.bytes() as usize / 8;
    Val(std::array::from_fn(|i| if i < count { f(i) } else { 0 }))
}

/// Applies `f` to the lanes of width `w` of both operands, zero-extended; keeps the low bits of its result.
#[inline(always)]
pub(super) fn by_lanes(ty: Type, w: Width, a: Val, b: Val, f: impl Fn(u64, u64) -> u64) -> Val {
    by_words(ty, |i| {
        (0..64 / w.bits()).map(|n| n * w.bits()).fold(0, |word, shift| {
            let lane = |v: Val| v.0[i] >> shift & w.mask();
            word | (f(lane(a), lane(b)) & w.mask()) << shift
        })
    })
}

/// As [`by_lanes`] with signed lanes.
#[inline(always)]
pub(super) fn by_signed_lanes(ty: Type, w: Width, a: Val, b: Val, f: impl Fn(i64, i64) -> i64) -> Val {
    by_lanes(ty, w, a, b, |x, y| f(signed(w, x), signed(w, y)) as u64)
}

/// `v` cut to what a signed lane of width `w` holds.
pub(super) fn saturate_signed(w: Width, v: i64) -> i64 {
    let top = (w.mask() >> 1) as i64;
    v.clamp(-top - 1, top)
}

/// `v` cut to what an unsigned lane of width `w` holds.
fn saturate_unsigned(w: Width, v: i64) -> i64 {
    v.clamp(0, w.mask() as i64)
}

/// All ones where `on`.
pub(super) fn mask_of(on: bool) -> u64 {
    if on { u64::MAX } else { 0 }
}

/// The integer ones among `vec_binary`; `None` for those on floats.
pub(super) fn binary(op: VecBin, ty: Type, a: Val, b: Val) -> Option<Val> {
    use VecBin as V;
    use Width::{W8, W16, W32, W64};
    // Not closures: what is done to a lane is inlined.
    macro_rules! lanes {
        ($w:expr, $f:expr) => {
            by_lanes(ty, $w, a, b, $f)
        };
    }
    macro_rules! signed_lanes {
        ($w:expr, $f:expr) => {
            by_signed_lanes(ty, $w, a, b, $f)
        };
    }
    Some(match op {
        V::PaddB => lanes!(W8, u64::wrapping_add),
        V::PaddW => lanes!(W16, u64::wrapping_add),
        V::PaddD => lanes!(W32, u64::wrapping_add),
        V::PaddQ => lanes!(W64, u64::wrapping_add),
        V::PaddsB => signed_lanes!(W8, |x, y| saturate_signed(W8, x + y)),
        V::PaddsW => signed_lanes!(W16, |x, y| saturate_signed(W16, x + y)),
        V::PaddusB => lanes!(W8, |x, y| (x + y).min(W8.mask())),
        V::PaddusW => lanes!(W16, |x, y| (x + y).min(W16.mask())),
        V::PsubB => lanes!(W8, u64::wrapping_sub),
        V::PsubW => lanes!(W16, u64::wrapping_sub),
        V::PsubD => lanes!(W32, u64::wrapping_sub),
        V::PsubQ => lanes!(W64, u64::wrapping_sub),
        V::PsubsB => signed_lanes!(W8, |x, y| saturate_signed(W8, x - y)),
        V::PsubsW => signed_lanes!(W16, |x, y| saturate_signed(W16, x - y)),
        V::PsubusB => lanes!(W8, u64::saturating_sub),
        V::PsubusW => lanes!(W16, u64::saturating_sub),
        V::PmullW => lanes!(W16, u64::wrapping_mul),
        V::PmulhW => signed_lanes!(W16, |x, y| (x * y) >> 16),
        V::PmulhuW => lanes!(W16, |x, y| (x * y) >> 16),
        V::PmuludQ => lanes!(W64, |x, y| (x & 0xffff_ffff) * (y & 0xffff_ffff)),
        V::PmaddWd => lanes!(W32, |x, y| {
            let product = |shift| signed(W16, x >> shift) * signed(W16, y >> shift);
            (product(0) + product(16)) as u64
        }),
        V::PsadBw => {
            lanes!(W64, |x: u64, y: u64| x
                .to_le_bytes()
                .iter()
                .zip(y.to_le_bytes())
                .map(|(x, y)| u64::from(x.abs_diff(y)))
                .sum())
        }
        V::PavgB => lanes!(W8, |x, y| (x + y + 1) >> 1),
        V::PavgW => lanes!(W16, |x, y| (x + y + 1) >> 1),
        V::PminuB => lanes!(W8, u64::min),
        V::PminsW => signed_lanes!(W16, i64::min),
        V::PmaxuB => lanes!(W8, u64::max),
        V::PmaxsW => signed_lanes!(W16, i64::max),
        V::PcmpeqB => lanes!(W8, |x, y| mask_of(x == y)),
        V::PcmpeqW => lanes!(W16, |x, y| mask_of(x == y)),
        V::PcmpeqD => lanes!(W32, |x, y| mask_of(x == y)),
        V::PcmpgtB => signed_lanes!(W8, |x, y| mask_of(x > y) as i64),
        V::PcmpgtW => signed_lanes!(W16, |x, y| mask_of(x > y) as i64),
        V::PcmpgtD => signed_lanes!(W32, |x, y| mask_of(x > y) as i64),
        V::Pand => lanes!(W64, |x: u64, y: u64| x & y),
        V::Pandn => lanes!(W64, |x: u64, y: u64| !x & y),
        V::Por => lanes!(W64, |x: u64, y: u64| x | y),
        V::Pxor => lanes!(W64, |x: u64, y: u64| x ^ y),
        V::PacksswB => pack(ty, W8, saturate_signed, a, b),
        V::PackssdW => pack(ty, W16, saturate_signed, a, b),
        V::PackuswB => pack(ty, W8, saturate_unsigned, a, b),
        V::PunpcklBw => unpack(ty, W8, Half::Low, a, b),
        V::PunpcklWd => unpack(ty, W16, Half::Low, a, b),
        V::PunpcklDq => unpack(ty, W32, Half::Low, a, b),
        V::PunpcklQdq => unpack(ty, W64, Half::Low, a, b),
        V::PunpckhBw => unpack(ty, W8, Half::High, a, b),
        V::PunpckhWd => unpack(ty, W16, Half::High, a, b),
        V::PunpckhDq => unpack(ty, W32, Half::High, a, b),
        V::PunpckhQdq => unpack(ty, W64, Half::High, a, b),
        V::MovHlps => by_words(ty, |i| if i % 2 == 0 { b.0[i + 1] } else { a.0[i] }),
        V::MovLhps => by_words(ty, |i| if i % 2 == 0 { a.0[i] } else { b.0[i - 1] }),
        V::PcmpeqQ => lanes!(W64, |x, y| mask_of(x == y)),
        V::PcmpgtQ => signed_lanes!(W64, |x, y| mask_of(x > y) as i64),
        V::PminsB => signed_lanes!(W8, i64::min),
        V::PminuW => lanes!(W16, u64::min),
        V::PminsD => signed_lanes!(W32, i64::min),
        V::PminuD => lanes!(W32, u64::min),
        V::PmaxsB => signed_lanes!(W8, i64::max),
        V::PmaxuW => lanes!(W16, u64::max),
        V::PmaxsD => signed_lanes!(W32, i64::max),
        V::PmaxuD => lanes!(W32, u64::max),
        V::PmullD => lanes!(W32, u64::wrapping_mul),
        V::PmuldQ => lanes!(W64, |x, y| (signed(W32, x) * signed(W32, y)) as u64),
        V::PmulhrSw => signed_lanes!(W16, |x, y| (((x * y) >> 14) + 1) >> 1),
        V::PsignB => sign(ty, W8, a, b),
        V::PsignW => sign(ty, W16, a, b),
        V::PsignD => sign(ty, W32, a, b),
        V::PsllvD => lanes!(W32, |x, n| if n < 32 { x << n } else { 0 }),
        V::PsllvQ => lanes!(W64, |x, n| if n < 64 { x << n } else { 0 }),
        V::PsrlvD => lanes!(W32, |x, n| if n < 32 { x >> n } else { 0 }),
        V::PsrlvQ => lanes!(W64, |x, n| if n < 64 { x >> n } else { 0 }),
        V::PsravD => lanes!(W32, |x, n| (signed(W32, x) >> n.min(31)) as u64),
        V::PackusDw => pack(ty, W16, saturate_unsigned, a, b),
        V::PmaddubSw => vector_sums::multiply_bytes(ty, a, b),
        V::PhaddW | V::PhaddD | V::PhaddsW | V::PhsubW | V::PhsubD | V::PhsubsW => {
            vector_sums::horizontal(op, ty, a, b)
        }
        V::PshufB | V::PermD | V::PermilPs | V::PermilPd => vector_permute::by_vector(op, ty, a, b),
        V::AesEnc | V::AesEncLast | V::AesDec | V::AesDecLast => crypto::aes_round(op, a, b),
        V::Sha1Nexte | V::Sha1Msg1 | V::Sha1Msg2 | V::Sha256Msg1 | V::Sha256Msg2 => crypto::sha_message(op, a, b),
        V::AddPs | V::AddPd | V::SubPs | V::SubPd | V::MulPs | V::MulPd | V::AddsubPs | V::AddsubPd => return None,
        V::DivPs | V::DivPd | V::MinPs | V::MinPd | V::MaxPs | V::MaxPd => return None,
    })
}

/// Lanes of `a` times the sign (-1, 0, 1) of those of `b`.
fn sign(ty: Type, w: Width, a: Val, b: Val) -> Val {
    by_signed_lanes(ty, w, a, b, |x, y| x.wrapping_mul(y.signum()))
}

/// Bytes of the blocks in which packing, unpacking and byte shifts work: a register of 64 or 128 bits.
pub(super) fn block(ty: Type) -> usize {
    (ty.bytes() as usize).min(16)
}

/// The lane of width `w` at byte `at`.
#[inline(always)]
pub(super) fn lane(v: &[u8; 32], w: Width, at: usize) -> u64 {
    v[at..at + w.bytes() as usize].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Writes the lane of width `w` at byte `at`.
#[inline(always)]
pub(super) fn put(v: &mut [u8; 32], w: Width, at: usize, lane: u64) {
    let size = w.bytes() as usize;
    v[at..at + size].copy_from_slice(&lane.to_le_bytes()[..size]);
}

/// Narrows lanes to `to`: those of `a`, then those of `b`.
fn pack(ty: Type, to: Width, saturate: fn(Width, i64) -> i64, a: Val, b: Val) -> Val {
    let (size, half) = (to.bytes() as usize, block(ty) / 2);
    let from = if to == Width::W8 { Width::W16 } else { Width::W32 };
    let mut out = [0; 32];
    for start in (0..ty.bytes() as usize).step_by(2 * half) {
        for (place, source) in [(start, bytes(a)), (start + half, bytes(b))] {
            for i in (0..half).step_by(size) {
                let wide = signed(from, lane(&source, from, start + 2 * i));
                put(&mut out, to, place + i, saturate(to, wide) as u64);
            }
        }
    }
    Val(words(&out))
}

#[derive(Clone, Copy)]
enum Half {
    Low,
    High,
}

/// Lanes of one half of `a` and `b` in turn.
#[inline(always)]
fn unpack(ty: Type, w: Width, which: Half, a: Val, b: Val) -> Val {
    let (size, half) = (w.bytes() as usize, block(ty) / 2);
    let (a, b) = (bytes(a), bytes(b));
    let mut out = [0; 32];
    for start in (0..ty.bytes() as usize).step_by(2 * half) {
        let from = match which {
            Half::Low => start,
            Half::High => start + half,
        };
        for i in (0..half).step_by(size) {
            put(&mut out, w, start + 2 * i, lane(&a, w, from + i));
            put(&mut out, w, start + 2 * i + size, lane(&b, w, from + i));
        }
    }
    Val(words(&out))
}

/// `vec_shift` and `vec_shift_imm` by `n`.
pub(super) fn shift(op: VecShift, ty: Type, a: Val, n: u64) -> Val {
    use VecShift as S;
    use Width::{W16, W32, W64};
    let small = |w: Width| n < u64::from(w.bits());
    let left = |w| by_lanes(ty, w, a, a, |x, _| if small(w) { x << n } else { 0 });
    let right = |w| by_lanes(ty, w, a, a, |x, _| if small(w) { x >> n } else { 0 });
    let arithmetic = |w: Width| by_signed_lanes(ty, w, a, a, |x, _| x >> n.min(u64::from(w.bits() - 1)));
    match op {
        S::PsllW => left(W16),
        S::PsllD => left(W32),
        S::PsllQ => left(W64),
        S::PsrlW => right(W16),
        S::PsrlD => right(W32),
        S::PsrlQ => right(W64),
        S::PsraW => arithmetic(W16),
        S::PsraD => arithmetic(W32),
        S::PsllDq | S::PsrlDq => shift_bytes(op, ty, a, n.min(16) as usize),
    }
}

fn shift_bytes(op: VecShift, ty: Type, a: Val, n: usize) -> Val {
    let (from, block) = (bytes(a), block(ty));
    let mut out = [0; 32];
    for i in 0..ty.bytes() as usize {
        let inside = i % block;
        if op == VecShift::PsllDq && inside >= n {
            out[i] = from[i - n];
        } else if op == VecShift::PsrlDq && inside + n < block {
            out[i] = from[i + n];
        }
    }
    Val(words(&out))
}

/// `vec_mask`.
pub(super) fn mask(op: MaskOp, ty: Type, a: Val) -> u64 {
    // Each top bit times one of the factor's, which puts it behind those of the lanes below.
    let of_word = |word: u64| match op {
        MaskOp::Pmovmskb => (word >> 7 & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56,
        MaskOp::MovmskPs => word >> 31 & 1 | word >> 62 & 2,
        MaskOp::MovmskPd => word >> 63,
    };
    let lanes = match op {
        MaskOp::Pmovmskb => 8,
        MaskOp::MovmskPs => 2,
        MaskOp::MovmskPd => 1,
    };
    (0..ty.bytes() as usize / 8).fold(0, |mask, i| mask | of_word(a.0[i]) << (i * lanes))
}

/// `vec_test_flags`.
pub(super) fn test_flags(op: VecTest, ty: Type, a: Val, b: Val) -> FlagSet {
    let looked_at = match op {
        VecTest::Ptest => u64::MAX,
        VecTest::VtestPs => 0x8000_0000_8000_0000,
        VecTest::VtestPd => 1 << 63,
    };
    let none = |f: fn(u64, u64) -> u64| by_words(ty, |i| f(a.0[i], b.0[i]) & looked_at) == Val::default();
    when(none(|x, y| x & y), FlagSet::ZF) | when(none(|x, y| !x & y), FlagSet::CF)
}

/// `vec_extract`; a lane number beyond the last wraps.
pub(super) fn extract(w: Width, ty: Type, a: Val, number: u8) -> u64 {
    lane(&bytes(a), w, lane_offset(w, ty, number))
}

/// `vec_insert`; a lane number beyond the last wraps.
pub(super) fn insert(w: Width, ty: Type, a: Val, number: u8, v: u64) -> Val {
    let mut out = bytes(by_words(ty, |i| a.0[i]));
    put(&mut out, w, lane_offset(w, ty, number), v);
    Val(words(&out))
}

fn lane_offset(w: Width, ty: Type, number: u8) -> usize {
    usize::from(number) * w.bytes() as usize % ty.bytes().max(8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const M64: Type = Type::V64;
    const X: Type = Type::V128;

    fn v64(op: VecBin, a: u64, b: u64) -> u64 {
        binary(op, M64, Val::int(a), Val::int(b)).unwrap().low()
    }

    fn v128(op: VecBin, a: u128, b: u128) -> u128 {
        binary(op, X, Val::v128(a), Val::v128(b)).unwrap().low128()
    }

    #[test]
    fn sums_and_saturation() {
        assert_eq!(v64(VecBin::PaddB, 0xff01_7f80_0000_00ff, 0x0101_0180_0000_0002), 0x0002_8000_0000_0001);
        assert_eq!(v64(VecBin::PaddsB, 0x7f80, 0x0180), 0x7f80);
        assert_eq!(v64(VecBin::PaddusW, 0xffff_0001, 0x0001_0001), 0xffff_0002);
        assert_eq!(v64(VecBin::PsubsW, 0x8000_7fff, 0x0001_ffff), 0x8000_7fff);
        assert_eq!(v64(VecBin::PsubusB, 0x0105, 0x0203), 0x0002);
        assert_eq!(v128(VecBin::PaddQ, 1 << 127 | u128::from(u64::MAX), 1 << 127 | 1), 0);
    }

    #[test]
    fn products() {
        assert_eq!(v64(VecBin::PmulhW, 0x8000_ffff, 0x8000_0001), 0x4000_ffff);
        assert_eq!(v64(VecBin::PmulhuW, 0x8000_ffff, 0x8000_ffff), 0x4000_fffe);
        assert_eq!(v64(VecBin::PmullW, 0x0003_ffff, 0x0005_ffff), 0x000f_0001);
        // The one overflow: 2 * (-32768)^2.
        assert_eq!(v64(VecBin::PmaddWd, 0x8000_8000, 0x8000_8000), 0x8000_0000);
        assert_eq!(v64(VecBin::PmuludQ, 0x5_ffff_ffff, 0x7_ffff_ffff), 0xffff_fffe_0000_0001);
        assert_eq!(v64(VecBin::PsadBw, 0x0100_0000_0000_00ff, 0x0300_0000_0000_0001), 0x100);
        assert_eq!(v64(VecBin::PavgB, 0xff_01, 0xff_02), 0xff_02);
    }

    #[test]
    fn comparisons_and_choices() {
        assert_eq!(v64(VecBin::PcmpgtB, 0x7f_80, 0x80_7f), 0xff_00);
        assert_eq!(v64(VecBin::PcmpeqD, 5, 5), u64::MAX);
        assert_eq!(v64(VecBin::PminsW, 0x8000_0001, 0x0001_8000), 0x8000_8000);
        assert_eq!(v64(VecBin::PmaxuB, 0x80_01, 0x7f_02), 0x80_02);
        assert_eq!(v64(VecBin::Pandn, 0xf0, 0xff), 0x0f);
    }

    #[test]
    fn packing_and_unpacking() {
        assert_eq!(v64(VecBin::PacksswB, 0x0100_ff00_0001_ffff, 0x7fff_8000_007f_ff80), 0x7f80_7f80_7f80_01ff);
        assert_eq!(v64(VecBin::PackuswB, 0x0100_ff00_00ff_ffff, 0), 0xff00_ff00);
        assert_eq!(v64(VecBin::PackssdW, 0x0000_8000_ffff_0000, 5), 0x0000_0005_7fff_8000);
        assert_eq!(v64(VecBin::PunpcklBw, 0x44_33_22_11, 0x88_77_66_55), 0x8844_7733_6622_5511);
        assert_eq!(v64(VecBin::PunpckhDq, 0x2222_2222_1111_1111, 0x4444_4444_3333_3333), 0x4444_4444_2222_2222);
        let (a, b) = (2 << 64 | 1, 4 << 64 | 3);
        assert_eq!(v128(VecBin::PunpcklQdq, a, b), 3 << 64 | 1);
        assert_eq!(v128(VecBin::PunpckhQdq, a, b), 4 << 64 | 2);
        assert_eq!(v128(VecBin::MovHlps, a, b), 2 << 64 | 4);
        assert_eq!(v128(VecBin::MovLhps, a, b), 3 << 64 | 1);
        let [low, high] = [0x0004_0003_0002_0001u128, 0x0008_0007_0006_0005];
        assert_eq!(v128(VecBin::PackuswB, high << 64 | low, low << 64), 0x0403_0201_0000_0000_0807_0605_0403_0201);
    }

    #[test]
    fn shifts() {
        let shifted = |op, a, n| shift(op, X, Val::v128(a), n).low128();
        assert_eq!(shifted(VecShift::PsllW, 0x8001_8001, 1), 0x0002_0002);
        assert_eq!(shifted(VecShift::PsrlD, 1 << 31, 32), 0);
        assert_eq!(shifted(VecShift::PsraW, 0x8000_4000, u64::MAX), 0xffff_0000);
        assert_eq!(shifted(VecShift::PsrlQ, 1 << 127, 63), 1 << 64);
        assert_eq!(shifted(VecShift::PsllDq, 0xff, 15), 0xff << 120);
        assert_eq!(shifted(VecShift::PsrlDq, 0xff << 120, 1), 0xff << 112);
        assert_eq!(shifted(VecShift::PsrlDq, u128::MAX, 16), 0);
    }

    #[test]
    fn masks_and_lanes() {
        assert_eq!(mask(MaskOp::Pmovmskb, M64, Val::int(0x80_00_00_80_00_00_00_80)), 0b1001_0001);
        assert_eq!(mask(MaskOp::MovmskPs, X, Val::v128(1 << 127 | 1 << 31)), 0b1001);
        assert_eq!(mask(MaskOp::MovmskPd, X, Val::v128(1 << 127)), 0b10);
        assert_eq!(extract(Width::W16, X, Val::v128(0xabcd << 112), 7), 0xabcd);
        assert_eq!(insert(Width::W16, M64, Val::int(u64::MAX), 1, 0x5_1234), Val::int(0xffff_ffff_1234_ffff));
    }
}
