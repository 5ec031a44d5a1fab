//! Operands of host instructions: registers, memory, constants.

/// Marks a register number as bits 8 to 15 of that register (ah, ch, dh, bh).
pub(crate) const HIGH: u8 = 0x40;

/// A memory operand of a host instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mem {
    /// First register.
    pub(crate) base: Option<u8>,
    /// Second register.
    pub(crate) index: Option<u8>,
    /// Log2 of the index's factor.
    pub(crate) scale: u8,
    /// Constant part.
    pub(crate) disp: i32,
    /// 32-bit address arithmetic (prefix 67h).
    pub(crate) short: bool,
    /// What is there.
    pub(crate) space: Space,
}

/// Whose memory an operand is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// The guest's: an access can fault.
    Guest,
    /// [`hokku_ir::CpuState`], behind gs.
    State,
    /// No access (`lea`), or the translator's own memory.
    Plain,
}

impl Mem {
    /// The word at `offset` in the state.
    pub(crate) fn state(offset: i32) -> Mem {
        Mem { base: None, index: None, scale: 0, disp: offset, short: false, space: Space::State }
    }

    /// What `base + disp` is.
    pub(crate) fn plain(base: u8, disp: i32) -> Mem {
        Mem { base: Some(base), index: None, scale: 0, disp, short: false, space: Space::Plain }
    }

    /// The sum of two registers and a constant.
    pub(crate) fn sum(base: u8, index: u8, disp: i32) -> Mem {
        Mem { base: Some(base), index: Some(index), scale: 0, disp, short: false, space: Space::Plain }
    }

    /// The same place `n` bytes further.
    pub(crate) fn plus(self, n: i32) -> Mem {
        Mem { disp: self.disp + n, ..self }
    }

    /// Whether `reg` is part of the address.
    pub(crate) fn uses(&self, reg: u8) -> bool {
        self.base == Some(reg) || self.index == Some(reg)
    }
}

/// A register or memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rm {
    /// A register, perhaps with [`HIGH`].
    Reg(u8),
    /// Memory.
    Mem(Mem),
}

/// A source operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Src {
    /// A register, perhaps with [`HIGH`].
    Reg(u8),
    /// Memory.
    Mem(Mem),
    /// A constant, sign-extended to the width.
    Imm(i32),
}

impl From<Rm> for Src {
    fn from(rm: Rm) -> Src {
        match rm {
            Rm::Reg(r) => Src::Reg(r),
            Rm::Mem(m) => Src::Mem(m),
        }
    }
}

impl Src {
    /// Whether it is guest memory.
    pub(crate) fn may_fault(&self) -> bool {
        matches!(self, Src::Mem(m) if m.space == Space::Guest)
    }

    /// Whether its value or address depends on `reg`.
    pub(crate) fn uses(&self, reg: u8) -> bool {
        match self {
            Src::Reg(r) => r & !HIGH == reg,
            Src::Mem(m) => m.uses(reg),
            Src::Imm(_) => false,
        }
    }
}

impl From<Mem> for Rm {
    fn from(m: Mem) -> Rm {
        Rm::Mem(m)
    }
}

impl From<u8> for Rm {
    fn from(r: u8) -> Rm {
        Rm::Reg(r)
    }
}

impl From<Mem> for Src {
    fn from(m: Mem) -> Src {
        Src::Mem(m)
    }
}

impl From<u8> for Src {
    fn from(r: u8) -> Src {
        Src::Reg(r)
    }
}
