//! The trap flag, breakpoints and watches.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use hokku_ir::guest::eflags;
use hokku_ir::{CpuMode, Gpr};
use hokku_runtime::{Access, FaultKind, Thread, Watch};

use crate::system::{CODE, DATA, Event, Guest, OnFault, STACK_TOP, assemble32, assemble64, call, on_engines};
use crate::{guest32, guest64};

/// Runs `thread` until it stops `n` times; where, from the start of the code.
fn stops(thread: &mut Thread, n: usize) -> Vec<u64> {
    let mut next = || {
        thread.run();
        thread.cpu.rip - CODE.0
    };
    (0..n).map(|_| next()).collect()
}

/// Whether all events are debug exceptions that tell where the thread goes on.
fn all_are_debug_exceptions(events: &[Event]) -> bool {
    let debug =
        |e: &Event| matches!(e, Event::Fault(fault, rip) if fault.kind == FaultKind::Debug && fault.at.0 == *rip);
    events.iter().all(debug)
}

#[test]
fn a_trap_follows_the_instruction_after_popf() {
    let code = assemble64(|a| {
        guest64!(a
            ; pushfq
            ; or DWORD [rsp], eflags::TF as i32
            ; popfq
            ; mov eax, 1
            ; jmp >on
            ; nop
            ; on:
            ; pushfq
            ; and DWORD [rsp], !eflags::TF as i32
            ; popfq
            ; mov eax, call::EXIT
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let mut thread = guest.thread();
        // The instruction that clears the flag is the last that traps; then the program runs to its end.
        assert_eq!(stops(&mut thread, 5), [14, 20, 21, 28, 29]);
        let ended = guest.finish(thread);
        assert_eq!(ended.cpu.rip - CODE.0, code.len() as u64);
        assert!(ended.events.len() == 5 && all_are_debug_exceptions(&ended.events), "{:?}", ended.events);
    });
}

#[test]
fn a_trap_follows_the_instruction_after_iret() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov rcx, rsp
            ; mov eax, ss
            ; push rax
            ; push rcx
            ; pushfq
            ; or DWORD [rsp], eflags::TF as i32
            ; mov eax, cs
            ; push rax
            ; lea rax, [>on]
            ; push rax
            ; iretq
            ; on:
            ; mov eax, 1
            ; mov ecx, 2
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let mut thread = guest.thread();
        let end = code.len() as u64;
        assert_eq!(stops(&mut thread, 2), [end - 5, end]);
        assert_eq!(thread.cpu.get(Gpr::Rsp), STACK_TOP.0);
    });
}

#[test]
fn a_trap_follows_each_element_of_a_string() {
    let code = assemble64(|a| {
        guest64!(a
            ; rep movsb
            ; repe cmpsb
            ; rep stosb
            ; nop
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        guest.team.memory.write_bytes(DATA, b"abcdxbcd").unwrap();
        let mut thread = guest.thread();
        thread.cpu.system_flags |= eflags::TF;
        thread.cpu.set(Gpr::Rsi, DATA.0);
        thread.cpu.set(Gpr::Rdi, DATA.0 + 16);
        thread.cpu.set(Gpr::Rcx, 3);
        assert_eq!(stops(&mut thread, 3), [0, 0, 2]);
        assert_eq!(guest.team.memory.read_u8(DATA.offset(18)).unwrap(), b'c');
        // "bcdx" and "xbcd" differ at once.
        thread.cpu.set(Gpr::Rsi, DATA.0 + 1);
        thread.cpu.set(Gpr::Rdi, DATA.0 + 4);
        thread.cpu.set(Gpr::Rcx, 4);
        assert_eq!(stops(&mut thread, 1), [4]);
        assert_eq!(thread.cpu.get(Gpr::Rcx), 3);
        // Nothing to do is one step.
        thread.cpu.set(Gpr::Rcx, 0);
        assert_eq!(stops(&mut thread, 2), [6, 7]);
        assert!(all_are_debug_exceptions(&guest.finish(thread).events[..6]));
    });
}

#[test]
fn no_trap_follows_a_load_of_the_stack_segment() {
    let code = assemble32(|a| {
        guest32!(a
            ; mov eax, ss
            // mov ss, eax
            ; .bytes [0x8eu8, 0xd0]
            ; mov eax, 1
            ; push ss
            ; pop ss
            ; mov ecx, 2
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        let mut thread = guest.thread();
        thread.cpu.system_flags |= eflags::TF;
        let end = code.len() as u64;
        assert_eq!(stops(&mut thread, 4), [2, end - 7, end - 6, end]);
    });
}

#[test]
fn breakpoints_stop_before_their_instruction_each_time() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov ecx, 3
            ; again:
            ; inc eax
            ; dec ecx
            ; jnz <again
            ; mov eax, call::EXIT
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let mut thread = guest.thread();
        let dec = CODE.offset(7);
        guest.team.set_breakpoint(dec);
        guest.team.set_breakpoint(CODE);
        assert_eq!(stops(&mut thread, 3), [0, 7, 7]);
        assert_eq!((thread.cpu.get(Gpr::Rcx), thread.cpu.get(Gpr::Rax)), (2, 2));
        // The program sees its own bytes.
        assert_eq!(guest.team.memory.read_u8(dec).unwrap(), code[7]);
        guest.team.clear_breakpoint(dec);
        let events = guest.finish(thread).events;
        assert!(events.len() == 3 && all_are_debug_exceptions(&events), "{events:?}");
    });
}

#[test]
fn a_step_to_a_breakpoint_stops_there_too() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov eax, 1
            ; mov ecx, 2
            ; mov edx, 3
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let mut thread = guest.thread();
        guest.team.set_breakpoint(CODE.offset(5));
        thread.cpu.system_flags |= eflags::TF;
        // After the first instruction, before the second because of the breakpoint, after the second.
        assert_eq!(stops(&mut thread, 3), [5, 5, 10]);
        assert_eq!(thread.cpu.get(Gpr::Rcx), 2);
    });
}

#[test]
fn watches_stop_after_the_access() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov [rdi], eax
            ; mov ecx, [rdi + 8]
            ; mov [rdi + 6], eax
            ; lock inc DWORD [rdi + 8]
            ; mov [rdi + 12], eax
            ; mov eax, call::EXIT
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let mut thread = guest.thread();
        thread.cpu.set(Gpr::Rdi, DATA.0);
        let watched = |reads| Watch { range: DATA.0 + 8..DATA.0 + 12, reads };
        let hit = |thread: &Thread| thread.watch_hit().map(|h| (h.at.0 - DATA.0, h.access));
        guest.team.set_watch(watched(false));
        assert_eq!((stops(&mut thread, 1), hit(&thread)), (vec![8], Some((6, Access::Write))));
        assert_eq!((stops(&mut thread, 1), hit(&thread)), (vec![12], Some((8, Access::Write))));
        guest.team.clear_watch(&watched(false));
        guest.team.set_watch(watched(true));
        thread.cpu.rip = CODE.0;
        assert_eq!((stops(&mut thread, 1), hit(&thread)), (vec![5], Some((8, Access::Read))));
        guest.team.clear_watch(&watched(true));
        let events = guest.finish(thread).events;
        assert!(events.len() == 3 && all_are_debug_exceptions(&events), "{events:?}");
    });
}

#[test]
fn a_watch_stops_a_thread_that_runs_translated_code() {
    let code = assemble64(|a| {
        guest64!(a
            ; again:
            ; inc DWORD [rdi]
            ; jmp <again
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let mut thread = guest.thread();
        thread.cpu.set(Gpr::Rdi, DATA.0);
        let team = std::sync::Arc::clone(&guest.team);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while team.memory.read_u8(DATA.offset(1)).unwrap() == 0 {
                    std::thread::yield_now();
                }
                team.set_watch(Watch { range: DATA.0..DATA.0 + 4, reads: false });
            });
            assert_eq!(stops(&mut thread, 1), [2]);
        });
        assert_eq!(thread.watch_hit().map(|h| h.at), Some(DATA));
    });
}
