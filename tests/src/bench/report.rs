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
    /// Executed instructions on other hosts, one table a flavour.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub executed: Vec<Executed>,
}

/// Executed instructions of the kernels of one flavour.
#[derive(Debug, Serialize)]
pub struct Executed {
    /// What the kernels were compiled for.
    pub flavour: String,
    /// The hosts.
    pub machines: Vec<String>,
    /// One row a kernel.
    pub rows: Vec<ExecutedRow>,
}

/// Executed instructions of one kernel, all for the same work.
#[derive(Debug, Serialize)]
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
    /// A report without figures.
    pub fn new(machine: String, commit: String, rounds: usize) -> Self {
        let (tables, latencies, start_up, executed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { machine, commit, rounds, tables, latencies, start_up, executed }
    }

    /// The tables as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = write!(out, "{}, commit {}", self.machine, self.commit);
        if !self.tables.is_empty() {
            let _ = write!(out, ", medians of {} runs; processor time / native", self.rounds);
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
        }
        for executed in &self.executed {
            out.push_str(&executed.text());
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
    }
}
