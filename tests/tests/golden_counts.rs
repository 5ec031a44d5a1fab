//! How many host instructions guest code becomes: the table `tests/golden/counts.txt`, in which numbers may only fall; and
//! `tests/golden/alternate_floats.txt`, of floats on aarch64 processors that compute as x86 does.
//!
//! A line is `COUNTS | BYTES | GUEST CODE`: a number for each host that the line `hosts` names, the guest's bytes, and what they are, which is
//! rewritten from the bytes. New hosts' columns come last. `?` is a number that is not known yet; `-` stands for code that is not translated. Lines that start with `#` name
//! what follows; `== ` starts a section and says the word size; code of one that starts with `ordered` is for a team whose accesses others see.
//!
//! `UPDATE_EXPECT=1 cargo test -p hokku-tests --test golden_counts` writes the numbers that have fallen or were not known;
//! `UPDATE_EXPECT=raise` also those that have risen: say why in the commit.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use hokku_ir::backend::Backend;
use hokku_ir::{CpuMode, Exit, GuestAddr, Region, Trap};
use hokku_tests::hosts;
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};

/// Where the code lies.
const START: GuestAddr = GuestAddr(0x1000);

/// What a call of the evaluator counts: it takes about as long as this many instructions.
const CALLOUT: u32 = 100;

/// An expected or found number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    /// Not measured yet.
    Unknown,
    /// The code holds an instruction that is not translated.
    Untranslated,
    /// Host instructions.
    Number(u32),
}

impl Count {
    fn read(text: &str) -> Count {
        match text {
            "?" => Count::Unknown,
            "-" => Count::Untranslated,
            n => Count::Number(n.parse().unwrap_or_else(|e| panic!("{n}: {e}"))),
        }
    }

    fn text(self) -> String {
        match self {
            Count::Unknown => "?".into(),
            Count::Untranslated => "-".into(),
            Count::Number(n) => n.to_string(),
        }
    }

    /// Whether `found` may stand where this was.
    fn allows(self, found: Count) -> bool {
        match (self, found) {
            (Count::Number(old), Count::Number(new)) => new <= old,
            (Count::Number(_), _) => false,
            _ => true,
        }
    }
}

fn is_untranslated(region: &Region) -> bool {
    region.blocks.iter().any(|b| matches!(b.exit, Exit::Trap { trap: Trap::Untranslated, .. }))
}

/// Whether the guest leaves the code by running on behind its end alone, which costs the same for all code.
fn only_runs_on(region: &Region) -> bool {
    matches!(&region.blocks[..], [block] if matches!(block.exit, Exit::Trap { trap: Trap::Fetch, .. }))
}

/// Number of instructions of `host` for `code`.
fn count(host: &dyn Backend, mode: CpuMode, ordered: bool, code: &[u8]) -> Count {
    let compiled = |code: &[u8]| {
        let region = hosts::region(mode, START, code, ordered);
        let (untranslated, runs_on) = (is_untranslated(&region), only_runs_on(&region));
        let compiled = hosts::compile(host, &region);
        let count = compiled.host_instructions + CALLOUT * compiled.block_callouts;
        (count, untranslated, runs_on)
    };
    let (count, untranslated, runs_on) = compiled(code);
    if untranslated {
        return Count::Untranslated;
    }
    let way_out = if runs_on { compiled(&[]).0 } else { 0 };
    Count::Number(count.checked_sub(way_out).expect("code has its way out"))
}

fn guest(mode: CpuMode, code: &[u8]) -> String {
    let mut formatter = NasmFormatter::new();
    formatter.options_mut().set_space_after_operand_separator(true);
    let mut text = Vec::new();
    for insn in Decoder::with_ip(mode.word().bits(), code, START.0, DecoderOptions::NONE).iter() {
        assert!(!insn.is_invalid(), "{code:02x?} holds what is no instruction");
        let mut line = String::new();
        formatter.format(&insn, &mut line);
        text.push(line);
    }
    text.join("; ")
}

fn bytes(text: &str) -> Vec<u8> {
    assert!(text.len() % 2 == 0 && !text.is_empty(), "`{text}` is not bytes");
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap_or_else(|e| panic!("{text}: {e}"));
    (0..text.len()).step_by(2).map(byte).collect()
}

fn table(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

#[test]
fn counts_only_fall() {
    check_table("counts.txt", &hosts::all(), [400, 50]);
}

#[test]
fn floats_of_aarch64_as_x86_does_only_fall() {
    check_table("alternate_floats.txt", &[("aarch64-afp", hosts::aarch64_afp())], [45, 5]);
}

/// Checks the table `name` for `hosts`, which has so many lines of instructions and of idioms at least.
fn check_table(name: &str, hosts: &[(&'static str, Box<dyn Backend>)], least: [usize; 2]) {
    let update = std::env::var("UPDATE_EXPECT").unwrap_or_default();
    let old = fs::read_to_string(table(name)).expect("the table can be read");
    let (mut new, mut wrong) = (String::new(), String::new());
    let mut mode = CpuMode::Long64;
    let mut lines = [0, 0];
    let (mut idioms, mut ordered) = (false, false);
    for line in old.lines() {
        if line.is_empty() || line.starts_with('#') {
            let _ = writeln!(new, "{line}");
            continue;
        }
        if let Some(title) = line.strip_prefix("== ") {
            mode = if title.contains("32-bit") { CpuMode::Protected32 } else { CpuMode::Long64 };
            ordered = title.starts_with("ordered");
            idioms = title.starts_with("idioms");
            let _ = writeln!(new, "{line}");
            continue;
        }
        if let Some(names) = line.strip_prefix("hosts ") {
            let columns: Vec<&str> = hosts.iter().map(|h| h.0).collect();
            let same = names.split_whitespace().eq(columns.iter().copied());
            assert!(same || !update.is_empty(), "the columns are {names}, the hosts {columns:?}");
            let _ = writeln!(new, "hosts {}", columns.join(" "));
            continue;
        }
        let parts: Vec<&str> = line.splitn(3, '|').map(str::trim).collect();
        let [counts, hex, text] = parts[..] else { panic!("`{line}` is no line of the table") };
        let code = bytes(hex);
        let name = guest(mode, &code);
        let expected: Vec<Count> = counts.split_whitespace().map(Count::read).collect();
        let found: Vec<Count> = hosts.iter().map(|(_, host)| count(host.as_ref(), mode, ordered, &code)).collect();
        let mut written = Vec::new();
        for (n, found) in found.into_iter().enumerate() {
            let expected = expected.get(n).copied().unwrap_or(Count::Unknown);
            let good = expected.allows(found);
            if !good && update != "raise"
                || expected == Count::Unknown && update.is_empty()
                || text != name && update.is_empty()
            {
                let _ = writeln!(
                    wrong,
                    "{}: {} -> {}: {name} (written: {text})",
                    hosts[n].0,
                    expected.text(),
                    found.text()
                );
            }
            written.push(if good || update == "raise" { found } else { expected });
        }
        let columns: Vec<String> = written.into_iter().map(|c| format!("{:>6}", c.text())).collect();
        let _ = writeln!(new, "{} | {hex} | {name}", columns.join(" "));
        lines[usize::from(idioms)] += 1;
    }
    assert!(lines[0] >= least[0] && lines[1] >= least[1], "only {} instructions and {} idioms", lines[0], lines[1]);
    if !update.is_empty() {
        fs::write(table(name), new).expect("the table can be written");
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_EXPECT=1 writes what has fallen, UPDATE_EXPECT=raise all");
}
