//! The ways from Rust code to translated code. Threads that are called step through them.

use std::sync::atomic::{AtomicU32, Ordering};

use hokku_ir::CpuState;

use crate::host::callout;

/// Enters translated code by the stub at host address `stub`, unless `flag` is set; says whether it did.
///
/// # Safety
/// The stub keeps to the agreement with back ends, for `state` and the code at `code`.
pub(crate) unsafe fn enter(flag: &AtomicU32, stub: u64, state: *mut CpuState, code: u64) -> bool {
    if flag.load(Ordering::SeqCst) != 0 {
        return false;
    }
    // SAFETY: the stub is a function of this type by the agreement with the back end; the rest is the caller's promise.
    unsafe {
        let enter: unsafe extern "C" fn(*mut CpuState, u64) = std::mem::transmute(stub);
        enter(state, code);
    }
    true
}

/// Host address of the function that translated code calls for a callout: it looks at the first register of the answer alone.
pub(crate) fn callout_entry() -> u64 {
    callout::hokku_on_callout as *const () as u64
}

/// None: the host's own unit does it.
pub(crate) fn x87_entry() -> u64 {
    0
}
