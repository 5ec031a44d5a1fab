//! The riscv64 back end, on any host: whatever the front end makes becomes code, with each set of features, in both tiers.

use hokku_backend_riscv64::{Features, Riscv64};
use hokku_ir::backend::{Backend as _, Tier};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{CpuMode, Region, text};
use hokku_tests::fuzz::case::codes;
use hokku_tests::fuzz::evaluate::translated;
use hokku_tests::fuzz::run::Plan;

fn prepared(back_end: &Riscv64, mut region: Region, ordered: bool) -> Region {
    region.key.ordered = ordered;
    for name in back_end.passes() {
        passes::run_one(&mut region, name, FaultsSee::ExactFlags);
    }
    region
}

fn compile_all(sequences: bool, count: u64) {
    for mode in [CpuMode::Long64, CpuMode::Protected32] {
        let model = CpuModel::DEFAULT;
        let plan = Plan { seed: 7, mode, model, codes: codes(mode), sequences, reports: 0 };
        for n in 0..count {
            let (_, Some(program)) = plan.program(n) else { continue };
            let features = if n % 2 == 0 { Features::empty() } else { Features::all() };
            let back_end = Riscv64::new(features);
            let region = prepared(&back_end, translated(&program, false).region, n % 3 == 0);
            for tier in [Tier::First { counted: true }, Tier::Second] {
                let compile = || back_end.compile_as(&region, tier);
                let compiled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compile));
                let compiled = compiled.unwrap_or_else(|_| panic!("{}", text::print::region(&region)));
                assert_eq!(compiled.blocks.len(), region.blocks.len());
                assert!(compiled.code.len() % 4 == 0 && !compiled.code.is_empty());
            }
        }
    }
}

#[test]
fn single_instructions_become_code() {
    compile_all(false, 20_000);
}

#[test]
fn sequences_become_code() {
    compile_all(true, 10_000);
}
