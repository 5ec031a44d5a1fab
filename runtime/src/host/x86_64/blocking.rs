//! The routine of [`crate::host::native::blocking`] for x86-64.

use std::arch::global_asm;

global_asm!(
    ".text",
    ".balign 16",
    // rdi = flag, rsi = number and six arguments; rax = what the kernel returns.
    ".globl hokku_blocking_call",
    ".hidden hokku_blocking_call",
    "hokku_blocking_call:",
    "    mov r11, rsi",
    "    mov rax, [r11]",
    "    mov rsi, [r11 + 16]",
    "    mov rdx, [r11 + 24]",
    "    mov r10, [r11 + 32]",
    "    mov r8, [r11 + 40]",
    "    mov r9, [r11 + 48]",
    ".globl hokku_blocking_start",
    ".hidden hokku_blocking_start",
    "hokku_blocking_start:",
    "    cmp dword ptr [rdi], 0",
    "    jne hokku_blocking_interrupted",
    "    mov rdi, [r11 + 8]",
    ".globl hokku_blocking_syscall",
    ".hidden hokku_blocking_syscall",
    "hokku_blocking_syscall:",
    "    syscall",
    "    ret",
    ".globl hokku_blocking_interrupted",
    ".hidden hokku_blocking_interrupted",
    "hokku_blocking_interrupted:",
    "    mov rax, -4",
    "    ret",
);
