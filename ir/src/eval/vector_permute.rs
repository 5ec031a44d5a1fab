//! Vector operations that move lanes and change none: shuffles, permutations, blends. Source: Intel SDM vol. 2, the instructions of the same names.

use super::Val;
use super::memory::{bytes, words};
use super::vector::{block, by_words, lane, put};
use crate::operand::{Type, VecBin, VecShuffle, VecTer, Width};

/// The 32-bit lanes of `v`, low one first.
pub(super) fn dwords(v: Val) -> [u32; 8] {
    std::array::from_fn(|i| (v.0[i / 2] >> (32 * (i % 2))) as u32)
}

/// The value of type `ty` with these 32-bit lanes.
pub(super) fn of_dwords(ty: Type, lanes: [u32; 8]) -> Val {
    by_words(ty, |i| u64::from(lanes[2 * i]) | u64::from(lanes[2 * i + 1]) << 32)
}

/// `vec_shuffle`. Each 128-bit half of a V256 is shuffled alike, but for `shufpd` and the blends of singles and doubles, which have bits for each lane,
/// and the permutations across halves.
pub(super) fn shuffle(op: VecShuffle, ty: Type, a: Val, b: Val, imm: u8) -> Val {
    let pick = |i: usize| usize::from(imm >> (2 * i) & 3);
    let bit = |i: usize| imm >> i & 1 != 0;
    let (x, y) = (dwords(a), dwords(b));
    let words_of = |word: u64| (0..4).fold(0, |out, i| out | (word >> (16 * pick(i)) & 0xffff) << (16 * i));
    match op {
        VecShuffle::PshufD => of_dwords(ty, std::array::from_fn(|i| y[i & 4 | pick(i & 3)])),
        VecShuffle::PshufLw => by_words(ty, |i| if i % 2 == 0 { words_of(b.0[i]) } else { b.0[i] }),
        VecShuffle::PshufHw => by_words(ty, |i| if i % 2 == 1 { words_of(b.0[i]) } else { b.0[i] }),
        VecShuffle::PshufW => by_words(ty, |i| words_of(b.0[i])),
        VecShuffle::ShufPs => {
            let lane = |i: usize| if i & 2 == 0 { x[i & 4 | pick(i & 3)] } else { y[i & 4 | pick(i & 3)] };
            of_dwords(ty, std::array::from_fn(lane))
        }
        VecShuffle::ShufPd => by_words(ty, |i| if i % 2 == 0 { a } else { b }.0[i & 2 | usize::from(bit(i))]),
        VecShuffle::Palignr => align_right(ty, a, b, imm.into()),
        VecShuffle::BlendPs => of_dwords(ty, std::array::from_fn(|i| if bit(i) { y[i] } else { x[i] })),
        VecShuffle::BlendPd => by_words(ty, |i| if bit(i) { b.0[i] } else { a.0[i] }),
        VecShuffle::PblendW => by_words(ty, |i| {
            let chosen = (0..4).filter(|n| bit(i % 2 * 4 + n)).fold(0, |mask, n| mask | 0xffff << (16 * n));
            a.0[i] & !chosen | b.0[i] & chosen
        }),
        VecShuffle::InsertPs => {
            let (from, to) = (usize::from(imm >> 6), usize::from(imm >> 4 & 3));
            let lane = |i: usize| match i {
                4.. => 0,
                _ if bit(i) => 0,
                _ if i == to => y[from],
                _ => x[i],
            };
            of_dwords(ty, std::array::from_fn(lane))
        }
        VecShuffle::Perm2F128 => by_words(ty, |i| {
            let control = imm >> (4 * (i / 2));
            let source = if control & 2 == 0 { a } else { b };
            if control & 8 != 0 { 0 } else { source.0[usize::from(control & 1) * 2 + i % 2] }
        }),
        VecShuffle::PermQ => by_words(ty, |i| b.0[pick(i)]),
    }
}

/// In each block `a:b` shifted right by `n` bytes.
fn align_right(ty: Type, a: Val, b: Val, n: usize) -> Val {
    let (high, low, size) = (bytes(a), bytes(b), block(ty));
    let mut out = [0; 32];
    for (i, byte) in out.iter_mut().enumerate().take(ty.bytes() as usize) {
        let (start, from) = (i / size * size, i % size + n);
        *byte = match from {
            _ if from < size => low[start + from],
            _ if from < 2 * size => high[start + from - size],
            _ => 0,
        };
    }
    Val(words(&out))
}

/// Lanes of `a` chosen by the lanes of `b`.
pub(super) fn by_vector(op: VecBin, ty: Type, a: Val, b: Val) -> Val {
    let (x, y) = (dwords(a), dwords(b));
    match op {
        VecBin::PshufB => shuffle_bytes(ty, a, b),
        VecBin::PermD => of_dwords(ty, std::array::from_fn(|i| x[y[i] as usize & 7])),
        VecBin::PermilPs => of_dwords(ty, std::array::from_fn(|i| x[i & 4 | y[i] as usize & 3])),
        _ => by_words(ty, |i| a.0[i & 2 | b.0[i] as usize >> 1 & 1]),
    }
}

fn shuffle_bytes(ty: Type, a: Val, b: Val) -> Val {
    let (from, control, size) = (bytes(a), bytes(b), block(ty));
    let mut out = [0; 32];
    for i in 0..ty.bytes() as usize {
        if control[i] & 0x80 == 0 {
            out[i] = from[i / size * size + usize::from(control[i]) % size];
        }
    }
    Val(words(&out))
}

/// The blends among `vec_ternary`.
pub(super) fn blend(op: VecTer, ty: Type, a: Val, b: Val, mask: Val) -> Val {
    let size = match op {
        VecTer::BlendvB => 1,
        VecTer::BlendvPs => 4,
        _ => 8,
    };
    let (x, y, mask) = (bytes(a), bytes(b), bytes(mask));
    let mut out = [0; 32];
    for i in 0..ty.bytes() as usize {
        out[i] = if mask[i | (size - 1)] & 0x80 != 0 { y[i] } else { x[i] };
    }
    Val(words(&out))
}

/// `vec_broadcast`.
pub(super) fn broadcast(w: Width, ty: Type, a: Val) -> Val {
    let lowest = lane(&bytes(a), w, 0);
    let mut out = [0; 32];
    for at in (0..ty.bytes() as usize).step_by(w.bytes() as usize) {
        put(&mut out, w, at, lowest);
    }
    Val(words(&out))
}

/// `vec_half`.
pub(super) fn half(ty: Type, high: bool, a: Val) -> Val {
    match (ty, high) {
        (Type::V256, true) => Val([a.0[2], a.0[3], 0, 0]),
        (Type::V256, false) => Val([a.0[0], a.0[1], 0, 0]),
        _ => Val::int(a.0[usize::from(high)]),
    }
}

/// `vec_join`.
pub(super) fn join(ty: Type, low: Val, high: Val) -> Val {
    match ty {
        Type::V256 => Val([low.0[0], low.0[1], high.0[0], high.0[1]]),
        _ => Val([low.0[0], high.0[0], 0, 0]),
    }
}

/// `vec_merge_low`.
pub(super) fn merge_low(ty: Type, a: Val, low: u64) -> Val {
    let word = if ty == Type::F32 { a.0[0] >> 32 << 32 | low & 0xffff_ffff } else { low };
    Val([word, a.0[1], 0, 0])
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Type = Type::V128;
    const Y: Type = Type::V256;
    const A: Val = Val([1, 2, 3, 4]);
    const B: Val = Val([5, 6, 7, 8]);

    #[test]
    fn shuffles() {
        let (a, b) = (Val::v128(0x3_0000_0002_0000_0001_0000_0000), Val::v128(0x7_0000_0006_0000_0005_0000_0004));
        let shuffled = |op, imm| shuffle(op, Type::V128, a, b, imm).low128();
        assert_eq!(shuffled(VecShuffle::PshufD, 0b00_01_10_11), 0x4_0000_0005_0000_0006_0000_0007);
        assert_eq!(shuffled(VecShuffle::ShufPs, 0b00_01_10_11), 0x4_0000_0005_0000_0002_0000_0003);
        assert_eq!(shuffled(VecShuffle::ShufPd, 0b01), 0x5_0000_0004_0000_0003_0000_0002);
        let words = Val::v128(0x0008_0007_0006_0005_0004_0003_0002_0001);
        let words_by = |op, imm| shuffle(op, Type::V128, words, words, imm).low128();
        assert_eq!(words_by(VecShuffle::PshufLw, 0b00_01_10_11), 0x0008_0007_0006_0005_0001_0002_0003_0004);
        assert_eq!(words_by(VecShuffle::PshufHw, 0), 0x0005_0005_0005_0005_0004_0003_0002_0001);
        let mmx = shuffle(VecShuffle::PshufW, Type::V64, Val::int(0), Val::int(0x0004_0003_0002_0001), 0b11);
        assert_eq!(mmx, Val::int(0x0001_0001_0001_0004));
    }

    #[test]
    fn across_and_within_halves() {
        assert_eq!(shuffle(VecShuffle::Perm2F128, Y, A, B, 0x21), Val([3, 4, 5, 6]));
        assert_eq!(shuffle(VecShuffle::Perm2F128, Y, A, B, 0x83), Val([7, 8, 0, 0]));
        assert_eq!(shuffle(VecShuffle::PermQ, Y, A, B, 0b00_01_10_11), Val([8, 7, 6, 5]));
        assert_eq!(shuffle(VecShuffle::Palignr, Y, A, B, 8), Val([6, 1, 8, 3]));
        assert_eq!(shuffle(VecShuffle::Palignr, Y, A, B, 24), Val([2, 0, 4, 0]));
        assert_eq!(
            shuffle(VecShuffle::Palignr, Type::V64, Val::int(0x11), Val::int(0x2233), 1),
            Val::int(0x1100_0000_0000_0022)
        );
        assert_eq!(shuffle(VecShuffle::BlendPd, Y, A, B, 0b1010), Val([1, 6, 3, 8]));
        assert_eq!(shuffle(VecShuffle::BlendPs, Y, A, B, 0b0001_0000), Val([1, 2, 7, 4]));
        assert_eq!(shuffle(VecShuffle::PblendW, Y, A, B, 0b1), Val([5, 2, 7, 4]));
        assert_eq!(
            by_vector(VecBin::PermD, Y, A, Val([6, 0, 0, 2])),
            Val([1 << 32 | 4, 1 << 32 | 1, 1 << 32 | 1, 1 << 32 | 2])
        );
        assert_eq!(by_vector(VecBin::PermilPd, Y, A, Val([2, 1, 2, 0])), Val([2, 1, 4, 3]));
        assert_eq!(
            by_vector(VecBin::PshufB, X, Val([0x88_77, 0x99, 0, 0]), Val([0x80_08_01, 0, 0, 0])).low(),
            0x7777_7777_7700_9988
        );
    }

    #[test]
    fn insertion_of_a_single_clears_lanes() {
        let (a, b) = (Val([0x2_0000_0001, 0x4_0000_0003, 0, 0]), Val([0x6_0000_0005, 0x8_0000_0007, 0, 0]));
        assert_eq!(shuffle(VecShuffle::InsertPs, X, a, b, 0x98), Val([0x7_0000_0001, 3, 0, 0]));
    }

    #[test]
    fn blends_broadcasts_and_halves() {
        let top = 1 << 63;
        assert_eq!(blend(VecTer::BlendvPd, Y, A, B, Val([0, top, top, !top])), Val([1, 6, 7, 4]));
        assert_eq!(
            blend(VecTer::BlendvB, X, Val([0, 0, 0, 0]), Val([u64::MAX; 4]), Val([0x80_7f, top, 0, 0])),
            Val([0xff_00, 0xff << 56, 0, 0])
        );
        assert_eq!(
            broadcast(Width::W16, X, Val::int(0x1_2345)),
            Val([0x2345_2345_2345_2345, 0x2345_2345_2345_2345, 0, 0])
        );
        assert_eq!((half(Y, true, A), half(X, true, A)), (Val([3, 4, 0, 0]), Val::int(2)));
        assert_eq!((join(Y, A, B), join(X, A, B)), (Val([1, 2, 5, 6]), Val([1, 5, 0, 0])));
        assert_eq!(merge_low(Type::F32, Val([9 << 32 | 1, 2, 0, 0]), 7), Val([9 << 32 | 7, 2, 0, 0]));
    }
}
