//! The routine of [`crate::host::native::blocking`] for riscv64.

use std::arch::global_asm;

global_asm!(
    ".text",
    ".balign 4",
    // a0 = flag, a1 = number and six arguments; a0 = what the kernel returns.
    ".globl hokku_blocking_call",
    ".hidden hokku_blocking_call",
    "hokku_blocking_call:",
    "    mv t0, a0",
    "    mv t1, a1",
    "    ld a7, 0(t1)",
    "    ld a1, 16(t1)",
    "    ld a2, 24(t1)",
    "    ld a3, 32(t1)",
    "    ld a4, 40(t1)",
    "    ld a5, 48(t1)",
    ".globl hokku_blocking_start",
    ".hidden hokku_blocking_start",
    "hokku_blocking_start:",
    "    lw t2, 0(t0)",
    "    bnez t2, hokku_blocking_interrupted",
    "    ld a0, 8(t1)",
    ".globl hokku_blocking_syscall",
    ".hidden hokku_blocking_syscall",
    "hokku_blocking_syscall:",
    "    ecall",
    "    ret",
    ".globl hokku_blocking_interrupted",
    ".hidden hokku_blocking_interrupted",
    "hokku_blocking_interrupted:",
    "    li a0, -4",
    "    ret",
);
