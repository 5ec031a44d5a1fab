//! Runs translated guest code: guest memory, translation cache, dispatcher, threads, faults and ELF images.
//!
//! The crate knows no guest system: what a system call or an exception means is the business of a [`Personality`]. It knows no guest
//! instruction either: `frontend` makes IR of them, and a back end host code of that.
//!
//! # Invariants
//! * `unsafe` stands in [`host`] alone, and what depends on the host's processor in `host/<architecture>`.
//! * Code memory is never writable and executable in one mapping.
//! * Guest memory is reached through [`GuestMemory`]: a bad guest address is an error value, never a crash of the host process.
//! * Whatever a guest does, guest state is exact whenever the personality sees it.
#![cfg_attr(target_os = "haiku", allow(dead_code, reason = "what serves translated code is not in use there yet"))]
#![deny(unsafe_code)]

mod code_cache;
mod debug;
pub mod disk_cache;
mod dispatcher;
mod fork;
pub mod guest_memory;
pub mod host;
mod interp;
mod jit;
pub mod loader;
mod perf_map;
pub mod personality;
mod processor;
mod rewritten;
mod stats;
pub mod team;
pub mod thread;
mod tiering;
mod translator;
mod wire;
mod world;

pub use debug::{Watch, WatchHit};
pub use disk_cache::DiskCacheConfig;
pub use guest_memory::{
    Access, FaultCause, GuestMemory, HostBuffer, MapError, MemoryFault, Placement, Prot, RangeInfo,
};
pub use host::*;
pub use personality::{FaultKind, GuestFault, Personality, Resume};
pub use processor::Processor;
pub use stats::{Stats, StatsReport};
pub use team::{Engine, StartError, Team, TeamConfig};
pub use thread::{Thread, ThreadHandle};
pub use tiering::{Tiering, Tiers};

/// The back end for this host; `None` where there is none yet.
pub fn back_end() -> Option<Box<dyn hokku_ir::backend::Backend>> {
    host::arch::backend()
}
