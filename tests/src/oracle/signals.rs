//! Exceptions of guest code: the signal handler that takes its state, and the thread's signal set-up.

use std::mem;
use std::ptr;

use super::enter::{CONTEXT, IMAGE, hokku_oracle_leave, hokku_oracle_signal};

/// What exceptions become on Linux.
const SIGNALS: [libc::c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// Registers of a signal context by guest register number.
const GREGS: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// Code segment of 64-bit programs, with the stack segment in the top 16 bits as `REG_CSGSFS` holds them.
const CS_64: i64 = 0x2b << 48 | 0x33;

/// Takes the interrupted state to [`CONTEXT`] and goes on at the way back. Where no guest code runs it gives the signal its default effect.
pub(super) extern "C" fn on_signal(signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `ucontext_t` to an SA_SIGINFO handler; its float state is an XSAVE image in standard form of at
    // least IMAGE bytes where the processor has AVX (`Oracle::acquire` checks). The thread interrupted is the one that holds the
    // oracle's lock, inside `hokku_oracle_enter_*`, so nobody else uses CONTEXT.
    unsafe {
        let ours = CONTEXT.get();
        if (*ours).active == 0 {
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        let machine = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext;
        for (ours, greg) in (*ours).gpr.iter_mut().zip(GREGS) {
            *ours = machine.gregs[greg as usize] as u64;
        }
        (*ours).flags = machine.gregs[libc::REG_EFL as usize] as u64;
        (*ours).rip = machine.gregs[libc::REG_RIP as usize] as u64;
        (*ours).vector = machine.gregs[libc::REG_TRAPNO as usize] as u64;
        (*ours).error = machine.gregs[libc::REG_ERR as usize] as u64;
        (*ours).address = machine.gregs[libc::REG_CR2 as usize] as u64;
        (*ours).faulted = 1;
        ptr::copy_nonoverlapping(machine.fpregs.cast::<u8>(), (*ours).image.as_mut_ptr(), IMAGE);
        machine.gregs[libc::REG_RIP as usize] = hokku_oracle_leave as *const () as i64;
        machine.gregs[libc::REG_RSP as usize] = (*ours).host_sp as i64;
        machine.gregs[libc::REG_EFL as usize] = 0x202;
        machine.gregs[libc::REG_CSGSFS as usize] = CS_64;
    }
}

/// The signal set-up of the thread that runs guest code; sets the former one back when dropped.
#[derive(Debug)]
pub(super) struct Handlers {
    actions: Vec<(libc::c_int, libc::sigaction)>,
    stack: libc::stack_t,
    /// The alternate stack: guest code's own stack pointer may be anything.
    _room: Vec<u8>,
}

impl Handlers {
    pub(super) fn install() -> Result<Handlers, String> {
        let mut room = vec![0u8; 256 << 10];
        // SAFETY: the structures are plain data and valid as zeros; `room` outlives its use as signal stack, since `drop` sets the former one
        // back before it is freed.
        unsafe {
            let new = libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
            let mut stack: libc::stack_t = mem::zeroed();
            if libc::sigaltstack(&raw const new, &raw mut stack) != 0 {
                return Err(format!("sigaltstack: {}", std::io::Error::last_os_error()));
            }
            let mut handlers = Handlers { actions: Vec::new(), stack, _room: room };
            for signal in SIGNALS {
                let mut action: libc::sigaction = mem::zeroed();
                action.sa_sigaction = hokku_oracle_signal as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
                let mut old: libc::sigaction = mem::zeroed();
                if libc::sigaction(signal, &raw const action, &raw mut old) != 0 {
                    return Err(format!("sigaction: {}", std::io::Error::last_os_error()));
                }
                handlers.actions.push((signal, old));
            }
            Ok(handlers)
        }
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        // SAFETY: sets back what `install` found; failure is impossible for values that the kernel gave.
        unsafe {
            for (signal, old) in &self.actions {
                libc::sigaction(*signal, old, ptr::null_mut());
            }
            libc::sigaltstack(&raw const self.stack, ptr::null_mut());
        }
    }
}
