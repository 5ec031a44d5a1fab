//! Host threads: the guest's, and those of the translator's own, which the guest and its signals never see.

use std::ffi::{CString, c_void};
use std::io::Error;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Faults of the thread's own accesses to guest memory: they must reach their handler.
const OWN_SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Bytes of stack of the translator's own threads.
const OWN_STACK: usize = 2 << 20;

/// Starts a host thread called `name` on which no signal is handled that the process gets; says whether it could. A panic ends this thread alone.
pub(crate) fn spawn_without_signals(name: &str, body: impl FnOnce() + Send + 'static) -> bool {
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
    let contained = || {
        // The panic has been told of.
        let _ = catch_unwind(AssertUnwindSafe(body));
    };
    let started = spawn(name, OWN_STACK, contained).is_ok();
    // SAFETY: the set that the first call has written.
    unsafe {
        let failed = libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut());
        assert_eq!(failed, 0, "unblocking signals");
    }
    started
}

/// What a host thread is to do.
struct Start {
    name: CString,
    body: Box<dyn FnOnce() + Send>,
}

/// Bytes of a thread's name that Linux keeps.
const NAME_BYTES: usize = 15;

/// Starts a host thread called `name`, up to a zero in it, with `stack` bytes of stack. A panic of its own ends the process.
///
/// Not one of Rust's library: that holds a lock of its own while such a thread starts or ends, and a fork by another thread at that time would
/// leave it locked in the child.
///
/// # Errors
/// The host's, where it has no room for another thread.
pub fn spawn(name: &str, stack: usize, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    extern "C" fn run(start: *mut c_void) -> *mut c_void {
        // SAFETY: the box that `spawn` has given up for this thread.
        let start = unsafe { Box::from_raw(start.cast::<Start>()) };
        // SAFETY: names this thread by a string that ends with zero.
        unsafe { libc::pthread_setname_np(libc::pthread_self(), start.name.as_ptr()) };
        (start.body)();
        std::ptr::null_mut()
    }
    let name: Vec<u8> = name.bytes().take_while(|&byte| byte != 0).take(NAME_BYTES).collect();
    let name = CString::new(name).unwrap_or_default();
    let start = Box::into_raw(Box::new(Start { name, body: Box::new(body) }));
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: the attributes are made before they are used and live until the call has returned; the thread takes the box over, if it starts.
    let failed = unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack);
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        let failed = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, start.cast());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        failed
    };
    if failed != 0 {
        // SAFETY: no thread has taken the box.
        drop(unsafe { Box::from_raw(start) });
        return Err(Error::from_raw_os_error(failed));
    }
    Ok(())
}
