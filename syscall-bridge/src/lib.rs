//! Haiku's kernel interface, for programs of both word sizes.
//!
//! [`table`] lists all calls once; dispatch, `--strace`, the coverage page and tests are made of it. [`calls`] holds what they do, one file per
//! subject; [`abi`] the structures and numbers that go over the boundary; [`team`] what the kernel keeps of one team; [`host`] what it needs of
//! the system underneath, behind the traits of [`kernel`].
//!
//! # Invariants
//! * [`calling`] alone knows where arguments and results stand, [`abi::layout`] alone how structures are laid out.
//! * Whatever a guest passes is checked: a bad address or value is an error of the call, never a crash of the host process.
//! * `unsafe` stands in [`host`] alone.
//! * The guest sees nothing of the host but what its root, its shares and the standard files show.
#![deny(unsafe_code)]
#![cfg_attr(target_os = "haiku", allow(dead_code, reason = "programs do not start there yet"))]

pub mod abi;
pub mod args;
pub mod call;
pub mod calling;
pub mod calls;
pub mod coverage;
pub mod crash;
pub mod declare;
pub mod deliver;
pub mod frame;
#[expect(unsafe_code, reason = "the host's calls take pointers")]
pub mod host;
pub mod kernel;
pub mod numbers;
pub mod personality;
pub mod root;
pub mod run;
pub mod start;
pub mod table;
pub mod team;
pub mod trace;

pub use declare::{Support, Syscall};
pub use host::{run_program, take_over};
pub use root::{EmbeddedFile, EmbeddedRoot, GuestRoot, Share};
pub use run::{Finished, RunOptions, StartError, Strace};
pub use table::TABLE;
pub use team::areas::image_place;
pub use team::exit::{CrashReport, ExitStatus};
