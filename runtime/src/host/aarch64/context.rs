//! The registers of an interrupted thread, and what its fault was.

use std::ffi::c_int;

use super::memory_instruction;
use crate::host::NativeFault;
use crate::host::native::fault::memory_fault;

/// The shadow stack's pointer in translated code.
const SHADOW: u8 = hokku_backend_aarch64::registers::SHADOW as u8;
/// The return address.
const LR: u8 = 30;

/// Where it is.
pub(crate) fn pc(context: &libc::ucontext_t) -> u64 {
    context.uc_mcontext.pc
}

/// Lets it go on at `pc`.
pub(crate) fn set_pc(context: &mut libc::ucontext_t, pc: u64) {
    context.uc_mcontext.pc = pc;
}

/// General register `register`; 31 is zero.
pub(super) fn register(context: &libc::ucontext_t, register: u32) -> u64 {
    context.uc_mcontext.regs.get(register as usize).copied().unwrap_or(0)
}

/// Where a function that the thread is about to return from was called.
pub(crate) fn return_address(context: &libc::ucontext_t) -> u64 {
    register(context, LR.into())
}

/// Changes general register `register`; 31 stays zero.
pub(crate) fn set_register(context: &mut libc::ucontext_t, register: u8, value: u64) {
    if let Some(place) = context.uc_mcontext.regs.get_mut(usize::from(register)) {
        *place = value;
    }
}

/// What a fault at the thread's place was: the kernel tells where, the instruction whether it was a store. (The syndrome register, where the kernel
/// passes it on, calls atomic operations on pages that cannot be read loads; x86 does not.)
pub(crate) fn native_fault(context: &libc::ucontext_t, signal: c_int, address: u64) -> Option<NativeFault> {
    if ![libc::SIGSEGV, libc::SIGBUS].contains(&signal) {
        return None;
    }
    let instruction = code_at::<u32>(pc(context));
    let write = memory_instruction::is_store(instruction)?;
    let place = memory_instruction::place(instruction);
    let base = match place.base {
        31 => context.uc_mcontext.sp,
        n => register(context, n),
    };
    let index = place.index.map_or(0, |(n, extend)| extend.apply(register(context, n)));
    let at = base.wrapping_add_signed(place.distance).wrapping_add(index);
    Some(memory_fault(signal, address, at, write))
}

/// The instruction at `pc`, where a thread is that is being looked at.
pub(super) fn code_at<T: Copy>(pc: u64) -> T {
    // SAFETY: the processor has just fetched the instruction from there or is about to, and code is not written while threads are in it but by
    // whole words.
    unsafe { (pc as *const T).read_unaligned() }
}

/// Changes the shadow stack's pointer.
pub(crate) fn set_shadow_stack(context: &mut libc::ucontext_t, value: u64) {
    set_register(context, SHADOW, value);
}
