//! Status flags of integer arithmetic. Source: Intel SDM vol. 1, 3.4.3.1 and the instructions' pages; undefined flags as the op table says.

use super::int::{mul_high_s, mul_high_u};
use crate::guest::FlagSet;
use crate::operand::Width;

/// `flag` where `on`.
#[inline(always)]
pub(super) fn when(on: bool, flag: FlagSet) -> FlagSet {
    if on { flag } else { FlagSet::empty() }
}

/// The top bit of a value of width `w`.
#[inline(always)]
pub(super) fn top_bit(w: Width, v: u64) -> bool {
    v >> (w.bits() - 1) & 1 != 0
}

/// ZF, SF and PF of the result `v`.
#[inline(always)]
pub(super) fn of_result(w: Width, v: u64) -> FlagSet {
    let byte = v as u8;
    // Bit n is one where the nibble n has an even number of ones.
    let even = 0x9669u16 >> ((byte ^ byte >> 4) & 15) & 1 != 0;
    when(v & w.mask() == 0, FlagSet::ZF) | when(top_bit(w, v), FlagSet::SF) | when(even, FlagSet::PF)
}

/// Flags of `ADD`, and of `ADC` with `carry`.
#[inline(always)]
pub(super) fn add(w: Width, a: u64, b: u64, carry: bool) -> FlagSet {
    let sum = a.wrapping_add(b).wrapping_add(u64::from(carry));
    let carries = a & b | (a | b) & !sum;
    when(top_bit(w, carries), FlagSet::CF)
        | when((a ^ b ^ sum) & 16 != 0, FlagSet::AF)
        | when(top_bit(w, (a ^ sum) & (b ^ sum)), FlagSet::OF)
        | of_result(w, sum)
}

/// Flags of `SUB`, and of `SBB` with `borrow`.
#[inline(always)]
pub(super) fn sub(w: Width, a: u64, b: u64, borrow: bool) -> FlagSet {
    let difference = a.wrapping_sub(b).wrapping_sub(u64::from(borrow));
    let borrows = !a & b | (!a | b) & difference;
    when(top_bit(w, borrows), FlagSet::CF)
        | when((a ^ b ^ difference) & 16 != 0, FlagSet::AF)
        | when(top_bit(w, (a ^ b) & (a ^ difference)), FlagSet::OF)
        | of_result(w, difference)
}

/// Flags of `MUL`.
pub(super) fn mul_u(w: Width, a: u64, b: u64) -> FlagSet {
    of_product(w, a.wrapping_mul(b), mul_high_u(w, a, b) != 0)
}

/// Flags of `IMUL`.
pub(super) fn mul_s(w: Width, a: u64, b: u64) -> FlagSet {
    let low = a.wrapping_mul(b);
    let sign = if top_bit(w, low) { w.mask() } else { 0 };
    of_product(w, low, mul_high_s(w, a, b) != sign)
}

fn of_product(w: Width, low: u64, wide: bool) -> FlagSet {
    when(wide, FlagSet::CF | FlagSet::OF) | of_result(w, low) & (FlagSet::SF | FlagSet::PF)
}

/// `f` with CF replaced by bit `n` mod w of `a`.
pub(super) fn bit_test(w: Width, a: u64, n: u64, f: FlagSet) -> FlagSet {
    let bit = a >> (n & u64::from(w.bits() - 1)) & 1 != 0;
    f & !FlagSet::CF | when(bit, FlagSet::CF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CF: FlagSet = FlagSet::CF;
    const PF: FlagSet = FlagSet::PF;
    const AF: FlagSet = FlagSet::AF;
    const ZF: FlagSet = FlagSet::ZF;
    const SF: FlagSet = FlagSet::SF;
    const OF: FlagSet = FlagSet::OF;

    /// The definition, by wider arithmetic, for all bytes.
    #[test]
    fn add_and_sub_of_bytes_match_the_definition() {
        for (a, b, c) in (0..=255u64).flat_map(|a| (0..=255u64).flat_map(move |b| [(a, b, false), (a, b, true)])) {
            let (x, y, n) = (a as i16, b as i16, i16::from(c));
            let (sx, sy) = (i16::from(a as i8), i16::from(b as i8));
            let result = |v: i16| {
                let byte = v as u8;
                when(byte == 0, ZF) | when(byte >= 128, SF) | when(byte.count_ones() % 2 == 0, PF)
            };
            let sum = when(x + y + n > 255, CF)
                | when((x & 15) + (y & 15) + n > 15, AF)
                | when(!(-128..128).contains(&(sx + sy + n)), OF)
                | result(x + y + n);
            assert_eq!(add(Width::W8, a, b, c), sum, "{a:#x} + {b:#x} + {c}");
            let difference = when(x - y - n < 0, CF)
                | when((x & 15) - (y & 15) - n < 0, AF)
                | when(!(-128..128).contains(&(sx - sy - n)), OF)
                | result(x - y - n);
            assert_eq!(sub(Width::W8, a, b, c), difference, "{a:#x} - {b:#x} - {c}");
        }
    }

    #[test]
    fn wide_operands() {
        assert_eq!(add(Width::W64, u64::MAX, 1, false), CF | PF | AF | ZF);
        assert_eq!(add(Width::W64, u64::MAX, u64::MAX, true), CF | PF | AF | SF);
        assert_eq!(sub(Width::W64, 1 << 63, 1, false), OF | PF | AF);
        assert_eq!(sub(Width::W32, 0xffff_ffff_0000_0000, 0, false), ZF | PF);
        assert_eq!(sub(Width::W16, 0, 0x8000, false), CF | OF | SF | PF);
    }

    #[test]
    fn products() {
        assert_eq!(mul_u(Width::W8, 16, 16), CF | OF | PF);
        assert_eq!(mul_s(Width::W8, 0xff, 0xff), FlagSet::empty());
        assert_eq!(mul_s(Width::W8, 0x80, 0xff), CF | OF | SF);
        assert_eq!(mul_s(Width::W64, u64::MAX, 2), SF);
    }

    #[test]
    fn bit_tests_wrap_at_the_width() {
        assert_eq!(bit_test(Width::W16, 0x0002, 17, ZF), ZF | CF);
        assert_eq!(bit_test(Width::W64, 1 << 63, 63, CF), CF);
        assert_eq!(bit_test(Width::W64, 0, 63, CF | SF), SF);
    }
}
