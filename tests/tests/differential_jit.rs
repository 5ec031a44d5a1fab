//! The JIT against the evaluator, on random code: registers, flags, memory and faults.
//!
//! `cargo run --release -p hokku-tests --bin fuzz -- --engine jit` runs more of the same.

use hokku_ir::CpuMode;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_runtime::{Tiering, Tiers};
use hokku_tests::fuzz::case::{codes, codes_of};
use hokku_tests::fuzz::run::{Against, Plan, Runner, STATES};
use hokku_tests::fuzz::sequence;

/// Cases of single instructions for each word size and tier, and of pieces of code.
const CASES: u64 = 10_000;
const PIECES: u64 = 2_000;

fn compare(mode: CpuMode, model: CpuModel, tiers: Tiers) {
    let tiering = Tiering { tiers, threshold: 2, background: false, ..Tiering::default() };
    let mut runner = match Runner::new(Against::Jit(tiering), mode, model) {
        Ok(runner) => runner,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let all = codes(mode);
    assert!(all.len() > 1000, "only {} instructions can be compared", all.len());
    let pieces = sequence::codes(&codes_of(&model, &all));
    for (codes, sequences, cases) in [(all, false, CASES), (pieces, true, PIECES)] {
        let plan = Plan { seed: 0x0dd5_eed5, mode, model, codes, sequences, reports: 3 };
        let tally = runner.run(&plan, 0, cases / STATES, |_| ());
        assert!(tally.cases > cases / 2, "only {} cases could be compared", tally.cases);
        assert_eq!(tally.differences(), 0, "{:?}\n{}", tally.different, tally.reports.join("\n"));
    }
}

/// One after the other: both use the same guest addresses, and these are the host's.
#[test]
fn translated_code_does_what_the_evaluator_does() {
    compare(CpuMode::Protected32, CpuModel::PENTIUM3, Tiers::Both);
    compare(CpuMode::Long64, CpuModel::X86_64_V2, Tiers::Both);
    for tiers in [Tiers::First, Tiers::Second, Tiers::Both] {
        compare(CpuMode::Long64, CpuModel::DEFAULT, tiers);
        compare(CpuMode::Protected32, CpuModel::DEFAULT, tiers);
    }
}
