//! The corpus that coverage-guided fuzzing found (`fuzz/`), given to the same functions again: none may panic.

use std::fs;
use std::path::{Path, PathBuf};

use hokku_tests::parsers;

/// Every input of a fuzz target.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let read = |path: PathBuf| (path.clone(), fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    let corpus: Vec<_> = files.map(|f| read(f.expect("readable entry").path())).collect();
    assert!(corpus.len() >= 20, "{}: only {} inputs", dir.display(), corpus.len());
    corpus
}

#[test]
fn elf() {
    for (_, bytes) in corpus("elf") {
        parsers::elf(&bytes);
    }
}

#[test]
fn frontend() {
    for (_, bytes) in corpus("frontend") {
        parsers::frontend(&bytes);
    }
}

#[test]
fn ir_text() {
    for (path, bytes) in corpus("ir_text") {
        let text = String::from_utf8(bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        parsers::ir_text(&text);
    }
}
