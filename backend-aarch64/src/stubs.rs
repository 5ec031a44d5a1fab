//! Code that all regions of a mode share: entering and leaving host code, computed jumps, callouts.

use hokku_ir::backend::{StubId, Stubs};
use hokku_ir::eval::{DOUBLES_IN_HOST, EXACT_IN_HOST};
use hokku_ir::guest::ExitReason;
use hokku_ir::lowering::{X87_FUNCTIONS, x87_function};
use hokku_ir::{CpuMode, Gpr};

use crate::Features;
use crate::access::{Piece, Place};
use crate::asm::{Asm, Label, Size};
use crate::assign::*;
use crate::immediate::bitmask;
use crate::integer::{Extend, Logic, Shift, Sum};
use crate::{x87, x87_double, x87_exact};

/// The registers that a function must leave as they are, in pairs.
const CALLEE_SAVED: [(u8, u8); 6] = [(19, 20), (21, 22), (23, 24), (25, 26), (27, 28), (29, 30)];
/// Bytes of the frame: those, and the low halves of v8 to v15.
const FRAME: i32 = 6 * 16 + 4 * 16;

/// The bit of [`X87_IN_HOST`] that tells of x87 code in doubles.
const IN_DOUBLES: u8 = 0;
const _: () = assert!(DOUBLES_IN_HOST == 1 << IN_DOUBLES && EXACT_IN_HOST & DOUBLES_IN_HOST == 0);

/// Builds the stubs for `mode` on processors with `features`.
pub(crate) fn stubs(mode: CpuMode, features: Features) -> Stubs {
    let mut asm = Asm::new();
    asm.is_stub = true;
    let (leave, indirect, out, callout) = (asm.label(), asm.label(), asm.label(), asm.label());
    let has_alternate_floats = features.contains(Features::AFP);
    let mut s = Builder { asm, mode, has_alternate_floats, leave, indirect, out, callout, entries: Vec::new() };
    s.enter();
    s.computed_jumps();
    s.leaves();
    s.callout();
    s.x87();
    for id in X87_FUNCTIONS {
        s.entry(id);
        x87_function(&mut s.asm, id, x87_exact::REGS);
    }
    Stubs { code: s.asm.finish(), entries: s.entries }
}

struct Builder {
    asm: Asm,
    mode: CpuMode,
    has_alternate_floats: bool,
    /// Saves the guest's registers and returns to the dispatcher.
    leave: Label,
    indirect: Label,
    /// Returns to the dispatcher; the guest's registers are saved.
    out: Label,
    callout: Label,
    entries: Vec<(StubId, u32)>,
}

impl Builder {
    fn entry(&mut self, id: StubId) {
        while self.asm.offset() % 16 != 0 {
            self.asm.nop();
        }
        self.entries.push((id, self.asm.offset()));
    }

    fn load(&mut self, reg: u8, offset: i32) {
        self.asm.load(Piece::X, reg, STATE, offset);
    }

    fn save(&mut self, offset: i32, reg: u8) {
        self.asm.store(Piece::X, reg, STATE, offset);
    }

    /// Moves guest general registers from the state, or to it.
    fn gprs(&mut self, load: bool) {
        for g in Gpr::ALL[..self.mode.gpr_count()].chunks(2) {
            let (a, b, at) = (home(g[0]), home(g[1]), gpr_offset(g[0]));
            if load {
                self.asm.load_pair(Piece::X, a, b, STATE, at)
            } else {
                self.asm.store_pair(Piece::X, a, b, STATE, at)
            }
        }
    }

    /// Moves the low halves of the guest's vector registers.
    fn vectors(&mut self, load: bool) {
        for n in 0..self.mode.gpr_count() as u8 {
            self.asm.access(load, Piece::Q, n, Place::Offset { base: STATE, offset: vector_offset(n, 0) });
        }
    }

    fn and_bits(&mut self, d: u8, n: u8, mask: u64) {
        let bits = bitmask(Size::W, mask).expect("a run of ones");
        self.asm.logic_bits(Logic::And, Size::W, d, n, bits);
    }

    /// FPCR and FPSR by mxcsr: see `float`. The scratch registers and NZCV change.
    fn load_float_mode(&mut self) {
        let (m, t, u) = (SCRATCH, TARGET, TEMPS[0]);
        let (usual, end) = (self.asm.label(), self.asm.label());
        self.asm.load(Piece::W, m, STATE, X87_IN_HOST);
        self.asm.tbz(m, IN_DOUBLES, usual);
        // x87 code in doubles: default NaNs, denormals as they are. QC sends SSE ops to the runtime.
        self.asm.constant(t, 1 << 25);
        self.asm.write_fpcr(t);
        self.asm.constant(t, 1 << 27);
        self.asm.write_fpsr(t);
        if self.has_alternate_floats {
            self.asm.store(Piece::W, t, STATE, FLOAT_IS_ODD);
        }
        self.asm.b(end);
        self.asm.bind(usual);
        self.asm.store(Piece::X, u, STATE, REGISTERS);
        self.asm.load(Piece::W, m, STATE, MXCSR);
        if self.has_alternate_floats {
            self.load_alternate_mode(m, t, u);
        } else {
            self.load_flushing_mode(m, t, u);
        }
        self.asm.load(Piece::X, u, STATE, REGISTERS);
        self.asm.bind(end);
    }

    /// For the mxcsr in `m`. FPCR.AH makes NaNs, tiny results and denormals those of x86, NEP keeps what is above scalars.
    fn load_alternate_mode(&mut self, m: u8, t: u8, u: u8) {
        const AH_NEP: u64 = 0b110;
        self.asm.constant(t, AH_NEP);
        // DAZ is FIZ, FTZ is FZ; 14:13 and 23:22 as below.
        for (from, to) in [(6, 0), (13, 23), (14, 22), (15, 24)] {
            self.asm.lsr(Size::W, u, m, from);
            self.asm.bfi(Size::W, t, u, to, 1);
        }
        self.asm.write_fpcr(t);
        self.asm.write_fpsr(ZERO);
        // Where an exception is not masked the runtime does all.
        let all = bitmask(Size::W, 0x3f).expect("a run of ones");
        self.asm.ubfx(Size::W, u, m, 7, 6);
        self.asm.logic_bits(Logic::Eor, Size::W, u, u, all);
        self.asm.store(Piece::W, u, STATE, FLOAT_IS_ODD);
    }

    /// For the mxcsr in `m`, where the host has no such modes.
    fn load_flushing_mode(&mut self, m: u8, t: u8, u: u8) {
        // 14:13 nearest, down, up, zero; 23:22 nearest, up, down, zero: the bits are exchanged. Bit 24 flushes denormals.
        self.asm.constant(t, 1 << 24);
        self.asm.bfi(Size::W, t, m, 23, 1);
        self.asm.lsr(Size::W, u, m, 13);
        self.asm.bfi(Size::W, t, u, 23, 1);
        self.asm.lsr(Size::W, u, m, 14);
        self.asm.bfi(Size::W, t, u, 22, 1);
        self.asm.write_fpcr(t);
        self.compare_mode(t, m);
        self.asm.cset(t, crate::asm::Cc::Ne);
        self.asm.lsl(Size::W, t, t, 27);
        self.asm.write_fpsr(t);
    }

    /// Compares what mxcsr, in `m`, asks for with what programs have: all six masks set, FTZ (bit 15) and DAZ (bit 6) not. `t` and `m` change.
    fn compare_mode(&mut self, t: u8, m: u8) {
        self.asm.constant(t, 0x9fc0);
        self.asm.logic(Logic::And, Size::W, t, t, m);
        self.asm.constant(m, 0x1f80);
        self.asm.add(Sum::Subs, Size::W, 31, t, m);
    }

    /// Adds the exceptions in FPSR to mxcsr, where the host has the guest's; x0 changes as well.
    fn save_alternate_exceptions(&mut self) {
        let (f, m, t) = (SCRATCH, TARGET, 0);
        let end = self.asm.label();
        self.asm.load(Piece::W, m, STATE, X87_IN_HOST);
        self.asm.tbnz(m, IN_DOUBLES, end);
        self.asm.load(Piece::W, m, STATE, MXCSR);
        self.asm.read_fpsr(f);
        // Invalid; division by zero, overflow, underflow, inexact; denormal operand.
        for (from, width, to) in [(0, 1, 0), (1, 4, 2), (7, 1, 1)] {
            self.asm.ubfx(Size::W, t, f, from, width);
            self.asm.logic_shifted(Logic::Orr, Size::W, m, m, t, Shift::Lsl, to);
        }
        self.asm.store(Piece::W, m, STATE, MXCSR);
        self.asm.bind(end);
    }

    /// Adds the inexact exception in FPSR to mxcsr; not where all operations go to the runtime, which knows better.
    fn save_float_exceptions(&mut self) {
        let (f, m) = (SCRATCH, TARGET);
        let end = self.asm.label();
        self.asm.load(Piece::W, m, STATE, X87_IN_HOST);
        self.asm.tbnz(m, IN_DOUBLES, end);
        self.asm.load(Piece::W, m, STATE, MXCSR);
        self.compare_mode(f, m);
        self.asm.read_fpsr(f);
        self.asm.load(Piece::W, m, STATE, MXCSR);
        self.asm.ubfx(Size::W, f, f, 4, 1);
        self.asm.csel(Size::W, f, f, ZERO, crate::asm::Cc::Eq);
        self.asm.logic_shifted(Logic::Orr, Size::W, m, m, f, Shift::Lsl, 5);
        self.asm.store(Piece::W, m, STATE, MXCSR);
        self.asm.bind(end);
    }

    /// Everything of the guest's into registers. The scratch registers change.
    fn load_guest(&mut self) {
        self.load_float_mode();
        self.vectors(true);
        self.gprs(true);
        self.load(SHADOW, SHADOW_SP);
        self.load(FLAG_SITE, HOST_FLAG_SITE);
    }

    fn save_guest(&mut self) {
        self.gprs(false);
        self.save(SHADOW_SP, SHADOW);
        self.save(HOST_FLAG_SITE, FLAG_SITE);
        if self.has_alternate_floats {
            self.save_alternate_exceptions();
        } else {
            self.save_float_exceptions();
        }
        self.vectors(false);
    }

    /// Keeps what recipes may read.
    fn save_registers(&mut self) {
        for n in (0..16).chain(21..26).chain(27..30) {
            self.asm.store(Piece::X, n, STATE, REGISTERS + 8 * i32::from(n));
        }
    }

    fn enter(&mut self) {
        self.entry(StubId::Enter);
        // x0: the state; x1: the code.
        const SP: u8 = 31;
        self.asm.push_pair(Piece::X, 29, 30, SP, FRAME);
        for (n, (a, b)) in CALLEE_SAVED[..5].iter().enumerate() {
            self.asm.store_pair(Piece::X, *a, *b, SP, 16 + 16 * n as i32);
        }
        for n in 0..4u8 {
            self.asm.store_pair(Piece::Vec(3), 8 + 2 * n, 9 + 2 * n, SP, 96 + 16 * i32::from(n));
        }
        self.asm.mov(Size::X, STATE, 0);
        self.asm.add_imm(Sum::Add, Size::X, SCRATCH, SP, 0);
        self.save(DISPATCHER_SP, SCRATCH);
        self.asm.read_fpcr(SCRATCH);
        self.asm.store(Piece::W, SCRATCH, STATE, HOST_FLOAT_CONTROL);
        self.asm.mov(Size::X, LINK, 1);
        self.load_guest();
        self.asm.mov(Size::X, TARGET, LINK);
        self.asm.br(TARGET);
    }

    /// The target is in [`TARGET`]: to where the jump cache says for its low 16 bits.
    fn computed_jumps(&mut self) {
        self.entry(StubId::ReturnMiss);
        // A pair has been popped. The bottom one, at `shadow_top`, is to stay; another one is gone.
        self.load(SCRATCH, SHADOW_TOP);
        self.asm.add(Sum::Sub, Size::X, SCRATCH, SHADOW, SCRATCH);
        self.asm.add_imm(Sum::Sub, Size::X, SCRATCH, SCRATCH, 16);
        let indirect = self.indirect;
        self.asm.cbnz(Size::X, SCRATCH, indirect);
        self.asm.add_imm(Sum::Sub, Size::X, SHADOW, SHADOW, 16);
        self.entry(StubId::Indirect);
        self.asm.bind(indirect);
        self.load(SCRATCH, JUMP_CACHE);
        self.and_bits(INDEX, TARGET, 0xffff);
        let place = Place::Index { base: SCRATCH, index: INDEX, extend: Extend::Uxtx, shifted: true };
        self.asm.access(true, Piece::X, SCRATCH, place);
        self.asm.br(SCRATCH);
        self.entry(StubId::JumpMiss);
        self.save(RIP, TARGET);
        self.save(EXIT_SITE, LINK);
        self.reason(ExitReason::Indirect);
        let leave = self.leave;
        self.asm.b(leave);
    }

    fn reason(&mut self, reason: ExitReason) {
        self.asm.constant(SCRATCH, u64::from(reason as u32));
        self.asm.store(Piece::W, SCRATCH, STATE, EXIT_REASON);
    }

    fn leaves(&mut self) {
        let leave = self.leave;
        for (id, reason) in [
            (StubId::LeaveFault, ExitReason::Fault),
            (StubId::LeaveFaultString, ExitReason::Fault),
            (StubId::LeaveSyscall, ExitReason::Syscall),
            (StubId::LeaveTrap, ExitReason::Trap),
            (StubId::LeaveHot, ExitReason::Hot),
            (StubId::LeaveLink, ExitReason::Link),
        ] {
            self.entry(id);
            if reason == ExitReason::Fault {
                self.save_registers();
                for n in 0..8 {
                    let at = X87_FLOATS + 8 * i32::from(n);
                    self.asm.store(Piece::Vec(3), x87_double::FIRST + n, STATE, at);
                }
            }
            self.reason(reason);
            if id != StubId::LeaveLink {
                self.asm.b(leave);
            }
        }
        self.asm.bind(leave);
        self.save_guest();
        let out = self.out;
        self.asm.bind(out);
        const SP: u8 = 31;
        self.asm.load(Piece::W, SCRATCH, STATE, HOST_FLOAT_CONTROL);
        self.asm.write_fpcr(SCRATCH);
        for n in 0..4u8 {
            self.asm.load_pair(Piece::Vec(3), 8 + 2 * n, 9 + 2 * n, SP, 96 + 16 * i32::from(n));
        }
        for (n, (a, b)) in CALLEE_SAVED[..5].iter().enumerate() {
            self.asm.load_pair(Piece::X, *a, *b, SP, 16 + 16 * n as i32);
        }
        self.asm.pop_pair(Piece::X, 29, 30, SP, FRAME);
        self.asm.ret();
    }

    /// Called from region code, whose return address names the callout.
    fn callout(&mut self) {
        self.entry(StubId::Callout);
        let callout = self.callout;
        self.asm.bind(callout);
        self.save(EXIT_SITE, LINK);
        self.save_registers();
        self.save_guest();
        self.asm.load(Piece::W, SCRATCH, STATE, HOST_FLOAT_CONTROL);
        self.asm.write_fpcr(SCRATCH);
        self.load(0, CALLOUT_CONTEXT);
        self.asm.mov(Size::X, 1, STATE);
        self.asm.mov(Size::X, 2, LINK);
        self.load(SCRATCH, CALLOUT_FN);
        self.asm.blr(SCRATCH);
        let out = self.out;
        self.asm.cbnz(Size::X, 0, out);
        self.load_guest();
        self.load(LINK, EXIT_SITE);
        self.asm.ret();
    }
}

impl Builder {
    /// Called from region code as [`crate::x87`] says. Temporaries stay as they are, but for [`x87::WORD`].
    fn x87(&mut self) {
        self.entry(StubId::X87);
        self.gprs(false);
        self.vectors(false);
        self.save(EXIT_SITE, LINK);
        self.asm.mov(Size::X, 0, STATE);
        self.asm.mov(Size::X, 1, x87::WORD);
        self.asm.mov(Size::X, 2, x87::PC);
        self.asm.mov(Size::X, 3, x87::BITS);
        self.asm.mov(Size::X, 4, x87::UPPER);
        self.asm.lsr(Size::W, 9, x87::WORD, 16);
        self.asm.add_shifted(Sum::Add, Size::X, 9, STATE, 9, Shift::Lsl, 3);
        self.asm.load(Piece::X, 9, 9, X87_ROUTINES);
        self.load(SCRATCH, X87_CALL);
        self.asm.blr(SCRATCH);
        self.asm.mov(Size::X, x87::WORD, 0);
        self.vectors(true);
        self.gprs(true);
        self.load(LINK, EXIT_SITE);
        let rest = self.asm.label();
        self.asm.cbz(Size::X, x87::WORD, rest);
        self.asm.ret();
        self.asm.bind(rest);
        self.save(callout_arg_offset(0), x87::ADDRESS);
        let callout = self.callout;
        self.asm.b(callout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_each_stub_in_both_modes() {
        let features = [Features::empty(), Features::all()];
        for (mode, features) in
            [CpuMode::Long64, CpuMode::Protected32].into_iter().flat_map(|m| features.map(|f| (m, f)))
        {
            let stubs = stubs(mode, features);
            let ids: Vec<StubId> = stubs.entries.iter().map(|e| e.0).collect();
            for id in [
                StubId::Enter,
                StubId::LeaveLink,
                StubId::Indirect,
                StubId::LeaveHot,
                StubId::LeaveSyscall,
                StubId::LeaveTrap,
                StubId::LeaveFault,
                StubId::LeaveFaultString,
                StubId::JumpMiss,
                StubId::ReturnMiss,
                StubId::Callout,
                StubId::X87,
            ]
            .into_iter()
            .chain(X87_FUNCTIONS)
            {
                assert_eq!(ids.iter().filter(|i| **i == id).count(), 1, "{id:?}");
            }
            assert!(stubs.code.len() < 8192);
        }
    }
}
