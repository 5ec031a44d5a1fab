//! `litmus`: runs the litmus tests of memory order for long, and counts what is seen.

use std::process::ExitCode;

use clap::Parser;
use hokku_ir::CpuMode;
use hokku_runtime::Engine;
use hokku_tests::litmus::{Bench, LOCKED, OFFSETS, run, run_locked, variants};

/// Runs litmus tests of x86's memory order on guest threads, and counts outcomes.
#[derive(Parser)]
struct Args {
    /// Tests to run, by the start of their names: mp, sb+xchg, iriw+vector, under ... [default: all]
    tests: Vec<String>,
    /// Times that each is run
    #[arg(long, default_value_t = 1_000_000)]
    times: u64,
    /// jit or interp [default: both]
    #[arg(long)]
    engine: Option<String>,
    /// 64 or 32 [default: both]
    #[arg(long)]
    bits: Option<u32>,
    /// Also print how often each outcome was seen
    #[arg(long)]
    outcomes: bool,
}

impl Args {
    fn names(&self, test: &str) -> bool {
        self.tests.is_empty() || self.tests.iter().any(|t| test.starts_with(t.as_str()))
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let engines = [("jit", Engine::Jit), ("interp", Engine::Interp)];
    let modes = [(64, CpuMode::Long64), (32, CpuMode::Protected32)];
    let mut failed = 0;
    for (engine_name, engine) in engines {
        if engine == Engine::Jit && Engine::best() != Engine::Jit
            || args.engine.as_ref().is_some_and(|name| name != engine_name)
        {
            continue;
        }
        for (bits, mode) in modes {
            if args.bits.is_none_or(|wanted| wanted == bits) {
                println!("{engine_name}, {bits} bits");
                failed += run_all(&args, engine, mode);
            }
        }
    }
    if failed > 0 {
        println!("{failed} tests saw what x86 forbids");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Runs the tests that `args` names; gives the number of those that saw what they must not.
fn run_all(args: &Args, engine: Engine, mode: CpuMode) -> usize {
    let bench = Bench::new(engine, mode);
    let mut failed = 0;
    for variant in variants() {
        let name = variant.name();
        if !args.names(&name) {
            continue;
        }
        let count = run(&bench, &variant, args.times);
        let (asked, torn) = (count.asked(&variant), count.torn());
        let bad = torn > 0 || variant.forbids() && asked > 0;
        failed += usize::from(bad);
        let verdict = match (bad, variant.forbids()) {
            (true, _) => "WRONG",
            (false, true) => "never",
            (false, false) => "allowed",
        };
        println!(
            "  {name:<20} {:>9} runs, {:>3} outcomes, in question {asked:>8}, torn {torn}: {verdict}",
            count.total(),
            count.kinds()
        );
        if args.outcomes || bad {
            print!("{count}");
        }
    }
    let times = i32::try_from(args.times / 10).unwrap_or(i32::MAX);
    for locked in LOCKED.iter().filter(|l| args.names(l.name)) {
        for offset in OFFSETS.into_iter().filter(|o| locked.fits(*o)) {
            let (count, expected) = run_locked(&bench, locked, offset, times);
            failed += usize::from(count != expected);
            println!("  {} at offset {offset}: {count} of {expected}", locked.name);
        }
    }
    failed
}
