//! What encodings are on each processor model.

use hokku_frontend::{Limits, Status, coverage, translate};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{BlockKey, CpuMode, Exit, GuestAddr, Op, Region, Trap};

fn region(model: &CpuModel, mode: CpuMode, code: &[u8]) -> Region {
    let at = GuestAddr(0x1000);
    let key = BlockKey { features: model.features, ..BlockKey::new(at, mode) };
    translate(&(at, code), key, &Limits::single_instruction())
}

fn is_invalid(model: &CpuModel, mode: CpuMode, code: &[u8]) -> bool {
    matches!(region(model, mode, code).blocks[0].exit, Exit::Trap { trap: Trap::InvalidOpcode, .. })
}

/// Names of the models for which `code` is no invalid opcode.
fn valid_on(mode: CpuMode, code: &[u8]) -> Vec<&'static str> {
    CpuModel::ALL.iter().filter(|m| !is_invalid(m, mode, code)).map(|m| m.name).collect()
}

#[test]
fn instructions_exist_from_the_model_that_brought_them() {
    let from = |code: &[u8]| valid_on(CpuMode::Protected32, code).first().copied();
    // mov eax, ebx; rdtsc; cmpxchg8b [eax]
    assert_eq!(from(&[0x89, 0xd8]), Some("pentium"));
    assert_eq!(from(&[0x0f, 0x31]), Some("pentium"));
    assert_eq!(from(&[0x0f, 0xc7, 0x08]), Some("pentium"));
    // emms
    assert_eq!(from(&[0x0f, 0x77]), Some("i586"));
    // cmovo eax, eax; fcomi st0, st1; nop [eax]; addps xmm0, xmm0; pshufw mm0, mm0, 0; fxsave [eax]
    for code in [
        &[0x0f, 0x40, 0xc0][..],
        &[0xdb, 0xf1],
        &[0x0f, 0x1f, 0x00],
        &[0x0f, 0x58, 0xc0],
        &[0x0f, 0x70, 0xc0, 0x00],
        &[0x0f, 0xae, 0x00],
    ] {
        assert_eq!(from(code), Some("pentium3"), "{code:02x?}");
    }
    // addpd xmm0, xmm0; clflush [eax]
    assert_eq!(from(&[0x66, 0x0f, 0x58, 0xc0]), Some("x86-64-v1"));
    assert_eq!(from(&[0x0f, 0xae, 0x38]), Some("x86-64-v1"));
    // popcnt eax, eax; pshufb xmm0, xmm0
    assert_eq!(from(&[0xf3, 0x0f, 0xb8, 0xc0]), Some("x86-64-v2"));
    assert_eq!(from(&[0x66, 0x0f, 0x38, 0x00, 0xc0]), Some("x86-64-v2"));
    // andn eax, eax, eax; vaddps ymm0, ymm0, ymm0; aesenc xmm0, xmm0; rdrand eax; xgetbv
    for code in [
        &[0xc4, 0xe2, 0x78, 0xf2, 0xc0][..],
        &[0xc5, 0xfc, 0x58, 0xc0],
        &[0x66, 0x0f, 0x38, 0xdc, 0xc0],
        &[0x0f, 0xc7, 0xf0],
        &[0x0f, 0x01, 0xd0],
    ] {
        assert_eq!(from(code), Some("x86-64-v3"), "{code:02x?}");
    }
    // vaddps zmm0, zmm0, zmm0 ; xbegin ; monitor
    for code in [&[0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0][..], &[0xc7, 0xf8, 0, 0, 0, 0], &[0x0f, 0x01, 0xc8]] {
        assert_eq!(from(code), None, "{code:02x?}");
    }
}

/// The ops of `code` on a model, without the marks of addresses.
fn ops(model: &CpuModel, code: &[u8]) -> Vec<Op> {
    let region = region(model, CpuMode::Long64, code);
    region.blocks[0].insts.iter().map(|i| i.op).filter(|op| !matches!(op, Op::Insn { .. })).collect()
}

#[test]
fn prefixed_instructions_are_what_they_were_before_they_existed() {
    let (old, new) = (&CpuModel::X86_64_V1, &CpuModel::X86_64_V3);
    // tzcnt rax, rcx is bsf rax, rcx with a prefix; lzcnt is bsr.
    for (code, plain) in [
        (&[0xf3, 0x48, 0x0f, 0xbc, 0xc1][..], &[0x48, 0x0f, 0xbc, 0xc1][..]),
        (&[0xf3, 0x48, 0x0f, 0xbd, 0xc1], &[0x48, 0x0f, 0xbd, 0xc1]),
    ] {
        assert_eq!(ops(old, code), ops(old, plain));
        assert_ne!(ops(new, code), ops(new, plain));
    }
    // endbr64 and rdsspq rax are hints on all that have hints.
    for code in [&[0xf3, 0x0f, 0x1e, 0xfa][..], &[0xf3, 0x48, 0x0f, 0x1e, 0xc8]] {
        assert_eq!((ops(old, code), ops(new, code)), (vec![], vec![]));
    }
}

#[test]
fn descriptor_tables_are_hidden_by_models_with_umip() {
    // smsw eax; sgdt [rax]
    for code in [&[0x0f, 0x01, 0xe0][..], &[0x0f, 0x01, 0x00]] {
        let hidden = |model| {
            matches!(region(model, CpuMode::Long64, code).blocks[0].exit, Exit::Trap { trap: Trap::Protection, .. })
        };
        assert!(!hidden(&CpuModel::X86_64_V2));
        assert!(hidden(&CpuModel::X86_64_V3));
    }
}

#[test]
fn what_is_outside_of_all_models_has_a_reason() {
    for encoding in coverage() {
        match encoding.status {
            Status::Outside(reason) => assert!(encoding.model.is_none() && !reason.is_empty(), "{encoding:?}"),
            Status::Translated | Status::Missing => assert!(encoding.model.is_some(), "{encoding:?}"),
        }
    }
}
