//! Powers and logarithms of base 2: `f2xm1`, `fyl2x`, `fyl2xp1`.

use super::series;
use super::wide::Wide;
use crate::softfloat::classify::{Kind, classify};
use crate::softfloat::env::{Exceptions, FloatEnv};
use crate::softfloat::format::{Class, F80, Format, Unpacked};
use crate::softfloat::nan::{invalid, propagate, propagate_one};
use crate::softfloat::round::round_to_precision;

/// `ln 2`.
const LN_2: Wide = Wide::constant(-1, 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af);
/// `2 / ln 2`.
const TWO_OVER_LN_2: Wide = Wide::constant(1, 0xb8aa_3b29_5c17_f0bb_be87_fed0_691d_3e89);

/// `f2xm1`: `2^a - 1` for `a` in `[-1, 1]`.
///
/// Finite operands outside are undefined; they come back unchanged.
#[must_use]
pub fn exp2_minus_1(a: F80, env: &mut FloatEnv) -> F80 {
    let u = a.unpack(false);
    match u.class {
        Class::Finite => {}
        Class::Zero => return a,
        Class::Infinite if u.negative => return F80::ONE.negate(),
        Class::Infinite => return a,
        _ => return propagate_one(&u, env),
    }
    env.raise(u.denormal_flag());
    if u.exponent >= 0 {
        env.raise(Exceptions::PRECISION);
        const MINUS_HALF: F80 = F80 { significand: 1 << 63, sign_exponent: 0xbffe };
        return if a == F80::ONE.negate() { MINUS_HALF } else { a };
    }
    let x = Wide::from_operand(&u).mul(LN_2);
    let result = x.mul(Wide::new(false, 0, series::exponential(x.fraction(), u.negative)));
    round_to_precision(result.exact(true), F80::PRECISION, env)
}

/// `fyl2x`: `y * log2(x)`, where `x` is ST0 and `y` ST1.
#[must_use]
pub fn log2_times(x: F80, y: F80, env: &mut FloatEnv) -> F80 {
    let (x, y) = (x.unpack(false), y.unpack(false));
    if x.is_nan_or_refused() || y.is_nan_or_refused() {
        return propagate(&x, &y, env);
    }
    if x.class == Class::Zero {
        return match y.class {
            Class::Zero => invalid(env),
            Class::Infinite => F80::infinity(!y.negative),
            _ => {
                env.raise(Exceptions::DIVIDE_BY_ZERO);
                F80::infinity(!y.negative)
            }
        };
    }
    if x.negative {
        return invalid(env);
    }
    let logarithm = if x.class == Class::Infinite { None } else { Some(log2(&x)) };
    product(&x, &y, logarithm, env)
}

/// `fyl2xp1`: `y * log2(x + 1)`, where `x` is ST0 and `y` ST1, for `x` in `±(1 - sqrt(1/2))`.
///
/// Undefined operands beyond that do as on Intel's processors: larger ones have their logarithm, -1 and less come back.
#[must_use]
pub fn log2_plus_1_times(x: F80, y: F80, env: &mut FloatEnv) -> F80 {
    let original = x;
    let (x, y) = (x.unpack(false), y.unpack(false));
    if x.is_nan_or_refused() || y.is_nan_or_refused() {
        return propagate(&x, &y, env);
    }
    if x.class == Class::Infinite && x.negative {
        return invalid(env);
    }
    let below = x.class == Class::Finite && x.negative && x.exponent >= 0;
    if below && y.class == Class::Finite {
        env.raise(x.denormal_flag() | y.denormal_flag() | Exceptions::PRECISION);
        return original;
    }
    let logarithm = match x.class {
        Class::Infinite => None,
        Class::Zero => Some((Wide { negative: x.negative, ..Wide::ZERO }, false)),
        // Here the sign alone counts.
        _ if below => Some((Wide::from_integer(-1), false)),
        _ => Some((log2_plus_1(&x), true)),
    };
    product(&x, &y, logarithm, env)
}

/// `y` times a logarithm (`None`: infinite) that is not exact where its flag says so.
fn product(x: &Unpacked, y: &Unpacked, logarithm: Option<(Wide, bool)>, env: &mut FloatEnv) -> F80 {
    let (infinite, zero, negative, inexact) = match logarithm {
        None => (true, false, false, false),
        Some((l, inexact)) => (false, l.is_zero(), l.negative, inexact),
    };
    let negative = negative ^ y.negative;
    if infinite && y.class == Class::Zero || zero && y.class == Class::Infinite {
        return invalid(env);
    }
    env.raise(x.denormal_flag() | y.denormal_flag());
    match logarithm {
        _ if y.class == Class::Zero || zero => F80::zero(negative),
        Some((l, _)) if y.class == Class::Finite => {
            let result = round_to_precision(Wide::from_operand(y).mul(l).exact(inexact), F80::PRECISION, env);
            // Processors report products with exact logarithms as inexact, too.
            env.raise(Exceptions::PRECISION);
            if classify(result) == Kind::Denormal {
                env.raise(Exceptions::UNDERFLOW);
            }
            result
        }
        _ => F80::infinity(negative),
    }
}

/// The logarithm of a positive finite value, and whether it is inexact.
fn log2(x: &Unpacked) -> (Wide, bool) {
    /// The square root of 2.
    const ROOT: u64 = 0xb504_f333_f9de_6484;
    if x.significand == 1 << 63 {
        return (Wide::from_integer(x.exponent), false);
    }
    // x = m * 2^exponent with m in (sqrt(1/2), sqrt(2)); log2(m) = 2 / ln 2 * artanh((m - 1) / (m + 1)).
    let significand = u128::from(x.significand);
    let (exponent, one) = if x.significand > ROOT { (x.exponent + 1, 1u128 << 64) } else { (x.exponent, 1 << 63) };
    let (negative, difference) = (significand < one, significand.abs_diff(one));
    let z = Wide::new(negative, 0, difference).div(Wide::new(false, 0, significand + one));
    (Wide::from_integer(exponent).add(artanh_over_half_ln_2(z)), true)
}

/// `log2(1 + x)` for finite non-zero `x > -1`.
fn log2_plus_1(x: &Unpacked) -> Wide {
    let small = x.exponent < -2;
    let x = Wide::from_operand(x);
    if !small {
        // Here 1 + x is exact for every defined operand.
        return log2_wide(x.add(Wide::from_integer(1)));
    }
    artanh_over_half_ln_2(x.div(x.add(Wide::from_integer(2))))
}

/// The logarithm of a positive value with its whole 128-bit significand.
fn log2_wide(x: Wide) -> Wide {
    const ROOT: u128 = 0xb504_f333_f9de_6484 << 64;
    let exponent = x.exponent + i32::from(x.significand > ROOT);
    let m = Wide { exponent: x.exponent - exponent, ..x };
    let one = Wide::from_integer(1);
    let z = m.sub(one).div(m.add(one));
    Wide::from_integer(exponent).add(artanh_over_half_ln_2(z))
}

/// `2 / ln 2 * artanh(z)`, `|z| < 0.1716`.
fn artanh_over_half_ln_2(z: Wide) -> Wide {
    let series = Wide::new(false, 0, series::area_tangent(z.mul(z).fraction()));
    z.mul(series).mul(TWO_OVER_LN_2)
}
