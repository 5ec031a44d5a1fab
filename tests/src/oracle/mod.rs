//! The native oracle: runs guest code of both word sizes on this machine's own processor and tells what became of the state.
//!
//! Guest code is put into a page below 2 GiB. [`Oracle::run`] loads all registers, jumps there, and gets control back in one of two ways: the
//! code arrives at a *stub*, bytes behind the code that note where they are and jump back without touching a register; or the
//! processor raises an exception, whose signal handler copies the interrupted state.
//!
//! What must hold, and who sees to it: the pages at the fixed addresses of [`layout`] belong to the oracle alone (mapping them fails where
//! something else is there); one `Oracle` exists at a time (a lock); guest code touches no memory of the process beside its own pages (the caller:
//! see `fuzz::safety`).

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod enter;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod image;
pub mod layout;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod native;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod signals;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub use absent::Oracle;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub use native::Oracle;

/// How guest code ended, on whichever engine. `rip` of the state goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It arrived at `rip`, where nothing more is to run.
    Arrived,
    /// The processor's exception at the instruction at `rip` (after it, for breakpoints and single steps).
    Exception {
        /// Number of the exception.
        vector: u8,
        /// For page faults: the address and whether it was a write.
        page: Option<(u64, bool)>,
    },
    /// It asked for the kernel: not run natively.
    Syscall,
    /// Its blocks ran so long that the run was ended.
    Endless,
}

/// Exceptions by their number.
pub mod vector {
    /// Division.
    pub const DE: u8 = 0;
    /// Single step and `int1`.
    pub const DB: u8 = 1;
    /// `int3`.
    pub const BP: u8 = 3;
    /// `into`.
    pub const OF: u8 = 4;
    /// `bound`.
    pub const BR: u8 = 5;
    /// Invalid opcode.
    pub const UD: u8 = 6;
    /// Stack segment: an address with rsp or rbp that is not canonical.
    pub const SS: u8 = 12;
    /// General protection.
    pub const GP: u8 = 13;
    /// Page fault.
    pub const PF: u8 = 14;
    /// x87 exception.
    pub const MF: u8 = 16;
    /// Alignment check.
    pub const AC: u8 = 17;
    /// SSE exception.
    pub const XM: u8 = 19;
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod absent {
    use super::Ending;
    use hokku_ir::{CpuMode, CpuState};

    /// There is none on this host.
    #[derive(Debug)]
    pub struct Oracle(std::convert::Infallible);

    impl Oracle {
        /// Says that there is none.
        pub fn acquire() -> Result<Oracle, String> {
            Err("the native oracle needs an x86-64 Linux host".into())
        }

        /// Cannot be called.
        pub fn has_segments(&self) -> bool {
            match self.0 {}
        }

        /// Cannot be called.
        pub fn set_code(&mut self, _mode: CpuMode, _at: u64, _bytes: &[u8], _arrivals: &[u64]) {
            match self.0 {}
        }

        /// Cannot be called.
        pub fn set_constant_page(&mut self, _bytes: &[u8; super::layout::PAGE as usize]) {
            match self.0 {}
        }

        /// Cannot be called.
        pub fn memory(&self) -> &[u8] {
            match self.0 {}
        }

        /// Cannot be called.
        pub fn memory_mut(&mut self) -> &mut [u8] {
            match self.0 {}
        }

        /// Cannot be called.
        pub fn run(&mut self, _mode: CpuMode, _entry: u64, _cpu: &mut CpuState) -> Ending {
            match self.0 {}
        }
    }
}
