//! The lab's own corpus, `tests/lab`: cases with the results of a processor. Both engines must give these, and change nothing else.
//!
//! `cargo run --release -p hokku-tests --bin fuzz -- --lab 60 tests/lab` makes the corpus, on an x86-64 Linux host with AVX2.

use std::fs;
use std::path::Path;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, RflagsBits};
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

/// Whether code runs here as it is on an x86 processor of another make than Intel's, whose results the corpus has.
fn is_of_another_make(engine: &str) -> bool {
    let intel = || fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("GenuineIntel"));
    cfg!(target_arch = "x86_64") && engine != "interp" && !intel()
}

/// What is left open of a case.
struct Open {
    /// Bits of rflags.
    flags: u64,
    /// Anything: the result is near the true one.
    all: bool,
}

impl Open {
    const NOTHING: Open = Open { flags: 0, all: false };

    /// By the manual: of the instruction that `case` is, or of the instructions of a piece, which keep undefined flags from being seen.
    fn of(case: &Value) -> Open {
        use Mnemonic::*;
        let digits = case["data"][0]["hex"].as_str().expect("code");
        let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(digit).collect();
        let mode = case["mode"].as_u64().expect("a word size") as u32;
        let insns: Vec<Instruction> = Decoder::new(mode, &bytes, DecoderOptions::NONE).iter().collect();
        let near = |i: &Instruction| {
            let estimates =
                matches!(i.mnemonic(), Rcpps | Rcpss | Rsqrtps | Rsqrtss | Vrcpps | Vrcpss | Vrsqrtps | Vrsqrtss);
            estimates || matches!(i.mnemonic(), Fsin | Fcos | Fsincos | Fptan | Fpatan | F2xm1 | Fyl2x | Fyl2xp1)
        };
        let flags = if insns.len() == 1 { undefined_flags(&insns[0]) } else { 0 };
        Open { flags, all: insns.iter().any(near) }
    }
}

/// Bits of rflags that `insn` may leave undefined.
fn undefined_flags(insn: &Instruction) -> u64 {
    use Mnemonic::*;
    let shift = matches!(insn.mnemonic(), Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr | Shld | Shrd);
    let shifted = if shift { RflagsBits::OF | RflagsBits::AF | RflagsBits::CF } else { 0 };
    let undefined = insn.rflags_undefined() | shifted;
    let places = [
        (RflagsBits::CF, 0),
        (RflagsBits::PF, 2),
        (RflagsBits::AF, 4),
        (RflagsBits::ZF, 6),
        (RflagsBits::SF, 7),
        (RflagsBits::OF, 11),
    ];
    places.iter().filter(|(bit, _)| undefined & bit != 0).map(|(_, place)| 1 << place).sum()
}

/// `value`, of rflags, without the bits `open`.
fn without(value: &Value, open: u64) -> Value {
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    value.as_str().and_then(number).map_or(Value::Null, |flags| json!(flags & !open))
}

/// In what `result` differs from what `case` expects and does not leave open.
fn differences(case: &Value, result: &Value, open: &Open) -> Vec<String> {
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
        let expected = expected.unwrap_or_else(|| reset(name));
        if name == "rflags" && open.flags != 0 {
            same(name, &without(&expected, open.flags), &without(found, open.flags));
        } else {
            same(name, &expected, found);
        }
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
    for file in fs::read_dir(&dir).expect("the corpus").map(|f| f.expect("readable entry").path()) {
        if file.extension().is_none_or(|e| e != "jsonl") {
            continue;
        }
        families += 1;
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let cases: Vec<String> = text.lines().map(str::to_string).collect();
        assert!(cases.len() >= 10, "{}: only {} cases", file.display(), cases.len());
        for engine in engines() {
            let mut wrong = String::new();
            for (case, result) in cases.iter().zip(lab(engine, &cases)) {
                let case: Value = serde_json::from_str(case).expect("cases are JSON");
                let open = if is_of_another_make(engine) { Open::of(&case) } else { Open::NOTHING };
                if open.all {
                    continue;
                }
                for difference in differences(&case, &result, &open) {
                    wrong += &format!("{} ({}): {difference}\n", case["id"], case["source"]["code"]);
                }
            }
            assert!(wrong.is_empty(), "{}, {engine}:\n{wrong}", file.display());
        }
    }
    assert!(families >= 11, "only {families} families");
}

#[test]
fn undefined_flags_are_open() {
    let open = |hex: &str| Open::of(&json!({"mode": 32, "data": [{"hex": hex}]}));
    // imul edi, [ecx], -51; shr ebx, cl; add eax, eax; the same behind imul; rcpps xmm0, xmm1
    assert_eq!(open("6b39cd").flags, 0xd4);
    assert_eq!(open("d3eb").flags, 0x811);
    assert_eq!(open("01c0").flags, 0);
    assert_eq!(open("6b39cd01c0").flags, 0);
    assert!(open("0f53c1").all && !open("01c0").all);
    assert_eq!(without(&json!("0x897"), 0x811), json!(0x86));
}
