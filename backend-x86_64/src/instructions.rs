//! Integer instructions and jumps of the host, by name.

use hokku_ir::{Cond, Width};

use crate::buffer::Label;
use crate::encode::{Asm, HIGH, Mem, Opcode, Rm, Space, Src};

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

impl Asm {
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
                self.op_imm(Opcode { lock, ..code }, op as u8, dst, n, if byte { 1 } else { imm_bytes(w) });
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
            Src::Imm(n) => self.op_imm(Opcode::group(w, 0xf6), 0, a, n, imm_bytes(w)),
        }
    }

    /// `mov dst, src` of width `w`; at most one of them is memory.
    pub(crate) fn mov(&mut self, w: Width, dst: impl Into<Rm>, src: impl Into<Src>) {
        match (dst.into(), src.into()) {
            (dst, Src::Reg(r)) => self.op(Opcode::int(w, 0x88), r, dst, &[]),
            (Rm::Reg(d), Src::Mem(m)) => self.op(Opcode::int(w, 0x8a), d, m, &[]),
            (Rm::Reg(d), Src::Imm(n)) if d & HIGH == 0 && w >= Width::W32 => self.constant(d, extend(w, n)),
            (dst, Src::Imm(n)) => self.op_imm(Opcode::group(w, 0xc6), 0, dst, n, imm_bytes(w)),
            (Rm::Mem(_), Src::Mem(_)) => debug_assert!(false, "two memory operands"),
        }
    }

    /// All of `dst` = `value`, by the shortest `mov`. Flags stay.
    pub(crate) fn constant(&mut self, dst: u8, value: u64) {
        if u32::try_from(value).is_ok() {
            if dst > 7 {
                self.bytes(&[0x41]);
            }
            self.plain(&[0xb8 | dst & 7]);
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

    /// `shlx` (prefix 66h), `sarx` (F3h), `shrx` (F2h): BMI2.
    pub(crate) fn shift_without_flags(&mut self, prefix: u8, w: Width, dst: u8, src: Rm, count: u8) {
        self.vex(Opcode::sse(prefix, 0x0f38f7).wide(w == Width::W64), false, dst, count, src, &[]);
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
            self.bytes(&[0x40 | rex]);
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
    pub(crate) fn jmp(&mut self, label: Label) {
        self.plain(&[0xe9]);
        self.buf.distance(label);
    }

    /// `jmp` to a place that is not known yet: gives that of the distance, for [`Asm::lead_here`].
    pub(crate) fn jmp_ahead(&mut self) -> u32 {
        self.plain(&[0xe9]);
        self.distance_ahead()
    }

    /// `jcc label`.
    pub(crate) fn jcc(&mut self, cc: Cond, label: Label) {
        self.plain(&[0x0f, 0x80 | cc as u8]);
        self.buf.distance(label);
    }

    /// `jrcxz label`; the label must be within 127 bytes.
    pub(crate) fn jrcxz(&mut self, label: Label) {
        self.plain(&[0xe3]);
        self.buf.short_distance(label);
    }
}

/// Bytes of an immediate operand of an instruction of width `w`.
pub(crate) fn imm_bytes(w: Width) -> u32 {
    w.bytes().min(4)
}

/// `n` as a value of width `w`.
fn extend(w: Width, n: i32) -> u64 {
    i64::from(n) as u64 & w.mask()
}
