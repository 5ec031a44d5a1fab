//! Code that changes: by its own stores, often, and by those of other threads.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use hokku_ir::CpuMode;
use hokku_runtime::{Engine, StatsReport, TeamConfig};

use crate::system::{CHILD_STACKS, CODE, DATA, Guest, OnFault, assemble32, assemble64, call, on_engines};
use crate::{guest32, guest64};

/// A page of code far from the program's own.
const PAGE: i32 = CODE.0 as i32 + 0x8000;

fn run(engine: Engine, mode: CpuMode, code: &[u8]) -> (Vec<u64>, StatsReport) {
    let guest = Guest::new(engine, mode, code, OnFault::Leave);
    let ended = guest.run();
    (ended.log(), guest.team.stats.report())
}

#[test]
fn stores_to_the_next_instruction_are_seen_however_often() {
    const TIMES: i32 = 300;
    let long = assemble64(|a| {
        guest64!(a
            ; xor ebx, ebx
            ; xor r12d, r12d
            ; again:
            ; mov DWORD [>patched + 1], ebx
            ; patched:
            ; mov edi, 0x7777
            ; add r12d, edi
            ; inc ebx
            ; cmp ebx, TIMES
            ; jne <again
            ; mov edi, r12d
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    let short = assemble32(|a| {
        guest32!(a
            ; xor ebx, ebx
            ; xor ebp, ebp
            ; again:
            ; call >here
            ; here:
            ; pop eax
            // The immediate of `mov edi`.
            ; mov [eax + 6], ebx
            ; nop
            ; mov edi, 0x7777
            ; add ebp, edi
            ; inc ebx
            ; cmp ebx, TIMES
            ; jne <again
            ; mov edi, ebp
            ; mov eax, call::LOG
            ; int 99
            ; xor eax, eax
            ; int 99
        );
    });
    let sum = (TIMES * (TIMES - 1) / 2) as u64;
    on_engines(|engine| {
        for (mode, code) in [(CpuMode::Long64, &long), (CpuMode::Protected32, &short)] {
            let (log, stats) = run(engine, mode, code);
            assert_eq!(log, [sum], "{engine:?} {mode:?}");
            assert!(
                stats.store_invalidations < 10,
                "{engine:?} {mode:?}: the page is checked after a few times\n{stats}"
            );
            // Translated again each time, or not at all.
            let followed = if engine == Engine::Interp { stats.stale_code } else { stats.evaluated_blocks };
            assert!(followed >= 100, "{engine:?} {mode:?}\n{stats}");
        }
    });
}

#[test]
fn a_function_that_is_rewritten_often_is_the_new_one_each_time() {
    const TIMES: i32 = 2000;
    // Two functions in one page: one changes, the other does not.
    let code = assemble64(|a| {
        guest64!(a
            ; mov DWORD [PAGE + 64], 0xc301_c083_u32 as i32 // add eax, 1; ret
            ; xor ebx, ebx
            ; xor r12, r12
            ; again:
            ; mov BYTE [PAGE], 0xb8_u8 as i8 // mov eax, ebx; ret
            ; mov [PAGE + 1], ebx
            ; mov BYTE [PAGE + 5], 0xc3_u8 as i8
            ; mov esi, PAGE
            ; call rsi
            ; lea rsi, [rsi + 64]
            ; call rsi
            ; add r12, rax
            ; inc ebx
            ; cmp ebx, TIMES
            ; jne <again
            ; mov rdi, r12
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let (log, stats) = run(engine, CpuMode::Long64, &code);
        assert_eq!(log, [(1..=TIMES as u64).sum()], "{engine:?}");
        let most = if engine == Engine::Interp { TIMES as u64 + 60 } else { 60 };
        assert!(stats.regions < most, "{engine:?}: too much is translated again\n{stats}");
    });
}

#[test]
fn code_that_another_thread_changes_by_the_rules_is_the_new_one() {
    const TIMES: i32 = 500;
    // The child writes and announces; the parent waits, serialises and runs what comes right behind.
    let code = assemble64(|a| {
        guest64!(a
            ; lea rdi, [->writer]
            ; mov edx, CHILD_STACKS.0 as i32 + 0x1_0000
            ; mov eax, call::SPAWN
            ; syscall
            ; mov ebp, 1
            ; xor r12, r12
            ; ->next:
            ; cmp DWORD [DATA.0 as i32], ebp
            ; pause
            ; jne ->next
            ; xor eax, eax
            ; cpuid
            ; ->patched:
            ; mov ecx, 0
            ; add r12, rcx
            ; mov [DATA.0 as i32 + 64], ebp
            ; inc ebp
            ; cmp ebp, TIMES
            ; jne ->next
            ; mov eax, call::JOIN
            ; syscall
            ; mov rdi, r12
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; ->writer:
            ; mov ebx, 1
            ; lea rdi, [->patched]
            ; write:
            ; mov [rdi + 1], ebx
            ; mov [DATA.0 as i32], ebx
            ; wait:
            ; pause
            ; cmp DWORD [DATA.0 as i32 + 64], ebx
            ; jne <wait
            ; inc ebx
            ; cmp ebx, TIMES
            ; jne <write
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let (log, stats) = run(engine, CpuMode::Long64, &code);
        assert_eq!(log, [(1..TIMES as u64).sum()], "{engine:?}\n{stats}");
    });
}

#[test]
fn code_is_translated_anew_for_the_second_thread_where_order_needs_it() {
    let code = assemble64(|a| {
        guest64!(a
            ; xor ebx, ebx
            ; again:
            ; call ->count
            ; cmp ebx, 100
            ; jne <again
            ; lea rdi, [->child]
            ; mov edx, CHILD_STACKS.0 as i32 + 0x1_0000
            ; mov eax, call::SPAWN
            ; syscall
            ; mov eax, call::JOIN
            ; syscall
            ; call ->count
            ; mov edi, ebx
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; ->count:
            ; inc ebx
            ; ret
            ; ->child:
            ; call ->count
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        for weak_host in [false, true] {
            let config = TeamConfig { weak_host, ..TeamConfig::new(CpuMode::Long64, engine) };
            let guest = Guest::with(&config, &code, OnFault::Leave);
            assert_eq!(guest.run().log(), [101], "{engine:?}");
            let stats = guest.team.stats.report();
            let is_weak = engine == Engine::Jit && hokku_runtime::back_end().is_some_and(|b| b.needs_order());
            assert_eq!(stats.evictions, u64::from(weak_host || is_weak), "{engine:?}\n{stats}");
        }
    });
}

#[test]
fn shared_memory_makes_order_count() {
    use hokku_runtime::{Placement, Prot};
    let code = assemble64(|a| {
        guest64!(a
            ; mov edi, 7
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let config = TeamConfig { weak_host: true, ..TeamConfig::new(CpuMode::Long64, engine) };
        let guest = Guest::with(&config, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [7]);
        let map = |shared| {
            let place = Placement::Lowest { low: DATA, high: hokku_ir::GuestAddr(1 << 32), align: 4096 };
            guest.team.memory.map_anonymous(place, 4096, Prot::READ | Prot::WRITE, shared).unwrap();
            guest.team.stats.report().evictions
        };
        assert_eq!([map(false), map(true), map(true)], [0, 1, 1], "once is enough");
        assert_eq!(guest.run().log(), [7]);
    });
}

#[test]
fn rewritten_code_that_runs_a_lot_is_good_code_in_the_end_and_may_still_change() {
    const TIMES: i32 = 40;
    const RUNS: i32 = 400;
    // A function is written, run often, and written again; another one beside it stays.
    let code = assemble64(|a| {
        guest64!(a
            ; mov DWORD [PAGE + 64], 0xc301_c083_u32 as i32 // add eax, 1; ret
            ; xor ebx, ebx
            ; xor r12, r12
            ; again:
            ; mov BYTE [PAGE], 0xb8_u8 as i8 // mov eax, ebx; ret
            ; mov [PAGE + 1], ebx
            ; mov BYTE [PAGE + 5], 0xc3_u8 as i8
            ; mov ebp, RUNS
            ; more:
            ; mov esi, PAGE
            ; call rsi
            ; lea rsi, [rsi + 64]
            ; call rsi
            ; add r12, rax
            ; dec ebp
            ; jnz <more
            ; inc ebx
            ; cmp ebx, TIMES
            ; jne <again
            ; mov rdi, r12
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        for background in [false, true] {
            let mut config = TeamConfig::new(CpuMode::Long64, engine);
            config.tiering.threshold = 20;
            config.tiering.background = background;
            let guest = Guest::with(&config, &code, OnFault::Leave);
            let expected = (1..=TIMES as u64).sum::<u64>() * RUNS as u64;
            assert_eq!(guest.run().log(), [expected], "{engine:?}");
            let stats = guest.team.stats.report();
            if engine == Engine::Jit && !background {
                assert!(stats.store_invalidations >= 5, "protected again\n{stats}");
            }
            assert!(stats.store_invalidations <= 10, "but not for ever\n{stats}");
        }
    });
}
