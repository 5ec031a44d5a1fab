//! The handler of fault signals: SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP.
//!
//! A fault of translated code is looked up: the guest instruction it belongs to becomes `rip`, and the thread goes to its leave stub. An
//! overflow of the shadow stack empties it. A fault in an access routine ([`super::guest_access`]) becomes its error return. Any other one is a bug of hokku: a line says where, and the
//! handler that was there before hokku's takes over.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::Once;
use std::sync::atomic::Ordering;

use super::enter::{self, Running, SafePoint};
use super::guest_access::{self, HostFault};
#[cfg(any(target_arch = "riscv64", target_arch = "aarch64"))]
use crate::host::NativeFault;
use crate::host::processor::{context, step};

const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];

static INSTALL: Once = Once::new();
/// What handled each of [`SIGNALS`] before; written once, before the handlers are there.
static mut PREVIOUS: [MaybeUninit<libc::sigaction>; SIGNALS.len()] = [const { MaybeUninit::uninit() }; SIGNALS.len()];

thread_local! {
    static LAST_FAULT: Cell<HostFault> = const { Cell::new(HostFault { address: 0, bus: false }) };
}

/// The fault that the latest failing access routine of this thread met.
pub(in crate::host) fn last_fault() -> HostFault {
    LAST_FAULT.get()
}

/// Installs the handlers; once per process.
pub(crate) fn install() {
    INSTALL.call_once(|| {
        for (i, &signal) in SIGNALS.iter().enumerate() {
            // SAFETY: `sigaction` is plain data for which zero is valid; the handler has the signature that SA_SIGINFO asks for. `PREVIOUS`
            // is written here alone, before the handler that reads the entry can run.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = on_fault as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigfillset(&raw mut action.sa_mask);
                let failed = libc::sigaction(signal, &raw const action, (&raw mut PREVIOUS[i]).cast());
                assert_eq!(failed, 0, "installing the handler of signal {signal}");
            }
        }
    });
}

extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a siginfo and the interrupted thread's context, valid and ours until we return.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<libc::ucontext_t>()) };
    if signal == libc::SIGTRAP && step::on_trap(context, info.si_code) {
        return;
    }
    let pc = context::pc(context);
    // SAFETY: the signals handled here carry an address.
    let address = unsafe { info.si_addr() } as u64;
    // Codes above zero are the kernel's own: an instruction raised it, nobody sent it.
    if info.si_code > 0 {
        if let Some(fixup) = guest_access::fixup(pc) {
            LAST_FAULT.set(HostFault { address, bus: signal == libc::SIGBUS });
            context::set_pc(context, fixup);
            return;
        }
        if let Some(running) = enter::current().filter(|r| r.in_host.load(Ordering::SeqCst)) {
            if in_host_code(running, context, signal, address) {
                return;
            }
        }
    }
    give_up(signal, pc, address);
}

/// Deals with a fault of `context` in translated code; says whether it was one.
fn in_host_code(running: &Running, context: &mut libc::ucontext_t, signal: c_int, address: u64) -> bool {
    if running.guard.contains(&address) {
        // A call ran over: the return addresses so far are given up, and the call runs again.
        // SAFETY: set by the thread itself on its way into the code.
        context::set_shadow_stack(context, unsafe { (*running.cpu.get()).host.shadow_top });
        return true;
    }
    let pc = context::pc(context);
    let Some(site) = running.fault_site(pc) else { return false };
    if let Some(again) = running.retry(pc, SafePoint::Site(site)) {
        context::set_pc(context, again);
        return true;
    }
    let Some(fault) = context::native_fault(context, signal, address) else { return false };
    running.leave(context, pc, SafePoint::Site(site), fault);
    true
}

/// A fault of an access at `at` that the kernel places at `address`. What x86 would not take for an address is a protection fault there, and no place here:
/// kernels say nothing of use about it.
#[cfg(any(target_arch = "riscv64", target_arch = "aarch64"))]
pub(in crate::host) fn memory_fault(signal: c_int, address: u64, at: u64, write: bool) -> NativeFault {
    let is_address = |at: u64| (at << 16) as i64 >> 16 == at as i64;
    if !is_address(at) {
        return NativeFault::Protection;
    }
    NativeFault::Memory { address: guest_access::first_byte(at, address), write, bus: signal == libc::SIGBUS }
}

/// Says what happened and hands the signal to its previous handler, which the faulting instruction meets when it runs again.
fn give_up(signal: c_int, pc: u64, address: u64) {
    let mut line = [0u8; 128];
    let len = {
        use std::io::Write;
        let mut at: &mut [u8] = &mut line;
        let _ =
            writeln!(at, "hokku: internal error: signal {signal} at host address {pc:#x}, memory address {address:#x}");
        128 - at.len()
    };
    if let Some(i) = SIGNALS.iter().position(|&s| s == signal) {
        // SAFETY: `write` and `sigaction` may be called in a handler; the entry was filled before this handler was installed.
        unsafe {
            libc::write(2, line.as_ptr().cast(), len);
            libc::sigaction(signal, (&raw const PREVIOUS[i]).cast(), std::ptr::null_mut());
        }
    }
}
