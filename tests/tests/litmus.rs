//! Litmus tests, a few thousand times each: `cargo run --release -p hokku-tests --bin litmus` runs them for long.

use std::sync::{Mutex, MutexGuard};

use hokku_ir::CpuMode;
use hokku_runtime::Engine;
use hokku_tests::litmus::{Access, Barrier, Bench, LOCKED, OFFSETS, is_split, run, run_locked, variants};

/// The tests use the same addresses.
static ONE: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Some thousand runs of each test in the forms that differ most.
fn nothing_forbidden_is_seen(engine: Engine, mode: CpuMode, accesses: &[Access]) {
    let _one = one_at_a_time();
    let bench = Bench::new(engine, mode);
    for variant in variants() {
        if !accesses.contains(&variant.access) || !matches!(variant.barrier, None | Some(Barrier::Mfence)) {
            continue;
        }
        let count = run(&bench, &variant, 1000);
        let what = format!("{} ({engine:?}, {mode:?})\n{count}", variant.name());
        assert!(count.total() >= 1000, "{what}");
        // Of vectors x86-64 hosts alone promise it: docs/differential.md.
        if variant.access != Access::Vector || cfg!(target_arch = "x86_64") {
            assert_eq!(count.torn(), 0, "a torn access: {what}");
        }
        assert!(!variant.forbids() || count.asked(&variant) == 0, "{what}");
    }
}

#[test]
fn nothing_forbidden_is_seen_by_translated_code() {
    if Engine::best() == Engine::Jit {
        nothing_forbidden_is_seen(Engine::Jit, CpuMode::Long64, &[Access::Word, Access::Unaligned, Access::Vector]);
        nothing_forbidden_is_seen(Engine::Jit, CpuMode::Protected32, &[Access::Word]);
    }
}

#[test]
fn nothing_forbidden_is_seen_by_the_interpreter() {
    nothing_forbidden_is_seen(Engine::Interp, CpuMode::Long64, &[Access::Word, Access::Vector]);
    nothing_forbidden_is_seen(Engine::Interp, CpuMode::Protected32, &[Access::Unaligned]);
}

#[test]
fn locked_operations_lose_nothing_at_any_alignment() {
    let _one = one_at_a_time();
    for engine in [Engine::best(), Engine::Interp] {
        for mode in [CpuMode::Long64, CpuMode::Protected32] {
            let bench = Bench::new(engine, mode);
            for locked in LOCKED {
                for offset in
                    OFFSETS.into_iter().filter(|o| locked.fits(*o) && (mode == CpuMode::Long64 || !is_split(*o)))
                {
                    let (count, expected) = run_locked(&bench, locked, offset, 1000);
                    assert_eq!(count, expected, "{} at {offset} ({engine:?}, {mode:?})", locked.name);
                }
            }
        }
    }
}
