//! The last steps from Rust code to translated code: a look at the thread's flag, and away. See [`crate::host::native::out_of_line`].

use std::arch::global_asm;
use std::sync::atomic::AtomicU32;

use hokku_ir::CpuState;

global_asm!(
    ".text",
    ".balign 4",
    // x0 = flag, x1 = stub, x2 = state, x3 = code, x4 = what becomes 1 where the thread is called.
    ".globl hokku_enter",
    ".hidden hokku_enter",
    "hokku_enter:",
    "    mov x9, x1",
    "    mov x10, x0",
    ".globl hokku_enter_look",
    ".hidden hokku_enter_look",
    "hokku_enter_look:",
    "    ldr w11, [x10]",
    "    cbnz w11, hokku_enter_called",
    "    mov x0, x2",
    "    mov x1, x3",
    ".globl hokku_enter_jump",
    ".hidden hokku_enter_jump",
    "hokku_enter_jump:",
    "    br x9",
    ".globl hokku_enter_called",
    ".hidden hokku_enter_called",
    "hokku_enter_called:",
    "    mov w11, #1",
    "    str w11, [x4]",
    "    ret",
    // From a stub: x0 = context, x1 = state, x2 = site. The Rust function gives what the stub is to see in x0, and the flag in x1.
    ".globl hokku_callout",
    ".hidden hokku_callout",
    "hokku_callout:",
    "    stp x29, x30, [sp, #-16]!",
    "    bl hokku_on_callout",
    "    ldp x29, x30, [sp], #16",
    ".globl hokku_callout_look",
    ".hidden hokku_callout_look",
    "hokku_callout_look:",
    "    ldr w11, [x1]",
    "    cbnz w11, hokku_callout_called",
    ".globl hokku_callout_return",
    ".hidden hokku_callout_return",
    "hokku_callout_return:",
    "    ret",
    ".globl hokku_callout_called",
    ".hidden hokku_callout_called",
    "hokku_callout_called:",
    "    brk #0",
    // From a stub: x9 = an x87 routine, its arguments in x0 to x4. It gives whether it is done in x0, and the flag in x1.
    ".globl hokku_x87",
    ".hidden hokku_x87",
    "hokku_x87:",
    "    stp x29, x30, [sp, #-16]!",
    "    blr x9",
    "    ldp x29, x30, [sp], #16",
    "    b hokku_callout_look",
);

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
