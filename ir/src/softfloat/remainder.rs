//! Partial remainders: `fprem`, `fprem1`.

use super::env::FloatEnv;
use super::format::{Class, F80, Format, Unpacked};
use super::nan::{invalid, propagate};
use super::round::{Exact, round_to_precision};

/// How the quotient becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotient {
    /// Toward zero: `fprem`. The remainder has the dividend's sign.
    Truncated,
    /// To the nearest, ties to even: `fprem1`, IEEE 754's remainder.
    Nearest,
}

/// What a partial remainder leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remainder {
    /// The new ST0.
    pub value: F80,
    /// C0, C1, C2, C3 in their places in the status word: the quotient's low bits, or C2 alone if the reduction is not
    /// finished.
    pub condition_bits: u16,
}

impl Remainder {
    /// Mask of the status word bits that `condition_bits` replaces.
    pub const CONDITION_MASK: u16 = C0 | C1 | C2 | C3;
}

const C0: u16 = 1 << 8;
const C1: u16 = 1 << 9;
const C2: u16 = 1 << 10;
const C3: u16 = 1 << 14;

/// C0, C3, C1 from bits 2, 1 and 0 of the quotient.
fn quotient_bits(quotient: u64) -> u16 {
    let pick = |bit: u32, c: u16| if quotient >> bit & 1 != 0 { c } else { 0 };
    pick(2, C0) | pick(1, C3) | pick(0, C1)
}

/// The remainder of `a / b`, or one step toward it where their exponents are 64 or more apart.
#[must_use]
pub fn remainder(a: F80, b: F80, quotient: Quotient, env: &mut FloatEnv) -> Remainder {
    let (ua, ub) = (a.unpack(false), b.unpack(false));
    let plain = |value| Remainder { value, condition_bits: 0 };
    if ua.is_nan_or_refused() || ub.is_nan_or_refused() {
        return plain(propagate(&ua, &ub, env));
    }
    if ua.class == Class::Infinite || ub.class == Class::Zero {
        return plain(invalid(env));
    }
    env.raise(ua.denormal_flag() | ub.denormal_flag());
    if ua.class == Class::Zero || ub.class == Class::Infinite {
        return plain(a.canonical());
    }
    reduce(&ua, &ub, quotient, env)
}

/// Reduces one finite non-zero value by another.
fn reduce(a: &Unpacked, b: &Unpacked, quotient: Quotient, env: &mut FloatEnv) -> Remainder {
    let distance = a.exponent - b.exponent;
    if distance >= 64 {
        let step = partial_step(distance);
        let (_, rest) = divide(a.significand, step, b.significand);
        let value = deliver(a.negative, b.exponent + distance - step as i32, rest, env);
        return Remainder { value, condition_bits: C2 };
    }
    if distance < -1 || distance == -1 && quotient == Quotient::Truncated {
        let value = deliver(a.negative, a.exponent, a.significand, env);
        return Remainder { value, condition_bits: 0 };
    }
    // In units of half the divisor's last place where the dividend is the smaller one.
    let (q, rest, unit_exponent, divisor) = if distance < 0 {
        (0, u128::from(a.significand), a.exponent, u128::from(b.significand) << 1)
    } else {
        let (q, rest) = divide(a.significand, distance as u32, b.significand);
        (q, u128::from(rest), b.exponent, u128::from(b.significand))
    };
    let away = quotient == Quotient::Nearest && (rest << 1 > divisor || rest << 1 == divisor && q & 1 != 0);
    let (q, rest, negative) =
        if away { (q.wrapping_add(1), divisor - rest, !a.negative) } else { (q, rest, a.negative) };
    // `rest` is at most half the divisor or, truncated, below the 64-bit divisor: it fits 64 bits.
    let value = if rest == 0 { F80::zero(a.negative) } else { deliver(negative, unit_exponent, rest as u64, env) };
    Remainder { value, condition_bits: quotient_bits(q) }
}

/// By how many quotient bits one partial reduction goes on.
fn partial_step(distance: i32) -> u32 {
    (distance as u32 & 31) | 32
}

/// Quotient and remainder of `(dividend << shift) / divisor`.
fn divide(dividend: u64, shift: u32, divisor: u64) -> (u64, u64) {
    let (dividend, divisor) = (u128::from(dividend) << shift, u128::from(divisor));
    ((dividend / divisor) as u64, (dividend % divisor) as u64)
}

/// An exact result, whose significand need not be normalised and may be 0.
fn deliver(negative: bool, exponent: i32, significand: u64, env: &mut FloatEnv) -> F80 {
    if significand == 0 {
        return F80::zero(negative);
    }
    let exact = Exact::normalised(negative, exponent, u128::from(significand) << 64);
    round_to_precision(exact, F80::PRECISION, env)
}
