//! Calling a thread out of host code: on the interrupt signal it single-steps to the next safe point, and leaves there.
//!
//! A safe point is a block's start, where guest state is complete, or an instruction that may fault, where it is that before the guest
//! instruction. One of the two is never far. Nothing in translated code polls, and nothing in it is patched, so that other threads run on.

use std::ffi::c_int;
use std::sync::atomic::Ordering;

use super::context;
use crate::host::NativeFault;
use crate::host::native::blocking;
use crate::host::native::enter::current;

/// Trap flag: a SIGTRAP after the next instruction.
const TF: i64 = 1 << 8;
/// `popf`, which would take the trap flag from an image that was saved before it was set.
const POPF: u8 = 0x9d;

/// The interrupt signal has come.
pub(crate) fn on_interrupt(context: &mut libc::ucontext_t) {
    if let Some(end) = blocking::interrupted(context::pc(context)) {
        return context::set_pc(context, end);
    }
    step(context);
}

/// A SIGTRAP has come; says whether it was a step of ours.
pub(in crate::host) fn on_trap(context: &mut libc::ucontext_t, code: c_int) -> bool {
    const TRAP_TRACE: c_int = 2;
    let stepped = code == TRAP_TRACE && context.uc_mcontext.gregs[libc::REG_EFL as usize] & TF != 0;
    if stepped {
        step(context);
    }
    stepped
}

/// Goes to where the thread leaves, if it is at a safe point; makes one more step if it is on the way, none if it is outside.
fn step(context: &mut libc::ucontext_t) {
    let running = current().filter(|r| r.in_host.load(Ordering::SeqCst));
    context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TF;
    let Some(running) = running else { return };
    let pc = context::pc(context);
    if running.entrances.code.contains(pc) {
        if let Some(point) = running.safe_point(pc) {
            return running.leave(context, pc, point, NativeFault::Called);
        }
        // SAFETY: `pc` is in code memory, from which the processor is about to fetch; `rsp` is the shadow stack there, which `popf` is about to
        // read.
        unsafe {
            if *(pc as *const u8) == POPF {
                *(context.uc_mcontext.gregs[libc::REG_RSP as usize] as *mut i64) |= TF;
            }
        }
    }
    context.uc_mcontext.gregs[libc::REG_EFL as usize] |= TF;
}
