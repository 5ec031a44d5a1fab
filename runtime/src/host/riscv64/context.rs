//! The registers of an interrupted thread, and what its fault was.

use std::ffi::c_int;

use super::memory_instruction;
use crate::host::NativeFault;
use crate::host::native::fault::memory_fault;

/// The shadow stack's pointer in translated code.
const SHADOW: u8 = hokku_backend_riscv64::registers::SHADOW as u8;
/// The return address.
const RA: u8 = 1;

/// Where it is.
pub(crate) fn pc(context: &libc::ucontext_t) -> u64 {
    context.uc_mcontext.__gregs[0]
}

/// Lets it go on at `pc`.
pub(crate) fn set_pc(context: &mut libc::ucontext_t, pc: u64) {
    context.uc_mcontext.__gregs[0] = pc;
}

/// The register `register`.
pub(super) fn register(context: &libc::ucontext_t, register: u32) -> u64 {
    if register == 0 { 0 } else { context.uc_mcontext.__gregs[(register & 31) as usize] }
}

/// Where a function that the thread is about to return from was called.
pub(crate) fn return_address(context: &libc::ucontext_t) -> u64 {
    register(context, RA.into())
}

/// Changes register `register`, which is not x0.
pub(crate) fn set_register(context: &mut libc::ucontext_t, register: u8, value: u64) {
    context.uc_mcontext.__gregs[usize::from(register & 31)] = value;
}

/// What a fault at the thread's place was: the kernel tells where, the instruction whether it was a store.
pub(crate) fn native_fault(context: &libc::ucontext_t, signal: c_int, address: u64) -> Option<NativeFault> {
    if ![libc::SIGSEGV, libc::SIGBUS].contains(&signal) {
        return None;
    }
    let low = code_at::<u16>(pc(context));
    let (write, (base, distance)) = if low & 3 == 3 {
        let instruction = u32::from(low) | u32::from(code_at::<u16>(pc(context) + 2)) << 16;
        (memory_instruction::is_store(instruction), memory_instruction::place(instruction))
    } else {
        (memory_instruction::is_compressed_store(low), memory_instruction::compressed_place(low))
    };
    let at = register(context, base).wrapping_add_signed(distance);
    Some(memory_fault(signal, address, at, write?))
}

/// A piece of the instruction at `pc`, where a thread is that is being looked at.
pub(super) fn code_at<T: Copy>(pc: u64) -> T {
    // SAFETY: the processor has just fetched the instruction from there or is about to, and code is not written while threads are in it but by
    // whole words.
    unsafe { (pc as *const T).read_unaligned() }
}

/// Changes the shadow stack's pointer.
pub(crate) fn set_shadow_stack(context: &mut libc::ucontext_t, value: u64) {
    set_register(context, SHADOW, value);
}
