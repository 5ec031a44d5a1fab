//! What translating takes in whole programs, as `hokku run --stats` tells it: without a translation cache on disk, filling one, and with one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::build::Flavour;
use super::measure::{self, Job, median};
use super::programs::Built;
use super::startup;

/// What translating took in one program.
#[derive(Debug, Deserialize, Serialize)]
pub struct Translating {
    /// The program.
    pub program: String,
    /// What it was compiled for.
    pub flavour: String,
    /// How often it was run in each state.
    pub runs: usize,
    /// With `--no-cache`.
    pub without: Spent,
    /// With an empty cache, which this run fills.
    pub filling: Spent,
    /// With what that run left.
    pub warm: Spent,
}

/// Times of one run in milliseconds; or of several, then each figure is the median of its own.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Spent {
    /// From start to end, by the clock.
    pub wall: f64,
    /// Translating on the guest's thread; writing translations to the cache is not in it.
    pub translating: f64,
    /// Reading translations that were found, on either thread.
    pub reading: f64,
    /// Translating for the second tier, on a thread beside the guest's.
    pub second_tier: f64,
    /// Translating on the guest's thread and reading, as a part of the time from start to end.
    pub share: f64,
    /// Bytes of guest code that the guest's thread translated in a second of translating; `None` where it translated nothing.
    pub bytes_per_second: Option<f64>,
}

/// The lines of `--stats` that are read.
const TRANSLATING: &str = "nanoseconds translating";
const READING: &str = "nanoseconds reading translations";
const SECOND_TIER: &str = "nanoseconds translating, second tier";
const BYTES: &str = "guest code bytes";

/// Runs a program `rounds` times in each of the three states, which take turns.
///
/// # Errors
/// Where a run fails, writes something else than the first one, or does not tell what it spent.
pub fn measure(
    hokku: &Path,
    program: &str,
    flavour: Flavour,
    built: &Built,
    rounds: usize,
) -> Result<Translating, String> {
    let of = |e| format!("{program}, {}: {e}", flavour.name());
    let folder = startup::cache().join("translating");
    let under = |cache: &[&dyn AsRef<OsStr>]| {
        let program: [&dyn AsRef<OsStr>; 3] = [&"--root", &built.root, &built.guest];
        Job::new(hokku, &[&[&"run" as &dyn AsRef<OsStr>, &"--stats"], cache, &program].concat())
    };
    let jobs = [under(&[&"--no-cache"]), under(&[&"--cache-dir", &folder]), under(&[&"--cache-dir", &folder])];
    let mut spent = [(); 3].map(|()| Vec::new());
    let mut expected = None;
    for _ in 0..rounds {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        for (job, spent) in jobs.iter().zip(&mut spent) {
            let run = measure::run(job).map_err(of)?;
            if *expected.get_or_insert_with(|| run.output.clone()) != run.output {
                return Err(of("wrong output".into()));
            }
            spent.push(Spent::of(run.wall, &run.errors).map_err(of)?);
        }
    }
    let [without, filling, warm] = spent.map(|runs| Spent::middle(&runs));
    let (program, flavour) = (program.into(), flavour.name().into());
    Ok(Translating { program, flavour, runs: rounds, without, filling, warm })
}

/// The values of `names` among the lines of `stats`, which are a number and a name each.
fn values<const N: usize>(stats: &str, names: [&str; N]) -> Result<[u64; N], String> {
    let mut found = BTreeMap::new();
    for (value, name) in stats.lines().filter_map(|line| line.trim_start().split_once(' ')) {
        if names.contains(&name) {
            let value: u64 = value.parse().map_err(|e| format!("`--stats` says {value:?} {name}: {e}"))?;
            if found.insert(name, value).is_some() {
                return Err(format!("`--stats` says twice how many {name}"));
            }
        }
    }
    let mut list = [0; N];
    for (to, name) in list.iter_mut().zip(names) {
        *to = *found.get(name).ok_or_else(|| format!("`--stats` does not say how many {name}"))?;
    }
    Ok(list)
}

impl Spent {
    /// What a run took that lasted `wall` seconds and wrote `stats`.
    fn of(wall: f64, stats: &str) -> Result<Self, String> {
        let [translating, reading, second_tier, bytes] = values(stats, [TRANSLATING, READING, SECOND_TIER, BYTES])?;
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        Ok(Spent {
            wall: wall * 1e3,
            translating: milliseconds(translating),
            reading: milliseconds(reading),
            second_tier: milliseconds(second_tier),
            share: (translating + reading) as f64 / 1e9 / wall,
            bytes_per_second: (bytes > 0 && translating > 0).then(|| bytes as f64 * 1e9 / translating as f64),
        })
    }

    /// The median of each figure.
    fn middle(runs: &[Spent]) -> Self {
        let of = |figure: &dyn Fn(&Spent) -> Option<f64>| {
            let mut values: Vec<f64> = runs.iter().filter_map(figure).collect();
            values.sort_by(f64::total_cmp);
            median(&values)
        };
        Spent {
            wall: of(&|s| Some(s.wall)),
            translating: of(&|s| Some(s.translating)),
            reading: of(&|s| Some(s.reading)),
            second_tier: of(&|s| Some(s.second_tier)),
            share: of(&|s| Some(s.share)),
            bytes_per_second: Some(of(&|s| s.bytes_per_second)).filter(|speed| speed.is_finite()),
        }
    }

    fn text(&self) -> String {
        let Spent { wall, translating, reading, second_tier, share, bytes_per_second } = self;
        let speed = bytes_per_second.map_or("-".into(), |speed| format!("{:.2}", speed / 1e6));
        let share = share * 100.0;
        format!("{wall:>9.1} {translating:>11.2} {reading:>9.2} {second_tier:>11.2} {share:>8.2} % {speed:>9}")
    }
}

/// `list` as a table.
pub fn text(list: &[Translating]) -> String {
    if list.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\ntranslating, ms     {:<15} {:>9} {:>11} {:>9} {:>11} {:>10} {:>9}\n",
        "cache", "wall", "translating", "reading", "second tier", "share", "MB/s"
    );
    for Translating { program, flavour, without, filling, warm, .. } in list {
        let states = [("without a cache", without), ("filling a cache", filling), ("with a cache", warm)];
        for ((state, spent), name) in states.into_iter().zip([&format!("{program} {flavour}"), "", ""]) {
            out.push_str(&format!("{name:<19} {state:<15} {}\n", spent.text()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "            12 regions translated\n          3000 guest code bytes\n\
        \x20       400000 nanoseconds reading translations\n       1500000 nanoseconds translating\n\
        \x20           20 guest code bytes, second tier\n       2500000 nanoseconds translating, second tier\n\
        \x20     2000000 guest code bytes translated a second, first tier\n";

    #[test]
    fn what_a_run_spent_is_read_from_its_statistics() {
        let spent = Spent {
            wall: 19.0,
            translating: 1.5,
            reading: 0.4,
            second_tier: 2.5,
            share: 0.1,
            bytes_per_second: Some(2e6),
        };
        assert_eq!(Spent::of(0.019, STATS), Ok(spent.clone()));
        let text = text(&[Translating {
            program: "lua".into(),
            flavour: "x86_64".into(),
            runs: 1,
            without: spent.clone(),
            filling: Spent { bytes_per_second: None, ..spent.clone() },
            warm: spent,
        }]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines[2][..],
            ["lua", "x86_64", "without", "a", "cache", "19.0", "1.50", "0.40", "2.50", "10.00", "%", "2.00"]
        );
        assert_eq!(lines[3][..3], ["filling", "a", "cache"]);
        assert_eq!(lines[3].last(), Some(&"-"));
    }

    #[test]
    fn a_line_that_is_missing_twice_there_or_no_number_is_an_error() {
        for name in [TRANSLATING, READING, SECOND_TIER, BYTES] {
            let is_it = |line: &&str| line.trim_start().split_once(' ').is_some_and(|(_, n)| n == name);
            let line = STATS.lines().find(is_it).expect("the line is there");
            let without = STATS.replace(&format!("{line}\n"), "");
            assert!(Spent::of(1.0, &without).is_err_and(|e| e.contains(&format!("does not say how many {name}"))));
            assert!(Spent::of(1.0, &format!("{STATS}{line}\n")).is_err_and(|e| e.contains("twice")));
            let wrong = format!("{without}    1.5 {name}\n");
            assert!(Spent::of(1.0, &wrong).is_err_and(|e| e.contains("1.5") && e.contains(name)));
        }
    }

    #[test]
    fn the_lines_are_those_of_the_runtime() {
        let lines = hokku_runtime::StatsReport::default().lines();
        for name in [TRANSLATING, READING, SECOND_TIER, BYTES] {
            assert!(lines.iter().any(|(line, _)| *line == name), "{name}");
        }
    }

    #[test]
    fn medians_are_of_each_figure_and_leave_runs_out_that_translated_nothing() {
        let run = |wall, share, bytes_per_second| Spent {
            wall,
            translating: 0.0,
            reading: 0.0,
            second_tier: 0.0,
            share,
            bytes_per_second,
        };
        let middle = Spent::middle(&[run(3.0, 0.1, None), run(1.0, 0.3, Some(5.0)), run(2.0, 0.2, None)]);
        assert_eq!(middle, run(2.0, 0.2, Some(5.0)));
        assert_eq!(Spent::middle(&[run(3.0, 0.1, None)]).bytes_per_second, None);
    }
}
