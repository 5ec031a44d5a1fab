//! x87: the guest's instructions as they are, since the host's unit holds the guest's state. MMX by way of vector temporaries.
//!
//! Every instruction may raise a pending exception, so each is a fault site.

use hokku_ir::{Addr, Gpr, Op, Type, Value, Width, X87Control, X87Format, X87Op, X87Unary};

use crate::Features;
use crate::assign::{RCX, slot_offset};
use crate::encode::{Mem, Opcode, Rm, Src};
use crate::lower::Lowering;
use crate::values::Loc;

/// Opcode byte and extension of an instruction with a memory operand.
pub(crate) type MemCode = (u8, u8);

pub(crate) fn load_code(format: X87Format) -> MemCode {
    match format {
        X87Format::F32 => (0xd9, 0),
        X87Format::F64 => (0xdd, 0),
        X87Format::F80 => (0xdb, 5),
        X87Format::I16 => (0xdf, 0),
        X87Format::I32 => (0xdb, 0),
        X87Format::I64 => (0xdf, 5),
        X87Format::Bcd => (0xdf, 4),
    }
}

/// `None` for forms that x86 lacks.
pub(crate) fn store_code(format: X87Format, truncate: bool, pop: bool) -> Option<MemCode> {
    Some(match (format, truncate, pop) {
        (X87Format::F32, false, false) => (0xd9, 2),
        (X87Format::F32, false, true) => (0xd9, 3),
        (X87Format::F64, false, false) => (0xdd, 2),
        (X87Format::F64, false, true) => (0xdd, 3),
        (X87Format::F80, false, true) => (0xdb, 7),
        (X87Format::I16, false, false) => (0xdf, 2),
        (X87Format::I16, false, true) => (0xdf, 3),
        (X87Format::I32, false, false) => (0xdb, 2),
        (X87Format::I32, false, true) => (0xdb, 3),
        (X87Format::I64, false, true) => (0xdf, 7),
        (X87Format::Bcd, false, true) => (0xdf, 6),
        (X87Format::I16, true, true) => (0xdf, 1),
        (X87Format::I32, true, true) => (0xdb, 1),
        (X87Format::I64, true, true) => (0xdd, 1),
        _ => return None,
    })
}

/// Number of an operation in opcodes whose destination is ST(0) or whose source is memory.
fn arith_number(op: X87Op) -> u8 {
    match op {
        X87Op::Add => 0,
        X87Op::Mul => 1,
        X87Op::Sub => 4,
        X87Op::SubR => 5,
        X87Op::Div => 6,
        X87Op::DivR => 7,
    }
}

pub(crate) fn arith_code(op: X87Op, dst: u8, src: u8, pop: bool) -> Option<[u8; 2]> {
    let n = arith_number(op);
    match (dst, src, pop) {
        (0, src, false) => Some([0xd8, 0xc0 + (n << 3) + src]),
        // With another destination the codes of the plain and the reversed forms are swapped.
        (dst, 0, _) => {
            let n = if n >= 4 { n ^ 1 } else { n };
            Some([if pop { 0xde } else { 0xdc }, 0xc0 + (n << 3) + dst])
        }
        _ => None,
    }
}

pub(crate) fn arith_mem_code(op: X87Op, format: X87Format) -> Option<MemCode> {
    let n = arith_number(op);
    Some(match format {
        X87Format::F32 => (0xd8, n),
        X87Format::F64 => (0xdc, n),
        X87Format::I16 => (0xde, n),
        X87Format::I32 => (0xda, n),
        _ => return None,
    })
}

pub(crate) fn compare_code(st: u8, unordered: bool, pops: u8) -> Option<[u8; 2]> {
    Some(match (unordered, pops) {
        (false, 0) => [0xd8, 0xd0 + st],
        (false, 1) => [0xd8, 0xd8 + st],
        (false, 2) if st == 1 => [0xde, 0xd9],
        (true, 0) => [0xdd, 0xe0 + st],
        (true, 1) => [0xdd, 0xe8 + st],
        (true, 2) if st == 1 => [0xda, 0xe9],
        _ => return None,
    })
}

pub(crate) fn compare_mem_code(format: X87Format, pop: bool) -> Option<MemCode> {
    let n = 2 + u8::from(pop);
    Some(match format {
        X87Format::F32 => (0xd8, n),
        X87Format::F64 => (0xdc, n),
        X87Format::I16 => (0xde, n),
        X87Format::I32 => (0xda, n),
        _ => return None,
    })
}

pub(crate) fn unary_code(op: X87Unary) -> u8 {
    match op {
        X87Unary::Fchs => 0xe0,
        X87Unary::Fabs => 0xe1,
        X87Unary::Ftst => 0xe4,
        X87Unary::Fxam => 0xe5,
        X87Unary::F2xm1 => 0xf0,
        X87Unary::Fyl2x => 0xf1,
        X87Unary::Fptan => 0xf2,
        X87Unary::Fpatan => 0xf3,
        X87Unary::Fxtract => 0xf4,
        X87Unary::Fprem1 => 0xf5,
        X87Unary::Fdecstp => 0xf6,
        X87Unary::Fincstp => 0xf7,
        X87Unary::Fprem => 0xf8,
        X87Unary::Fyl2xp1 => 0xf9,
        X87Unary::Fsqrt => 0xfa,
        X87Unary::Fsincos => 0xfb,
        X87Unary::Frndint => 0xfc,
        X87Unary::Fscale => 0xfd,
        X87Unary::Fsin => 0xfe,
        X87Unary::Fcos => 0xff,
    }
}

/// `None` for what is no single instruction without operands.
pub(crate) fn control_code(op: X87Control) -> Option<&'static [u8]> {
    Some(match op {
        X87Control::Init => &[0xdb, 0xe3],
        X87Control::Emms => &[0x0f, 0x77],
        X87Control::Wait => &[0x9b],
        X87Control::Nop => &[0xd9, 0xd0],
        X87Control::Clex | X87Control::Mmx => return None,
    })
}

impl Lowering<'_> {
    /// An x87 instruction without memory operand.
    pub(crate) fn x87_plain(&mut self, bytes: &[u8]) {
        self.before_fault();
        self.asm.may_fault_here();
        self.asm.plain(bytes);
    }

    /// An x87 instruction with a memory operand.
    pub(crate) fn x87_memory(&mut self, (code, ext): MemCode, at: Addr) {
        self.before_fault();
        let m = self.address(at);
        self.consume_inst(self.cur);
        self.asm.op(Opcode::of(u32::from(code)), ext, m, &[]);
    }

    /// `fcomi` and kin.
    pub(crate) fn x87_to_flags(&mut self, dst: Value, st: u8, unordered: bool, pop: bool) {
        self.before_fault();
        self.clobber_flags();
        self.asm.may_fault_here();
        self.asm.plain(&[if pop { 0xdf } else { 0xdb }, if unordered { 0xe8 } else { 0xf0 } + st]);
        self.flags_are(Some(dst));
    }

    /// `fcmovcc` on the I8 value `c`.
    pub(crate) fn x87_select(&mut self, c: Value, st: u8) {
        use hokku_ir::Cond;
        let root = self.root(c);
        if let (true, Some(Op::Condition { cc, .. })) = (self.is_condition_on_guest_flags(root), self.op_at(root)) {
            let code = match cc {
                Cond::B => Some([0xda, 0xc0]),
                Cond::E => Some([0xda, 0xc8]),
                Cond::Be => Some([0xda, 0xd0]),
                Cond::P => Some([0xda, 0xd8]),
                Cond::Ae => Some([0xdb, 0xc0]),
                Cond::Ne => Some([0xdb, 0xc8]),
                Cond::A => Some([0xdb, 0xd0]),
                Cond::Np => Some([0xdb, 0xd8]),
                _ => None,
            };
            if let Some([first, second]) = code {
                self.host_condition(root);
                return self.x87_plain(&[first, second + st]);
            }
        }
        // fcmovne on flags made from the value; a pending exception is raised before, while the guest's flags are there.
        self.force(root);
        self.before_fault();
        self.asm.may_fault_here();
        self.asm.plain(&[0x9b]);
        let r = self.src_reg(root, Width::W8);
        self.consume(root);
        self.clobber_flags();
        self.asm.test(Width::W8, Rm::Reg(r), Src::Reg(r));
        self.asm.plain(&[0xdb, 0xc8 + st]);
    }

    /// `fnstsw`.
    pub(crate) fn x87_status(&mut self, dst: Value) {
        if self.is_for_ax(dst) {
            return self.defer(dst);
        }
        self.x87_word(dst, 0xdd, 7);
    }

    /// `fnstcw`.
    pub(crate) fn x87_read_control(&mut self, dst: Value) {
        self.x87_word(dst, 0xd9, 7);
    }

    /// How `v` gets to memory if it is the status or the control word.
    pub(crate) fn x87_word_code(&self, v: Value) -> Option<MemCode> {
        match self.op_at(self.root(v))? {
            Op::X87GetStatus {} => Some((0xdd, 7)),
            Op::X87GetControl {} => Some((0xd9, 7)),
            _ => None,
        }
    }

    /// Whether the value of this op is only stored, by the same guest instruction.
    fn is_only_stored(&self, dst: Value) -> bool {
        let rest = &self.block.insts[self.cur as usize + 1..];
        let user = rest.iter().find(|i| !matches!(i.op, Op::GetGpr { .. }));
        self.val(dst).uses == 1
            && user.is_some_and(
                |i| matches!(i.op, Op::Store { ty: Type::I16, at, v, .. } if v == dst && at.base != Some(dst)),
            )
    }

    /// Whether the value of this op goes to ax alone, by the next one.
    fn is_for_ax(&self, dst: Value) -> bool {
        let next = self.block.insts.get(self.cur as usize + 1);
        let to_ax = |op: &Op| matches!(*op, Op::SetGpr { reg: Gpr::Rax, w: Width::W16, v } if v == dst);
        self.val(dst).uses == 1 && next.is_some_and(|i| to_ax(&i.op))
    }

    /// `fnstsw ax`, of the status word `v`.
    pub(crate) fn status_to_ax(&mut self, v: Value) {
        self.consume(v);
        self.evict(Gpr::Rax);
        self.asm.plain(&[0xdf, 0xe0]);
    }

    /// Whether this op loads what the next makes the control word.
    pub(crate) fn is_new_control_word(&self, dst: Value) -> bool {
        let next = self.block.insts.get(self.cur as usize + 1);
        self.val(dst).uses == 1 && next.is_some_and(|i| matches!(i.op, Op::X87SetControl { v } if v == dst))
    }

    /// Leaves the code of this op to its user.
    pub(crate) fn defer(&mut self, dst: Value) {
        self.vals[dst.0 as usize].loc = Loc::Deferred;
    }

    fn x87_word(&mut self, dst: Value, code: u32, ext: u8) {
        if self.is_only_stored(dst) {
            return self.defer(dst);
        }
        let slot = self.take_slot(1);
        self.asm.op(Opcode::of(code), ext, Mem::state(slot_offset(slot)), &[]);
        self.freed_slots.push((slot, 1));
        self.read_state(dst, Width::W16, slot_offset(slot));
    }

    /// `fldcw`.
    pub(crate) fn x87_write_control(&mut self, v: Value) {
        let root = self.root(v);
        if let (Loc::Deferred, Some(Op::Load { at, .. })) = (self.loc(root), self.op_at(root)) {
            self.before_fault();
            let m = self.address(at);
            self.consume_inst(self.def(root));
            self.consume_inst(self.cur);
            return self.load_control(m);
        }
        self.force(v);
        self.before_fault();
        let r = self.src_reg(v, Width::W16);
        self.consume_inst(self.cur);
        let slot = self.take_slot(1);
        let m = Mem::state(slot_offset(slot));
        self.asm.mov(Width::W16, m, r);
        self.load_control(m);
        self.freed_slots.push((slot, 1));
    }

    fn load_control(&mut self, m: Mem) {
        if self.features.contains(Features::FLDCW_APART) {
            self.asm.align_window();
        }
        self.asm.may_fault_here();
        self.asm.op(Opcode::of(0xd9), 5, m, &[]);
    }

    /// `movq2dq`: the MMX register in a vector temporary.
    pub(crate) fn read_mmx(&mut self, v: Value, reg: u8) {
        self.before_fault();
        self.asm.may_fault_here();
        let t = self.vec_temp();
        self.asm.op(Opcode::sse(0xf3, 0x0fd6), t, Rm::Reg(reg), &[]);
        self.define_vec_temp(v, t);
    }

    /// `movq`, `movd` to memory.
    pub(crate) fn write_mmx_to_memory(&mut self, w: Width, reg: u8, at: Addr) {
        self.before_fault();
        let m = self.address(at);
        self.consume_inst(self.cur);
        self.asm.op(Opcode::of(if w == Width::W64 { 0x0f7f } else { 0x0f7e }), reg, m, &[]);
    }

    /// `fnclex`. A pending exception, whose opcode the host's unit knows in the host's encoding, is taken back by the runtime.
    pub(crate) fn clear_exceptions(&mut self, op: Op) {
        self.consume_inst(self.cur);
        self.settle_for_stub(&op);
        let (slot, t, clear, done) = (self.take_slot(1), self.vec_temp(), self.asm.label(), self.asm.label());
        self.take_rcx();
        let status = Mem::state(slot_offset(slot));
        self.asm.op(Opcode::of(0xdd), 7, status, &[]);
        self.asm.movzx(Width::W16, RCX, Rm::Mem(status));
        // The sign bits of both bytes are set where an exception is pending; no flags are touched.
        self.asm.op(Opcode::sse(0x66, 0x0f6e), t, Rm::Reg(RCX), &[]);
        self.asm.op(Opcode::sse(0x66, 0x0fd7), RCX, Rm::Reg(t), &[]);
        self.asm.jrcxz(clear);
        self.call_stub_now(op);
        self.asm.jmp(done);
        self.asm.bind(clear);
        self.asm.plain(&[0xdb, 0xe2]);
        self.asm.bind(done);
        self.freed_slots.push((slot, 1));
    }

    /// An MMX instruction that changes nothing else.
    pub(crate) fn enter_mmx(&mut self) {
        self.before_fault();
        self.asm.may_fault_here();
        let slot = self.take_slot(1);
        self.asm.op(Opcode::of(0x0f7f), 0, Mem::state(slot_offset(slot)), &[]);
        self.freed_slots.push((slot, 1));
    }

    /// `movdq2q`.
    pub(crate) fn write_mmx(&mut self, reg: u8, v: Value) {
        self.before_fault();
        let src = match self.loc(v) {
            Loc::Slot(s) => {
                let m = Mem::state(slot_offset(s));
                self.consume(v);
                self.asm.may_fault_here();
                return self.asm.op(Opcode::of(0x0f6f), reg, m, &[]);
            }
            _ => self.vec_reg(v, Type::V64),
        };
        self.consume(v);
        self.asm.may_fault_here();
        self.asm.op(Opcode::sse(0xf2, 0x0fd6), reg, Rm::Reg(src), &[]);
    }
}
