//! `hokku lab`: runs flat pieces of guest code from JSON, without any system around them.
//!
//! Cases run in worker processes (this binary again), so that one that hangs or crashes costs only itself.

pub(crate) mod case;
mod worker;

use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use case::{Case, Outcome};
use clap::Args;

use crate::EngineName;
use crate::cpu::CpuOption;
use crate::tier::TierArgs;

/// Time that a worker gets beyond a case's own limit before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// Options of `hokku lab`.
#[derive(Args)]
pub(crate) struct LabArgs {
    /// What runs the guest code
    #[arg(long, value_enum, default_value_t = EngineName::Jit)]
    engine: EngineName,
    #[command(flatten)]
    cpu: CpuOption,
    #[command(flatten)]
    tier: TierArgs,
    /// Cases that run at a time [default: one a processor]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Folder in which relative `file` names of the input are looked up
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Internal: run the cases in this process, one answer a line
    #[arg(long, hide = true)]
    worker: bool,
}

/// Reads cases from stdin, writes their results to stdout in the same order.
///
/// # Errors
/// Where stdin or stdout fails, or no worker can be started.
pub(crate) fn lab(args: &LabArgs) -> Result<()> {
    if args.worker {
        return worker::run(args.engine, &args.cpu, args.tier.tiering(), &args.dir);
    }
    let jobs = args.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    let (results, ordered) = mpsc::channel::<(usize, String)>();
    thread::scope(|scope| {
        // Few lines ahead of the workers: a suite may be larger than memory.
        let (feed, lines) = mpsc::sync_channel(jobs * 2);
        let lines = Arc::new(Mutex::new(lines));
        scope.spawn(move || {
            for line in io::stdin().lines().enumerate() {
                if feed.send(line).is_err() {
                    return;
                }
            }
        });
        for _ in 0..jobs {
            let results = results.clone();
            let lines = Arc::clone(&lines);
            scope.spawn(move || {
                let mut worker = None;
                loop {
                    let next = lines.lock().unwrap_or_else(|e| e.into_inner()).recv();
                    let Ok((number, line)) = next else { return };
                    let result = match line {
                        Ok(line) => one(&mut worker, args, &line),
                        Err(error) => failure("", "setup_error", format!("stdin: {error}")),
                    };
                    if results.send((number, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        write_in_order(&ordered)
    })
}

fn write_in_order(results: &Receiver<(usize, String)>) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut waiting = std::collections::BTreeMap::new();
    let mut next = 0;
    for (number, line) in results {
        waiting.insert(number, line);
        while let Some(line) = waiting.remove(&next) {
            if !line.is_empty() {
                writeln!(out, "{line}").context("cannot write results")?;
            }
            next += 1;
        }
    }
    out.flush().context("cannot write results")
}

fn failure(id: &str, reason: &str, message: String) -> String {
    serde_json::to_string(&Outcome::without_state(id, reason, Some(message))).unwrap_or_default()
}

/// Runs one case in `worker`, which is started where there is none; a worker that fails is thrown away.
fn one(worker: &mut Option<Worker>, args: &LabArgs, line: &str) -> String {
    if line.trim().is_empty() {
        return String::new();
    }
    let case: Case = match serde_json::from_str(line) {
        Ok(case) => case,
        Err(error) => {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            return failure(value["id"].as_str().unwrap_or_default(), "setup_error", error.to_string());
        }
    };
    if worker.is_none() {
        match Worker::start(args) {
            Ok(started) => *worker = Some(started),
            Err(error) => return failure(&case.id, "setup_error", format!("{error:#}")),
        }
    }
    let answer = worker.as_mut().map(|w| w.ask(line, Duration::from_millis(case.timeout_ms) + GRACE));
    match answer {
        Some(Answer::Line(result)) => result,
        Some(Answer::Late) => {
            *worker = None;
            failure(&case.id, "timeout", format!("no end after {} ms", case.timeout_ms))
        }
        Some(Answer::Gone) | None => {
            let how = worker.take().map_or_else(String::new, Worker::how_it_ended);
            failure(&case.id, "killed", how)
        }
    }
}

struct Worker {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

enum Answer {
    Line(String),
    Late,
    Gone,
}

impl Worker {
    fn start(args: &LabArgs) -> Result<Worker> {
        let mut child = hokku_runtime::host::program::own_command()
            .args([
                "lab",
                "--worker",
                "--engine",
                args.engine.name(),
                "--cpu",
                args.cpu.model.name,
                "--x87",
                args.cpu.x87.name(),
            ])
            .args(args.tier.again())
            .arg(&args.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a worker")?;
        let input = child.stdin.take().context("the worker has no stdin")?;
        let output = child.stdout.take().context("the worker has no stdout")?;
        let (send, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Worker { child, input, answers })
    }

    fn ask(&mut self, line: &str, limit: Duration) -> Answer {
        if writeln!(self.input, "{line}").and_then(|()| self.input.flush()).is_err() {
            return Answer::Gone;
        }
        match self.answers.recv_timeout(limit) {
            Ok(answer) => Answer::Line(answer),
            Err(RecvTimeoutError::Timeout) => Answer::Late,
            Err(RecvTimeoutError::Disconnected) => Answer::Gone,
        }
    }

    fn how_it_ended(mut self) -> String {
        match self.child.wait() {
            Ok(status) => format!("the worker ended: {status}"),
            Err(error) => format!("the worker ended: {error}"),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only where the worker has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
