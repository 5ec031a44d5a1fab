//! x87 arithmetic on ordinary operands, for code that cannot afford the general way: zeros and normal values, rounding to nearest, results in range.
//!
//! What is not of that kind gives `None`, and is for the general functions.

use super::env::Exceptions;
use super::format::{F32, F64, F80};
use super::round::shift_right_jam;
use super::{Relation, Rounding};

/// A zero (all but the sign is zero) or a normal value: `significand / 2^63 * 2^(exponent - 16383)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ordinary {
    negative: bool,
    /// Biased as in [`F80`].
    exponent: i32,
    significand: u64,
}

/// A result and what it adds to the status word: PE, and C1 where it was rounded away from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounded<T> {
    /// The result.
    pub value: T,
    /// PE and C1.
    pub flags: Exceptions,
}

impl<T> Rounded<T> {
    fn exact(value: T) -> Self {
        Rounded { value, flags: Exceptions::empty() }
    }

    fn new(value: T, inexact: bool, up: bool) -> Self {
        let bit = |flag: Exceptions, is_set| u16::from(is_set) * flag.bits();
        let flags = bit(Exceptions::PRECISION, inexact) | bit(Exceptions::ROUNDED_UP, up);
        Rounded { value, flags: Exceptions::from_bits_retain(flags) }
    }
}

/// What is added to the exponent of a double or single.
const DOUBLE_BIAS: i32 = 16383 - 1023;
const SINGLE_BIAS: i32 = 16383 - 127;
/// The largest biased exponent of a number.
const LARGEST: i32 = 0x7ffe;

impl Ordinary {
    /// The value, if it is of the kind.
    #[inline(always)]
    pub fn extended(v: F80) -> Option<Ordinary> {
        let exponent = i32::from(v.sign_exponent & 0x7fff);
        let is_normal = (exponent - 1) as u32 <= (LARGEST - 1) as u32 && v.significand >> 63 != 0;
        let is_zero = exponent == 0 && v.significand == 0;
        let ordinary = Ordinary { negative: v.is_negative(), exponent, significand: v.significand };
        (is_normal || is_zero).then_some(ordinary)
    }

    /// The value of a double, if it is of the kind.
    #[inline(always)]
    pub fn double(F64(bits): F64) -> Option<Ordinary> {
        let (negative, exponent) = (bits >> 63 != 0, (bits >> 52) as i32 & 0x7ff);
        if (exponent - 1) as u32 <= 0x7fd {
            return Some(Ordinary { negative, exponent: exponent + DOUBLE_BIAS, significand: 1 << 63 | bits << 11 });
        }
        (bits << 1 == 0).then_some(Ordinary { negative, exponent: 0, significand: 0 })
    }

    /// The value of a single, if it is of the kind.
    #[inline(always)]
    pub fn single(F32(bits): F32) -> Option<Ordinary> {
        let (negative, exponent) = (bits >> 31 != 0, (bits >> 23) as i32 & 0xff);
        if (exponent - 1) as u32 <= 0xfd {
            let significand = 1 << 63 | u64::from(bits) << 40;
            return Some(Ordinary { negative, exponent: exponent + SINGLE_BIAS, significand });
        }
        (bits << 1 == 0).then_some(Ordinary { negative, exponent: 0, significand: 0 })
    }

    /// The value of an integer.
    #[inline(always)]
    pub fn integer(v: i64) -> Ordinary {
        if v == 0 {
            return Ordinary { negative: false, exponent: 0, significand: 0 };
        }
        let (magnitude, zeros) = (v.unsigned_abs(), v.unsigned_abs().leading_zeros());
        Ordinary { negative: v < 0, exponent: 16383 + 63 - zeros as i32, significand: magnitude << zeros }
    }

    /// The extended value.
    #[inline(always)]
    pub fn to_extended(self) -> F80 {
        F80 { significand: self.significand, sign_exponent: u16::from(self.negative) << 15 | self.exponent as u16 }
    }

    /// The other sign.
    #[inline(always)]
    #[must_use]
    pub fn negate(self) -> Ordinary {
        Ordinary { negative: !self.negative, ..self }
    }

    fn is_zero(self) -> bool {
        self.significand == 0
    }

    /// `self + other`, rounded to `precision` significand bits.
    #[inline(always)]
    pub fn add(self, other: Ordinary, precision: u32) -> Option<Rounded<F80>> {
        if self.is_zero() || other.is_zero() {
            return self.add_zero(other, precision);
        }
        let swap = (self.exponent, self.significand) < (other.exponent, other.significand);
        let (a, b) = if swap { (other, self) } else { (self, other) };
        let distance = (a.exponent - b.exponent) as u32;
        let (high, low) = if distance == 0 {
            (b.significand, 0)
        } else if distance < 64 {
            (b.significand >> distance, b.significand << (64 - distance))
        } else {
            (0, shift_right_jam(u128::from(b.significand) << 64, distance) as u64)
        };
        if a.negative == b.negative {
            let (sum, carry) = a.significand.overflowing_add(high);
            if carry {
                return round(
                    a.negative,
                    a.exponent + 1,
                    sum >> 1 | 1 << 63,
                    sum << 63 | low >> 1 | low & 1,
                    precision,
                );
            }
            return round(a.negative, a.exponent, sum, low, precision);
        }
        let (low, borrow) = 0u64.overflowing_sub(low);
        let high = a.significand - high - u64::from(borrow);
        if high >> 63 != 0 {
            return round(a.negative, a.exponent, high, low, precision);
        }
        if high | low == 0 {
            return Some(Rounded::exact(F80::ZERO));
        }
        let (high, low, moved) = if high == 0 { (low, 0, 64) } else { (high, low, 0) };
        let zeros = high.leading_zeros();
        let high = if zeros == 0 { high } else { high << zeros | low >> (64 - zeros) };
        round(a.negative, a.exponent - moved - zeros as i32, high, low << zeros, precision)
    }

    /// The sum where one of the operands is zero.
    fn add_zero(self, other: Ordinary, precision: u32) -> Option<Rounded<F80>> {
        if self.is_zero() && other.is_zero() {
            let negative = self.negative && other.negative;
            return Some(Rounded::exact(Ordinary { negative, ..self }.to_extended()));
        }
        let v = if self.is_zero() { other } else { self };
        round(v.negative, v.exponent, v.significand, 0, precision)
    }

    /// `self * other`, rounded to `precision` significand bits.
    #[inline(always)]
    pub fn mul(self, other: Ordinary, precision: u32) -> Option<Rounded<F80>> {
        let negative = self.negative != other.negative;
        if self.is_zero() || other.is_zero() {
            return Some(Rounded::exact(Ordinary { negative, exponent: 0, significand: 0 }.to_extended()));
        }
        let product = u128::from(self.significand) * u128::from(other.significand);
        let exponent = self.exponent + other.exponent - 16383;
        let (high, low) = ((product >> 64) as u64, product as u64);
        if high >> 63 != 0 {
            return round(negative, exponent + 1, high, low, precision);
        }
        round(negative, exponent, high << 1 | low >> 63, low << 1, precision)
    }

    /// `self / other`, rounded to `precision` significand bits.
    #[inline(always)]
    pub fn div(self, other: Ordinary, precision: u32) -> Option<Rounded<F80>> {
        let negative = self.negative != other.negative;
        if other.is_zero() {
            return None;
        }
        if self.is_zero() {
            return Some(Rounded::exact(Ordinary { negative, exponent: 0, significand: 0 }.to_extended()));
        }
        let divisor = other.significand;
        let is_smaller = self.significand < divisor;
        let (high, low) =
            if is_smaller { (self.significand, 0) } else { (self.significand >> 1, self.significand << 63) };
        let (quotient, rest) = divide(high, low, divisor);
        // The fraction rest / divisor, known as well as rounding needs it: 0, below, at or above one half.
        let low = match rest {
            0 => 0,
            _ if rest < divisor - rest => 1,
            _ => 1 << 63 | u64::from(rest != divisor - rest),
        };
        let exponent = self.exponent - other.exponent + 16383 - i32::from(is_smaller);
        round(negative, exponent, quotient, low, precision)
    }

    /// How `self` relates to `other`.
    #[inline(always)]
    pub fn relate(self, other: Ordinary) -> Relation {
        if self.is_zero() && other.is_zero() {
            return Relation::Equal;
        }
        if self.negative != other.negative {
            return if self.negative { Relation::Less } else { Relation::Greater };
        }
        let (a, b) = ((self.exponent, self.significand), (other.exponent, other.significand));
        if a == b {
            Relation::Equal
        } else if (a < b) != self.negative {
            Relation::Less
        } else {
            Relation::Greater
        }
    }

    /// As a double, rounded to nearest.
    #[inline(always)]
    pub fn to_double(self) -> Option<Rounded<u64>> {
        let sign = u64::from(self.negative) << 63;
        self.to_shorter(11, DOUBLE_BIAS, 0x7fe).map(|r| Rounded { value: r.value | sign, ..r })
    }

    /// As a single, rounded to nearest.
    #[inline(always)]
    pub fn to_single(self) -> Option<Rounded<u64>> {
        let sign = u64::from(self.negative) << 31;
        self.to_shorter(40, SINGLE_BIAS, 0xfe).map(|r| Rounded { value: r.value | sign, ..r })
    }

    /// The magnitude in a format whose significand has `drop` bits less and whose exponent is less by `bias` and at most `largest`.
    #[inline(always)]
    fn to_shorter(self, drop: u32, bias: i32, largest: i32) -> Option<Rounded<u64>> {
        if self.is_zero() {
            return Some(Rounded::exact(0));
        }
        let exponent = self.exponent - bias;
        let (kept, rest, half) = (self.significand >> drop, self.significand << (64 - drop), 1 << 63);
        let up = rest > half || rest == half && kept & 1 != 0;
        // A carry out of the significand goes to the exponent.
        let bits =
            ((exponent as u64) << (63 - drop)).wrapping_add(kept - (1 << (63 - drop))).wrapping_add(u64::from(up));
        let fits = (1..=largest).contains(&exponent) && bits >> (63 - drop) <= largest as u64;
        fits.then(|| Rounded::new(bits, rest != 0, up))
    }

    /// As an integer of `bits` bits, rounded as `rounding` says.
    #[inline(always)]
    pub fn to_integer(self, bits: u32, rounding: Rounding) -> Option<Rounded<i64>> {
        if self.is_zero() {
            return Some(Rounded::exact(0));
        }
        let (whole, half, rest) = match self.exponent - 16383 {
            n @ 0..63 => {
                let fraction = self.significand << (n + 1);
                (self.significand >> (63 - n), fraction >> 63 != 0, fraction << 1 != 0)
            }
            -1 => (0, true, self.significand << 1 != 0),
            ..-1 => (0, false, true),
            _ => return None,
        };
        let up = rounding.rounds_up(self.negative, whole & 1 != 0, half, rest);
        let magnitude = (whole + u64::from(up)) as i64;
        let value = if self.negative { magnitude.wrapping_neg() } else { magnitude };
        let fits = magnitude >= 0 && value << (64 - bits) >> (64 - bits) == value;
        fits.then(|| Rounded::new(value, half || rest, up))
    }
}

/// Rounds `high:low`, whose bit 127 is set, to its upper `precision` bits.
#[inline(always)]
fn round(negative: bool, exponent: i32, high: u64, low: u64, precision: u32) -> Option<Rounded<F80>> {
    let (kept, inexact, up, unit) = if precision == 64 {
        (high, low != 0, low != 0 && (low - 1 + (high & 1)) >> 63 != 0, 1)
    } else {
        let unit = 1u64 << (64 - precision);
        let (rest, half) = (high & (unit - 1), unit >> 1);
        let up = rest > half || rest == half && (low != 0 || high & unit != 0);
        (high & !(unit - 1), rest != 0 || low != 0, up, unit)
    };
    let (sum, carry) = if up { kept.overflowing_add(unit) } else { (kept, false) };
    let (significand, exponent) = if carry { (1 << 63, exponent + 1) } else { (sum, exponent) };
    let in_range = (exponent - 1) as u32 <= (LARGEST - 1) as u32;
    in_range.then(|| Rounded::new(Ordinary { negative, exponent, significand }.to_extended(), inexact, up))
}

/// Quotient and remainder of `high:low` by `divisor`, which is above `high` and has its bit 63 set. Source: Knuth, The Art of Computer Programming 2,
/// 4.3.1, algorithm D, with digits of 32 bits.
fn divide(high: u64, low: u64, divisor: u64) -> (u64, u64) {
    let (rest, first) = divide_digit(high, low >> 32, divisor);
    let (rest, second) = divide_digit(rest, low & 0xffff_ffff, divisor);
    (first << 32 | second, rest)
}

/// Remainder and quotient, one digit, of `high * 2^32 + next` by `divisor`.
#[inline(always)]
fn divide_digit(high: u64, next: u64, divisor: u64) -> (u64, u64) {
    let (upper, lower) = (divisor >> 32, divisor & 0xffff_ffff);
    let (mut digit, mut rest) = (high / upper, high % upper);
    // The estimate is too large by two at most.
    while digit >> 32 != 0 || digit * lower > (rest << 32 | next) {
        digit -= 1;
        rest += upper;
        if rest >> 32 != 0 {
            break;
        }
    }
    ((high << 32 | next).wrapping_sub(digit.wrapping_mul(divisor)), digit)
}
