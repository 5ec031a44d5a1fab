//! Conversions between the float formats.

use super::arith::exactly;
use super::env::{Exceptions, FloatEnv, Rounding};
use super::format::{Class, F16, F32, F80, Format, Unpacked};
use super::nan::propagate_one;
use super::round::round_to_precision;

/// `a` in the SSE format `R`: `cvtss2sd`, `cvtsd2ss`.
#[inline]
pub fn convert<A: Format, R: Format>(a: A, env: &mut FloatEnv) -> R {
    let a = a.unpack(env.denormals_are_zero);
    if !a.is_nan_or_refused() {
        env.raise(a.denormal_flag());
    }
    convert_unpacked(&a, env)
}

/// A half as a single: `vcvtph2ps`. Denormals convert silently, whatever DAZ says.
#[inline]
pub fn from_half(a: F16, env: &mut FloatEnv) -> F32 {
    convert_unpacked(&a.unpack(false), env)
}

/// A single as a half: `vcvtps2ph`. `rounding` is the immediate's mode or `env.rounding`; FTZ does not apply.
///
/// Unmasked underflow of a denormal single comes with PE, though nothing but the exponent does not fit.
#[inline]
pub fn to_half(a: F32, rounding: Rounding, env: &mut FloatEnv) -> F16 {
    let mut local = FloatEnv { rounding, flush_to_zero: false, ..*env };
    let result = convert(a, &mut local);
    if !env.masks(Exceptions::UNDERFLOW) && !a.unpack(env.denormals_are_zero).denormal_flag().is_empty() {
        local.raise(Exceptions::PRECISION);
    }
    env.flags = local.flags;
    result
}

/// A single or double from memory as the x87 loads it: `fld m32fp`, `fld m64fp`.
///
/// Not for the memory operands of arithmetic: pass those to the operation as they are.
#[inline]
pub fn load<A: Format>(a: A, env: &mut FloatEnv) -> F80 {
    let a = a.unpack(false);
    if !a.is_nan() {
        env.raise(a.denormal_flag());
    }
    convert_unpacked(&a, env)
}

/// `a` as the x87 stores it: `fst m32fp`, `fst m64fp`.
///
/// Raises C1 where it rounds up in magnitude. `fstp m80fp` moves bits and needs no function.
#[inline]
pub fn store<R: Format>(a: F80, env: &mut FloatEnv) -> R {
    let a = a.unpack(false);
    let before = env.flags;
    let result = convert_unpacked(&a, env);
    let range = (env.flags - env.masked) & (Exceptions::OVERFLOW | Exceptions::UNDERFLOW);
    if !range.is_empty() {
        // Nothing is stored, so nothing was rounded.
        env.flags = before | range;
    }
    result
}

#[inline]
fn convert_unpacked<R: Format>(a: &Unpacked, env: &mut FloatEnv) -> R {
    match a.class {
        Class::Finite => round_to_precision(exactly(a), R::PRECISION, env),
        Class::Zero => R::zero(a.negative),
        Class::Infinite => R::infinity(a.negative),
        Class::QuietNan | Class::SignalingNan | Class::Refused => propagate_one(a, env),
    }
}
