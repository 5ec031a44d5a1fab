//! SSE arithmetic on the host's own floats, where it cannot differ from [`crate::softfloat`]: several times as fast.
//!
//! Operands are normal or zero, and so is the result, well away from the ends of its range. Then only the inexact exception may be raised. Where it
//! is raised already, nothing needs to find out; else the error of the result tells. The host rounds to nearest, as Rust demands. All else gives
//! `None`: the long way decides.

use std::cmp::Ordering;

use crate::operand::{FpOp, Width};
use crate::softfloat::{Exceptions, F32, F64, FloatEnv, Relation, Rounding};

/// `mxcsr`'s rounding mode; zero is to nearest.
const ROUNDING: u32 = 3 << 13;

/// Whether results may be rounded to nearest, and the inexact exception changes nothing: it is masked and has been raised.
#[inline(always)]
fn inexact_is_nothing(mxcsr: u32) -> bool {
    let inexact = u32::from(Exceptions::PRECISION.bits());
    mxcsr & (ROUNDING | inexact << 7 | inexact) == inexact << 7 | inexact
}

/// A float that the host computes with.
pub(super) trait HostFloat: Sized {
    /// `a op b`, where that changes nothing in `mxcsr`, and the operands and the result are normal, well away from the ends of the range.
    fn plain_arith(op: FpOp, a: Self, b: Self, mxcsr: u32) -> Option<Self>;
    /// `a op b`.
    fn host_arith(op: FpOp, a: Self, b: Self, env: &mut FloatEnv) -> Option<Self>;
    /// The square root of `a`.
    fn host_sqrt(a: Self, env: &mut FloatEnv) -> Option<Self>;
    /// How `a` and `b` compare.
    fn host_compare(a: Self, b: Self) -> Option<Relation>;
    /// `v`, rounded to zero or as `env` says, of width W32 or W64.
    fn host_to_int(v: Self, w: Width, truncate: bool, env: &mut FloatEnv) -> Option<i64>;
    /// `v` as this float.
    fn host_from_int(v: i64, env: &mut FloatEnv) -> Option<Self>;
}

/// `result` where it rounds to nearest; `is_exact` says whether it was rounded at all, if it can.
#[inline]
fn report<R>(result: R, env: &mut FloatEnv, is_exact: impl FnOnce() -> Option<bool>) -> Option<R> {
    if env.rounding != Rounding::Nearest {
        return None;
    }
    if !env.flags.contains(Exceptions::PRECISION) && !is_exact()? {
        env.raise(Exceptions::PRECISION);
    }
    Some(result)
}

macro_rules! host_float {
    ($Format:ident, $float:ident, $bits:ident, $precision:literal) => {
        impl $Format {
            /// The host's float, where it is normal or zero.
            #[inline]
            fn plain(self) -> Option<$float> {
                let v = $float::from_bits(self.0);
                (v.is_normal() || v == 0.0).then_some(v)
            }

            /// A result without an exception but the inexact one: it is not near those that overflow or are tiny.
            #[inline]
            fn settled(v: $float) -> Option<$Format> {
                let v = $Format(v.to_bits());
                v.is_well_inside().then_some(v)
            }

            /// Whether it is normal, well away from the ends of the range: the smallest exponent left out.
            #[inline(always)]
            fn is_well_inside(self) -> bool {
                const LOWEST: $bits = 2 << $precision;
                const END: $bits = $float::INFINITY.to_bits() << 1;
                (self.0 << 1).wrapping_sub(LOWEST) < END - LOWEST
            }

            /// Bits of the significand of `v`, which is normal, up to its last one.
            fn significant_bits(v: $float) -> u32 {
                $precision - (v.to_bits() | 1 << ($precision - 1)).trailing_zeros()
            }

            /// Whether the product of `x` and `y`, which are normal, is a float; `None` where that is hard to say.
            fn product_is_exact(x: $float, y: $float) -> Option<bool> {
                // The product of two odd numbers has as many bits as both together, or one less.
                match Self::significant_bits(x) + Self::significant_bits(y) {
                    bits if bits <= $precision => Some(true),
                    bits if bits > $precision + 1 => Some(false),
                    _ => None,
                }
            }

            /// Whether `v`, normal, is `x op y` unrounded.
            fn is_exact(op: FpOp, x: $float, y: $float, v: $float) -> Option<bool> {
                match op {
                    FpOp::Mul => Self::product_is_exact(x, y),
                    FpOp::Div => Some(Self::product_is_exact(v, y)? && v * y == x),
                    FpOp::Min | FpOp::Max => Some(true),
                    FpOp::Add | FpOp::Sub => {
                        // Knuth's error of a sum (The Art of Computer Programming, volume 2, 4.2.2, theorem B).
                        let y = if op == FpOp::Sub { -y } else { y };
                        let part = v - x;
                        Some((x - (v - part)) + (y - part) == 0.0)
                    }
                }
            }
        }

        impl HostFloat for $Format {
            #[inline(always)]
            fn plain_arith(op: FpOp, a: Self, b: Self, mxcsr: u32) -> Option<Self> {
                let (x, y) = ($float::from_bits(a.0), $float::from_bits(b.0));
                let v = match op {
                    FpOp::Add => x + y,
                    FpOp::Sub => x - y,
                    FpOp::Mul => x * y,
                    FpOp::Div => x / y,
                    FpOp::Min => {
                        if x < y {
                            x
                        } else {
                            y
                        }
                    }
                    FpOp::Max => {
                        if x > y {
                            x
                        } else {
                            y
                        }
                    }
                };
                let result = $Format(v.to_bits());
                let is_plain = a.is_well_inside() & b.is_well_inside() & result.is_well_inside();
                let is_exact = || mxcsr & ROUNDING == 0 && Self::is_exact(op, x, y, v) == Some(true);
                (is_plain && (inexact_is_nothing(mxcsr) || is_exact())).then_some(result)
            }

            #[inline]
            fn host_arith(op: FpOp, a: Self, b: Self, env: &mut FloatEnv) -> Option<Self> {
                let (x, y) = (a.plain()?, b.plain()?);
                let v = match op {
                    FpOp::Add => x + y,
                    FpOp::Sub => x - y,
                    FpOp::Mul => x * y,
                    FpOp::Div => x / y,
                    // The second of equal ones, zeros of both signs too.
                    FpOp::Min => return Some(if x < y { a } else { b }),
                    FpOp::Max => return Some(if x > y { a } else { b }),
                };
                // Sums are zero, and products and quotients with a zero, exactly.
                if v == 0.0 && (matches!(op, FpOp::Add | FpOp::Sub) || x == 0.0 || y == 0.0) {
                    return report($Format(v.to_bits()), env, || Some(true));
                }
                report(Self::settled(v)?, env, || Self::is_exact(op, x, y, v))
            }

            #[inline]
            fn host_sqrt(a: Self, env: &mut FloatEnv) -> Option<Self> {
                let x = a.plain().filter(|&x| x > 0.0)?;
                let root = x.sqrt();
                report(Self::settled(root)?, env, || Some(Self::product_is_exact(root, root)? && root * root == x))
            }

            #[inline]
            fn host_compare(a: Self, b: Self) -> Option<Relation> {
                Some(match a.plain()?.partial_cmp(&b.plain()?)? {
                    Ordering::Less => Relation::Less,
                    Ordering::Equal => Relation::Equal,
                    Ordering::Greater => Relation::Greater,
                })
            }

            #[inline]
            fn host_to_int(v: Self, w: Width, truncate: bool, env: &mut FloatEnv) -> Option<i64> {
                let x = v.plain()?;
                let whole = if truncate { x.trunc() } else { x.round_ties_even() };
                let limit = if w == Width::W64 { -(i64::MIN as $float) } else { -(i32::MIN as $float) };
                if !(-limit <= whole && whole < limit) {
                    return None;
                }
                report(whole as i64, env, || Some(whole == x))
            }

            #[inline]
            fn host_from_int(v: i64, env: &mut FloatEnv) -> Option<Self> {
                let float = v as $float;
                report($Format(float.to_bits()), env, || Some(float as i128 == i128::from(v)))
            }
        }
    };
}

host_float!(F32, f32, u32, 24);
host_float!(F64, f64, u64, 53);

/// `v` as a double, which is exact.
#[inline]
pub(super) fn widen(v: F32) -> Option<F64> {
    v.plain().map(|v| F64(f64::from(v).to_bits()))
}

/// `v` rounded to a single.
#[inline]
pub(super) fn narrow(v: F64, env: &mut FloatEnv) -> Option<F32> {
    let wide = v.plain()?;
    let single = wide as f32;
    let result = if wide == 0.0 { F32(single.to_bits()) } else { F32::settled(single)? };
    report(result, env, || Some(f64::from(single) == wide))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::softfloat as soft;

    /// Values from a linear congruential generator (Knuth's MMIX), shaped so that exact results, ties and ends of the range are frequent.
    fn values() -> impl Iterator<Item = u64> {
        let mut state = 1u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = state ^ state >> 29;
            let exponent = match random & 7 {
                0 => random >> 3 & 0x7ff,
                1 => 0x7fd + (random >> 3 & 1),
                2 => random >> 3 & 3,
                _ => 1023 + (random >> 3 & 63),
            };
            let cut = random >> 20 & 63;
            (random >> 10 & 1) << 63 | exponent << 52 | (state >> 12 >> cut.min(51) << cut.min(51)) & ((1 << 52) - 1)
        })
    }

    /// Compares with the long way: the result and what it raises, from an environment where nothing is raised and from one where PE is.
    fn agrees<R: PartialEq + std::fmt::Debug>(
        host: impl Fn(&mut FloatEnv) -> Option<R>,
        long: impl Fn(&mut FloatEnv) -> R,
    ) -> bool {
        let mut answered = false;
        for flags in [Exceptions::empty(), Exceptions::PRECISION] {
            let start = FloatEnv { flags, ..FloatEnv::default() };
            let (mut ours, mut theirs) = (start, start);
            if let Some(result) = host(&mut ours) {
                answered = true;
                assert_eq!(result, long(&mut theirs));
                assert_eq!(ours.flags & Exceptions::ALL, theirs.flags & Exceptions::ALL);
            } else {
                assert_eq!(ours, start, "nothing is changed on the way to no answer");
            }
        }
        answered
    }

    #[test]
    fn what_the_host_answers_is_what_softfloat_computes() {
        let mut values = values();
        let mut answered = 0;
        for _ in 0..20_000 {
            let (Some(a), Some(b)) = (values.next(), values.next()) else { return };
            let (a32, b32) = (F32((a >> 32) as u32), F32((b >> 32) as u32));
            let (a, b) = (F64(a), F64(b));
            let sure = [
                agrees(|e| F64::host_arith(FpOp::Add, a, b, e), |e| soft::add(a, b, e)),
                agrees(|e| F64::host_arith(FpOp::Sub, a, b, e), |e| soft::sub(a, b, e)),
                agrees(|e| F64::host_arith(FpOp::Mul, a, b, e), |e| soft::mul(a, b, e)),
                agrees(|e| F64::host_arith(FpOp::Div, a, b, e), |e| soft::div(a, b, e)),
                agrees(|e| F64::host_arith(FpOp::Min, a, b, e), |e| soft::min(a, b, e)),
                agrees(|e| F64::host_arith(FpOp::Max, a, b, e), |e| soft::max(a, b, e)),
                agrees(|e| F64::host_sqrt(a, e), |e| soft::sqrt(a, e)),
                agrees(|_| F64::host_compare(a, b), |e| soft::compare_quiet(a, b, e)),
                agrees(|e| narrow(a, e), |e| soft::convert(a, e)),
                agrees(|e| F64::host_to_int(a, Width::W64, true, e), |e| soft::to_i64(a, Rounding::Zero, e)),
                agrees(|e| F64::host_to_int(a, Width::W32, false, e), |e| soft::to_i32(a, e.rounding, e).into()),
                agrees(
                    |e| F64::host_from_int(a.0 as i64 >> (b.0 & 63), e),
                    |e| soft::from_i64(a.0 as i64 >> (b.0 & 63), e),
                ),
                agrees(|e| F32::host_arith(FpOp::Add, a32, b32, e), |e| soft::add(a32, b32, e)),
                agrees(|e| F32::host_arith(FpOp::Mul, a32, b32, e), |e| soft::mul(a32, b32, e)),
                agrees(|e| F32::host_arith(FpOp::Div, a32, b32, e), |e| soft::div(a32, b32, e)),
                agrees(|_| widen(a32), |e| soft::convert(a32, e)),
            ];
            answered += sure.iter().filter(|&&sure| sure).count();
        }
        assert!(answered > 160_000, "the host answers most: {answered}");
    }

    #[test]
    fn plain_results_are_those_of_softfloat() {
        let mut values = values();
        let mut answered = 0;
        for _ in 0..20_000 {
            let (Some(a), Some(b)) = (values.next(), values.next()) else { return };
            let (a32, b32) = (F32((a >> 32) as u32), F32((b >> 32) as u32));
            let (a, b) = (F64(a), F64(b));
            let sure = [
                agrees_plainly(|m| F64::plain_arith(FpOp::Add, a, b, m), |e| soft::add(a, b, e)),
                agrees_plainly(|m| F64::plain_arith(FpOp::Sub, a, b, m), |e| soft::sub(a, b, e)),
                agrees_plainly(|m| F64::plain_arith(FpOp::Mul, a, b, m), |e| soft::mul(a, b, e)),
                agrees_plainly(|m| F64::plain_arith(FpOp::Div, a, b, m), |e| soft::div(a, b, e)),
                agrees_plainly(|m| F64::plain_arith(FpOp::Min, a, b, m), |e| soft::min(a, b, e)),
                agrees_plainly(|m| F64::plain_arith(FpOp::Max, a, b, m), |e| soft::max(a, b, e)),
                agrees_plainly(|m| F32::plain_arith(FpOp::Add, a32, b32, m), |e| soft::add(a32, b32, e)),
                agrees_plainly(|m| F32::plain_arith(FpOp::Mul, a32, b32, m), |e| soft::mul(a32, b32, e)),
                agrees_plainly(|m| F32::plain_arith(FpOp::Div, a32, b32, m), |e| soft::div(a32, b32, e)),
            ];
            answered += sure.iter().filter(|&&sure| sure).count();
        }
        assert!(answered > 90_000, "the host answers most: {answered}");
    }

    /// Compares plain results with the long way's: from where nothing is raised, and from where PE is.
    fn agrees_plainly<R: PartialEq + std::fmt::Debug>(
        host: impl Fn(u32) -> Option<R>,
        long: impl Fn(&mut FloatEnv) -> R,
    ) -> bool {
        let mut answered = false;
        for (mxcsr, may_raise) in [(0x1f80, Exceptions::empty()), (0x1fa0, Exceptions::PRECISION)] {
            if let Some(result) = host(mxcsr) {
                answered = true;
                let mut env = FloatEnv::default();
                assert_eq!(result, long(&mut env));
                assert!((env.flags & Exceptions::ALL).difference(may_raise).is_empty(), "{:?}", env.flags);
            }
        }
        answered
    }

    #[test]
    fn only_a_raised_and_masked_inexact_exception_is_nothing() {
        let is = inexact_is_nothing;
        assert!(is(0x1fa0) && is(0x9fe0) && is(0x1020));
        assert!(!is(0x1f80) && !is(0x0fa0) && !is(0x3fa0) && !is(0x5fa0) && !is(0x7fa0));
    }

    #[test]
    fn other_roundings_are_not_the_hosts() {
        let mut env = FloatEnv { rounding: Rounding::Up, ..FloatEnv::default() };
        assert_eq!(F64::host_arith(FpOp::Add, F64(1f64.to_bits()), F64(1f64.to_bits()), &mut env), None);
        assert_eq!(F64::plain_arith(FpOp::Add, F64(1f64.to_bits()), F64(1f64.to_bits()), 0x5f80), None);
    }
}
