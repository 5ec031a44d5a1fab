//! The corpus that coverage-guided fuzzing found (`fuzz/`), given to the commands that read such input.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::hokku::hokku;
use crate::lab::{engines, lab};

fn corpus(target: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let corpus: Vec<_> = files.map(|f| f.expect("readable entry").path()).collect();
    assert!(corpus.len() >= 20, "{}: only {} inputs", dir.display(), corpus.len());
    corpus
}

/// Every file gets its report or its error; the exit code says that some cannot run.
#[test]
fn check_reports_every_file() {
    let files = corpus("elf");
    let mut arguments = vec!["check"];
    arguments.extend(files.iter().map(|f| f.to_str().expect("plain names")));
    let output = hokku(&arguments);
    assert_eq!(output.sound("check").code, 1, "{}", output.err);
    for file in &files {
        assert!(output.out.contains(file.to_str().expect("plain names")), "{} is not reported", file.display());
    }
}

/// Every case is answered on both engines, and none kills its worker.
#[test]
fn the_lab_answers_every_case() {
    let mut cases = Vec::new();
    for file in corpus("lab_json") {
        let bytes = fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let text = String::from_utf8_lossy(&bytes).replace(['\n', '\r'], " ");
        if text.trim().is_empty() {
            continue;
        }
        // Of cases that can be read, the time is limited.
        cases.push(match serde_json::from_str::<Value>(&text) {
            Ok(mut case) if case.get("timeout_ms").is_some() => {
                case["timeout_ms"] = json!(50);
                case.to_string()
            }
            _ => text,
        });
    }
    for engine in engines() {
        for (case, result) in cases.iter().zip(lab(engine, &cases)) {
            assert_ne!(result["stop"]["reason"], "killed", "{engine}: {case}\n{result}");
        }
    }
}
