//! The x86-64 back end, on any host.

use hokku_backend_x86_64::{Features, X86_64};
use hokku_ir::backend::{Backend as _, Tier};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{CpuMode, GuestAddr, Region};
use hokku_tests::fuzz::case::codes;
use hokku_tests::fuzz::evaluate::translated;
use hokku_tests::fuzz::run::Plan;
use hokku_tests::hosts;

fn compiled(region: &Region, n: u64) -> String {
    let back_end = X86_64::new(if n % 3 == 0 { Features::empty() } else { Features::all() });
    let tiers = [Tier::First { counted: true }, Tier::First { counted: false }, Tier::Second];
    format!("{:?}", tiers.map(|tier| back_end.compile_as(region, tier)))
}

/// The code for a region is the same whatever has been compiled before on the same thread, whose memory is used again.
#[test]
fn code_does_not_depend_on_what_was_compiled_before() {
    let mut programs = 0;
    for mode in [CpuMode::Long64, CpuMode::Protected32] {
        let model = CpuModel::DEFAULT;
        let plan = Plan { seed: 11, mode, model, codes: codes(mode), sequences: true, reports: 0 };
        for n in 0..300 {
            let (_, Some(program)) = plan.program(n) else { continue };
            let region = translated(&program, false).region;
            let on_another = || std::thread::scope(|s| s.spawn(|| compiled(&region, n)).join().unwrap());
            let (here, there) = (compiled(&region, n), on_another());
            assert!(here == there, "{}\n{here}\n{there}", hokku_ir::text::print::region(&region));
            programs += 1;
        }
    }
    assert!(programs > 100, "{programs} programs");
}

/// AMD's processors do not fault where an operand of a SHA instruction is not aligned: what loads it does.
#[test]
fn hashes_are_made_of_what_is_loaded() {
    let is_of_registers = |code: &[u8], opcode: &[u8]| {
        let region = hosts::region(CpuMode::Long64, GuestAddr(0x1000), code, false);
        let host = X86_64::new(Features::all()).compile_as(&region, Tier::Second).code;
        let at = host.windows(3).position(|w| w == opcode).expect("the instruction is itself");
        host[at + 3] >= 0xc0
    };
    assert!(is_of_registers(b"\x0f\x38\xc9\x1f", b"\x0f\x38\xc9"), "sha1msg1 xmm3, [rdi]");
    assert!(is_of_registers(b"\x0f\x38\xcb\x1f", b"\x0f\x38\xcb"), "sha256rnds2 xmm3, [rdi]");
    assert!(is_of_registers(b"\x0f\x3a\xcc\x1f\x01", b"\x0f\x3a\xcc"), "sha1rnds4 xmm3, [rdi], 1");
}

/// The instructions on r14, which lives in memory, in the second tier's code of `code`: those that read it and those that write it.
fn accesses_of_r14(code: &[u8]) -> (Vec<iced_x86::Instruction>, Vec<iced_x86::Instruction>) {
    let region = hosts::region(CpuMode::Long64, GuestAddr(0x1000), code, false);
    let host = X86_64::new(Features::all()).compile_as(&region, Tier::Second).code;
    let r14 = hokku_ir::offsets::gpr_offset(hokku_ir::Gpr::R14) as u64;
    let is_it =
        |i: &iced_x86::Instruction| i.segment_prefix() == iced_x86::Register::GS && i.memory_displacement64() == r14;
    let all = iced_x86::Decoder::new(64, &host, iced_x86::DecoderOptions::NONE);
    all.into_iter().filter(is_it).partition(|i| i.op0_kind() == iced_x86::OpKind::Register)
}

/// Loads of r14: `mov` and those that are part of an operation.
fn loads_of_r14(code: &[u8]) -> (usize, usize) {
    let (reads, _) = accesses_of_r14(code);
    let plain = reads.iter().filter(|i| i.mnemonic() == iced_x86::Mnemonic::Mov).count();
    (plain, reads.len() - plain)
}

/// AMD's processors forward what was stored to plain loads without delay, but not to operands.
#[test]
fn registers_in_memory_that_change_are_loaded_apart() {
    let add = b"\x4c\x01\xf0"; // add rax, r14
    let imul = b"\x49\x0f\xaf\xc6"; // imul rax, r14
    let mov = b"\x49\x89\xc6"; // mov r14, rax
    for op in [&add[..], imul] {
        assert_eq!(loads_of_r14(op), (0, 1), "it does not change: {op:x?}");
        assert_eq!(loads_of_r14(&[op, mov].concat()), (1, 0), "it does: {op:x?}");
    }
}

/// What was just stored to a register in memory is not loaded again where a temporary still holds it, of 32 bits either.
#[test]
fn registers_in_memory_are_remembered() {
    assert_eq!(loads_of_r14(b"\x41\x89\xc6\x44\x01\xf3"), (0, 0), "mov r14d, eax; add ebx, r14d");
    assert_eq!(loads_of_r14(b"\x44\x8b\x30\x4c\x01\xf3"), (0, 0), "mov r14d, [rax]; add rbx, r14");
    let (load, add) = (b"\x44\x0f\xb6\x30", b"\x44\x01\xf3"); // movzx r14d, byte [rax]; add ebx, r14d
    assert_eq!(loads_of_r14(&[&load[..], add, load, add].concat()), (0, 0), "either temporary is a copy");
}

/// A register in memory is written where somebody may look at it, and not before.
#[test]
fn registers_in_memory_are_not_written_twice_for_nothing() {
    let (or, shl) = (b"\x49\x09\xc6", b"\x49\xc1\xe6\x03"); // or r14, rax; shl r14, 3
    let (load, high) = (b"\x48\x8b\x19", b"\x66\x41\x89\xde"); // mov rbx, [rcx]; mov r14w, bx
    let loads_and_stores = |code: &[&[u8]]| {
        let (reads, writes) = accesses_of_r14(&code.concat());
        (reads.len(), writes.len())
    };
    assert_eq!(loads_and_stores(&[or, shl, or]), (1, 1), "nothing comes between");
    assert_eq!(loads_and_stores(&[or, shl, load, or]), (1, 2), "a fault of the load shows it");
    assert_eq!(loads_and_stores(&[or, high]).1, 2, "the upper bits stay");
}

/// Where `fldcw` stands in the code for a conversion as compilers made it: `fldcw [ebp-4]; fistp qword [ebp-16]; fldcw [ebp-2]`, behind `lead` bytes.
fn places_of_fldcw(features: Features, lead: usize) -> Vec<u64> {
    let code = [&b"\x40\x41\x42"[..lead], b"\xd9\x6d\xfc\xdf\x7d\xf0\xd9\x6d\xfe"].concat();
    let region = hosts::region(CpuMode::Protected32, GuestAddr(0x1000), &code, false);
    let host = X86_64::new(features).compile_as(&region, Tier::Second).code;
    let all = iced_x86::Decoder::new(64, &host, iced_x86::DecoderOptions::NONE);
    all.into_iter().filter(|i| i.mnemonic() == iced_x86::Mnemonic::Fldcw).map(|i| i.ip()).collect()
}

/// AMD's processors are slow where others follow closely: each begins 32 bytes of its own there, and stays where it is elsewhere.
#[test]
fn control_words_are_loaded_at_the_start_of_a_window() {
    for lead in 0..=3 {
        let aligned = places_of_fldcw(Features::FLDCW_APART, lead);
        assert!(aligned.len() == 2 && aligned.iter().all(|at| at % 32 == 0), "{aligned:?}");
        let [first, second] = places_of_fldcw(Features::empty(), lead)[..] else { panic!("they are there") };
        assert!(second - first < 32, "{first:#x} {second:#x}");
    }
}
