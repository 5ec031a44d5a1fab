//! Conversions between floats and integers.

use super::env::{Exceptions, FloatEnv, Rounding};
use super::format::{Class, Format};
use super::round::{Exact, report, round_to_precision};

/// A float's magnitude rounded to an integer.
struct Whole {
    negative: bool,
    /// Saturated: magnitudes of `2^64` and more, infinities, NaNs and refused encodings are `u128::MAX`.
    magnitude: u128,
    inexact: bool,
    up: bool,
}

/// Rounds to an integer.
#[inline]
fn whole<A: Format>(a: A, rounding: Rounding, env: &FloatEnv) -> Whole {
    let a = a.unpack(env.denormals_are_zero);
    let negative = a.negative;
    let exactly = |magnitude| Whole { negative, magnitude, inexact: false, up: false };
    match a.class {
        Class::Zero => exactly(0),
        Class::Finite if a.exponent < 64 => {
            // Integer part in the upper half, fraction in the lower.
            let (integer, fraction) = match a.exponent {
                63 => (a.significand, 0),
                0..63 => (a.significand >> (63 - a.exponent), a.significand << (a.exponent + 1)),
                -1 => (0, a.significand),
                _ => (0, 1),
            };
            let (half, rest) = (fraction >> 63 != 0, fraction << 1 != 0);
            let up = rounding.rounds_up(negative, integer & 1 != 0, half, rest);
            let magnitude = u128::from(integer) + u128::from(up);
            Whole { negative, magnitude, inexact: half | rest, up }
        }
        _ => exactly(u128::MAX),
    }
}

impl Whole {
    /// The value as a two's complement number of `bits` bits, or `None` with IE if it does not fit.
    #[inline]
    fn signed(self, bits: u32, env: &mut FloatEnv) -> Option<i64> {
        let limit = (1u128 << (bits - 1)) - u128::from(!self.negative);
        if self.magnitude > limit {
            env.raise(Exceptions::INVALID);
            return None;
        }
        report(self.inexact, self.up, env);
        let magnitude = self.magnitude as u64 as i64;
        Some(if self.negative { magnitude.wrapping_neg() } else { magnitude })
    }

    /// The value as an unsigned number of `bits` bits, or `None` with IE if it does not fit.
    #[inline]
    fn unsigned(self, bits: u32, env: &mut FloatEnv) -> Option<u64> {
        if self.magnitude >> bits != 0 || self.negative && self.magnitude != 0 {
            env.raise(Exceptions::INVALID);
            return None;
        }
        report(self.inexact, self.up, env);
        Some(self.magnitude as u64)
    }
}

/// `a` as a 16-bit integer: `fist m16int`; with [`Rounding::Zero`], `fisttp`.
///
/// What does not fit becomes the "integer indefinite" `i16::MIN`, with IE. Denormal operands raise no DE.
#[inline]
pub fn to_i16<A: Format>(a: A, rounding: Rounding, env: &mut FloatEnv) -> i16 {
    whole(a, rounding, env).signed(16, env).map_or(i16::MIN, |v| v as i16)
}

/// `a` as a 32-bit integer: `cvtss2si`, `cvtps2dq`, `fist m32int`; with [`Rounding::Zero`] the `cvtt` forms, `fisttp`.
///
/// What does not fit becomes the "integer indefinite" `i32::MIN`, with IE. Denormal operands raise no DE.
#[inline]
pub fn to_i32<A: Format>(a: A, rounding: Rounding, env: &mut FloatEnv) -> i32 {
    whole(a, rounding, env).signed(32, env).map_or(i32::MIN, |v| v as i32)
}

/// `a` as a 64-bit integer: `cvtss2si r64`, `fistp m64int`; with [`Rounding::Zero`] the `cvtt` forms, `fisttp`.
///
/// What does not fit becomes the "integer indefinite" `i64::MIN`, with IE. Denormal operands raise no DE.
#[inline]
pub fn to_i64<A: Format>(a: A, rounding: Rounding, env: &mut FloatEnv) -> i64 {
    whole(a, rounding, env).signed(64, env).unwrap_or(i64::MIN)
}

/// `a` as an unsigned 32-bit integer (`vcvtss2usi`); what does not fit becomes `u32::MAX`, with IE.
#[inline]
pub fn to_u32<A: Format>(a: A, rounding: Rounding, env: &mut FloatEnv) -> u32 {
    whole(a, rounding, env).unsigned(32, env).map_or(u32::MAX, |v| v as u32)
}

/// `a` as an unsigned 64-bit integer (`vcvtss2usi`); what does not fit becomes `u64::MAX`, with IE.
#[inline]
pub fn to_u64<A: Format>(a: A, rounding: Rounding, env: &mut FloatEnv) -> u64 {
    whole(a, rounding, env).unsigned(64, env).unwrap_or(u64::MAX)
}

/// `v` in format `R`: `cvtsi2ss`, `cvtdq2pd`, `fild` (exact; precision control does not apply).
#[inline]
pub fn from_i64<R: Format>(v: i64, env: &mut FloatEnv) -> R {
    from_magnitude(v < 0, v.unsigned_abs(), env)
}

/// `v` in format `R`, as [`from_i64`].
#[inline]
pub fn from_i32<R: Format>(v: i32, env: &mut FloatEnv) -> R {
    from_i64(i64::from(v), env)
}

/// `v` in format `R`: `vcvtusi2ss`.
#[inline]
pub fn from_u64<R: Format>(v: u64, env: &mut FloatEnv) -> R {
    from_magnitude(false, v, env)
}

/// `v` in format `R`, as [`from_u64`].
#[inline]
pub fn from_u32<R: Format>(v: u32, env: &mut FloatEnv) -> R {
    from_u64(u64::from(v), env)
}

#[inline]
fn from_magnitude<R: Format>(negative: bool, magnitude: u64, env: &mut FloatEnv) -> R {
    if magnitude == 0 {
        return R::zero(false);
    }
    let shift = magnitude.leading_zeros();
    let exact = Exact { negative, exponent: 63 - shift as i32, high: magnitude << shift, low: 0 };
    round_to_precision(exact, R::PRECISION, env)
}
