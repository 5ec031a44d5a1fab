//! Compares hokku's front end and evaluator with this processor on random instructions.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use hokku_ir::CpuMode;
use hokku_tests::fuzz::case::codes;
use hokku_tests::fuzz::run::{Against, Plan, Runner, STATES, Tally};

/// Random guest instructions on this processor and through hokku; exit code 1 where they differ without an explanation.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of cases for each word size.
    #[arg(long, default_value_t = 1_000_000)]
    cases: u64,
    /// Number of the first case.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Word size of the code: 32, 64 or both.
    #[arg(long, default_value = "both", value_parser = ["32", "64", "both"])]
    mode: String,
    /// Only instructions of this name, as the decoder has it (`Add`, `Fld`); a code (`Add_rm32_r32`) or the start of one.
    #[arg(long)]
    mnemonic: Option<String>,
    /// What is compared: `eval`, the front end and evaluator with this processor, or `jit`, the JIT with the evaluator.
    #[arg(long, default_value = "eval", value_parser = ["eval", "jit"])]
    engine: String,
    /// Differences to print in full.
    #[arg(long, default_value_t = 10)]
    reports: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let against = if arguments.engine == "jit" { Against::Jit } else { Against::Processor };
    let mut all = Tally::default();
    for mode in [CpuMode::Protected32, CpuMode::Long64] {
        let bits = mode.word().bits();
        if arguments.mode != "both" && arguments.mode != bits.to_string() {
            continue;
        }
        let mut codes = codes(mode);
        if let Some(wanted) = &arguments.mnemonic {
            codes.retain(|c| format!("{c:?}").starts_with(wanted) || format!("{:?}", c.mnemonic()) == *wanted);
        }
        if codes.is_empty() {
            continue;
        }
        let mut runner = match Runner::new(against, mode) {
            Ok(runner) => runner,
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::from(2);
            }
        };
        let plan = Plan { seed: arguments.seed, mode, codes, reports: arguments.reports };
        let start = Instant::now();
        let (from, to) = (arguments.first / STATES, (arguments.first + arguments.cases).div_ceil(STATES));
        let tally = runner.run(&plan, from, to);
        let rate = tally.cases as f64 / start.elapsed().as_secs_f64();
        eprintln!(
            "{bits}-bit: {} instructions, {} cases ({} exceptions, {} skipped, {} untranslated), {} differences, {rate:.0}/s",
            plan.codes.len(),
            tally.cases,
            tally.exceptions,
            tally.skipped,
            tally.untranslated,
            tally.differences()
        );
        all.add(tally);
    }
    for report in &all.reports {
        println!("{report}");
    }
    for (name, n) in &all.explained {
        eprintln!("{n:10} explained: {name}");
    }
    for (name, n) in &all.different {
        println!("{n:8} {name}");
    }
    if all.differences() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
