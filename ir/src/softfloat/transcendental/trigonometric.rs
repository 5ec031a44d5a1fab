//! `fsin`, `fcos`, `fsincos`, `fptan`.
//!
//! Operands of `2^63` and more in magnitude are out of range: the functions return `None` and raise nothing; the
//! instruction then sets C2 and leaves the stack alone.

use super::series;
use super::wide::{Wide, divide};
use crate::softfloat::env::FloatEnv;
use crate::softfloat::format::{Class, F80, Format, Unpacked};
use crate::softfloat::nan::{invalid, propagate_one};
use crate::softfloat::round::round_to_precision;

/// `π/2` as processors have it for argument reduction: 66 bits, in units of `2^-65`.
const HALF_PI: u128 = 0x3_243f_6a88_85a3_08d3;

/// An operand reduced by a multiple of `π/2`.
struct Reduced {
    /// In `[-π/4, π/4]`; not zero.
    rest: Wide,
    /// How many times `π/2` was taken off, modulo 4.
    quadrant: u32,
}

/// What an operand is to a trigonometric function.
enum Operand {
    Reduced(Reduced),
    Zero {
        negative: bool,
    },
    OutOfRange,
    /// The result is this NaN.
    Nan(F80),
}

fn operand(a: F80, env: &mut FloatEnv) -> Operand {
    let u = a.unpack(false);
    match u.class {
        Class::Zero => Operand::Zero { negative: u.negative },
        Class::Infinite => Operand::Nan(invalid(env)),
        Class::Finite if u.exponent >= 63 => Operand::OutOfRange,
        Class::Finite => {
            env.raise(u.denormal_flag());
            Operand::Reduced(reduce(&u))
        }
        Class::QuietNan | Class::SignalingNan | Class::Refused => Operand::Nan(propagate_one(&u, env)),
    }
}

/// Reduces a finite non-zero value below `2^63`, exactly with respect to the 66-bit constant.
fn reduce(u: &Unpacked) -> Reduced {
    if u.exponent < -1 {
        return Reduced { rest: Wide::from_operand(u), quadrant: 0 };
    }
    let units = u128::from(u.significand) << (u.exponent + 2);
    let (mut quotient, mut rest) = divide_by_half_pi(units);
    let past = rest > HALF_PI / 2;
    if past {
        quotient += 1;
        rest = HALF_PI - rest;
    }
    let quadrant = (quotient & 3) as u32;
    // Units of 2^-65 are 2^-127 * 2^62.
    let rest = Wide::new(u.negative ^ past, 62, rest);
    Reduced { rest, quadrant: if u.negative { quadrant.wrapping_neg() & 3 } else { quadrant } }
}

/// Quotient, modulo 2^64, and remainder.
fn divide_by_half_pi(units: u128) -> (u64, u128) {
    // Without the divisor's last two bits the quotient is too large by one at most.
    let (quotient, _) = divide((units >> 66) as u64, (units >> 2) as u64, (HALF_PI >> 2) as u64);
    let rest = units.wrapping_sub(u128::from(quotient).wrapping_mul(HALF_PI));
    if rest >> 127 == 0 { (quotient, rest) } else { (quotient - 1, rest.wrapping_add(HALF_PI)) }
}

impl Reduced {
    /// Sine and cosine of the reduced operand alone.
    fn sine_of_rest(&self) -> Wide {
        self.rest.mul(Wide::new(false, 0, series::sine(self.square())))
    }

    fn cosine_of_rest(&self) -> Wide {
        Wide::new(false, 0, series::cosine(self.square()))
    }

    fn square(&self) -> u128 {
        self.rest.mul(self.rest).fraction()
    }

    /// Sine of the operand `turns` quadrants further on.
    fn sine(&self, turns: u32) -> Wide {
        let quadrant = self.quadrant + turns;
        let value = if quadrant & 1 == 0 { self.sine_of_rest() } else { self.cosine_of_rest() };
        if quadrant & 2 == 0 { value } else { value.negate() }
    }

    fn tangent(&self) -> Wide {
        let (sine, cosine) = (self.sine_of_rest(), self.cosine_of_rest());
        if self.quadrant & 1 == 0 { sine.div(cosine) } else { cosine.div(sine).negate() }
    }
}

fn round(value: Wide, env: &mut FloatEnv) -> F80 {
    round_to_precision(value.exact(true), F80::PRECISION, env)
}

/// `fsin`.
#[must_use]
pub fn sine(a: F80, env: &mut FloatEnv) -> Option<F80> {
    match operand(a, env) {
        Operand::Reduced(reduced) => Some(round(reduced.sine(0), env)),
        Operand::Zero { negative } => Some(F80::zero(negative)),
        Operand::OutOfRange => None,
        Operand::Nan(nan) => Some(nan),
    }
}

/// `fcos`.
#[must_use]
pub fn cosine(a: F80, env: &mut FloatEnv) -> Option<F80> {
    match operand(a, env) {
        Operand::Reduced(reduced) => Some(round(reduced.sine(1), env)),
        Operand::Zero { .. } => Some(F80::ONE),
        Operand::OutOfRange => None,
        Operand::Nan(nan) => Some(nan),
    }
}

/// What `fsincos` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SineCosine {
    /// Takes the operand's place.
    pub sine: F80,
    /// Pushed.
    pub cosine: F80,
}

/// `fsincos`.
#[must_use]
pub fn sine_cosine(a: F80, env: &mut FloatEnv) -> Option<SineCosine> {
    match operand(a, env) {
        Operand::Reduced(reduced) => {
            let sine = round(reduced.sine(0), env);
            Some(SineCosine { sine, cosine: round(reduced.sine(1), env) })
        }
        Operand::Zero { negative } => Some(SineCosine { sine: F80::zero(negative), cosine: F80::ONE }),
        Operand::OutOfRange => None,
        Operand::Nan(nan) => Some(SineCosine { sine: nan, cosine: nan }),
    }
}

/// `fptan`: the tangent, which takes the operand's place. The instruction then pushes 1, or the same NaN again.
#[must_use]
pub fn tangent(a: F80, env: &mut FloatEnv) -> Option<F80> {
    match operand(a, env) {
        Operand::Reduced(reduced) => Some(round(reduced.tangent(), env)),
        Operand::Zero { negative } => Some(F80::zero(negative)),
        Operand::OutOfRange => None,
        Operand::Nan(nan) => Some(nan),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reductions_are_exact() {
        let mut n = 1u64;
        for i in 0..100_000u32 {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let near =
                u128::from(n >> (i % 62 + 1)).wrapping_mul(HALF_PI).wrapping_add(u128::from(n & 3)).wrapping_sub(1);
            let any = u128::from(n | 1 << 63) << (i % 65);
            for units in [near, any] {
                let expected = ((units / HALF_PI) as u64, units % HALF_PI);
                assert_eq!(divide_by_half_pi(units), expected, "{units:#x}");
            }
        }
    }
}
