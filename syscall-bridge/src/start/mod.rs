//! How a team's first thread comes to run: what the kernel maps, and the registers that it starts with.

pub mod commpage;
pub mod loader;
pub mod stack;
