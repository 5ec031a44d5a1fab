//! The last steps from Rust code to translated code, for hosts where they are routines in assembly: a look at the thread's flag, and away. See
//! [`super::out_of_line`].

use std::sync::atomic::AtomicU32;

use hokku_ir::CpuState;

// In `routines.rs` of the processor's folder.
unsafe extern "C" {
    fn hokku_enter(flag: *const AtomicU32, stub: u64, state: *mut CpuState, code: u64, called: *mut u32);
    fn hokku_callout();
    fn hokku_x87();
    static hokku_enter_look: u8;
    static hokku_enter_jump: u8;
    static hokku_enter_called: u8;
    static hokku_callout_look: u8;
    static hokku_callout_return: u8;
    static hokku_callout_called: u8;
}

fn at(label: *const u8) -> u64 {
    label.addr() as u64
}

/// Enters translated code by the stub at host address `stub`, unless `flag` is set; says whether it did.
///
/// # Safety
/// The stub keeps to the agreement with back ends, for `state` and the code at `code`.
pub(crate) unsafe fn enter(flag: &AtomicU32, stub: u64, state: *mut CpuState, code: u64) -> bool {
    let mut called = 0;
    // SAFETY: the caller's promise; the routine keeps to the C calling convention and writes to `called` alone.
    unsafe { hokku_enter(flag, stub, state, code, &raw mut called) };
    called == 0
}

/// Host address of the routine that translated code calls for a callout.
pub(crate) fn callout_entry() -> u64 {
    hokku_callout as *const () as u64
}

/// Host address of the routine that calls x87 routines for translated code.
pub(crate) fn x87_entry() -> u64 {
    hokku_x87 as *const () as u64
}

/// Where a thread goes on that is at `pc`, between its look at the flag and its entry to translated code, and is called.
pub(in crate::host) fn not_entered(pc: u64) -> Option<u64> {
    let between = at(&raw const hokku_enter_look)..=at(&raw const hokku_enter_jump);
    between.contains(&pc).then(|| at(&raw const hokku_enter_called))
}

/// Whether `pc` is between the look at the flag and the return from a callout.
pub(in crate::host) fn returning(pc: u64) -> bool {
    (at(&raw const hokku_callout_look)..=at(&raw const hokku_callout_return)).contains(&pc)
}

/// Whether `pc` is the breakpoint of a thread that was called before it could return from a callout.
pub(in crate::host) fn is_called(pc: u64) -> bool {
    pc == at(&raw const hokku_callout_called)
}
