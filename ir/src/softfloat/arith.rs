//! Addition, subtraction, multiplication and division.

use super::env::{Exceptions, FloatEnv, Rounding};
use super::format::{Class, Format, Unpacked};
use super::nan::{invalid, propagate};
use super::round::{Exact, round, shift_right_jam};

/// `a + b`: `addss`, `addsd`, `fadd`.
#[inline]
pub fn add<A: Format, B: Format, R: Format>(a: A, b: B, env: &mut FloatEnv) -> R {
    let (a, b) = (a.unpack(env.denormals_are_zero), b.unpack(env.denormals_are_zero));
    add_unpacked(&a, &b, env)
}

/// `a - b`: `subss`, `subsd`, `fsub`, and with the operands exchanged `fsubr`.
#[inline]
pub fn sub<A: Format, B: Format, R: Format>(a: A, b: B, env: &mut FloatEnv) -> R {
    let (a, mut b) = (a.unpack(env.denormals_are_zero), b.unpack(env.denormals_are_zero));
    // A NaN keeps its sign.
    b.negative ^= !b.is_nan();
    add_unpacked(&a, &b, env)
}

#[inline]
fn add_unpacked<R: Format>(a: &Unpacked, b: &Unpacked, env: &mut FloatEnv) -> R {
    if !(a.is_finite_nonzero() && b.is_finite_nonzero()) {
        return add_special(a, b, env);
    }
    env.raise(a.denormal_flag() | b.denormal_flag());
    match sum(a, b) {
        Some(exact) => round(exact, env),
        None => R::zero(env.rounding == Rounding::Down),
    }
}

/// The exact sum of two finite non-zero values, up to jamming; `None` if it is zero.
#[inline]
pub(crate) fn sum(a: &Unpacked, b: &Unpacked) -> Option<Exact> {
    let swap = (a.exponent, a.significand) < (b.exponent, b.significand);
    let (a, b) = if swap { (b, a) } else { (a, b) };
    let distance = (a.exponent - b.exponent) as u32;
    let large = u128::from(a.significand) << 64;
    let small = shift_right_jam(u128::from(b.significand) << 64, distance);
    if a.negative == b.negative {
        let (sum, carry) = large.overflowing_add(small);
        // The jammed bit 0 stays sticky when the sum moves down one place.
        let sum = if carry { sum >> 1 | sum & 1 | 1 << 127 } else { sum };
        return Some(Exact {
            negative: a.negative,
            exponent: a.exponent + i32::from(carry),
            high: (sum >> 64) as u64,
            low: sum as u64,
        });
    }
    let difference = large - small;
    (difference != 0).then(|| Exact::normalised(a.negative, a.exponent, difference))
}

#[cold]
fn add_special<R: Format>(a: &Unpacked, b: &Unpacked, env: &mut FloatEnv) -> R {
    if a.is_nan_or_refused() || b.is_nan_or_refused() {
        return propagate(a, b, env);
    }
    if a.class == Class::Infinite && b.class == Class::Infinite && a.negative != b.negative {
        return invalid(env);
    }
    env.raise(a.denormal_flag() | b.denormal_flag());
    match (a.class, b.class) {
        (Class::Infinite, _) => R::infinity(a.negative),
        (_, Class::Infinite) => R::infinity(b.negative),
        (Class::Zero, Class::Zero) if a.negative == b.negative => R::zero(a.negative),
        (Class::Zero, Class::Zero) => R::zero(env.rounding == Rounding::Down),
        (Class::Zero, _) => round(exactly(b), env),
        _ => round(exactly(a), env),
    }
}

/// A finite non-zero operand as a result that may still need rounding.
#[inline]
pub(crate) fn exactly(u: &Unpacked) -> Exact {
    Exact { negative: u.negative, exponent: u.exponent, high: u.significand, low: 0 }
}

/// `a * b`: `mulss`, `mulsd`, `fmul`.
#[inline]
pub fn mul<A: Format, B: Format, R: Format>(a: A, b: B, env: &mut FloatEnv) -> R {
    let (a, b) = (a.unpack(env.denormals_are_zero), b.unpack(env.denormals_are_zero));
    let negative = a.negative ^ b.negative;
    if !(a.is_finite_nonzero() && b.is_finite_nonzero()) {
        return mul_special(&a, &b, negative, env);
    }
    env.raise(a.denormal_flag() | b.denormal_flag());
    let product = u128::from(a.significand) * u128::from(b.significand);
    round(Exact::normalised(negative, a.exponent + b.exponent + 1, product), env)
}

#[cold]
fn mul_special<R: Format>(a: &Unpacked, b: &Unpacked, negative: bool, env: &mut FloatEnv) -> R {
    if a.is_nan_or_refused() || b.is_nan_or_refused() {
        return propagate(a, b, env);
    }
    let infinite = a.class == Class::Infinite || b.class == Class::Infinite;
    let zero = a.class == Class::Zero || b.class == Class::Zero;
    if infinite && zero {
        return invalid(env);
    }
    env.raise(a.denormal_flag() | b.denormal_flag());
    if infinite { R::infinity(negative) } else { R::zero(negative) }
}

/// `a / b`: `divss`, `divsd`, `fdiv`, and with the operands exchanged `fdivr`.
#[inline]
pub fn div<A: Format, B: Format, R: Format>(a: A, b: B, env: &mut FloatEnv) -> R {
    let (a, b) = (a.unpack(env.denormals_are_zero), b.unpack(env.denormals_are_zero));
    let negative = a.negative ^ b.negative;
    if !(a.is_finite_nonzero() && b.is_finite_nonzero()) {
        return div_special(&a, &b, negative, env);
    }
    env.raise(a.denormal_flag() | b.denormal_flag());
    let exponent = a.exponent - b.exponent;
    if A::PRECISION <= 32 && B::PRECISION <= 32 {
        // Both significands end in 32 zeros: one 64-bit division gives 31 or 32 quotient bits.
        let (dividend, divisor) = (a.significand >> 1, b.significand >> 32);
        let (quotient, rest) = (dividend / divisor, dividend % divisor);
        let significand = u128::from(quotient) << 96 | u128::from(rest != 0);
        return round(Exact::normalised(negative, exponent, significand), env);
    }
    // A quotient in [2^63, 2^64), whatever the operands' order.
    let smaller = a.significand < b.significand;
    let dividend = u128::from(a.significand) << (63 + u32::from(smaller));
    let divisor = u128::from(b.significand);
    let high = (dividend / divisor) as u64;
    let rest = (dividend - u128::from(high) * divisor) as u64;
    // The remaining fraction rest / divisor, known as well as rounding needs it: 0, below, at or above one half.
    let low = if rest == 0 {
        0
    } else {
        match (rest >> 63 != 0, (rest << 1).cmp(&b.significand)) {
            (false, std::cmp::Ordering::Less) => 1,
            (false, std::cmp::Ordering::Equal) => 1 << 63,
            _ => 1 << 63 | 1,
        }
    };
    round(Exact { negative, exponent: exponent - i32::from(smaller), high, low }, env)
}

#[cold]
fn div_special<R: Format>(a: &Unpacked, b: &Unpacked, negative: bool, env: &mut FloatEnv) -> R {
    if a.is_nan_or_refused() || b.is_nan_or_refused() {
        return propagate(a, b, env);
    }
    match (a.class, b.class) {
        (Class::Infinite, Class::Infinite) | (Class::Zero, Class::Zero) => invalid(env),
        (Class::Infinite, _) => {
            env.raise(b.denormal_flag());
            R::infinity(negative)
        }
        (_, Class::Zero) => {
            env.raise(Exceptions::DIVIDE_BY_ZERO);
            R::infinity(negative)
        }
        _ => {
            env.raise(a.denormal_flag() | b.denormal_flag());
            R::zero(negative)
        }
    }
}
