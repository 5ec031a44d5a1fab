//! Guest bytes and every stage after them in one text file: `tests/filetests/*/*.txt`.
//!
//! A file starts with comments (`;`), a line `mode long64` or `mode protected32`, a line `stages` with the names of the sections that follow, and lines
//! `code` with hexadecimal bytes, which lie at [`START`]. Each section starts with `== name`:
//!
//! * `guest`: the decoder's listing.
//! * `frontend`: the region as the front end makes it.
//! * `passes`: the same after all passes, with flags exact only where they are read.
//! * `ordered`: the same for threads that share memory, with the fences that hosts with weak order need.
//! * `x86_64`: the number of host instructions, a ratchet: more is a failure, fewer is progress.
//!
//! `UPDATE_EXPECT=1 cargo test -p hokku-tests --test filetests` rewrites the sections (read the difference before committing it); it does not raise
//! a ratchet, `UPDATE_EXPECT=raise` does.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use hokku_backend_x86_64::{Features, X86_64};
use hokku_frontend::{Limits, translate};
use hokku_ir::backend::{Backend, Compiled};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::verify::verify;
use hokku_ir::{BlockKey, CpuMode, GuestAddr, Region, text};
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};

/// Guest address of the code.
const START: GuestAddr = GuestAddr(0x1000);

/// A file, parsed.
struct FileTest {
    /// Everything before the first section.
    head: String,
    mode: CpuMode,
    stages: Vec<String>,
    code: Vec<u8>,
    /// Text of each section that the file has.
    sections: Vec<(String, String)>,
}

fn parse(path: &Path) -> FileTest {
    let all = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (head, rest) = match all.find("\n== ") {
        Some(at) => all.split_at(at + 1),
        None => (all.as_str(), ""),
    };
    let mut test = FileTest {
        head: head.trim_end().to_string(),
        mode: CpuMode::Long64,
        stages: Vec::new(),
        code: Vec::new(),
        sections: Vec::new(),
    };
    for line in head.lines() {
        let line = line.split(';').next().unwrap_or_default().trim();
        match line.split_once(' ') {
            None if line.is_empty() => {}
            Some(("mode", "long64")) => test.mode = CpuMode::Long64,
            Some(("mode", "protected32")) => test.mode = CpuMode::Protected32,
            Some(("stages", names)) => test.stages = names.split_whitespace().map(str::to_string).collect(),
            Some(("code", bytes)) => {
                let byte =
                    |b: &str| u8::from_str_radix(b, 16).unwrap_or_else(|e| panic!("{}: {b}: {e}", path.display()));
                test.code.extend(bytes.split_whitespace().map(byte));
            }
            _ => panic!("{}: what is `{line}`?", path.display()),
        }
    }
    for section in rest.split("== ").filter(|s| !s.is_empty()) {
        let (name, body) = section.split_once('\n').unwrap_or((section, ""));
        test.sections.push((name.trim().to_string(), body.trim_end().to_string()));
    }
    test
}

/// The decoder's listing of `code`.
fn listing(code: &[u8], mode: CpuMode) -> String {
    let bitness = if mode == CpuMode::Long64 { 64 } else { 32 };
    let mut out = String::new();
    let mut formatter = NasmFormatter::new();
    for insn in Decoder::with_ip(bitness, code, START.0, DecoderOptions::NONE).iter() {
        let mut name = String::new();
        formatter.format(&insn, &mut name);
        let _ = writeln!(out, "  {:x}  {name}", insn.ip());
    }
    out
}

/// `region` as text, after checking that it is valid and that the text says all.
fn ir(region: &Region) -> String {
    verify(region).unwrap_or_else(|e| panic!("{e}\n{}", text::print::region(region)));
    let printed = text::print::region(region);
    let again = text::parse::region(&printed).unwrap_or_else(|e| panic!("{e}\n{printed}"));
    assert_eq!(text::print::region(&again), printed, "the text form does not say all");
    printed
}

fn compiled(mut region: Region) -> Compiled {
    let back_end = X86_64::new(Features::all());
    for name in back_end.passes() {
        passes::run_one(&mut region, name, FaultsSee::ExactFlags);
    }
    back_end.compile(&region)
}

/// `region` as it is translated when threads share memory.
fn ordered(region: &Region) -> Region {
    let mut region = region.clone();
    region.key.ordered = true;
    passes::run(&mut region, FaultsSee::LiveFlags);
    passes::run_one(&mut region, "memory_order", FaultsSee::LiveFlags);
    region
}

/// The sections as they are now.
fn produce(test: &FileTest) -> Vec<(String, String)> {
    let key = BlockKey::new(START, test.mode);
    let region = translate(&(START, &test.code[..]), key, &Limits::default());
    let mut optimised = region.clone();
    passes::run(&mut optimised, FaultsSee::LiveFlags);
    test.stages
        .iter()
        .map(|stage| {
            let body = match stage.as_str() {
                "guest" => listing(&test.code, test.mode),
                "frontend" => ir(&region),
                "passes" => ir(&optimised),
                "ordered" => ir(&ordered(&region)),
                "x86_64" => format!("{} host instructions", compiled(region.clone()).host_instructions),
                _ => panic!("there is no stage {stage}"),
            };
            (stage.clone(), body.trim_end().to_string())
        })
        .collect()
}

/// Whether a section is as the file says.
fn holds(stage: &str, expected: &str, found: &str) -> bool {
    let count = |s: &str| s.split(' ').next().and_then(|n| n.parse::<u32>().ok());
    match stage {
        "x86_64" => matches!((count(expected), count(found)), (Some(e), Some(f)) if f <= e),
        _ => expected == found,
    }
}

fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("filetests");
    let list = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).expect("a readable folder").map(|e| e.expect("a readable entry").path()).collect()
    };
    let mut files: Vec<PathBuf> = list(&root).iter().filter(|p| p.is_dir()).flat_map(|dir| list(dir)).collect();
    files.sort();
    files
}

#[test]
fn files_hold() {
    let update = std::env::var("UPDATE_EXPECT").unwrap_or_default();
    let mut wrong = String::new();
    let files = files();
    assert!(files.len() >= 40, "only {} filetests", files.len());
    for path in &files {
        let test = parse(path);
        let found = produce(&test);
        let mut text = format!("{}\n", test.head);
        for (stage, body) in &found {
            let expected = test.sections.iter().find(|(name, _)| name == stage).map(|(_, body)| body.as_str());
            let good = expected.is_some_and(|expected| holds(stage, expected, body));
            if !good && (update.is_empty() || update != "raise" && stage == "x86_64" && expected.is_some()) {
                let _ = writeln!(
                    wrong,
                    "{}: {stage}\n--- expected\n{}\n--- found\n{body}\n",
                    path.display(),
                    expected.unwrap_or("nothing")
                );
            }
            let _ = write!(text, "\n== {stage}\n{body}\n");
        }
        let names: Vec<&String> = test.sections.iter().map(|(name, _)| name).collect();
        if update.is_empty() && names != test.stages.iter().collect::<Vec<_>>() {
            let _ = writeln!(wrong, "{}: sections {names:?} are not the stages {:?}", path.display(), test.stages);
        }
        if !update.is_empty() && wrong.is_empty() {
            fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_EXPECT=1 rewrites the sections");
}

#[test]
fn order_costs_nothing_on_a_host_that_has_it() {
    assert!(!X86_64::new(Features::default()).needs_order());
    for path in files() {
        let test = parse(&path);
        let plain = translate(&(START, &test.code[..]), BlockKey::new(START, test.mode), &Limits::default());
        let key = BlockKey { ordered: true, ..plain.key };
        let shared = translate(&(START, &test.code[..]), key, &Limits::default());
        assert_eq!(compiled(shared).code, compiled(plain).code, "{}", path.display());
    }
}
