//! Calling a thread out of host code: on the interrupt signal it single-steps to the next safe point, and leaves there.
//!
//! A safe point is a block's start, where guest state is complete, or an instruction that may fault, where it is that before the guest
//! instruction. One of the two is never far. Nothing in translated code polls, and nothing in it is patched, so that other threads run on.

use std::ffi::c_int;
use std::sync::atomic::Ordering;

use hokku_ir::backend::StubId;

use super::enter::{Running, current};
use crate::host::NativeFault;

/// Trap flag: a SIGTRAP after the next instruction.
const TF: i64 = 1 << 8;
/// `popf`, which would take the trap flag from an image that was saved before it was set.
const POPF: u8 = 0x9d;

/// The interrupt signal has come.
pub(crate) fn on_interrupt(context: &mut libc::ucontext_t) {
    let pc = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
    if let Some(end) = super::blocking::interrupted(*pc as u64) {
        *pc = end as i64;
        return;
    }
    step(context);
}

/// A SIGTRAP has come; says whether it was a step of ours.
pub(super) fn on_trap(context: &mut libc::ucontext_t, code: c_int) -> bool {
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
    let registers = &mut context.uc_mcontext.gregs;
    registers[libc::REG_EFL as usize] &= !TF;
    let Some(running) = running else { return };
    let pc = registers[libc::REG_RIP as usize] as u64;
    if running.entrances.get().code.contains(pc) {
        if let Some((rip, leave)) = safe_point(running, pc) {
            leave_at(running, registers, rip, leave, NativeFault::Called);
            return;
        }
        // SAFETY: `pc` is in code memory, from which the processor is about to fetch; `rsp` is the shadow stack there, which `popf` is about to
        // read.
        unsafe {
            if *(pc as *const u8) == POPF {
                *(registers[libc::REG_RSP as usize] as *mut i64) |= TF;
            }
        }
    }
    registers[libc::REG_EFL as usize] |= TF;
}

/// The guest address that belongs to host address `pc`, and how to leave there.
fn safe_point(running: &Running, pc: u64) -> Option<(u64, (StubId, i32))> {
    // SAFETY: the cache belongs to the thread's team, which outlives the thread. The thread is in host code and so holds no lock of it.
    let tables = unsafe { &*running.cache }.lock();
    let code = tables.code_at(pc)?;
    match (code.block_at(pc), code.fault(pc)) {
        (Some(block), _) => Some((block.0, (StubId::LeaveFault, 0))),
        (None, Some(site)) => Some((site.pc.0, (site.leave, site.stack_delta))),
        (None, None) => None,
    }
}

/// Sends the thread to its leave stub; notes what its stack pointer lacks.
pub(super) fn leave_at(
    running: &Running,
    registers: &mut [i64; 23],
    rip: u64,
    (leave, delta): (StubId, i32),
    why: NativeFault,
) {
    let entrances = running.entrances.get();
    let stub = if leave == StubId::LeaveFaultString { entrances.leave_fault_string } else { entrances.leave_fault };
    // SAFETY: set by the thread itself on its way into the code, to the state that this code works on.
    unsafe { (*running.cpu.get()).rip = rip };
    running.fault.set(Some(why));
    running.stack_delta.set(delta);
    registers[libc::REG_EFL as usize] &= !TF;
    registers[libc::REG_RIP as usize] = stub as i64;
}
