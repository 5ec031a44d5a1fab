//! Square root.

use super::env::FloatEnv;
use super::format::{Class, Format};
use super::nan::{invalid, propagate_one};
use super::round::{Exact, round};

/// The square root of `a`: `sqrtss`, `sqrtsd`, `fsqrt`.
#[inline]
pub fn sqrt<R: Format>(a: R, env: &mut FloatEnv) -> R {
    let a = a.unpack(env.denormals_are_zero);
    match a.class {
        Class::Finite if !a.negative => {}
        Class::Zero => return R::zero(a.negative),
        Class::Infinite if !a.negative => return R::infinity(false),
        Class::Finite | Class::Infinite => return invalid(env),
        _ => return propagate_one(&a, env),
    }
    env.raise(a.denormal_flag());
    let exponent = a.exponent >> 1;
    let odd = a.exponent & 1 != 0;
    if R::PRECISION <= 24 {
        // 32 root bits of a 64-bit radicand are enough.
        let radicand = if odd { a.significand } else { a.significand >> 1 };
        let root = radicand.isqrt();
        let rest = radicand - root * root;
        let low = u64::from(rest != 0);
        return round(Exact { negative: false, exponent, high: root << 32, low }, env);
    }
    let radicand = u128::from(a.significand) << (63 + u32::from(odd));
    let high = radicand.isqrt() as u64;
    let rest = radicand - u128::from(high) * u128::from(high);
    // (high + 1/2)^2 = high^2 + high + 1/4, so the fraction exceeds one half just if rest > high; it is never equal.
    let low = if rest == 0 { 0 } else { u64::from(rest > u128::from(high)) << 63 | 1 };
    round(Exact { negative: false, exponent, high, low }, env)
}
