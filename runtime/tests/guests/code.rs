//! Ordinary code: loops, calls, computed jumps, code that changes.

use std::os::fd::AsFd;

use dynasmrt::{DynasmApi, DynasmLabelApi};
use hokku_ir::{CpuMode, Gpr, GuestAddr};
use hokku_runtime::{Placement, Prot};

use crate::system::{CODE, DATA, Guest, OnFault, STACK_BYTES, STACK_TOP, assemble32, assemble64, call, on_engines};
use crate::{guest32, guest64};

#[test]
fn a_loop_computes_a_sum() {
    let code = assemble64(|a| {
        guest64!(a
            ; xor eax, eax
            ; mov ecx, 1000
            ; again:
            ; add rax, rcx
            ; dec ecx
            ; jnz <again
            ; mov rdi, rax
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [500_500]);
    });
}

/// The optimiser is about to take up work that nobody has a use for any more when a team ends: it must not keep the team's addresses.
#[test]
fn another_team_has_the_addresses_of_one_that_ended() {
    let code = assemble32(|a| {
        guest32!(a
            ; mov ecx, 10
            ; again:
            ; dec ecx
            ; jnz <again
            ; xor eax, eax
            ; int 99
        );
    });
    on_engines(|engine| {
        for _ in 0..40 {
            assert_eq!(Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave).run().events, []);
        }
    });
}

#[test]
fn recursion_returns_through_every_level() {
    // Deeper than the host's shadow stack, which starts anew on the way and misses on the way back.
    const DEPTH: i32 = 1_500_000;
    let code = assemble64(|a| {
        guest64!(a
            ; mov edi, DEPTH
            ; call ->count
            ; mov rdi, rax
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; ->count:
            ; xor eax, eax
            ; test edi, edi
            ; jz >done
            ; dec edi
            ; call ->count
            ; inc rax
            ; done:
            ; ret
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [DEPTH as u64]);
    });
}

#[test]
fn calls_without_end_reach_the_end_of_the_stack() {
    let code = assemble32(|a| {
        guest32!(a
            ; again:
            ; call >next
            ; next:
            ; jmp <again
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        let ended = guest.run();
        let (fault, rip) = ended.fault();
        assert_eq!((fault.at, rip), (CODE, CODE.0));
        assert_eq!(ended.cpu.get(Gpr::Rsp), STACK_TOP.0 - STACK_BYTES);
    });
}

fn logs_three(code: &[u8]) {
    on_engines(|engine| {
        let ended = Guest::new(engine, CpuMode::Long64, code, OnFault::Leave).run();
        assert_eq!(ended.log(), [3], "{:x?}", ended.events);
    });
}

#[test]
fn returns_may_go_elsewhere_than_to_their_call() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov ebx, 300
            ; again:
            ; lea rax, [>elsewhere]
            ; push rax
            ; ret
            ; mov edi, 1
            ; jmp >end
            ; elsewhere:
            ; call >skip
            ; mov edi, 2
            ; jmp >end
            ; skip:
            ; lea rax, [>beyond]
            ; mov [rsp], rax
            ; ret
            ; beyond:
            ; dec ebx
            ; jnz <again
            ; mov edi, 3
            ; end:
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    logs_three(&code);
}

/// The block behind the inner call writes all flags before it reads any; a return that only seems to go there must not lose them.
#[test]
fn returns_past_the_caller_keep_the_flags() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov ebx, 300
            ; again:
            ; call >outer
            ; jc >lost
            ; dec ebx
            ; jnz <again
            ; mov edi, 3
            ; jmp >end
            ; lost:
            ; mov edi, 1
            ; jmp >end
            ; outer:
            ; call >inner
            ; cmp ebx, ebx
            ; mov edi, 2
            ; jmp >end
            ; inner:
            ; add rsp, 8
            ; clc
            ; ret
            ; end:
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    logs_three(&code);
}

#[test]
fn computed_jumps_find_their_targets() {
    let code = assemble64(|a| {
        guest64!(a
            ; xor ebx, ebx
            ; xor r12d, r12d
            ; again:
            ; mov eax, ebx
            ; and eax, 3
            ; lea rdx, [>table]
            ; movsxd rax, [rdx + rax * 4]
            ; add rax, rdx
            ; jmp rax
            ; .align 4
            ; table:
            ; .i32 16
            ; .i32 16 + 9
            ; .i32 16 + 18
            ; .i32 16 + 27
            ; add r12, 1
            ; jmp >next
            ; add r12, 2
            ; jmp >next
            ; add r12, 3
            ; jmp >next
            ; add r12, 4
            ; jmp >next
            ; next:
            ; inc ebx
            ; cmp ebx, 4000
            ; jne <again
            ; mov rdi, r12
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [10_000]);
    });
}

#[test]
fn code_that_changes_is_seen_by_the_next_instruction() {
    let code = assemble64(|a| {
        guest64!(a
            ; xor ebx, ebx
            ; again:
            // The immediate of the instruction after the store, in the same block.
            ; mov DWORD [>patched + 1], ebx
            ; patched:
            ; mov edi, 0x7777
            ; mov eax, call::LOG
            ; syscall
            ; inc ebx
            ; cmp ebx, 5
            ; jne <again
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0, 1, 2, 3, 4]);
        assert!(guest.team.stats.report().invalidations >= 1);
    });
}

#[test]
fn code_written_by_a_string_instruction_over_itself_runs() {
    let code = assemble32(|a| {
        guest32!(a
            ; mov ebp, 2
            ; again:
            ; mov eax, 0x10_0100
            ; call eax
            ; mov esi, 0x10_0200
            ; mov edi, 0x10_0100
            ; mov ecx, 32
            ; cld
            ; rep movsb
            ; dec ebp
            ; jnz <again
            ; xor eax, eax
            ; int 99
            ; .align 256
            ; mov edi, 1
            ; mov eax, call::LOG
            ; int 99
            ; ret
            ; .align 256
            ; mov edi, 2
            ; mov eax, call::LOG
            ; int 99
            ; ret
            ; .align 64
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [1, 2]);
    });
}

#[test]
fn remapped_code_is_not_run_from_the_cache() {
    let program = |value: i32| {
        assemble64(|a| {
            guest64!(a
                ; mov edi, value
                ; mov eax, call::LOG
                ; syscall
                ; xor eax, eax
                ; syscall
            );
        })
    };
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &program(1), OnFault::Leave);
        assert_eq!(guest.run().log(), [1]);
        let place = Placement::Replace(CODE);
        guest.team.memory.map_anonymous(place, 0x1000, Prot::all(), false).unwrap();
        guest.team.memory.write_bytes(CODE, &program(2)).unwrap();
        assert_eq!(guest.run().log(), [2]);
    });
}

/// Maps a page of one file twice: for stores at 1 MiB behind [`DATA`], to be run (`run`) one page further.
fn map_twice(guest: &Guest, run: Prot) {
    let file = rustix::fs::memfd_create("code", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, 0x1000).unwrap();
    let map = |at: i32, prot| {
        let place = Placement::Exactly(GuestAddr(at as u64));
        guest.team.memory.map_file(place, 0x1000, prot, file.as_fd(), 0, true).unwrap()
    };
    map(WRITTEN, Prot::READ | Prot::WRITE | Prot::EXECUTE);
    map(RUN, run);
}

const WRITTEN: i32 = DATA.0 as i32 + 0x10_0000;
const RUN: i32 = WRITTEN + 0x1000;

#[test]
fn code_written_through_another_mapping_is_the_code_that_runs() {
    let long = assemble64(|a| {
        guest64!(a
            ; xor ebx, ebx
            ; again:
            // mov edi, ebx; ret
            ; mov BYTE [WRITTEN + 64], 0xbf_u8 as i8
            ; mov [WRITTEN + 65], ebx
            ; mov BYTE [WRITTEN + 69], 0xc3_u8 as i8
            ; mov eax, RUN + 64
            ; call rax
            ; mov eax, call::LOG
            ; syscall
            // The same through the mapping that it was written by.
            ; mov eax, WRITTEN + 64
            ; call rax
            ; mov eax, call::LOG
            ; syscall
            ; inc ebx
            ; cmp ebx, 20
            ; jne <again
            ; xor eax, eax
            ; syscall
        );
    });
    let short = assemble32(|a| {
        guest32!(a
            ; xor ebx, ebx
            ; again:
            ; mov BYTE [WRITTEN + 64], 0xbf_u8 as i8
            ; mov [WRITTEN + 65], ebx
            ; mov BYTE [WRITTEN + 69], 0xc3_u8 as i8
            ; mov eax, RUN + 64
            ; call eax
            ; mov eax, call::LOG
            ; int 99
            ; mov eax, WRITTEN + 64
            ; call eax
            ; mov eax, call::LOG
            ; int 99
            ; inc ebx
            ; cmp ebx, 20
            ; jne <again
            ; xor eax, eax
            ; int 99
        );
    });
    let expected: Vec<u64> = (0..20).flat_map(|value| [value, value]).collect();
    on_engines(|engine| {
        for (mode, code) in [(CpuMode::Long64, &long), (CpuMode::Protected32, &short)] {
            for run in [Prot::READ | Prot::EXECUTE, Prot::all()] {
                let guest = Guest::new(engine, mode, code, OnFault::Leave);
                map_twice(&guest, run);
                let ended = guest.run();
                assert_eq!(ended.log(), expected, "{engine:?} {mode:?} {run}: {:x?}", ended.events);
            }
        }
    });
}

/// A string instruction that goes backwards, which hosts may evaluate, between a comparison and the jump on it.
#[test]
fn comparisons_are_signed_behind_backward_strings() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov edi, DATA.0 as i32 + 64
            ; mov DWORD [rdi + 4], 5
            ; mov DWORD [rdi + 8], 3
            ; call >compare
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
            ; compare:
            ; std
            ; mov eax, [rdi + 8]
            ; mov edx, [rdi + 12]
            ; sub edx, [rdi + 4]
            ; cmp eax, edx
            ; mov ecx, 1
            ; rep stosb
            ; mov edi, 1
            ; jl >less
            ; mov edi, 2
            ; less:
            ; add edi, edx
            ; cld
            ; ret
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0xffff_fffd]);
    });
}

#[test]
fn atomic_operations_and_wide_stores_reach_memory() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov edi, DATA.0 as i32
            ; mov eax, 5
            ; lock xadd [rdi], rax
            ; mov ecx, 7
            ; lock add [rdi], ecx
            ; xchg [rdi], rdx
            ; mov [rdi + 8], rdx
            ; mov rdi, [rdi + 8]
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [12]);
    });
}

#[test]
fn the_x87_unit_lives_through_calls_and_is_seen_outside() {
    let code = assemble32(|a| {
        guest32!(a
            ; fldpi
            ; fld1
            ; mov eax, call::LOG
            ; int 99
            ; fadd st0, st1
            ; xor eax, eax
            ; int 99
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        let x87 = guest.run().cpu.x87;
        let st = |n: usize| x87.regs[(usize::from(x87.top()) + n) % 8];
        assert_eq!(x87.top(), 6);
        // pi + 1, and pi, as 80-bit numbers.
        assert_eq!((st(0).sign_exponent, st(0).significand), (0x4001, 0x8487_ed51_10b4_611a));
        assert_eq!((st(1).sign_exponent, st(1).significand), (0x4000, 0xc90f_daa2_2168_c235));
    });
}

#[test]
fn what_a_personality_puts_into_the_x87_unit_is_there() {
    let code = assemble32(|a| {
        guest32!(a
            ; fistp DWORD [DATA.0 as i32]
            ; mov edi, [DATA.0 as i32]
            ; mov eax, call::LOG
            ; int 99
            ; xor eax, eax
            ; int 99
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        let mut thread = guest.thread();
        thread.sync_x87();
        thread.cpu.x87.set_top(7);
        thread.cpu.x87.tags = 0x80;
        thread.cpu.x87.regs[7] =
            hokku_ir::guest::F80 { significand: 0xc000_0000_0000_0000, sign_exponent: 0x4000, padding: [0; 3] };
        assert_eq!(guest.finish(thread).log(), [3]);
    });
}

/// What is known to have zeros above it is not lost where it is written to its own register.
#[test]
fn parts_of_registers_can_become_what_they_are() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov DWORD [DATA.0 as i32], 0x12cd
            ; mov edx, [DATA.0 as i32]
            ; movzx ecx, dl
            ; mov cx, cx
            ; movzx esi, WORD [DATA.0 as i32]
            ; movsx si, sil
            ; movzx ebx, dx
            ; movzx bx, bl
            ; mov bl, bl
            ; shl rcx, 16
            ; or rcx, rsi
            ; shl rcx, 16
            ; or rcx, rbx
            ; mov rdi, rcx
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0xcd_ffcd_00cd]);
    });
}
