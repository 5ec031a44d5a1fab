//! Integer arithmetic. Operands may have bits beyond their width; results are zero-extended.

use super::EvalFault;
use crate::operand::{IntCmp, Width};

/// `v` of width `w` as a signed number.
#[inline(always)]
pub(super) fn signed(w: Width, v: u64) -> i64 {
    let spare = 64 - w.bits();
    (v << spare) as i64 >> spare
}

/// The upper half of the double-width unsigned product.
pub(super) fn mul_high_u(w: Width, a: u64, b: u64) -> u64 {
    let product = u128::from(a & w.mask()) * u128::from(b & w.mask());
    (product >> w.bits()) as u64
}

/// The upper half of the double-width signed product.
pub(super) fn mul_high_s(w: Width, a: u64, b: u64) -> u64 {
    let product = i128::from(signed(w, a)) * i128::from(signed(w, b));
    (product >> w.bits()) as u64 & w.mask()
}

/// Quotient and remainder of the unsigned `high:low` by `d`.
pub(super) fn divide_u(w: Width, high: u64, low: u64, d: u64) -> Result<(u64, u64), EvalFault> {
    let (high, low, d) = (high & w.mask(), low & w.mask(), d & w.mask());
    // Covers division by zero too: then no `high` is smaller.
    if high >= d {
        return Err(EvalFault::Divide);
    }
    if high == 0 {
        return Ok((low / d, low % d));
    }
    let dividend = u128::from(high) << w.bits() | u128::from(low);
    Ok(((dividend / u128::from(d)) as u64, (dividend % u128::from(d)) as u64))
}

/// Quotient, rounded to zero, and remainder of the signed `high:low` by `d`.
pub(super) fn divide_s(w: Width, high: u64, low: u64, d: u64) -> Result<(u64, u64), EvalFault> {
    let dividend = i128::from(signed(w, high)) << w.bits() | i128::from(low & w.mask());
    let d = i128::from(signed(w, d));
    if d == 0 {
        return Err(EvalFault::Divide);
    }
    let (quotient, remainder) = match (i64::try_from(dividend), i64::try_from(d)) {
        (Ok(n), Ok(d)) if n != i64::MIN => (i128::from(n / d), i128::from(n % d)),
        // Only i128::MIN / -1 wraps, and its quotient does not fit either.
        _ => (dividend.wrapping_div(d), dividend.wrapping_rem(d)),
    };
    if quotient != i128::from(signed(w, quotient as u64)) {
        return Err(EvalFault::Divide);
    }
    Ok((quotient as u64 & w.mask(), remainder as u64 & w.mask()))
}

/// Number of the lowest one bit; `zero` where there is none.
pub(super) fn bit_scan_forward(w: Width, a: u64, zero: u64) -> u64 {
    match a & w.mask() {
        0 => zero & w.mask(),
        a => u64::from(a.trailing_zeros()),
    }
}

/// Number of the highest one bit; `zero` where there is none.
pub(super) fn bit_scan_reverse(w: Width, a: u64, zero: u64) -> u64 {
    match a & w.mask() {
        0 => zero & w.mask(),
        a => u64::from(63 - a.leading_zeros()),
    }
}

/// Whether `a op b`.
#[inline(always)]
pub(super) fn compare(op: IntCmp, w: Width, a: u64, b: u64) -> bool {
    let (ua, ub) = (a & w.mask(), b & w.mask());
    match op {
        IntCmp::Eq => ua == ub,
        IntCmp::Ne => ua != ub,
        IntCmp::Ult => ua < ub,
        IntCmp::Ule => ua <= ub,
        IntCmp::Slt => signed(w, a) < signed(w, b),
        IntCmp::Sle => signed(w, a) <= signed(w, b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products() {
        assert_eq!(mul_high_u(Width::W64, u64::MAX, u64::MAX), u64::MAX - 1);
        assert_eq!(mul_high_s(Width::W64, u64::MAX, u64::MAX), 0);
        assert_eq!(mul_high_s(Width::W8, 0x80, 0x7f), 0xc0);
        assert_eq!(mul_high_u(Width::W16, 0xffff_8000, 2), 1);
    }

    #[test]
    fn unsigned_division() {
        assert_eq!(divide_u(Width::W8, 0x01, 0x07, 0x10), Ok((0x10, 7)));
        assert_eq!(divide_u(Width::W8, 0x10, 0, 0x10), Err(EvalFault::Divide));
        assert_eq!(divide_u(Width::W64, 1, 0, 2), Ok((1 << 63, 0)));
        assert_eq!(divide_u(Width::W32, 0, 5, 0), Err(EvalFault::Divide));
    }

    #[test]
    fn signed_division_rounds_to_zero_and_faults_beyond_the_width() {
        let seven = 7u64.wrapping_neg();
        assert_eq!(divide_s(Width::W32, u64::MAX, seven, 2), Ok((0xffff_fffd, 0xffff_ffff)));
        assert_eq!(divide_s(Width::W8, 0xff, 0x80, 0xff), Err(EvalFault::Divide));
        assert_eq!(divide_s(Width::W8, 0xff, 0x80, 1), Ok((0x80, 0)));
        assert_eq!(divide_s(Width::W64, u64::MAX, 1 << 63, u64::MAX), Err(EvalFault::Divide));
        assert_eq!(divide_s(Width::W64, 1 << 63, 0, u64::MAX), Err(EvalFault::Divide));
        assert_eq!(divide_s(Width::W64, 0, 9, 0), Err(EvalFault::Divide));
    }

    #[test]
    fn bit_scans() {
        assert_eq!(bit_scan_forward(Width::W16, 0xffff_0100, 7), 8);
        assert_eq!(bit_scan_forward(Width::W16, 0xffff_0000, 7), 7);
        assert_eq!(bit_scan_reverse(Width::W64, 1 << 63 | 1, 7), 63);
    }

    #[test]
    fn comparisons_look_at_the_width_alone() {
        assert!(compare(IntCmp::Slt, Width::W8, 0x80, 0x7f));
        assert!(compare(IntCmp::Ult, Width::W8, 0x17f, 0x80));
        assert!(compare(IntCmp::Eq, Width::W32, 1 << 32, 0));
    }
}
