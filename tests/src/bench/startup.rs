//! How long programs take to start: without a translation cache on disk, filling an empty one, and with a full one.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::build::{Flavour, target_dir};
use super::measure::{self, Job, median};
use super::programs;

/// A program's start, from `exec` to exit: microseconds, medians.
#[derive(Debug, Deserialize, Serialize)]
pub struct StartUp {
    /// The program.
    pub program: String,
    /// Native, wall clock.
    pub native: f64,
    /// Under hokku, wall clock: `--no-cache`, with an empty cache, with what that run left.
    pub wall: [f64; 3],
    /// The same, processor time.
    pub processor: [f64; 3],
}

/// Times the small `hello` of both word sizes, and a program with 6 MB of code that runs all of it once.
///
/// # Errors
/// Where something cannot be built or fails.
pub fn measure(hokku: &Path, natives: &Path, rounds: usize) -> Result<Vec<StartUp>, String> {
    let mut list = Vec::new();
    for arch in ["x86_64", "x86"] {
        let native = Job::new(Path::new("echo"), &[&"Hello, Haiku!"]);
        list.push(one(hokku, &format!("hello ({arch})"), &native, &["--arch", arch, "hello"], rounds)?);
    }
    let flat = programs::build("flat", Flavour::X86_64, natives)?;
    let root = flat.root.to_str().ok_or("the target folder's path is no text")?;
    list.push(one(
        hokku,
        "6 MB of code (x86_64)",
        &Job::new(&flat.native, &[&"1"]),
        &["--root", root, &flat.guest, "1"],
        rounds,
    )?);
    Ok(list)
}

/// The folder of the cache that benchmarks use.
pub fn cache() -> PathBuf {
    target_dir().join("bench/cache")
}

fn one(hokku: &Path, name: &str, native: &Job, program: &[&str], rounds: usize) -> Result<StartUp, String> {
    let folder = cache().join("start-up");
    let under = |options: &[&dyn AsRef<std::ffi::OsStr>]| {
        let mut job = Job::new(hokku, &[&"run"]);
        job.args.extend(options.iter().map(|o| o.as_ref().to_os_string()));
        job.args.extend(program.iter().map(Into::into));
        job
    };
    let jobs = [under(&[&"--no-cache"]), under(&[&"--cache-dir", &folder]), under(&[&"--cache-dir", &folder])];
    let mut walls = [(); 4].map(|()| Vec::new());
    let mut processor = [(); 3].map(|()| Vec::new());
    let mut expected = None;
    for _ in 0..rounds {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        for (i, job) in jobs.iter().enumerate() {
            let run = measure::run(job)?;
            if *expected.get_or_insert_with(|| run.output.clone()) != run.output {
                return Err(format!("{name}: wrong output"));
            }
            walls[i].push(run.wall * 1e6);
            processor[i].push(run.seconds * 1e6);
        }
        walls[3].push(measure::run(native)?.wall * 1e6);
    }
    let middle = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        median(&times)
    };
    let [without, filling, full, native] = walls.map(middle);
    Ok(StartUp { program: name.into(), native, wall: [without, filling, full], processor: processor.map(middle) })
}
