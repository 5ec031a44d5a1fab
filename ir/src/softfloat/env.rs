//! Modes in, exceptions out: what an x86 float operation reads from and leaves in MXCSR or the x87 words.

use bitflags::bitflags;

bitflags! {
    /// Floating-point exceptions, as the low bits of MXCSR and of the x87 status and control words.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Exceptions: u16 {
        /// IE: invalid operation.
        const INVALID = 1 << 0;
        /// DE: an operand is denormal.
        const DENORMAL = 1 << 1;
        /// ZE: a finite value divided by zero.
        const DIVIDE_BY_ZERO = 1 << 2;
        /// OE: the rounded result is too large for the format.
        const OVERFLOW = 1 << 3;
        /// UE: the rounded result is tiny (and, if masked, inexact).
        const UNDERFLOW = 1 << 4;
        /// PE: the result was rounded.
        const PRECISION = 1 << 5;
        /// C1 of the x87 status word: the last rounding went away from zero. Not an exception, and MXCSR has no such
        /// bit: an SSE instruction takes `flags & ALL`.
        const ROUNDED_UP = 1 << 9;

        /// Found before the operation computes anything; unmasked, they keep it from computing.
        const BEFORE = Self::INVALID.bits() | Self::DENORMAL.bits() | Self::DIVIDE_BY_ZERO.bits();
        /// The six exceptions, without C1.
        const ALL = 0x3f;
    }
}

/// Which neighbour an inexact result becomes; numbered as in MXCSR.RC and the x87 RC field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// To the nearest, ties to the even one.
    #[default]
    Nearest = 0,
    /// Toward negative infinity.
    Down = 1,
    /// Toward positive infinity.
    Up = 2,
    /// Toward zero.
    Zero = 3,
}

impl Rounding {
    /// The mode that the low two bits of `rc` name.
    #[must_use]
    pub const fn from_bits(rc: u32) -> Self {
        match rc & 3 {
            0 => Self::Nearest,
            1 => Self::Down,
            2 => Self::Up,
            _ => Self::Zero,
        }
    }

    /// Whether a magnitude of sign `negative` moves to the next larger one.
    ///
    /// `half` is the first bit cut off, `rest` whether any later one is set, `odd` the last bit kept.
    #[inline]
    pub(crate) const fn rounds_up(self, negative: bool, odd: bool, half: bool, rest: bool) -> bool {
        match self {
            Self::Nearest => half & (rest | odd),
            Self::Down => negative & (half | rest),
            Self::Up => !negative & (half | rest),
            Self::Zero => false,
        }
    }
}

/// x87 precision control: significand bits of `add`, `sub`, `mul`, `div` and `sqrt`; the exponent stays extended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 24 bits.
    Single,
    /// 53 bits.
    Double,
    /// 64 bits.
    #[default]
    Extended,
}

impl Precision {
    /// The precision that the x87 PC field `pc` names; the reserved value 1 acts as extended.
    #[must_use]
    pub const fn from_bits(pc: u32) -> Self {
        match pc & 3 {
            0 => Self::Single,
            2 => Self::Double,
            _ => Self::Extended,
        }
    }

    /// Significand bits, the leading one included.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Single => 24,
            Self::Double => 53,
            Self::Extended => 64,
        }
    }
}

/// What a float operation depends on and what it reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloatEnv {
    /// Rounding control.
    pub rounding: Rounding,
    /// MXCSR.FTZ: tiny SSE results become zero while underflow is masked. Without effect on [`super::F80`] results.
    pub flush_to_zero: bool,
    /// MXCSR.DAZ: denormal SSE operands count as zero.
    pub denormals_are_zero: bool,
    /// x87 precision control; without effect on SSE formats.
    pub precision: Precision,
    /// The masked exceptions: a set bit means "do not fault", as in both control registers.
    pub masked: Exceptions,
    /// The exceptions raised so far. Start each instruction with the empty set; see [`FloatEnv::settle`].
    pub flags: Exceptions,
}

impl Default for FloatEnv {
    fn default() -> Self {
        Self {
            rounding: Rounding::Nearest,
            flush_to_zero: false,
            denormals_are_zero: false,
            precision: Precision::Extended,
            masked: Exceptions::ALL,
            flags: Exceptions::empty(),
        }
    }
}

/// The verdict on one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What the instruction adds to the sticky flags (and, for x87, its C1).
    pub flags: Exceptions,
    /// The unmasked exceptions among `flags`: empty if the instruction does not fault.
    pub unmasked: Exceptions,
}

impl Settled {
    /// Whether an SSE instruction writes its destination: nothing is unmasked.
    #[must_use]
    pub const fn writes_vector(self) -> bool {
        self.unmasked.is_empty()
    }

    /// Whether x87 arithmetic writes registers, pushes or pops. After unmasked overflow or underflow it does so, with
    /// the exponent moved by 24576 toward the middle (by the operation).
    #[must_use]
    pub const fn writes_register(self) -> bool {
        !self.unmasked.intersects(Exceptions::BEFORE)
    }

    /// Whether an x87 load pushes: it does so after an unmasked denormal exception too.
    #[must_use]
    pub const fn pushes(self) -> bool {
        !self.unmasked.contains(Exceptions::INVALID)
    }

    /// Whether an x87 store writes memory and pops: only an unmasked precision exception lets it.
    #[must_use]
    pub const fn writes_memory(self) -> bool {
        self.unmasked.difference(Exceptions::PRECISION).is_empty()
    }
}

impl FloatEnv {
    /// The environment that `mxcsr` describes, with no flags raised.
    #[must_use]
    pub const fn from_mxcsr(mxcsr: u32) -> Self {
        Self {
            rounding: Rounding::from_bits(mxcsr >> 13),
            flush_to_zero: mxcsr & 1 << 15 != 0,
            denormals_are_zero: mxcsr & 1 << 6 != 0,
            precision: Precision::Extended,
            masked: Exceptions::from_bits_truncate((mxcsr >> 7) as u16 & 0x3f),
            flags: Exceptions::empty(),
        }
    }

    /// The environment that the x87 control word `fcw` describes, with no flags raised.
    #[must_use]
    pub const fn from_control_word(fcw: u16) -> Self {
        Self {
            rounding: Rounding::from_bits((fcw >> 10) as u32),
            flush_to_zero: false,
            denormals_are_zero: false,
            precision: Precision::from_bits((fcw >> 8) as u32),
            masked: Exceptions::from_bits_truncate(fcw & 0x3f),
            flags: Exceptions::empty(),
        }
    }

    /// Ends an instruction: takes the flags of all its lanes and says what becomes visible.
    ///
    /// An unmasked invalid, denormal or divide-by-zero exception hides overflow, underflow, precision and C1, since
    /// the operation was never carried out. An SSE instruction with unmasked exceptions raises `#XM`; for the x87 they
    /// stay pending until the next waiting instruction. Whether the result is written is what [`Settled`] tells.
    #[inline]
    pub fn settle(&mut self) -> Settled {
        let mut flags = std::mem::take(&mut self.flags);
        if flags.intersects(Exceptions::BEFORE.difference(self.masked)) {
            flags &= Exceptions::BEFORE;
        }
        Settled { flags, unmasked: flags.difference(self.masked).intersection(Exceptions::ALL) }
    }

    #[inline]
    pub(crate) fn raise(&mut self, flags: Exceptions) {
        self.flags |= flags;
    }

    #[inline]
    pub(crate) const fn masks(&self, flag: Exceptions) -> bool {
        self.masked.contains(flag)
    }
}
