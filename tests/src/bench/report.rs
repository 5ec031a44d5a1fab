//! The table and the JSON of a benchmark run.

use std::fmt::Write;

use serde::Serialize;

use super::measure::geometric_mean;
use super::startup::StartUp;

/// All that one run of the benchmarks found.
#[derive(Debug, Serialize)]
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
    pub start_up: Vec<StartUp>,
}

/// The kernels of one flavour.
#[derive(Debug, Serialize)]
pub struct Table {
    /// What the kernels were compiled for.
    pub flavour: String,
    /// Names of the columns after `native`.
    pub runners: Vec<String>,
    /// One row a kernel.
    pub rows: Vec<Row>,
}

/// One kernel.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub kernel: String,
    /// Processor time of the native program, seconds.
    pub native_seconds: f64,
    /// Time of each runner divided by the native time; `None` where it failed.
    pub ratios: Vec<Option<f64>>,
    /// What went wrong, a line a runner that failed.
    pub errors: Vec<String>,
}

/// One latency.
#[derive(Debug, Serialize)]
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
}

impl Report {
    /// The tables as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{}, commit {}, medians of {} runs; processor time / native",
            self.machine, self.commit, self.rounds
        );
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
        }
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
    use super::*;

    #[test]
    fn the_mean_leaves_failures_out_and_the_table_names_them() {
        let row = |kernel: &str, ratio: Option<f64>| Row {
            kernel: kernel.into(),
            native_seconds: 1.0,
            ratios: vec![ratio],
            errors: if ratio.is_none() { vec!["jit: crash".into()] } else { vec![] },
        };
        let rows = vec![row("a", Some(2.0)), row("b", None), row("c", Some(8.0))];
        let table = Table { flavour: "x86_64".into(), runners: vec!["jit".into()], rows };
        assert!((table.means()[0] - 4.0).abs() < 1e-12);
        let report = Report {
            machine: "m".into(),
            commit: "c".into(),
            rounds: 1,
            tables: vec![table],
            latencies: vec![],
            start_up: vec![],
        };
        let text = report.text();
        assert!(text.contains("failed") && text.contains("b: jit: crash") && text.contains("4.00"), "{text}");
    }
}
