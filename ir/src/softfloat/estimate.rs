//! `rcpss` and `rsqrtss`: the manual promises a relative error of at most `1.5 * 2^-12`; here, what Intel's processors
//! return.
//!
//! They read the upper bits of the significand and give twelve fraction bits, the correctly rounded function of the
//! middle of the interval. Neither MXCSR nor its flags play a part; denormals are zeros on both sides.

use super::format::{Class, F32, Format};
use super::nan::quiet;

/// `rcpss`: an estimate of `1 / a`.
#[must_use]
pub fn reciprocal_estimate(a: F32) -> F32 {
    let u = a.unpack(true);
    match u.class {
        Class::Finite => {}
        Class::Zero => return F32::infinity(u.negative),
        Class::Infinite => return F32::zero(u.negative),
        _ => return quiet(&u),
    }
    // 1.b1...b11 and a half of the last of these, in units of 2^-12.
    let middle = (u.significand >> 52 << 1) + 1;
    let quotient = ((1 << 25) + middle / 2) / middle;
    pack(u.negative, -1 - u.exponent, quotient)
}

/// `rsqrtss`: an estimate of `1 / sqrt(a)`.
#[must_use]
pub fn reciprocal_root_estimate(a: F32) -> F32 {
    let u = a.unpack(true);
    match u.class {
        Class::Zero => return F32::infinity(u.negative),
        Class::QuietNan | Class::SignalingNan | Class::Refused => return quiet(&u),
        _ if u.negative => return F32::default_nan(),
        Class::Infinite => return F32::zero(false),
        Class::Finite => {}
    }
    // 1.b1...b10 and a half of the last, in units of 2^-11, doubled for odd exponents.
    let odd = u.exponent & 1;
    let middle = ((u.significand >> 53 << 1) + 1) << odd;
    let twice = ((1u64 << 39) / middle).isqrt();
    pack(false, -1 - (u.exponent >> 1), twice.div_ceil(2))
}

/// A result with 13 significant bits in `bits`, the leading one weighing `2^exponent`.
fn pack(negative: bool, exponent: i32, bits: u64) -> F32 {
    let biased = exponent + F32::MAX_EXPONENT;
    if biased <= 0 { F32::zero(negative) } else { F32::pack(negative, biased as u32, bits << 51) }
}
