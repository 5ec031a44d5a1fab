//! Benchmarks: the same kernel natively, as a Haiku guest under hokku, and under other translators, as ratios of one run.

pub mod build;
pub mod executed;
pub mod measure;
pub mod plot;
pub mod programs;
pub mod report;
pub mod startup;
pub mod translating;
