//! Encodes host instructions whose register or memory operand is known at run time only.
//!
//! dynasm's dynamic operands have one spelling per address form; an x86 memory operand has dozens (base, index, scale, displacement, 67h, gs).
//! So prefixes, ModRM, SIB and displacement are put together here, once for all instructions.

use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler, dynasm};
use hokku_ir::{Cond, Width};

use crate::assign::{RBP, RSP};

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

/// Two-operand integer instructions of the first opcode rows, by row number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alu {
    Add = 0,
    Or = 1,
    Adc = 2,
    Sbb = 3,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts and rotations, by their number in ModRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Rol = 0,
    Ror = 1,
    Rcl = 2,
    Rcr = 3,
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// An opcode with its prefixes; `Op::of(0x0f_58)` and the like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opcode {
    /// 66h, F2h, F3h or none (0).
    pub(crate) prefix: u8,
    /// F0h.
    pub(crate) lock: bool,
    /// REX.W.
    pub(crate) wide: bool,
    /// Whether the reg field names a byte register.
    pub(crate) byte_reg: bool,
    /// Whether the r/m field names a byte register.
    pub(crate) byte_rm: bool,
    /// Opcode bytes, most significant first, without leading zeros.
    pub(crate) code: u32,
}

impl Opcode {
    /// Opcode bytes alone.
    pub(crate) fn of(code: u32) -> Opcode {
        Opcode { prefix: 0, lock: false, wide: false, byte_reg: false, byte_rm: false, code }
    }

    /// An SSE opcode: `prefix` 0, 66h, F2h or F3h.
    pub(crate) fn sse(prefix: u8, code: u32) -> Opcode {
        Opcode { prefix, ..Opcode::of(code) }
    }

    /// With REX.W.
    pub(crate) fn wide(self, wide: bool) -> Opcode {
        Opcode { wide, ..self }
    }

    /// With the lock prefix.
    pub(crate) fn locked(self) -> Opcode {
        Opcode { lock: true, ..self }
    }

    /// The integer instruction whose byte form is `code` and whose other forms are `code + 1`.
    pub(crate) fn int(w: Width, code: u32) -> Opcode {
        let byte = w == Width::W8;
        Opcode {
            prefix: if w == Width::W16 { 0x66 } else { 0 },
            lock: false,
            wide: w == Width::W64,
            byte_reg: byte,
            byte_rm: byte,
            code: if byte { code } else { code + 1 },
        }
    }

    /// The same where the reg field extends the opcode.
    pub(crate) fn group(w: Width, code: u32) -> Opcode {
        Opcode { byte_reg: false, ..Opcode::int(w, code) }
    }

    /// The integer instruction `code`, which has no byte form.
    pub(crate) fn word(w: Width, code: u32) -> Opcode {
        Opcode { prefix: if w == Width::W16 { 0x66 } else { 0 }, wide: w == Width::W64, ..Opcode::of(code) }
    }
}

/// The code buffer: bytes, labels, and the offsets of instructions that touch guest memory.
pub(crate) struct Asm {
    pub(crate) buf: VecAssembler<X64Relocation>,
    /// Host instructions so far.
    pub(crate) count: u32,
    /// Offsets of instructions that may fault, since the last look, each with `stack_delta` there.
    pub(crate) guest_accesses: Vec<(u32, i32)>,
    /// Guest rsp minus what is in its register: see [`crate::stack`].
    pub(crate) stack_delta: i32,
}

impl Asm {
    pub(crate) fn new() -> Self {
        Asm { buf: VecAssembler::new(0), count: 0, guest_accesses: Vec::new(), stack_delta: 0 }
    }

    pub(crate) fn offset(&self) -> u32 {
        self.buf.offset().0 as u32
    }

    pub(crate) fn label(&mut self) -> DynamicLabel {
        self.buf.new_dynamic_label()
    }

    pub(crate) fn bind(&mut self, label: DynamicLabel) {
        self.buf.dynamic_label(label);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buf.extend(bytes);
    }

    /// An instruction without operands, as its bytes.
    pub(crate) fn plain(&mut self, bytes: &[u8]) {
        self.count += 1;
        self.bytes(bytes);
    }

    /// Notes that the next instruction may fault.
    pub(crate) fn may_fault_here(&mut self) {
        let at = self.offset();
        if self.guest_accesses.last().is_none_or(|last| last.0 != at) {
            self.guest_accesses.push((at, self.stack_delta));
        }
    }

    /// `op reg, rm` or `op rm, reg` (or with an extension of the opcode in `reg`), then `imm`.
    pub(crate) fn op(&mut self, op: Opcode, reg: u8, rm: impl Into<Rm>, imm: &[u8]) {
        let rm = rm.into();
        self.count += 1;
        if matches!(rm, Rm::Mem(Mem { space: Space::Guest, .. })) {
            self.may_fault_here();
        }
        let mut rex = if op.wide { 8 } else { 0 };
        let mut force = op.byte_reg && (4..8).contains(&reg);
        let mut high = op.byte_reg && reg & HIGH != 0;
        rex |= (reg >> 3 & 1) << 2;
        if let Rm::Mem(m) = rm {
            if m.space == Space::State {
                self.buf.push(0x65);
            }
            if m.short {
                self.buf.push(0x67);
            }
            rex |= m.index.map_or(0, |r| r >> 3) << 1 | m.base.map_or(0, |r| r >> 3);
        }
        if let Rm::Reg(r) = rm {
            force |= op.byte_rm && (4..8).contains(&r);
            high |= op.byte_rm && r & HIGH != 0;
            rex |= r >> 3 & 1;
        }
        debug_assert!(!(high && (rex != 0 || force)), "a high byte register cannot go with REX");
        if op.lock {
            self.buf.push(0xf0);
        }
        if op.prefix != 0 {
            self.buf.push(op.prefix);
        }
        if rex != 0 || force {
            self.buf.push(0x40 | rex);
        }
        let skip = (op.code.leading_zeros() / 8).min(3) as usize;
        self.bytes(&op.code.to_be_bytes()[skip..]);
        let field = |r: u8, byte: bool| if byte && r & HIGH != 0 { (r & 3) + 4 } else { r & 7 };
        let reg = field(reg, op.byte_reg) << 3;
        match rm {
            Rm::Reg(r) => self.buf.push(0xc0 | reg | field(r, op.byte_rm)),
            Rm::Mem(m) => self.memory(reg, &m),
        }
        self.bytes(imm);
    }

    fn memory(&mut self, reg: u8, m: &Mem) {
        let disp = m.disp.to_le_bytes();
        debug_assert!(m.index != Some(RSP));
        let Some(base) = m.base else {
            // No base: SIB with base 101 and a 32-bit displacement (the form without SIB is relative to rip).
            self.buf.push(reg | 4);
            self.buf.push(m.index.map_or(0x25, |i| m.scale << 6 | (i & 7) << 3 | 5));
            self.bytes(&disp);
            return;
        };
        let mode = match m.disp {
            0 if base & 7 != RBP => 0,
            -128..=127 => 0x40,
            _ => 0x80,
        };
        if let Some(index) = m.index {
            self.buf.push(mode | reg | 4);
            self.buf.push(m.scale << 6 | (index & 7) << 3 | base & 7);
        } else {
            self.buf.push(mode | reg | base & 7);
            if base & 7 == RSP {
                self.buf.push(0x24);
            }
        }
        match mode {
            0 => {}
            0x40 => self.bytes(&disp[..1]),
            _ => self.bytes(&disp),
        }
    }

    // ---- Integer instructions

    /// `op dst, src` of width `w`; at most one of them is memory.
    pub(crate) fn alu(&mut self, op: Alu, w: Width, dst: impl Into<Rm>, src: impl Into<Src>) {
        self.alu_with(op, w, dst.into(), src.into(), false);
    }

    /// `lock op dst, src`.
    pub(crate) fn alu_locked(&mut self, op: Alu, w: Width, dst: Mem, src: Src) {
        self.alu_with(op, w, Rm::Mem(dst), src, true);
    }

    fn alu_with(&mut self, op: Alu, w: Width, dst: Rm, src: Src, lock: bool) {
        let row = (op as u32) << 3;
        match (dst, src) {
            (_, Src::Reg(r)) => self.op(Opcode { lock, ..Opcode::int(w, row) }, r, dst, &[]),
            (Rm::Reg(d), Src::Mem(m)) => self.op(Opcode::int(w, row + 2), d, m, &[]),
            (_, Src::Imm(n)) => {
                let byte = w != Width::W8 && i8::try_from(n).is_ok();
                let code = if byte { Opcode::word(w, 0x83) } else { Opcode::group(w, 0x80) };
                let n = n.to_le_bytes();
                self.op(Opcode { lock, ..code }, op as u8, dst, &n[..if byte { 1 } else { imm_bytes(w) }]);
            }
            (Rm::Mem(_), Src::Mem(_)) => debug_assert!(false, "two memory operands"),
        }
    }

    /// `test a, b`.
    pub(crate) fn test(&mut self, w: Width, a: Rm, b: Src) {
        match b {
            Src::Reg(r) => self.op(Opcode::int(w, 0x84), r, a, &[]),
            Src::Mem(m) => match a {
                Rm::Reg(r) => self.op(Opcode::int(w, 0x84), r, m, &[]),
                Rm::Mem(_) => debug_assert!(false, "two memory operands"),
            },
            Src::Imm(n) => self.op(Opcode::group(w, 0xf6), 0, a, &n.to_le_bytes()[..imm_bytes(w)]),
        }
    }

    /// `mov dst, src` of width `w`; at most one of them is memory.
    pub(crate) fn mov(&mut self, w: Width, dst: impl Into<Rm>, src: impl Into<Src>) {
        match (dst.into(), src.into()) {
            (dst, Src::Reg(r)) => self.op(Opcode::int(w, 0x88), r, dst, &[]),
            (Rm::Reg(d), Src::Mem(m)) => self.op(Opcode::int(w, 0x8a), d, m, &[]),
            (Rm::Reg(d), Src::Imm(n)) if d & HIGH == 0 && w >= Width::W32 => self.constant(d, extend(w, n)),
            (dst, Src::Imm(n)) => self.op(Opcode::group(w, 0xc6), 0, dst, &n.to_le_bytes()[..imm_bytes(w)]),
            (Rm::Mem(_), Src::Mem(_)) => debug_assert!(false, "two memory operands"),
        }
    }

    /// All of `dst` = `value`, by the shortest `mov`. Flags stay.
    pub(crate) fn constant(&mut self, dst: u8, value: u64) {
        if u32::try_from(value).is_ok() {
            self.count += 1;
            if dst > 7 {
                self.buf.push(0x41);
            }
            self.buf.push(0xb8 | dst & 7);
            self.bytes(&(value as u32).to_le_bytes());
        } else if let Ok(n) = i32::try_from(value as i64) {
            self.op(Opcode::word(Width::W64, 0xc7), 0, Rm::Reg(dst), &n.to_le_bytes());
        } else {
            self.count += 1;
            self.bytes(&[0x48 | dst >> 3, 0xb8 | dst & 7]);
            self.bytes(&value.to_le_bytes());
        }
    }

    /// `lea dst, [m]` of width W32 or W64.
    pub(crate) fn lea(&mut self, w: Width, dst: u8, m: Mem) {
        self.op(Opcode::word(w, 0x8d), dst, Mem { space: Space::Plain, ..m }, &[]);
    }

    /// `dst` of width `to` (at least W32) = `src` of width `from` extended with zeros.
    pub(crate) fn movzx(&mut self, from: Width, dst: u8, src: Rm) {
        match from {
            Width::W8 => self.op(Opcode { byte_rm: true, ..Opcode::of(0x0fb6) }, dst, src, &[]),
            Width::W16 => self.op(Opcode::of(0x0fb7), dst, src, &[]),
            w => self.mov(w, dst, src),
        }
    }

    /// `dst` of width `to` = `src` of width `from` extended with its sign.
    pub(crate) fn movsx(&mut self, from: Width, to: Width, dst: u8, src: Rm) {
        match from {
            Width::W8 => self.op(Opcode { byte_rm: true, ..Opcode::word(to, 0x0fbe) }, dst, src, &[]),
            Width::W16 => self.op(Opcode::word(to, 0x0fbf), dst, src, &[]),
            Width::W32 if to == Width::W64 => self.op(Opcode::word(to, 0x63), dst, src, &[]),
            w => self.mov(w, dst, src),
        }
    }

    /// `F6`/`F7` group: 2 not, 3 neg, 4 mul, 5 imul, 6 div, 7 idiv.
    pub(crate) fn unary(&mut self, ext: u8, w: Width, rm: impl Into<Rm>) {
        self.op(Opcode::group(w, 0xf6), ext, rm, &[]);
    }

    /// `shift rm, count`.
    pub(crate) fn shift(&mut self, op: Shift, w: Width, rm: Rm, count: u8) {
        if count == 1 {
            self.op(Opcode::group(w, 0xd0), op as u8, rm, &[]);
        } else {
            self.op(Opcode::group(w, 0xc0), op as u8, rm, &[count]);
        }
    }

    /// `shift rm, cl`.
    pub(crate) fn shift_cl(&mut self, op: Shift, w: Width, rm: Rm) {
        self.op(Opcode::group(w, 0xd2), op as u8, rm, &[]);
    }

    /// `shlx` (prefix 1), `sarx` (2), `shrx` (3): BMI2.
    pub(crate) fn vex_shift(&mut self, prefix: u8, w: Width, dst: u8, src: Rm, count: u8) {
        self.count += 1;
        let mut x = 0;
        let b;
        match src {
            Rm::Reg(r) => b = r >> 3,
            Rm::Mem(m) => {
                if m.space == Space::State {
                    self.buf.push(0x65);
                }
                if m.short {
                    self.buf.push(0x67);
                }
                x = m.index.map_or(0, |r| r >> 3);
                b = m.base.map_or(0, |r| r >> 3);
            }
        }
        let wide = u8::from(w == Width::W64) << 7;
        let inverted = |bit: u8, at: u8| (1 - bit) << at;
        self.bytes(&[
            0xc4,
            inverted(dst >> 3, 7) | inverted(x, 6) | inverted(b, 5) | 2,
            wide | (15 - count) << 3 | prefix,
            0xf7,
        ]);
        let reg = (dst & 7) << 3;
        match src {
            Rm::Reg(r) => self.buf.push(0xc0 | reg | r & 7),
            Rm::Mem(m) => self.memory(reg, &m),
        }
    }

    /// `cmovcc dst, src`, of width W16 or more.
    pub(crate) fn cmov(&mut self, cc: Cond, w: Width, dst: u8, src: Rm) {
        self.op(Opcode::word(w, 0x0f40 | cc as u32), dst, src, &[]);
    }

    /// `setcc rm`.
    pub(crate) fn setcc(&mut self, cc: Cond, rm: Rm) {
        self.op(Opcode { byte_rm: true, ..Opcode::of(0x0f90 | cc as u32) }, 0, rm, &[]);
    }

    /// `bswap reg`.
    pub(crate) fn bswap(&mut self, w: Width, reg: u8) {
        self.count += 1;
        let rex = if w == Width::W64 { 8 } else { 0 } | reg >> 3;
        if rex != 0 {
            self.buf.push(0x40 | rex);
        }
        self.bytes(&[0x0f, 0xc8 | reg & 7]);
    }

    /// Flags into the state word at `offset`.
    pub(crate) fn flags_to_state(&mut self, offset: i32) {
        self.plain(&[0x9c]);
        self.op(Opcode::of(0x8f), 0, Mem::state(offset), &[]);
    }

    /// Flags out of the state word at `offset`.
    pub(crate) fn flags_from_state(&mut self, offset: i32) {
        self.op(Opcode::of(0xff), 6, Mem::state(offset), &[]);
        self.plain(&[0x9d]);
    }

    // ---- Jumps

    /// `jmp label`.
    pub(crate) fn jmp(&mut self, label: DynamicLabel) {
        self.count += 1;
        dynasm!(self.buf ; .arch x64 ; jmp =>label);
    }

    /// `jcc label`.
    pub(crate) fn jcc(&mut self, cc: Cond, label: DynamicLabel) {
        self.count += 1;
        let b = &mut self.buf;
        match cc {
            Cond::O => dynasm!(b ; .arch x64 ; jo =>label),
            Cond::No => dynasm!(b ; .arch x64 ; jno =>label),
            Cond::B => dynasm!(b ; .arch x64 ; jb =>label),
            Cond::Ae => dynasm!(b ; .arch x64 ; jae =>label),
            Cond::E => dynasm!(b ; .arch x64 ; je =>label),
            Cond::Ne => dynasm!(b ; .arch x64 ; jne =>label),
            Cond::Be => dynasm!(b ; .arch x64 ; jbe =>label),
            Cond::A => dynasm!(b ; .arch x64 ; ja =>label),
            Cond::S => dynasm!(b ; .arch x64 ; js =>label),
            Cond::Ns => dynasm!(b ; .arch x64 ; jns =>label),
            Cond::P => dynasm!(b ; .arch x64 ; jp =>label),
            Cond::Np => dynasm!(b ; .arch x64 ; jnp =>label),
            Cond::L => dynasm!(b ; .arch x64 ; jl =>label),
            Cond::Ge => dynasm!(b ; .arch x64 ; jge =>label),
            Cond::Le => dynasm!(b ; .arch x64 ; jle =>label),
            Cond::G => dynasm!(b ; .arch x64 ; jg =>label),
        }
    }

    /// `jrcxz label`; the label must be within 127 bytes.
    pub(crate) fn jrcxz(&mut self, label: DynamicLabel) {
        self.count += 1;
        dynasm!(self.buf ; .arch x64 ; jrcxz =>label);
    }

    /// Fills up so that `lead` bytes further an address is a multiple of four.
    pub(crate) fn align_site(&mut self, lead: u32) {
        let fill = (self.offset() + lead).wrapping_neg() & 3;
        self.nops(fill);
    }

    /// Fills up to a multiple of 16.
    pub(crate) fn align_block(&mut self) {
        let fill = self.offset().wrapping_neg() & 15;
        self.nops(fill);
    }

    fn nops(&mut self, mut bytes: u32) {
        while bytes > 0 {
            let n = bytes.min(9);
            self.bytes(match n {
                1 => &[0x90],
                2 => &[0x66, 0x90],
                3 => &[0x0f, 0x1f, 0x00],
                4 => &[0x0f, 0x1f, 0x40, 0x00],
                5 => &[0x0f, 0x1f, 0x44, 0x00, 0x00],
                6 => &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
                7 => &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
                8 => &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
                _ => &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
            });
            bytes -= n;
        }
    }
}

/// Bytes of an immediate operand of an instruction of width `w`.
pub(crate) fn imm_bytes(w: Width) -> usize {
    w.bytes().min(4) as usize
}

/// `n` as a value of width `w`.
fn extend(w: Width, n: i32) -> u64 {
    i64::from(n) as u64 & w.mask()
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
