//! What code with floats leaves in mxcsr.

use std::cell::RefCell;

use dynasmrt::{DynasmApi, DynasmLabelApi};
use hokku_ir::{CpuMode, GuestAddr};
use hokku_runtime::Prot;

use crate::guest64;
use crate::system::{DATA, Guest, OnFault, assemble64, call, on_engines};

/// Hosts whose comparisons signal where x86's do not must not tell of it, whoever reads the flags.
#[test]
fn quiet_nans_are_compared_quietly() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov rax, -1
            ; movq xmm4, rax
            ; xorps xmm2, xmm2
            ; divsd xmm4, xmm2
            ; ucomisd xmm2, xmm4
            ; fcomip st0, st2
            ; sub rsp, 8
            ; stmxcsr [rsp]
            ; mov edi, [rsp]
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0x1f80]);
    });
}

/// Looks at what several operations on floats have computed, which come where there is room for no more, leave alone how wide the elements of
/// the next operation are.
#[test]
fn sums_of_integers_behind_many_floats_carry() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov rax, QWORD 0x3f80_0000_c000_0000 // 1, -2
            ; movq xmm1, rax
            ; mov eax, 0xc000_0000_u32 as i32
            ; movd xmm7, eax
            ; xorps xmm0, xmm0
            ; xorps xmm3, xmm3
            ; hsubps xmm7, xmm1
            ; vpackuswb xmm6, xmm7, xmm3
            ; vhsubps xmm0, xmm7, xmm0
            ; vpaddq xmm7, xmm0, xmm1
            ; movq rdi, xmm7
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0xffc0_0001_8000_0000]);
    });
}

/// The root of a negative denormal number is invalid and nothing else; what comes behind tells that the number is denormal.
#[test]
fn denormals_are_told_of_behind_their_invalid_roots() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov rax, QWORD 0x8000_0000_b77f_ffff_u64 as i64
            ; movq xmm4, rax
            ; mov rax, QWORD 0x7e30_0000_0000_0000
            ; movq xmm3, rax
            ; sqrtsd xmm5, xmm4
            ; movq [rsp - 8], xmm5
            ; mulsd xmm3, xmm4
            ; movq [rsp - 16], xmm3
            ; sub rsp, 24
            ; stmxcsr [rsp]
            ; mov edi, [rsp]
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0x1f83]);
    });
}

/// The same of two numbers at once, one of them large.
#[test]
fn denormals_are_told_of_behind_invalid_roots_of_vectors() {
    let code = assemble64(|a| {
        guest64!(a
            ; mov rax, QWORD 0x8000_0000_0011_1d02_u64 as i64
            ; movq xmm4, rax
            ; mov rax, QWORD f64::to_bits(4.0) as _
            ; movq xmm3, rax
            ; unpcklpd xmm4, xmm3
            ; sqrtpd xmm5, xmm4
            ; movupd [rsp - 16], xmm5
            ; mulpd xmm3, xmm4
            ; movupd [rsp - 32], xmm3
            ; sub rsp, 40
            ; stmxcsr [rsp]
            ; mov edi, [rsp]
            ; mov eax, call::LOG
            ; syscall
            ; xor eax, eax
            ; syscall
        );
    });
    on_engines(|engine| {
        let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
        assert_eq!(guest.run().log(), [0x1f83]);
    });
}

/// What a loop over pages of doubles meets.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// The page at this address is not there, or may not be written.
    Page(u64, Prot),
    /// This double is there.
    Number(u64, f64),
}

/// Loops over packed doubles that meet numbers which the host computes with in another way than x86, and pages that fault, leave what the interpreter leaves.
#[test]
fn loops_of_doubles_are_exact_wherever_they_are_left() {
    const SECOND: u64 = DATA.0 + 0x4000;
    let code = assemble64(|a| {
        guest64!(a
            ; mov rsi, QWORD f64::to_bits(1.5) as _
            ; movq xmm1, rsi
            ; mov ecx, DATA.0 as i32
            ; mov edx, SECOND as i32
            ; lea rdi, [rcx + 0x3000]
            ; movsd xmm2, [rdi]
            ; unpcklpd xmm1, xmm2
            ; xor eax, eax
            ; again:
            ; movapd xmm0, [rcx + rax]
            ; mulpd xmm0, xmm1
            ; addpd xmm0, [rdx + rax]
            ; movaps [rdx + rax], xmm0
            ; add rax, 16
            ; cmp rax, 0x1800
            ; jne <again
            ; movapd xmm3, xmm0
            ; sqrtpd xmm4, xmm3
            ; again2:
            ; movsd xmm0, [rcx + rax - 0x1800]
            ; mulsd xmm0, xmm1
            ; addsd xmm4, xmm0
            ; subpd xmm5, xmm4
            ; add rax, 8
            ; cmp rax, 0x1900
            ; jne <again2
            ; xor eax, eax
            ; syscall
        );
    });
    let at = |n: u64| DATA.0 + 16 * n;
    let of = |n: u64| SECOND + 16 * n;
    let tiny = f64::from_bits(3);
    let mut troubles = vec![Trouble::None, Trouble::Page(DATA.0 + 0x1000, Prot::empty())];
    troubles.extend([Prot::empty(), Prot::READ].map(|prot| Trouble::Page(SECOND + 0x1000, prot)));
    for place in [at(0), at(1), at(9) + 8, of(0) + 8, of(20), of(21) + 8, DATA.0 + 0x3000] {
        let numbers = [tiny, -tiny, f64::INFINITY, f64::NAN, -f64::from_bits(0x7ff4_0000_0000_0123), 1e-300, 1e300];
        troubles.extend(numbers.map(|n| Trouble::Number(place, n)));
    }
    for trouble in troubles {
        let expected = RefCell::new(None);
        on_engines(|engine| {
            let guest = Guest::new(engine, CpuMode::Long64, &code, OnFault::Leave);
            let memory = &guest.team.memory;
            for n in 0..0x600 {
                let value = f64::from((n % 37) as u32);
                memory.write_bytes(GuestAddr(DATA.0 + 8 * n), &value.to_le_bytes()).unwrap();
                memory.write_bytes(GuestAddr(SECOND + 8 * n), &(value + 0.25).to_le_bytes()).unwrap();
            }
            memory.write_bytes(GuestAddr(DATA.0 + 0x3000), &2.5f64.to_le_bytes()).unwrap();
            match trouble {
                Trouble::None => {}
                Trouble::Page(at, prot) => memory.protect(GuestAddr(at), 0x1000, prot).unwrap(),
                Trouble::Number(at, n) => memory.write_bytes(GuestAddr(at), &n.to_le_bytes()).unwrap(),
            }
            let ended = guest.run();
            let cpu = &ended.cpu;
            let state = (ended.events.clone(), cpu.rip, cpu.gpr, cpu.vector, cpu.mxcsr, cpu.status_flags);
            let expected = &mut *expected.borrow_mut();
            assert_eq!(&state, expected.get_or_insert_with(|| state.clone()), "{trouble:?}");
        });
    }
}
