//! Exceptions: each is reported at its instruction, with the state before it.

use dynasmrt::{DynasmApi, DynasmLabelApi};
use hokku_ir::{CpuMode, FlagSet, Gpr, GuestAddr};
use hokku_runtime::{Access, FaultCause, FaultKind, MemoryFault};

use crate::system::{CODE, DATA, Event, Guest, OnFault, assemble32, assemble64, call, on_engines};
use crate::{guest32, guest64};

fn page(address: u64, access: Access, cause: FaultCause) -> FaultKind {
    FaultKind::Page(MemoryFault { address: GuestAddr(address), access, cause })
}

#[test]
fn a_bad_store_is_reported_with_the_state_before_it() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov eax, 1
            ; mov ebx, 0x5000
            ; add eax, 1
            ; add [rbx + 8], eax
            ; mov eax, 99
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let ended = guest.run();
        let (fault, rip) = ended.fault();
        assert_eq!(fault.at.0, CODE.0 + 13);
        assert_eq!(rip, fault.at.0);
        let FaultKind::Page(fault) = fault.kind else { panic!("{fault:?}") };
        assert_eq!((fault.address.0, fault.cause), (0x5008, FaultCause::Unmapped));
        assert_eq!(ended.cpu.get(Gpr::Rax), 2);
    });
}

#[test]
fn protection_is_told_from_absence() {
    let code = assemble32(|a| {
        guest32!(a
            ; mov esi, DATA.0 as i32
            ; mov eax, [esi]
            ; mov [esi], eax
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        guest.team.memory.protect(DATA, 0x1000, hokku_runtime::Prot::READ).unwrap();
        let (fault, _) = guest.run().fault();
        assert_eq!(fault.at.0, CODE.0 + 7);
        assert_eq!(fault.kind, page(DATA.0, Access::Write, FaultCause::Protection));
    });
}

#[test]
fn code_that_may_not_be_executed_is_not() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov eax, DATA.0 as i32
            ; jmp rax
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let (fault, rip) = guest.run().fault();
        assert_eq!((fault.at, rip), (DATA, DATA.0));
        assert_eq!(fault.kind, page(DATA.0, Access::Execute, FaultCause::Protection));
    });
}

#[test]
fn an_instruction_that_reaches_into_nothing_faults_at_the_page() {
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &[], OnFault::Leave);
        // The first byte of `mov eax, imm32` is the last of the code's memory.
        let last = GuestAddr(CODE.0 + 0xffff);
        guest.team.memory.write_u8(last, 0xb8).unwrap();
        let mut thread = guest.thread();
        thread.cpu.rip = last.0;
        let (fault, rip) = guest.finish(thread).fault();
        assert_eq!((fault.at, rip), (last, last.0));
        assert_eq!(fault.kind, page(last.0 + 1, Access::Execute, FaultCause::Unmapped));
    });
}

#[test]
fn division_by_zero_is_reported() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov eax, 7
            ; xor edx, edx
            ; xor ecx, ecx
            ; div ecx
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let ended = guest.run();
        assert_eq!(ended.fault().0.kind, FaultKind::Divide);
        assert_eq!(ended.fault().0.at.0, CODE.0 + 9);
        assert_eq!(ended.cpu.get(Gpr::Rax), 7);
    });
}

#[test]
fn invalid_and_breakpoint_instructions_are_told_apart() {
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &[0x0f, 0x0b], OnFault::Leave);
        let (fault, rip) = guest.run().fault();
        assert_eq!((fault.kind, rip), (FaultKind::InvalidOpcode, CODE.0));
        drop(guest);
        let guest = Guest::new(engine, CpuMode::Long64, &[0x90, 0xcc], OnFault::Leave);
        let (fault, rip) = guest.run().fault();
        assert_eq!((fault.kind, fault.at.0, rip), (FaultKind::Breakpoint, CODE.0 + 1, CODE.0 + 2));
    });
}

#[test]
fn a_non_canonical_address_is_a_protection_fault() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov rax, QWORD 0x8000_0000_0000_0000u64 as i64
            ; mov eax, [rax]
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().fault().0.kind, FaultKind::Protection);
    });
}

/// A jump, call or return to an address that is not canonical faults itself: with its stack pointer, and the flags from before.
#[test]
fn a_transfer_to_a_non_canonical_address_is_a_protection_fault_there() {
    const NOWHERE: u64 = 0x1234_8000_0000_0000;
    let transfers: [(&str, &[u8]); 6] = [
        ("jmp rax", &[0xff, 0xe0]),
        ("jmp [rbx]", &[0xff, 0x23]),
        ("call rax", &[0xff, 0xd0]),
        ("call [rbx]", &[0xff, 0x13]),
        ("ret", &[0xc3]),
        ("ret 16", &[0xc2, 0x10, 0]),
    ];
    for (name, bytes) in transfers {
        let mut at = CODE.0;
        let code = assemble64(|a| {
            guest64!(a
                ; mov ebx, DATA.0 as i32 + 0x100
                ; mov rax, QWORD NOWHERE as i64
                ; mov [rbx], rax
                // A first call of the function is in order, so that it is the jump's target alone that is wrong.
                ; mov ecx, 2
                ; call >function
                ; mov ecx, 1
                ; call >function
                ; function:
                ; cmp ecx, 2
                ; je >back
                ; mov rsp, rbx
                ; cmp ecx, 5
            );
            at += a.offset().0 as u64;
            a.extend(bytes);
            guest64!(a ; back: ; ret);
        });
        on_engines(|engine| {
            let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
            let ended = guest.run();
            let (fault, rip) = ended.fault();
            assert_eq!((&fault.kind, fault.at.0, rip), (&FaultKind::Protection, at, at), "{name}");
            assert_eq!(ended.cpu.get(Gpr::Rsp), DATA.0 + 0x100, "{name}");
            let flags = FlagSet::from_bits_truncate(ended.cpu.status_flags);
            assert!(flags.contains(FlagSet::CF) && !flags.contains(FlagSet::ZF), "{name}: {flags:?}");
        });
    }
}

#[test]
fn a_misaligned_vector_access_is_a_protection_fault() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov eax, DATA.0 as i32 + 4
            ; movups xmm1, [rax]
            ; movaps xmm0, [rax]
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let (fault, _) = guest.run().fault();
        assert_eq!((fault.kind, fault.at.0), (FaultKind::Protection, CODE.0 + 8));
    });
}

#[test]
fn the_personality_can_send_a_faulting_thread_elsewhere() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov eax, [0]
            ; .align 64
            ; mov edi, 42
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::GoTo(GuestAddr(CODE.0 + 64)));
        let ended = guest.run();
        assert_eq!(ended.log(), [42]);
        assert!(matches!(ended.events[0], Event::Fault(..)));
    });
}

#[test]
fn single_steps_stop_after_each_instruction() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov ecx, 2
            ; again:
            ; dec ecx
            ; jnz <again
            ; mov eax, call::LOG
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        let mut thread = guest.thread();
        thread.cpu.system_flags |= hokku_ir::guest::eflags::TF;
        let mut stops = Vec::new();
        for _ in 0..6 {
            thread.run();
            stops.push(thread.cpu.rip - CODE.0);
        }
        assert_eq!(stops, [5, 7, 5, 7, 13, 18]);
        let events = guest.finish(thread).events;
        assert!(events[..6].iter().all(|e| matches!(e, Event::Fault(fault, _) if fault.kind == FaultKind::Debug)));
    });
}

#[test]
fn locked_operations_across_pages_are_done_whole_or_not_at_all() {
    // Two bytes in the last page of the data, the rest behind it.
    const AT: i32 = DATA.0 as i32 + 0xfffe;
    const NEXT: u64 = DATA.0 + 0x1_0000;
    type Operation = fn(&mut crate::system::Asm64);
    // The bytes mean the same in both modes.
    let operations: [(&str, Operation); 9] = [
        ("add", |a| guest64!(a ; lock add [rsi], eax)),
        ("inc", |a| guest64!(a ; lock inc DWORD [rsi])),
        ("neg", |a| guest64!(a ; lock neg DWORD [rsi])),
        ("or", |a| guest64!(a ; lock or DWORD [rsi], 1)),
        ("bts", |a| guest64!(a ; lock bts DWORD [rsi], 3)),
        ("xadd", |a| guest64!(a ; lock xadd [rsi], eax)),
        ("xchg", |a| guest64!(a ; xchg [rsi], eax)),
        ("cmpxchg", |a| guest64!(a ; lock cmpxchg [rsi], edx)),
        ("cmpxchg8b", |a| guest64!(a ; lock cmpxchg8b [rsi])),
    ];
    for (name, operation) in operations {
        let code = assemble64(|a| {
            guest64!(a ; mov esi, AT ; mov eax, 0x1234 ; mov edx, 0x5678);
            operation(a);
            guest64!(a ; ud2);
        });
        on_engines(|engine| {
            for mode in [CpuMode::Long64, CpuMode::Protected32] {
                for missing in [true, false] {
                    let what = format!("{name} {engine:?} {mode:?} missing={missing}");
                    let guest = Guest::new(engine, mode, &code, OnFault::Leave);
                    let memory = &guest.team.memory;
                    if !missing {
                        let place = hokku_runtime::Placement::Exactly(GuestAddr(NEXT));
                        memory.map_anonymous(place, 0x1000, hokku_runtime::Prot::READ, false).unwrap();
                    }
                    memory.write_u16(GuestAddr(AT as u64), 0x7777).unwrap();
                    let ended = guest.run();
                    let (fault, rip) = ended.fault();
                    assert_eq!(rip, CODE.0 + 15, "{what}");
                    let cause = if missing { FaultCause::Unmapped } else { FaultCause::Protection };
                    assert_eq!(fault.kind, page(NEXT, Access::Write, cause), "{what}");
                    assert_eq!(memory.read_u16(GuestAddr(AT as u64)), Ok(0x7777), "{what}");
                    assert_eq!((ended.cpu.get(Gpr::Rax), ended.cpu.get(Gpr::Rdx)), (0x1234, 0x5678), "{what}");
                }
            }
        });
    }
}
