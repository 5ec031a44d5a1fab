//! Which features an encoding needs, and what it is on a processor without them.

use hokku_ir::CpuFeatures;
use hokku_ir::eval::cpuid::CpuModel;
use iced_x86::{Code, CpuidFeature};

/// What a processor must have to know `code`; an error, the reason, where no processor model has it.
pub(crate) fn needs(code: Code) -> Result<CpuFeatures, &'static str> {
    code.cpuid_features().iter().try_fold(CpuFeatures::empty(), |all, feature| Ok(all | needed(*feature, code)?))
}

/// The feature of ours that `feature` of the decoder's is.
fn needed(feature: CpuidFeature, code: Code) -> Result<CpuFeatures, &'static str> {
    use CpuidFeature as F;
    Ok(match feature {
        F::INTEL8086 | F::INTEL186 | F::INTEL286 | F::INTEL386 | F::INTEL486 | F::CPUID => CpuFeatures::empty(),
        // The kernel's; the fault that a program gets is the same with and without.
        F::MSR | F::WBNOINVD => CpuFeatures::empty(),
        // Older processors take it for NOP, which is the same to a program.
        F::PAUSE => CpuFeatures::empty(),
        F::FPU | F::FPU287 | F::FPU387 => CpuFeatures::FPU,
        F::TSC => CpuFeatures::TSC,
        F::CX8 => CpuFeatures::CX8,
        F::SEP => CpuFeatures::SEP,
        F::CMOV => CpuFeatures::CMOV,
        F::CLFSH => CpuFeatures::CLFSH,
        // RDPMC came with MMX.
        F::MMX | F::RDPMC => CpuFeatures::MMX,
        F::FXSR => CpuFeatures::FXSR,
        F::SSE => CpuFeatures::SSE,
        F::SSE2 => CpuFeatures::SSE2,
        F::SSE3 => CpuFeatures::SSE3,
        F::PCLMULQDQ => CpuFeatures::PCLMULQDQ,
        F::SSSE3 => CpuFeatures::SSSE3,
        F::FMA => CpuFeatures::FMA,
        F::CMPXCHG16B => CpuFeatures::CX16,
        F::SSE4_1 => CpuFeatures::SSE4_1,
        F::SSE4_2 => CpuFeatures::SSE4_2,
        F::MOVBE => CpuFeatures::MOVBE,
        F::POPCNT => CpuFeatures::POPCNT,
        F::AES => CpuFeatures::AES,
        F::XSAVE => CpuFeatures::OSXSAVE,
        F::XSAVEOPT => CpuFeatures::XSAVEOPT,
        F::XSAVEC => CpuFeatures::XSAVEC,
        F::AVX => CpuFeatures::AVX,
        F::F16C => CpuFeatures::F16C,
        F::RDRAND => CpuFeatures::RDRAND,
        F::FSGSBASE => CpuFeatures::FSGSBASE,
        F::BMI1 => CpuFeatures::BMI1,
        F::AVX2 => CpuFeatures::AVX2,
        F::BMI2 => CpuFeatures::BMI2,
        F::RDSEED => CpuFeatures::RDSEED,
        F::ADX => CpuFeatures::ADX,
        F::CLFLUSHOPT => CpuFeatures::CLFLUSHOPT,
        F::CLWB => CpuFeatures::CLWB,
        F::SHA => CpuFeatures::SHA,
        F::RDPID => CpuFeatures::RDPID,
        F::LZCNT => CpuFeatures::LZCNT,
        F::SYSCALL => CpuFeatures::SYSCALL,
        F::RDTSCP => CpuFeatures::RDTSCP,
        F::X64 => CpuFeatures::LM,
        // 0F 0D does nothing on every 64-bit processor, with or without the feature.
        F::PREFETCHW | F::PREFETCHWT1 => CpuFeatures::LM,
        // In the space of hints.
        F::MULTIBYTENOP | F::CET_IBT | F::CLDEMOTE | F::PREFETCHITI => CpuFeatures::HINTS,
        F::CET_SS if matches!(code, Code::Rdsspd_r32 | Code::Rdsspq_r64) => CpuFeatures::HINTS,
        F::CET_SS => return Err("shadow stacks: in no processor model"),
        F::INTEL8086_ONLY => return Err("the 8086's alone"),
        F::MONITOR | F::SMM | F::SMX | F::VMX | F::SVM | F::SKINIT | F::TDX | F::SMAP | F::INVPCID | F::XSAVES => {
            return Err("off for programs: an invalid opcode there");
        }
        F::D3NOW | F::D3NOWEXT | F::XOP | F::FMA4 | F::TBM | F::LWP | F::SSE4A | F::CLZERO | F::MONITORX => {
            return Err("AMD's alone: in no processor model");
        }
        F::PADLOCK_ACE | F::PADLOCK_PHE | F::PADLOCK_PMM | F::PADLOCK_RNG | F::PADLOCK_GMI | F::PADLOCK_UNDOC => {
            return Err("VIA's alone: in no processor model");
        }
        _ => return Err("later than x86-64-v3: in no processor model"),
    })
}

/// The first model that knows `code`; an error, the reason, where none does.
pub(crate) fn first_model(code: Code) -> Result<&'static CpuModel, &'static str> {
    let needs = needs(code)?;
    CpuModel::ALL.iter().find(|m| m.features.contains(needs)).ok_or("in no processor model")
}

/// The instruction that processors which lack what `code` needs find in its bytes instead, with the same operands.
pub(crate) fn without(code: Code) -> Option<Code> {
    Some(match code {
        // REP is ignored before BSF and BSR.
        Code::Tzcnt_r16_rm16 => Code::Bsf_r16_rm16,
        Code::Tzcnt_r32_rm32 => Code::Bsf_r32_rm32,
        Code::Tzcnt_r64_rm64 => Code::Bsf_r64_rm64,
        Code::Lzcnt_r16_rm16 => Code::Bsr_r16_rm16,
        Code::Lzcnt_r32_rm32 => Code::Bsr_r32_rm32,
        Code::Lzcnt_r64_rm64 => Code::Bsr_r64_rm64,
        _ => return None,
    })
}
