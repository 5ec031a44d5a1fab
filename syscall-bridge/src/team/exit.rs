//! How a team ends.

use std::fmt;
use std::sync::Mutex;

use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr};
use hokku_runtime::loader::NamedAddress;

use super::waiting::lock;
use crate::abi::signal::Signal;

/// How a team has ended.
#[derive(Clone, Debug)]
pub enum ExitStatus {
    /// By `exit`, with this status.
    Exited(i32),
    /// By a signal.
    Signaled {
        /// The signal.
        signal: Signal,
        /// What led to it, where a thread of the team did something wrong itself.
        report: Option<Box<CrashReport>>,
    },
}

impl ExitStatus {
    /// Ends this process as shells and parents expect: with the guest's exit status, or by the host's equal of the signal.
    pub fn finish(self) -> ! {
        match self {
            ExitStatus::Exited(status) => std::process::exit(status & 0xff),
            ExitStatus::Signaled { signal, .. } => crate::host::die_of(signal),
        }
    }
}

/// What is told of a crash.
#[derive(Clone, Debug)]
pub struct CrashReport {
    /// The signal.
    pub signal: Signal,
    /// What happened, in words.
    pub cause: String,
    /// The address that could not be accessed; the instruction's for other faults.
    pub address: GuestAddr,
    /// Name and id of the thread.
    pub thread: (String, i32),
    /// Word size.
    pub mode: CpuMode,
    /// General registers by number.
    pub registers: [u64; 16],
    /// Address of the instruction.
    pub rip: u64,
    /// Flags.
    pub eflags: u32,
    /// Call stack, the instruction first.
    pub stack: Vec<NamedAddress>,
    /// Images: name, first address, first address behind.
    pub images: Vec<(String, GuestAddr, GuestAddr)>,
}

impl CrashReport {
    /// Takes the registers from `cpu`.
    pub fn set_registers(&mut self, cpu: &CpuState) {
        self.registers = cpu.gpr;
        self.rip = cpu.rip;
        self.eflags = cpu.eflags();
    }
}

impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, id) = &self.thread;
        writeln!(f, "thread {name} ({id}): {}: {} at {}", self.signal.name(), self.cause, self.address)?;
        let (count, prefix, digits) = match self.mode {
            CpuMode::Protected32 => (8, 'e', 8),
            CpuMode::Long64 => (16, 'r', 16),
        };
        for row in Gpr::ALL[..count].chunks(4) {
            write!(f, " ")?;
            for reg in row {
                let name = if self.mode == CpuMode::Protected32 {
                    format!("e{}", &reg.name()[1..])
                } else {
                    reg.name().to_owned()
                };
                write!(f, " {name:>3} {:0digits$x}", self.registers[reg.index()])?;
            }
            writeln!(f)?;
        }
        writeln!(f, "  {prefix}ip {:0digits$x} flags {:08x}", self.rip, self.eflags)?;
        writeln!(f, "stack:")?;
        for frame in &self.stack {
            writeln!(f, "  {frame}")?;
        }
        writeln!(f, "images:")?;
        for (name, start, end) in &self.images {
            writeln!(f, "  {start}..{end}  {name}")?;
        }
        Ok(())
    }
}

/// The first reason to end counts.
#[derive(Debug, Default)]
pub struct Exit {
    status: Mutex<Option<ExitStatus>>,
}

impl Exit {
    /// States how the team ends, if it is not ending already.
    pub fn set(&self, status: ExitStatus) {
        lock(&self.status).get_or_insert(status);
    }

    /// Whether the team is ending.
    pub fn is_set(&self) -> bool {
        lock(&self.status).is_some()
    }

    /// Locks this for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        lock(&self.status)
    }

    /// How the team has ended.
    pub fn take(&self) -> Option<ExitStatus> {
        lock(&self.status).take()
    }
}
