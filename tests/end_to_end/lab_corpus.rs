//! The lab's own corpus, `tests/lab`: cases with the results of a processor. Both engines must give these, and change nothing else.
//!
//! `cargo run --release -p hokku-tests --bin fuzz -- --lab 60 tests/lab` makes the corpus, on an x86-64 Linux host with AVX2.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::lab::{engines, lab};

/// Value of a register that a case does not name.
fn reset(name: &str) -> Value {
    match name {
        "rflags" => json!("0x202"),
        "mxcsr" => json!("0x1f80"),
        "fcw" => json!("0x37f"),
        _ if name.starts_with("fpr") => json!(["0x0", "0x0"]),
        _ if name.starts_with("xmm") => json!(["0x0", "0x0"]),
        _ if name.starts_with("ymm") => json!(["0x0", "0x0", "0x0", "0x0"]),
        _ => json!("0x0"),
    }
}

/// What `regs` says of `name`: a case names the whole of a vector register, the lab maybe its lower half alone.
fn named(regs: &Value, name: &str) -> Option<Value> {
    if let Some(number) = name.strip_prefix("xmm") {
        let whole = regs.get(format!("ymm{number}"))?;
        return Some(json!([whole[0], whole[1]]));
    }
    regs.get(name).cloned()
}

/// What is compared on this host. The results are an Intel's: code that an x86 processor of another make runs as it is leaves other undefined flags.
fn compared() -> Vec<&'static str> {
    let intel = || fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("GenuineIntel"));
    let is_of_another_make = cfg!(target_arch = "x86_64") && !intel();
    engines().into_iter().filter(|engine| !is_of_another_make || *engine == "interp").collect()
}

/// In what `result` differs from what `case` expects.
fn differences(case: &Value, result: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, expected: &Value, found: &Value| {
        if expected != found {
            wrong.push(format!("{what}: expected {expected}, found {found}"));
        }
    };
    let (expect, stop) = (&case["expect"], &result["stop"]);
    same("stop", &expect["stop"], &stop["reason"]);
    same("signal", &expect["signo"], &stop["signo"]);
    same("address", &expect["addr"], &stop["addr"]);
    let none = Map::new();
    for (name, found) in result["regs"].as_object().unwrap_or(&none) {
        let expected = named(&expect["regs"], name).or_else(|| named(&case["regs"], name));
        same(name, &expected.unwrap_or_else(|| reset(name)), found);
    }
    for name in expect["regs"].as_object().unwrap_or(&none).keys().filter(|n| !n.starts_with("ymm")) {
        same(name, &json!(true), &json!(result["regs"].get(name).is_some()));
    }
    same("memory", &expect["mem"][0]["fnv1a"], &result["mem"][0]["fnv1a"]);
    wrong
}

#[test]
fn both_engines_give_what_the_processor_gave() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/lab");
    let mut families = 0;
    assert!(!compared().is_empty());
    for file in fs::read_dir(&dir).expect("the corpus").map(|f| f.expect("readable entry").path()) {
        if file.extension().is_none_or(|e| e != "jsonl") {
            continue;
        }
        families += 1;
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let cases: Vec<String> = text.lines().map(str::to_string).collect();
        assert!(cases.len() >= 10, "{}: only {} cases", file.display(), cases.len());
        for engine in compared() {
            let mut wrong = String::new();
            for (case, result) in cases.iter().zip(lab(engine, &cases)) {
                let case: Value = serde_json::from_str(case).expect("cases are JSON");
                for difference in differences(&case, &result) {
                    wrong += &format!("{} ({}): {difference}\n", case["id"], case["source"]["code"]);
                }
            }
            assert!(wrong.is_empty(), "{}, {engine}:\n{wrong}", file.display());
        }
    }
    assert!(families >= 11, "only {families} families");
}
