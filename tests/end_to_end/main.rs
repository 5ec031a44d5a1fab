//! The `hokku` command from outside: guest programs on both engines and word sizes, bad input, the other subcommands.

mod cache;
mod commands;
mod corrupted;
mod fuzz_corpus;
mod hokku;
mod lab;
mod lab_corpus;
mod programs;
