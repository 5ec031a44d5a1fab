//! The routine of [`crate::host::native::blocking`] for aarch64.

use std::arch::global_asm;

global_asm!(
    ".text",
    ".balign 4",
    // x0 = flag, x1 = number and six arguments; x0 = what the kernel returns.
    ".globl hokku_blocking_call",
    ".hidden hokku_blocking_call",
    "hokku_blocking_call:",
    "    mov x9, x0",
    "    mov x10, x1",
    "    ldr x8, [x10]",
    "    ldp x1, x2, [x10, #16]",
    "    ldp x3, x4, [x10, #32]",
    "    ldr x5, [x10, #48]",
    ".globl hokku_blocking_start",
    ".hidden hokku_blocking_start",
    "hokku_blocking_start:",
    "    ldr w11, [x9]",
    "    cbnz w11, hokku_blocking_interrupted",
    "    ldr x0, [x10, #8]",
    ".globl hokku_blocking_syscall",
    ".hidden hokku_blocking_syscall",
    "hokku_blocking_syscall:",
    "    svc #0",
    "    ret",
    ".globl hokku_blocking_interrupted",
    ".hidden hokku_blocking_interrupted",
    "hokku_blocking_interrupted:",
    "    mov x0, #-4",
    "    ret",
);
