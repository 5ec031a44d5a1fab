//! Compares hokku with this processor, and its JIT with its evaluator, on random guest code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;
use hokku_ir::CpuMode;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_runtime::{Tiering, Tiers};
use hokku_tests::fuzz::case::{self, Program, codes};
use hokku_tests::fuzz::jobs::{self, Range};
use hokku_tests::fuzz::lab;
use hokku_tests::fuzz::progress::Progress;
use hokku_tests::fuzz::report;
use hokku_tests::fuzz::rng::Rng;
use hokku_tests::fuzz::run::{Against, Plan, Runner, STATES, Tally};
use hokku_tests::fuzz::sequence;
use iced_x86::{Code, Mnemonic};

/// Cases between two notes of the progress.
const PART: u64 = 400_000;

/// Random guest code on this processor and through hokku. The exit code is 1 where they differ without an explanation.
#[derive(Debug, Parser)]
struct Arguments {
    /// Number of cases for each word size.
    #[arg(long, default_value_t = 1_000_000)]
    cases: u64,
    /// Number of the first case: where an earlier run ended, or the case of a report.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Word size of the code: 32, 64 or both.
    #[arg(long, default_value = "both", value_parser = ["32", "64", "both"])]
    mode: String,
    /// Processor that the code runs on; of what it does not have, single instructions must be invalid, and pieces have none.
    #[arg(long, value_name = "MODEL", default_value = CpuModel::DEFAULT.name, value_parser = model)]
    cpu: CpuModel,
    /// Only instructions of this name, as the decoder has it (`Add`, `Fld`); a code (`Add_rm32_r32`) or the start of one; commas between several.
    #[arg(long)]
    mnemonic: Option<String>,
    /// Pieces of 5 to 50 instructions with jumps, loops and calls instead of single instructions.
    #[arg(long)]
    sequences: bool,
    /// What is compared: `eval`, the front end and evaluator with this processor, or `jit`, the JIT with the evaluator.
    #[arg(long, default_value = "eval", value_parser = ["eval", "jit"])]
    engine: String,
    /// What x87 instructions compute in, of the JIT and the evaluator: exact or f64.
    #[arg(long, default_value = "exact", value_parser = ["exact", "f64"])]
    x87: String,
    /// Which of the JIT's tiers: `1`, `2`, or `both`, where the second takes over after two rounds.
    #[arg(long, default_value = "both", value_parser = ["1", "2", "both"])]
    tier: String,
    /// Number of processes at once.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Keep the progress in this file; where it exists, go on with what is in it.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Differences to print in full, for each process.
    #[arg(long, default_value_t = 10)]
    reports: usize,
    /// List the instructions that are compared and, with the reason, the translated ones that are not; run nothing.
    #[arg(long)]
    list: bool,
    /// Write this many cases of each family and word size, with this processor's results, as `tests/lab` has them; run nothing else.
    #[arg(long, num_args = 2, value_names = ["COUNT", "DIR"])]
    lab: Option<Vec<String>>,
    /// Run programs FROM to TO in this process and tell the results to the one that started it.
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], hide = true)]
    worker: Option<Vec<u64>>,
}

impl Arguments {
    fn plan(&self, mode: CpuMode) -> Plan {
        let mut codes = codes(mode);
        if let Some(wanted) = &self.mnemonic {
            let is_one =
                |c: &Code, name: &str| format!("{c:?}").starts_with(name) || format!("{:?}", c.mnemonic()) == name;
            codes.retain(|c| wanted.split(',').any(|name| is_one(c, name)));
        }
        if self.sequences {
            codes = sequence::codes(&case::codes_of(&self.cpu, &codes));
            if self.x87 == "f64" {
                codes.retain(|c| !fills_empty_registers(*c));
            }
        }
        Plan { seed: self.seed, mode, model: self.cpu, codes, sequences: self.sequences, reports: self.reports }
    }

    fn modes(&self) -> impl Iterator<Item = CpuMode> + '_ {
        [CpuMode::Protected32, CpuMode::Long64]
            .into_iter()
            .filter(|mode| self.mode == "both" || self.mode == mode.word().bits().to_string())
            .filter(|mode| *mode == CpuMode::Protected32 || self.cpu.has_long_mode())
    }

    fn against(&self) -> Against {
        if self.engine != "jit" {
            return Against::Processor;
        }
        let tiering = Tiering {
            tiers: match self.tier.as_str() {
                "1" => Tiers::First,
                "2" => Tiers::Second,
                _ => Tiers::Both,
            },
            threshold: 2,
            background: false,
            ..Tiering::default()
        };
        if self.x87 == "f64" { Against::JitInDoubles(tiering) } else { Against::Jit(tiering) }
    }

    /// What decides which cases there are.
    fn asked(&self) -> String {
        let Arguments { seed, first, cases, engine, tier, x87, sequences, mnemonic, .. } = self;
        let cpu = self.cpu.name;
        format!(
            "seed {seed}, from {first} for {cases}, {engine}, tier {tier}, x87 {x87}, sequences {sequences}, mnemonic {mnemonic:?}, cpu {cpu}"
        )
    }

    /// The command of a worker for `range`: these arguments, one word size.
    fn worker_command(&self, mode: CpuMode, range: Range) -> Command {
        let mut command = hokku_runtime::host::program::own_command();
        let mut argument = |name: &str, value: String| {
            command.arg(name).arg(value);
        };
        argument("--seed", self.seed.to_string());
        argument("--mode", mode.word().bits().to_string());
        argument("--engine", self.engine.clone());
        argument("--tier", self.tier.clone());
        argument("--x87", self.x87.clone());
        argument("--reports", self.reports.to_string());
        argument("--cpu", self.cpu.name.into());
        if let Some(mnemonic) = &self.mnemonic {
            argument("--mnemonic", mnemonic.clone());
        }
        if self.sequences {
            command.arg("--sequences");
        }
        command.arg("--worker").arg(range.from.to_string()).arg(range.to.to_string());
        command
    }
}

/// Whether x87 registers may be in use behind `code` that were empty, whatever is in them then: in doubles nobody knows.
fn fills_empty_registers(code: Code) -> bool {
    let name = format!("{code:?}");
    let is_mmx = name.split('_').any(|part| part == "mm" || part.starts_with("mmm"));
    is_mmx || matches!(code.mnemonic(), Mnemonic::Fldenv | Mnemonic::Emms)
}

/// The processor called `name`.
fn model(name: &str) -> Result<CpuModel, String> {
    let names = || CpuModel::ALL.iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
    CpuModel::from_name(name).ok_or_else(|| format!("there are {}", names()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(range) = &arguments.worker {
        return worker(&arguments, range[0], range[1]);
    }
    if arguments.list {
        list(&arguments);
        return ExitCode::SUCCESS;
    }
    let done = match &arguments.lab {
        Some(to) => write_lab(&to[0], Path::new(&to[1]), arguments.seed),
        None => compare(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Writes cases of the lab to a file for each family.
fn write_lab(count: &str, dir: &Path, seed: u64) -> Result<bool, String> {
    let count: usize = count.parse().map_err(|e| format!("{count}: {e}"))?;
    for family in lab::FAMILIES {
        // Pieces have the registers of a whole state.
        let count = if family == "pieces" { count / 4 } else { count };
        let file = dir.join(format!("{family}.jsonl"));
        fs::write(&file, lab::cases(family, count, seed)?).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(true)
}

/// Runs all that is asked for, a part after the other; whether all is the same.
fn compare(arguments: &Arguments) -> Result<bool, String> {
    if arguments.modes().all(|mode| arguments.plan(mode).codes.is_empty()) {
        return Err("no instruction that can be compared has that name and word size".into());
    }
    let mut progress = Progress::open(arguments.state.as_deref(), &arguments.asked())?;
    let mut all = Tally::default();
    for mode in arguments.modes() {
        let plan = arguments.plan(mode);
        if plan.codes.is_empty() {
            continue;
        }
        let bits = mode.word().bits();
        let start = Instant::now();
        let end = arguments.first + arguments.cases;
        let (mut next, mut tally) = progress.of(&bits.to_string(), arguments.first);
        let before = tally.cases;
        while next < end {
            let part = end.min(next + PART);
            let programs = Range { from: next / STATES, to: part.div_ceil(STATES) };
            let found = jobs::run(programs.split(arguments.jobs.max(1)), |r| arguments.worker_command(mode, r));
            for report in &found.reports {
                println!("{report}");
            }
            tally.add(Tally { reports: Vec::new(), ..found });
            next = part;
            progress.note(&bits.to_string(), next, &tally)?;
            if next < end {
                eprintln!(
                    "{bits}-bit: {next} of {end}, {} differences; go on with --first {next}",
                    tally.differences()
                );
            }
        }
        let rate = (tally.cases - before) as f64 / start.elapsed().as_secs_f64();
        eprintln!(
            "{}-bit: {} instructions, {} cases ({} exceptions, {} skipped, {} untranslated), {} differences, {} crashes, {rate:.0}/s",
            bits,
            plan.codes.len(),
            tally.cases,
            tally.exceptions,
            tally.skipped,
            tally.untranslated,
            tally.differences(),
            tally.crashes.len(),
        );
        for crash in &tally.crashes {
            println!("{}-bit, {crash}", mode.word().bits());
            let number = crash.split([' ', ':']).nth(1).and_then(|n| n.parse().ok());
            if let Some(program) = number.and_then(|n| plan.program(n).1) {
                println!("{}", report::listing(&program));
            }
        }
        all.add(tally);
    }
    for (name, n) in &all.explained {
        eprintln!("{n:10} explained: {name}");
    }
    for (name, n) in &all.different {
        println!("{n:8} {name}");
    }
    Ok(all.differences() == 0 && all.crashes.is_empty())
}

fn list(arguments: &Arguments) {
    for mode in arguments.modes() {
        let bits = mode.word().bits();
        for code in arguments.plan(mode).codes {
            let mut rng = Rng::new(arguments.seed, code as u64);
            let found = (0..20).any(|_| Program::single(&mut rng, code, mode).is_some());
            println!("{bits}  {}  {code:?}", if found { "compared" } else { "no encoding found" });
        }
        for (code, reason) in case::left_out(mode) {
            println!("{bits}  left out: {reason}  {code:?}");
        }
    }
}

fn worker(arguments: &Arguments, from: u64, to: u64) -> ExitCode {
    for mode in arguments.modes() {
        let mut runner = match Runner::new(arguments.against(), mode, arguments.cpu) {
            Ok(runner) => runner,
            Err(why) => {
                eprintln!("{why}");
                return ExitCode::from(2);
            }
        };
        let range = Range { from, to };
        let tally = runner.run(&arguments.plan(mode), from, to, |number| jobs::announce(range, number));
        if let Err(error) = jobs::hand_over(&tally) {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
