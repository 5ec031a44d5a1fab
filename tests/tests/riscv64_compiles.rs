//! The riscv64 back end, on any host: whatever the front end makes becomes code, with each set of features, in both tiers.

use hokku_backend_riscv64::{Features, Riscv64};
use hokku_ir::backend::{Backend as _, Tier};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockKey, CpuMode, GuestAddr, Region, X87Arithmetic, text};
use hokku_tests::fuzz::case::codes;
use hokku_tests::fuzz::evaluate::translated;
use hokku_tests::fuzz::run::Plan;

fn prepared(back_end: &Riscv64, mut region: Region, ordered: bool) -> Region {
    region.key.ordered = ordered;
    for name in back_end.passes() {
        passes::run_one(&mut region, name, FaultsSee::ExactFlags);
    }
    region
}

fn compile_all(sequences: bool, count: u64) {
    for mode in [CpuMode::Long64, CpuMode::Protected32] {
        let model = CpuModel::DEFAULT;
        let plan = Plan { seed: 7, mode, model, codes: codes(mode), sequences, reports: 0 };
        for n in 0..count {
            let (_, Some(program)) = plan.program(n) else { continue };
            let features = if n % 2 == 0 { Features::empty() } else { Features::all() };
            let back_end = Riscv64::new(features);
            let x87 = if n % 4 < 2 { X87Arithmetic::Double } else { X87Arithmetic::Exact };
            let program = program.computing_in(x87);
            let region = prepared(&back_end, translated(&program, false).region, n % 3 == 0);
            for tier in [Tier::First { counted: true }, Tier::Second] {
                let compile = || back_end.compile_as(&region, tier);
                let compiled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compile));
                let compiled = compiled.unwrap_or_else(|_| panic!("{}", text::print::region(&region)));
                assert_eq!(compiled.blocks.len(), region.blocks.len());
                assert!(compiled.code.len() % 4 == 0 && !compiled.code.is_empty());
            }
        }
    }
}

#[test]
fn single_instructions_become_code() {
    compile_all(false, 20_000);
}

#[test]
fn sequences_become_code() {
    compile_all(true, 10_000);
}

/// `add edx, eax; cmp eax, ecx; mov eax, edx; mov edi, [rbx]`: eax before is part of the flags at the load, and cannot be computed back from the
/// sum, since edx before is gone.
#[test]
fn operands_of_flags_are_kept_where_they_cannot_be_computed_back() {
    let region = text::parse::region(
        "region 0x1000 long64
range 0x1000 8
block b0 0x1000
  insn 0x1000, #2
  %1 = get_gpr rdx, w32
  %2 = get_gpr rax, w32
  %3 = add w32, %1, %2
  set_gpr rdx, w32, %3
  insn 0x1002, #2
  %6 = get_gpr rcx, w32
  %7 = sub_flags w32, %2, %6
  set_flags {cpazso}, %7
  insn 0x1004, #2
  set_gpr rax, w32, %3
  insn 0x1006, #2
  %11 = get_gpr rbx, w64
  %12 = load i32, unaligned, [w64 + %11]
  set_gpr rdi, w32, %12
  jump 0x1008
",
    )
    .expect("a region");
    let compiled = Riscv64::new(Features::empty()).compile_as(&region, Tier::Second);
    assert_eq!(compiled.faults.len(), 1);
}

/// `again: fld qword [ebx+eax*8]; fmul qword [ecx+eax*8]; faddp st1,st0; inc eax; cmp eax, edx; jne again`: values stay in registers, and the shape of
/// the stack is not looked at in the loop.
#[test]
fn x87_stack_is_in_registers_where_it_holds_doubles() {
    let bytes: &[u8] = &[0xdd, 0x04, 0xc3, 0xdc, 0x0c, 0xc1, 0xde, 0xc1, 0x40, 0x39, 0xd0, 0x75, 0xf3];
    let code = (GuestAddr(0x1000), bytes);
    let key = BlockKey { x87: X87Arithmetic::Double, ..BlockKey::new(GuestAddr(0x1000), CpuMode::Protected32) };
    let back_end = Riscv64::new(Features::all());
    let region = prepared(&back_end, hokku_frontend::translate(&code, key, &Default::default()), false);
    let compiled = back_end.compile_as(&region, Tier::Second);
    assert_eq!(compiled.block_callouts, 0);
    // One of them is on the way out of the loop.
    assert!(compiled.host_instructions <= 21, "{} instructions", compiled.host_instructions);
    let exact = Region { key: BlockKey { x87: X87Arithmetic::Exact, ..region.key }, ..region };
    // Exact code has the functions beside it, and calls out only where values are not ordinary.
    let compiled = back_end.compile_as(&exact, Tier::Second);
    assert_eq!(compiled.block_callouts, 0);
    assert!(compiled.host_instructions <= 100, "{} instructions", compiled.host_instructions);
}
