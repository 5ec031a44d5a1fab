//! Counting, moving and summing bits: BMI1, BMI2, ADX, `lzcnt`, `crc32`. Source: Intel SDM vol. 2.

use super::flags::when;
use crate::guest::FlagSet;
use crate::operand::Width;

/// `ado` and `ado_flags`.
pub(super) fn ado(w: Width, a: u64, b: u64, f: FlagSet) -> (u64, FlagSet) {
    let sum = u128::from(a & w.mask()) + u128::from(b & w.mask()) + u128::from(f.contains(FlagSet::OF));
    (sum as u64 & w.mask(), when(sum >> w.bits() != 0, FlagSet::OF))
}

/// `count_leading_zeros`.
pub(super) fn leading_zeros(w: Width, a: u64) -> u64 {
    u64::from((a & w.mask()).leading_zeros() + w.bits() - 64)
}

/// `count_trailing_zeros`.
pub(super) fn trailing_zeros(w: Width, a: u64) -> u64 {
    u64::from((a & w.mask()).trailing_zeros().min(w.bits()))
}

/// `count_zeros_flags`.
pub(super) fn count_zeros_flags(w: Width, a: u64, v: u64) -> FlagSet {
    when(a & w.mask() == 0, FlagSet::CF) | when(v & w.mask() == 0, FlagSet::ZF)
}

/// `extract_field`.
pub(super) fn extract_field(w: Width, a: u64, control: u64) -> u64 {
    low(w, (a & w.mask()).checked_shr((control & 0xff) as u32).unwrap_or(0), control >> 8)
}

/// `low_bits`.
pub(super) fn low(w: Width, a: u64, n: u64) -> u64 {
    let above = u64::MAX.checked_shl((n & 0xff) as u32).unwrap_or(0);
    a & w.mask() & !above
}

/// `deposit_bits`.
pub(super) fn deposit(mut a: u64, mut mask: u64) -> u64 {
    let mut result = 0;
    while mask != 0 {
        let place = mask & mask.wrapping_neg();
        if a & 1 != 0 {
            result |= place;
        }
        a >>= 1;
        mask ^= place;
    }
    result
}

/// `extract_bits`.
pub(super) fn extract(a: u64, mut mask: u64) -> u64 {
    let mut result = 0;
    for to in 0..mask.count_ones() {
        let place = mask & mask.wrapping_neg();
        result |= u64::from(a & place != 0) << to;
        mask ^= place;
    }
    result
}

/// CRC-32C's polynomial, bit 31 for the power 0.
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// `crc32c`.
pub(super) fn crc32c(w: Width, crc: u32, v: u64) -> u32 {
    let step = |crc: u32, _| if crc & 1 != 0 { crc >> 1 ^ CASTAGNOLI } else { crc >> 1 };
    let bytes = v.to_le_bytes();
    bytes[..w.bytes() as usize].iter().fold(crc, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_zero_are_the_width() {
        for w in [Width::W16, Width::W32, Width::W64] {
            assert_eq!((leading_zeros(w, 0), trailing_zeros(w, 0)), (w.bits().into(), w.bits().into()));
            assert_eq!((leading_zeros(w, 1), trailing_zeros(w, 8)), (u64::from(w.bits()) - 1, 3));
        }
        assert_eq!(leading_zeros(Width::W16, 0xff_0100), 7);
        assert_eq!(count_zeros_flags(Width::W32, 1 << 32, 32), FlagSet::CF);
        assert_eq!(count_zeros_flags(Width::W32, 1, 0), FlagSet::ZF);
    }

    #[test]
    fn carries_through_the_overflow_flag() {
        assert_eq!(ado(Width::W32, u64::MAX, 0, FlagSet::OF), (0, FlagSet::OF));
        assert_eq!(ado(Width::W64, u64::MAX, 1, FlagSet::CF), (0, FlagSet::OF));
        assert_eq!(ado(Width::W64, 2, 3, FlagSet::OF), (6, FlagSet::empty()));
    }

    #[test]
    fn fields() {
        assert_eq!(extract_field(Width::W64, 0x1234_5678, 0x0804), 0x67);
        assert_eq!(extract_field(Width::W32, 0xffff_ffff_8000_0000, 0x081f), 1);
        assert_eq!(extract_field(Width::W64, u64::MAX, 0xff40), 0);
        assert_eq!(low(Width::W64, u64::MAX, 0x140), u64::MAX);
        assert_eq!(low(Width::W32, u64::MAX, 0x103), 7);
    }

    #[test]
    fn deposits_and_extracts() {
        assert_eq!(deposit(0b101, 0xf0f0), 0b0101_0000);
        assert_eq!(extract(0xabcd, 0xf0f0), 0xac);
        assert_eq!(extract(deposit(0x1234_5678_9abc_def0, u64::MAX), u64::MAX), 0x1234_5678_9abc_def0);
    }

    #[test]
    fn crc_of_the_usual_string() {
        // 0xe3069283 is the check value of CRC-32C: of "123456789", inverted before and after.
        let crc = b"123456789".iter().fold(u32::MAX, |crc, byte| crc32c(Width::W8, crc, (*byte).into()));
        assert_eq!(!crc, 0xe306_9283);
        let crc = crc32c(Width::W64, u32::MAX, u64::from_le_bytes(*b"12345678"));
        assert_eq!(!crc32c(Width::W8, crc, b'9'.into()), 0xe306_9283);
    }
}
