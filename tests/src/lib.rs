//! What hokku's cross-crate tests and benchmarks share.

pub mod bench;
pub mod fuzz;
pub mod hosts;
pub mod litmus;
pub mod oracle;
pub mod parsers;
