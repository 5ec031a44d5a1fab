//! What processors of another make than Intel's do otherwise (`docs/differential.md`). On Intel's, all stays as it is.

use hokku_ir::softfloat::{Exceptions, F32, F80, FloatEnv};
use hokku_tests::fuzz::makes::estimate_one;
use hokku_tests::is_of_another_make;

/// How far an underflow that is not masked moves the exponent: SDM volume 1, 8.5.5.
const SCALE: u16 = 0x6000;

/// `result`, of `st0`: where it is the same denormal number, another make tells of an underflow that is not masked.
pub(crate) fn told(st0: F80, result: F80, env: &mut FloatEnv) -> F80 {
    let sign = st0.sign_exponent & 0x8000;
    let denormal = st0.sign_exponent == sign && st0.significand != 0 && st0.significand >> 63 == 0;
    let refused = env.flags.intersects(Exceptions::BEFORE.difference(env.masked));
    let silent = refused || env.masked.contains(Exceptions::UNDERFLOW);
    if !is_of_another_make() || !denormal || result != st0 || silent {
        return result;
    }
    env.flags |= Exceptions::UNDERFLOW;
    let shift = st0.significand.leading_zeros();
    F80 { significand: st0.significand << shift, sign_exponent: sign | (1 + SCALE - shift as u16) }
}

/// `native` without the scale of an underflow that is not masked and that another make alone tells of.
pub(crate) fn without_scale(native: F80, told: Exceptions, ours: Exceptions, masked: Exceptions) -> F80 {
    let more = told.difference(ours).difference(masked).contains(Exceptions::UNDERFLOW);
    let (sign, exponent) = (native.sign_exponent & 0x8000, native.sign_exponent & 0x7fff);
    // Only numbers about the least normal one.
    if !is_of_another_make() || !more || !(SCALE - 64..=SCALE + 1).contains(&exponent) {
        return native;
    }
    match exponent.checked_sub(SCALE) {
        Some(exponent @ 1..) => F80 { sign_exponent: sign | exponent, ..native },
        _ => F80 { significand: native.significand >> (SCALE + 1 - exponent).min(63), sign_exponent: sign },
    }
}

/// `native`, an estimate with its flags; on another make ours, where that is of the same number.
pub(crate) fn estimate(native: (u64, u32), ours: F32) -> (u64, u32) {
    let near = estimate_one(f32::from_bits(native.0 as u32), f32::from_bits(ours.0));
    if is_of_another_make() && near { (u64::from(ours.0), native.1) } else { native }
}
