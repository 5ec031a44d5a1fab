//! How the guest's conditions stand in the host's flags, and how they are tested.

use hokku_ir::{Cond, Value};

use crate::asm::{Cc, Size};

/// How NZCV is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    /// C is CF.
    Direct,
    /// C is the opposite of CF: after subtractions.
    Inverted,
    /// As a comparison of floats leaves it: unordered is V and C.
    Float,
}

/// What NZCV holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// Which flags.
    pub(crate) flags: Value,
    /// How.
    pub(crate) sense: Sense,
    /// For which conditions, a bit for each by number.
    pub(crate) conditions: u16,
}

/// All conditions.
pub(crate) const ALL: u16 = u16::MAX;
/// All conditions but those on parity.
pub(crate) const ALL_BUT_PARITY: u16 = !(1 << Cond::P as u16 | 1 << Cond::Np as u16);
/// Conditions on CF, alone or with ZF.
pub(crate) const ON_CARRY: u16 =
    1 << Cond::B as u16 | 1 << Cond::Ae as u16 | 1 << Cond::Be as u16 | 1 << Cond::A as u16;
/// Conditions on ZF and CF.
pub(crate) const UNSIGNED: u16 = ON_CARRY | 1 << Cond::E as u16 | 1 << Cond::Ne as u16;
/// Signed comparisons and equality.
pub(crate) const SIGNED: u16 = 1 << Cond::L as u16
    | 1 << Cond::Ge as u16
    | 1 << Cond::Le as u16
    | 1 << Cond::G as u16
    | 1 << Cond::E as u16
    | 1 << Cond::Ne as u16;

/// How a condition is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// Known.
    Constant(bool),
    /// By NZCV.
    Host(Cc),
    /// A register is zero, or is not.
    Zero { size: Size, reg: u8, is: bool },
    /// A bit of a register is one, or is not.
    Bit { reg: u8, bit: u8, is: bool },
}

impl Test {
    /// The opposite test.
    pub(crate) fn negate(self) -> Test {
        match self {
            Test::Constant(yes) => Test::Constant(!yes),
            Test::Host(cc) => Test::Host(cc.negate()),
            Test::Zero { size, reg, is } => Test::Zero { size, reg, is: !is },
            Test::Bit { reg, bit, is } => Test::Bit { reg, bit, is: !is },
        }
    }

    pub(crate) fn negate_if(self, negated: bool) -> Test {
        if negated { self.negate() } else { self }
    }
}

/// The host's condition that is `cc` where NZCV holds flags in `sense`, if it is one.
pub(crate) fn host_condition(cc: Cond, sense: Sense) -> Option<Cc> {
    Some(match (cc, sense) {
        // OF and SF are zero. Equality is that or unordered.
        (Cond::B, Sense::Float) => Cc::Lt,
        (Cond::Ae, Sense::Float) => Cc::Ge,
        (Cond::Be, Sense::Float) => Cc::Le,
        (Cond::A, Sense::Float) => Cc::Gt,
        (Cond::P, Sense::Float) => Cc::Vs,
        (Cond::Np, Sense::Float) => Cc::Vc,
        (_, Sense::Float) => return None,
        (Cond::O, _) => Cc::Vs,
        (Cond::No, _) => Cc::Vc,
        (Cond::B, Sense::Direct) | (Cond::Ae, Sense::Inverted) => Cc::Hs,
        (Cond::Ae, Sense::Direct) | (Cond::B, Sense::Inverted) => Cc::Lo,
        (Cond::E, _) => Cc::Eq,
        (Cond::Ne, _) => Cc::Ne,
        (Cond::Be, Sense::Inverted) => Cc::Ls,
        (Cond::A, Sense::Inverted) => Cc::Hi,
        (Cond::S, _) => Cc::Mi,
        (Cond::Ns, _) => Cc::Pl,
        (Cond::L, _) => Cc::Lt,
        (Cond::Ge, _) => Cc::Ge,
        (Cond::Le, _) => Cc::Le,
        (Cond::G, _) => Cc::Gt,
        (Cond::Be | Cond::A, Sense::Direct) | (Cond::P | Cond::Np, _) => return None,
    })
}
