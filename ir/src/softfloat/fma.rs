//! Fused multiply-add for the SSE formats.

use super::env::{Exceptions, FloatEnv, Rounding};
use super::format::{Class, Format, Unpacked};
use super::nan::quiet;
use super::round::{Exact, round, shift_right_jam};

/// Signs of a fused multiply-add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MulAdd {
    /// `a * b + c`: `vfmadd`.
    Add,
    /// `a * b - c`: `vfmsub`.
    Sub,
    /// `-(a * b) + c`: `vfnmadd`.
    NegativeAdd,
    /// `-(a * b) - c`: `vfnmsub`.
    NegativeSub,
}

/// `±(a * b) ± c` with one rounding.
///
/// Among NaNs the first of `a`, `b`, `c` wins. With operands numbered as the instruction lists them, `a, b, c` are for the
/// 132 forms 1, 3, 2, for 213 2, 1, 3, and for 231 2, 3, 1.
#[inline]
pub fn fma<R: Format>(signs: MulAdd, a: R, b: R, c: R, env: &mut FloatEnv) -> R {
    let daz = env.denormals_are_zero;
    let (a, b, mut c) = (a.unpack(daz), b.unpack(daz), c.unpack(daz));
    let minus_product = matches!(signs, MulAdd::NegativeAdd | MulAdd::NegativeSub);
    let minus_addend = matches!(signs, MulAdd::Sub | MulAdd::NegativeSub);
    if a.is_nan() || b.is_nan() || c.is_nan() {
        return propagate(&[a, b, c], env);
    }
    c.negative ^= minus_addend;
    let negative = a.negative ^ b.negative ^ minus_product;
    if !(a.is_finite_nonzero() && b.is_finite_nonzero() && c.is_finite_nonzero()) {
        return special(&a, &b, &c, negative, env);
    }
    env.raise(a.denormal_flag() | b.denormal_flag() | c.denormal_flag());
    let product = product(&a, &b, negative);
    let product_bits = u128::from(product.high) << 64 | u128::from(product.low);
    let addend_bits = u128::from(c.significand) << 64;
    let swap = (product.exponent, product_bits) < (c.exponent, addend_bits);
    let distance = (product.exponent - c.exponent).unsigned_abs();
    let (sign, exponent, large, small) = if swap {
        (c.negative, c.exponent, addend_bits, product_bits)
    } else {
        (negative, product.exponent, product_bits, addend_bits)
    };
    // A product of 53-bit significands leaves 22 bits below it: where jamming loses bits, at most one leading bit
    // cancels.
    let small = shift_right_jam(small, distance);
    if negative == c.negative {
        let (sum, carry) = large.overflowing_add(small);
        let sum = if carry { sum >> 1 | sum & 1 | 1 << 127 } else { sum };
        return round(Exact::normalised(sign, exponent + i32::from(carry), sum), env);
    }
    match large - small {
        0 => R::zero(env.rounding == Rounding::Down),
        difference => round(Exact::normalised(sign, exponent, difference), env),
    }
}

/// The exact product of two finite non-zero values.
#[inline]
fn product(a: &Unpacked, b: &Unpacked, negative: bool) -> Exact {
    let bits = u128::from(a.significand) * u128::from(b.significand);
    Exact::normalised(negative, a.exponent + b.exponent + 1, bits)
}

#[cold]
fn propagate<R: Format>(operands: &[Unpacked; 3], env: &mut FloatEnv) -> R {
    if operands.iter().any(|u| u.class == Class::SignalingNan) {
        env.raise(Exceptions::INVALID);
    }
    match operands.iter().find(|u| u.is_nan()) {
        Some(nan) => quiet(nan),
        None => R::default_nan(),
    }
}

fn infinity_times_zero(a: &Unpacked, b: &Unpacked) -> bool {
    matches!((a.class, b.class), (Class::Infinite, Class::Zero) | (Class::Zero, Class::Infinite))
}

/// No NaNs, and not all three finite and non-zero. `c` has the sign with which it is added.
#[cold]
fn special<R: Format>(a: &Unpacked, b: &Unpacked, c: &Unpacked, negative: bool, env: &mut FloatEnv) -> R {
    let infinite = a.class == Class::Infinite || b.class == Class::Infinite;
    let clash = infinite && c.class == Class::Infinite && c.negative != negative;
    if infinity_times_zero(a, b) || clash {
        env.raise(Exceptions::INVALID);
        return R::default_nan();
    }
    env.raise(a.denormal_flag() | b.denormal_flag() | c.denormal_flag());
    if infinite {
        return R::infinity(negative);
    }
    let zero_product = a.class == Class::Zero || b.class == Class::Zero;
    match c.class {
        Class::Infinite => R::infinity(c.negative),
        Class::Zero if !zero_product => round(product(a, b, negative), env),
        Class::Zero if negative == c.negative => R::zero(negative),
        Class::Zero => R::zero(env.rounding == Rounding::Down),
        _ => round(Exact { negative: c.negative, exponent: c.exponent, high: c.significand, low: 0 }, env),
    }
}
