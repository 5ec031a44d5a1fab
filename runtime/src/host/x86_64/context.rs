//! The registers of an interrupted thread, and what the processor says of its fault.

use std::ffi::c_int;

use crate::host::NativeFault;

/// Trap flag.
const TF: i64 = 1 << 8;

/// Places of the registers in a signal context, by their encoding numbers.
const GREGS: [c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Where it is.
pub(crate) fn pc(context: &libc::ucontext_t) -> u64 {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] as u64
}

/// Lets it go on at `pc`, not step by step.
pub(crate) fn set_pc(context: &mut libc::ucontext_t, pc: u64) {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = pc as i64;
    context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TF;
}

/// Changes the general register with encoding number `register`.
pub(crate) fn set_register(context: &mut libc::ucontext_t, register: u8, value: u64) {
    context.uc_mcontext.gregs[GREGS[usize::from(register & 15)] as usize] = value as i64;
}

/// Changes the shadow stack's pointer.
pub(crate) fn set_shadow_stack(context: &mut libc::ucontext_t, value: u64) {
    context.uc_mcontext.gregs[libc::REG_RSP as usize] = value as i64;
}

/// What the processor says of a fault. Source: Intel SDM vol. 3A, 6.15, exception numbers and error codes.
pub(crate) fn native_fault(context: &libc::ucontext_t, signal: c_int, _address: u64) -> Option<NativeFault> {
    const WRITE: i64 = 2;
    let registers = &context.uc_mcontext.gregs;
    Some(match registers[libc::REG_TRAPNO as usize] {
        0 => NativeFault::Divide,
        12 | 13 | 17 => NativeFault::Protection,
        14 => NativeFault::Memory {
            address: registers[libc::REG_CR2 as usize] as u64,
            write: registers[libc::REG_ERR as usize] & WRITE != 0,
            bus: signal == libc::SIGBUS,
        },
        16 => NativeFault::X87,
        19 => NativeFault::SimdFloat,
        _ => return None,
    })
}
