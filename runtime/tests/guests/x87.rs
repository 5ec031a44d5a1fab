//! x87 code whose arithmetic is in doubles, where the host has that.

use std::sync::mpsc;

use dynasmrt::{DynasmApi, DynasmLabelApi};
use hokku_ir::guest::F80;
use hokku_ir::{CpuMode, CpuState, Gpr, X87Arithmetic};
use hokku_runtime::Team;

use crate::guest32;
use crate::system::{CODE, DATA, Guest, OnFault, STACK_TOP, assemble32, call, on_engines};

/// `v`, which is normal, as an 80-bit number.
fn extended(v: f64) -> F80 {
    let bits = v.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as u16 + 16383 - 1023;
    F80 { significand: 1 << 63 | bits << 12 >> 1, sign_exponent: (bits >> 63 << 15) as u16 | exponent, padding: [0; 3] }
}

#[test]
fn a_fault_finds_the_stack_in_order() {
    // Where nothing is mapped.
    const NOWHERE: i32 = 0x1234;
    let code = assemble32(|a| {
        guest32!(a
            ; fldpi
            ; fld1
            ; mov eax, call::LOG
            ; int 99
            ; fadd st0, st1
            ; fxch st1
            ; fst QWORD [NOWHERE]
            ; xor eax, eax
            ; int 99
        );
    });
    on_engines(|engine| {
        let guest = Guest::in_doubles(engine, &code, OnFault::Leave);
        let x87 = guest.run().cpu.x87;
        assert_eq!((x87.top(), x87.tags), (6, 0xc0));
        let (sum, pi) = match guest.team.x87 {
            X87Arithmetic::Double => (extended(std::f64::consts::PI + 1.0), extended(std::f64::consts::PI)),
            X87Arithmetic::Exact => {
                let of = |sign_exponent, significand| F80 { significand, sign_exponent, padding: [0; 3] };
                (of(0x4001, 0x8487_ed51_10b4_611a), of(0x4000, 0xc90f_daa2_2168_c235))
            }
        };
        assert_eq!((x87.regs[7], x87.regs[6]), (sum, pi));
    });
}

#[test]
fn the_status_word_behind_a_control_word_has_the_latest_c1() {
    let code = assemble32(|a| {
        guest32!(a
            ; fldpi
            ; fchs
            ; fxam
            ; fld1
            ; push 0x27f
            ; fldcw WORD [esp]
            ; fnstsw ax
            ; movzx edi, ax
            ; mov eax, call::LOG
            ; int 99
            ; xor eax, eax
            ; int 99
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        // The class of a negative number but for its sign, and the top.
        assert_eq!(guest.run().log(), [0x0400 | 6 << 11]);
    });
}

/// A square root of a denormal number that is evaluated after all, when flags have been evaluated, does not undo the pop before it.
#[test]
fn a_float_that_is_evaluated_late_leaves_the_stack_alone() {
    let code = assemble32(|a| {
        guest32!(a
            ; fld1
            ; fld1
            ; mov eax, 1
            ; movd xmm5, eax
            ; mov esi, 3
            ; fucomp st1
            ; sqrtss xmm5, xmm5
            ; imul esi
            ; setno cl
            ; movzx edi, cl
            ; mov eax, call::LOG
            ; int 99
            ; fnstsw ax
            ; movzx edi, ax
            ; mov eax, call::LOG
            ; int 99
            ; xor eax, eax
            ; int 99
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Protected32, &code, OnFault::Leave);
        // Equal, one value left.
        assert_eq!(guest.run().log(), [1, 0x7800]);
    });
}

#[test]
fn what_a_personality_puts_into_the_unit_is_there() {
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
        let guest = Guest::in_doubles(engine, &code, OnFault::Leave);
        let mut thread = guest.thread();
        thread.sync_x87();
        // Elsewhere than compilers have it.
        thread.cpu.x87.set_top(3);
        thread.cpu.x87.tags = 0x08;
        thread.cpu.x87.regs[3] = extended(3.0);
        assert_eq!(guest.finish(thread).log(), [3]);
    });
}

#[test]
fn a_loop_without_memory_is_interrupted() {
    let code = assemble32(|a| {
        guest32!(a
            ; fld1
            ; again:
            ; fchs
            ; jmp <again
        );
    });
    on_engines(|engine| {
        let guest = Guest::in_doubles(engine, &code, OnFault::Leave);
        let (send, receive) = mpsc::channel();
        let mut cpu = CpuState::new(CpuMode::Protected32);
        (cpu.rip, cpu.gpr[Gpr::Rsp.index()]) = (CODE.0, STACK_TOP.0);
        let body = move |thread: &mut hokku_runtime::Thread| {
            thread.run();
            thread.sync_x87();
            send.send(thread.cpu.clone()).unwrap();
        };
        let handle = Team::spawn_with(&guest.team, cpu, Box::new(()), "endless", body).unwrap();
        handle.interrupt();
        let x87 = receive.recv().unwrap().x87;
        assert!((x87.tags == 0x80 && x87.top() == 7) || (x87.tags == 0 && x87.top() == 0), "{x87:?}");
    });
}
