//! Random programs: what the host code does to registers, flags and memory is what the evaluator does.

use hokku_backend_x86_64::Features;
use hokku_frontend::Limits;
use hokku_ir::backend::Backend as _;
use hokku_ir::eval::{FixedSystem, FlatMemory, Flow, run_region};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockId, BlockKey, CpuMode, CpuState, Gpr, GuestAddr, Region};
use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter, RflagsBits};

use crate::generate::{Kind, Program, Random, program};
use crate::host::{AREA, AREA_LEN, Host, fill_area, map_area, read_area};

pub(crate) const CODE: u64 = 0x10_0000;

pub(crate) fn initial(r: &mut Random, mode: CpuMode) -> Box<CpuState> {
    let mut cpu = Box::new(CpuState::new(mode));
    let mask = mode.word().mask();
    for g in &Gpr::ALL[..mode.gpr_count()] {
        let value = match r.below(4) {
            0 => r.below(8),
            1 => r.below(8).wrapping_neg(),
            _ => r.next(),
        };
        cpu.set(*g, value & mask);
    }
    let place = |r: &mut Random| AREA + 0x800 + r.below(0x80) * 16;
    for g in [Gpr::Rbx, Gpr::Rsi, Gpr::Rsp] {
        let at = place(r);
        cpu.set(g, at);
    }
    cpu.set(Gpr::Rdi, r.below(16));
    if mode == CpuMode::Long64 {
        for g in [Gpr::R13, Gpr::R14] {
            let at = place(r);
            cpu.set(g, at);
        }
        cpu.set(Gpr::R15, r.below(16));
    }
    cpu.rip = CODE;
    cpu.status_flags = r.next() as u32 & 0x8d5;
    for v in cpu.vector.iter_mut().take(2 * mode.gpr_count().min(8)) {
        for word in v.iter_mut() {
            *word = match r.below(4) {
                0 => f64::from(r.next() as i32).to_bits(),
                1 => u64::from((r.next() as i16 as f32).to_bits()) | u64::from((r.next() as i8 as f32).to_bits()) << 32,
                _ => r.next(),
            };
        }
    }
    for reg in &mut cpu.x87.regs {
        reg.significand = r.next() | 1 << 63;
        reg.sign_exponent = 0x3fff + r.below(16) as u16;
    }
    cpu.x87.tags = r.next() as u8;
    cpu
}

fn translate(p: &Program, mode: CpuMode, with_passes: bool) -> Region {
    let mut bytes = p.bytes.clone();
    bytes.push(0xf4);
    let source = (GuestAddr(CODE), &bytes[..]);
    let mut region = hokku_frontend::translate(&source, BlockKey::new(GuestAddr(CODE), mode), &Limits::default());
    if with_passes {
        passes::run(&mut region, FaultsSee::ExactFlags);
    }
    region
}

fn listing(region: &Region, p: &Program, host: &Host) -> String {
    let mut out = String::new();
    let mut formatter = NasmFormatter::new();
    let mut line = |insn: &iced_x86::Instruction, out: &mut String| {
        out.push_str(&format!("{:8x}  ", insn.ip()));
        formatter.format(insn, out);
        out.push('\n');
    };
    p.instructions.iter().for_each(|i| line(i, &mut out));
    out.push_str(&hokku_ir::text::print::region(region));
    let code = host.compile(region).code;
    Decoder::with_ip(64, &code, 0, DecoderOptions::NONE).iter().for_each(|i| line(&i, &mut out));
    out
}

pub(crate) fn differences(a: &CpuState, b: &CpuState, flags: u32, x87: bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut compare = |name: String, a: u64, b: u64| {
        if a != b {
            out.push(format!("{name}: evaluator {a:#x}, host code {b:#x}"));
        }
    };
    for g in Gpr::ALL {
        compare(g.name().into(), a.get(*g), b.get(*g));
    }
    compare("flags".into(), (a.status_flags & flags).into(), (b.status_flags & flags).into());
    compare("system flags".into(), a.system_flags.into(), b.system_flags.into());
    compare("mxcsr".into(), a.mxcsr.into(), b.mxcsr.into());
    for n in 0..16 {
        for word in 0..4 {
            compare(format!("xmm{n}[{word}]"), a.vector[n][word], b.vector[n][word]);
        }
    }
    if x87 {
        compare("x87 control".into(), a.x87.control.into(), b.x87.control.into());
        compare("x87 status".into(), (a.x87.status & 0xb8ff).into(), (b.x87.status & 0xb8ff).into());
        compare("x87 tags".into(), a.x87.tags.into(), b.x87.tags.into());
        for n in 0..8 {
            compare(format!("R{n} significand"), a.x87.regs[n].significand, b.x87.regs[n].significand);
            compare(format!("R{n} exponent"), a.x87.regs[n].sign_exponent.into(), b.x87.regs[n].sign_exponent.into());
        }
    }
    out
}

/// EFLAGS places of flags as iced numbers them.
fn eflags(bits: u32) -> u32 {
    let places = [
        (RflagsBits::OF, 0x800),
        (RflagsBits::SF, 0x80),
        (RflagsBits::ZF, 0x40),
        (RflagsBits::AF, 0x10),
        (RflagsBits::CF, 1),
        (RflagsBits::PF, 4),
    ];
    places.iter().filter(|p| bits & p.0 != 0).map(|p| p.1).sum()
}

fn run(seed: u64, mode: CpuMode, kind: Kind, count: usize, features: Features) {
    let mut host = Host::new(mode, features);
    let mut r = Random(seed);
    // For programs that end the process.
    let trace = std::env::var_os("HOKKU_TRACE").is_some();
    for round in 0..count {
        let seed = r.0;
        let len = 1 + r.below(6) as usize;
        let p = program(&mut r, mode, kind, len, CODE);
        let start = initial(&mut r, mode);
        let region = translate(&p, mode, r.below(2) == 0);
        let bytes: Vec<u8> = (0..AREA_LEN).map(|_| r.next() as u8).collect();
        let memory = FlatMemory::with(GuestAddr(AREA), &bytes);
        let mut expected = start.clone();
        let flow = run_region(&region, BlockId(0), &mut expected, &memory, &FixedSystem::default());
        if !matches!(flow, Flow::Trap { .. }) || expected.rip != CODE + p.bytes.len() as u64 {
            continue;
        }
        if trace {
            eprintln!("seed {seed:#x}\n{}", hokku_ir::text::print::region(&region));
            eprintln!("{}", listing(&region, &p, &host));
        }
        fill_area(&bytes);
        let mut got = start.clone();
        let (_, fault) = host.run(host.compile(&region), &mut got);
        let mut wrong = differences(&expected, &got, 0x8d5 & !eflags(p.undefined_flags), kind == Kind::X87);
        if let Some(fault) = fault {
            wrong.push(format!("callout faulted: {fault:?}"));
        }
        let after = read_area();
        if let Some(n) = memory.contents()[0].1.iter().zip(&after).position(|(a, b)| a != b) {
            wrong.push(format!(
                "memory at {:#x}: evaluator {:#x}, host code {:#x}",
                AREA + n as u64,
                memory.contents()[0].1[n],
                after[n]
            ));
        }
        assert!(
            wrong.is_empty(),
            "round {round}, seed {seed:#x}\n{}\nstart {:x?} flags {:#x}\n{}",
            wrong.join("\n"),
            start.gpr,
            start.status_flags,
            listing(&region, &p, &host)
        );
    }
}

#[test]
fn random_programs() {
    let _area = map_area();
    let count = std::env::var("HOKKU_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    let seed = std::env::var("HOKKU_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0x9e37_79b9);
    for features in [Features::detect(), Features::default()] {
        for kind in [Kind::Integer, Kind::Vector, Kind::X87] {
            for mode in [CpuMode::Long64, CpuMode::Protected32] {
                eprintln!("{kind:?} {mode:?} {features:?}");
                run(seed, mode, kind, count, features);
            }
        }
    }
    assert_eq!(hokku_backend_x86_64::X86_64::default().name(), "x86_64");
}
