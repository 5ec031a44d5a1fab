//! Vector floating point and conversions: the scalars' arithmetic, lane by lane, with one set of exception flags.

use super::fp::{self, Scalar, arith, fma, integral, mask_where, rounding_of_mode, under_mxcsr};
use super::host_float::HostFloat;
use super::vector_permute::{dwords, of_dwords};
use super::{EvalFault, Val};
use crate::guest::CpuState;
use crate::operand::{FmaOp, FpOp, FpRound, Type, VecBin, VecUn};
use crate::softfloat::{self as soft, F16, F32, F64, FloatEnv, Predicate};

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
        V::AddsubPs | V::AddsubPd => return add_sub(cpu, op, ty, a, b),
        _ => FpOp::Max,
    };
    let single = matches!(op, V::AddPs | V::SubPs | V::MulPs | V::DivPs | V::MinPs | V::MaxPs);
    let plain_lanes = if single { plain_singles } else { plain_doubles };
    if let Some(result) = plain_lanes(op_of, ty, &a, &b, cpu.mxcsr) {
        return Ok(result);
    }
    under_mxcsr(cpu, |env| match single {
        true => by_dwords(ty, a, b, |x, y| arith(op_of, F32(x), F32(y), env).0),
        false => by_qwords(ty, a, b, |x, y| arith(op_of, F64(x), F64(y), env).0),
    })
}

/// `a op b` of 64-bit lanes, where all of them are plain.
fn plain_doubles(op: FpOp, ty: Type, a: &Val, b: &Val, mxcsr: u32) -> Option<Val> {
    let mut out = Val::default();
    for i in 0..dword_count(ty) / 2 {
        out.0[i] = F64::plain_arith(op, F64(a.0[i]), F64(b.0[i]), mxcsr)?.0;
    }
    Some(out)
}

/// The same of 32-bit lanes.
fn plain_singles(op: FpOp, ty: Type, a: &Val, b: &Val, mxcsr: u32) -> Option<Val> {
    let mut out = Val::default();
    for i in 0..dword_count(ty) / 2 {
        let lane = |v: &Val, shift: u32| F32((v.0[i] >> shift) as u32);
        let result = |shift| F32::plain_arith(op, lane(a, shift), lane(b, shift), mxcsr);
        out.0[i] = result(0)?.word() | result(32)?.word() << 32;
    }
    Some(out)
}

/// `ADDSUBPS`, `ADDSUBPD`.
fn add_sub(cpu: &mut CpuState, op: VecBin, ty: Type, a: Val, b: Val) -> Result<Val, EvalFault> {
    let mut lane = 0;
    let mut next = || {
        lane += 1;
        if lane % 2 == 1 { FpOp::Sub } else { FpOp::Add }
    };
    under_mxcsr(cpu, |env| match op {
        VecBin::AddsubPs => by_dwords(ty, a, b, |x, y| arith(next(), F32(x), F32(y), env).0),
        _ => by_qwords(ty, a, b, |x, y| arith(next(), F64(x), F64(y), env).0),
    })
}

/// The float ones among `vec_unary`; the others are [`super::vector_sums::unary`]'s and [`super::crypto`]'s.
pub(super) fn unary(cpu: &mut CpuState, op: VecUn, ty: Type, a: Val) -> Result<Val, EvalFault> {
    use VecUn as V;
    let to_i32 = |v: u32, round, env: &mut FloatEnv| fp::to_i32(F32(v), round, env) as u32;
    let wide_to_i32 = |v: u64, round, env: &mut FloatEnv| fp::to_i32(F64(v), round, env) as u32;
    let low_lane = |f: fn(F32) -> F32| Val([a.0[0] >> 32 << 32 | f(F32(a.0[0] as u32)).word(), a.0[1], a.0[2], a.0[3]]);
    under_mxcsr(cpu, |env| match op {
        V::SqrtPs => by_dwords(ty, a, a, |x, _| fp::sqrt(F32(x), env).0),
        V::SqrtPd => by_qwords(ty, a, a, |x, _| fp::sqrt(F64(x), env).0),
        V::RcpPs => by_dwords(ty, a, a, |x, _| soft::reciprocal_estimate(F32(x)).0),
        V::RsqrtPs => by_dwords(ty, a, a, |x, _| soft::reciprocal_root_estimate(F32(x)).0),
        V::RcpSs => low_lane(soft::reciprocal_estimate),
        V::RsqrtSs => low_lane(soft::reciprocal_root_estimate),
        V::CvtDq2Ps => by_dwords(ty, a, a, |x, _| fp::of_int::<F32>((x as i32).into(), env).0),
        V::CvtPs2Dq => by_dwords(ty, a, a, |x, _| to_i32(x, FpRound::Current, env)),
        V::CvttPs2Dq => by_dwords(ty, a, a, |x, _| to_i32(x, FpRound::Truncate, env)),
        V::CvtDq2Pd => widen(ty, a, |x| fp::of_int::<F64>((x as i32).into(), env).0),
        V::CvtPd2Dq => narrow(ty, a, |x| wide_to_i32(x, FpRound::Current, env)),
        V::CvttPd2Dq => narrow(ty, a, |x| wide_to_i32(x, FpRound::Truncate, env)),
        V::CvtPs2Pd => widen(ty, a, |x| fp::widen(F32(x), env).0),
        V::CvtPh2Ps => by_halves(ty, a, |x| soft::from_half(F16(x), env).0),
        _ => narrow(ty, a, |x| fp::narrow(F64(x), env).0),
    })
}

/// The low 16-bit lanes widened by `f`.
fn by_halves(ty: Type, a: Val, mut f: impl FnMut(u16) -> u32) -> Val {
    let mut out = [0; 8];
    for (i, lane) in out.iter_mut().enumerate().take(dword_count(ty)) {
        *lane = f((a.0[i / 4] >> (16 * (i % 4))) as u16);
    }
    of_dwords(ty, out)
}

/// `vec_to_half`.
pub(super) fn to_half(cpu: &mut CpuState, mode: u8, ty: Type, a: Val) -> Result<Val, EvalFault> {
    under_mxcsr(cpu, |env| {
        let rounding = rounding_of_mode(mode, env);
        let mut out = Val::default();
        for (i, lane) in dwords(a).into_iter().enumerate().take(dword_count(ty)) {
            out.0[i / 4] |= u64::from(soft::to_half(F32(lane), rounding, env).0) << (16 * (i % 4));
        }
        out
    })
}

/// `vec_integral`.
pub(super) fn round(cpu: &mut CpuState, lane: Type, mode: u8, ty: Type, a: Val) -> Result<Val, EvalFault> {
    under_mxcsr(cpu, |env| match lane {
        Type::F32 => by_dwords(ty, a, a, |x, _| integral(F32(x), mode, env).0),
        _ => by_qwords(ty, a, a, |x, _| integral(F64(x), mode, env).0),
    })
}

/// `vec_fma`.
pub(super) fn multiply_add(
    cpu: &mut CpuState,
    op: FmaOp,
    lane: Type,
    ty: Type,
    [a, b, c]: [Val; 3],
) -> Result<Val, EvalFault> {
    let mut out = Val::default();
    under_mxcsr(cpu, |env| match lane {
        Type::F32 => {
            let (a, b, c) = (dwords(a), dwords(b), dwords(c));
            let mut lanes = [0; 8];
            for i in 0..dword_count(ty) {
                lanes[i] = fma(op, i, F32(a[i]), F32(b[i]), F32(c[i]), env).0;
            }
            of_dwords(ty, lanes)
        }
        _ => {
            for i in 0..dword_count(ty) / 2 {
                out.0[i] = fma(op, i, F64(a.0[i]), F64(b.0[i]), F64(c.0[i]), env).0;
            }
            out
        }
    })
}

/// `vec_dot`. Each stage raises its exceptions before the next is computed.
pub(super) fn dot(cpu: &mut CpuState, lane: Type, imm: u8, ty: Type, a: Val, b: Val) -> Result<Val, EvalFault> {
    // Lanes in 128 bits and in a word, and the bits of one.
    let (count, per_word, width) = if lane == Type::F32 { (4, 2, 32) } else { (2, 1, 64) };
    let place = |start: usize, i: usize| (start + i / per_word, (i % per_word) * width);
    let get = |v: Val, start: usize, i: usize| {
        let (word, shift) = place(start, i);
        v.0[word] >> shift
    };
    let mut stage = |op: FpOp, pairs: &[(u64, u64)]| {
        under_mxcsr(cpu, |env| {
            let f = |&(x, y): &(u64, u64)| match lane {
                Type::F32 => arith(op, F32(x as u32), F32(y as u32), env).word(),
                _ => arith(op, F64(x), F64(y), env).word(),
            };
            pairs.iter().map(f).collect::<Vec<u64>>()
        })
    };
    let starts: Vec<usize> = (0..ty.bytes() as usize / 8).step_by(2).collect();
    let chosen: Vec<usize> = (0..count).filter(|i| imm >> (4 + i) & 1 != 0).collect();
    let factors: Vec<(u64, u64)> =
        starts.iter().flat_map(|s| chosen.iter().map(|i| (get(a, *s, *i), get(b, *s, *i)))).collect();
    let products = stage(FpOp::Mul, &factors)?;
    let mut terms = vec![0; starts.len() * count];
    let numbers = (0..starts.len()).flat_map(|s| chosen.iter().map(move |i| s * count + i));
    for (number, product) in numbers.zip(products) {
        terms[number] = product;
    }
    // All lanes get the same sum but for the choice among NaNs.
    let partner = |terms: &[u64], distance: usize| (0..terms.len()).map(|i| terms[i ^ distance]).collect::<Vec<u64>>();
    let others = partner(&terms, 1);
    if lane == Type::F32 {
        let pairs: Vec<(u64, u64)> = others.into_iter().zip(terms).collect();
        terms = stage(FpOp::Add, &pairs)?;
        let others = partner(&terms, 2);
        terms = stage(FpOp::Add, &terms.into_iter().zip(others).collect::<Vec<(u64, u64)>>())?;
    } else {
        terms = stage(FpOp::Add, &terms.into_iter().zip(others).collect::<Vec<(u64, u64)>>())?;
    }
    let mut out = Val::default();
    for (n, start) in starts.into_iter().enumerate() {
        for i in (0..count).filter(|i| imm >> i & 1 != 0) {
            let (word, shift) = place(start, i);
            out.0[word] |= terms[n * count + i] << shift;
        }
    }
    Ok(out)
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
        Type::V64 => by_dwords(to, v, v, |x, _| fp::of_int::<F32>((x as i32).into(), env).0),
        _ => widen(to, v, |x| fp::of_int::<F64>((x as i32).into(), env).0),
    })
}

/// `vec_to_mmx_ints`.
pub(super) fn to_mmx_ints(cpu: &mut CpuState, from: Type, round: FpRound, v: Val) -> Result<u64, EvalFault> {
    fn int<F: Scalar>(v: F, round: FpRound, env: &mut FloatEnv) -> u32 {
        fp::to_i32(v, round, env) as u32
    }
    let ints = under_mxcsr(cpu, |env| match from {
        Type::V64 => by_dwords(from, v, v, |x, _| int(F32(x), round, env)),
        _ => narrow(from, v, |x| int(F64(x), round, env)),
    })?;
    Ok(ints.low())
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
    fn halves() {
        let mut cpu = cpu();
        let floats = singles([1.0, -2.0, 65504.0, 65520.0]);
        assert_eq!(to_half(&mut cpu, 0, Type::V128, floats), Ok(Val::int(0x7c00_7bff_c000_3c00)));
        assert_eq!(to_half(&mut cpu, 3, Type::V128, floats), Ok(Val::int(0x7bff_7bff_c000_3c00)));
        let back = unary(&mut cpu, VecUn::CvtPh2Ps, Type::V128, Val::int(0x7c00_7bff_c000_3c00));
        assert_eq!(back, Ok(singles([1.0, -2.0, 65504.0, f32::INFINITY])));
    }

    #[test]
    fn sums_of_products() {
        let mut cpu = cpu();
        let (a, b) = (singles([1.0, 2.0, 3.0, 4.0]), singles([5.0, 6.0, 7.0, 8.0]));
        assert_eq!(dot(&mut cpu, Type::F32, 0xf3, Type::V128, a, b), Ok(singles([70.0, 70.0, 0.0, 0.0])));
        assert_eq!(dot(&mut cpu, Type::F32, 0x51, Type::V128, a, b), Ok(singles([26.0, 0.0, 0.0, 0.0])));
        let (a, b) = (doubles(2.0, 3.0), doubles(10.0, 100.0));
        assert_eq!(dot(&mut cpu, Type::F64, 0x32, Type::V128, a, b), Ok(doubles(0.0, 320.0)));
        let ones = doubles(1.0, 1.0);
        assert_eq!(
            multiply_add(&mut cpu, FmaOp::AddSub, Type::F64, Type::V128, [a, b, ones]),
            Ok(doubles(19.0, 301.0))
        );
        assert_eq!(round(&mut cpu, Type::F64, 2, Type::V128, doubles(1.5, -1.5)), Ok(doubles(2.0, -1.0)));
        assert_eq!(binary(&mut cpu, VecBin::AddsubPd, Type::V128, a, b), Ok(doubles(-8.0, 103.0)));
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
}
