//! Code that all regions of a mode share: entering and leaving host code, computed jumps, callouts.

use dynasmrt::{DynasmApi, DynasmLabelApi, dynasm};
use hokku_ir::backend::{StubId, Stubs};
use hokku_ir::guest::ExitReason;
use hokku_ir::{CpuMode, FlagSet, Gpr, Width};

use crate::assign::*;
use crate::encode::{Asm, Mem, Opcode, Rm};

/// Registers that the System V calling convention leaves to the caller to expect back.
const CALLEE_SAVED: [u8; 6] = [RBX, RBP, 12, R13, R14, R15];

/// Builds the stubs for `mode`.
pub(crate) fn stubs(mode: CpuMode) -> Stubs {
    let mut s = Builder { asm: Asm::new(), mode, entries: Vec::new() };
    s.enter();
    s.indirect();
    s.leave();
    s.callout();
    let code = s.asm.buf.finalize().unwrap_or_else(|e| panic!("a label of the stubs is out of reach: {e}"));
    Stubs { code, entries: s.entries }
}

struct Builder {
    asm: Asm,
    mode: CpuMode,
    entries: Vec<(StubId, u32)>,
}

impl Builder {
    fn entry(&mut self, id: StubId) {
        self.asm.align_block();
        self.entries.push((id, self.asm.offset()));
    }

    fn load(&mut self, reg: u8, offset: i32) {
        self.asm.mov(Width::W64, reg, Mem::state(offset));
    }

    fn save(&mut self, offset: i32, reg: u8) {
        self.asm.mov(Width::W64, Mem::state(offset), reg);
    }

    /// Guest general registers from the state.
    fn load_gprs(&mut self) {
        for g in &Gpr::ALL[..self.mode.gpr_count()] {
            if let Some(h) = home(*g) {
                self.load(h, gpr_offset(*g));
            }
        }
    }

    fn save_gprs(&mut self) {
        for g in &Gpr::ALL[..self.mode.gpr_count()] {
            if let Some(h) = home(*g) {
                self.save(gpr_offset(*g), h);
            }
        }
    }

    /// Guest vector registers from the state, `mxcsr` with them.
    fn load_vectors(&mut self) {
        for n in 0..pinned_vectors(self.mode) {
            self.asm.op(Opcode::of(0x0f10), n, Mem::state(vector_offset(n, 0)), &[]);
        }
        self.asm.op(Opcode::of(0x0fae), 2, Mem::state(MXCSR), &[]);
    }

    fn save_vectors(&mut self) {
        for n in 0..pinned_vectors(self.mode) {
            self.asm.op(Opcode::of(0x0f11), n, Mem::state(vector_offset(n, 0)), &[]);
        }
        self.asm.op(Opcode::of(0x0fae), 3, Mem::state(MXCSR), &[]);
    }

    /// Guest flags from the state; on the dispatcher's stack.
    fn load_flags(&mut self) {
        self.asm.mov(Width::W32, RAX, Mem::state(STATUS_FLAGS));
        dynasm!(self.asm.buf ; .arch x64 ; and eax, FlagSet::STATUS.bits() as i32 ; push rax ; popfq);
    }

    fn save_flags(&mut self) {
        dynasm!(self.asm.buf ; .arch x64 ; pushfq ; pop rax ; and eax, FlagSet::STATUS.bits() as i32);
        self.asm.mov(Width::W32, Mem::state(STATUS_FLAGS), RAX);
    }

    fn enter(&mut self) {
        self.entry(StubId::Enter);
        // rdi: the state, which gs names already; rsi: the code.
        for r in CALLEE_SAVED {
            dynasm!(self.asm.buf ; .arch x64 ; push Rq(r));
        }
        // The seventh word makes the stack aligned for callouts, which want the state's address.
        dynasm!(self.asm.buf ; .arch x64 ; push rdi);
        self.save(DISPATCHER_SP, RSP);
        self.asm.op(Opcode::of(0x0fae), 3, Mem::state(HOST_FLOAT_CONTROL), &[]);
        self.load_vectors();
        self.asm.mov(Width::W64, RCX, 6u8);
        self.load_flags();
        self.load(RSP, SHADOW_SP);
        self.load_gprs();
        dynasm!(self.asm.buf ; .arch x64 ; jmp rcx);
    }

    /// The target is in rcx: to where the jump cache says for its low 16 bits.
    fn indirect(&mut self) {
        self.entry(StubId::ReturnMiss);
        // The bottom entry, which is always at `shadow_top`, stays; another entry that leads here is gone.
        dynasm!(self.asm.buf ; .arch x64 ; mov r15, rcx);
        self.load(RCX, SHADOW_TOP);
        dynasm!(self.asm.buf
            ; .arch x64
            ; not rcx
            ; lea rcx, [rsp + rcx + 1 - 8]
            ; jrcxz >bottom
            ; mov rcx, r15
            ; jmp ->indirect
            ; bottom:
            ; mov rcx, r15
            ; lea rsp, [rsp - 8]
            ; jmp ->indirect
        );
        self.entry(StubId::Indirect);
        dynasm!(self.asm.buf ; .arch x64 ; ->indirect:);
        let b = &mut self.asm.buf;
        match self.mode {
            CpuMode::Long64 => {
                dynasm!(b ; .arch x64 ; movq xmm15, rcx ; movzx ecx, cx);
                self.load(R15, JUMP_CACHE);
                dynasm!(self.asm.buf ; .arch x64 ; jmp QWORD [r15 + rcx * 8]);
            }
            CpuMode::Protected32 => {
                dynasm!(b ; .arch x64 ; movzx r8d, cx);
                self.load(R15, JUMP_CACHE);
                dynasm!(self.asm.buf ; .arch x64 ; jmp QWORD [r15 + r8 * 8]);
            }
        }
        self.entry(StubId::JumpMiss);
        if self.mode == CpuMode::Long64 {
            dynasm!(self.asm.buf ; .arch x64 ; movq rcx, xmm15);
        }
        self.save(RIP, RCX);
        self.reason(ExitReason::Indirect);
        dynasm!(self.asm.buf ; .arch x64 ; jmp ->leave);
    }

    fn reason(&mut self, reason: ExitReason) {
        self.asm.op(Opcode::of(0xc7), 0, Mem::state(EXIT_REASON), &(reason as u32).to_le_bytes());
    }

    fn leave(&mut self) {
        self.entry(StubId::LeaveFaultString);
        // The count is in rcx.
        self.asm.mov(self.mode.word(), R14, RCX);
        self.entry(StubId::LeaveFault);
        dynasm!(self.asm.buf ; .arch x64 ; cld);
        self.reason(ExitReason::Fault);
        dynasm!(self.asm.buf ; .arch x64 ; jmp ->leave);
        for (id, reason) in [
            (StubId::LeaveSyscall, ExitReason::Syscall),
            (StubId::LeaveTrap, ExitReason::Trap),
            (StubId::LeaveLink, ExitReason::Link),
        ] {
            self.entry(id);
            self.reason(reason);
            if id != StubId::LeaveLink {
                dynasm!(self.asm.buf ; .arch x64 ; jmp ->leave);
            }
        }
        dynasm!(self.asm.buf ; .arch x64 ; ->leave:);
        self.save_gprs();
        self.save(SHADOW_SP, RSP);
        self.load(RSP, DISPATCHER_SP);
        self.save_flags();
        self.save_vectors();
        dynasm!(self.asm.buf ; .arch x64 ; ->to_host:);
        self.asm.op(Opcode::of(0x0fae), 2, Mem::state(HOST_FLOAT_CONTROL), &[]);
        dynasm!(self.asm.buf ; .arch x64 ; pop rdi);
        for r in CALLEE_SAVED.into_iter().rev() {
            dynasm!(self.asm.buf ; .arch x64 ; pop Rq(r));
        }
        dynasm!(self.asm.buf ; .arch x64 ; ret);
    }

    /// Called from region code: the return address is on the shadow stack and names the callout.
    fn callout(&mut self) {
        self.entry(StubId::Callout);
        self.save_gprs();
        dynasm!(self.asm.buf ; .arch x64 ; mov rdx, [rsp]);
        self.save(EXIT_SITE, RDX);
        self.save(SHADOW_SP, RSP);
        self.load(RSP, DISPATCHER_SP);
        self.save_flags();
        self.save_vectors();
        self.asm.op(Opcode::of(0x0fae), 2, Mem::state(HOST_FLOAT_CONTROL), &[]);
        self.load(7, CALLOUT_CONTEXT);
        dynasm!(self.asm.buf ; .arch x64 ; mov rsi, [rsp]);
        self.asm.op(Opcode::of(0xff), 2, Rm::Mem(Mem::state(CALLOUT_FN)), &[]);
        dynasm!(self.asm.buf ; .arch x64 ; test rax, rax ; jz >go_on);
        // Leaving: the return address goes.
        self.load(RAX, SHADOW_SP);
        dynasm!(self.asm.buf ; .arch x64 ; add rax, 8);
        self.save(SHADOW_SP, RAX);
        dynasm!(self.asm.buf ; .arch x64 ; jmp ->to_host ; go_on:);
        self.load_vectors();
        self.load_flags();
        self.load(RSP, SHADOW_SP);
        self.load_gprs();
        dynasm!(self.asm.buf ; .arch x64 ; ret);
    }
}
