//! What translators build with: the IR builder plus access to instruction operands.

use std::ops::{Deref, DerefMut};

use hokku_ir::{
    Addr, Align, AtomicOp, BlockKey, Builder, CpuFeatures, CpuMode, Exit, FlagSet, Gpr, GuestAddr, Target, Trap, Type,
    Value, Width,
};
use iced_x86::{OpKind, Register};

use crate::insn::{GprPart, Insn, Unsupported, general};

/// What follows a translated instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    /// The instruction after it.
    Next,
    /// The block ends; direct targets are guest addresses still.
    End(Exit),
}

/// Result of a translator.
pub(crate) type Translated = Result<Step, Unsupported>;

/// A translator: appends the ops of one instruction.
pub(crate) type Translator = fn(&mut Emitter, &Insn) -> Translated;

/// An operand whose address, if it has one, is computed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// A general register's low bits.
    Gpr(Gpr),
    /// A general register's second byte.
    High(Gpr),
    /// Memory.
    Memory(Addr),
    /// An immediate.
    Constant(u64),
}

/// The builder of a region's ops, with access to operands.
pub(crate) struct Emitter {
    builder: Builder,
    /// Word size of the code.
    pub(crate) mode: CpuMode,
    /// What the guest's processor can do, for instructions that behave by it.
    pub(crate) features: CpuFeatures,
    /// The trap flag was set: a trap follows each element of a string.
    pub(crate) single_step: bool,
}

impl Deref for Emitter {
    type Target = Builder;
    fn deref(&self) -> &Builder {
        &self.builder
    }
}

impl DerefMut for Emitter {
    fn deref_mut(&mut self) -> &mut Builder {
        &mut self.builder
    }
}

impl Emitter {
    /// An emitter for code of `key`.
    pub(crate) fn new(key: BlockKey) -> Self {
        let BlockKey { mode, features, single_step, .. } = key;
        Emitter { builder: Builder::new(), mode, features, single_step }
    }

    /// Width of addresses on the stack and of the stack pointer.
    pub(crate) fn word(&self) -> Width {
        self.mode.word()
    }

    /// The constant `value`, cut to `w`.
    pub(crate) fn constant(&mut self, w: Width, value: u64) -> Value {
        self.iconst(w, hokku_ir::Imm(value & w.mask()))
    }

    // ---- Operands

    /// Address of the memory operand; of a gather, without its vector of indices.
    pub(crate) fn address(&mut self, insn: &Insn) -> Result<Addr, Unsupported> {
        let (base, index) = (insn.raw.memory_base(), insn.raw.memory_index());
        let index = if index.is_vector_register() { Register::None } else { index };
        let displacement = insn.raw.memory_displacement64();
        let parts = (general(base), general(index));
        let width = match parts {
            (Some(part), _) | (None, Some(part)) => part.w,
            (None, None) => match base {
                Register::RIP => Width::W64,
                Register::EIP => Width::W32,
                Register::None if index == Register::None => {
                    Width::from_bytes(insn.raw.memory_displ_size()).ok_or(Unsupported)?
                }
                _ => return Err(Unsupported),
            },
        };
        let disp = match width {
            Width::W64 => displacement as i64,
            Width::W32 => i64::from(displacement as i32),
            _ => i64::from(displacement as i16),
        };
        let mut value = |part: Option<GprPart>| part.map(|part| self.builder.get_gpr(part.reg, width));
        let (base, index) = (value(parts.0), value(parts.1));
        let scale = insn.raw.memory_index_scale().trailing_zeros() as u8;
        Ok(Addr { base, index, scale: if index.is_some() { scale } else { 0 }, disp, seg: insn.segment(), width })
    }

    /// The operand `operand`: a general register, memory or an immediate.
    #[inline(always)]
    pub(crate) fn place(&mut self, insn: &Insn, operand: u32) -> Result<Place, Unsupported> {
        match insn.raw.try_op_kind(operand).map_err(|_| Unsupported)? {
            OpKind::Register => match general(insn.raw.op_register(operand)).ok_or(Unsupported)? {
                GprPart { reg, is_high: true, .. } => Ok(Place::High(reg)),
                GprPart { reg, is_high: false, .. } => Ok(Place::Gpr(reg)),
            },
            _ => self.place_elsewhere(insn, operand),
        }
    }

    /// The same where it is no register.
    fn place_elsewhere(&mut self, insn: &Insn, operand: u32) -> Result<Place, Unsupported> {
        if insn.raw.op_kind(operand) == OpKind::Memory {
            self.address(insn).map(Place::Memory)
        } else {
            insn.immediate(operand).map(Place::Constant)
        }
    }

    /// The value of `place`.
    #[inline]
    pub(crate) fn read(&mut self, place: Place, w: Width) -> Value {
        match place {
            Place::Gpr(reg) => self.get_gpr(reg, w),
            Place::High(reg) => self.get_gpr_high(reg),
            Place::Memory(at) => self.load(w.ty(), Align::Any, at),
            Place::Constant(value) => self.constant(w, value),
        }
    }

    /// Writes `v` to `place`.
    #[inline]
    pub(crate) fn write(&mut self, place: Place, w: Width, v: Value) -> Result<(), Unsupported> {
        match place {
            Place::Gpr(reg) => self.set_gpr(reg, w, v),
            Place::High(reg) => self.set_gpr_high(reg, v),
            Place::Memory(at) => self.store(w.ty(), Align::Any, at, v),
            Place::Constant(_) => return Err(Unsupported),
        };
        Ok(())
    }

    /// The value of operand `operand`.
    pub(crate) fn operand(&mut self, insn: &Insn, operand: u32, w: Width) -> Result<Value, Unsupported> {
        let place = self.place(insn, operand)?;
        Ok(self.read(place, w))
    }

    /// Width and place of the first operand and value of the second: `op dst, src`.
    pub(crate) fn dst_src(&mut self, insn: &Insn) -> Result<(Width, Place, Value), Unsupported> {
        let w = insn.width()?;
        let dst = self.place(insn, 0)?;
        let src = self.operand(insn, 1, w)?;
        Ok((w, dst, src))
    }

    /// Replaces `dst` by the first result of `f` on its old value and writes the flags in `set` from the second. With `lock` the
    /// replacement is the atomic `op` with operand `y`, which must give the same.
    pub(crate) fn modify(
        &mut self,
        insn: &Insn,
        dst: Place,
        w: Width,
        (op, y): (AtomicOp, Value),
        set: FlagSet,
        f: impl FnOnce(&mut Self, Value) -> (Value, Value),
    ) -> Translated {
        if let (true, Place::Memory(at)) = (insn.locked(), dst) {
            let old = self.atomic_rmw(op, w, at, y);
            let (_, flags) = f(self, old);
            self.set_flags(set, flags);
            return Ok(Step::Next);
        }
        let old = self.read(dst, w);
        let (new, flags) = f(self, old);
        self.write(dst, w, new)?;
        self.set_flags(set, flags);
        Ok(Step::Next)
    }

    // ---- Integers

    /// `v` cut or extended with zeros from `from` to `to`.
    pub(crate) fn resize(&mut self, from: Width, to: Width, v: Value) -> Value {
        match from.cmp(&to) {
            std::cmp::Ordering::Less => self.extend_zero(from, to, v),
            std::cmp::Ordering::Equal => v,
            std::cmp::Ordering::Greater => self.truncate(from, to, v),
        }
    }

    /// `v` cut or extended with its sign from `from` to `to`.
    pub(crate) fn resize_signed(&mut self, from: Width, to: Width, v: Value) -> Value {
        if from < to { self.extend_sign(from, to, v) } else { self.resize(from, to, v) }
    }

    // ---- The stack

    /// Address `offset` bytes from the stack pointer.
    pub(crate) fn stack_slot(&mut self, offset: i64) -> Addr {
        let word = self.word();
        let sp = self.get_gpr(Gpr::Rsp, word);
        Addr::at(sp, word).plus(offset)
    }

    /// Moves the stack pointer by `offset` bytes.
    pub(crate) fn move_stack(&mut self, offset: i64) {
        let sp = self.stack_slot(offset);
        let word = self.word();
        let sp = self.lea(word, sp);
        self.set_gpr(Gpr::Rsp, word, sp);
    }

    /// Pushes `v` of width `w`.
    pub(crate) fn push_value(&mut self, w: Width, v: Value) {
        let word = self.word();
        let slot = self.stack_slot(-i64::from(w.bytes()));
        self.store(w.ty(), Align::Any, slot, v);
        let sp = self.lea(word, slot);
        self.set_gpr(Gpr::Rsp, word, sp);
    }

    /// The value of width `w` on top of the stack, which stays there.
    pub(crate) fn stack_top(&mut self, w: Width) -> Value {
        let slot = self.stack_slot(0);
        self.load(w.ty(), Align::Any, slot)
    }

    // ---- Vectors

    /// The address in rdi that `MASKMOVQ` and `MASKMOVDQU` write to.
    pub(crate) fn implicit_rdi(&mut self, insn: &Insn) -> Result<Addr, Unsupported> {
        let w = match insn.raw.op0_kind() {
            OpKind::MemorySegDI => Width::W16,
            OpKind::MemorySegEDI => Width::W32,
            OpKind::MemorySegRDI => Width::W64,
            _ => return Err(Unsupported),
        };
        let rdi = self.get_gpr(Gpr::Rdi, w);
        Ok(Addr { seg: insn.segment(), ..Addr::at(rdi, w) })
    }

    /// Number of the MMX, XMM or YMM register that `operand` is.
    pub(crate) fn vector_register(&self, insn: &Insn, operand: u32) -> Result<hokku_ir::Num, Unsupported> {
        let register = insn.register(operand).filter(|r| r.is_mm() || r.is_xmm() || r.is_ymm()).ok_or(Unsupported)?;
        Ok(hokku_ir::Num(register.number() as u8))
    }

    /// The low `ty` of vector operand `operand`: register or memory.
    pub(crate) fn vector(&mut self, insn: &Insn, operand: u32, ty: Type, align: Align) -> Result<Value, Unsupported> {
        if insn.is_memory(operand) {
            let at = self.address(insn)?;
            return Ok(self.load(ty, align, at));
        }
        let reg = self.vector_register(insn, operand)?;
        Ok(if insn.is_mm(operand) { self.get_mmx(reg) } else { self.get_vec(reg, ty) })
    }

    // ---- Ends

    /// The block ends with a jump to a fixed guest address.
    pub(crate) fn jump(&self, to: GuestAddr) -> Translated {
        Ok(Step::End(Exit::Jump { to: Target::Guest(to) }))
    }

    /// The block ends with `trap` at this instruction.
    pub(crate) fn trap(&self, insn: &Insn, trap: Trap) -> Translated {
        Ok(Step::End(Exit::Trap { trap, at: insn.pc(), next: insn.next() }))
    }
}
