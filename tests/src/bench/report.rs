//! The table and the JSON of a benchmark run.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::measure::geometric_mean;
use super::startup::StartUp;
use super::translating::{self, Translating};

/// All that one run of the benchmarks found.
#[derive(Debug, Deserialize, Serialize)]
pub struct Report {
    /// Processor model of the machine.
    pub machine: String,
    /// Commit of the project, with `-dirty` where the tree had changes.
    pub commit: String,
    /// How often each command was run; figures are medians.
    pub rounds: usize,
    /// One table a flavour.
    pub tables: Vec<Table>,
    /// Single figures, in microseconds: start of `hello`, a system call, a message through two ports.
    pub latencies: Vec<Latency>,
    /// Starts of programs, with and without a translation cache.
    #[serde(default)]
    pub start_up: Vec<StartUp>,
    /// Executed instructions on other hosts, one table a flavour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executed: Vec<Executed>,
    /// What translating took in the whole programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub translating: Vec<Translating>,
}

/// Executed instructions of the kernels of one flavour.
#[derive(Debug, Deserialize, Serialize)]
pub struct Executed {
    /// What the kernels were compiled for.
    pub flavour: String,
    /// The hosts.
    pub machines: Vec<String>,
    /// One row a kernel.
    pub rows: Vec<ExecutedRow>,
}

/// Executed instructions of one kernel, all for the same work.
#[derive(Debug, Deserialize, Serialize)]
pub struct ExecutedRow {
    /// Its name.
    pub kernel: String,
    /// Of the guest.
    pub guest: u64,
    /// Of each host with hokku; `None` where that failed.
    pub hokku: Vec<Option<u64>>,
    /// Of each host with the kernel compiled for it; `None` where it cannot be.
    pub native: Vec<Option<u64>>,
    /// What went wrong.
    pub errors: Vec<String>,
}

impl ExecutedRow {
    /// For host `n`: instructions with hokku per guest instruction, and per instruction of the host's own form.
    fn ratios(&self, n: usize) -> (Option<f64>, Option<f64>) {
        let Some(hokku) = self.hokku[n] else { return (None, None) };
        let per = |count: u64| hokku as f64 / count as f64;
        (Some(per(self.guest)), self.native[n].map(per))
    }

    /// The ratios of all hosts.
    pub fn text(&self) -> String {
        let cell = |ratio: Option<f64>| ratio.map_or(format!(" {:>8}", "-"), |r| format!(" {r:>8.2}"));
        let both = |n| {
            let (guest, native) = self.ratios(n);
            format!("  {}{}", cell(guest), cell(native))
        };
        (0..self.hokku.len()).map(both).collect()
    }
}

impl Executed {
    fn text(&self) -> String {
        let mut out = format!(
            "\nexecuted host instructions, {}: per guest instruction, per native instruction\n{:<18}",
            self.flavour, ""
        );
        for machine in &self.machines {
            let _ = write!(out, "  {machine:>18}");
        }
        out.push('\n');
        for row in &self.rows {
            let _ = writeln!(out, "{:<18}{}", row.kernel, row.text());
        }
        let _ = write!(out, "{:<18}", "geometric mean");
        for n in 0..self.machines.len() {
            let mean = |values: Vec<f64>| geometric_mean(&values);
            let guest = mean(self.rows.iter().filter_map(|r| r.ratios(n).0).collect());
            let native = mean(self.rows.iter().filter_map(|r| r.ratios(n).1).collect());
            let _ = write!(out, "   {guest:>8.2} {native:>8.2}");
        }
        out.push('\n');
        for row in self.rows.iter().filter(|r| !r.errors.is_empty()) {
            let _ = writeln!(out, "{}: {}", row.kernel, row.errors.join("; "));
        }
        out
    }
}

/// The kernels of one flavour.
#[derive(Debug, Deserialize, Serialize)]
pub struct Table {
    /// What the kernels were compiled for.
    pub flavour: String,
    /// Names of the columns after `native`.
    pub runners: Vec<String>,
    /// One row a kernel.
    pub rows: Vec<Row>,
}

/// One kernel.
#[derive(Debug, Deserialize, Serialize)]
pub struct Row {
    /// Its name.
    pub kernel: String,
    /// Processor time of the native program, seconds.
    pub native_seconds: f64,
    /// Time of each runner divided by the native time; `None` where it failed.
    pub ratios: Vec<Option<f64>>,
    /// How many runs of each runner the ratio is of. Reports from before there was a limit for slow runners have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<usize>,
    /// What went wrong, a line a runner that failed.
    pub errors: Vec<String>,
}

/// One latency.
#[derive(Debug, Deserialize, Serialize)]
pub struct Latency {
    /// What.
    pub name: String,
    /// Microseconds.
    pub microseconds: f64,
}

impl Table {
    /// Geometric mean of each column over the kernels that it ran.
    pub fn means(&self) -> Vec<f64> {
        (0..self.runners.len())
            .map(|n| geometric_mean(&self.rows.iter().filter_map(|r| r.ratios[n]).collect::<Vec<_>>()))
            .collect()
    }

    /// A line for each runner with the kernels of which it had less than `rounds` runs.
    fn fewer_runs(&self, rounds: usize) -> String {
        let mut out = String::new();
        for (n, runner) in self.runners.iter().enumerate() {
            let of = |row: &Row| row.ran().find(|(column, runs)| *column == n && *runs < rounds);
            let fewer: Vec<String> =
                self.rows.iter().filter_map(|row| Some(format!("{} {}", row.kernel, of(row)?.1))).collect();
            if !fewer.is_empty() {
                let _ = writeln!(out, "{runner}, fewer runs: {}", fewer.join(", "));
            }
        }
        out
    }
}

impl Row {
    /// The columns that ran, with how often they did.
    fn ran(&self) -> impl Iterator<Item = (usize, usize)> {
        self.runs.iter().copied().enumerate().filter(|(n, _)| self.ratios[*n].is_some())
    }
}

impl Report {
    /// A report without figures.
    pub fn new(machine: String, commit: String, rounds: usize) -> Self {
        let (tables, latencies, start_up) = (Vec::new(), Vec::new(), Vec::new());
        Self { machine, commit, rounds, tables, latencies, start_up, executed: Vec::new(), translating: Vec::new() }
    }

    /// Of how many runs the tables' figures are.
    pub fn medians(&self) -> String {
        let mut runs = self.tables.iter().flat_map(|t| &t.rows).flat_map(Row::ran);
        let fewer = runs.any(|(_, runs)| runs < self.rounds);
        format!("medians of {} runs{}", self.rounds, if fewer { ", of the slowest fewer" } else { "" })
    }

    /// The tables as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = write!(out, "{}, commit {}", self.machine, self.commit);
        if !self.tables.is_empty() {
            let _ = write!(out, ", {}; processor time / native", self.medians());
        }
        out.push('\n');
        for table in &self.tables {
            let _ = write!(out, "\n{:<18} {:>9}", table.flavour, "native s");
            for runner in &table.runners {
                let _ = write!(out, " {runner:>12}");
            }
            out.push('\n');
            for row in &table.rows {
                let _ = write!(out, "{:<18} {:>9.3}", row.kernel, row.native_seconds);
                for ratio in &row.ratios {
                    let _ = match ratio {
                        Some(ratio) => write!(out, " {ratio:>12.2}"),
                        None => write!(out, " {:>12}", "failed"),
                    };
                }
                out.push('\n');
            }
            let _ = write!(out, "{:<18} {:>9}", "geometric mean", "");
            for mean in table.means() {
                let _ = write!(out, " {mean:>12.2}");
            }
            out.push('\n');
            for row in table.rows.iter().filter(|r| !r.errors.is_empty()) {
                let _ = writeln!(out, "{}: {}", row.kernel, row.errors.join("; "));
            }
            out.push_str(&table.fewer_runs(self.rounds));
        }
        for executed in &self.executed {
            out.push_str(&executed.text());
        }
        out.push_str(&translating::text(&self.translating));
        for StartUp { program, native, wall, processor } in &self.start_up {
            let _ = writeln!(out, "start of {program}: native {native:.0} µs");
            for (which, (wall, processor)) in
                ["without a cache", "filling a cache", "with a cache"].iter().zip(wall.iter().zip(processor))
            {
                let _ = writeln!(out, "  {which}: {wall:.0} µs, {processor:.0} µs of processor time");
            }
        }
        for latency in &self.latencies {
            let _ = writeln!(out, "{:<40} {:>10.2} us", latency.name, latency.microseconds);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::build::workspace;
    use super::*;

    #[test]
    fn the_mean_leaves_failures_out_and_the_table_names_them() {
        let row = |kernel: &str, ratio: Option<f64>| Row {
            kernel: kernel.into(),
            native_seconds: 1.0,
            ratios: vec![ratio],
            runs: vec![2],
            errors: if ratio.is_none() { vec!["jit: crash".into()] } else { vec![] },
        };
        let rows = vec![row("a", Some(2.0)), row("b", None), row("c", Some(8.0))];
        let table = Table { flavour: "x86_64".into(), runners: vec!["jit".into()], rows };
        assert!((table.means()[0] - 4.0).abs() < 1e-12);
        let report = Report {
            machine: "m".into(),
            commit: "c".into(),
            rounds: 2,
            tables: vec![table],
            latencies: vec![],
            start_up: vec![],
            translating: vec![],
            executed: vec![Executed {
                flavour: "x86_64".into(),
                machines: vec!["riscv64".into()],
                rows: vec![
                    ExecutedRow {
                        kernel: "d".into(),
                        guest: 100,
                        hokku: vec![Some(300)],
                        native: vec![Some(120)],
                        errors: vec![],
                    },
                    ExecutedRow {
                        kernel: "e".into(),
                        guest: 100,
                        hokku: vec![None],
                        native: vec![None],
                        errors: vec!["riscv64: wrong output".into()],
                    },
                ],
            }],
        };
        let text = report.text();
        assert!(text.contains("3.00") && text.contains("2.50") && text.contains("e: riscv64: wrong output"), "{text}");
        assert!(text.contains("failed") && text.contains("b: jit: crash") && text.contains("4.00"), "{text}");
        assert!(text.contains("medians of 2 runs;") && !text.contains("fewer"), "{text}");
    }

    #[test]
    fn the_text_says_what_ran_less_often() {
        let row = |kernel: &str, ratio, runs| Row {
            kernel: kernel.into(),
            native_seconds: 1.0,
            ratios: vec![Some(1.0), ratio],
            runs,
            errors: vec![],
        };
        let mut report = Report::new("m".into(), "c".into(), 5);
        let rows = vec![row("a", Some(2.0), vec![5, 5]), row("b", Some(20.0), vec![5, 2]), row("c", None, vec![5, 0])];
        let runners = vec!["hokku".into(), "qemu".into()];
        report.tables.push(Table { flavour: "x86_64".into(), runners, rows });
        let text = report.text();
        assert!(text.contains("medians of 5 runs, of the slowest fewer;"), "{text}");
        assert!(text.contains("\nqemu, fewer runs: b 2\n") && !text.contains("hokku, fewer"), "{text}");
    }

    #[test]
    fn earlier_results_can_be_read() {
        let folder = workspace().join("tests/bench/results");
        let files = fs::read_dir(&folder).expect("the folder of results").map(|e| e.expect("a result").path());
        let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
        assert!(!files.is_empty());
        for file in files {
            let text = fs::read_to_string(&file).expect("a result");
            let report: Report = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            // All that it says is understood.
            let again = serde_json::to_value(&report).expect("a report as JSON");
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            for (field, value) in json.as_object().expect("fields") {
                assert_eq!(value, &again[field], "{}: {field}", file.display());
            }
        }
    }
}
