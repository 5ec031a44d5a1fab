//! Rounding to an integral value in the same format.

use super::env::{FloatEnv, Rounding};
use super::format::{Class, Format};
use super::nan::propagate_one;
use super::round::report;

/// Whether rounding to an integral value reports PE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inexact {
    /// PE, and C1 for the x87.
    Report,
    /// Nothing: bit 3 of the immediate of `roundss` and its relatives.
    Suppress,
}

/// `a` rounded to an integral value: `roundss`, `roundsd`, `frndint`.
///
/// `rounding` is the immediate's mode or `env.rounding`. A result of zero keeps the sign.
#[inline]
pub fn round_to_integral<F: Format>(a: F, rounding: Rounding, inexact: Inexact, env: &mut FloatEnv) -> F {
    let u = a.unpack(env.denormals_are_zero);
    match u.class {
        Class::Finite => {}
        Class::Zero => return F::zero(u.negative),
        Class::Infinite => return a,
        _ => return propagate_one(&u, env),
    }
    if F::X87 {
        env.raise(u.denormal_flag());
    }
    if u.exponent >= F::PRECISION as i32 - 1 {
        return a;
    }
    let (kept, unit, half, rest) = match u.exponent {
        0.. => {
            let unit = 1u64 << (63 - u.exponent);
            (u.significand & !(unit - 1), unit, u.significand & unit >> 1 != 0, u.significand & ((unit >> 1) - 1) != 0)
        }
        -1 => (0, 0, true, u.significand << 1 != 0),
        _ => (0, 0, false, true),
    };
    let up = rounding.rounds_up(u.negative, kept & unit != 0, half, rest);
    if inexact == Inexact::Report {
        report(half | rest, up, env);
    }
    let biased = |exponent: i32| (exponent + F::MAX_EXPONENT) as u32;
    match (kept, up) {
        (0, false) => F::zero(u.negative),
        (0, true) => F::pack(u.negative, biased(0), 1 << 63),
        (_, false) => F::pack(u.negative, biased(u.exponent), kept),
        (_, true) => match kept.checked_add(unit) {
            Some(significand) => F::pack(u.negative, biased(u.exponent), significand),
            None => F::pack(u.negative, biased(u.exponent + 1), 1 << 63),
        },
    }
}
