//! How a block ends.

use crate::guest::GuestAddr;
use crate::operand::OperandKind;
use crate::region::{BlockId, Value};

/// Where a direct jump leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A block of the same region.
    Block(BlockId),
    /// Guest code outside the region: linked once it is translated.
    Guest(GuestAddr),
}

/// Which instruction entered the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyscallKind {
    /// `syscall`, 64-bit code. The exit's ops have already set rcx and r11.
    Syscall,
    /// `int n`: 99 is Haiku's system call on 32-bit x86, 25 BeOS's.
    Int(u8),
    /// `sysenter`, 32-bit code.
    Sysenter,
}

/// An exception that an instruction raises by its nature. The exit's `at` tells the instruction, whose state is untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trap {
    /// `ud2` and encodings that no processor has: invalid opcode.
    InvalidOpcode,
    /// An instruction that exists but is not translated yet: the guest sees an invalid opcode, the user a line that names it.
    Untranslated,
    /// `int3`, `int 3`: breakpoint; the guest sees the address after the instruction.
    Breakpoint,
    /// `int1`/`icebp`, or a single step completed.
    Debug,
    /// `into` with OF set.
    Overflow,
    /// `bound` outside the bounds.
    Bound,
    /// Privileged instruction, bad selector, non-canonical address: general protection.
    Protection,
    /// `hlt`: privileged for a guest program; the lab's end of a case.
    Halt,
    /// Division error decided at translation time or by an explicit check.
    Divide,
    /// The bytes of the instruction could not be fetched (unmapped or not executable): a page fault at that address.
    Fetch,
    /// The code is not what it was when it was translated: it is to be translated anew. The guest sees nothing of it.
    Stale,
}

/// How a block ends: exactly one per block.
///
/// Whatever a back end does, guest state is complete at every exit. A back end may always take the slow way for a hint (`Call` and
/// `Return` as `Indirect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exit {
    /// To a known place.
    Jump {
        /// The place.
        to: Target,
    },
    /// To `taken` where the I8 value `cond` is not zero, else to `next`.
    Branch {
        /// Condition: I8, zero or one.
        cond: Value,
        /// Where a true condition leads.
        taken: Target,
        /// Where a false condition leads.
        next: Target,
    },
    /// To a computed address (`jmp r/m`): value of the mode's word width.
    Indirect {
        /// Guest address.
        target: Value,
    },
    /// To a computed address by way of the dispatcher, always: the state may ask for other code than this (the trap flag may have been set).
    Dispatch {
        /// Guest address.
        target: Value,
    },
    /// A direct call: the return address has been pushed. Hint: a `Return` to `ret` will follow.
    Call {
        /// The function.
        to: Target,
        /// The address after the call.
        ret: GuestAddr,
        /// The block at `ret`, where the region has it.
        ret_block: Option<BlockId>,
    },
    /// A call to a computed address; else like `Call`.
    IndirectCall {
        /// The function's address.
        target: Value,
        /// The address after the call.
        ret: GuestAddr,
        /// The block at `ret`, where the region has it.
        ret_block: Option<BlockId>,
    },
    /// `ret`: the return address has been popped into `target`. Hint: it is probably that of the latest unreturned call.
    Return {
        /// Guest address.
        target: Value,
    },
    /// Into the personality; the guest resumes at `next`.
    Syscall {
        /// Which instruction.
        kind: SyscallKind,
        /// Address of the instruction.
        at: GuestAddr,
        /// Address after it.
        next: GuestAddr,
    },
    /// The instruction at `at` raises `trap`.
    Trap {
        /// What it raises.
        trap: Trap,
        /// Address of the instruction.
        at: GuestAddr,
        /// Address after it.
        next: GuestAddr,
    },
}

impl Exit {
    /// Calls `f` with each value that the exit reads.
    pub fn values(&self, f: &mut dyn FnMut(Value)) {
        match self {
            Exit::Branch { cond, .. } => cond.values(f),
            Exit::Indirect { target }
            | Exit::Dispatch { target }
            | Exit::IndirectCall { target, .. }
            | Exit::Return { target } => target.values(f),
            Exit::Jump { .. } | Exit::Call { .. } | Exit::Syscall { .. } | Exit::Trap { .. } => {}
        }
    }

    /// Replaces each value that the exit reads by `f` of it.
    pub fn map_values(&mut self, f: &mut dyn FnMut(Value) -> Value) {
        match self {
            Exit::Branch { cond, .. } => cond.map_values(f),
            Exit::Indirect { target }
            | Exit::Dispatch { target }
            | Exit::IndirectCall { target, .. }
            | Exit::Return { target } => target.map_values(f),
            Exit::Jump { .. } | Exit::Call { .. } | Exit::Syscall { .. } | Exit::Trap { .. } => {}
        }
    }

    /// Calls `f` with each block of the same region that may run next.
    pub fn successors(&self, f: &mut dyn FnMut(BlockId)) {
        let mut one = |t: &Target| {
            if let Target::Block(b) = t {
                f(*b);
            }
        };
        match self {
            Exit::Jump { to } => one(to),
            Exit::Branch { taken, next, .. } => {
                one(taken);
                one(next);
            }
            Exit::Call { to, .. } => one(to),
            Exit::IndirectCall { .. }
            | Exit::Indirect { .. }
            | Exit::Dispatch { .. }
            | Exit::Return { .. }
            | Exit::Syscall { .. }
            | Exit::Trap { .. } => {}
        }
    }
}
