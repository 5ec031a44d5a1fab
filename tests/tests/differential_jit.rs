//! The JIT against the evaluator, on random code: registers, flags, memory and faults.
//!
//! `cargo run --release -p hokku-tests --bin fuzz -- --engine jit` runs more of the same.

use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::guest::eflags;
use hokku_ir::{CpuMode, Gpr};
use hokku_runtime::{Tiering, Tiers};
use hokku_tests::fuzz::case::{Program, Start, codes, codes_of, pattern};
use hokku_tests::fuzz::rng::Rng;
use hokku_tests::fuzz::run::{Against, Plan, Runner, STATES};
use hokku_tests::fuzz::{sequence, values};
use hokku_tests::oracle::layout::{CODE, PAGE, SCRATCH, SCRATCH_END, WRITABLE};

/// Cases of single instructions for each word size and tier, and of pieces of code.
const CASES: u64 = 10_000;
const PIECES: u64 = 2_000;
/// Of each repeated string instruction.
const STRINGS: u64 = 120;

fn compare(mode: CpuMode, model: CpuModel, tiers: Tiers) {
    let tiering = Tiering { tiers, threshold: 2, background: false, ..Tiering::default() };
    let mut runner = match Runner::new(Against::Jit(tiering), mode, model) {
        Ok(runner) => runner,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let all = codes(mode);
    assert!(all.len() > 1000, "only {} instructions can be compared", all.len());
    let pieces = sequence::codes(&codes_of(&model, &all));
    for (codes, sequences, cases) in [(all, false, CASES), (pieces, true, PIECES)] {
        let plan = Plan { seed: 0x0dd5_eed5, mode, model, codes, sequences, reports: 3 };
        let tally = runner.run(&plan, 0, cases / STATES, |_| ());
        assert!(tally.cases > cases / 2, "only {} cases could be compared", tally.cases);
        assert_eq!(tally.differences(), 0, "{:?}\n{}", tally.different, tally.reports.join("\n"));
    }
}

/// Pieces of code that random ones seldom hold: what stood in the way of a fold, or what a fault must show. `true`: of 32-bit code alone.
const PIECES_OF_NOTE: &[(&str, bool, &[u8])] = &[
    ("flags before an iret to a bad selector", true, &[0x01, 0xc8, 0x6a, 0x02, 0x6a, 0x00, 0x6a, 0x00, 0xcf]),
    ("flags before a bound", true, &[0x01, 0xc8, 0x62, 0x03]),
    ("stc; adc eax, [rbx]", false, &[0xf9, 0x13, 0x03]),
    ("clc; sbb eax, [rbx]", false, &[0xf8, 0x1b, 0x03]),
    ("cmc; adc [rbx], eax", false, &[0xf5, 0x11, 0x03]),
    ("sahf; adc eax, [rbx]", false, &[0x9e, 0x13, 0x03]),
    ("sahf; adc al, [rbx]; setp cl", false, &[0x9e, 0x12, 0x03, 0x0f, 0x9a, 0xc1]),
    ("sahf; sbb [rbx], eax; lahf", false, &[0x9e, 0x19, 0x03, 0x9f]),
    ("pushf; popf; adc eax, [rbx]", false, &[0x9c, 0x9d, 0x13, 0x03]),
    (
        "sahf; adcx eax, [rbx]; adox ecx, [rbx]",
        false,
        &[0x9e, 0x66, 0x0f, 0x38, 0xf6, 0x03, 0xf3, 0x0f, 0x38, 0xf6, 0x0b],
    ),
    ("sahf; rcl dword [rbx], 1", false, &[0x9e, 0xd1, 0x13]),
    (
        "and r15d, 18h; jc on; on: imul r11, [gs:r15+r15*8+30000100h], constant",
        false,
        &[0x41, 0x83, 0xe7, 0x18, 0x72, 0, 0x65, 0x4f, 0x69, 0x9c, 0xff, 0, 1, 0, 0x30, 0x68, 0, 0xff, 0xe3],
    ),
    (
        "and r14d, 18h; and r15d, 18h; mov [rbx], rcx; pdep r10, r15, [r15+r14+30000100h]",
        false,
        &[
            0x41, 0x83, 0xe6, 0x18, 0x41, 0x83, 0xe7, 0x18, 0x48, 0x89, 0x0b, 0xc4, 0x02, 0x83, 0xf5, 0x94, 0x37, 0, 1,
            0, 0x30,
        ],
    ),
    ("stc; adc eax, [no address]", false, &[0xf9, 0x13, 0x05, 0, 0, 0, 0x70]),
    ("fcom by its other name; fnclex", false, &[0xdc, 0xd1, 0xdb, 0xe2]),
    ("fcomp by its other names; fnclex", false, &[0xdc, 0xd9, 0xdb, 0xe2, 0xde, 0xd1, 0xdb, 0xe2]),
    ("fcom by its other name; fnclex; fnstenv [rbx]", false, &[0xdc, 0xd1, 0xdb, 0xe2, 0xd9, 0x33]),
    ("fcom; fnclex; fnstenv [rbx]", false, &[0xd8, 0xd1, 0xdb, 0xe2, 0xd9, 0x33]),
    (
        "push 20000h; ldmxcsr [rsp]; movaps xmm0, [rbx+1]",
        false,
        &[0x68, 0, 0, 2, 0, 0x0f, 0xae, 0x14, 0x24, 0x0f, 0x28, 0x43, 1],
    ),
    ("fadd; fcom by its other name; fnsave [rbx]", false, &[0xd8, 0xc1, 0xdc, 0xd1, 0xdd, 0x33]),
];

fn compare_pieces_of_note() {
    const AT: u64 = CODE + 0x100;
    for (tiers, mode) in
        [(Tiers::First, CpuMode::Long64), (Tiers::Second, CpuMode::Protected32), (Tiers::Second, CpuMode::Long64)]
    {
        let tiering = Tiering { tiers, threshold: 2, background: false, ..Tiering::default() };
        let Ok(mut runner) = Runner::new(Against::Jit(tiering), mode, CpuModel::DEFAULT) else { return };
        let there = |only_32: bool| !only_32 || mode == CpuMode::Protected32;
        for (name, _, bytes) in PIECES_OF_NOTE.iter().filter(|piece| there(piece.1)) {
            let insns = sequence::decode_all(mode, AT, bytes);
            let program = Program::sequence(mode, CpuModel::DEFAULT, AT, bytes.to_vec(), insns);
            let mut rng = Rng::new(0x9071, 0);
            for n in 0..400 {
                let mut start = sequence::start(&mut rng, mode);
                if n % 2 == 0 {
                    // Exceptions as they come, masked or not.
                    start.cpu.x87 = values::x87(&mut rng);
                }
                let fields = runner.differing(&program, n % 4 < 2, &start);
                assert_eq!(fields, Some(Vec::new()), "{name}, {mode:?}, {tiers:?}");
            }
        }
    }
}

/// Repeated string instructions over strings that hold few different bytes, so that they go far: from and to any alignment, over overlaps, to the ends of
/// pages and beyond what may be read or written.
fn compare_strings(mode: CpuMode, tiers: Tiers) {
    const AT: u64 = CODE + 0x100;
    let tiering = Tiering { tiers, threshold: 2, background: false, ..Tiering::default() };
    let Ok(mut runner) = Runner::new(Against::Jit(tiering), mode, CpuModel::DEFAULT) else { return };
    let pattern = pattern();
    let mut rng = Rng::new(0x0057_4179, 0);
    let repeated = [0xa4_u8, 0xa6, 0xaa, 0xae].into_iter().flat_map(|operation| {
        [0xf2, 0xf3].into_iter().flat_map(move |repeat| {
            let wide = (mode == CpuMode::Long64).then(|| vec![repeat, 0x48, operation | 1]);
            let narrow = [vec![repeat, operation], vec![0x66, repeat, operation | 1], vec![repeat, operation | 1]];
            narrow.into_iter().chain(wide).map(move |bytes| (operation, bytes))
        })
    });
    for (operation, bytes) in repeated {
        let insns = sequence::decode_all(mode, AT, &bytes);
        let program = Program::sequence(mode, CpuModel::DEFAULT, AT, bytes, insns);
        for n in 0..STRINGS {
            let start = string_start(&mut rng, mode, operation, pattern.as_slice());
            let fields = runner.differing(&program, n % 2 == 0, &start);
            let [to, from, count] = [Gpr::Rdi, Gpr::Rsi, Gpr::Rcx].map(|g| start.cpu.get(g));
            let place = format!("{:x?}, {count} from {from:#x} to {to:#x}", program.bytes);
            assert_eq!(fields, Some(Vec::new()), "{place}, {mode:?}, {tiers:?}");
        }
    }
}

/// Strings that hold few different bytes.
fn string_start(rng: &mut Rng, mode: CpuMode, operation: u8, pattern: &[u8]) -> Start {
    let mut start = sequence::start(rng, mode);
    start.cpu.system_flags = eflags::START;
    let usual = rng.u64() as u8;
    // Until the memory ends, or in it.
    let goes_on = rng.one_in(3);
    let others = if goes_on { 4000 } else { rng.pick(&[20, 80, 400]) };
    let byte = |rng: &mut Rng| if rng.below(others) == 0 { usual ^ 0x80 } else { usual };
    let mut memory: Vec<u8> = (0..WRITABLE).map(|_| byte(rng)).collect();
    let place = |rng: &mut Rng| match rng.below(4) {
        0 => SCRATCH + 0x200 + rng.below(64),
        1 => SCRATCH + PAGE - rng.below(130),
        2 => SCRATCH + WRITABLE - rng.below(130),
        _ => SCRATCH_END - rng.below(130),
    };
    let (to, from) = match rng.below(4) {
        _ if goes_on => {
            let two = [SCRATCH + 0x200 + rng.below(64), rng.pick(&[SCRATCH_END, SCRATCH + WRITABLE]) - rng.below(130)];
            if rng.percent(50) { (two[0], two[1]) } else { (two[1], two[0]) }
        }
        0 => {
            let to = place(rng);
            (to, to - 130 + rng.below(260))
        }
        _ => (place(rng), place(rng)),
    };
    let to = to & if rng.percent(60) { !7 } else { !0 };
    let from = if rng.percent(60) { from & !7 | to & 7 } else { from };
    if operation == 0xa6 && rng.percent(80) {
        // The same at both, but for few bytes.
        let (there, here) = if from < SCRATCH + WRITABLE { (from, to) } else { (to, from) };
        for n in 0..300 {
            let from = memory.get((here + n - SCRATCH) as usize).copied();
            let from = from.or(pattern.get((here + n - SCRATCH) as usize).copied());
            if let (Some(from), Some(to)) = (from, memory.get_mut((there + n - SCRATCH) as usize)) {
                *to = if rng.below(others * 2) == 0 { !from } else { from };
            }
        }
    }
    start.memory = vec![(SCRATCH, memory)];
    let sought: [u8; 8] = std::array::from_fn(|_| usual ^ rng.pick(&[0, 0, 0x80]));
    let count = if goes_on { 1 << 31 } else { rng.below(140) };
    let registers = [(Gpr::Rdi, to), (Gpr::Rsi, from), (Gpr::Rcx, count), (Gpr::Rax, u64::from_le_bytes(sought))];
    for (g, v) in registers {
        start.cpu.set(g, if mode == CpuMode::Long64 { v } else { v & 0xffff_ffff });
    }
    start
}

/// One after the other: both use the same guest addresses, and these are the host's.
#[test]
fn translated_code_does_what_the_evaluator_does() {
    for mode in [CpuMode::Long64, CpuMode::Protected32] {
        compare_strings(mode, Tiers::First);
        compare_strings(mode, Tiers::Second);
    }
    compare_pieces_of_note();
    compare(CpuMode::Protected32, CpuModel::PENTIUM3, Tiers::Both);
    compare(CpuMode::Long64, CpuModel::X86_64_V2, Tiers::Both);
    for tiers in [Tiers::First, Tiers::Second, Tiers::Both] {
        compare(CpuMode::Long64, CpuModel::DEFAULT, tiers);
        compare(CpuMode::Protected32, CpuModel::DEFAULT, tiers);
    }
}
