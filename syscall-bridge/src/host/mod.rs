//! The host systems. All of the crate's `unsafe` stands here.

#[cfg(target_os = "linux")]
pub mod linux;
#[cfg(target_os = "linux")]
pub use linux::{
    process::name_process,
    run_program,
    signals::{die_of, forward as forward_signals},
    take_over,
    wake::WakeFile,
};

#[cfg(target_os = "haiku")]
mod haiku;
#[cfg(target_os = "haiku")]
pub use haiku::{WakeFile, die_of, forward_signals, name_process, run_program, take_over};
