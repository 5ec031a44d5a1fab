//! The x87's built-in constants.

use super::env::Rounding;
use super::format::F80;

/// A value that an instruction pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// `fldz`: +0.
    Zero,
    /// `fld1`: +1.
    One,
    /// `fldl2t`: the binary logarithm of 10.
    Log2Of10,
    /// `fldl2e`: the binary logarithm of e.
    Log2OfE,
    /// `fldpi`: π.
    Pi,
    /// `fldlg2`: the decimal logarithm of 2.
    Log10Of2,
    /// `fldln2`: the natural logarithm of 2.
    LnOf2,
}

/// The constant rounded as `rounding` says; raises nothing, whatever the precision control.
#[must_use]
pub fn constant(constant: Constant, rounding: Rounding) -> F80 {
    // Biased exponent, 64 bits of the significand, and the 8 bits after them.
    let (sign_exponent, significand, next) = match constant {
        Constant::Zero => return F80::ZERO,
        Constant::One => return F80::ONE,
        Constant::Log2Of10 => (0x4000, 0xd49a_784b_cd1b_8afe, 0x49),
        Constant::Log2OfE => (0x3fff, 0xb8aa_3b29_5c17_f0bb, 0xbe),
        Constant::Pi => (0x4000, 0xc90f_daa2_2168_c234, 0xc4),
        Constant::Log10Of2 => (0x3ffd, 0x9a20_9a84_fbcf_f798, 0x8f),
        Constant::LnOf2 => (0x3ffe, 0xb172_17f7_d1cf_79ab, 0xc9u8),
    };
    let up = rounding.rounds_up(false, significand & 1 != 0, next >> 7 != 0, true);
    F80 { significand: significand + u64::from(up), sign_exponent }
}
