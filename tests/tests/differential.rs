//! The front end and the evaluator against this machine's processor, on random instructions.
//!
//! `cargo run --release -p hokku-tests --bin fuzz` runs more of the same.

use hokku_ir::CpuMode;
use hokku_tests::fuzz::case::codes;
use hokku_tests::fuzz::run::{Against, Plan, Runner, STATES};

/// Cases for each word size.
const CASES: u64 = 50_000;

fn compare(mode: CpuMode) {
    let mut runner = match Runner::new(Against::Processor, mode) {
        Ok(runner) => runner,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let codes = codes(mode);
    assert!(codes.len() > 1000, "only {} instructions can be compared", codes.len());
    let plan = Plan { seed: 0x0dd5_eed5, mode, codes, sequences: false, reports: 3 };
    let tally = runner.run(&plan, 0, CASES / STATES, |_| ());
    assert!(tally.cases > CASES / 2, "only {} cases could be compared", tally.cases);
    assert_eq!(tally.differences(), 0, "{:?}\n{}", tally.different, tally.reports.join("\n"));
}

#[test]
fn code_of_64_bits_does_what_the_processor_does() {
    compare(CpuMode::Long64);
}

#[test]
fn code_of_32_bits_does_what_the_processor_does() {
    compare(CpuMode::Protected32);
}
