//! Code that all regions of a mode share: entering and leaving host code, computed jumps, callouts.

use dynasmrt::{DynasmApi, dynasm};
use hokku_ir::backend::{StubId, Stubs};
use hokku_ir::guest::ExitReason;
use hokku_ir::{Cond, CpuMode, FlagSet, Gpr, Width};

use crate::Features;
use crate::assign::*;
use crate::buffer::Label;
use crate::encode::{Alu, Asm, Mem, Opcode, Rm, Src};

/// Registers that the System V calling convention leaves to the caller to expect back.
const CALLEE_SAVED: [u8; 6] = [RBX, RBP, 12, R13, R14, R15];

/// Builds the stubs for `mode` on a host with `features`.
pub(crate) fn stubs(mode: CpuMode, features: Features) -> Stubs {
    let mut asm = Asm::new();
    let (indirect, jump_miss, leave, to_host) = (asm.label(), asm.label(), asm.label(), asm.label());
    let avx = features.contains(Features::AVX);
    let mut s = Builder { asm, mode, avx, entries: Vec::new(), indirect, jump_miss, leave, to_host };
    s.enter();
    s.indirect();
    s.check_target();
    s.bytes_of(StubId::BytesOfDwords, 4);
    s.bytes_of(StubId::BytesOfQwords, 8);
    s.leave();
    s.callout();
    Stubs { code: s.asm.take(), entries: s.entries }
}

struct Builder {
    asm: Asm,
    mode: CpuMode,
    avx: bool,
    entries: Vec<(StubId, u32)>,
    // Places in several stubs' code.
    indirect: Label,
    jump_miss: Label,
    leave: Label,
    to_host: Label,
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

    /// Guest vector registers from the state, `mxcsr` with them. Changes flags.
    fn load_vectors(&mut self) {
        let last = pinned_vectors(self.mode);
        let load = Opcode::of(0x0f10);
        for n in 0..last {
            let from = Mem::state(vector_offset(n, 0));
            if self.avx { self.asm.vex(load, true, n, 0, from, &[]) } else { self.asm.op(load, n, from, &[]) }
        }
        if self.avx {
            // A processor that has written upper halves makes legacy instructions wait for the old value of their destination. Where all are zero
            // it is told so.
            let or = Opcode::of(0x0f56);
            self.asm.vex(or, true, 14, 0, 1u8, &[]);
            self.asm.vex(or, true, 15, 2, 3u8, &[]);
            for n in (4..last).step_by(2) {
                self.asm.vex(or, true, 14, 14, n, &[]);
                self.asm.vex(or, true, 15, 15, n + 1, &[]);
            }
            self.asm.vex(or, true, 15, 14, 15u8, &[]);
            // vextractf128 and vptest.
            self.asm.vex(Opcode::sse(0x66, 0x0f3a19), true, 15, 0, 15u8, &[1]);
            self.asm.vex(Opcode::sse(0x66, 0x0f3817), false, 15, 0, 15u8, &[]);
            let dirty = self.asm.label();
            self.asm.jcc(Cond::Ne, dirty);
            self.zero_upper();
            self.asm.bind(dirty);
        }
        self.asm.op(Opcode::of(0x0fae), 2, Mem::state(MXCSR), &[]);
    }

    /// Leaves the upper halves zero, as host code expects them.
    fn save_vectors(&mut self) {
        for n in 0..pinned_vectors(self.mode) {
            let (to, store) = (Mem::state(vector_offset(n, 0)), Opcode::of(0x0f11));
            if self.avx { self.asm.vex(store, true, n, 0, to, &[]) } else { self.asm.op(store, n, to, &[]) }
        }
        if self.avx {
            self.zero_upper();
        }
        self.asm.op(Opcode::of(0x0fae), 3, Mem::state(MXCSR), &[]);
    }

    /// `vzeroupper`.
    fn zero_upper(&mut self) {
        self.asm.plain(&[0xc5, 0xf8, 0x77]);
    }

    /// `movq xmm15, rcx`, or back: no flags, no host register but these.
    fn keep_target(&mut self, back: bool) {
        let op = Opcode::sse(0x66, if back { 0x0f7e } else { 0x0f6e }).wide(true);
        if self.avx { self.asm.vex(op, false, 15, 0, RCX, &[]) } else { self.asm.op(op, 15, RCX, &[]) }
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
        let bottom = self.asm.label();
        dynasm!(self.asm.buf ; .arch x64 ; not rcx ; lea rcx, [rsp + rcx + 1 - 8]);
        self.asm.jrcxz(bottom);
        dynasm!(self.asm.buf ; .arch x64 ; mov rcx, r15);
        self.asm.jmp(self.indirect);
        self.asm.bind(bottom);
        dynasm!(self.asm.buf ; .arch x64 ; mov rcx, r15 ; lea rsp, [rsp - 8]);
        self.asm.jmp(self.indirect);
        self.entry(StubId::Indirect);
        self.asm.bind(self.indirect);
        match self.mode {
            CpuMode::Long64 => {
                self.keep_target(false);
                dynasm!(self.asm.buf ; .arch x64 ; movzx ecx, cx);
                self.load(R15, JUMP_CACHE);
                dynasm!(self.asm.buf ; .arch x64 ; jmp QWORD [r15 + rcx * 8]);
            }
            CpuMode::Protected32 => {
                dynasm!(self.asm.buf ; .arch x64 ; movzx r8d, cx);
                self.load(R15, JUMP_CACHE);
                dynasm!(self.asm.buf ; .arch x64 ; jmp QWORD [r15 + r8 * 8]);
            }
        }
        self.entry(StubId::JumpMiss);
        self.asm.bind(self.jump_miss);
        if self.mode == CpuMode::Long64 {
            self.keep_target(true);
        }
        self.save(RIP, RCX);
        if self.mode == CpuMode::Long64 {
            self.name_transfer();
        }
        self.reason(ExitReason::Indirect);
        self.asm.jmp(self.leave);
    }

    /// `exit_site` = the end of the instruction that wrote its lower half: the distance from there to [`StubId::JumpMiss`]. Keeps flags.
    fn name_transfer(&mut self) {
        self.asm.op(Opcode::of(0x63).wide(true), RCX, Mem::state(EXIT_SITE), &[]);
        dynasm!(self.asm.buf ; .arch x64 ; not rcx);
        // lea r15, [rip + ...]
        self.asm.plain(&[0x4c, 0x8d, 0x3d]);
        self.asm.buf.distance(self.jump_miss);
        dynasm!(self.asm.buf ; .arch x64 ; lea rcx, [r15 + rcx + 1]);
        self.save(EXIT_SITE, RCX);
    }

    /// Goes on behind the eight bytes after the call if they are the target of the computed jump. Keeps flags.
    fn check_target(&mut self) {
        self.entry(StubId::CheckTarget);
        let hit = self.asm.label();
        dynasm!(self.asm.buf ; .arch x64 ; pop r15);
        match self.mode {
            CpuMode::Long64 => {
                let equal = Opcode::sse(0x66, 0x0f76);
                if self.avx {
                    self.asm.vex(equal, false, 14, 15, Mem::plain(R15, 0), &[]);
                    self.asm.vex(Opcode::sse(0x66, 0x0f7e).wide(true), false, 14, 0, RCX, &[]);
                } else {
                    dynasm!(self.asm.buf ; .arch x64 ; movq xmm14, [r15] ; pcmpeqd xmm14, xmm15 ; movq rcx, xmm14);
                }
                dynasm!(self.asm.buf ; .arch x64 ; not rcx);
                self.asm.jrcxz(hit);
            }
            CpuMode::Protected32 => {
                dynasm!(self.asm.buf
                    ; .arch x64
                    ; mov r9d, ecx
                    ; mov r8d, [r15]
                    ; not r8d
                    ; lea ecx, [rcx + r8 + 1]
                );
                self.asm.jrcxz(hit);
                dynasm!(self.asm.buf ; .arch x64 ; mov ecx, r9d);
            }
        }
        self.asm.jmp(self.jump_miss);
        self.asm.bind(hit);
        dynasm!(self.asm.buf ; .arch x64 ; lea r15, [r15 + 8] ; jmp r15);
    }

    /// rcx = number of bytes in r14 units of `unit` bytes, if moving them from rsi to rdi one by one forwards gives the same as moving units:
    /// no unit overlaps the place that it goes to, and nothing can fault but the first byte because all of them are in one page. Else, or where
    /// there are none, zero. Keeps flags; r15 = `unit`.
    fn bytes_of(&mut self, id: StubId, unit: i32) {
        self.entry(id);
        let w = self.mode.word();
        dynasm!(self.asm.buf ; .arch x64 ; mov r15, rax ; lahf ; seto al);
        self.asm.mov(w, RCX, RDI);
        self.asm.alu(Alu::Sub, w, RCX, Src::Reg(RSI));
        self.asm.alu(Alu::Add, w, RCX, Src::Imm(unit));
        self.asm.alu(Alu::Cmp, w, RCX, Src::Imm(2 * unit));
        let no = self.asm.label();
        self.asm.jcc(Cond::B, no);
        self.asm.alu(Alu::Cmp, w, R14, Src::Imm(4096 / unit));
        self.asm.jcc(Cond::A, no);
        for r in [RSI, RDI] {
            self.asm.mov(Width::W32, RCX, r);
            self.asm.alu(Alu::And, Width::W32, RCX, Src::Imm(4095));
            self.asm.lea(Width::W32, RCX, Mem { scale: unit.trailing_zeros() as u8, ..Mem::sum(RCX, R14, 0) });
            self.asm.alu(Alu::Cmp, Width::W32, RCX, Src::Imm(4096));
            self.asm.jcc(Cond::A, no);
        }
        let back = self.asm.label();
        dynasm!(self.asm.buf ; .arch x64 ; imul ecx, r14d, unit);
        self.asm.bind(back);
        dynasm!(self.asm.buf
            ; .arch x64
            ; add al, 0x7f
            ; sahf
            ; mov rax, r15
            ; mov r15d, unit
            ; ret
        );
        self.asm.bind(no);
        dynasm!(self.asm.buf ; .arch x64 ; xor ecx, ecx);
        self.asm.jmp(back);
    }

    fn reason(&mut self, reason: ExitReason) {
        self.asm.op(Opcode::of(0xc7), 0, Mem::state(EXIT_REASON), &(reason as u32).to_le_bytes());
    }

    fn leave(&mut self) {
        self.entry(StubId::LeaveFaultBytes);
        // Bytes are left in rcx, of units of r15 bytes. A thread that was called may be inside of a unit: that is not moved yet.
        let w = self.mode.word();
        self.save(gpr_offset(Gpr::Rax), RAX);
        dynasm!(self.asm.buf
            ; .arch x64
            ; lahf
            ; seto al
            ; lea r15d, [r15 - 1]
            ; mov r14d, ecx
            ; neg r14d
            ; and r14d, r15d
        );
        self.asm.alu(Alu::Sub, w, RSI, Src::Reg(R14));
        self.asm.alu(Alu::Sub, w, RDI, Src::Reg(R14));
        let dwords = self.asm.label();
        dynasm!(self.asm.buf ; .arch x64 ; lea ecx, [rcx + r14] ; shr ecx, 2 ; cmp r15d, 7);
        self.asm.jcc(Cond::Ne, dwords);
        dynasm!(self.asm.buf ; .arch x64 ; shr ecx, 1);
        self.asm.bind(dwords);
        dynasm!(self.asm.buf ; .arch x64 ; add al, 0x7f ; sahf);
        self.load(RAX, gpr_offset(Gpr::Rax));
        self.entry(StubId::LeaveFaultString);
        // The count is in rcx.
        self.asm.mov(self.mode.word(), R14, RCX);
        self.entry(StubId::LeaveFault);
        dynasm!(self.asm.buf ; .arch x64 ; cld);
        self.reason(ExitReason::Fault);
        self.asm.jmp(self.leave);
        for (id, reason) in [
            (StubId::LeaveSyscall, ExitReason::Syscall),
            (StubId::LeaveTrap, ExitReason::Trap),
            (StubId::LeaveHot, ExitReason::Hot),
            (StubId::LeaveLink, ExitReason::Link),
        ] {
            self.entry(id);
            if matches!(id, StubId::LeaveHot | StubId::LeaveLink) {
                // Called: the site is where.
                dynasm!(self.asm.buf ; .arch x64 ; pop rcx ; lea rcx, [rcx - 5]);
                self.save(EXIT_SITE, RCX);
            }
            self.reason(reason);
            if id != StubId::LeaveLink {
                self.asm.jmp(self.leave);
            }
        }
        self.asm.bind(self.leave);
        self.save_gprs();
        self.save(SHADOW_SP, RSP);
        self.load(RSP, DISPATCHER_SP);
        self.save_flags();
        self.save_vectors();
        self.asm.bind(self.to_host);
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
        let go_on = self.asm.label();
        dynasm!(self.asm.buf ; .arch x64 ; test rax, rax);
        self.asm.jcc(Cond::E, go_on);
        // Leaving: the return address goes.
        self.load(RAX, SHADOW_SP);
        dynasm!(self.asm.buf ; .arch x64 ; add rax, 8);
        self.save(SHADOW_SP, RAX);
        self.asm.jmp(self.to_host);
        self.asm.bind(go_on);
        self.load_vectors();
        self.load_flags();
        self.load(RSP, SHADOW_SP);
        self.load_gprs();
        dynasm!(self.asm.buf ; .arch x64 ; ret);
    }
}
