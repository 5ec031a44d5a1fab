//! Differential fuzzing: random guest code, run on this processor and by hokku, compared in everything that a program could see.
//!
//! A *program* is one instruction (drawn from the decoder's tables) or a short piece of code with jumps; a *case* is a program with a
//! state to start from. Case `n` of seed `s` is the same on every machine and in every run.

pub mod case;
pub mod compare;
pub mod encoding;
pub mod evaluate;
pub mod explain;
pub mod far;
pub mod images;
pub mod items;
pub mod jobs;
pub mod lab;
pub mod lanes;
pub mod machine;
pub mod makes;
pub mod pages;
pub mod progress;
pub mod report;
pub mod rng;
pub mod run;
pub mod safety;
pub mod sequence;
pub mod system;
pub mod values;
pub mod vex;
