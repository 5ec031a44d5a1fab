//! Comparison, the SSE and AVX compare predicates, minimum and maximum.

use std::cmp::Ordering;

use super::env::{Exceptions, FloatEnv};
use super::format::{Class, Format, Unpacked};

/// How two values relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `a < b`.
    Less,
    /// `a == b`; zeros of both signs are equal.
    Equal,
    /// `a > b`.
    Greater,
    /// One of them is a NaN or a refused encoding.
    Unordered,
}

/// Compares; a quiet NaN is no exception: `ucomiss`, `ucomisd`, `fucom`, `fucomi`.
#[inline]
pub fn compare_quiet<A: Format, B: Format>(a: A, b: B, env: &mut FloatEnv) -> Relation {
    relate(a, b, false, env).0
}

/// Compares; any NaN raises IE: `comiss`, `comisd`, `fcom`, `fcomi`, `ftst`.
#[inline]
pub fn compare_signaling<A: Format, B: Format>(a: A, b: B, env: &mut FloatEnv) -> Relation {
    relate(a, b, true, env).0
}

/// Compares and returns the operands taken apart too.
#[inline]
fn relate<A: Format, B: Format>(a: A, b: B, signaling: bool, env: &mut FloatEnv) -> (Relation, Unpacked, Unpacked) {
    let (a, b) = (a.unpack(env.denormals_are_zero), b.unpack(env.denormals_are_zero));
    if a.is_nan_or_refused() || b.is_nan_or_refused() {
        if signaling || loud(a.class) || loud(b.class) {
            env.raise(Exceptions::INVALID);
        }
        return (Relation::Unordered, a, b);
    }
    env.raise(a.denormal_flag() | b.denormal_flag());
    (order(&a, &b), a, b)
}

fn loud(class: Class) -> bool {
    matches!(class, Class::SignalingNan | Class::Refused)
}

/// Relates two values that are neither NaNs nor refused.
#[inline]
fn order(a: &Unpacked, b: &Unpacked) -> Relation {
    let ordering = match (a.class == Class::Zero, b.class == Class::Zero) {
        (true, true) => Ordering::Equal,
        (true, false) => sign_order(b.negative).reverse(),
        (false, true) => sign_order(a.negative),
        (false, false) if a.negative != b.negative => sign_order(a.negative),
        (false, false) => {
            let magnitude = magnitude(a).cmp(&magnitude(b));
            if a.negative { magnitude.reverse() } else { magnitude }
        }
    };
    match ordering {
        Ordering::Less => Relation::Less,
        Ordering::Equal => Relation::Equal,
        Ordering::Greater => Relation::Greater,
    }
}

/// How a non-zero value of this sign relates to zero.
fn sign_order(negative: bool) -> Ordering {
    if negative { Ordering::Less } else { Ordering::Greater }
}

/// A key that orders finite non-zero values and infinities by magnitude.
#[inline]
fn magnitude(u: &Unpacked) -> (i32, u64) {
    if u.class == Class::Infinite { (i32::MAX, 0) } else { (u.exponent, u.significand) }
}

/// The 32 predicates of `vcmpss` and its relatives; the first 8 are those of SSE `cmpss`.
///
/// Source: Intel SDM vol. 2A, `CMPPD`, table 3-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predicate(u8);

impl Predicate {
    /// The predicate in the low five bits of the immediate; SSE forms use the low three only.
    #[must_use]
    pub const fn from_imm(imm: u8) -> Self {
        Self(imm & 31)
    }

    /// Whether quiet NaNs raise IE too.
    #[must_use]
    pub const fn is_signaling(self) -> bool {
        // lt, le, nlt, nle, nge, ngt, ge, gt signal; the upper half exchanges quiet and signaling.
        let in_first_half = matches!(self.0 & 15, 1 | 2 | 5 | 6 | 9 | 10 | 13 | 14);
        in_first_half != (self.0 & 16 != 0)
    }

    /// Whether the predicate is true of operands so related.
    #[must_use]
    pub const fn holds(self, relation: Relation) -> bool {
        // One bit each for less, equal, greater, unordered, by predicate number modulo 16.
        const TRUTH: [u8; 16] = [
            0b0010, 0b0001, 0b0011, 0b1000, 0b1101, 0b1110, 0b1100, 0b0111, // eq lt le unord neq nlt nle ord
            0b1010, 0b1001, 0b1011, 0b0000, 0b0101, 0b0110, 0b0100, 0b1111, // eq_u nge ngt false neq_o ge gt true
        ];
        let bit = match relation {
            Relation::Less => 0,
            Relation::Equal => 1,
            Relation::Greater => 2,
            Relation::Unordered => 3,
        };
        TRUTH[(self.0 & 15) as usize] >> bit & 1 != 0
    }
}

/// Whether `predicate` holds of `a` and `b`: `cmpss`, `cmpsd` and the `vcmp` forms.
#[inline]
pub fn cmp<F: Format>(predicate: Predicate, a: F, b: F, env: &mut FloatEnv) -> bool {
    predicate.holds(relate(a, b, predicate.is_signaling(), env).0)
}

/// The smaller of `a` and `b`: `minss`, `minsd`.
///
/// Not symmetrical: `b` is the result for two zeros and wherever a NaN is involved (unchanged, with IE).
#[inline]
pub fn min<F: Format>(a: F, b: F, env: &mut FloatEnv) -> F {
    choose(a, b, Relation::Less, env)
}

/// The larger of `a` and `b`: `maxss`, `maxsd`. Not symmetrical, as [`min`].
#[inline]
pub fn max<F: Format>(a: F, b: F, env: &mut FloatEnv) -> F {
    choose(a, b, Relation::Greater, env)
}

#[inline]
fn choose<F: Format>(a: F, b: F, first_if: Relation, env: &mut FloatEnv) -> F {
    let (relation, x, y) = relate(a, b, true, env);
    let (chosen, u) = if relation == first_if { (a, x) } else { (b, y) };
    // A denormal that counts as zero is delivered as zero.
    if u.class == Class::Zero { F::zero(u.negative) } else { chosen }
}
