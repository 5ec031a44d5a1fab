//! Power series in fixed point: arguments in units of `2^-128`, sums in units of `2^-127`.
//!
//! Each function's remainder is below `2^-126` for arguments up to its stated limit.

use super::wide::multiply_high;

/// 1 in units of `2^-127`.
const ONE: u128 = 1 << 127;

/// `1 / 1!, 1 / 2!, ...`
const FACTORIALS: [u128; 34] = {
    let mut table = [ONE; 34];
    let mut k = 1;
    while k < table.len() {
        table[k] = table[k - 1] / (k as u128 + 1);
        k += 1;
    }
    table
};

/// `1, 1/3, 1/5, ...`
const ODD: [u128; 26] = {
    let mut table = [ONE; 26];
    let mut k = 0;
    while k < table.len() {
        table[k] = ONE / (2 * k as u128 + 1);
        k += 1;
    }
    table
};

/// Horner's rule: `sum (±x)^k coefficients[k]`. With alternating signs every partial sum is positive.
///
/// Of the terms from `small` on 64 bits are enough, from the first one's leading bit on.
fn horner<'a>(
    x: u128,
    alternate: bool,
    coefficients: impl DoubleEndedIterator<Item = &'a u128> + ExactSizeIterator + Clone,
    small: usize,
) -> u128 {
    let narrow = (x >> 64) as u64;
    let tail = coefficients.clone().skip(small);
    // The sum is less than twice the first of them.
    let shift = tail.clone().next().map_or(0, |c| c.leading_zeros() - 1);
    let tail = tail.rev().fold(0, |sum: u64, &coefficient| {
        let product = ((u128::from(narrow) * u128::from(sum)) >> 64) as u64;
        let coefficient = ((coefficient << shift) >> 64) as u64;
        if alternate { coefficient - product } else { coefficient + product }
    });
    coefficients.take(small).rev().fold((u128::from(tail) << 64) >> shift, |sum, &coefficient| {
        let product = multiply_high(x, sum);
        if alternate { coefficient - product } else { coefficient + product }
    })
}

/// `(e^x - 1) / x`, or with `negative` `(1 - e^-x) / x`. `x <= ln 2`.
pub(super) fn exponential(x: u128, negative: bool) -> u128 {
    horner(x, negative, FACTORIALS[..32].iter(), 19)
}

/// `sin(x) / x` from `x^2`, which is at most `(π/4)^2`.
pub(super) fn sine(square: u128) -> u128 {
    horner(square, true, FACTORIALS.iter().step_by(2), 10)
}

/// `cos(x)` from `x^2`, which is at most `(π/4)^2`.
pub(super) fn cosine(square: u128) -> u128 {
    ONE - multiply_high(square, horner(square, true, FACTORIALS.iter().skip(1).step_by(2), 9))
}

/// `artanh(x) / x` from `x^2`, which is at most 0.0295.
pub(super) fn area_tangent(square: u128) -> u128 {
    horner(square, false, ODD.iter(), 13)
}

/// `atan(x) / x` from `x^2`, which is at most 1/256.
pub(super) fn arctangent(square: u128) -> u128 {
    horner(square, true, ODD[..17].iter(), 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_terms_are_precise_enough() {
        let mut n = 1u128;
        for _ in 0..20_000 {
            n = n.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(0xda3e_39cb_94b9_5bdb);
            let up_to = |limit: f64| multiply_high(n, ((limit * 2f64.powi(64)) as u128) << 64);
            let (x, square, tenth, small) = (up_to(0.69), up_to(0.6168), up_to(0.0295), up_to(1.0 / 256.0));
            let (sines, cosines) = (FACTORIALS.iter().step_by(2), FACTORIALS.iter().skip(1).step_by(2));
            let all = usize::MAX;
            for (short, long) in [
                (exponential(x, false), horner(x, false, FACTORIALS[..32].iter(), all)),
                (exponential(x, true), horner(x, true, FACTORIALS[..32].iter(), all)),
                (sine(square), horner(square, true, sines, all)),
                (cosine(square), ONE - multiply_high(square, horner(square, true, cosines, all))),
                (area_tangent(tenth), horner(tenth, false, ODD.iter(), all)),
                (arctangent(small), horner(small, true, ODD[..17].iter(), all)),
            ] {
                assert!(short.abs_diff(long) <= 2, "{short:#x} for {long:#x}");
            }
        }
    }
}
