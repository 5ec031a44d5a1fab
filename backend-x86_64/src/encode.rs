//! Encodes host instructions whose register or memory operand is known at run time only.
//!
//! dynasm's dynamic operands have one spelling per address form; an x86 memory operand has dozens (base, index, scale, displacement, 67h, gs).
//! So prefixes, ModRM, SIB and displacement are put together here, once for all instructions.

use dynasmrt::x64::X64Relocation;
use dynasmrt::{DynamicLabel, DynasmApi, DynasmLabelApi, VecAssembler};
use hokku_ir::Width;

use crate::assign::{RBP, RSP};
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
pub(crate) struct Asm {
    pub(crate) buf: VecAssembler<X64Relocation>,
    /// Host instructions so far.
    pub(crate) count: u32,
    /// Offsets of instructions that may fault, since the last look, each with `stack_delta` there.
    pub(crate) guest_accesses: Vec<(u32, i32)>,
    /// Guest rsp minus what is in its register: see [`crate::stack`].
    pub(crate) stack_delta: i32,
}

impl Default for Asm {
    fn default() -> Self {
        Asm::new()
    }
}

impl Asm {
    pub(crate) fn new() -> Self {
        Asm { buf: VecAssembler::new(0), count: 0, guest_accesses: Vec::new(), stack_delta: 0 }
    }

    /// The code, of which all labels are bound; what comes next starts anew, in the same memory.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        (self.count, self.stack_delta) = (0, 0);
        self.guest_accesses.clear();
        match self.buf.drain() {
            Ok(code) => code.collect(),
            Err(e) => panic!("a label of the back end's own is out of reach: {e}"),
        }
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
        match *bytes {
            [] => {}
            [a] => self.buf.push(a),
            [a, b] => self.buf.extend(&[a, b]),
            [a, b, c, d] => self.buf.extend(&[a, b, c, d]),
            _ => self.buf.extend(bytes),
        }
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
        debug_assert!(!matches!(rm, Rm::Mem(Mem { index: Some(RSP), .. })), "rsp cannot be an index");
        self.count += 1;
        let mut rex = if op.wide { 8 } else { 0 };
        let mut force = op.byte_reg && (4..8).contains(&reg);
        let mut high = op.byte_reg && reg & HIGH != 0;
        rex |= (reg >> 3 & 1) << 2;
        if let Rm::Mem(m) = rm {
            self.mem_prefixes(&m);
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

    /// The VEX form of `op`: `op reg, v, rm`, on 256 bits where `long`. What has no second operand says 0 for `v`.
    ///
    /// Unlike the legacy form it takes memory of any alignment and clears the rest of a vector register that it writes.
    pub(crate) fn vex(&mut self, op: Opcode, long: bool, reg: u8, v: u8, rm: impl Into<Rm>, imm: &[u8]) {
        let rm = rm.into();
        self.count += 1;
        let (x, b) = match rm {
            Rm::Reg(r) => (0, r >> 3),
            Rm::Mem(m) => {
                self.mem_prefixes(&m);
                (m.index.map_or(0, |r| r >> 3), m.base.map_or(0, |r| r >> 3))
            }
        };
        let (map, code) = match op.code >> 8 {
            0x0f => (1, op.code as u8),
            0x0f38 => (2, op.code as u8),
            _ => (3, op.code as u8),
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
        if map == 1 && !op.wide && x == 0 && b == 0 {
            self.bytes(&[0xc5, inverted(reg >> 3, 7) | last, code]);
        } else {
            self.bytes(&[0xc4, inverted(reg >> 3, 7) | inverted(x, 6) | inverted(b, 5) | map, wide | last, code]);
        }
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Reg(r) => self.buf.push(0xc0 | reg | r & 7),
            Rm::Mem(m) => self.memory(reg, &m),
        }
        self.bytes(imm);
    }

    /// What goes before an instruction with memory operand `m`, which may fault if that is the guest's.
    fn mem_prefixes(&mut self, m: &Mem) {
        if m.space == Space::Guest {
            self.may_fault_here();
        }
        if m.space == Space::State {
            self.buf.push(0x65);
        }
        if m.short {
            self.buf.push(0x67);
        }
    }

    fn memory(&mut self, reg: u8, m: &Mem) {
        let disp = m.disp.to_le_bytes();
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
