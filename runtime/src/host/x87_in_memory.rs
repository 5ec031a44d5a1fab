//! The x87 state is always in [`CpuState::x87`]: as the evaluator knows it, or while a thread is in translated code, in host form.

use hokku_ir::eval::{X87Code, x87_from_host, x87_to_doubles, x87_to_exact};
use hokku_ir::{CpuMode, CpuState, GuestAddr, X87Arithmetic};

/// An x87 instruction of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuestInstruction {
    pub(crate) pc: GuestAddr,
    pub(crate) mode: CpuMode,
    pub(crate) code: X87Code,
}

/// Brings the x87 state into the form that the evaluator knows.
pub(crate) fn save(cpu: &mut CpuState, _translated: impl FnOnce(u64) -> Option<GuestInstruction>) {
    x87_from_host(cpu);
}

/// Brings the x87 state into the form that translated code knows.
pub(crate) fn load(cpu: &mut CpuState, arithmetic: X87Arithmetic) {
    match arithmetic {
        X87Arithmetic::Double => x87_to_doubles(cpu),
        X87Arithmetic::Exact => x87_to_exact(cpu),
    }
}
