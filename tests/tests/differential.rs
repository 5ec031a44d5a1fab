//! The front end and the evaluator against this machine's processor, on random code.
//!
//! `cargo run --release -p hokku-tests --bin fuzz` runs more of the same.

use hokku_ir::CpuMode;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_tests::fuzz::case::{codes, codes_of};
use hokku_tests::fuzz::run::{Against, Plan, Runner, STATES};
use hokku_tests::fuzz::sequence;

/// Cases of single instructions for each word size, and of pieces of code.
const CASES: u64 = 50_000;
const PIECES: u64 = 8_000;

fn compare(mode: CpuMode, model: CpuModel, sequences: bool, cases: u64) {
    let mut runner = match Runner::new(Against::Processor, mode, model) {
        Ok(runner) => runner,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let mut codes = codes(mode);
    assert!(codes.len() > 1000, "only {} instructions can be compared", codes.len());
    if sequences {
        codes = sequence::codes(&codes_of(&model, &codes));
    }
    let plan = Plan { seed: 0x0dd5_eed5, mode, model, codes, sequences, reports: 3 };
    let tally = runner.run(&plan, 0, cases / STATES, |_| ());
    assert!(tally.cases > cases / 2, "only {} cases could be compared", tally.cases);
    assert_eq!(tally.differences(), 0, "{:?}\n{}", tally.different, tally.reports.join("\n"));
}

#[test]
fn instructions_of_64_bit_code_do_what_the_processor_does() {
    compare(CpuMode::Long64, CpuModel::DEFAULT, false, CASES);
}

#[test]
fn instructions_of_32_bit_code_do_what_the_processor_does() {
    compare(CpuMode::Protected32, CpuModel::DEFAULT, false, CASES);
}

#[test]
fn pieces_of_64_bit_code_do_what_the_processor_does() {
    compare(CpuMode::Long64, CpuModel::DEFAULT, true, PIECES);
}

#[test]
fn pieces_of_32_bit_code_do_what_the_processor_does() {
    compare(CpuMode::Protected32, CpuModel::DEFAULT, true, PIECES);
}

/// What an older processor has is as on this one, and the rest is an invalid opcode or the older instruction in the same bytes.
#[test]
fn older_processors_have_what_they_had() {
    for model in CpuModel::ALL.iter().copied().filter(|m| *m != CpuModel::DEFAULT) {
        let long = model.has_long_mode().then_some(CpuMode::Long64);
        for mode in [CpuMode::Protected32].into_iter().chain(long) {
            compare(mode, model, false, CASES / 5);
            compare(mode, model, true, PIECES / 8);
        }
    }
}
