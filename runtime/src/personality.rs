//! What a guest system is to the runtime: three calls.

use hokku_ir::{GuestAddr, SyscallKind};

use crate::guest_memory::MemoryFault;
use crate::thread::Thread;

/// A guest operating system's kernel as its programs see it.
///
/// All methods run on the host thread of the guest thread concerned, outside guest code: every register is in `thread.cpu` and may be changed
/// (the x87 unit after [`Thread::sync_x87`]).
pub trait Personality: Send + Sync {
    /// The guest entered the kernel by the instruction at `at`; `thread.cpu.rip` is the address after it.
    fn syscall(&self, thread: &mut Thread, kind: SyscallKind, at: GuestAddr) -> Resume;

    /// An instruction raised an exception: the state is that before it (for a breakpoint: after it).
    fn fault(&self, thread: &mut Thread, fault: GuestFault) -> Resume;

    /// [`crate::ThreadHandle::interrupt`] was called: the time to deliver what is pending.
    fn interrupted(&self, thread: &mut Thread) -> Resume;
}

/// How a guest thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At `thread.cpu.rip`.
    Continue,
    /// Not at all: [`Thread::run`] returns.
    LeaveThread,
}

/// An exception that a guest instruction raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFault {
    /// Address of the instruction.
    pub at: GuestAddr,
    /// What happened.
    pub kind: FaultKind,
}

/// The kinds of exceptions, named as the processor manual names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// #PF: memory that is not there, or not so accessible; also a host bus error (a file mapping beyond the file's end).
    Page(MemoryFault),
    /// #GP: misaligned vector access, privileged instruction, bad selector, reserved bit.
    Protection,
    /// #SS: a stack address that is no address.
    Stack,
    /// #DE: division by zero or quotient too large.
    Divide,
    /// #OF: `into`.
    Overflow,
    /// #BR: `bound`.
    Bound,
    /// #UD: no such instruction.
    InvalidOpcode,
    /// An instruction that exists but that hokku does not translate yet: #UD to the guest; the bytes from `at` on.
    Untranslated(Vec<u8>),
    /// #BP: `int3`; `rip` is the address after it.
    Breakpoint,
    /// #DB: single step or `int1`.
    Debug,
    /// #MF: unmasked x87 exception.
    X87,
    /// #XM: unmasked SSE exception.
    SimdFloat,
    /// `hlt`: #GP to a guest program, the end of a lab case.
    Halt,
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FaultKind::Page(fault) => write!(f, "{fault}"),
            FaultKind::Protection => f.write_str("general protection"),
            FaultKind::Stack => f.write_str("stack fault"),
            FaultKind::Divide => f.write_str("division error"),
            FaultKind::Overflow => f.write_str("overflow trap"),
            FaultKind::Bound => f.write_str("bound range exceeded"),
            FaultKind::InvalidOpcode => f.write_str("invalid opcode"),
            FaultKind::Untranslated(bytes) => {
                f.write_str("instruction not translated yet:")?;
                bytes.iter().try_for_each(|b| write!(f, " {b:02x}"))
            }
            FaultKind::Breakpoint => f.write_str("breakpoint"),
            FaultKind::Debug => f.write_str("debug trap"),
            FaultKind::X87 => f.write_str("x87 floating-point exception"),
            FaultKind::SimdFloat => f.write_str("SSE floating-point exception"),
            FaultKind::Halt => f.write_str("halt"),
        }
    }
}
