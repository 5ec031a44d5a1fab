//! The three formats and their common unpacked form.

use super::env::{Exceptions, FloatEnv, Precision};

/// Bits of an IEEE half, which only conversions know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct F16(pub u16);

/// Bits of an IEEE single.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct F32(pub u32);

/// Bits of an IEEE double.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct F64(pub u64);

/// Bits of an x87 extended value.
///
/// Encodings that the 80387 and later refuse (a leading bit of 0 with a non-zero exponent) can be held, and are
/// invalid operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct F80 {
    /// All 64 bits of the significand; bit 63 is the explicit leading one.
    pub significand: u64,
    /// Sign in bit 15, exponent biased by 16383 below.
    pub sign_exponent: u16,
}

impl F80 {
    /// Positive zero.
    pub const ZERO: Self = Self { significand: 0, sign_exponent: 0 };
    /// One.
    pub const ONE: Self = Self { significand: 1 << 63, sign_exponent: 0x3fff };
    /// The default NaN, which the manual calls "real indefinite".
    pub const INDEFINITE: Self = Self { significand: 3 << 62, sign_exponent: 0xffff };

    /// The value whose ten bytes in memory are `bytes`.
    #[must_use]
    pub const fn from_le_bytes(bytes: [u8; 10]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j] = bytes;
        Self { significand: u64::from_le_bytes([a, b, c, d, e, f, g, h]), sign_exponent: u16::from_le_bytes([i, j]) }
    }

    /// The ten bytes in memory.
    #[must_use]
    pub const fn to_le_bytes(self) -> [u8; 10] {
        let [a, b, c, d, e, f, g, h] = self.significand.to_le_bytes();
        let [i, j] = self.sign_exponent.to_le_bytes();
        [a, b, c, d, e, f, g, h, i, j]
    }

    /// `fchs`: the other sign, NaNs and refused encodings included.
    #[must_use]
    pub const fn negate(self) -> Self {
        Self { sign_exponent: self.sign_exponent ^ 0x8000, ..self }
    }

    /// `fabs`: the positive sign, NaNs and refused encodings included.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self { sign_exponent: self.sign_exponent & 0x7fff, ..self }
    }

    /// The same value, a pseudo-denormal as the normal value that it is.
    pub(crate) const fn canonical(self) -> Self {
        let pseudo_denormal = self.sign_exponent & 0x7fff == 0 && self.significand >> 63 != 0;
        Self { sign_exponent: self.sign_exponent | pseudo_denormal as u16, ..self }
    }

    /// Whether the sign bit is set.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.sign_exponent & 0x8000 != 0
    }
}

/// What kind of value an encoding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Finite and not zero.
    Finite,
    Zero,
    Infinite,
    QuietNan,
    SignalingNan,
    /// An [`F80`] encoding that is no operand.
    Refused,
}

/// A value taken apart, the same for all formats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unpacked {
    pub(crate) class: Class,
    pub(crate) negative: bool,
    /// The encoding was denormal (or pseudo-denormal); `exponent` and `significand` are normalised all the same.
    pub(crate) denormal: bool,
    /// Of the leading bit, unbiased. Only for [`Class::Finite`].
    pub(crate) exponent: i32,
    /// Left-aligned: bit 63 set if finite; a NaN as it would be in an [`F80`].
    pub(crate) significand: u64,
}

impl Unpacked {
    #[inline]
    pub(crate) fn is_finite_nonzero(&self) -> bool {
        self.class == Class::Finite
    }

    #[inline]
    pub(crate) fn is_nan(&self) -> bool {
        matches!(self.class, Class::QuietNan | Class::SignalingNan)
    }

    /// Whether no ordinary operation takes the value as a number.
    #[inline]
    pub(crate) fn is_nan_or_refused(&self) -> bool {
        matches!(self.class, Class::QuietNan | Class::SignalingNan | Class::Refused)
    }

    /// DE, if the operand calls for it.
    #[inline]
    pub(crate) fn denormal_flag(&self) -> Exceptions {
        if self.denormal { Exceptions::DENORMAL } else { Exceptions::empty() }
    }
}

/// A floating-point format by its raw bits: [`F32`], [`F64`] or [`F80`]; [`F16`] for conversions.
#[expect(private_interfaces, reason = "the unpacked form is the arithmetic's own")]
pub trait Format: Copy + Eq + std::fmt::Debug {
    /// Significand bits, the leading one included.
    const PRECISION: u32;
    /// Exponent of the largest finite values; the smallest normal one is `1 - MAX_EXPONENT`.
    const MAX_EXPONENT: i32;
    /// Whether results follow the x87's rules instead of SSE's.
    const X87: bool;

    /// Takes the value apart; `denormals_are_zero` applies to the SSE formats alone.
    #[doc(hidden)]
    fn unpack(self, denormals_are_zero: bool) -> Unpacked;

    /// Puts bits together from a left-aligned significand. A biased exponent of 0 takes a significand with bit 63
    /// clear, whose bit 63 would weigh `2^(1 - MAX_EXPONENT)`.
    #[doc(hidden)]
    fn pack(negative: bool, biased: u32, significand: u64) -> Self;

    /// Significand bits of rounded results under `env`.
    #[doc(hidden)]
    #[inline]
    fn result_precision(_env: &FloatEnv) -> u32 {
        Self::PRECISION
    }

    /// The biased exponent of infinities and NaNs.
    #[doc(hidden)]
    const TOP: u32 = 2 * Self::MAX_EXPONENT as u32 + 1;

    /// A zero.
    #[inline]
    #[must_use]
    fn zero(negative: bool) -> Self {
        Self::pack(negative, 0, 0)
    }

    /// An infinity.
    #[inline]
    #[must_use]
    fn infinity(negative: bool) -> Self {
        Self::pack(negative, Self::TOP, 1 << 63)
    }

    /// The NaN that invalid operations return: negative, quiet, no payload.
    #[inline]
    #[must_use]
    fn default_nan() -> Self {
        Self::pack(true, Self::TOP, 3 << 62)
    }
}

/// Takes apart an IEEE encoding with `FRACTION` fraction bits, given its fields.
#[inline]
fn unpack_ieee<F: Format>(negative: bool, biased: u32, fraction: u64, denormals_are_zero: bool) -> Unpacked {
    let aligned = fraction << (64 - F::PRECISION);
    let mut u = Unpacked {
        class: Class::Finite,
        negative,
        denormal: false,
        exponent: biased as i32 - F::MAX_EXPONENT,
        significand: aligned | 1 << 63,
    };
    if biased.wrapping_sub(1) < F::TOP - 1 {
        return u;
    }
    if biased == 0 {
        if fraction == 0 || denormals_are_zero {
            u.class = Class::Zero;
            u.significand = 0;
        } else {
            let shift = aligned.leading_zeros();
            u.denormal = true;
            u.exponent = 1 - F::MAX_EXPONENT - shift as i32;
            u.significand = aligned << shift;
        }
    } else {
        u.class = nan_or_infinity(u.significand);
    }
    u
}

/// Tells apart what the largest biased exponent stands for, given the left-aligned significand.
#[inline]
fn nan_or_infinity(significand: u64) -> Class {
    if significand << 1 == 0 {
        Class::Infinite
    } else if significand & 1 << 62 != 0 {
        Class::QuietNan
    } else {
        Class::SignalingNan
    }
}

#[expect(private_interfaces, reason = "the unpacked form is the arithmetic's own")]
impl Format for F16 {
    const PRECISION: u32 = 11;
    const MAX_EXPONENT: i32 = 15;
    const X87: bool = false;

    #[inline]
    fn unpack(self, denormals_are_zero: bool) -> Unpacked {
        let Self(bits) = self;
        let (biased, fraction) = (u32::from(bits >> 10 & 0x1f), u64::from(bits & 0x03ff));
        unpack_ieee::<Self>(bits >> 15 != 0, biased, fraction, denormals_are_zero)
    }

    #[inline]
    fn pack(negative: bool, biased: u32, significand: u64) -> Self {
        Self(u16::from(negative) << 15 | (biased << 10) as u16 | (significand << 1 >> 54) as u16)
    }
}

#[expect(private_interfaces, reason = "the unpacked form is the arithmetic's own")]
impl Format for F32 {
    const PRECISION: u32 = 24;
    const MAX_EXPONENT: i32 = 127;
    const X87: bool = false;

    #[inline]
    fn unpack(self, denormals_are_zero: bool) -> Unpacked {
        let Self(bits) = self;
        let (biased, fraction) = (bits >> 23 & 0xff, u64::from(bits & 0x007f_ffff));
        unpack_ieee::<Self>(bits >> 31 != 0, biased, fraction, denormals_are_zero)
    }

    #[inline]
    fn pack(negative: bool, biased: u32, significand: u64) -> Self {
        Self(u32::from(negative) << 31 | biased << 23 | (significand << 1 >> 41) as u32)
    }
}

#[expect(private_interfaces, reason = "the unpacked form is the arithmetic's own")]
impl Format for F64 {
    const PRECISION: u32 = 53;
    const MAX_EXPONENT: i32 = 1023;
    const X87: bool = false;

    #[inline]
    fn unpack(self, denormals_are_zero: bool) -> Unpacked {
        let Self(bits) = self;
        let (biased, fraction) = ((bits >> 52) as u32 & 0x7ff, bits & 0x000f_ffff_ffff_ffff);
        unpack_ieee::<Self>(bits >> 63 != 0, biased, fraction, denormals_are_zero)
    }

    #[inline]
    fn pack(negative: bool, biased: u32, significand: u64) -> Self {
        Self(u64::from(negative) << 63 | u64::from(biased) << 52 | significand << 1 >> 12)
    }
}

#[expect(private_interfaces, reason = "the unpacked form is the arithmetic's own")]
impl Format for F80 {
    const PRECISION: u32 = 64;
    const MAX_EXPONENT: i32 = 16383;
    const X87: bool = true;

    #[inline]
    fn unpack(self, _denormals_are_zero: bool) -> Unpacked {
        let biased = u32::from(self.sign_exponent & 0x7fff);
        let mut u = Unpacked {
            class: Class::Finite,
            negative: self.is_negative(),
            denormal: false,
            exponent: biased as i32 - Self::MAX_EXPONENT,
            significand: self.significand,
        };
        let leading = self.significand >> 63 != 0;
        if leading && biased.wrapping_sub(1) < Self::TOP - 1 {
            return u;
        }
        if biased == 0 {
            if self.significand == 0 {
                u.class = Class::Zero;
            } else {
                let shift = self.significand.leading_zeros();
                u.denormal = true;
                u.exponent = 1 - Self::MAX_EXPONENT - shift as i32;
                u.significand = self.significand << shift;
            }
        } else if leading {
            u.class = nan_or_infinity(self.significand);
        } else {
            u.class = Class::Refused;
        }
        u
    }

    #[inline]
    fn pack(negative: bool, biased: u32, significand: u64) -> Self {
        Self { significand, sign_exponent: u16::from(negative) << 15 | biased as u16 }
    }

    #[inline]
    fn result_precision(env: &FloatEnv) -> u32 {
        match env.precision {
            Precision::Single => 24,
            Precision::Double => 53,
            Precision::Extended => 64,
        }
    }
}
