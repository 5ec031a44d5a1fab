//! Invariants of the source tree that `ARCHITECTURE.md` states.

use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of ours each crate may use.
const EDGES: &[(&str, &[&str])] = &[
    ("ir", &[]),
    ("frontend", &["ir"]),
    ("backend-x86_64", &["ir"]),
    ("backend-aarch64", &["ir"]),
    ("runtime", &["ir", "frontend", "backend-x86_64", "backend-aarch64"]),
    ("syscall-bridge", &["ir", "runtime"]),
    ("cli", &["ir", "frontend", "runtime", "syscall-bridge"]),
    ("tests", &["ir", "frontend", "backend-x86_64", "backend-aarch64", "runtime", "syscall-bridge", "cli"]),
];

/// Folders in which `unsafe` may stand; `tests` holds the native oracle.
const UNSAFE: &[&str] = &["backend-x86_64/", "runtime/src/host/", "syscall-bridge/src/host/", "tests/"];

/// Files that are longer than the limit, each with its reason.
const LONG: &[(&str, &str)] = &[];

const LINE_LIMIT: usize = 650;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests crate lies in the workspace").to_path_buf()
}

/// All tracked-like files below the root with one of `extensions`, as paths relative to it.
fn files(extensions: &[&str]) -> Vec<String> {
    fn walk(dir: &Path, top: &Path, extensions: &[&str], out: &mut Vec<String>) {
        for entry in fs::read_dir(dir).expect("readable folder").map(|e| e.expect("readable entry")) {
            let path = entry.path();
            let name = entry.file_name();
            if name == "target" || name == ".git" {
                continue;
            }
            if path.is_dir() {
                walk(&path, top, extensions, out);
            } else if extensions.iter().any(|e| path.extension().is_some_and(|x| x == *e)) {
                out.push(path.strip_prefix(top).expect("below the root").to_string_lossy().into_owned());
            }
        }
    }
    let mut out = Vec::new();
    walk(&root(), &root(), extensions, &mut out);
    out.sort();
    out
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Code without comments and string literals, line by line.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

#[test]
fn crates_depend_in_one_direction() {
    for (name, allowed) in EDGES {
        let manifest = read(&format!("{name}/Cargo.toml"));
        let main = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for (other, _) in EDGES {
            let package = if *other == "cli" { "hokku.".to_string() } else { format!("hokku-{other}") };
            let used = main.lines().any(|l| l.split(['.', ' ', '=']).next() == Some(package.trim_end_matches('.')));
            assert!(!used || allowed.contains(other), "{name} must not depend on {other}");
        }
    }
}

#[test]
fn unsafe_stands_where_the_design_allows_it() {
    for file in files(&["rs"]) {
        if UNSAFE.iter().any(|dir| file.starts_with(dir)) {
            continue;
        }
        for (n, line) in code(&read(&file)).enumerate() {
            let word = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            assert!(!word, "{file}:{}: unsafe outside of the host folders", n + 1);
        }
    }
    for name in ["ir", "frontend", "cli"] {
        let head = if name == "cli" { "cli/src/main.rs".to_string() } else { format!("{name}/src/lib.rs") };
        assert!(read(&head).contains("#![forbid(unsafe_code)]"), "{head} must forbid unsafe code");
    }
}

#[test]
fn the_host_is_asked_only_in_host_folders() {
    let allowed = ["backend-x86_64/", "runtime/src/host/", "syscall-bridge/src/host/", "tests/"];
    for file in files(&["rs"]) {
        if allowed.iter().any(|dir| file.starts_with(dir)) {
            continue;
        }
        for (n, line) in code(&read(&file)).enumerate() {
            assert!(
                !line.contains("target_arch"),
                "{file}:{}: host processor asked outside of the host folders",
                n + 1
            );
        }
    }
}

#[test]
fn files_are_short() {
    for file in files(&["rs", "c"]) {
        let lines = read(&file).lines().count();
        let excused = LONG.iter().any(|(f, _)| *f == file);
        assert!(lines <= LINE_LIMIT || excused, "{file} has {lines} lines: find two rooms, or give a reason in LONG");
        assert!(lines > LINE_LIMIT || !excused, "{file} needs its exception no more: remove it from LONG");
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for file in files(&["rs", "c", "h", "S"]) {
        if file == "tests/tests/tidy.rs" {
            continue;
        }
        for (n, line) in read(&file).lines().enumerate() {
            for word in ["todo!(", "unimplemented!(", "FIXME", "XXX", "#[ignore"] {
                assert!(!line.contains(word), "{file}:{}: {word}", n + 1);
            }
        }
    }
}

#[test]
fn pages_name_files_that_exist() {
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        for word in read(page).split('`').skip(1).step_by(2) {
            let path = word.trim_end_matches('/');
            let looks_like_path = path.contains('/') && !path.contains(' ') && !path.contains(['<', '*', '$', ':']);
            if looks_like_path && EDGES.iter().any(|(dir, _)| path.starts_with(&format!("{dir}/"))) {
                assert!(root().join(path).exists(), "{page} names {path}, which does not exist");
            }
        }
    }
}

/// Compares a generated page with the checked-in one; `UPDATE_EXPECT=1` rewrites it.
fn check_page(path: &str, fresh: &str) {
    let at = root().join(path);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&at, fresh).unwrap_or_else(|e| panic!("{path}: {e}"));
        return;
    }
    assert!(
        fs::read_to_string(&at).unwrap_or_default() == fresh,
        "{path} is out of date: run UPDATE_EXPECT=1 cargo test -p hokku-tests --test tidy"
    );
}

#[test]
fn the_page_of_ops_is_fresh() {
    check_page("docs/ir.md", &hokku_ir::text::reference::markdown());
}

#[test]
fn the_page_of_instructions_is_fresh() {
    check_page("docs/isa.md", &hokku_frontend::markdown());
}

#[test]
fn no_instruction_of_a_processor_model_is_missing() {
    let missing: u32 = hokku_frontend::by_extension().values().map(|c| c.missing).sum();
    assert_eq!(missing, 0, "see `hokku isa --missing`");
}

#[test]
fn the_page_of_system_calls_is_fresh() {
    check_page("docs/syscalls.md", &hokku_syscall_bridge::coverage::markdown());
}

/// System calls that are missing: the number may only fall.
#[test]
fn missing_system_calls_only_get_fewer() {
    const MISSING: usize = 78;
    let missing = hokku_syscall_bridge::TABLE.iter().filter(|c| c.support.word() == "missing").count();
    assert!(missing <= MISSING, "{missing} system calls are missing; there were {MISSING}");
    assert!(missing >= MISSING, "only {missing} system calls are missing now: lower MISSING to that");
}
