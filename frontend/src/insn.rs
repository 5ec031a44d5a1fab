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
        // An operand that is not there is the register "none".
        (self.raw.op_kind(operand) == OpKind::Register)
            .then(|| self.raw.op_register(operand))
            .filter(|r| *r != Register::None)
    }

    /// Width of the integer operand `operand`.
    pub(crate) fn width_of(&self, operand: u32) -> Result<Width, Unsupported> {
        let bytes = match self.register(operand) {
            Some(register) => match general(register) {
                Some(part) => return Ok(part.w),
                None => register.size(),
            },
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
        match self.raw.segment_prefix() {
            Register::FS => Some(Seg::Fs),
            Register::GS => Some(Seg::Gs),
            _ => None,
        }
    }
}

/// What a register of iced's is of a general register.
#[derive(Clone, Copy)]
pub(crate) struct GprPart {
    pub(crate) reg: Gpr,
    /// Its second byte, not its low part.
    pub(crate) is_high: bool,
    pub(crate) w: Width,
}

/// By number of the register.
const GPR_PARTS: [Option<GprPart>; Register::R15 as usize + 1] = {
    let mut parts = [None; Register::R15 as usize + 1];
    let mut n = 0;
    while n < Gpr::ALL.len() {
        let reg = Gpr::ALL[n];
        let low = if n < 4 { Register::AL as usize + n } else { Register::SPL as usize + n - 4 };
        parts[low] = Some(GprPart { reg, is_high: false, w: Width::W8 });
        parts[Register::AX as usize + n] = Some(GprPart { reg, is_high: false, w: Width::W16 });
        parts[Register::EAX as usize + n] = Some(GprPart { reg, is_high: false, w: Width::W32 });
        parts[Register::RAX as usize + n] = Some(GprPart { reg, is_high: false, w: Width::W64 });
        if n < 4 {
            parts[Register::AH as usize + n] = Some(GprPart { reg, is_high: true, w: Width::W8 });
        }
        n += 1;
    }
    parts
};

/// What `register` is of a general register, if it is one or a part of one.
#[inline]
pub(crate) fn general(register: Register) -> Option<GprPart> {
    *GPR_PARTS.get(register as usize)?
}

/// The general register that holds `register`, and whether it is its second byte.
#[inline]
pub(crate) fn gpr(register: Register) -> Option<(Gpr, bool)> {
    general(register).map(|part| (part.reg, part.is_high))
}

/// The segment register that `register` is.
pub(crate) fn segment_register(register: Register) -> Option<Seg> {
    if register.is_segment_register() { Seg::ALL.get(register.number()).copied() } else { None }
}
