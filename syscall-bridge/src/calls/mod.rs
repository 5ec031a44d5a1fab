//! What the calls do, one file per subject. A handler takes the call and its typed arguments, in the order of the table's row.

pub mod area;
pub mod attr;
pub mod debug;
pub mod fd;
pub mod fs;
pub mod image;
pub mod mutex;
pub mod port;
mod posix_sem;
pub mod sem;
pub mod signal;
pub mod system;
pub mod team;
pub mod thread;
pub mod time;
pub mod user;
