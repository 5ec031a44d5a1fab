//! The x86-64 back end against the evaluator: random instructions through front end, passes and back end, run on this processor.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod generate;
mod host;
mod random;
mod string_moves;
mod vectors;
