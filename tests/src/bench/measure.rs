//! Runs commands and takes their processor time.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A command that does the work once.
#[derive(Clone, Debug)]
pub struct Job {
    /// Program.
    pub program: PathBuf,
    /// Arguments.
    pub args: Vec<OsString>,
    /// How often to run it at most.
    pub most: usize,
    /// The same where its first run takes more than [`SLOW`] times as long as the first job's.
    pub most_if_slow: usize,
}

/// From what multiple of the first job's time on a job is slow.
pub const SLOW: f64 = 10.0;

impl Job {
    /// `program` with `args`.
    pub fn new(program: &Path, args: &[&dyn AsRef<std::ffi::OsStr>]) -> Self {
        Job {
            program: program.to_path_buf(),
            args: args.iter().map(|a| a.as_ref().to_os_string()).collect(),
            most: usize::MAX,
            most_if_slow: usize::MAX,
        }
    }

    /// How often to run it at most, whose first run took `times` as long as the first job's.
    fn most_at(&self, times: f64) -> usize {
        if times > SLOW { self.most.min(self.most_if_slow) } else { self.most }
    }
}

/// What one run gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Processor time, user and system, of the command and its children that it waited for: seconds.
    pub seconds: f64,
    /// Time from start to end: seconds.
    pub wall: f64,
    /// What it wrote to stdout.
    pub output: Vec<u8>,
    /// What it wrote to stderr.
    pub errors: String,
}

/// Runs `job` to its end.
///
/// # Errors
/// Where it cannot be started or does not end with success.
pub fn run(job: &Job) -> Result<Run, String> {
    let started = std::time::Instant::now();
    let mut child = Command::new(&job.program)
        .args(&job.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", job.program.display()))?;
    let mut output = Vec::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_end(&mut output).map_err(|e| format!("{}: {e}", job.program.display()))?;
    }
    let (status, seconds) = wait(child.id())?;
    let wall = started.elapsed().as_secs_f64();
    let mut errors = Vec::new();
    if let Some(stderr) = &mut child.stderr {
        stderr.read_to_end(&mut errors).map_err(|e| format!("{}: {e}", job.program.display()))?;
    }
    let errors = String::from_utf8_lossy(&errors).into_owned();
    if status != 0 {
        return Err(format!("{} {:?} ended with status {status:#x}: {errors}", job.program.display(), job.args));
    }
    Ok(Run { seconds, wall, output, errors })
}

/// Waits for a child; gives its wait status and processor time.
fn wait(pid: u32) -> Result<(i32, f64), String> {
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals; the child is ours and nobody else waits for it.
    let waited = unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) };
    if waited < 0 {
        return Err(format!("cannot wait for the command: {}", std::io::Error::last_os_error()));
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Ok((status, seconds(usage.ru_utime) + seconds(usage.ru_stime)))
}

/// Processor times of `jobs`, taken in turns so that a change of the machine's speed meets all of them: one list a job, sorted.
/// A job that fails or whose output differs from the first job's gives its error instead. The first round tells which jobs are slow.
pub fn interleaved(jobs: &[Job], rounds: usize) -> Vec<Result<Vec<f64>, String>> {
    let mut results: Vec<Result<Vec<f64>, String>> = jobs.iter().map(|_| Ok(Vec::new())).collect();
    let mut most: Vec<usize> = jobs.iter().map(|job| job.most).collect();
    let (mut expected, mut reference): (Option<Vec<u8>>, Option<f64>) = (None, None);
    for round in 0..rounds {
        for (n, (job, result)) in jobs.iter().zip(&mut results).enumerate() {
            let Ok(times) = result else { continue };
            if round >= most[n] {
                continue;
            }
            match run(job) {
                Ok(run) => {
                    let output = expected.get_or_insert_with(|| run.output.clone());
                    if *output == run.output {
                        times.push(run.seconds);
                        if round == 0 {
                            let first = *reference.get_or_insert(run.seconds);
                            most[n] = job.most_at(run.seconds / first);
                        }
                    } else {
                        *result = Err("wrong output".into());
                    }
                }
                Err(error) => *result = Err(error),
            }
        }
    }
    for times in results.iter_mut().flatten() {
        times.sort_by(f64::total_cmp);
    }
    results
}

/// The middle of a sorted list; not a number where it is empty.
pub fn median(sorted: &[f64]) -> f64 {
    match sorted {
        [] => f64::NAN,
        _ => (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0,
    }
}

/// The geometric mean; not a number where the list is empty.
pub fn geometric_mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means() {
        assert_eq!(median(&[1.0, 2.0, 10.0]), 2.0);
        assert_eq!(median(&[1.0, 3.0]), 2.0);
        assert!((geometric_mean(&[2.0, 8.0]) - 4.0).abs() < 1e-12);
        assert!(median(&[]).is_nan() && geometric_mean(&[]).is_nan());
    }

    #[test]
    fn a_failing_or_lying_command_is_an_error() {
        let job = |text: &str| Job::new(Path::new("sh"), &[&"-c", &text]);
        let results = interleaved(&[job("echo a"), job("echo b"), job("exit 3"), job("echo a")], 2);
        assert_eq!(results[0].as_ref().map(Vec::len), Ok(2));
        assert_eq!(results[1], Err("wrong output".into()));
        assert!(results[2].as_ref().is_err_and(|e| e.contains("0x300")));
        assert_eq!(results[3].as_ref().map(Vec::len), Ok(2));
    }

    #[test]
    fn only_slow_jobs_are_run_less_often() {
        let job = Job { most: 7, most_if_slow: 2, ..Job::new(Path::new("sh"), &[]) };
        assert_eq!([0.5, 10.0, 10.1].map(|times| job.most_at(times)), [7, 7, 2]);
        assert_eq!(Job { most: 1, ..job }.most_at(11.0), 1);
        let job = |text: &str, most_if_slow| Job { most_if_slow, ..Job::new(Path::new("sh"), &[&"-c", &text]) };
        let long = "n=0; while [ $n -lt 100000 ]; do n=$((n + 1)); done";
        let results = interleaved(&[job("true", 1), job(long, 2), job(long, usize::MAX)], 3);
        let runs: Vec<Option<usize>> = results.iter().map(|r| r.as_ref().ok().map(Vec::len)).collect();
        assert_eq!(runs, [Some(3), Some(2), Some(3)], "{results:?}");
    }
}
