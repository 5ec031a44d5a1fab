//! Threads, interrupts, and limits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use dynasmrt::{DynasmApi, DynasmLabelApi};
use hokku_ir::{CpuMode, CpuState, Gpr};
use hokku_runtime::{Engine, Team, TeamConfig};

use crate::guest64;
use crate::system::{CODE, DATA, Event, Guest, OnFault, STACK_TOP, assemble64, call, on_engines};

#[test]
fn an_endless_loop_can_be_interrupted() {
    // Without a memory access, with one, and with calls: each has other ways out.
    let plain = assemble64(|a| guest64!(a ; again: ; inc rax ; jmp <again));
    let memory = assemble64(|a| guest64!(a ; again: ; mov rax, [rsp - 8] ; inc rbx ; jmp <again));
    let calls = assemble64(|a| guest64!(a ; again: ; call >f ; jmp <again ; f: ; inc rax ; ret));
    let computed = assemble64(|a| guest64!(a ; lea rbx, [>again] ; again: ; inc rax ; jmp rbx));
    for code in [plain, memory, calls, computed] {
        on_engines(|engine| {
            let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
            let team = &guest.team;
            let (send, receive) = mpsc::channel();
            let mut cpu = CpuState::new(CpuMode::Long64);
            (cpu.rip, cpu.gpr[Gpr::Rsp.index()]) = (CODE.0, STACK_TOP.0);
            let body = move |thread: &mut hokku_runtime::Thread| {
                thread.run();
                send.send(thread.cpu.clone()).unwrap();
            };
            let handle = Team::spawn_with(team, cpu, Box::new(()), "endless", body).unwrap();
            handle.interrupt();
            let cpu = receive.recv().unwrap();
            assert!((CODE.0..CODE.0 + code.len() as u64).contains(&cpu.rip), "{:#x}", cpu.rip);
        });
    }
}

#[test]
fn an_interrupt_before_the_run_is_delivered_first() {
    let code = assemble64(|a| guest64!(a ; again: ; inc rax ; jmp <again));
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let thread = guest.thread();
        thread.handle().interrupt();
        assert!(thread.is_interrupted());
        let ended = guest.finish(thread);
        assert_eq!((ended.events, ended.cpu.get(Gpr::Rax)), (vec![Event::Interrupted], 0));
    });
}

#[test]
fn interrupts_anywhere_leave_no_trace() {
    const ROUNDS: i32 = 100_000;
    // Flags over long distances, calls, computed jumps, returns to elsewhere, string instructions, read-modify-write, x87, division: all mixed
    // into r12.
    let code = assemble64(|a| {
        guest64!(a
            ; mov ebx, ROUNDS
            ; xor r12d, r12d
            ; fldz
            ; again:
            ; mov eax, ebx
            ; cmp eax, 1000
            ; call >mix
            ; mov esi, DATA.0 as i32
            ; mov edi, DATA.0 as i32 + 0x100
            ; mov ecx, 40
            ; mov [rsi], ebx
            ; rep movsb
            ; mov ecx, [DATA.0 as i32 + 0x100]
            ; add r12, rcx
            ; lea rax, [>next]
            ; jmp rax
            ; next:
            ; call >behind
            ; hlt
            ; push rbx
            ; call >behind_eight
            ; hlt
            ; add r12, rsp
            ; mov eax, ebx
            ; xor edx, edx
            ; mov ecx, 7
            ; div ecx
            ; add r12, rdx
            ; fld1
            ; faddp st1, st0
            ; add DWORD [DATA.0 as i32 + 8], 3
            ; adc r12, 0
            ; movd xmm3, r12d
            ; paddd xmm4, xmm3
            ; dec ebx
            ; jnz <again
            ; fistp QWORD [DATA.0 as i32 + 0x200]
            ; mov rdi, r12
            ; mov eax, call::LOG
            ; syscall
            ; mov rdi, [DATA.0 as i32 + 0x200]
            ; mov eax, call::LOG
            ; syscall
            ; movd edi, xmm4
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; mix:
            ; lea r13, [r12 + 5]
            ; setb r13b
            ; movzx r13d, r13b
            ; add r12, r13
            ; ret
            ; behind:
            ; inc QWORD [rsp]
            ; ret
            ; behind_eight:
            ; inc QWORD [rsp]
            ; ret 8
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let undisturbed = guest.run().log();
        assert_eq!(undisturbed[1], ROUNDS as u64);
        guest.system.ignore_interrupts.store(true, Ordering::SeqCst);
        guest.team.memory.fill(DATA, 0, 0x1000).unwrap();
        let thread = guest.thread();
        let (handle, done) = (thread.handle(), Arc::new(AtomicBool::new(false)));
        let (over, system) = (Arc::clone(&done), Arc::clone(&guest.system));
        let pest = std::thread::spawn(move || {
            for sent in 0..3000 {
                handle.interrupt();
                while system.interrupts.load(Ordering::SeqCst) <= sent && !over.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }
        });
        while !thread.is_interrupted() {
            std::thread::yield_now();
        }
        let log = guest.finish(thread).log();
        done.store(true, Ordering::SeqCst);
        pest.join().unwrap();
        assert_eq!(log, undisturbed);
        assert!(guest.system.interrupts.load(Ordering::SeqCst) > 0);
    });
}

#[test]
fn threads_add_up_atomically() {
    const ROUNDS: i32 = 20_000;
    const THREADS: i32 = 4;
    let code = assemble64(|a| {
        guest64!(a
            ; mov ebx, THREADS
            ; more:
            ; lea rdi, [>child]
            ; mov esi, ROUNDS
            ; mov edx, ebx
            ; shl edx, 16
            ; add edx, 0x50_0000
            ; mov eax, call::SPAWN
            ; syscall
            ; dec ebx
            ; jnz <more
            ; mov eax, call::JOIN
            ; syscall
            ; mov edi, [DATA.0 as i32]
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; child:
            ; again:
            ; lock inc DWORD [DATA.0 as i32]
            ; dec edi
            ; jnz <again
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [(ROUNDS * THREADS) as u64]);
    });
}

#[test]
fn code_changed_by_one_thread_is_seen_by_another() {
    // The child calls a routine until it answers something else than 1; the main thread changes the routine's answer to 2.
    let code = assemble64(|a| {
        guest64!(a
            ; lea rdi, [>child]
            ; mov edx, 0x50_0000
            ; mov eax, call::SPAWN
            ; syscall
            // Until the child has called the routine once.
            ; wait:
            ; pause
            ; cmp DWORD [DATA.0 as i32], 0
            ; je <wait
            ; mov DWORD [>routine + 1], 2
            ; mov eax, call::JOIN
            ; syscall
            ; xor eax, eax
            ; syscall
            ; child:
            ; again:
            ; call >routine
            ; mov DWORD [DATA.0 as i32], 1
            ; cmp eax, 1
            ; je <again
            ; mov edi, eax
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; .align 4096
            ; routine:
            ; mov eax, 1
            ; ret
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [2]);
    });
}

#[test]
fn code_without_end_fits_a_small_cache() {
    // Writes and calls ten thousand routines, each in a place of its own, then counts what they answered.
    const ROUTINES: i32 = 10_000;
    let code = assemble64(|a| {
        guest64!(a
            ; mov ebx, ROUTINES
            ; mov r13d, 0x300_0000
            ; xor r12d, r12d
            ; again:
            ; mov BYTE [r13], 0xb8u8 as i8
            ; mov DWORD [r13 + 1], 3
            ; mov BYTE [r13 + 5], 0xc3u8 as i8
            ; call r13
            ; add r12, rax
            ; add r13, 64
            ; dec ebx
            ; jnz <again
            ; mov rdi, r12
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        for code_cache_bytes in [0, 1 << 20] {
            let config = TeamConfig { code_cache_bytes, ..TeamConfig::new(CpuMode::Long64, engine) };
            let guest = Guest::with(&config, &code, OnFault::Leave);
            let place = hokku_runtime::Placement::Exactly(hokku_ir::GuestAddr(0x300_0000));
            guest.team.memory.map_anonymous(place, 0x10_0000, hokku_runtime::Prot::all(), false).unwrap();
            assert_eq!(guest.run().log(), [3 * ROUTINES as u64]);
            if engine == Engine::Jit {
                let stats = guest.team.stats.report();
                assert!(stats.evictions > 0 && stats.evicted_regions > 0, "{stats}");
                assert!(stats.evicted_regions < stats.regions, "what is new stays\n{stats}");
            }
        }
    });
}

#[test]
fn threads_run_on_while_another_changes_code() {
    const ROUNDS: i32 = 300;
    // Two children count in a loop that calls a routine; the main thread rewrites the routine, to the same, again and again.
    let code = assemble64(|a| {
        guest64!(a
            ; mov ebx, 2
            ; more:
            ; lea rdi, [>child]
            ; mov edx, ebx
            ; shl edx, 16
            ; add edx, 0x50_0000
            ; mov eax, call::SPAWN
            ; syscall
            ; dec ebx
            ; jnz <more
            ; mov ebx, ROUNDS
            ; rewrite:
            ; mov DWORD [>routine + 1], 3
            ; dec ebx
            ; jnz <rewrite
            ; mov DWORD [DATA.0 as i32], 1
            ; mov eax, call::JOIN
            ; syscall
            ; xor eax, eax
            ; syscall
            ; child:
            ; xor ebx, ebx
            ; xor r12d, r12d
            ; again:
            ; call >routine
            ; add r12, rax
            ; inc rbx
            ; cmp DWORD [DATA.0 as i32], 0
            ; je <again
            // Three for each call, or something was lost.
            ; lea rax, [rbx + rbx * 2]
            ; sub r12, rax
            ; mov rdi, r12
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; .align 4096
            ; routine:
            ; mov eax, 3
            ; ret
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0, 0]);
    });
}
