//! String instructions: the host's own, on rsi, rdi, rax where the guest's are, with the count moved to rcx.

use hokku_ir::backend::{FaultSite, LazyState, StubId};
use hokku_ir::guest::eflags;
use hokku_ir::{CpuMode, Gpr, GuestAddr, Rep, Seg, StringOp, Width};

use crate::assign::{R14, R15, RCX, SYSTEM_FLAGS};
use crate::buffer::Label;
use crate::control::Cold;
use crate::encode::{Mem, Rm};
use crate::lower::Lowering;
use crate::{Features, Optimisations};

/// A string instruction's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code {
    bytes: [u8; 5],
    len: usize,
    repeats: bool,
    /// Guest instruction, for the fault table.
    pc: GuestAddr,
    stack_delta: i32,
}

impl Lowering<'_> {
    /// False where the runtime must do it: source in a segment with a base.
    pub(crate) fn string_op(&mut self, op: StringOp, w: Width, rep: Rep, address: Width, source: Option<Seg>) -> bool {
        let based =
            matches!(source, Some(Seg::Fs | Seg::Gs)) && matches!(op, StringOp::Movs | StringOp::Lods | StringOp::Cmps);
        if based || address == Width::W16 {
            return false;
        }
        let mut code =
            Code { bytes: [0; 5], len: 0, repeats: rep != Rep::Once, pc: self.pc, stack_delta: self.asm.stack_delta };
        let mut push = |b: u8| {
            code.bytes[code.len] = b;
            code.len += 1;
        };
        match rep {
            Rep::Once => {}
            Rep::Rep | Rep::Repe => push(0xf3),
            Rep::Repne => push(0xf2),
        }
        if address == Width::W32 {
            push(0x67);
        }
        if w == Width::W16 {
            push(0x66);
        }
        if w == Width::W64 {
            push(0x48);
        }
        push(
            match op {
                StringOp::Movs => 0xa4,
                StringOp::Cmps => 0xa6,
                StringOp::Stos => 0xaa,
                StringOp::Lods => 0xac,
                StringOp::Scas => 0xae,
            } + u8::from(w != Width::W8),
        );
        for g in [Gpr::Rsi, Gpr::Rdi, Gpr::Rcx, Gpr::Rax] {
            let writes = match g {
                Gpr::Rsi => !matches!(op, StringOp::Stos | StringOp::Scas),
                Gpr::Rdi => op != StringOp::Lods,
                Gpr::Rcx => rep != Rep::Once,
                _ => op == StringOp::Lods,
            };
            if writes {
                self.evict(g);
            }
        }
        self.take_rcx();
        self.before_fault();
        let compares = matches!(op, StringOp::Cmps | StringOp::Scas);
        if compares && let Some(f) = self.eflags {
            self.keep_flags_values(f);
        }
        // Direction: the host's flag is clear. Of the second byte of the system flags only IF is set in nearly every program.
        let (forwards, done) = (self.asm.label(), self.asm.label());
        self.asm.movzx(Width::W8, RCX, Rm::Mem(Mem::state(SYSTEM_FLAGS + 1)));
        self.asm.lea(Width::W32, RCX, Mem::plain(RCX, -((eflags::IF >> 8) as i32)));
        self.asm.jrcxz(forwards);
        let site = self.asm.jmp_ahead();
        self.asm.bind(forwards);
        if let Some(stub) = self.bytes_stub(op, w, rep).filter(|_| address == self.mode.word()) {
            self.move_bytes(&code, stub, done);
        }
        self.run_string(&code, |_| {});
        self.asm.bind(done);
        self.cold.push(Cold::Backwards { site, forwards, done, string: code });
        if compares {
            let new = self.new_flags();
            self.guest_flags = new;
            self.flags_are(Some(new));
        }
        true
    }

    /// The stub that says whether the bytes of `rep movs` may move one by one, where that is worth a question.
    fn bytes_stub(&self, op: StringOp, w: Width, rep: Rep) -> Option<StubId> {
        let on = self.optimisations.contains(Optimisations::BYTE_MOVES) && self.features.contains(Features::FSRM);
        match w {
            _ if !on || op != StringOp::Movs || rep == Rep::Once => None,
            Width::W32 => Some(StubId::BytesOfDwords),
            Width::W64 => Some(StubId::BytesOfQwords),
            _ => None,
        }
    }

    /// `string`, a `rep movs` of larger units, as `rep movsb`, and on to `done`; goes on behind this where `stub` finds that it is not the same.
    fn move_bytes(&mut self, string: &Code, stub: StubId, done: Label) {
        self.spill_temp(R15);
        self.forget_copy(R15);
        self.jump_to_stub(0xe8, stub);
        let units = self.asm.label();
        self.asm.jrcxz(units);
        self.string_site(string, StubId::LeaveFaultBytes);
        match self.mode {
            CpuMode::Long64 => self.asm.plain(&[0xf3, 0xa4]),
            CpuMode::Protected32 => self.asm.plain(&[0xf3, 0x67, 0xa4]),
        }
        self.asm.mov(Width::W32, R14, RCX);
        self.asm.jmp(done);
        self.asm.bind(units);
    }

    fn string_site(&mut self, code: &Code, leave: StubId) {
        self.out.faults.push(FaultSite {
            offset: self.asm.offset(),
            pc: code.pc,
            leave,
            stack_delta: code.stack_delta,
            borrowed: [None; 4],
            lazy: LazyState::default(),
            retry: None,
        });
    }

    fn run_string(&mut self, code: &Code, after: impl FnOnce(&mut Self)) {
        if code.repeats {
            self.asm.mov(Width::W64, RCX, R14);
        }
        let leave = if code.repeats { StubId::LeaveFaultString } else { StubId::LeaveFault };
        self.string_site(code, leave);
        self.asm.plain(&code.bytes[..code.len]);
        after(self);
        if code.repeats {
            self.asm.mov(if self.mode == CpuMode::Long64 { Width::W64 } else { Width::W32 }, R14, RCX);
        }
    }

    /// The rare way: DF is set (or another of the bits beside it).
    pub(crate) fn string_backwards(&mut self, forwards: Label, done: Label, string: Code) {
        let clear = self.asm.label();
        self.asm.plain(&[0x9c]);
        self.test_state_bit(SYSTEM_FLAGS, eflags::DF);
        self.asm.jcc(hokku_ir::Cond::E, clear);
        self.asm.plain(&[0x9d]);
        self.asm.plain(&[0xfd]);
        self.run_string(&string, |l| l.asm.plain(&[0xfc]));
        self.asm.jmp(done);
        self.asm.bind(clear);
        self.asm.plain(&[0x9d]);
        self.asm.jmp(forwards);
    }
}
