//! The function that translated code calls to have an op evaluated.

use std::sync::atomic::AtomicU32;

use hokku_ir::CpuState;
use hokku_ir::guest::ExitReason;

use super::arch;
use crate::jit::{JitThread, evaluate_callout};

/// Its host address.
pub(crate) fn entry() -> u64 {
    arch::callout_entry()
}

/// The host address of what calls x87 routines; zero where translated code has no need of them.
pub(crate) fn x87_entry() -> u64 {
    arch::x87_entry()
}

/// What a callout gives, in the two registers of such results.
#[repr(C)]
pub(super) struct Answer {
    /// Zero: the code goes on. Else it leaves, with reason `Fault`.
    leave: u64,
    /// The thread's flag.
    flag: *const AtomicU32,
}

/// Called by stubs, or by what [`entry`] names on their behalf.
#[unsafe(no_mangle)]
pub(super) extern "C" fn hokku_on_callout(context: *const JitThread, cpu: *mut CpuState, site: u64) -> Answer {
    // SAFETY: both pointers are those that the thread itself left in the state before it entered the code: of its own `JitThread`, which is
    // only ever borrowed shared, and of its state, which nobody else uses while it is in the code.
    let (jit, cpu) = unsafe { (&*context, &mut *cpu) };
    let goes_on = evaluate_callout(jit, cpu, site);
    if !goes_on {
        cpu.host.exit_reason = ExitReason::Fault as u32;
    }
    Answer { leave: u64::from(!goes_on), flag: jit.flag() }
}
