//! Exact x87 ops as code: this host's instructions for [`hokku_ir::lowering::x87_exact`].

use hokku_ir::backend::{LazyState, StubId};
use hokku_ir::lowering::{
    X87Alu, X87Asm, X87If, X87Imm, X87Lowering, X87Part, X87Place, X87Regs, X87Slow, X87Stack, x87_come_back,
    x87_write_exact, x87_zero,
};
use hokku_ir::{Addr, GuestAddr, Value, Width, X87Format};

use crate::asm::{Asm, Label};
use crate::assign::*;
use crate::encode::*;
use crate::exits::Cold;
use crate::lower::Lowering;
use crate::vector_encode::Sew;
use crate::x87::{ADDRESS, load_of, store_of};

/// The registers of functions.
pub(crate) const REGS: X87Regs = X87Regs { a: (5, 6), b: (7, ADDRESS), t: [29, 30, SCRATCH], zero: ZERO };

/// What slow code must know of its guest instruction.
#[derive(Clone, Debug)]
pub(crate) struct X87Site {
    pc: GuestAddr,
    lazy: LazyState,
    sew: Option<Sew>,
}

impl X87Asm for Asm {
    type Label = Label;

    fn x87_label(&mut self) -> Label {
        self.label()
    }

    fn x87_bind(&mut self, label: Label) {
        self.bind(label);
    }

    fn x87_op(&mut self, op: X87Alu, d: u8, a: u8, b: u8) {
        let op = match op {
            X87Alu::Add => ADD,
            X87Alu::Sub => SUB,
            X87Alu::And => AND,
            X87Alu::Or => OR,
            X87Alu::Xor => XOR,
            X87Alu::ShiftLeft => SLL,
            X87Alu::ShiftRight => SRL,
            X87Alu::Below => SLTU,
            X87Alu::Mul => MUL,
            X87Alu::MulHigh => MULHU,
            X87Alu::Div => DIVU,
        };
        self.r(op, d, a, b);
    }

    fn x87_imm(&mut self, op: X87Imm, d: u8, a: u8, n: i32) {
        let op = match op {
            X87Imm::Add => ADDI,
            X87Imm::And => ANDI,
            X87Imm::ShiftLeft => SLLI,
            X87Imm::ShiftRight => SRLI,
            X87Imm::Below => SLTIU,
        };
        self.i(op, d, a, n);
    }

    fn x87_not(&mut self, d: u8, a: u8) {
        self.i(XORI, d, a, -1);
    }

    fn x87_leading_zeros(&mut self, d: u8, a: u8, [t, u]: [u8; 2]) {
        if self.counts_zeros {
            return self.i(SLLI, d, a, CLZ);
        }
        self.mv(t, a);
        self.mv(d, ZERO);
        for n in [32, 16, 8, 4, 2, 1] {
            let over = self.label();
            self.i(SRLI, u, t, 64 - n);
            self.branch(Branch::Ne, u, ZERO, over);
            self.i(SLLI, t, t, n);
            self.i(ADDI, d, d, n);
            self.bind(over);
        }
    }

    fn x87_spread(&mut self, d: u8, a: u8) {
        self.i(SLLI, d, a, 1);
        self.i(SRAI, d, d, 1 | ARITHMETIC);
    }

    fn x87_constant(&mut self, d: u8, n: u64) {
        self.li(d, n as i64);
    }

    fn x87_load(&mut self, part: X87Part, d: u8, offset: i32) {
        let load = match part {
            X87Part::Byte => LBU,
            X87Part::Half => LHU,
            X87Part::Word => LWU,
            X87Part::Long => LD,
        };
        self.i(load, d, STATE, offset);
    }

    fn x87_store(&mut self, part: X87Part, s: u8, offset: i32) {
        let store = match part {
            X87Part::Byte => SB,
            X87Part::Half => SH,
            X87Part::Word => SW,
            X87Part::Long => SD,
        };
        self.s(store, s, STATE, offset);
    }

    fn x87_branch(&mut self, on: X87If, a: u8, b: u8, to: Label) {
        let on = match on {
            X87If::Equal => Branch::Eq,
            X87If::NotEqual => Branch::Ne,
            X87If::Less => Branch::Lt,
            X87If::NotLess => Branch::Ge,
            X87If::Below => Branch::Ltu,
            X87If::NotBelow => Branch::Geu,
        };
        self.branch(on, a, b, to);
    }

    fn x87_jump(&mut self, to: Label) {
        self.jump(ZERO, to);
    }

    fn x87_return(&mut self, is_done: bool) {
        self.i(JALR, ZERO, RA, if is_done { 4 } else { 0 });
    }
}

impl X87Lowering for Lowering<'_> {
    type Asm = Asm;
    type Site = X87Site;

    fn x87_asm(&mut self) -> &mut Asm {
        &mut self.asm
    }

    fn x87_regs(&self) -> X87Regs {
        REGS
    }

    fn x87_stack(&mut self) -> &mut X87Stack {
        self.stack()
    }

    fn x87_claim(&mut self, at: Option<&Addr>, is_kept: bool) -> Option<X87Place> {
        self.values.take(ADDRESS, &mut self.asm);
        let locks = self.values.locks();
        let place = at.map(|at| {
            let (base, offset) = self.sum(at);
            let stays = (base == ZERO || HOMES.contains(&base)) && !temporaries(self.mode).contains(&base);
            if stays && offset < 2048 - 8 {
                return X87Place { base, offset, is_lost: false };
            }
            self.asm.i(ADDI, ADDRESS, base, offset);
            if is_kept {
                self.asm.s(SD, ADDRESS, STATE, register_offset(ADDRESS));
            }
            X87Place { base: ADDRESS, offset: 0, is_lost: is_kept }
        });
        self.values.unlock_since(locks, &[]);
        self.claim_others();
        place
    }

    fn x87_value(&mut self, v: Value) -> u8 {
        self.values.take(ADDRESS, &mut self.asm);
        let locks = self.values.locks();
        let r = self.zero_extended(v);
        self.asm.mv(ADDRESS, r);
        self.values.unlock_since(locks, &[]);
        self.claim_others();
        ADDRESS
    }

    fn x87_load_guest(&mut self, format: X87Format, d: u8, place: X87Place) {
        let lazy = self.lazy();
        self.may_fault(lazy);
        self.asm.i(load_of(format), d, place.base, place.offset);
    }

    fn x87_store_guest(&mut self, format: X87Format, s: u8, place: X87Place) {
        let lazy = self.lazy();
        self.may_fault(lazy);
        self.asm.s(store_of(format), s, place.base, place.offset);
    }

    fn x87_function(&mut self, stub: StubId, refused: Label) {
        self.jump_to_stub(RA, stub);
        self.asm.jump(ZERO, refused);
    }

    fn x87_site(&mut self) -> X87Site {
        X87Site { pc: self.pc, lazy: self.lazy().with_x87_settled(), sew: self.wide.sew }
    }

    fn x87_cold(&mut self, slow: X87Slow<Label, X87Site>) {
        self.cold.push(Cold::X87(Box::new(slow)));
    }

    fn x87_flags(&mut self, dst: Value, r: u8) {
        let info = self.plan.info(dst);
        if info.uses > 0 || info.last_flags > info.def {
            self.values.own(r, dst);
        }
    }

    fn x87_pc(&self) -> GuestAddr {
        self.pc
    }

    fn x87_word(&self) -> Width {
        self.mode.word()
    }
}

impl Lowering<'_> {
    /// Makes the registers of functions free, but for [`ADDRESS`].
    fn claim_others(&mut self) {
        for r in [REGS.a.0, REGS.a.1, REGS.b.0, REGS.t[0], REGS.t[1]] {
            self.values.take(r, &mut self.asm);
        }
    }

    /// Writes the code of `slow`.
    pub(crate) fn write_x87_slow(&mut self, slow: &X87Slow<Label, X87Site>) {
        if let Some((label, goes_on, zero)) = slow.zero {
            self.asm.bind(label);
            x87_zero(&mut self.asm, zero, ZERO, slow.label);
            self.asm.jump(ZERO, goes_on);
        }
        self.asm.bind(slow.label);
        self.wide.sew = None;
        self.pc = slow.site.pc;
        let [before, after] = &slow.stack;
        let free = [REGS.a.0, REGS.a.1];
        x87_write_exact(&mut self.asm, before, free, ZERO);
        match slow.place {
            Some(X87Place { is_lost: true, .. }) => self.asm.i(LD, ADDRESS, STATE, register_offset(ADDRESS)),
            Some(X87Place { base, offset, .. }) if base != ADDRESS => self.asm.i(ADDI, ADDRESS, base, offset),
            _ => {}
        }
        self.x87_routine(slow.evaluated, &slow.call, slow.site.lazy);
        x87_come_back(&mut self.asm, after, free);
        if slow.gives_flags {
            self.asm.i(LD, REGS.a.0, STATE, CALLOUT_RESULT);
        }
        if let Some(sew) = slow.site.sew {
            self.set_sew(sew);
        }
        self.asm.jump(ZERO, slow.back);
    }
}
