//! The host systems. All of the crate's `unsafe` stands here.

pub mod linux;

pub use linux::process::name_process;
pub use linux::signals::die_of;
pub use linux::wake::WakeFile;
