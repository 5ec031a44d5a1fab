//! The way into host code, and what the signal handlers know of the thread that is in it.
//!
//! While a thread is in host code, signals use the signal stack of its [`ThreadMemory`]. The handlers find all they need through [`current`].

use std::cell::Cell;
use std::ffi::c_void;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use hokku_ir::backend::{FaultSite, StubId};
use hokku_ir::{CpuState, GuestAddr};

use crate::code_cache::CodeCache;
use crate::host::NativeFault;
use crate::host::processor::{self, context};
use crate::host::thread_memory::ThreadMemory;
use crate::jit::Entrances;
use crate::thread::Shared;

/// What the signal handlers know of a thread.
pub(in crate::host) struct Running {
    /// Of the thread's team, which outlives the thread.
    pub(in crate::host) cache: *const CodeCache,
    pub(in crate::host) cpu: Cell<*mut CpuState>,
    pub(in crate::host) entrances: Entrances,
    /// Faults of host code here are the shadow stack's overflow.
    pub(in crate::host) guard: Range<u64>,
    /// Set from just before the code is entered until just after it has returned.
    pub(in crate::host) in_host: AtomicBool,
    /// What the handler found.
    pub(in crate::host) fault: Cell<Option<NativeFault>>,
    /// What it found to be missing from the guest's stack pointer.
    pub(in crate::host) stack_delta: Cell<i32>,
    /// How it is led to a safe point.
    pub(in crate::host) stepper: processor::Stepper,
}

impl Running {
    /// What belongs to host address `pc` in translated code, if the thread can leave there.
    pub(in crate::host) fn safe_point(&self, pc: u64) -> Option<SafePoint> {
        // SAFETY: the cache belongs to the thread's team, which outlives the thread. The thread is in host code and so holds no lock of it.
        let tables = unsafe { &*self.cache }.lock();
        let code = tables.code_at(pc)?;
        match (code.block_at(pc), code.fault(pc)) {
            (Some(block), _) => Some(SafePoint::Block(block)),
            (None, Some(site)) if site.leave != StubId::JumpMiss => Some(SafePoint::Site(site)),
            _ => None,
        }
    }

    /// Where the thread goes on that can leave at `point`, at host address `pc`, but is to do the block again first.
    pub(in crate::host) fn retry(&self, pc: u64, point: SafePoint) -> Option<u64> {
        match point {
            SafePoint::Site(FaultSite { offset, retry: Some(retry), .. }) => {
                Some(pc - u64::from(offset) + u64::from(retry))
            }
            _ => None,
        }
    }

    /// The place of a fault at host address `pc` in translated code.
    pub(in crate::host) fn fault_site(&self, pc: u64) -> Option<FaultSite> {
        // SAFETY: as above.
        unsafe { &*self.cache }.lock().code_at(pc).and_then(|code| code.fault(pc))
    }

    /// Sends the thread, which is at `point` at host address `pc`, to its leave stub; notes what its stack pointer lacks.
    pub(in crate::host) fn leave(&self, context: &mut libc::ucontext_t, pc: u64, point: SafePoint, why: NativeFault) {
        // SAFETY: set by the thread itself on its way into the code, to the state that this code works on; it does not touch it while it is here.
        let cpu = unsafe { &mut *self.cpu.get() };
        let entrances = self.entrances;
        let mut stub = entrances.leave_fault;
        match point {
            SafePoint::Block(block) => cpu.rip = block.0,
            SafePoint::Site(site) => {
                cpu.rip = site.pc.0;
                self.stack_delta.set(site.stack_delta);
                for (register, slot) in site.borrowed.into_iter().flatten() {
                    context::set_register(context, register, cpu.host.spill[usize::from(slot)]);
                }
                stub = match site.leave {
                    StubId::LeaveFaultString => entrances.leave_fault_string,
                    StubId::LeaveFaultBytes => entrances.leave_fault_bytes.unwrap_or(stub),
                    _ => stub,
                };
            }
        }
        cpu.host.exit_site = pc;
        self.fault.set(Some(why));
        context::set_pc(context, stub);
    }
}

/// A place where a thread can leave translated code.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) enum SafePoint {
    /// The start of the block for a guest address.
    Block(GuestAddr),
    /// An instruction that may fault.
    Site(FaultSite),
}

thread_local! {
    static CURRENT: Cell<*const Running> = const { Cell::new(std::ptr::null()) };
}

/// The running thread, when the host thread is one that has entered host code.
pub(in crate::host) fn current<'a>() -> Option<&'a Running> {
    // SAFETY: the pointer is null or that of the value that `HostThread` owns, which takes it back before it is dropped; handlers, which alone
    // call this, run on the same thread and end before that.
    unsafe { CURRENT.get().as_ref() }
}

/// A guest thread's means to run host code on the calling host thread.
pub(crate) struct HostThread {
    running: Box<Running>,
    memory: Arc<ThreadMemory>,
    /// The signal stack that the host thread had.
    old_stack: Cell<Option<libc::stack_t>>,
}

impl HostThread {
    /// For a thread that uses `memory` and the code of `cache`, which outlives it.
    pub(crate) fn new(memory: Arc<ThreadMemory>, cache: &CodeCache, entrances: Entrances) -> Self {
        let running = Running {
            cache,
            cpu: Cell::new(std::ptr::null_mut()),
            entrances,
            guard: memory.guard(),
            in_host: AtomicBool::new(false),
            fault: Cell::new(None),
            stack_delta: Cell::new(0),
            stepper: processor::Stepper::new(),
        };
        HostThread { running: Box::new(running), memory, old_stack: Cell::new(None) }
    }

    /// The process has been forked, and this is the child: takes back what it shares with its parent.
    pub(crate) fn renew(&self) {
        self.running.stepper.renew();
    }

    /// Runs the host code at `code` until it leaves, unless `shared` is called first; says whether it ran. The host part of `cpu` is set up.
    pub(crate) fn run(&self, cpu: &mut CpuState, code: u64, shared: &Shared) -> bool {
        self.bind(cpu);
        self.running.cpu.set(cpu);
        self.running.fault.set(None);
        self.running.stack_delta.set(0);
        self.in_host(true);
        let enter = self.running.entrances.enter;
        // SAFETY: the stub is the back end's; `code` is a block's start in live code memory, which is not overwritten while the thread's place is in
        // code.
        let ran = unsafe { processor::boundary::enter(shared.attention_word(), enter, self.running.cpu.get(), code) };
        self.in_host(false);
        ran
    }

    /// What the fault handler found, when it ended the latest run.
    pub(crate) fn fault(&self) -> Option<NativeFault> {
        self.running.fault.get()
    }

    /// What must be added to the guest's stack pointer after the latest run.
    pub(crate) fn stack_delta(&self) -> i32 {
        self.running.stack_delta.get()
    }

    /// Says whether handlers may find the thread in host code. Orders this with the accesses of handlers on the same thread.
    pub(crate) fn in_host(&self, yes: bool) {
        compiler_fence(Ordering::SeqCst);
        self.running.in_host.store(yes, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Makes the host thread this guest thread's: signal stack, handlers' view, what the processor needs.
    fn bind(&self, cpu: &mut CpuState) {
        let running: *const Running = &raw const *self.running;
        if CURRENT.get() != running {
            let range = self.memory.signal_stack();
            let stack = libc::stack_t {
                ss_sp: range.start as *mut c_void,
                ss_flags: 0,
                ss_size: (range.end - range.start) as usize,
            };
            // SAFETY: the range is mapped for as long as `self` lives, and used for nothing else; `drop` gives the old one back.
            unsafe {
                let mut old: libc::stack_t = std::mem::zeroed();
                let failed = libc::sigaltstack(&raw const stack, &raw mut old);
                assert_eq!(failed, 0, "setting a signal stack");
                self.old_stack.set(Some(old));
            }
            CURRENT.set(running);
        }
        processor::bind(&raw mut *cpu as u64);
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        let running: *const Running = &raw const *self.running;
        if CURRENT.get() == running {
            CURRENT.set(std::ptr::null());
            if let Some(old) = self.old_stack.take() {
                // SAFETY: the stack that the host thread had before, by its own description.
                unsafe { libc::sigaltstack(&raw const old, std::ptr::null_mut()) };
            }
        }
    }
}
