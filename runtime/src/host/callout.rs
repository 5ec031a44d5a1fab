//! The function that translated code calls to have an op evaluated.

use hokku_ir::CpuState;
use hokku_ir::guest::ExitReason;

use crate::jit::{JitThread, evaluate_callout};

/// Its host address.
pub(crate) fn entry() -> u64 {
    on_callout as extern "C" fn(*const JitThread, *mut CpuState, u64) -> u64 as usize as u64
}

/// Zero: the code goes on. Else it leaves, with reason `Fault`.
extern "C" fn on_callout(context: *const JitThread, cpu: *mut CpuState, site: u64) -> u64 {
    // SAFETY: both pointers are those that the thread itself left in the state before it entered the code: of its own `JitThread`, which is
    // only ever borrowed shared, and of its state, which nobody else uses while it is in the code.
    let (jit, cpu) = unsafe { (&*context, &mut *cpu) };
    if evaluate_callout(jit, cpu, site) {
        return 0;
    }
    cpu.host.exit_reason = ExitReason::Fault as u32;
    1
}
