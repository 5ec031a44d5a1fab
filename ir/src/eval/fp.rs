//! SSE scalar floating point: [`crate::softfloat`] under `mxcsr`.

use super::EvalFault;
use super::flags::when;
use super::host_float::{self, HostFloat};
use super::int::signed;
use crate::guest::{CpuState, FlagSet};
use crate::operand::{FmaOp, FpOp, FpRound, Type, Width};
use crate::softfloat::{
    self as soft, Exceptions, F32, F64, FloatEnv, Format, Inexact, MulAdd, Predicate, Relation, Rounding,
};

/// A float that fits a word.
pub(super) trait Scalar: Format + HostFloat {
    /// The value whose bits are the low bits of `v`.
    fn from_word(v: u64) -> Self;
    /// The bits, zero-extended.
    fn word(self) -> u64;
}

impl Scalar for F32 {
    #[inline(always)]
    fn from_word(v: u64) -> Self {
        F32(v as u32)
    }
    #[inline(always)]
    fn word(self) -> u64 {
        self.0.into()
    }
}

impl Scalar for F64 {
    #[inline(always)]
    fn from_word(v: u64) -> Self {
        F64(v)
    }
    #[inline(always)]
    fn word(self) -> u64 {
        self.0
    }
}

/// Runs one instruction's arithmetic by `mxcsr`'s modes and accumulates its exception flags; #XM where one is unmasked.
pub(super) fn under_mxcsr<R>(cpu: &mut CpuState, f: impl FnOnce(&mut FloatEnv) -> R) -> Result<R, EvalFault> {
    let mut env = FloatEnv::from_mxcsr(cpu.mxcsr);
    // Raised already, and once more changes nothing: see `host_float`.
    let raised = Exceptions::from_bits_truncate(cpu.mxcsr as u16);
    env.flags = raised & env.masked & Exceptions::PRECISION;
    let result = f(&mut env);
    let settled = env.settle();
    cpu.mxcsr |= u32::from((settled.flags & Exceptions::ALL).bits());
    if settled.writes_vector() { Ok(result) } else { Err(EvalFault::SimdFloat(settled.unmasked)) }
}

/// `a op b` in one format.
#[inline]
pub(super) fn arith<F: Scalar>(op: FpOp, a: F, b: F, env: &mut FloatEnv) -> F {
    F::host_arith(op, a, b, env).unwrap_or_else(|| soft_arith(op, a, b, env))
}

fn soft_arith<F: Format>(op: FpOp, a: F, b: F, env: &mut FloatEnv) -> F {
    match op {
        FpOp::Add => soft::add(a, b, env),
        FpOp::Sub => soft::sub(a, b, env),
        FpOp::Mul => soft::mul(a, b, env),
        FpOp::Div => soft::div(a, b, env),
        FpOp::Min => soft::min(a, b, env),
        FpOp::Max => soft::max(a, b, env),
    }
}

/// The square root of `a`.
#[inline]
pub(super) fn sqrt<F: Scalar>(a: F, env: &mut FloatEnv) -> F {
    F::host_sqrt(a, env).unwrap_or_else(|| soft::sqrt(a, env))
}

/// `v` as a 32-bit integer.
#[inline]
pub(super) fn to_i32<F: Scalar>(v: F, round: FpRound, env: &mut FloatEnv) -> i32 {
    let host = F::host_to_int(v, Width::W32, round == FpRound::Truncate, env);
    host.map_or_else(|| soft::to_i32(v, rounding(round, env), env), |v| v as i32)
}

/// `v` as a 64-bit integer.
#[inline]
fn to_i64<F: Scalar>(v: F, round: FpRound, env: &mut FloatEnv) -> i64 {
    let host = F::host_to_int(v, Width::W64, round == FpRound::Truncate, env);
    host.unwrap_or_else(|| soft::to_i64(v, rounding(round, env), env))
}

/// The integer `v` as a float.
#[inline]
pub(super) fn of_int<F: Scalar>(v: i64, env: &mut FloatEnv) -> F {
    F::host_from_int(v, env).unwrap_or_else(|| soft::from_i64(v, env))
}

/// `v` as a double.
#[inline]
pub(super) fn widen(v: F32, env: &mut FloatEnv) -> F64 {
    host_float::widen(v).unwrap_or_else(|| soft::convert(v, env))
}

/// `v` as a single.
#[inline]
pub(super) fn narrow(v: F64, env: &mut FloatEnv) -> F32 {
    host_float::narrow(v, env).unwrap_or_else(|| soft::convert(v, env))
}

/// The rounding mode that `round` means under `env`.
fn rounding(round: FpRound, env: &FloatEnv) -> Rounding {
    match round {
        FpRound::Current => env.rounding,
        FpRound::Truncate => Rounding::Zero,
    }
}

/// The rounding mode that the immediate `mode` of `ROUNDPS` and `VCVTPS2PH` means under `env`.
pub(super) fn rounding_of_mode(mode: u8, env: &FloatEnv) -> Rounding {
    if mode & 4 != 0 { env.rounding } else { Rounding::from_bits(mode.into()) }
}

/// `v` rounded to an integral value by the immediate `mode`.
pub(super) fn integral<F: Format>(v: F, mode: u8, env: &mut FloatEnv) -> F {
    let inexact = if mode & 8 != 0 { Inexact::Suppress } else { Inexact::Report };
    soft::round_to_integral(v, rounding_of_mode(mode, env), inexact, env)
}

/// `±(a * b) ± c` in lane `lane`.
pub(super) fn fma<F: Format>(op: FmaOp, lane: usize, a: F, b: F, c: F, env: &mut FloatEnv) -> F {
    let signs = match op {
        FmaOp::Add => MulAdd::Add,
        FmaOp::Sub => MulAdd::Sub,
        FmaOp::NegAdd => MulAdd::NegativeAdd,
        FmaOp::NegSub => MulAdd::NegativeSub,
        FmaOp::AddSub if lane % 2 == 0 => MulAdd::Sub,
        FmaOp::SubAdd if lane % 2 == 1 => MulAdd::Sub,
        FmaOp::AddSub | FmaOp::SubAdd => MulAdd::Add,
    };
    soft::fma(signs, a, b, c, env)
}

/// `fp_integral`.
pub(super) fn scalar_integral(cpu: &mut CpuState, ty: Type, mode: u8, v: u64) -> Result<u64, EvalFault> {
    under_mxcsr(cpu, |env| match ty {
        Type::F32 => integral(F32::from_word(v), mode, env).word(),
        _ => integral(F64::from_word(v), mode, env).word(),
    })
}

/// `fp_fma`.
pub(super) fn scalar_fma(cpu: &mut CpuState, op: FmaOp, ty: Type, abc: [u64; 3]) -> Result<u64, EvalFault> {
    fn of<F: Scalar>(op: FmaOp, abc: [u64; 3], env: &mut FloatEnv) -> u64 {
        let [a, b, c] = abc.map(F::from_word);
        fma(op, 0, a, b, c, env).word()
    }
    under_mxcsr(cpu, |env| match ty {
        Type::F32 => of::<F32>(op, abc, env),
        _ => of::<F64>(op, abc, env),
    })
}

/// `fp_arith`.
pub(super) fn scalar_arith(cpu: &mut CpuState, op: FpOp, ty: Type, a: u64, b: u64) -> Result<u64, EvalFault> {
    fn plainly<F: Scalar>(op: FpOp, a: u64, b: u64, mxcsr: u32) -> Option<u64> {
        F::plain_arith(op, F::from_word(a), F::from_word(b), mxcsr).map(F::word)
    }
    fn of<F: Scalar>(op: FpOp, a: u64, b: u64, env: &mut FloatEnv) -> u64 {
        arith(op, F::from_word(a), F::from_word(b), env).word()
    }
    let plain = if ty == Type::F32 { plainly::<F32>(op, a, b, cpu.mxcsr) } else { plainly::<F64>(op, a, b, cpu.mxcsr) };
    if let Some(result) = plain {
        return Ok(result);
    }
    under_mxcsr(cpu, |env| match ty {
        Type::F32 => of::<F32>(op, a, b, env),
        _ => of::<F64>(op, a, b, env),
    })
}

/// `fp_sqrt`.
pub(super) fn scalar_sqrt(cpu: &mut CpuState, ty: Type, a: u64) -> Result<u64, EvalFault> {
    under_mxcsr(cpu, |env| match ty {
        Type::F32 => sqrt(F32::from_word(a), env).word(),
        _ => sqrt(F64::from_word(a), env).word(),
    })
}

/// The status flags that tell `relation`, as `COMIS` and `FCOMI` set them.
pub(super) fn relation_flags(relation: Relation) -> FlagSet {
    let unordered = relation == Relation::Unordered;
    when(unordered || relation == Relation::Equal, FlagSet::ZF)
        | when(unordered, FlagSet::PF)
        | when(unordered || relation == Relation::Less, FlagSet::CF)
}

/// `fp_compare_flags`.
pub(super) fn compare_flags(
    cpu: &mut CpuState,
    ty: Type,
    signalling: bool,
    a: u64,
    b: u64,
) -> Result<FlagSet, EvalFault> {
    fn plainly<F: Scalar>(a: u64, b: u64) -> Option<Relation> {
        F::host_compare(F::from_word(a), F::from_word(b))
    }
    fn of<F: Scalar>(signalling: bool, a: u64, b: u64, env: &mut FloatEnv) -> Relation {
        let (a, b) = (F::from_word(a), F::from_word(b));
        if signalling { soft::compare_signaling(a, b, env) } else { soft::compare_quiet(a, b, env) }
    }
    let plain = if ty == Type::F32 { plainly::<F32>(a, b) } else { plainly::<F64>(a, b) };
    if let Some(relation) = plain {
        return Ok(relation_flags(relation));
    }
    let relation = under_mxcsr(cpu, |env| match ty {
        Type::F32 => of::<F32>(signalling, a, b, env),
        _ => of::<F64>(signalling, a, b, env),
    })?;
    Ok(relation_flags(relation))
}

/// All ones where `predicate` holds, else zero.
pub(super) fn mask_where<F: Scalar>(predicate: Predicate, a: u64, b: u64, env: &mut FloatEnv) -> u64 {
    if soft::cmp(predicate, F::from_word(a), F::from_word(b), env) { u64::MAX } else { 0 }
}

/// `fp_compare_mask`.
pub(super) fn compare_mask(cpu: &mut CpuState, ty: Type, imm: u8, a: u64, b: u64) -> Result<u64, EvalFault> {
    let predicate = Predicate::from_imm(imm);
    under_mxcsr(cpu, |env| match ty {
        Type::F32 => mask_where::<F32>(predicate, a, b, env) & Width::W32.mask(),
        _ => mask_where::<F64>(predicate, a, b, env),
    })
}

/// `fp_to_int`.
pub(super) fn to_int(cpu: &mut CpuState, ty: Type, w: Width, round: FpRound, v: u64) -> Result<u64, EvalFault> {
    fn of<F: Scalar>(w: Width, round: FpRound, v: u64, env: &mut FloatEnv) -> u64 {
        match w {
            Width::W64 => to_i64(F::from_word(v), round, env) as u64,
            _ => to_i32(F::from_word(v), round, env) as u32 as u64,
        }
    }
    under_mxcsr(cpu, |env| match ty {
        Type::F32 => of::<F32>(w, round, v, env),
        _ => of::<F64>(w, round, v, env),
    })
}

/// `int_to_fp`.
pub(super) fn from_int(cpu: &mut CpuState, w: Width, ty: Type, v: u64) -> Result<u64, EvalFault> {
    let v = signed(w, v);
    under_mxcsr(cpu, |env| match ty {
        Type::F32 => of_int::<F32>(v, env).word(),
        _ => of_int::<F64>(v, env).word(),
    })
}

/// `fp_convert`.
pub(super) fn convert(cpu: &mut CpuState, from: Type, to: Type, v: u64) -> Result<u64, EvalFault> {
    under_mxcsr(cpu, |env| match (from, to) {
        (Type::F32, Type::F64) => widen(F32::from_word(v), env).word(),
        (Type::F64, Type::F32) => narrow(F64::from_word(v), env).word(),
        _ => v,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Val;
    use super::super::testing::Case;
    use super::*;
    use crate::operand::{Flag, Num};
    use crate::ops::Op;
    use crate::region::Value;

    const A: Value = Value(0);
    const B: Value = Value(1);

    fn f32s(v: f32) -> Val {
        Val::int(v.to_bits().into())
    }

    fn f64s(v: f64) -> Val {
        Val::int(v.to_bits())
    }

    #[test]
    fn inexact_division_sets_its_flag() {
        let mut case = Case::new();
        let op = Op::FpArith { op: FpOp::Div, ty: Type::F64, a: A, b: B };
        assert_eq!(case.eval(op, &[f64s(1.0), f64s(3.0)]), Ok(f64s(1.0 / 3.0)));
        assert_eq!(case.cpu.mxcsr, 0x1fa0);
    }

    #[test]
    fn unmasked_exception_faults_with_its_flag_set() {
        let mut case = Case::new();
        case.cpu.mxcsr = 0x1f80 & !(1 << 9);
        let op = Op::FpArith { op: FpOp::Div, ty: Type::F32, a: A, b: B };
        assert_eq!(case.eval(op, &[f32s(1.0), f32s(0.0)]), Err(EvalFault::SimdFloat(Exceptions::DIVIDE_BY_ZERO)));
        assert_eq!(case.cpu.mxcsr & 0x3f, 4);
    }

    #[test]
    fn min_gives_the_second_of_equal_zeros() {
        let mut case = Case::new();
        let op = Op::FpArith { op: FpOp::Min, ty: Type::F32, a: A, b: B };
        assert_eq!(case.eval(op, &[f32s(0.0), f32s(-0.0)]), Ok(f32s(-0.0)));
        assert_eq!(case.eval(op, &[f32s(f32::NAN), f32s(2.0)]), Ok(f32s(2.0)));
        assert_eq!(case.cpu.mxcsr & 1, 1);
    }

    #[test]
    fn comparisons() {
        let mut case = Case::new();
        let ucomis = Op::FpCompareFlags { ty: Type::F64, signalling: Flag(false), a: A, b: B };
        let mut flags = |a, b| case.eval(ucomis, &[f64s(a), f64s(b)]).map(|v| v.low() as u32);
        assert_eq!(flags(1.0, 2.0), Ok(FlagSet::CF.bits()));
        assert_eq!(flags(2.0, 1.0), Ok(0));
        assert_eq!(flags(0.0, -0.0), Ok(FlagSet::ZF.bits()));
        assert_eq!(flags(f64::NAN, 1.0), Ok((FlagSet::ZF | FlagSet::PF | FlagSet::CF).bits()));
        assert_eq!(case.cpu.mxcsr, 0x1f80);
        let comis = Op::FpCompareFlags { ty: Type::F64, signalling: Flag(true), a: A, b: B };
        assert!(case.eval(comis, &[f64s(f64::NAN), f64s(1.0)]).is_ok());
        assert_eq!(case.cpu.mxcsr, 0x1f81);
        let unord = Op::FpCompareMask { ty: Type::F32, predicate: Num(3), a: A, b: B };
        assert_eq!(case.eval(unord, &[f32s(f32::NAN), f32s(1.0)]), Ok(Val::int(0xffff_ffff)));
    }

    #[test]
    fn conversions() {
        let mut case = Case::new();
        let op = |round, w| Op::FpToInt { ty: Type::F64, w, round, v: A };
        assert_eq!(case.eval(op(FpRound::Current, Width::W32), &[f64s(-2.5)]), Ok(Val::int(0xffff_fffe)));
        assert_eq!(case.eval(op(FpRound::Truncate, Width::W64), &[f64s(-2.7)]), Ok(Val::int(-2i64 as u64)));
        assert_eq!(case.eval(op(FpRound::Current, Width::W32), &[f64s(1e10)]), Ok(Val::int(0x8000_0000)));
        let op = Op::IntToFp { w: Width::W32, ty: Type::F32, v: A };
        assert_eq!(case.eval(op, &[Val::int(0x5_ffff_ffff)]), Ok(f32s(-1.0)));
        let op = Op::FpConvert { from: Type::F32, to: Type::F64, v: A };
        assert_eq!(case.eval(op, &[f32s(0.1)]), Ok(f64s(f64::from(0.1f32))));
        let op = Op::FpSqrt { ty: Type::F32, a: A };
        assert_eq!(case.eval(op, &[f32s(2.0)]), Ok(f32s(2f32.sqrt())));
    }
}
