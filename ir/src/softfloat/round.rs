//! The one place where exact results become bits of a format.

use super::env::{Exceptions, FloatEnv, Rounding};
use super::format::Format;

/// A finite non-zero result before rounding: `(-1)^negative * (high + low / 2^64) / 2^63 * 2^exponent`.
///
/// Bit 63 of `high` is set. Bits below the 128 are or-ed into bit 0 of `low`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    pub(crate) negative: bool,
    pub(crate) exponent: i32,
    pub(crate) high: u64,
    pub(crate) low: u64,
}

impl Exact {
    /// From a significand of 128 bits that is not zero, whose bit 127 weighs `2^exponent`.
    #[inline]
    pub(crate) fn normalised(negative: bool, exponent: i32, significand: u128) -> Self {
        let shift = significand.leading_zeros();
        let significand = significand << shift;
        Self { negative, exponent: exponent - shift as i32, high: (significand >> 64) as u64, low: significand as u64 }
    }
}

/// By how much the x87 moves the exponent of a result whose overflow or underflow is unmasked.
const UNMASKED_ADJUST: i32 = 24576;

/// `value >> by`, with all bits that fall off or-ed into bit 0.
#[inline]
pub(crate) fn shift_right_jam(value: u128, by: u32) -> u128 {
    if by == 0 {
        value
    } else if by < 128 {
        value >> by | u128::from(value << (128 - by) != 0)
    } else {
        u128::from(value != 0)
    }
}

/// A significand cut to some precision.
struct Cut {
    /// Left-aligned; bit 63 is clear only if it was clear before. 0 with `carry` stands for `2^64`.
    significand: u64,
    carry: bool,
    inexact: bool,
    up: bool,
}

/// Rounds the significand `high:low` to its upper `precision` bits.
#[inline]
fn cut(rounding: Rounding, negative: bool, high: u64, low: u64, precision: u32) -> Cut {
    let drop = 64 - precision;
    let (kept, half, rest, unit) = if drop == 0 {
        (high, low >> 63 != 0, low << 1 != 0, 1)
    } else {
        let unit = 1u64 << drop;
        let half = unit >> 1;
        (high & !(unit - 1), high & half != 0, high & (half - 1) != 0 || low != 0, unit)
    };
    let up = rounding.rounds_up(negative, kept & unit != 0, half, rest);
    let (significand, carry) = if up { kept.overflowing_add(unit) } else { (kept, false) };
    Cut { significand, carry, inexact: half | rest, up }
}

/// Rounds to `R` under the rules and the precision control in `env`.
#[inline]
pub(crate) fn round<R: Format>(exact: Exact, env: &mut FloatEnv) -> R {
    let precision = R::result_precision(env);
    round_to_precision(exact, precision, env)
}

/// As [`round`], with `precision` significand bits whatever the precision control says.
#[inline]
pub(crate) fn round_to_precision<R: Format>(exact: Exact, precision: u32, env: &mut FloatEnv) -> R {
    let Exact { negative, exponent, high, low } = exact;
    let c = cut(env.rounding, negative, high, low, precision);
    let rounded_exponent = exponent + i32::from(c.carry);
    let significand = c.significand | u64::from(c.carry) << 63;
    if rounded_exponent < 1 - R::MAX_EXPONENT {
        return underflow(exact, precision, rounded_exponent, &c, env);
    }
    if rounded_exponent > R::MAX_EXPONENT {
        return overflow(negative, precision, rounded_exponent, &c, env);
    }
    report(c.inexact, c.up, env);
    // A tiny value may have rounded up to the smallest normal one; that is not tiny (tininess is found after rounding),
    // and its denormal rounding agrees, so there is nothing more to do.
    R::pack(negative, (rounded_exponent + R::MAX_EXPONENT) as u32, significand)
}

/// Raises PE, and C1 with it.
#[inline]
pub(crate) fn report(inexact: bool, up: bool, env: &mut FloatEnv) {
    if inexact {
        env.raise(Exceptions::PRECISION);
    }
    if up {
        env.raise(Exceptions::ROUNDED_UP);
    }
}

/// The result of a value that is tiny after rounding.
#[cold]
fn underflow<R: Format>(exact: Exact, precision: u32, rounded_exponent: i32, c: &Cut, env: &mut FloatEnv) -> R {
    let Exact { negative, exponent, high, low } = exact;
    if !env.masks(Exceptions::UNDERFLOW) {
        env.raise(Exceptions::UNDERFLOW);
        if !R::X87 {
            // Not delivered; PE says whether the precision alone would have lost anything.
            report(c.inexact, c.up, env);
            return R::zero(negative);
        }
        let biased = rounded_exponent + UNMASKED_ADJUST + R::MAX_EXPONENT;
        if biased <= 0 {
            // `fscale` alone gets here.
            env.raise(Exceptions::PRECISION);
            return R::zero(negative);
        }
        report(c.inexact, c.up, env);
        return R::pack(negative, biased as u32, c.significand | u64::from(c.carry) << 63);
    }
    if !R::X87 && env.flush_to_zero {
        env.raise(Exceptions::UNDERFLOW | Exceptions::PRECISION);
        return R::zero(negative);
    }
    let shift = (1 - R::MAX_EXPONENT - exponent) as u32;
    let wide = shift_right_jam(u128::from(high) << 64 | u128::from(low), shift);
    let c = cut(env.rounding, negative, (wide >> 64) as u64, wide as u64, precision);
    if c.inexact {
        env.raise(Exceptions::UNDERFLOW);
    }
    report(c.inexact, c.up, env);
    R::pack(negative, (c.significand >> 63) as u32, c.significand)
}

/// The result of a value that is too large after rounding.
#[cold]
fn overflow<R: Format>(negative: bool, precision: u32, rounded_exponent: i32, c: &Cut, env: &mut FloatEnv) -> R {
    env.raise(Exceptions::OVERFLOW);
    if !env.masks(Exceptions::OVERFLOW) {
        if !R::X87 {
            // Not delivered, as above.
            report(c.inexact, c.up, env);
            return R::infinity(negative);
        }
        let biased = rounded_exponent - UNMASKED_ADJUST + R::MAX_EXPONENT;
        if biased < R::TOP as i32 {
            report(c.inexact, c.up, env);
            return R::pack(negative, biased as u32, c.significand | u64::from(c.carry) << 63);
        }
        // `fscale` alone gets here.
        report(true, true, env);
        return R::infinity(negative);
    }
    // To infinity wherever the mode would move away from zero.
    let up = env.rounding.rounds_up(negative, true, true, true);
    report(true, up, env);
    if up { R::infinity(negative) } else { R::pack(negative, R::TOP - 1, u64::MAX << (64 - precision)) }
}
