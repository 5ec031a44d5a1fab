//! Cases of the lab (`hokku lab`) with this processor's results: what `tests/lab` holds.

use hokku_ir::eval::Evaluator;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::guest::{MXCSR_START, X87};
use hokku_ir::{CpuMode, CpuState, Gpr};
use iced_x86::{Code, CpuidFeature, Instruction, InstructionInfoFactory, Mnemonic};
use serde_json::{Map, Value, json};

use super::case::{self, Program, Start};
use super::compare::{After, differences, hex};
use super::encoding::bitness;
use super::evaluate::{self, Outcome};
use super::pages::{BYTES, Pages};
use super::report::listing;
use super::rng::Rng;
use super::sequence;
use crate::oracle::layout::{CODE, PAGE, SCRATCH, WRITABLE};
use crate::oracle::{Ending, Oracle, vector};

/// Name of the family that `code` is of: the file that its cases are in.
fn family(code: Code) -> &'static str {
    use CpuidFeature::*;
    let any = |of: &[CpuidFeature]| code.cpuid_features().iter().any(|f| of.contains(f));
    match () {
        () if any(&[AVX2]) => "avx2",
        () if any(&[FMA, F16C]) => "fma_f16c",
        () if any(&[AES, PCLMULQDQ, SHA]) => "crypto",
        () if any(&[AVX]) => "avx",
        () if any(&[SSE3, SSSE3, SSE4_1, SSE4_2]) => "sse4",
        () if any(&[SSE, SSE2, FXSR]) => "sse2",
        () if any(&[MMX]) => "mmx",
        () if any(&[FPU, FPU287, FPU387]) => "x87",
        () if any(&[BMI1, BMI2, LZCNT, POPCNT, MOVBE, ADX]) => "bits",
        () => "integer",
    }
}

/// All families, that of pieces of code last.
pub const FAMILIES: [&str; 11] =
    ["integer", "bits", "x87", "mmx", "sse2", "sse4", "crypto", "avx", "avx2", "fma_f16c", "pieces"];

/// `count` cases of `name` in each word size, one a line. `Err` says why this host has no oracle.
pub fn cases(name: &str, count: usize, seed: u64) -> Result<String, String> {
    let mut oracle = Oracle::acquire()?;
    oracle.set_constant_page(&[0; PAGE as usize]);
    let mut text = String::new();
    for mode in [CpuMode::Protected32, CpuMode::Long64] {
        let mut codes = case::codes(mode);
        let pieces = name == "pieces";
        if pieces {
            codes = sequence::codes(&codes);
        } else {
            codes.retain(|c| family(*c) == name);
        }
        let mut found = 0;
        // Few families have faults that are reached by every try; none needs as many tries as this.
        for number in 0..count as u64 * 100 {
            if found == count || codes.is_empty() {
                break;
            }
            let mut rng = Rng::new(seed, number);
            let (program, start) = if pieces {
                let program = sequence::program(&mut rng, &codes, mode, CpuModel::DEFAULT);
                (program, Some(sequence::start(&mut rng, mode)))
            } else {
                let code = rng.pick(&codes);
                let Some(program) = Program::single(&mut rng, code, mode) else { continue };
                let start = program.start(&mut rng, &mut None).map(|s| plain(&program, s));
                (program, start)
            };
            let start = start.filter(|s| program.start_is_harmless(s) && has_no_bases(&s.cpu));
            if program.insns.iter().any(is_unlike_in_the_lab) {
                continue;
            }
            let Some(start) = start else { continue };
            let id = format!("{name}-{}-{found}", bitness(mode));
            if let Some(case) = one(&mut oracle, &id, &program, &start) {
                text += &case.to_string();
                text.push('\n');
                found += 1;
            }
        }
    }
    Ok(text)
}

/// `hlt` is a case's end, and selectors are not what Linux gives a program.
fn is_unlike_in_the_lab(insn: &Instruction) -> bool {
    insn.mnemonic() == Mnemonic::Hlt || (0..insn.op_count()).any(|n| insn.op_register(n).is_segment_register())
}

fn has_no_bases(cpu: &CpuState) -> bool {
    cpu.segment_base == [0; 6]
}

/// `start` with all registers that the instruction does not name as they are at a reset.
fn plain(program: &Program, mut start: Start) -> Start {
    let mut factory = InstructionInfoFactory::new();
    let used: Vec<_> = factory.info(&program.insns[0]).used_registers().iter().map(|r| r.register()).collect();
    for n in 0..16 {
        if !used.iter().any(|r| r.is_gpr() && r.full_register().number() == n) {
            start.cpu.gpr[n] = 0;
        }
        if !used.iter().any(|r| r.is_vector_register() && r.number() == n) {
            start.cpu.vector[n] = [0; 4];
        }
    }
    let features = program.insns[0].cpuid_features();
    if !features.iter().any(|f| format!("{f:?}").starts_with("FPU") || *f == CpuidFeature::MMX) {
        start.cpu.x87 = X87::INIT;
    }
    if features.iter().all(|f| format!("{f:?}").starts_with("INTEL")) {
        start.cpu.mxcsr = MXCSR_START;
    }
    start
}

/// The case from `start`, if processor and evaluator agree about all of it, so that nothing of it is undefined.
fn one(oracle: &mut Oracle, id: &str, program: &Program, start: &Start) -> Option<Value> {
    let mut memory = vec![0; WRITABLE as usize];
    start.apply(&mut memory);
    let mut bytes = Box::new([0; BYTES]);
    bytes[..memory.len()].copy_from_slice(&memory);
    let pages = Pages::new(&bytes);
    let mut ours = start.cpu.clone();
    let translated = evaluate::translated(program, false);
    let Outcome::Ended(our_ending) = evaluate::run(&translated, program, &mut Evaluator::new(), &mut ours, &pages)
    else {
        return None;
    };
    oracle.set_code(program.mode, program.at, &program.bytes, &program.arrivals);
    oracle.memory_mut().copy_from_slice(&memory);
    let mut cpu = start.cpu.clone();
    let ending = oracle.run(program.mode, program.at, &mut cpu);
    let same = pages.with(|pages| {
        let first = After { ending, cpu: &cpu, memory: oracle.memory() };
        let second = After { ending: our_ending, cpu: &ours, memory: pages };
        differences(&first, &second).is_empty()
    });
    let stop = stop(ending, &cpu)?;
    let arrives = ending != Ending::Arrived || program.arrivals.contains(&cpu.rip);
    (same && arrives).then(|| {
        let mut data = vec![json!({"addr": number(program.at), "hex": hex(&program.bytes).replace(' ', "")})];
        data.extend(program.arrivals.iter().map(|at| json!({"addr": number(*at), "hex": "f4"})));
        data.extend(start.memory.iter().map(|(at, b)| json!({"addr": number(*at), "hex": hex(b).replace(' ', "")})));
        let code: Vec<String> = listing(program)
            .lines()
            .filter_map(|line| line.trim_start().get(40..).map(|l| l.split(';').next().unwrap_or(l).trim().to_string()))
            .collect();
        let mut expect = stop;
        expect["regs"] = changed(&cpu, &start.cpu, program.mode);
        expect["mem"] = json!([{
            "addr": number(SCRATCH), "size": number(WRITABLE), "fnv1a": format!("{:016x}", fnv1a(oracle.memory())),
        }]);
        json!({
            "v": 1, "id": id, "mode": bitness(program.mode),
            "map": [
                {"addr": number(CODE), "size": number(PAGE), "prot": "rx"},
                {"addr": number(SCRATCH), "size": number(WRITABLE), "prot": "rw"},
                {"addr": number(SCRATCH + WRITABLE), "size": number(PAGE), "prot": "r"},
            ],
            "data": data, "regs": changed(&start.cpu, &CpuState::new(program.mode), program.mode), "stop": ["hlt"],
            "dump": [{"addr": number(SCRATCH), "size": number(WRITABLE)}],
            "expect": expect, "source": {"code": code.join("; ")},
        })
    })
}

/// How the lab tells of `ending`; `None` where its way differs from the processor's on purpose (traps are told at the instruction).
fn stop(ending: Ending, cpu: &CpuState) -> Option<Value> {
    let signal = |signo: u32, addr: u64| Some(json!({"stop": "signal", "signo": signo, "addr": number(addr)}));
    match ending {
        Ending::Arrived => Some(json!({"stop": "hlt"})),
        Ending::Exception { page: Some((at, _)), .. } => signal(11, at),
        Ending::Exception { vector: vector::GP | vector::SS | vector::BR, .. } => signal(11, 0),
        Ending::Exception { vector: vector::UD, .. } => signal(4, cpu.rip),
        Ending::Exception { vector: vector::DE | vector::MF | vector::XM, .. } => signal(8, cpu.rip),
        _ => None,
    }
}

/// Registers of `cpu` that are not as in `before`, by the lab's names.
fn changed(cpu: &CpuState, before: &CpuState, mode: CpuMode) -> Value {
    let mut regs = Map::new();
    let mut word = |name: &str, new: u64, old: u64| {
        if new != old {
            regs.insert(name.into(), number(new));
        }
    };
    for reg in &Gpr::ALL[..mode.gpr_count()] {
        word(reg.name(), cpu.get(*reg), before.get(*reg));
    }
    word("rip", cpu.rip, before.rip);
    word("rflags", cpu.eflags().into(), before.eflags().into());
    word("mxcsr", cpu.mxcsr.into(), before.mxcsr.into());
    word("fcw", cpu.x87.control.into(), before.x87.control.into());
    word("fsw", cpu.x87.status.into(), before.x87.status.into());
    word("ftw", cpu.x87.tags.into(), before.x87.tags.into());
    for n in 0..mode.gpr_count() {
        if cpu.vector[n] != before.vector[n] {
            regs.insert(format!("ymm{n}"), cpu.vector[n].iter().map(|lane| number(*lane)).collect());
        }
    }
    for (n, (new, old)) in cpu.x87.regs.iter().zip(&before.x87.regs).enumerate() {
        if new != old {
            regs.insert(format!("fpr{n}"), json!([number(new.significand), number(new.sign_exponent.into())]));
        }
    }
    Value::Object(regs)
}

fn number(n: u64) -> Value {
    json!(format!("{n:#x}"))
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_name_what_changes() {
        let Ok(text) = cases("integer", 20, 1) else { return };
        let cases: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(cases.len(), 40);
        assert!(cases.iter().all(|c| c["expect"]["stop"] == "hlt" || c["expect"]["signo"].is_u64()));
        assert!(cases.iter().any(|c| c["expect"]["regs"].as_object().is_some_and(|r| r.contains_key("rflags"))));
    }
}
