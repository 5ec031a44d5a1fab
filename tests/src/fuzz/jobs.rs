//! Runs cases in worker processes: several at once, each with the same addresses, and a crash of one is a result like any other.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::run::Tally;

/// A range of programs for one worker.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The first.
    pub from: u64,
    /// One past the last.
    pub to: u64,
}

impl Range {
    /// The parts of the range for `jobs` workers.
    pub fn split(self, jobs: u64) -> Vec<Range> {
        let len = self.to - self.from;
        let bound = |n: u64| self.from + len * n / jobs;
        (0..jobs).map(|n| Range { from: bound(n), to: bound(n + 1) }).filter(|r| r.from < r.to).collect()
    }
}

/// How many crashes a range may have before the rest of it is given up.
const CRASHES: usize = 20;

/// How many programs a worker runs between two that it tells of, which takes its time.
const STRIDE: u64 = 64;

/// The worker's side: tells which program comes next. In a long range that is one of many, in a short one each.
pub fn announce(range: Range, number: u64) {
    if range.to - range.from <= STRIDE || number % STRIDE == 0 {
        // A parent that is gone needs no telling; the worker ends with its range.
        let _ = writeln!(io::stdout(), "p {number}");
    }
}

/// The worker's side: hands over what it found.
pub fn hand_over(tally: &Tally) -> io::Result<()> {
    let json = serde_json::to_string(tally).map_err(io::Error::other)?;
    writeln!(io::stdout(), "t {json}")
}

/// Runs `ranges` in one worker each, made by `command`; what they found, crashes included.
pub fn run(ranges: Vec<Range>, command: impl Fn(Range) -> Command + Sync) -> Tally {
    let mut all = Tally::default();
    let command = &command;
    thread::scope(|scope| {
        let workers: Vec<_> = ranges.into_iter().map(|r| scope.spawn(move || range(r, command))).collect();
        for worker in workers {
            all.add(worker.join().expect("a worker's thread does not panic"));
        }
    });
    all
}

fn range(range: Range, command: impl Fn(Range) -> Command) -> Tally {
    let mut tally = Tally::default();
    let mut waiting = vec![range];
    let mut crashes = 0;
    while let Some(range) = waiting.pop().filter(|r| r.from < r.to) {
        match command(range).stdout(Stdio::piped()).spawn().and_then(one) {
            Ok((Some(found), _, _)) => tally.add(found),
            Ok((None, at, status)) => {
                // What the worker found before is found again by one that ends before the crash.
                let at = at.unwrap_or(range.from);
                let end = (at + STRIDE).min(range.to);
                let parts = if range.to - range.from <= STRIDE {
                    tally.crashes.push(format!("program {at}: the worker ended with {status}"));
                    crashes += 1;
                    [Range { from: at + 1, ..range }, Range { to: at, ..range }].to_vec()
                } else {
                    [Range { from: end, ..range }, Range { from: at, to: end }, Range { to: at, ..range }].to_vec()
                };
                waiting.extend(parts.into_iter().filter(|r| r.from < r.to));
            }
            Err(error) => {
                tally.crashes.push(format!("cannot run a worker: {error}"));
                return tally;
            }
        }
        if crashes >= CRASHES {
            tally.crashes.push(format!("given up: programs {waiting:?}"));
            break;
        }
    }
    tally
}

/// How long a worker may be silent: a program takes microseconds, but the machine may be busy with other things.
const PATIENCE: Duration = Duration::from_secs(600);

/// Reads what one worker says: its tally, if it got that far, and the program that it ran last. One that hangs is killed.
fn one(mut child: Child) -> io::Result<(Option<Tally>, Option<u64>, ExitStatus)> {
    let (mut tally, mut last) = (None, None);
    let (send, lines) = mpsc::sync_channel(1024);
    let out = child.stdout.take();
    thread::scope(|scope| {
        scope.spawn(move || {
            let lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
            // A receiver that is gone has given the worker up.
            lines.map_while(Result::ok).take_while(|line| send.send(line.clone()).is_ok()).count()
        });
        loop {
            let line = match lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
                Err(mpsc::RecvTimeoutError::Timeout) => return child.kill(),
            };
            match line.split_once(' ') {
                Some(("p", number)) => last = number.parse().ok(),
                Some(("t", json)) => tally = serde_json::from_str(json).ok(),
                _ => {}
            }
        }
    })?;
    Ok((tally, last, child.wait()?))
}
