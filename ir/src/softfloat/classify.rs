//! What kind of value an extended one is, as `fxam` and the tag word tell it.

use super::format::{Class, F80, Format};

/// The kinds that `fxam` tells apart (an empty register is the stack's business).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An encoding that is no operand: a leading bit of 0 with a non-zero exponent.
    Unsupported,
    /// A NaN, quiet or signaling.
    Nan,
    /// Normal and finite.
    Normal,
    /// An infinity.
    Infinity,
    /// A zero.
    Zero,
    /// Denormal or pseudo-denormal.
    Denormal,
}

impl Kind {
    /// C3, C2 and C0 of the status word; C1 is the sign bit, see [`F80::is_negative`].
    #[must_use]
    pub const fn condition_bits(self) -> u16 {
        const C0: u16 = 1 << 8;
        const C2: u16 = 1 << 10;
        const C3: u16 = 1 << 14;
        match self {
            Self::Unsupported => 0,
            Self::Nan => C0,
            Self::Normal => C2,
            Self::Infinity => C2 | C0,
            Self::Zero => C3,
            Self::Denormal => C3 | C2,
        }
    }

    /// The two bits in the full tag word: 0 valid, 1 zero, 2 special.
    #[must_use]
    pub const fn tag(self) -> u16 {
        match self {
            Self::Normal => 0,
            Self::Zero => 1,
            _ => 2,
        }
    }
}

/// `fxam`'s view of `a`.
#[must_use]
pub fn classify(a: F80) -> Kind {
    let u = a.unpack(false);
    match u.class {
        Class::Refused => Kind::Unsupported,
        Class::QuietNan | Class::SignalingNan => Kind::Nan,
        Class::Infinite => Kind::Infinity,
        Class::Zero => Kind::Zero,
        Class::Finite if u.denormal => Kind::Denormal,
        Class::Finite => Kind::Normal,
    }
}
