//! Calling a thread out of host code on processors that cannot single-step: on the interrupt signal it goes on instruction by instruction to the next
//! safe point, and leaves there.
//!
//! A safe point is a block's start, where guest state is complete, or an instruction that may fault, where it is that before the guest
//! instruction. One of the two is never far. Nothing in translated code polls, and nothing in it is patched, so that other threads run on. Jumps, and
//! what else depends on where an instruction is, are done by the handler; any other instruction is copied to the thread's own slot, behind it a
//! breakpoint.
//!
//! Rust code between the dispatcher and translated code is not stepped through: it looks at the thread's flag last thing before it goes to
//! translated code ([`processor::boundary`]), and a signal that comes after that look is as one in the translated code.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::sync::atomic::Ordering;

use super::blocking;
use super::enter::{Running, current};
use crate::host::NativeFault;
use crate::host::code_memory::CodeMemory;
use crate::host::processor::step::{self, Next};
use crate::host::processor::{boundary, context};

/// Bytes of a slot.
const SLOT_BYTES: usize = 32;

/// Room for an instruction of the thread's own place and the breakpoint behind it. Used by the thread's handlers alone, and by the thread while no
/// handler runs.
#[derive(Debug)]
pub(crate) struct Stepper {
    slot: RefCell<Option<CodeMemory>>,
    /// Where the thread goes on after what is in the slot.
    after: Cell<u64>,
}

impl Stepper {
    pub(in crate::host) fn new() -> Self {
        let stepper = Stepper { slot: RefCell::new(None), after: Cell::new(0) };
        stepper.renew();
        stepper
    }

    /// Makes new room: the process has been forked, and what there was is its parent's as well.
    pub(in crate::host) fn renew(&self) {
        let slot = CodeMemory::new(crate::host::PAGE_SIZE as usize).map(|mut memory| {
            memory.publish(&[0; SLOT_BYTES]);
            memory
        });
        if let Err(error) = &slot {
            tracing::error!("no memory to step in: {error}; threads in loops without calls cannot be stopped");
        }
        *self.slot.borrow_mut() = slot.ok();
    }

    fn contains(&self, pc: u64) -> bool {
        self.slot.borrow().as_ref().is_some_and(|slot| slot.range().contains(&pc))
    }

    /// Makes `code`, behind which the thread goes on at `after`, what is in the slot; gives its host address.
    fn fill(&self, code: &[u8], after: u64) -> Option<u64> {
        let slot = self.slot.borrow();
        let slot = slot.as_ref()?;
        let start = slot.range().start;
        slot.replace(start, code);
        self.after.set(after);
        Some(start)
    }
}

/// The interrupt signal has come.
pub(in crate::host) fn on_interrupt(context: &mut libc::ucontext_t) {
    let pc = context::pc(context);
    if let Some(end) = blocking::interrupted(pc).or_else(|| boundary::not_entered(pc)) {
        return context::set_pc(context, end);
    }
    let Some(running) = current().filter(|r| r.in_host.load(Ordering::SeqCst)) else { return };
    match boundary::returning(pc) {
        true => go_on(running, context, context::return_address(context)),
        // On its way already: the breakpoint behind the instruction is next.
        false if running.stepper.contains(pc) => {}
        false => go_on(running, context, pc),
    }
}

/// A SIGTRAP has come; says whether it was a breakpoint of ours.
pub(in crate::host) fn on_trap(context: &mut libc::ucontext_t, _code: c_int) -> bool {
    let Some(running) = current().filter(|r| r.in_host.load(Ordering::SeqCst)) else { return false };
    let pc = context::pc(context);
    let next = if boundary::is_called(pc) {
        context::return_address(context)
    } else if running.stepper.contains(pc) {
        running.stepper.after.get()
    } else {
        return false;
    };
    go_on(running, context, next);
    true
}

/// Lets the thread leave, if `pc` is a safe point; makes one more step if it is on the way, none if it is outside.
fn go_on(running: &Running, context: &mut libc::ucontext_t, mut pc: u64) {
    loop {
        if !running.entrances.code.contains(pc) {
            return context::set_pc(context, pc);
        }
        if let Some(point) = running.safe_point(pc) {
            if let Some(again) = running.retry(pc, point) {
                pc = again;
                continue;
            }
            return running.leave(context, pc, point, NativeFault::Called);
        }
        match step::next(context, pc) {
            Next::At(next) => pc = next,
            Next::OutOfLine { code, after } => {
                return context::set_pc(context, running.stepper.fill(&code, after).unwrap_or(pc));
            }
        }
    }
}
