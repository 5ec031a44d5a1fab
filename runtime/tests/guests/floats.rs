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
