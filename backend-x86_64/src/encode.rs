//! Encodes host instructions whose register or memory operand is known at run time only.
//!
//! dynasm's dynamic operands have one spelling per address form; an x86 memory operand has dozens (base, index, scale, displacement, 67h, gs).
//! So prefixes, ModRM, SIB and displacement are put together here, once for all instructions.

use hokku_ir::Width;

use crate::assign::{RBP, RSP};
use crate::buffer::{Buffer, Label};
pub(crate) use crate::instructions::{Alu, Shift, imm_bytes};
pub(crate) use crate::machine_operands::{HIGH, Mem, Rm, Space, Src};

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
#[derive(Default)]
pub(crate) struct Asm {
    pub(crate) buf: Buffer,
    /// Host instructions so far.
    pub(crate) count: u32,
    /// Offsets of instructions that may fault, since the last look, each with `stack_delta` there.
    pub(crate) guest_accesses: Vec<(u32, i32)>,
    /// Guest rsp minus what is in its register: see [`crate::stack`].
    pub(crate) stack_delta: i32,
}

/// A part of an instruction while it is put together: at most 64 bits, the first byte in the lowest of them.
#[derive(Clone, Copy, Default)]
struct Part {
    bits: u64,
    len: u32,
}

impl Part {
    /// One byte.
    #[inline]
    fn byte(byte: u8) -> Part {
        Part { bits: byte.into(), len: 8 }
    }

    /// `byte`, and then this.
    #[inline]
    fn after(self, byte: u8) -> Part {
        debug_assert!(self.len <= 56, "an instruction has no part as long as that");
        Part { bits: self.bits << 8 | u64::from(byte), len: self.len + 8 }
    }

    /// The bytes of an immediate operand.
    #[inline]
    fn of(imm: &[u8]) -> Part {
        let mut bytes = [0; 8];
        bytes[..imm.len()].copy_from_slice(imm);
        Part { bits: u64::from_le_bytes(bytes), len: 8 * imm.len() as u32 }
    }
}

impl Asm {
    pub(crate) fn new() -> Self {
        Asm::default()
    }

    /// The code, of which all labels are bound; what comes next starts anew, in the same memory.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        (self.count, self.stack_delta) = (0, 0);
        self.guest_accesses.clear();
        self.buf.take()
    }

    pub(crate) fn offset(&self) -> u32 {
        self.buf.here()
    }

    pub(crate) fn label(&mut self) -> Label {
        self.buf.label()
    }

    pub(crate) fn bind(&mut self, label: Label) {
        self.buf.bind(label);
    }

    /// Four bytes for a distance that is not known yet; gives their offset.
    pub(crate) fn distance_ahead(&mut self) -> u32 {
        let at = self.offset();
        self.bytes(&[0; 4]);
        at
    }

    /// The distance at `at` leads here.
    pub(crate) fn lead_here(&mut self, at: u32) {
        self.buf.lead_here(at);
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buf.append(bytes);
    }

    /// An instruction without operands, as its bytes.
    #[inline]
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
    #[inline]
    pub(crate) fn op(&mut self, op: Opcode, reg: u8, rm: impl Into<Rm>, imm: &[u8]) {
        self.put(op, reg, rm.into(), Part::of(imm));
    }

    /// The same with an immediate operand of `len` bytes.
    pub(crate) fn op_imm(&mut self, op: Opcode, reg: u8, rm: impl Into<Rm>, n: i32, len: u32) {
        let len = 8 * len;
        let bits = u64::from(n as u32) & ((1 << len) - 1);
        self.put(op, reg, rm.into(), Part { bits, len });
    }

    /// Put together in registers from its end to its start, where all lengths but those of the parts are known, and appended at once.
    fn put(&mut self, op: Opcode, mut reg: u8, mut rm: Rm, imm: Part) {
        debug_assert!(!matches!(rm, Rm::Mem(Mem { index: Some(RSP), .. })), "rsp cannot be an index");
        self.count += 1;
        let mut force = false;
        if op.byte_reg || op.byte_rm {
            (reg, rm, force) = byte_registers(op, reg, rm);
        }
        let (rest, body) = extension_and_body(reg, &rm);
        let rex = u8::from(op.wide) << 3 | (reg >> 3 & 1) << 2 | rest;
        let mut head = match op.code {
            0..=0xff => Part::byte(op.code as u8),
            code => {
                let zeros = code.leading_zeros() & !7;
                Part { bits: (code.swap_bytes() >> zeros).into(), len: 32 - zeros }
            }
        };
        if rex != 0 || force {
            head = head.after(0x40 | rex);
        }
        if op.prefix != 0 || op.lock {
            if op.prefix != 0 {
                head = head.after(op.prefix);
            }
            if op.lock {
                head = head.after(0xf0);
            }
        }
        self.append(rm, head, body, imm);
    }

    /// The VEX form of `op`: `op reg, v, rm`, on 256 bits where `long`. What has no second operand says 0 for `v`.
    ///
    /// Unlike the legacy form it takes memory of any alignment and clears the rest of a vector register that it writes.
    #[inline]
    pub(crate) fn vex(&mut self, op: Opcode, long: bool, reg: u8, v: u8, rm: impl Into<Rm>, imm: &[u8]) {
        self.put_vex(op, long, reg, v, rm.into(), Part::of(imm));
    }

    fn put_vex(&mut self, op: Opcode, long: bool, reg: u8, v: u8, rm: Rm, imm: Part) {
        self.count += 1;
        let (rest, body) = extension_and_body(reg, &rm);
        let (x, b) = (rest >> 1, rest & 1);
        let map = match op.code >> 8 {
            0x0f => 1,
            0x0f38 => 2,
            _ => 3,
        };
        let pp = match op.prefix {
            0x66 => 1,
            0xf3 => 2,
            0xf2 => 3,
            _ => 0,
        };
        let wide = u8::from(op.wide) << 7;
        let last = (15 - v) << 3 | u8::from(long) << 2 | pp;
        let inverted = |bit: u8, at: u8| (1 - bit) << at;
        let code = Part::byte(op.code as u8);
        let head = if map == 1 && !op.wide && x == 0 && b == 0 {
            code.after(inverted(reg >> 3, 7) | last).after(0xc5)
        } else {
            let first = inverted(reg >> 3, 7) | inverted(x, 6) | inverted(b, 5) | map;
            code.after(wide | last).after(first).after(0xc4)
        };
        self.append(rm, head, body, imm);
    }

    /// Appends an instruction on `rm`, with the prefixes of that. It may fault if that is the guest's memory.
    #[inline]
    fn append(&mut self, rm: Rm, mut head: Part, body: Part, imm: Part) {
        if let Rm::Mem(m) = rm {
            if m.short {
                head = head.after(0x67);
            }
            match m.space {
                Space::Guest => self.may_fault_here(),
                Space::State => head = head.after(0x65),
                Space::Plain => {}
            }
        }
        let mut all = u128::from(body.bits) << head.len | u128::from(head.bits);
        let mut len = head.len + body.len;
        if imm.len > 0 {
            all |= u128::from(imm.bits) << len;
            len += imm.len;
        }
        self.buf.append_bits(all, len);
    }

    // ---- Alignment

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

    /// Fills up to a multiple of 32, as which a region's code is placed: what processors fetch and keep decoded together.
    pub(crate) fn align_window(&mut self) {
        let fill = self.offset().wrapping_neg() & 31;
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

/// `reg` and `rm` of an instruction on byte registers as the numbers that stand in it, and whether it must have a REX prefix.
fn byte_registers(op: Opcode, reg: u8, rm: Rm) -> (u8, Rm, bool) {
    let number = |r: u8| if r & HIGH != 0 { (r & 3) + 4 } else { r };
    let needs_rex = |r: u8| (4..8).contains(&r);
    let (reg, mut force, mut high) =
        if op.byte_reg { (number(reg), needs_rex(reg), reg & HIGH != 0) } else { (reg, false, false) };
    let rm = match rm {
        Rm::Reg(r) if op.byte_rm => {
            force |= needs_rex(r);
            high |= r & HIGH != 0;
            Rm::Reg(number(r))
        }
        rm => rm,
    };
    let rex = force || op.wide || reg >= 8 || extension_and_body(reg, &rm).0 != 0;
    debug_assert!(!(high && rex), "a high byte register cannot go with REX");
    (reg, rm, force)
}

/// For `rm` beside `reg`: the bits for REX.X and REX.B; ModRM, SIB and displacement.
#[inline]
fn extension_and_body(reg: u8, rm: &Rm) -> (u8, Part) {
    let reg = (reg & 7) << 3;
    let m = match rm {
        Rm::Reg(r) => return (r >> 3 & 1, Part::byte(0xc0 | reg | r & 7)),
        Rm::Mem(m) => m,
    };
    let disp = u64::from(m.disp as u32);
    let x = m.index.map_or(0, |i| i >> 3) << 1;
    let sib = |base: u8| m.index.map_or(RSP << 3, |i| m.scale << 6 | (i & 7) << 3) | base;
    let Some(base) = m.base else {
        // No base: SIB with base 101 and a 32-bit displacement (the form without SIB is relative to rip).
        return (x, Part { bits: disp, len: 32 }.after(sib(5)).after(reg | 4));
    };
    let (mode, disp) = match m.disp {
        0 if base & 7 != RBP => (0, Part::default()),
        -128..=127 => (0x40, Part { bits: disp & 0xff, len: 8 }),
        _ => (0x80, Part { bits: disp, len: 32 }),
    };
    let body = if m.index.is_some() || base & 7 == RSP {
        disp.after(sib(base & 7)).after(mode | reg | 4)
    } else {
        disp.after(mode | reg | base & 7)
    };
    (x | base >> 3, body)
}
