//! What user programs and the kernel exchange: structures for both word sizes, numbers, errors. No behaviour.

pub mod area;
pub mod fpu;
pub mod fs;
pub mod layout;
pub mod signal;
pub mod status;
pub mod structs;
pub mod thread;
pub mod time;

pub use layout::{Chars, GuestType, SignedWord, Word};
pub use status::{Status, SysResult};
