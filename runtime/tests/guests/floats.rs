//! What code with floats leaves in mxcsr.

use dynasmrt::DynasmApi;
use hokku_ir::CpuMode;

use crate::guest64;
use crate::system::{Guest, OnFault, assemble64, call, on_engines};

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
