//! Linux as the host.

pub mod clock;
pub mod fd_table;
pub mod files;
pub mod machine;
pub mod namespace;
pub mod open_file;
pub mod process;
pub mod signals;
pub mod terminal;
pub mod wake;

mod attributes;
mod descriptors;
mod errors;
mod handover;
mod poll;
mod raw;
mod start;
mod stat;

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::kernel::{Attributes, Clock, Descriptors, Kernel, Machine, Paths, Processes};

pub use handover::{Handover, TeamSetup};
pub use start::{run_program, take_over};

/// A Haiku kernel's host side, made of Linux calls.
pub struct LinuxKernel {
    clock: clock::LinuxClock,
    files: Arc<files::LinuxFiles>,
    processes: process::LinuxProcesses,
    machine: machine::LinuxMachine,
}

impl LinuxKernel {
    /// The kernel of a team that sees `files`, on `clock`; `starter` is the socket to who loaded it.
    pub fn new(
        clock: clock::LinuxClock,
        files: Arc<files::LinuxFiles>,
        setup: TeamSetup,
        starter: Option<OwnedFd>,
    ) -> Self {
        LinuxKernel {
            clock,
            processes: process::LinuxProcesses::new(Arc::clone(&files), setup, starter),
            files,
            machine: machine::LinuxMachine,
        }
    }
}

impl Kernel for LinuxKernel {
    fn clock(&self) -> &dyn Clock {
        &self.clock
    }
    fn paths(&self) -> &dyn Paths {
        &*self.files
    }
    fn descriptors(&self) -> &dyn Descriptors {
        &*self.files
    }
    fn attributes(&self) -> &dyn Attributes {
        &*self.files
    }
    fn processes(&self) -> &dyn Processes {
        &self.processes
    }
    fn machine(&self) -> &dyn Machine {
        &self.machine
    }
}
