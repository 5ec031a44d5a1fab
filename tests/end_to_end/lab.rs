//! `hokku lab`: the format, on both engines.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::hokku::{command, on_this_host};

/// As on the command line behind `--engine`.
const ENGINES: [&str; 4] = ["interp", "jit", "jit --tier 2", "jit --tier-threshold 1 --tier-at-once"];

/// Those of this host.
pub(crate) fn engines() -> Vec<&'static str> {
    on_this_host(&ENGINES)
}

/// Runs `cases` in one lab and returns one result a case.
pub(crate) fn lab(engine: &str, cases: &[String]) -> Vec<Value> {
    lab_with(&options(engine, &[]), cases)
}

/// The options for `engine`, and `more`.
fn options<'a>(engine: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    ["--engine"].into_iter().chain(engine.split(' ')).chain(more.iter().copied()).collect()
}

/// Runs `cases` in one lab with `options`.
fn lab_with(options: &[&str], cases: &[String]) -> Vec<Value> {
    let mut child = command()
        .args(["lab", "--jobs", "3"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("hokku starts");
    let mut input = child.stdin.take().expect("stdin is piped");
    let text = cases.join("\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("hokku ends");
    writer.join().expect("the writer ends").expect("hokku reads its input");
    assert!(output.status.success(), "{:?}", output.status);
    let text = String::from_utf8(output.stdout).expect("results are text");
    let results: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("results are JSON")).collect();
    assert_eq!(results.len(), cases.len(), "{text}");
    results
}

/// A case with `code` at 0x10000 and a page of data at 0x20000.
fn case(id: &str, mode: u32, code: &str, regs: Value) -> Value {
    let mut all = json!({"rip": "0x10000", "rsp": "0x20800"});
    for (name, value) in regs.as_object().expect("registers by name") {
        all[name] = value.clone();
    }
    json!({
        "v": 1, "id": id, "mode": mode,
        "map": [{"addr": "0x10000", "size": "0x1000", "prot": "rx"}, {"addr": "0x20000", "size": "0x1000", "prot": "rw"}],
        "data": [{"addr": "0x10000", "hex": code}],
        "regs": all, "timeout_ms": 5000, "stop": ["hlt"]
    })
}

fn both(case: &Value) -> Vec<Value> {
    engines().into_iter().map(|engine| lab(engine, &[case.to_string()]).remove(0)).collect()
}

#[test]
fn the_documented_example() {
    for mode in [32, 64] {
        // add rax, rbx; hlt (in 32-bit code the first byte is dec eax)
        let code = if mode == 64 { "4801d8f4" } else { "01d8f4" };
        for result in both(&case("add-1", mode, code, json!({"rax": "0x1", "rbx": "0x2"}))) {
            assert_eq!(result["id"], "add-1");
            assert_eq!(result["stop"], json!({"reason": "hlt"}), "{result}");
            assert_eq!(result["regs"]["rax"], "0x3");
            assert_eq!(result["regs"]["rip"], format!("{:#x}", 0x10000 + code.len() / 2 - 1));
            assert_eq!(result["regs"]["rflags"], "0x206");
            assert_eq!(result["regs"]["mxcsr"], "0x1f80");
            assert_eq!(result["regs"]["ymm7"], json!(["0x0", "0x0", "0x0", "0x0"]));
            assert_eq!(result["regs"]["fpr0"], json!(["0x0", "0x0"]));
            assert_eq!(result["regs"].get("r8").is_some(), mode == 64);
        }
    }
}

#[test]
fn x87_arithmetic_in_doubles_is_a_permission() {
    // fldpi; hlt
    let case = case("pi", 32, "d9ebf4", json!({})).to_string();
    let pi = |engine: &str, arithmetic: &[&str]| {
        lab_with(&options(engine, arithmetic), std::slice::from_ref(&case)).remove(0)["regs"]["fpr7"][0].clone()
    };
    for engine in engines() {
        assert_eq!(pi(engine, &[]), "0xc90fdaa22168c235");
    }
    assert_eq!(pi("interp", &["--x87", "f64"]), "0xc90fdaa22168c000");
    // The x86-64 back end is as fast without.
    let of_the_jit = if cfg!(target_arch = "x86_64") { "0xc90fdaa22168c235" } else { "0xc90fdaa22168c000" };
    assert_eq!(pi("jit", &["--x87", "f64"]), of_the_jit);
}

#[test]
fn the_processor_model_decides_what_is_an_instruction() {
    // tzcnt eax, ecx; hlt, and cmovo eax, ecx; hlt
    let counts = case("tzcnt", 32, "f30fbcc1f4", json!({"rax": "0x7", "rcx": "0x0"}));
    let moves = case("cmovo", 32, "0f40c1f4", json!({}));
    let mut needs = case("needs", 32, "f4", json!({}));
    needs["features"] = json!(["SSE4.2", "BMI1"]);
    for engine in engines() {
        let on =
            |model| lab_with(&options(engine, &["--cpu", model]), &[&counts, &moves, &needs].map(Value::to_string));
        let summary =
            |model| on(model).iter().map(|r| (r["regs"]["rax"].clone(), r["stop"]["reason"].clone())).collect();
        let old: Vec<_> = summary("pentium");
        assert_eq!(old[0], (json!("0x7"), json!("hlt")), "bsf keeps its destination");
        assert_eq!((&old[1].1, &old[2].1), (&json!("signal"), &json!("unsupported")));
        let new: Vec<_> = summary("x86-64-v3");
        assert_eq!(new[0], (json!("0x20"), json!("hlt")));
        assert_eq!((&new[1].1, &new[2].1), (&json!("hlt"), &json!("hlt")));
    }
}

#[test]
fn vectors_are_as_long_as_the_processor_has_them() {
    // vpaddq ymm0, ymm1, ymm2; hlt
    let lanes = json!({"ymm1": ["0x1", "0x2", "0x3", "0xffffffffffffffff"], "ymm2": ["0x10", "0x20", "0x30", "0x2"]});
    let mut add = case("vpaddq", 64, "c5f5d4c2f4", lanes);
    add["features"] = json!(["AVX", "avx2"]);
    for result in both(&add) {
        assert_eq!(result["regs"]["ymm0"], json!(["0x11", "0x22", "0x33", "0x1"]), "{result}");
    }
    for engine in engines() {
        let plain = case("plain", 32, "f4", json!({"xmm3": ["0x1", "0x2"]}));
        let old = lab_with(&options(engine, &["--cpu", "x86-64-v2"]), &[add.to_string(), plain.to_string()]);
        assert_eq!(old[0]["stop"]["reason"], "unsupported");
        assert_eq!(old[1]["regs"]["xmm3"], json!(["0x1", "0x2"]));
    }
}

#[test]
fn a_comparison_leaves_the_overflow_flag_for_adox() {
    // cmp ax, 0x3b53; adox rdx, r15; and eax, 0x22ed65cb; hlt
    let add = case("adox", 64, "663d533bf3490f38f6d725cb65ed22f4", json!({"rflags": "0xa12", "rax": "0x7"}));
    for result in both(&add) {
        assert_eq!((&result["regs"]["rdx"], &result["stop"]["reason"]), (&json!("0x0"), &json!("hlt")), "{result}");
    }
}

#[test]
fn faults_tell_signal_and_address_and_leave_the_state_before() {
    // mov eax, [rcx]: unmapped
    for result in both(&case("load", 64, "8b01f4", json!({"rcx": "0x30004", "rax": "0x7"}))) {
        assert_eq!(result["stop"], json!({"reason": "signal", "signo": 11, "addr": "0x30004"}));
        assert_eq!((&result["regs"]["rax"], &result["regs"]["rip"]), (&json!("0x7"), &json!("0x10000")));
    }
    // nop; ud2
    for result in both(&case("ud2", 32, "900f0b", json!({}))) {
        assert_eq!(result["stop"], json!({"reason": "signal", "signo": 4, "addr": "0x10001"}));
    }
    // div ecx by zero
    for result in both(&case("div", 32, "f7f1f4", json!({"rax": "0x1"}))) {
        assert_eq!(result["stop"]["signo"], 8);
        assert_eq!(result["regs"]["rip"], "0x10000");
    }
    // int3
    for result in both(&case("int3", 64, "90cc", json!({}))) {
        assert_eq!(result["stop"]["signo"], 5);
        assert_eq!(result["regs"]["rip"], "0x10001");
    }
    // mov [rcx], al: read-only page
    for result in both(&case("store", 64, "8801f4", json!({"rcx": "0x10000"}))) {
        assert_eq!(result["stop"], json!({"reason": "signal", "signo": 11, "addr": "0x10000"}));
    }
    // jmp to a page without execution
    for result in both(&case("jump", 64, "ffe1", json!({"rcx": "0x20000"}))) {
        assert_eq!(result["stop"], json!({"reason": "signal", "signo": 11, "addr": "0x20000"}));
        assert_eq!(result["regs"]["rip"], "0x20000");
    }
}

#[test]
fn memory_is_reported_by_hash_and_on_request_in_full() {
    // mov dword [0x20010], 0x64636261 through rcx; hlt
    let mut case = case("dump", 64, "c70161626364f4", json!({"rcx": "0x20010"}));
    case["dump"] = json!([{"addr": "0x20010", "size": "0x4", "raw": true}, {"addr": "0x20000", "size": "0x1"}]);
    for result in both(&case) {
        assert_eq!(result["mem"][0]["hex"], "61626364", "{result}");
        assert_eq!(result["mem"][1]["fnv1a"], "af63bd4c8601b7df");
        assert!(result["mem"][1].get("hex").is_none());
    }
}

/// Dumps longer than a part, longer than what is mapped, and longer than any memory.
#[test]
fn a_dump_of_any_size_is_answered() {
    // mov byte [rcx], al: in the second part
    let mut case = case("dump", 64, "8801f4", json!({"rcx": "0x40005", "rax": "0x7"}));
    case["map"] = json!([{"addr": "0x10000", "size": "0x1000"}, {"addr": "0x30000", "size": "0x18000"}]);
    case["dump"] = json!([{"addr": "0x30000", "size": "0x18000", "raw": true}]);
    for result in both(&case) {
        let hex = result["mem"][0]["hex"].as_str().expect("asked for");
        assert_eq!((hex.len(), &hex[0x20008..0x2000e]), (0x30000, "000700"));
    }
    for size in ["0x18001", "0x7fffffffffff", "0xffffffffffffffff"] {
        case["dump"][0]["size"] = json!(size);
        for result in both(&case) {
            assert_eq!(result["stop"]["reason"], "setup_error", "{result}");
        }
    }
}

#[test]
fn x87_registers_are_physical() {
    // fld1; fldpi; hlt: pi is in R6, one in R7
    for result in both(&case("fld", 32, "d9e8d9ebf4", json!({}))) {
        assert_eq!(result["regs"]["fpr7"], json!(["0x8000000000000000", "0x3fff"]), "{result}");
        assert_eq!(result["regs"]["fpr6"], json!(["0xc90fdaa22168c235", "0x4000"]));
        assert_eq!(result["regs"]["fsw"], "0x3000");
        assert_eq!(result["regs"]["ftw"], "0xc0");
    }
}

#[test]
fn a_bad_case_costs_only_itself() {
    let mut endless = case("endless", 64, "ebfe", json!({}));
    endless["timeout_ms"] = json!(200);
    let mut unsupported = case("unsupported", 64, "f4", json!({}));
    unsupported["features"] = json!(["AVX512F"]);
    let mut bad_map = case("bad_map", 64, "f4", json!({}));
    bad_map["map"] = json!([{"addr": "0x10001", "size": "0x1000"}]);
    let good = case("good", 64, "f4", json!({}));
    let cases =
        [endless.to_string(), "{not json".into(), unsupported.to_string(), bad_map.to_string(), good.to_string()];
    for engine in engines() {
        let results = lab(engine, &cases);
        let reasons: Vec<&str> = results.iter().map(|r| r["stop"]["reason"].as_str().unwrap_or("none")).collect();
        assert_eq!(reasons, ["timeout", "setup_error", "unsupported", "setup_error", "hlt"], "{engine}");
        assert_eq!(results[0]["regs"]["rip"], "0x10000", "{engine}");
    }
}
