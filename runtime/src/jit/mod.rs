//! Translated code as host code: where it is, its links, and the way in and out.

mod callout;
mod code;
pub(crate) mod fault_table;
mod host_code;
mod install;
mod lazy_state;
mod linking;
mod optimiser;
mod run;
mod x87;

pub(crate) use code::JitCode;
pub(crate) use host_code::{CodeCopy, Entrances, HostCode};
pub(crate) use linking::LinkRef;
pub(crate) use optimiser::Optimiser;
pub(crate) use run::{JitThread, evaluate_callout};
