//! Vector integer operations that add up neighbouring lanes, and those that widen lanes. Source: Intel SDM vol. 2, the instructions of the same names.

use super::Val;
use super::int::signed;
use super::memory::{bytes, words};
use super::vector::{block, by_lanes, by_signed_lanes, lane, put, saturate_signed};
use crate::operand::{Type, VecBin, VecUn, Width};

/// `PHADD*`, `PHSUB*`: of each pair of lanes, first those of `a`, then those of `b`, within each block.
pub(super) fn horizontal(op: VecBin, ty: Type, a: Val, b: Val) -> Val {
    use VecBin as V;
    let w = if matches!(op, V::PhaddD | V::PhsubD) { Width::W32 } else { Width::W16 };
    let (size, half) = (w.bytes() as usize, block(ty) / 2);
    let (a, b) = (bytes(a), bytes(b));
    let mut out = [0; 32];
    for start in (0..ty.bytes() as usize).step_by(2 * half) {
        for (place, source) in [(start, a), (start + half, b)] {
            for i in (0..half).step_by(size) {
                let x = signed(w, lane(&source, w, start + 2 * i));
                let y = signed(w, lane(&source, w, start + 2 * i + size));
                let sum = match op {
                    V::PhaddW | V::PhaddD => x + y,
                    V::PhaddsW => saturate_signed(w, x + y),
                    V::PhsubW | V::PhsubD => x - y,
                    _ => saturate_signed(w, x - y),
                };
                put(&mut out, w, place + i, sum as u64);
            }
        }
    }
    Val(words(&out))
}

/// `PMADDUBSW`.
pub(super) fn multiply_bytes(ty: Type, a: Val, b: Val) -> Val {
    by_lanes(ty, Width::W16, a, b, |x, y| {
        let product = |shift: u32| (x >> shift & 0xff) as i64 * signed(Width::W8, y >> shift);
        saturate_signed(Width::W16, product(0) + product(8)) as u64
    })
}

/// `MPSADBW`: sums of differences between four bytes of `b` and eight runs of four in `a`; a V256 has three bits for each half.
pub(super) fn differences(ty: Type, a: Val, b: Val, imm: u8) -> Val {
    let (a, b) = (bytes(a), bytes(b));
    let mut out = [0; 32];
    for start in (0..ty.bytes() as usize).step_by(16) {
        let control = usize::from(imm) >> (3 * (start / 16));
        let (x, y) = (start + (control >> 2 & 1) * 4, start + (control & 3) * 4);
        for i in 0..8 {
            let sum = (0..4).map(|k| u64::from(a[x + i + k].abs_diff(b[y + k]))).sum();
            put(&mut out, Width::W16, start + 2 * i, sum);
        }
    }
    Val(words(&out))
}

/// The integer ones among `vec_unary` but for AES; `None` for the others.
pub(super) fn unary(op: VecUn, ty: Type, a: Val) -> Option<Val> {
    use VecUn as V;
    use Width::{W8, W16, W32, W64};
    let absolute = |w| by_signed_lanes(ty, w, a, a, |x, _| x.abs());
    Some(match op {
        V::PabsB => absolute(W8),
        V::PabsW => absolute(W16),
        V::PabsD => absolute(W32),
        V::PhminposuW => {
            let a = bytes(a);
            let least = (0..8).map(|i| (lane(&a, W16, 2 * i), i)).min().unwrap_or_default();
            Val::int(least.0 | (least.1 as u64) << 16)
        }
        V::PmovsxBw => widen(ty, W8, W16, signed, a),
        V::PmovsxBd => widen(ty, W8, W32, signed, a),
        V::PmovsxBq => widen(ty, W8, W64, signed, a),
        V::PmovsxWd => widen(ty, W16, W32, signed, a),
        V::PmovsxWq => widen(ty, W16, W64, signed, a),
        V::PmovsxDq => widen(ty, W32, W64, signed, a),
        V::PmovzxBw => widen(ty, W8, W16, unsigned, a),
        V::PmovzxBd => widen(ty, W8, W32, unsigned, a),
        V::PmovzxBq => widen(ty, W8, W64, unsigned, a),
        V::PmovzxWd => widen(ty, W16, W32, unsigned, a),
        V::PmovzxWq => widen(ty, W16, W64, unsigned, a),
        V::PmovzxDq => widen(ty, W32, W64, unsigned, a),
        _ => return None,
    })
}

fn unsigned(_: Width, v: u64) -> i64 {
    v as i64
}

/// The low lanes of width `from` extended to `to` by `extend`.
fn widen(ty: Type, from: Width, to: Width, extend: fn(Width, u64) -> i64, a: Val) -> Val {
    let a = bytes(a);
    let mut out = [0; 32];
    for i in 0..(ty.bytes() / to.bytes()) as usize {
        let narrow = lane(&a, from, i * from.bytes() as usize);
        put(&mut out, to, i * to.bytes() as usize, extend(from, narrow) as u64);
    }
    Val(words(&out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: Type = Type::V64;
    const Y: Type = Type::V256;

    #[test]
    fn pairs() {
        let (a, b) = (Val::int(0x0002_0001_7fff_0001), Val::int(0x8000_ffff_0005_0004));
        assert_eq!(horizontal(VecBin::PhaddW, M, a, b), Val::int(0x7fff_0009_0003_8000));
        assert_eq!(horizontal(VecBin::PhaddsW, M, a, b), Val::int(0x8000_0009_0003_7fff));
        assert_eq!(horizontal(VecBin::PhsubsW, M, a, b), Val::int(0x7fff_ffff_ffff_8002));
        let wide = Val([2 << 32 | 1, 4 << 32 | 3, 6 << 32 | 5, 8 << 32 | 7]);
        assert_eq!(
            horizontal(VecBin::PhaddD, Y, wide, wide).0,
            [7 << 32 | 3, 7 << 32 | 3, 15 << 32 | 11, 15 << 32 | 11]
        );
    }

    #[test]
    fn products_and_differences_of_bytes() {
        assert_eq!(multiply_bytes(M, Val::int(0xffff_0201), Val::int(0x7f7f_80ff)), Val::int(0x7fff_feff));
        let (a, b) = (Val([0x0807_0605_0403_0201, 0x100f_0e0d_0c0b_0a09, 0, 0]), Val([0x0101_0101, 0, 0, 0]));
        assert_eq!(differences(Type::V128, a, b, 0), Val([0x0012_000e_000a_0006, 0x0022_001e_001a_0016, 0, 0]));
        assert_eq!(differences(Type::V128, a, b, 0b111).low() & 0xffff, 5 + 6 + 7 + 8);
    }

    #[test]
    fn one_operand() {
        let unary = |op, ty, a| unary(op, ty, a).unwrap();
        assert_eq!(unary(VecUn::PabsB, M, Val::int(0x80_7f_ff)), Val::int(0x80_7f_01));
        let words = Val([0x0005_0003_0009_0007, 0x0003_0004_0008_0006, 0, 0]);
        assert_eq!(unary(VecUn::PhminposuW, Type::V128, words), Val::int(2 << 16 | 3));
        assert_eq!(unary(VecUn::PmovsxBq, Y, Val::int(0x7f_80_ff_01)), Val([1, u64::MAX, -128i64 as u64, 0x7f]));
        assert_eq!(
            unary(VecUn::PmovzxWd, Type::V128, Val::int(0xffff_0001_8000_0002)),
            Val([0x8000_0000_0002, 0xffff_0000_0001, 0, 0])
        );
    }
}
