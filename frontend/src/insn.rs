//! A decoded guest instruction as translators see it.

use hokku_ir::{CpuMode, Gpr, GuestAddr, Seg, Width};
use iced_x86::{Code, EncodingKind, Instruction, Mnemonic, OpKind, Register};

/// The front end cannot translate this form of an instruction; it becomes an `Untranslated` trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// One instruction at its address.
pub(crate) struct Insn {
    /// As iced decoded it.
    pub(crate) raw: Instruction,
    /// Word size of the code.
    pub(crate) mode: CpuMode,
}

impl Insn {
    pub(crate) fn code(&self) -> Code {
        self.raw.code()
    }

    pub(crate) fn mnemonic(&self) -> Mnemonic {
        self.raw.mnemonic()
    }

    /// Its address.
    pub(crate) fn pc(&self) -> GuestAddr {
        GuestAddr(self.raw.ip())
    }

    /// The address after it.
    pub(crate) fn next(&self) -> GuestAddr {
        self.wrap(self.raw.next_ip())
    }

    /// Where a direct near jump or call leads.
    pub(crate) fn target(&self) -> GuestAddr {
        self.wrap(self.raw.near_branch_target())
    }

    fn wrap(&self, at: u64) -> GuestAddr {
        GuestAddr(at & self.mode.word().mask())
    }

    /// Whether `lock` makes it atomic (the decoder refuses the prefix elsewhere).
    pub(crate) fn locked(&self) -> bool {
        self.raw.has_lock_prefix()
    }

    pub(crate) fn is_memory(&self, operand: u32) -> bool {
        operand < self.raw.op_count() && self.raw.op_kind(operand) == OpKind::Memory
    }

    /// Whether `operand` is an XMM register.
    pub(crate) fn is_xmm(&self, operand: u32) -> bool {
        self.register(operand).is_some_and(Register::is_xmm)
    }

    /// Whether it has a VEX prefix.
    pub(crate) fn is_vex(&self) -> bool {
        self.code().encoding() == EncodingKind::VEX
    }

    /// Whether `operand` is a YMM register.
    pub(crate) fn is_ymm(&self, operand: u32) -> bool {
        self.register(operand).is_some_and(Register::is_ymm)
    }

    /// Whether `operand` is an MMX register.
    pub(crate) fn is_mm(&self, operand: u32) -> bool {
        self.register(operand).is_some_and(Register::is_mm)
    }

    /// The register that `operand` is.
    pub(crate) fn register(&self, operand: u32) -> Option<Register> {
        (operand < self.raw.op_count() && self.raw.op_kind(operand) == OpKind::Register)
            .then(|| self.raw.op_register(operand))
    }

    /// Width of the integer operand `operand`.
    pub(crate) fn width_of(&self, operand: u32) -> Result<Width, Unsupported> {
        let bytes = match self.register(operand) {
            Some(register) => register.size(),
            None => self.raw.memory_size().size(),
        };
        Width::from_bytes(bytes as u32).ok_or(Unsupported)
    }

    /// Width of the first operand: that of the instruction, mostly.
    pub(crate) fn width(&self) -> Result<Width, Unsupported> {
        self.width_of(0)
    }

    /// The immediate operand `operand`, sign-extended where the instruction says so.
    pub(crate) fn immediate(&self, operand: u32) -> Result<u64, Unsupported> {
        self.raw.try_immediate(operand).map_err(|_| Unsupported)
    }

    /// Bytes that it pushes or pops as one item, as a width.
    pub(crate) fn stack_width(&self) -> Result<Width, Unsupported> {
        Width::from_bytes(self.raw.stack_pointer_increment().unsigned_abs()).ok_or(Unsupported)
    }

    /// The segment with a base of its own (fs, gs) that its memory operand is in.
    pub(crate) fn segment(&self) -> Option<Seg> {
        match self.raw.memory_segment() {
            Register::FS => Some(Seg::Fs),
            Register::GS => Some(Seg::Gs),
            _ => None,
        }
    }
}

/// The general register that holds `register`, and whether it is its second byte.
pub(crate) fn gpr(register: Register) -> Option<(Gpr, bool)> {
    match register {
        Register::AH => return Some((Gpr::Rax, true)),
        Register::CH => return Some((Gpr::Rcx, true)),
        Register::DH => return Some((Gpr::Rdx, true)),
        Register::BH => return Some((Gpr::Rbx, true)),
        _ => {}
    }
    if !register.is_gpr() {
        return None;
    }
    Gpr::ALL.get(register.full_register().number()).map(|r| (*r, false))
}

/// The segment register that `register` is.
pub(crate) fn segment_register(register: Register) -> Option<Seg> {
    if register.is_segment_register() { Seg::ALL.get(register.number()).copied() } else { None }
}
