//! A benchmark run as a picture: one panel a table, one group of bars a program, on a logarithmic scale.

use std::fmt::Write;

use super::report::{Report, Table};

const BAR: f64 = 9.0;
const GAP: f64 = 7.0;
const LABELS: f64 = 150.0;
const SCALE: f64 = 560.0;
const HEAD: f64 = 46.0;
/// Fill colours of the runners, in order: hokku's first.
const COLOURS: &[&str] = &["#c0392b", "#e8a33d", "#7f8c8d", "#34698c", "#5b8c5a"];

/// The plot of `report` as SVG.
pub fn svg(report: &Report) -> String {
    let largest = report.tables.iter().flat_map(|t| &t.rows).flat_map(|r| r.ratios.iter().flatten());
    // The scale begins at half the native time and ends at the next power of two.
    let top = largest.fold(2.0_f64, |a, b| a.max(*b)).log2().ceil();
    let mut body = String::new();
    let mut y = 24.0;
    for table in &report.tables {
        y = panel(&mut body, table, y, top);
    }
    let width = LABELS + SCALE + 60.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" font-family=\"sans-serif\" \
         font-size=\"10\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"8\" y=\"15\">{}, commit {}, \
         {}</text>\n{body}</svg>\n",
        escaped(&report.machine),
        escaped(&report.commit),
        report.medians()
    )
}

const BOTTOM: f64 = -1.0;

/// Draws `table` from `y` on; `top` is the scale's end, as a power of two. Returns where it ends.
fn panel(out: &mut String, table: &Table, y: f64, top: f64) -> f64 {
    let place = |ratio: f64| LABELS + SCALE * (ratio.log2().clamp(BOTTOM, top) - BOTTOM) / (top - BOTTOM);
    let group = BAR * table.runners.len() as f64 + GAP;
    let rows = table.rows.len() as f64 + 1.0;
    let (first, end) = (y + HEAD, y + HEAD + group * rows);
    let _ = writeln!(
        out,
        "<text x=\"8\" y=\"{:.0}\" font-size=\"13\">{}: time / native time</text>",
        y + 16.0,
        escaped(&table.flavour)
    );
    for (n, runner) in table.runners.iter().enumerate() {
        let x = LABELS + 90.0 * n as f64;
        let _ = writeln!(
            out,
            "<rect x=\"{x:.0}\" y=\"{:.0}\" width=\"9\" height=\"9\" fill=\"{}\"/><text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            y + 22.0,
            colour(n),
            x + 13.0,
            y + 30.0,
            escaped(runner)
        );
    }
    let mut power = BOTTOM;
    while power <= top {
        let (x, stroke) = (place(power.exp2()), if power == 0.0 { "#000" } else { "#ddd" });
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {first:.0}V{end:.0}\" stroke=\"{stroke}\"/><text x=\"{x:.1}\" y=\"{:.0}\" \
             text-anchor=\"middle\">{}</text>",
            first - 3.0,
            power.exp2()
        );
        power += 1.0;
    }
    let means: Vec<Option<f64>> = table.means().into_iter().map(|m| m.is_finite().then_some(m)).collect();
    let all = table.rows.iter().map(|r| (r.kernel.as_str(), &r.ratios)).chain([("geometric mean", &means)]);
    for (row, (name, ratios)) in all.enumerate() {
        let at = first + group * row as f64 + GAP / 2.0;
        let middle = at + (group - GAP) / 2.0 + 3.5;
        let _ = writeln!(
            out,
            "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            LABELS - 6.0,
            escaped(name)
        );
        for (n, ratio) in ratios.iter().enumerate() {
            let bar = at + BAR * n as f64;
            let (width, text) = match ratio {
                Some(ratio) => (place(*ratio) - LABELS, format!("{ratio:.2}")),
                None => (0.0, "failed".into()),
            };
            let _ = writeln!(
                out,
                "<rect x=\"{LABELS}\" y=\"{bar:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"8\">{text}</text>",
                BAR - 1.0,
                colour(n),
                LABELS + width + 3.0,
                bar + 7.0
            );
        }
    }
    end + 14.0
}

fn colour(n: usize) -> &'static str {
    COLOURS[n % COLOURS.len()]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::report::{Report, Row, Table};
    use super::*;

    #[test]
    fn longer_bars_stand_for_larger_ratios_and_failures_are_named() {
        let row = |kernel: &str, ratio| Row {
            kernel: kernel.into(),
            native_seconds: 1.0,
            ratios: vec![ratio],
            runs: vec![1],
            errors: vec![],
        };
        let rows = vec![row("a<b", Some(1.0)), row("slow", Some(4.0)), row("broken", None)];
        let tables = vec![Table { flavour: "x86_64".into(), runners: vec!["hokku".into()], rows }];
        let picture = svg(&Report {
            machine: "m".into(),
            commit: "c".into(),
            rounds: 1,
            tables,
            latencies: vec![],
            start_up: vec![],
            executed: vec![],
            translating: vec![],
        });
        let widths: Vec<f64> = picture
            .lines()
            .filter_map(|l| {
                l.strip_prefix("<rect x=\"150\" y=")?.split("width=\"").nth(1)?.split('"').next()?.parse().ok()
            })
            .filter(|w| *w != 9.0)
            .collect();
        // The scale is logarithmic and begins at a half: 1 is one step, 4 three, the mean (2) two.
        assert!((widths[1] / widths[0] - 3.0).abs() < 0.01 && (widths[3] / widths[0] - 2.0).abs() < 0.01, "{widths:?}");
        assert_eq!(widths[2], 0.0);
        assert!(picture.contains("a&lt;b") && picture.contains("failed") && !picture.contains("a<b"));
    }
}
