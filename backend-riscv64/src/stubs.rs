//! Code that all regions of a mode share: entering and leaving host code, computed jumps, callouts.

use hokku_ir::backend::{StubId, Stubs};
use hokku_ir::guest::ExitReason;
use hokku_ir::lowering::{X87_FUNCTIONS, x87_function};
use hokku_ir::{CpuMode, Gpr};

use crate::Features;
use crate::asm::{Asm, Label};
use crate::assign::*;
use crate::encode::*;
use crate::vector_encode::*;
use crate::vector_moves::float_of_int;
use crate::{float_looks, x87, x87_double, x87_exact};

/// The registers that a function must leave as they are.
const CALLEE_SAVED: [Reg; 13] = [RA, 8, 9, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27];
const FRAME: i32 = 208;
/// Where the floating-point registers that a function must leave as they are stand in the frame.
const FRAME_FLOATS: i32 = 112;
/// What recipes may find in a register that a called function may change.
const VOLATILE: [Reg; 7] = [5, 6, 7, 28, 29, 30, 31];
/// `csrrw rd, fcsr, rs` and `csrrs`.
const WRITE_FCSR: u32 = 0x0030_1073;
const READ_FCSR: u32 = 0x0030_2073;

/// Builds the stubs for `mode`.
pub(crate) fn stubs(mode: CpuMode, features: Features) -> Stubs {
    let mut asm = Asm::new();
    asm.counts_zeros = features.contains(Features::ZBB);
    let has_vectors = features.contains(Features::V);
    let (leave, indirect, out, callout) = (asm.label(), asm.label(), asm.label(), asm.label());
    let mut s = Builder { asm, mode, has_vectors, leave, indirect, out, callout, entries: Vec::new() };
    s.enter();
    s.computed_jumps();
    s.leaves();
    s.callout();
    s.x87();
    s.x87_functions();
    let finished = s.asm.finish();
    let entries = s.entries.into_iter().map(|(id, at)| (id, finished.offset(at))).collect();
    Stubs { code: finished.code, entries }
}

struct Builder {
    asm: Asm,
    mode: CpuMode,
    has_vectors: bool,
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
        self.entries.push((id, self.asm.here()));
    }

    fn load(&mut self, reg: Reg, offset: i32) {
        self.asm.i(LD, reg, STATE, offset);
    }

    fn save(&mut self, offset: i32, reg: Reg) {
        self.asm.s(SD, reg, STATE, offset);
    }

    fn gprs(&self) -> &'static [Gpr] {
        &Gpr::ALL[..self.mode.gpr_count()]
    }

    /// Everything of the guest's into registers. x5 to x7 change.
    fn load_guest(&mut self) {
        self.load_float_control();
        self.load(FLAGS, FLAG_SITE);
        self.asm.i(SLTIU, 5, FLAGS, 1);
        self.asm.r(OR, FLAGS, FLAGS, 5);
        self.load(SHADOW, SHADOW_SP);
        self.move_vectors(vle);
        for g in self.gprs() {
            self.load(home(*g), gpr_offset(*g));
        }
    }

    /// The reverse, but for what recipes read. x5 to x7 change.
    fn save_guest(&mut self) {
        for g in self.gprs() {
            self.save(gpr_offset(*g), home(*g));
        }
        self.move_vectors(vse);
        self.save(SHADOW_SP, SHADOW);
        self.save(FLAG_SITE, FLAGS);
        self.save_float_control();
    }

    /// The guest's vectors between registers and state, by `access`; x5 changes. Then elements are of 64 bits, averages are rounded up, and there is
    /// a zero.
    fn move_vectors(&mut self, access: fn(Sew, Reg, Reg) -> u32) {
        if !self.has_vectors {
            return;
        }
        self.asm.word(vsetivli(Sew::E64, 2));
        self.asm.i(ADDI, 5, STATE, vector_offset(0, 0));
        for n in 0..self.mode.gpr_count() as u8 {
            self.asm.word(access(Sew::E64, HOME_VECTOR + n, 5));
            self.asm.i(ADDI, 5, 5, 32);
        }
        self.asm.word(vmv_v_i(ZERO_VECTOR, 0));
        self.asm.word(ROUND_UP);
    }

    /// Vectors of values between registers and their slots, by `access`; x5 changes.
    fn move_vector_values(&mut self, access: fn(Sew, Reg, Reg) -> u32) {
        if !self.has_vectors {
            return;
        }
        self.asm.li(5, vector_slot_offset(0).into());
        self.asm.r(ADD, 5, 5, STATE);
        for v in VECTORS {
            self.asm.word(access(Sew::E64, v, 5));
            self.asm.i(ADDI, 5, 5, 32);
        }
    }

    /// The host's registers, for recipes.
    fn save_registers(&mut self) {
        for r in VOLATILE.into_iter().chain(10..26) {
            self.save(register_offset(r), r);
        }
    }

    /// The host registers of x87 values; x5 changes.
    fn save_x87_floats(&mut self) {
        self.asm.li(5, X87_FLOATS.into());
        self.asm.r(ADD, 5, 5, STATE);
        for n in 0..8 {
            self.asm.s(FSD, x87_double::FIRST + n, 5, 8 * i32::from(n));
        }
    }

    /// Rounding as mxcsr says; no exceptions yet.
    fn load_float_control(&mut self) {
        // Nearest, down, up, zero are 0 to 3 there and 0, 2, 3, 1 here: three bits each of 0o1320.
        self.asm.i(LWU, 5, STATE, MXCSR);
        // Flush to zero, denormals are zero, or an exception that is not masked.
        self.asm.li(6, 0x9fc0);
        self.asm.r(AND, 6, 6, 5);
        self.asm.li(7, 0x1f80);
        self.asm.r(XOR, 6, 6, 7);
        self.asm.s(SW, 6, STATE, FLOAT_IS_ODD);
        self.asm.i(SRLI, 5, 5, 13);
        self.asm.i(ANDI, 5, 5, 3);
        self.asm.i(SLLI, 6, 5, 1);
        self.asm.r(ADD, 5, 5, 6);
        self.asm.li(6, 0o1320);
        self.asm.r(SRL, 5, 6, 5);
        self.asm.i(ANDI, 5, 5, 7);
        self.asm.i(SLLI, 5, 5, 5);
        self.asm.word(WRITE_FCSR | 5 << 15);
    }

    /// Adds the exceptions to mxcsr's; then the host's own control is in force.
    fn save_float_control(&mut self) {
        self.asm.i(LWU, 6, STATE, HOST_FLOAT_CONTROL);
        // csrrw x5, fcsr, x6
        self.asm.word(WRITE_FCSR | 6 << 15 | 5 << 7);
        self.asm.i(ANDI, 5, 5, 31);
        let none = self.asm.label();
        self.asm.branch(Branch::Eq, 5, ZERO, none);
        self.asm.i(LWU, 6, STATE, MXCSR);
        // Inexact, underflow, overflow, division by zero, invalid.
        for (from, to) in [(0, 5), (1, 4), (2, 3), (3, 2), (4, 0)] {
            self.asm.i(ANDI, 7, 5, 1 << from);
            if to > from {
                self.asm.i(SLLI, 7, 7, to - from);
            } else {
                self.asm.i(SRLI, 7, 7, from - to);
            }
            self.asm.r(OR, 6, 6, 7);
        }
        self.asm.s(SW, 6, STATE, MXCSR);
        self.asm.bind(none);
    }

    fn enter(&mut self) {
        self.entry(StubId::Enter);
        // x10: the state; x11: the code.
        self.asm.i(ADDI, SP, SP, -FRAME);
        for (n, r) in CALLEE_SAVED.into_iter().enumerate() {
            self.asm.s(SD, r, SP, 8 * n as i32);
        }
        for (n, f) in FLOATS.into_iter().chain([SCALE]).enumerate() {
            self.asm.s(FSD, f, SP, FRAME_FLOATS + 8 * n as i32);
        }
        self.asm.li(5, float_looks::DOUBLE_SCALE);
        self.asm.word(float_of_int(false, SCALE, 5));
        self.asm.mv(STATE, 10);
        self.asm.mv(TARGET, 11);
        self.save(DISPATCHER_SP, SP);
        self.asm.word(READ_FCSR | 5 << 7);
        self.asm.s(SW, 5, STATE, HOST_FLOAT_CONTROL);
        self.load_guest();
        self.asm.i(JALR, ZERO, TARGET, 0);
    }

    /// The target is in [`TARGET`]: to where the jump cache says for its low 16 bits.
    fn computed_jumps(&mut self) {
        self.entry(StubId::ReturnMiss);
        // The entry at the bottom, which is always at `shadow_top`, stays; another one, which was not this return's, is gone.
        self.load(SCRATCH, SHADOW_TOP);
        let indirect = self.indirect;
        self.asm.branch(Branch::Eq, SCRATCH, SHADOW, indirect);
        self.asm.i(ADDI, SHADOW, SHADOW, 16);
        self.entry(StubId::Indirect);
        self.asm.bind(indirect);
        computed_jump(&mut self.asm, Features::empty());
        self.asm.i(JALR, ZERO, SCRATCH, 0);
        self.entry(StubId::JumpMiss);
        self.save(RIP, TARGET);
        // The return address of a call, or else what the jump has left.
        self.load(SCRATCH, JUMP_CACHE);
        let call = self.asm.label();
        self.asm.branch(Branch::Ne, RA, SCRATCH, call);
        self.asm.mv(RA, JUMPED);
        self.asm.bind(call);
        self.save(EXIT_SITE, RA);
        self.reason(ExitReason::Indirect);
        let leave = self.leave;
        self.asm.jump(ZERO, leave);
    }

    fn reason(&mut self, reason: ExitReason) {
        self.asm.li(SCRATCH, reason as i64);
        self.asm.s(SW, SCRATCH, STATE, EXIT_REASON);
    }

    fn leaves(&mut self) {
        let leave = self.leave;
        for id in [StubId::LeaveFault, StubId::LeaveFaultString] {
            self.entry(id);
            if self.has_vectors {
                // The instruction that faulted may have been a vector's.
                self.asm.word(FROM_START);
            }
            self.save_registers();
            self.save_x87_floats();
            self.reason(ExitReason::Fault);
            self.asm.jump(ZERO, leave);
        }
        for (id, reason) in [
            (StubId::LeaveSyscall, ExitReason::Syscall),
            (StubId::LeaveTrap, ExitReason::Trap),
            (StubId::LeaveHot, ExitReason::Hot),
            (StubId::LeaveLink, ExitReason::Link),
        ] {
            self.entry(id);
            self.reason(reason);
            if id != StubId::LeaveLink {
                self.asm.jump(ZERO, leave);
            }
        }
        self.asm.bind(leave);
        self.save_guest();
        let out = self.out;
        self.asm.bind(out);
        for (n, r) in CALLEE_SAVED.into_iter().enumerate() {
            self.asm.i(LD, r, SP, 8 * n as i32);
        }
        for (n, f) in FLOATS.into_iter().chain([SCALE]).enumerate() {
            self.asm.i(FLD, f, SP, FRAME_FLOATS + 8 * n as i32);
        }
        self.asm.i(ADDI, SP, SP, FRAME);
        self.asm.i(JALR, ZERO, RA, 0);
    }

    /// Called from region code, whose return address names the callout. Keeps temporaries.
    fn callout(&mut self) {
        self.entry(StubId::Callout);
        let callout = self.callout;
        self.asm.bind(callout);
        self.save(EXIT_SITE, RA);
        self.save_registers();
        self.save_guest();
        self.move_vector_values(vse);
        self.asm.mv(11, STATE);
        self.asm.mv(12, RA);
        self.load(10, CALLOUT_CONTEXT);
        self.load(5, CALLOUT_FN);
        self.asm.i(JALR, RA, 5, 0);
        let out = self.out;
        self.asm.branch(Branch::Ne, 10, ZERO, out);
        self.load_guest();
        self.move_vector_values(vle);
        for r in VOLATILE {
            self.load(r, register_offset(r));
        }
        self.load(RA, EXIT_SITE);
        self.asm.i(JALR, ZERO, RA, 0);
    }
}

impl Builder {
    /// Called from region code as [`crate::x87`] says. Vector registers stay as they are: routines are compiled for processors without vectors, and call
    /// nothing that moves memory.
    fn x87(&mut self) {
        self.entry(StubId::X87);
        // The guest's registers among those that a function may change.
        for g in &Gpr::ALL[..8] {
            self.save(gpr_offset(*g), home(*g));
        }
        self.save(EXIT_SITE, RA);
        self.save(register_offset(x87::ADDRESS), x87::ADDRESS);
        // What is far away in the state.
        const FAR: i32 = 2047;
        self.asm.i(ADDI, SCRATCH, STATE, FAR);
        self.asm.i(SRLI, RA, x87::WORD, 16);
        self.asm.i(SLLI, RA, RA, 3);
        self.asm.r(ADD, RA, RA, SCRATCH);
        self.asm.mv(10, STATE);
        self.asm.mv(11, x87::WORD);
        self.asm.mv(12, x87::PC);
        self.asm.mv(13, x87::BITS);
        self.asm.mv(14, x87::UPPER);
        self.asm.i(LD, x87::PC, RA, X87_ROUTINES - FAR);
        self.asm.i(LD, SCRATCH, SCRATCH, X87_CALL - FAR);
        self.asm.i(JALR, RA, SCRATCH, 0);
        self.asm.i(SLTIU, x87::WORD, 10, 1);
        for g in &Gpr::ALL[..8] {
            self.load(home(*g), gpr_offset(*g));
        }
        self.load(RA, EXIT_SITE);
        self.load(x87::ADDRESS, register_offset(x87::ADDRESS));
        let rest = self.asm.label();
        self.asm.branch(Branch::Ne, x87::WORD, ZERO, rest);
        self.asm.i(JALR, ZERO, RA, 0);
        self.asm.bind(rest);
        self.save(callout_arg_offset(0), x87::ADDRESS);
        let callout = self.callout;
        self.asm.jump(ZERO, callout);
    }
}

impl Builder {
    /// Exact x87 arithmetic.
    fn x87_functions(&mut self) {
        for id in X87_FUNCTIONS {
            self.entry(id);
            x87_function(&mut self.asm, id, x87_exact::REGS);
        }
    }
}

/// [`SCRATCH`] = where the jump cache says for the low 16 bits of [`TARGET`]. Changes x1.
pub(crate) fn computed_jump(asm: &mut Asm, features: Features) {
    asm.i(LD, RA, STATE, JUMP_CACHE);
    if features.contains(Features::ZBA | Features::ZBB) {
        asm.word(zext_h(SCRATCH, TARGET));
        asm.r(SH3ADD, SCRATCH, SCRATCH, RA);
    } else {
        asm.i(SLLI, SCRATCH, TARGET, 48);
        asm.i(SRLI, SCRATCH, SCRATCH, 45);
        asm.r(ADD, SCRATCH, SCRATCH, RA);
    }
    asm.i(LD, SCRATCH, SCRATCH, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_each_stub_in_both_modes() {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            let stubs = stubs(mode, Features::all());
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
            // The vectors of a callout are most of it.
            assert!(stubs.code.len() < 12288);
        }
    }
}
