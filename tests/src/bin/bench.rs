//! `bench`: times the benchmark kernels under hokku and other translators as ratios to native code.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

use clap::Parser;
use hokku_tests::bench::build::{self, Flavour};
use hokku_tests::bench::executed::{self, Machine};
use hokku_tests::bench::measure::{self, Job, median};
use hokku_tests::bench::plot;
use hokku_tests::bench::programs::{self, Built};
use hokku_tests::bench::report::{Latency, Report, Row, Table};
use hokku_tests::bench::{startup, translating};

/// Times the benchmark kernels and programs: native, hokku, and those of qemu-user, box64 and blink that are installed.
#[derive(Parser)]
struct Args {
    /// Kernels and programs to run [default: all]
    names: Vec<String>,
    /// Leave the whole programs out, whose sources cargo fetches
    #[arg(long)]
    no_programs: bool,
    /// Flavours to run: x86_64, x86-sse2, x86-x87 [default: all]
    #[arg(long, value_delimiter = ',')]
    flavour: Vec<String>,
    /// Times that each command is run; other translators that take more than ten times as long as the native program are run twice
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Also time hokku's interpreter on the kernels, once, with an eighth of their usual rounds
    #[arg(long)]
    interp: bool,
    /// Leave other translators out
    #[arg(long)]
    no_peers: bool,
    /// Leave out the latencies (starts, system call, ports)
    #[arg(long)]
    no_latencies: bool,
    /// Leave out what translating takes in the programs
    #[arg(long)]
    no_translating: bool,
    /// Count executed instructions under qemu instead: hosts among riscv64, riscv64-zb, riscv64-v, aarch64
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    executed: Vec<String>,
    /// With `--executed`: run one part in so many of the kernels' usual rounds
    #[arg(long, default_value_t = 16)]
    share: u64,
    /// With `--executed`: one more option of `hokku run`, for example --hokku=--x87=f64
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    hokku: Vec<String>,
    /// File for a plot of the results
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// File for the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match bench(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(args: &Args) -> Result<(), String> {
    let flavours: Vec<Flavour> = if args.flavour.is_empty() {
        Flavour::ALL.to_vec()
    } else {
        let find = |name: &String| Flavour::ALL.into_iter().find(|f| f.name() == name);
        args.flavour.iter().map(|n| find(n).ok_or(format!("there is no flavour {n}"))).collect::<Result<_, _>>()?
    };
    let mut lists = [build::kernels()?, programs::names(), programs::SYSTEMS.iter().map(ToString::to_string).collect()];
    if let Some(unknown) = args.names.iter().find(|n| !lists.iter().any(|l| l.contains(n))) {
        return Err(format!("there is no {unknown}; there are {}", lists.concat().join(", ")));
    }
    if !args.names.is_empty() {
        lists.iter_mut().for_each(|list| list.retain(|name| args.names.contains(name)));
    }
    let [kernels, mut programs, mut systems] = lists;
    if args.no_programs {
        programs.clear();
    }
    if !flavours.contains(&Flavour::X86_64) {
        systems.clear();
    }
    let mut report = Report::new(machine(), commit(), args.rounds);
    if !args.executed.is_empty() {
        report.rounds = 1;
        let machines = args.executed.iter().map(|name| Machine::named(name)).collect::<Result<Vec<_>, _>>()?;
        for flavour in flavours {
            let counted = executed::measure(&machines, flavour, &kernels, args.share.max(1), &args.hokku)?;
            report.executed.push(counted);
            save(args, &report)?;
        }
        print!("{}", report.text());
        return Ok(());
    }
    let hokku = build::hokku()?;
    let native = build::native()?;
    let mut bench = Bench { args, hokku: &hokku, report };
    for flavour in &flavours {
        let of = |kernel: &String| {
            let (root, guest) = flavour.guest(kernel)?;
            Some((kernel.clone(), Built { native: native.join(flavour.native_folder()).join(kernel), root, guest }))
        };
        bench.table(flavour.name(), *flavour, &kernels.iter().filter_map(of).collect::<Vec<_>>(), args.interp)?;
    }
    for flavour in &flavours {
        let mut built = Vec::new();
        for program in &programs {
            eprintln!("building {program} for {}", flavour.name());
            built.push((program.clone(), programs::build(program, *flavour, &native)?));
        }
        bench.table(&format!("programs {}", flavour.name()), *flavour, &built, false)?;
        if !args.no_translating {
            bench.translating(*flavour, &built)?;
        }
    }
    let build = |name: &String| Ok::<_, String>((name.clone(), programs::build_system(name)?));
    let built = systems.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    bench.table("system x86_64", Flavour::X86_64, &built, false)?;
    let mut report = bench.report;
    if !args.no_latencies {
        report.latencies = latencies(&hokku, args.rounds)?;
        report.start_up = startup::measure(&hokku, &native, args.rounds)?;
    }
    print!("{}", report.text());
    save(args, &report)
}

/// Writes the files that were asked for: after each row, so that a run that is cut off leaves what it found.
fn save(args: &Args, report: &Report) -> Result<(), String> {
    if let Some(file) = &args.svg {
        fs::write(file, plot::svg(report)).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(report).map_err(|e| e.to_string())?;
        fs::write(file, json + "\n").map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(())
}

struct Bench<'a> {
    args: &'a Args,
    hokku: &'a Path,
    report: Report,
}

impl Bench<'_> {
    /// The other translators on this machine that run Linux programs of `flavour`.
    fn peers(&self, flavour: Flavour) -> Vec<&'static str> {
        let all: &[&str] = match flavour {
            Flavour::X86_64 => &["qemu-x86_64", "box64", "blink"],
            Flavour::Sse2 | Flavour::X87 => &["qemu-i386"],
        };
        let is_there = |peer: &&str| Command::new(peer).arg("--version").output().is_ok_and(|o| o.status.success());
        if self.args.no_peers { Vec::new() } else { all.iter().copied().filter(is_there).collect() }
    }

    /// Times each of `programs` under everything, as a table of the report; none where there are no programs. With `interp` they are kernels.
    fn table(
        &mut self,
        name: &str,
        flavour: Flavour,
        programs: &[(String, Built)],
        interp: bool,
    ) -> Result<(), String> {
        if programs.is_empty() {
            return Ok(());
        }
        let peers = self.peers(flavour);
        let mut runners = vec!["hokku".to_string()];
        runners.extend(interp.then(|| "hokku interp".into()));
        runners.extend(peers.iter().map(|p| p.to_string()));
        let at = self.report.tables.len();
        self.report.tables.push(Table { flavour: name.into(), runners: runners.clone(), rows: Vec::new() });
        for (program, Built { native, root, guest }) in programs {
            let cache = startup::cache();
            let under = |engine: &str| {
                let line: [&dyn AsRef<OsStr>; 8] =
                    [&"run", &"--cache-dir", &cache, &"--root", root, &"--engine", &engine, &guest.as_str()];
                Job::new(self.hokku, &line)
            };
            let mut jobs = vec![Job::new(native, &[]), under("jit")];
            // They take most of the time, up to 140 times the native one.
            jobs.extend(peers.iter().map(|peer| Job { most_if_slow: 2, ..Job::new(Path::new(peer), &[native]) }));
            eprint!("{name} {program} ... ");
            let mut results = measure::interleaved(&jobs, self.args.rounds);
            let native_seconds = median(results[0].as_ref().map_err(|e| format!("{program}, native: {e}"))?);
            if interp {
                let per_native = interpreted(program, Job::new(native, &[]), under("interp"));
                results.insert(2, per_native.map(|ratio| vec![ratio * native_seconds]));
            }
            let ratios: Vec<Option<f64>> =
                results[1..].iter().map(|r| r.as_ref().ok().map(|times| median(times) / native_seconds)).collect();
            let runs = results[1..].iter().map(|r| r.as_ref().map_or(0, Vec::len)).collect();
            let failed = |(runner, result): (&String, &Result<Vec<f64>, String>)| {
                result.as_ref().err().map(|e| format!("{runner}: {e}"))
            };
            let errors = runners.iter().zip(&results[1..]).filter_map(failed).collect();
            eprintln!("{ratios:.2?}");
            self.report.tables[at].rows.push(Row { kernel: program.clone(), native_seconds, ratios, runs, errors });
            save(self.args, &self.report)?;
        }
        Ok(())
    }

    /// Finds what translating takes in those of `programs` that the last table has times of.
    fn translating(&mut self, flavour: Flavour, programs: &[(String, Built)]) -> Result<(), String> {
        for (program, built) in programs {
            let ran = |row: &Row| row.kernel == *program && row.ratios[0].is_some();
            if self.report.tables.last().is_some_and(|table| table.rows.iter().any(ran)) {
                eprintln!("translating {program}, {}", flavour.name());
                let found = translating::measure(self.hokku, program, flavour, built, self.args.rounds)?;
                self.report.translating.push(found);
                save(self.args, &self.report)?;
            }
        }
        Ok(())
    }
}

/// Time of `interp` divided by that of `native`, both of one part in so many of what `kernel` usually does: some fifty times slower, the interpreter
/// would take most of the run, and once tells enough.
fn interpreted(kernel: &str, native: Job, interp: Job) -> Result<f64, String> {
    const SHARE: u64 = 8;
    let rounds = (executed::standard_rounds(kernel)? / SHARE).max(1).to_string();
    let part = |mut job: Job| {
        job.args.push(rounds.as_str().into());
        job
    };
    let jobs = [part(native), Job { most: 1, ..part(interp) }];
    let results = measure::interleaved(&jobs, 3).into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(median(&results[1]) / median(&results[0]))
}

fn latencies(hokku: &Path, rounds: usize) -> Result<Vec<Latency>, String> {
    let mut list = Vec::new();
    for arch in ["x86_64", "x86"] {
        let cache = startup::cache();
        let job = |program: &str| {
            let line: [&dyn AsRef<OsStr>; 6] = [&"run", &"--cache-dir", &cache, &"--arch", &arch, &program];
            Job::new(hokku, &line)
        };
        let mut walls: Vec<f64> =
            (0..rounds.max(10)).map(|_| measure::run(&job("hello")).map(|r| r.wall * 1e6)).collect::<Result<_, _>>()?;
        walls.sort_by(f64::total_cmp);
        list.push(Latency { name: format!("{arch}: start to end of hello"), microseconds: median(&walls) });
        for program in ["syscall_timer", "port_timer"] {
            list.push(Latency { name: format!("{arch}: {program}"), microseconds: reported(&job(program))? });
        }
    }
    Ok(list)
}

/// The figure in nanoseconds that a timing program prints before `ns`, as microseconds.
fn reported(job: &Job) -> Result<f64, String> {
    let run = measure::run(job)?;
    let text = String::from_utf8_lossy(&run.output).into_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .windows(2)
        .find(|w| w[1].starts_with("ns"))
        .and_then(|w| w[0].parse::<f64>().ok())
        .map(|ns| ns / 1000.0)
        .ok_or_else(|| format!("{:?} printed no figure: {text}", job.args))
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")).map(|l| l.trim_start_matches([' ', '\t', ':']));
    model.unwrap_or(std::env::consts::ARCH).to_string()
}

fn commit() -> String {
    let git = |args: &[&str]| -> io::Result<String> {
        let output = Command::new("git").args(args).current_dir(build::workspace()).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let id = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_default();
    let changed = git(&["status", "--porcelain"]).unwrap_or_default();
    if changed.is_empty() { id } else { format!("{id}-dirty") }
}
