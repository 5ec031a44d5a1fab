//! Shifts and rotations with their flags. Counts come masked (at most 63 for W64, else 31). Source: Intel SDM vol. 2, the instructions' pages.

use super::flags::{of_result, top_bit, when};
use super::int::signed;
use crate::guest::FlagSet;
use crate::operand::Width;

/// `a << n`; zero beyond the width.
#[inline(always)]
pub(super) fn shl(w: Width, a: u64, n: u32) -> u64 {
    a << n & w.mask()
}

/// `a >> n`.
#[inline(always)]
pub(super) fn shr(w: Width, a: u64, n: u32) -> u64 {
    (a & w.mask()) >> n
}

/// Arithmetic `a >> n`.
#[inline(always)]
pub(super) fn sar(w: Width, a: u64, n: u32) -> u64 {
    (signed(w, a) >> n) as u64 & w.mask()
}

/// Flags of `SHL`.
pub(super) fn shl_flags(w: Width, a: u64, n: u32, f: FlagSet) -> FlagSet {
    let result = shl(w, a, n);
    let carry = n <= w.bits() && a >> (w.bits() - n.clamp(1, w.bits())) & 1 != 0;
    of_shift(w, n, result, carry, top_bit(w, result) != carry, f)
}

/// Flags of `SHR`.
pub(super) fn shr_flags(w: Width, a: u64, n: u32, f: FlagSet) -> FlagSet {
    let carry = shr(w, a, n.saturating_sub(1)) & 1 != 0;
    of_shift(w, n, shr(w, a, n), carry, top_bit(w, a), f)
}

/// Flags of `SAR`; CF is the sign for counts beyond the width.
pub(super) fn sar_flags(w: Width, a: u64, n: u32, f: FlagSet) -> FlagSet {
    let carry = sar(w, a, n.saturating_sub(1)) & 1 != 0;
    of_shift(w, n, sar(w, a, n), carry, false, f)
}

/// `SHLD`.
pub(super) fn shld(w: Width, a: u64, b: u64, n: u32) -> u64 {
    (joined(w, a, b) << n >> (128 - w.bits())) as u64
}

/// `SHRD`.
pub(super) fn shrd(w: Width, a: u64, b: u64, n: u32) -> u64 {
    // From the low end: a, b, a.
    let (low, high) = (u128::from(a & w.mask()), u128::from(b & w.mask()));
    let wide = if w == Width::W64 { high << 64 | low } else { low << (2 * w.bits()) | high << w.bits() | low };
    (wide >> n) as u64 & w.mask()
}

/// Flags of `SHLD`.
pub(super) fn shld_flags(w: Width, a: u64, b: u64, n: u32, f: FlagSet) -> FlagSet {
    let result = shld(w, a, b, n);
    let carry = n <= w.bits() && a >> (w.bits() - n.clamp(1, w.bits())) & 1 != 0;
    of_shift(w, n, result, carry, top_bit(w, result ^ a), f)
}

/// Flags of `SHRD`.
pub(super) fn shrd_flags(w: Width, a: u64, b: u64, n: u32, f: FlagSet) -> FlagSet {
    let result = shrd(w, a, b, n);
    let carry = shr(w, a, n.saturating_sub(1)) & 1 != 0;
    of_shift(w, n, result, carry, top_bit(w, result ^ a), f)
}

/// `a:b:a` at the top of 128 bits (`a:b` where no more fits).
fn joined(w: Width, a: u64, b: u64) -> u128 {
    let (a, b) = (u128::from(a & w.mask()), u128::from(b & w.mask()));
    let top = 128 - w.bits();
    let third = if w == Width::W64 { 0 } else { a << (top - 2 * w.bits()) };
    a << top | b << (top - w.bits()) | third
}

/// Flags of a shift by `n` with this result, carry and (for one place) overflow.
fn of_shift(w: Width, n: u32, result: u64, carry: bool, overflow: bool, f: FlagSet) -> FlagSet {
    if n == 0 {
        return f;
    }
    of_result(w, result) | when(carry, FlagSet::CF) | when(n == 1 && overflow, FlagSet::OF)
}

/// `a` rotated left by `n` mod w.
pub(super) fn rotl(w: Width, a: u64, n: u32) -> u64 {
    let (a, n) = (a & w.mask(), n % w.bits());
    (a << n | shr(w, a, (w.bits() - n) % w.bits())) & w.mask()
}

/// `a` rotated right by `n` mod w.
pub(super) fn rotr(w: Width, a: u64, n: u32) -> u64 {
    rotl(w, a, w.bits() - n % w.bits())
}

/// Flags of `ROL`.
pub(super) fn rotl_flags(w: Width, a: u64, n: u32, f: FlagSet) -> FlagSet {
    let result = rotl(w, a, n);
    let carry = result & 1 != 0;
    of_rotation(n, carry, carry != top_bit(w, result), f)
}

/// Flags of `ROR`.
pub(super) fn rotr_flags(w: Width, a: u64, n: u32, f: FlagSet) -> FlagSet {
    let result = rotr(w, a, n);
    of_rotation(n, top_bit(w, result), top_bit(w, result ^ result << 1), f)
}

/// `a` rotated left through CF of `f`, and the carry out.
fn through_carry_left(w: Width, a: u64, n: u32, f: FlagSet) -> (u64, bool) {
    let size = w.bits() + 1;
    let n = n % size;
    let whole = u128::from(f.contains(FlagSet::CF)) << w.bits() | u128::from(a & w.mask());
    let turned = whole << n | whole >> (size - n);
    (turned as u64 & w.mask(), turned >> w.bits() & 1 != 0)
}

/// The left rotation that equals a right one by `n`.
fn mirrored(w: Width, n: u32) -> u32 {
    let size = w.bits() + 1;
    (size - n % size) % size
}

/// `RCL`.
pub(super) fn rotl_carry(w: Width, a: u64, n: u32, f: FlagSet) -> u64 {
    through_carry_left(w, a, n, f).0
}

/// `RCR`.
pub(super) fn rotr_carry(w: Width, a: u64, n: u32, f: FlagSet) -> u64 {
    through_carry_left(w, a, mirrored(w, n), f).0
}

/// Flags of `RCL`.
pub(super) fn rotl_carry_flags(w: Width, a: u64, n: u32, f: FlagSet) -> FlagSet {
    let (result, carry) = through_carry_left(w, a, n, f);
    of_rotation(n % (w.bits() + 1), carry, carry != top_bit(w, result), f)
}

/// Flags of `RCR`.
pub(super) fn rotr_carry_flags(w: Width, a: u64, n: u32, f: FlagSet) -> FlagSet {
    let (result, carry) = through_carry_left(w, a, mirrored(w, n), f);
    of_rotation(n % (w.bits() + 1), carry, top_bit(w, result ^ result << 1), f)
}

/// `f` with CF and OF replaced unless the count `n` is zero.
fn of_rotation(n: u32, carry: bool, overflow: bool, f: FlagSet) -> FlagSet {
    if n == 0 {
        return f;
    }
    f & !(FlagSet::CF | FlagSet::OF) | when(carry, FlagSet::CF) | when(overflow, FlagSet::OF)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CF: FlagSet = FlagSet::CF;
    const PF: FlagSet = FlagSet::PF;
    const ZF: FlagSet = FlagSet::ZF;
    const SF: FlagSet = FlagSet::SF;
    const OF: FlagSet = FlagSet::OF;
    const NONE: FlagSet = FlagSet::empty();

    #[test]
    fn shifts() {
        assert_eq!(shl(Width::W8, 0x81, 1), 2);
        assert_eq!(shl(Width::W8, 0x81, 31), 0);
        assert_eq!(sar(Width::W8, 0x81, 31), 0xff);
        assert_eq!(shr(Width::W16, 0xf_8000, 15), 1);
        assert_eq!(shl_flags(Width::W8, 0x81, 1, NONE), CF | OF);
        assert_eq!(shl_flags(Width::W8, 0x81, 8, SF), CF | ZF | PF);
        assert_eq!(shl_flags(Width::W8, 0x81, 9, SF), ZF | PF);
        assert_eq!(shl_flags(Width::W64, 1, 63, CF), SF | PF);
        assert_eq!(shr_flags(Width::W32, 0x8000_0001, 1, NONE), CF | OF | PF);
        assert_eq!(shr_flags(Width::W8, 0x80, 8, NONE), CF | ZF | PF);
        assert_eq!(shr_flags(Width::W8, 0x80, 9, NONE), ZF | PF);
        assert_eq!(sar_flags(Width::W8, 0x80, 20, NONE), CF | SF | PF);
        assert_eq!(sar_flags(Width::W8, 0x80, 0, OF), OF);
    }

    #[test]
    fn double_shifts() {
        assert_eq!(shld(Width::W32, 0x1234_5678, 0x9abc_def0, 8), 0x3456_789a);
        assert_eq!(shld(Width::W64, 1, 1 << 63, 1), 3);
        assert_eq!(shld(Width::W16, 0x1234, 0x5678, 20), 0x6781);
        assert_eq!(shrd(Width::W32, 0x1234_5678, 0x9abc_def0, 8), 0xf012_3456);
        assert_eq!(shrd(Width::W16, 0x1234, 0x5678, 20), 0x4567);
        assert_eq!(shrd(Width::W64, 2, 1, 1), 1 << 63 | 1);
        assert_eq!(shld(Width::W32, 5, 6, 0), 5);
        assert_eq!(shld_flags(Width::W32, 0x4000_0000, 0, 1, NONE), OF | SF | PF);
        assert_eq!(shrd_flags(Width::W32, 1, 1, 1, NONE), CF | OF | SF | PF);
        assert_eq!(shrd_flags(Width::W32, 1, 1, 0, CF), CF);
    }

    #[test]
    fn rotations() {
        assert_eq!(rotl(Width::W8, 0x81, 9), 3);
        assert_eq!(rotr(Width::W16, 1, 1), 0x8000);
        assert_eq!(rotl(Width::W64, 1 << 63, 1), 1);
        assert_eq!(rotl_flags(Width::W8, 0x81, 8, ZF), ZF | CF);
        assert_eq!(rotl_flags(Width::W8, 0x81, 0, ZF), ZF);
        assert_eq!(rotr_flags(Width::W8, 1, 1, NONE), CF | OF);
    }

    #[test]
    fn rotations_through_carry() {
        assert_eq!(rotl_carry(Width::W8, 0x80, 1, CF), 1);
        assert_eq!(rotl_carry_flags(Width::W8, 0x80, 1, CF), CF | OF);
        assert_eq!(rotl_carry(Width::W8, 0x5a, 9, CF), 0x5a);
        assert_eq!(rotl_carry_flags(Width::W8, 0x5a, 9, CF | ZF), CF | ZF);
        assert_eq!(rotr_carry(Width::W64, 1, 1, NONE), 0);
        assert_eq!(rotr_carry_flags(Width::W64, 1, 1, NONE), CF);
        assert_eq!(rotr_carry(Width::W32, 0, 1, CF), 0x8000_0000);
        assert_eq!(rotr_carry_flags(Width::W32, 0, 1, CF), OF);
        // Two steps at once are two single steps.
        let (once, carry) = (rotr_carry(Width::W16, 0x1235, 1, CF), rotr_carry_flags(Width::W16, 0x1235, 1, CF));
        assert_eq!(rotr_carry(Width::W16, 0x1235, 2, CF), rotr_carry(Width::W16, once, 1, carry));
    }
}
