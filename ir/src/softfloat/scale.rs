//! Taking extended values apart and putting them together: `fxtract`, `fscale`.

use super::arith::exactly;
use super::env::{Exceptions, FloatEnv};
use super::format::{Class, F80, Format, Unpacked};
use super::integer::from_i32;
use super::nan::{invalid, propagate, propagate_one};
use super::round::round_to_precision;

/// `fscale`: `a * 2^n`, where `n` is `b` rounded toward zero. Precision control does not apply.
#[must_use]
pub fn scale(a: F80, b: F80, env: &mut FloatEnv) -> F80 {
    let original = a;
    let (a, b) = (a.unpack(false), b.unpack(false));
    if a.is_nan_or_refused() || b.is_nan_or_refused() {
        return propagate(&a, &b, env);
    }
    if b.class == Class::Infinite {
        let (result, clash) = if b.negative {
            (F80::zero(a.negative), Class::Infinite)
        } else {
            (F80::infinity(a.negative), Class::Zero)
        };
        if a.class == clash {
            return invalid(env);
        }
        env.raise(a.denormal_flag());
        return result;
    }
    env.raise(a.denormal_flag() | b.denormal_flag());
    match a.class {
        Class::Infinite => F80::infinity(a.negative),
        Class::Zero => F80::zero(a.negative),
        // Not even a tiny value with unmasked underflow is touched.
        _ if b.class == Class::Zero => original.canonical(),
        _ => {
            let mut exact = exactly(&a);
            exact.exponent += truncated(&b);
            round_to_precision(exact, F80::PRECISION, env)
        }
    }
}

/// A finite value rounded toward zero; large magnitudes become `±2^16`, which takes every value out of range.
fn truncated(u: &Unpacked) -> i32 {
    let magnitude = match (u.class, u.exponent) {
        (Class::Zero, _) | (_, ..0) => 0,
        (_, exponent @ 0..16) => (u.significand >> (63 - exponent)) as i32,
        _ => 1 << 16,
    };
    if u.negative { -magnitude } else { magnitude }
}

/// What `fxtract` leaves in ST0 and ST1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extracted {
    /// The significand, with the operand's sign and a magnitude in `[1, 2)`: the new top.
    pub significand: F80,
    /// The unbiased exponent: takes the operand's place, below the top.
    pub exponent: F80,
}

/// `fxtract`: significand and exponent of `a`.
#[must_use]
pub fn extract(a: F80, env: &mut FloatEnv) -> Extracted {
    let u = a.unpack(false);
    match u.class {
        Class::Finite => {
            env.raise(u.denormal_flag());
            Extracted {
                significand: F80::pack(u.negative, F80::MAX_EXPONENT as u32, u.significand),
                exponent: from_i32(u.exponent, env),
            }
        }
        Class::Zero => {
            env.raise(Exceptions::DIVIDE_BY_ZERO);
            Extracted { significand: a, exponent: F80::infinity(true) }
        }
        Class::Infinite => Extracted { significand: a, exponent: F80::infinity(false) },
        Class::QuietNan | Class::SignalingNan | Class::Refused => {
            let nan = propagate_one(&u, env);
            Extracted { significand: nan, exponent: nan }
        }
    }
}
