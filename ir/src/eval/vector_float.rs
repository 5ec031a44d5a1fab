//! Vector floating point, conversions and shuffles: the scalars' arithmetic, lane by lane, with one set of exception flags.

use super::fp::{Scalar, arith, mask_where, rounding, under_mxcsr};
use super::vector::by_words;
use super::{EvalFault, Val};
use crate::guest::CpuState;
use crate::operand::{FpOp, FpRound, Type, VecBin, VecShuffle, VecUn};
use crate::softfloat::{self as soft, F32, F64, FloatEnv, Format, Predicate};

/// The 32-bit lanes of `v`, low one first.
fn dwords(v: Val) -> [u32; 8] {
    std::array::from_fn(|i| (v.0[i / 2] >> (32 * (i % 2))) as u32)
}

/// The value of type `ty` with these 32-bit lanes.
fn of_dwords(ty: Type, lanes: [u32; 8]) -> Val {
    by_words(ty, |i| u64::from(lanes[2 * i]) | u64::from(lanes[2 * i + 1]) << 32)
}

/// Number of 32-bit lanes in `ty`.
fn dword_count(ty: Type) -> usize {
    ty.bytes() as usize / 4
}

/// `f` of each 32-bit lane of both operands.
fn by_dwords(ty: Type, a: Val, b: Val, mut f: impl FnMut(u32, u32) -> u32) -> Val {
    let (a, b) = (dwords(a), dwords(b));
    let mut out = [0; 8];
    for i in 0..dword_count(ty) {
        out[i] = f(a[i], b[i]);
    }
    of_dwords(ty, out)
}

/// `f` of each 64-bit lane of both operands.
fn by_qwords(ty: Type, a: Val, b: Val, mut f: impl FnMut(u64, u64) -> u64) -> Val {
    let mut out = Val::default();
    for i in 0..dword_count(ty) / 2 {
        out.0[i] = f(a.0[i], b.0[i]);
    }
    out
}

/// The low 32-bit lanes widened by `f`.
fn widen(ty: Type, a: Val, mut f: impl FnMut(u32) -> u64) -> Val {
    let mut out = Val::default();
    for (lane, x) in out.0.iter_mut().zip(dwords(a)).take(dword_count(ty) / 2) {
        *lane = f(x);
    }
    out
}

/// The 64-bit lanes narrowed by `f`, in the low half; the upper half is zero.
fn narrow(ty: Type, a: Val, mut f: impl FnMut(u64) -> u32) -> Val {
    let mut out = [0; 8];
    for (lane, x) in out.iter_mut().zip(a.0).take(dword_count(ty) / 2) {
        *lane = f(x);
    }
    of_dwords(ty, out)
}

/// The float ones among `vec_binary`; the others are [`super::vector::binary`]'s.
pub(super) fn binary(cpu: &mut CpuState, op: VecBin, ty: Type, a: Val, b: Val) -> Result<Val, EvalFault> {
    use VecBin as V;
    let op_of = match op {
        V::AddPs | V::AddPd => FpOp::Add,
        V::SubPs | V::SubPd => FpOp::Sub,
        V::MulPs | V::MulPd => FpOp::Mul,
        V::DivPs | V::DivPd => FpOp::Div,
        V::MinPs | V::MinPd => FpOp::Min,
        _ => FpOp::Max,
    };
    let single = matches!(op, V::AddPs | V::SubPs | V::MulPs | V::DivPs | V::MinPs | V::MaxPs);
    under_mxcsr(cpu, |env| match single {
        true => by_dwords(ty, a, b, |x, y| arith(op_of, F32(x), F32(y), env).0),
        false => by_qwords(ty, a, b, |x, y| arith(op_of, F64(x), F64(y), env).0),
    })
}

/// `vec_unary`.
pub(super) fn unary(cpu: &mut CpuState, op: VecUn, ty: Type, a: Val) -> Result<Val, EvalFault> {
    use VecUn as V;
    let to_i32 = |v: u32, round, env: &mut FloatEnv| soft::to_i32(F32(v), rounding(round, env), env) as u32;
    let wide_to_i32 = |v: u64, round, env: &mut FloatEnv| soft::to_i32(F64(v), rounding(round, env), env) as u32;
    let low_lane = |f: fn(F32) -> F32| Val([a.0[0] >> 32 << 32 | f(F32(a.0[0] as u32)).word(), a.0[1], a.0[2], a.0[3]]);
    under_mxcsr(cpu, |env| match op {
        V::SqrtPs => by_dwords(ty, a, a, |x, _| soft::sqrt(F32(x), env).0),
        V::SqrtPd => by_qwords(ty, a, a, |x, _| soft::sqrt(F64(x), env).0),
        V::RcpPs => by_dwords(ty, a, a, |x, _| soft::reciprocal_estimate(F32(x)).0),
        V::RsqrtPs => by_dwords(ty, a, a, |x, _| soft::reciprocal_root_estimate(F32(x)).0),
        V::RcpSs => low_lane(soft::reciprocal_estimate),
        V::RsqrtSs => low_lane(soft::reciprocal_root_estimate),
        V::CvtDq2Ps => by_dwords(ty, a, a, |x, _| soft::from_i32::<F32>(x as i32, env).0),
        V::CvtPs2Dq => by_dwords(ty, a, a, |x, _| to_i32(x, FpRound::Current, env)),
        V::CvttPs2Dq => by_dwords(ty, a, a, |x, _| to_i32(x, FpRound::Truncate, env)),
        V::CvtDq2Pd => widen(ty, a, |x| soft::from_i32::<F64>(x as i32, env).0),
        V::CvtPd2Dq => narrow(ty, a, |x| wide_to_i32(x, FpRound::Current, env)),
        V::CvttPd2Dq => narrow(ty, a, |x| wide_to_i32(x, FpRound::Truncate, env)),
        V::CvtPs2Pd => widen(ty, a, |x| soft::convert::<F32, F64>(F32(x), env).0),
        V::CvtPd2Ps => narrow(ty, a, |x| soft::convert::<F64, F32>(F64(x), env).0),
    })
}

/// `vec_compare`.
pub(super) fn compare(cpu: &mut CpuState, lane: Type, imm: u8, ty: Type, a: Val, b: Val) -> Result<Val, EvalFault> {
    let predicate = Predicate::from_imm(imm);
    under_mxcsr(cpu, |env| match lane {
        Type::F32 => by_dwords(ty, a, b, |x, y| mask_where::<F32>(predicate, x.into(), y.into(), env) as u32),
        _ => by_qwords(ty, a, b, |x, y| mask_where::<F64>(predicate, x, y, env)),
    })
}

/// `vec_from_mmx_ints`.
pub(super) fn from_mmx_ints(cpu: &mut CpuState, to: Type, v: u64) -> Result<Val, EvalFault> {
    let v = Val::int(v);
    under_mxcsr(cpu, |env| match to {
        Type::V64 => by_dwords(to, v, v, |x, _| soft::from_i32::<F32>(x as i32, env).0),
        _ => widen(to, v, |x| soft::from_i32::<F64>(x as i32, env).0),
    })
}

/// `vec_to_mmx_ints`.
pub(super) fn to_mmx_ints(cpu: &mut CpuState, from: Type, round: FpRound, v: Val) -> Result<u64, EvalFault> {
    fn int<F: Format>(v: F, round: FpRound, env: &mut FloatEnv) -> u32 {
        soft::to_i32(v, rounding(round, env), env) as u32
    }
    let ints = under_mxcsr(cpu, |env| match from {
        Type::V64 => by_dwords(from, v, v, |x, _| int(F32(x), round, env)),
        _ => narrow(from, v, |x| int(F64(x), round, env)),
    })?;
    Ok(ints.low())
}

/// `vec_shuffle`. Each 128-bit half of a V256 is shuffled alike, but for `shufpd`, which has bits for each.
pub(super) fn shuffle(op: VecShuffle, ty: Type, a: Val, b: Val, imm: u8) -> Val {
    let pick = |i: usize| usize::from(imm >> (2 * i) & 3);
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
        VecShuffle::ShufPd => by_words(ty, |i| if i % 2 == 0 { a } else { b }.0[i & 2 | usize::from(imm >> i & 1)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::CpuMode;

    fn cpu() -> CpuState {
        CpuState::new(CpuMode::Long64)
    }

    fn singles(lanes: [f32; 4]) -> Val {
        Val::v128(lanes.iter().rev().fold(0, |v, lane| v << 32 | u128::from(lane.to_bits())))
    }

    fn doubles(low: f64, high: f64) -> Val {
        Val([low.to_bits(), high.to_bits(), 0, 0])
    }

    #[test]
    fn packed_arithmetic_collects_flags_of_all_lanes() {
        let mut cpu = cpu();
        let a = singles([1.0, 1.0, -1.0, 4.0]);
        let b = singles([3.0, 0.0, 2.0, 2.0]);
        let quotient = singles([1.0 / 3.0, f32::INFINITY, -0.5, 2.0]);
        assert_eq!(binary(&mut cpu, VecBin::DivPs, Type::V128, a, b), Ok(quotient));
        assert_eq!(cpu.mxcsr & 0x3f, 0x24);
        assert_eq!(
            binary(&mut cpu, VecBin::MaxPd, Type::V128, doubles(1.0, -0.0), doubles(2.0, 0.0)),
            Ok(doubles(2.0, 0.0))
        );
    }

    #[test]
    fn conversions_narrow_and_widen() {
        let mut cpu = cpu();
        let ints = Val::v128(0x7fff_ffff_8000_0000_0000_0002_ffff_ffff);
        assert_eq!(unary(&mut cpu, VecUn::CvtDq2Pd, Type::V128, ints), Ok(doubles(-1.0, 2.0)));
        let floats = singles([-1.0, 2.0, -2147483648.0, 2147483648.0]);
        assert_eq!(unary(&mut cpu, VecUn::CvtDq2Ps, Type::V128, ints), Ok(floats));
        let back = Val::v128(0x8000_0000_8000_0000_0000_0002_ffff_ffff);
        assert_eq!(unary(&mut cpu, VecUn::CvttPs2Dq, Type::V128, floats), Ok(back));
        assert_eq!(
            unary(&mut cpu, VecUn::CvtPd2Dq, Type::V128, doubles(2.5, -3.5)),
            Ok(Val::int(0xffff_fffc_0000_0002))
        );
        let narrowed = Val::int(u64::from(0.25f32.to_bits()) << 32 | u64::from(1.5f32.to_bits()));
        assert_eq!(unary(&mut cpu, VecUn::CvtPd2Ps, Type::V128, doubles(1.5, 0.25)), Ok(narrowed));
        assert_eq!(unary(&mut cpu, VecUn::CvtPs2Pd, Type::V128, narrowed), Ok(doubles(1.5, 0.25)));
        assert_eq!(to_mmx_ints(&mut cpu, Type::V64, FpRound::Truncate, narrowed), Ok(1));
        assert_eq!(from_mmx_ints(&mut cpu, Type::V128, 0xffff_ffff_0000_0003), Ok(doubles(3.0, -1.0)));
    }

    #[test]
    fn scalar_estimates_keep_the_upper_lanes() {
        let estimate = unary(&mut cpu(), VecUn::RcpSs, Type::V128, singles([2.0, 3.0, 4.0, 5.0])).unwrap();
        assert_eq!((estimate.0[0] >> 32, estimate.0[1]), (3f32.to_bits().into(), singles([4.0, 5.0, 0.0, 0.0]).low()));
        let half = f32::from_bits(estimate.low() as u32);
        assert!((half * 2.0 - 1.0).abs() <= 1.5 / 4096.0);
    }

    #[test]
    fn comparison_masks() {
        let (a, b) = (doubles(1.0, f64::NAN), doubles(2.0, 1.0));
        let lt = compare(&mut cpu(), Type::F64, 1, Type::V128, a, b);
        assert_eq!(lt, Ok(Val([u64::MAX, 0, 0, 0])));
    }

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
}
