//! Threads of the translator's own, which the guest and its signals never see.

use std::mem::MaybeUninit;
use std::thread::Builder;

/// Faults of the thread's own accesses to guest memory: they must reach their handler.
const OWN_SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Starts a host thread called `name` on which no signal is handled that the process gets; says whether it could.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> bool {
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` makes a valid set, and `pthread_sigmask` writes the old one; both live until the calls have returned.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for signal in OWN_SIGNALS {
            libc::sigdelset(blocked.as_mut_ptr(), signal);
        }
        let failed = libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), before.as_mut_ptr());
        assert_eq!(failed, 0, "blocking signals");
    }
    // The new thread starts with the mask of this one, so no signal can slip in.
    let started = Builder::new().name(name.to_owned()).spawn(body).is_ok();
    // SAFETY: the set that the first call has written.
    unsafe {
        let failed = libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        assert_eq!(failed, 0, "unblocking signals");
    }
    started
}
