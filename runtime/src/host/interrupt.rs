//! The signal that makes a host thread look up from what it does.

use std::ffi::{c_int, c_void};
use std::sync::Once;

static INSTALL: Once = Once::new();

/// The host's number of the signal by which threads are called out of guest code. A personality leaves it alone: never blocked, never handled.
pub fn signal() -> c_int {
    super::system::spare_signal()
}

/// Installs its handler; once per process. Blocking host calls return `EINTR` (no `SA_RESTART`).
pub(crate) fn install() {
    INSTALL.call_once(|| {
        // SAFETY: `sigaction` is plain data for which zero is valid; the handler has the signature that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_interrupt as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigfillset(&raw mut action.sa_mask);
            let failed = libc::sigaction(signal(), &raw const action, std::ptr::null_mut());
            assert_eq!(failed, 0, "installing the handler of the interrupt signal");
        }
    });
}

/// Sends the signal to thread `tid` of this process; zero and threads that have ended are nothing.
pub(crate) fn send(tid: i32) {
    if tid != 0 {
        super::system::send_signal(tid, signal());
    }
}

/// A thread in translated code is led out of it; elsewhere being called is all: a blocking host call returns, and the dispatcher looks
/// at the thread's flag.
extern "C" fn on_interrupt(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes the interrupted thread's context, valid and ours until we return.
    super::arch::on_interrupt(unsafe { &mut *context.cast::<libc::ucontext_t>() });
}
