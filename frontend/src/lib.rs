//! hokku's front end: x86 and x86-64 guest code, decoded by iced-x86, to regions of [`hokku_ir`].
//!
//! [`translate`] follows direct jumps from a start address, cuts the code into blocks and translates each instruction by the function
//! that [`dispatch`] names for it. The functions stand in `families`, one file per kind of instruction; each reads like the
//! instruction's page in the manual ("SDM" in comments: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2).
//!
//! # Invariants
//! * Translation never fails and never panics: what cannot be fetched, decoded or translated becomes a trap exit of its block.
//! * Status flags are always written; passes remove what nobody reads.
//! * Within an instruction all ops that may fault come before the first that writes guest state.
#![forbid(unsafe_code)]

mod coverage;
mod decode;
mod discover;
mod dispatch;
mod emit;
mod families;
mod faults;
mod features;
mod insn;
mod places;
mod translate;

pub use coverage::{Counts, Coverage, Status, by_extension, coverage, is_translated, known_as, markdown};
pub use decode::{CodeSource, WINDOW};
pub use discover::Limits;
pub use dispatch::hold;
pub use faults::{FaultingAccess, faulting_access, undo_transfer};
pub use translate::{reuse, translate};
