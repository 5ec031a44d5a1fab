//! `hokku_ir::softfloat` against the processor: result bits and exception flags, in every mode.
//!
//! Debug builds run a sample; release builds (`cargo test --release -p hokku-tests --test softfloat`) run millions.
#![cfg(target_arch = "x86_64")]

mod cases;
mod makes;
mod native_sse;
mod native_x87;
mod sse;
mod transcendental;
mod unmasked;
mod x87;
