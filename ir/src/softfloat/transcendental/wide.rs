//! A float with a 128-bit significand, in which the transcendental functions compute before their one rounding.

use crate::softfloat::format::Unpacked;
use crate::softfloat::round::Exact;

/// `(-1)^negative * significand / 2^127 * 2^exponent`: bit 127 of the significand is set, or the value is zero.
///
/// Operations truncate: each is off by less than `2^-126` of its result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    pub(super) negative: bool,
    pub(super) exponent: i32,
    pub(super) significand: u128,
}

/// The upper half of a 256-bit product.
pub(super) fn multiply_high(a: u128, b: u128) -> u128 {
    const LOW: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & LOW, b >> 64, b & LOW);
    let middle = a1 * b0 + ((a0 * b0) >> 64);
    let middle_low = (middle & LOW) + a0 * b1;
    a1 * b1 + (middle >> 64) + (middle_low >> 64)
}

/// Quotient and remainder of `high:low` by `by`, whose bit 63 is set and which is above `high`. Hosts have no such division; two digits of 32 bits.
pub(super) fn divide(high: u64, low: u64, by: u64) -> (u64, u64) {
    const LOW: u64 = u32::MAX as u64;
    let digit = |rest: u64, next: u64| {
        let mut digit = rest / (by >> 32);
        let mut upper = rest - digit * (by >> 32);
        // Too large by two at most.
        while upper >> 32 == 0 && (digit >> 32 != 0 || digit * (by & LOW) > upper << 32 | next) {
            digit -= 1;
            upper += by >> 32;
        }
        (digit, (rest << 32 | next).wrapping_sub(digit.wrapping_mul(by)))
    };
    let (first, rest) = digit(high, low >> 32);
    let (second, rest) = digit(rest, low & LOW);
    (first << 32 | second, rest)
}

/// `a * 2^128 / b`, truncated. Bit 127 of `b` is set, and `a < b`.
fn divide_fraction(a: u128, b: u128) -> u128 {
    let (b1, b0) = (b >> 64, b & u128::from(u64::MAX));
    let mut rest = a;
    let mut quotient = 0;
    // Two digits of 64 bits, each estimated from the divisor's upper half and then corrected (at most twice).
    for _ in 0..2 {
        let mut digit = u128::from(u64::MAX);
        let mut upper = rest.wrapping_sub(digit * b1);
        if rest >> 64 < b1 {
            let (quotient, remainder) = divide((rest >> 64) as u64, rest as u64, b1 as u64);
            (digit, upper) = (quotient.into(), remainder.into());
        }
        while upper >> 64 == 0 && upper << 64 < digit * b0 {
            digit -= 1;
            upper += b1;
        }
        rest = (upper << 64).wrapping_sub(digit * b0);
        quotient = quotient << 64 | digit;
    }
    quotient
}

impl Wide {
    pub(super) const ZERO: Self = Self { negative: false, exponent: 0, significand: 0 };

    /// `value / 2^127 * 2^exponent`.
    pub(super) fn new(negative: bool, exponent: i32, value: u128) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        let shift = value.leading_zeros();
        Self { negative, exponent: exponent - shift as i32, significand: value << shift }
    }

    /// A constant given by its normalised significand.
    pub(super) const fn constant(exponent: i32, significand: u128) -> Self {
        Self { negative: false, exponent, significand }
    }

    /// A finite non-zero operand.
    pub(super) fn from_operand(u: &Unpacked) -> Self {
        Self { negative: u.negative, exponent: u.exponent, significand: u128::from(u.significand) << 64 }
    }

    pub(super) fn from_integer(value: i32) -> Self {
        Self::new(value < 0, 127, u128::from(value.unsigned_abs()))
    }

    pub(super) fn is_zero(self) -> bool {
        self.significand == 0
    }

    pub(super) fn negate(self) -> Self {
        Self { negative: !self.negative, ..self }
    }

    pub(super) fn mul(self, other: Self) -> Self {
        let product = multiply_high(self.significand, other.significand);
        Self::new(self.negative ^ other.negative, self.exponent + other.exponent + 1, product)
    }

    /// `self / other`; `other` is not zero.
    pub(super) fn div(self, other: Self) -> Self {
        let negative = self.negative ^ other.negative;
        let exponent = self.exponent - other.exponent;
        if self.significand < other.significand {
            Self::new(negative, exponent - 1, divide_fraction(self.significand, other.significand))
        } else {
            // The quotient's leading bit is known; the rest of it is a fraction.
            let fraction = divide_fraction(self.significand - other.significand, other.significand);
            Self::new(negative, exponent, 1 << 127 | fraction >> 1)
        }
    }

    pub(super) fn add(self, other: Self) -> Self {
        if self.is_zero() {
            return other;
        }
        if other.is_zero() {
            return self;
        }
        let swap = (self.exponent, self.significand) < (other.exponent, other.significand);
        let (large, small) = if swap { (other, self) } else { (self, other) };
        let shifted = small.significand.checked_shr((large.exponent - small.exponent) as u32).unwrap_or(0);
        if large.negative != small.negative {
            return Self::new(large.negative, large.exponent, large.significand - shifted);
        }
        let (sum, carry) = large.significand.overflowing_add(shifted);
        if carry {
            Self { negative: large.negative, exponent: large.exponent + 1, significand: sum >> 1 | 1 << 127 }
        } else {
            Self { significand: sum, ..large }
        }
    }

    pub(super) fn sub(self, other: Self) -> Self {
        self.add(other.negate())
    }

    /// The magnitude of a value below 1 in units of `2^-128`.
    pub(super) fn fraction(self) -> u128 {
        debug_assert!(self.is_zero() || self.exponent < 0, "not a fraction");
        self.significand.checked_shr((-1 - self.exponent) as u32).unwrap_or(0)
    }

    /// For rounding; the value is not zero. `inexact` says that it stands for one that no format holds.
    pub(super) fn exact(self, inexact: bool) -> Exact {
        Exact {
            negative: self.negative,
            exponent: self.exponent,
            high: (self.significand >> 64) as u64,
            low: self.significand as u64 | u64::from(inexact),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Wide, divide, divide_fraction, multiply_high};

    #[test]
    fn divisions_of_two_words_are_exact() {
        let mut n = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = || {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = n ^ n >> 29;
            match n >> 61 {
                0 => bits | u64::MAX << 20,
                1 => bits >> 40,
                2 => u64::MAX << (n >> 50 & 63),
                _ => bits,
            }
        };
        for _ in 0..100_000 {
            let by = next() | 1 << 63;
            let (high, low) = (next() % by, next());
            let whole = u128::from(high) << 64 | u128::from(low);
            let expected = ((whole / u128::from(by)) as u64, (whole % u128::from(by)) as u64);
            assert_eq!(divide(high, low, by), expected, "{high:#x}:{low:#x} / {by:#x}");
        }
    }

    #[test]
    fn products_and_quotients_undo_each_other() {
        let mut x = 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978u128;
        for _ in 0..1000 {
            x = x.wrapping_mul(0x2545_f491_4f6c_dd1d_9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x55;
            let b = x | 1 << 127;
            let a = x.rotate_left(64) % b;
            let quotient = divide_fraction(a, b);
            let back = multiply_high(quotient, b);
            assert!(a - back <= 1, "{a:x} {b:x}");
        }
    }

    #[test]
    fn division_corrects_its_estimates() {
        // The largest digits: (2^128 - 2) / (2^128 - 1) and a divisor whose lower half is all ones.
        assert_eq!(divide_fraction(u128::MAX - 1, u128::MAX), u128::MAX - 1);
        let b = 1 << 127 | u128::from(u64::MAX);
        let quotient = divide_fraction(b - 1, b);
        assert!(b - 1 - multiply_high(quotient, b) <= 1);
    }

    #[test]
    fn sums_keep_sign_and_place() {
        let (three, minus_five) = (Wide::from_integer(3), Wide::from_integer(-5));
        let sum = three.add(minus_five);
        assert_eq!((sum.negative, sum.exponent, sum.significand), (true, 1, 1 << 127));
        assert!(three.sub(three).is_zero());
        let quotient = minus_five.div(three).mul(three).sub(minus_five);
        assert!(quotient.is_zero() || quotient.exponent < -122);
    }
}
