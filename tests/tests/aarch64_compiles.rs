//! The aarch64 back end, on any host: it makes code of whatever the front end gives it, and says truly where that may fault.

use hokku_backend_aarch64::{Aarch64, Features};
use hokku_frontend::{Limits, translate};
use hokku_ir::backend::{Backend, Compiled, LazyState, Tier};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockKey, CpuMode, GuestAddr, X87Arithmetic};
use hokku_tests::fuzz::case::{Program, codes};
use hokku_tests::fuzz::rng::Rng;
use hokku_tests::fuzz::sequence;

const MODES: [CpuMode; 2] = [CpuMode::Protected32, CpuMode::Long64];
const TIERS: [Tier; 3] = [Tier::First { counted: false }, Tier::First { counted: true }, Tier::Second];

fn compile(program: &Program, features: Features, tier: Tier, ordered: bool) -> Compiled {
    let code = (GuestAddr(program.at), &program.bytes[..]);
    let key = BlockKey { ordered, ..BlockKey::new(GuestAddr(program.at), program.mode) };
    let mut region = translate(&code, key, &Limits::default());
    let back_end = Aarch64::new(features);
    for name in back_end.passes() {
        passes::run_one(&mut region, name, FaultsSee::ExactFlags);
    }
    back_end.compile_as(&region, tier)
}

/// What holds of all code.
fn check(compiled: &Compiled) {
    let end = compiled.code.len() as u32;
    assert!(end % 4 == 0 && compiled.host_instructions <= end / 4);
    let word =
        |at: u32| u32::from_le_bytes(compiled.code[at as usize..at as usize + 4].try_into().expect("four bytes"));
    for fault in &compiled.faults {
        // Loads and stores have bit 27 set and bit 25 clear. Computed jumps tell where they are: by `adr x30`, or the `bl` of a call.
        let word = word(fault.offset);
        let access = word >> 25 & 5 == 4;
        let jump = word & 0x9f00_001f == 0x1000_001e || word >> 26 == 0x25;
        // In loops of floats alone threads are called out where an operation of those starts, be it with a look at FPSR.
        let float = word >> 25 & 7 == 7 || word & !31 == 0xd53b_4420;
        // Code for a known x87 stack can be left at the start of each block.
        let start = fault.lazy == LazyState::default() && compiled.blocks.iter().any(|b| b.pc == fault.pc);
        assert!(access || jump || float || start, "{word:#x} at {:#x} is no access", fault.offset);
        assert!(fault.lazy.flags.is_none_or(|n| (n as usize) < compiled.recipes.len()));
    }
    for callout in &compiled.callouts {
        assert_eq!(word(callout.offset - 4) >> 26, 0x25, "a `bl` comes before a callout's return");
    }
    for link in &compiled.links {
        assert_eq!(word(link.site) >> 26, if link.is_call { 0x25 } else { 5 });
    }
    assert!(compiled.blocks.iter().all(|b| b.offset < end && b.checked < end));
}

#[test]
fn single_instructions() {
    for mode in MODES {
        let mut rng = Rng::new(3, mode as u64);
        for code in codes(mode) {
            for features in [Features::empty(), Features::all()] {
                let Some(program) = Program::single(&mut rng, code, mode) else { continue };
                check(&compile(&program, features, Tier::Second, false));
            }
        }
    }
}

#[test]
fn sequences() {
    for mode in MODES {
        let codes = sequence::codes(&codes(mode));
        for number in 0..400 {
            let mut rng = Rng::new(11, number);
            let program = sequence::program(&mut rng, &codes, mode, CpuModel::X86_64_V3);
            let features = Features::from_bits_truncate(rng.u64() as u32);
            let tier = TIERS[(number % 3) as usize];
            check(&compile(&program, features, tier, number % 5 == 0));
        }
    }
}

/// Real code, from wherever it may be entered and from places in between.
#[test]
fn guest_programs() {
    for (mode, folder) in [(CpuMode::Protected32, "x86"), (CpuMode::Long64, "x86_64")] {
        for file in ["runtime_loader", "lib/libroot.so"] {
            let path = format!("{}/guest/prebuilt/{folder}/boot/system/{file}", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            for at in (0x1000..bytes.len().min(0xa000)).step_by(48) {
                let key = BlockKey::new(GuestAddr(at as u64), mode);
                let mut region = translate(&(GuestAddr(0), &bytes[..]), key, &Limits::default());
                let back_end = Aarch64::new(Features::all());
                for name in back_end.passes() {
                    passes::run_one(&mut region, name, FaultsSee::ExactFlags);
                }
                check(&back_end.compile_as(&region, Tier::Second));
            }
        }
    }
}

/// `again: fld qword [ebx+eax*8]; fmul qword [ecx+eax*8]; faddp st1,st0; inc eax; cmp eax, edx; jne again`: values stay in registers, and the shape of
/// the stack is not looked at in the loop.
#[test]
fn x87_stack_is_in_registers_where_it_holds_doubles() {
    let bytes: &[u8] = &[0xdd, 0x04, 0xc3, 0xdc, 0x0c, 0xc1, 0xde, 0xc1, 0x40, 0x39, 0xd0, 0x75, 0xf3];
    let code = (GuestAddr(0x1000), bytes);
    let back_end = Aarch64::new(Features::all());
    let compile = |x87| {
        let key = BlockKey { x87, ..BlockKey::new(GuestAddr(0x1000), CpuMode::Protected32) };
        let mut region = translate(&code, key, &Limits::default());
        for name in back_end.passes() {
            passes::run_one(&mut region, name, FaultsSee::ExactFlags);
        }
        back_end.compile_as(&region, Tier::Second)
    };
    let compiled = compile(X87Arithmetic::Double);
    assert_eq!(compiled.block_callouts, 0);
    assert!(compiled.host_instructions <= 18, "{} instructions", compiled.host_instructions);
    // Exact code has the functions beside it, and calls out only where values are not ordinary.
    let exact = compile(X87Arithmetic::Exact);
    assert_eq!(exact.block_callouts, 0);
    assert!(exact.host_instructions <= 90, "{} instructions", exact.host_instructions);
}

#[test]
fn x87_code_in_doubles() {
    for mode in MODES {
        let mut rng = Rng::new(11, mode as u64);
        for code in codes(mode).into_iter().filter(|c| format!("{c:?}").starts_with('F')) {
            let Some(program) = Program::single(&mut rng, code, mode) else { continue };
            let key = BlockKey { x87: X87Arithmetic::Double, ..BlockKey::new(GuestAddr(program.at), mode) };
            let region = translate(&(GuestAddr(program.at), &program.bytes[..]), key, &Limits::default());
            for tier in TIERS {
                let compiled = Aarch64::new(Features::all()).compile_as(&region, tier);
                assert_eq!(compiled.blocks.len(), region.blocks.len());
            }
        }
    }
}
