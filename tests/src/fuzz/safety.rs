//! Which instructions and accesses may run natively.

use hokku_ir::{CpuMode, CpuState, Seg};
use iced_x86::{
    Code, CpuidFeature, FlowControl, Instruction, MemorySize, Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};

use super::system::XSAVE_BYTES;
use crate::oracle::layout::harmless;

/// Features whose instructions can be compared: of user programs, and such that processors with AVX2 have them.
const FEATURES: &[CpuidFeature] = {
    use CpuidFeature::*;
    &[
        INTEL8086,
        INTEL8086_ONLY,
        INTEL186,
        INTEL286,
        INTEL286_ONLY,
        INTEL386,
        INTEL386_ONLY,
        INTEL386_A0_ONLY,
        INTEL486,
        X64,
        CPUID,
        CMOV,
        CX8,
        CMPXCHG16B,
        CLFSH,
        CLFLUSHOPT,
        MULTIBYTENOP,
        PAUSE,
        MOVBE,
        POPCNT,
        LZCNT,
        BMI1,
        BMI2,
        ADX,
        FSGSBASE,
        PREFETCHW,
        FPU,
        FPU287,
        FPU387,
        FXSR,
        XSAVE,
        XSAVEOPT,
        XSAVEC,
        MMX,
        SSE,
        SSE2,
        SSE3,
        SSSE3,
        SSE4_1,
        SSE4_2,
        AES,
        PCLMULQDQ,
        SHA,
        AVX,
        AVX2,
        FMA,
        F16C,
        VAES,
        VPCLMULQDQ,
        CET_IBT,
        TSC,
        MSR,
        SEP,
        SYSCALL,
        RDTSCP,
    ]
};

/// Why `code` cannot be compared with this processor; `None` where it can.
pub fn excluded(code: Code) -> Option<&'static str> {
    use Mnemonic::*;
    if !code.cpuid_features().iter().all(|f| FEATURES.contains(f)) {
        return Some("not on every processor, or of kernels alone");
    }
    match code.mnemonic() {
        Sgdt | Sidt | Sldt | Str | Smsw | Vmcall | Vmmcall => Some("depends on this machine's kernel"),
        Syscall | Sysenter | Sysexit | Sysret | Int => Some("enters this machine's kernel"),
        Xsetbv => Some("enters this machine's hypervisor"),
        Cpuid | Xgetbv | Rdpid | Rdtscp | Rdtsc | Rdpmc | Rdpru => {
            Some("tells the guest's processor model, not this one")
        }
        Arpl => Some("hokku writes its operand even where it does not change"),
        Pop if code == Code::Popw_CS => Some("the 8086's alone"),
        Fstpnce => Some("not in the manual"),
        Rdrand | Rdseed => Some("gives another result each time"),
        Wrpkru | Rdpkru => Some("protects this machine's pages"),
        Xbegin | Xabort | Xend | Xtest => Some("transactions end at their own times"),
        Umwait | Tpause | Umonitor => Some("waits"),
        _ => None,
    }
}

/// Whether it writes through the code segment, which 32-bit code may not (#GP); the front end takes all flat segments for one.
pub fn writes_code_segment(insn: &Instruction, used: &[UsedMemory]) -> bool {
    insn.segment_prefix() == Register::CS
        && used
            .iter()
            .any(|m| m.segment() == Register::CS && !matches!(m.access(), OpAccess::Read | OpAccess::CondRead))
}

/// Whether the instruction transfers control to a computed place.
pub fn is_indirect(flow: FlowControl) -> bool {
    matches!(flow, FlowControl::IndirectBranch | FlowControl::IndirectCall | FlowControl::Return)
}

/// Value of `register` (general or segment base) in `cpu`.
pub fn value(cpu: &CpuState, register: Register) -> u64 {
    match register {
        Register::FS => return cpu.segment_base[Seg::Fs.index()],
        Register::GS => return cpu.segment_base[Seg::Gs.index()],
        Register::AH | Register::CH | Register::DH | Register::BH => {
            return cpu.gpr[register.number() % 4] >> 8 & 0xff;
        }
        _ if !register.is_gpr() => return 0,
        _ => {}
    }
    let full = cpu.gpr[register.full_register().number()];
    match register.size() {
        1 => full & 0xff,
        2 => full & 0xffff,
        4 => full & 0xffff_ffff,
        _ => full,
    }
}

/// Sets the part of a general register that `register` is.
pub fn set_value(cpu: &mut CpuState, register: Register, v: u64) {
    let full = &mut cpu.gpr[register.full_register().number()];
    let mask = match register.size() {
        1 => 0xff,
        2 => 0xffff,
        4 => 0xffff_ffff,
        _ => u64::MAX,
    };
    *full = *full & !mask | v & mask;
}

/// Number of bytes that the access `memory` reaches at most.
pub fn size(memory: &UsedMemory) -> u64 {
    match memory.memory_size() {
        MemorySize::Xsave | MemorySize::Xsave64 => XSAVE_BYTES as u64,
        size => size.size() as u64,
    }
}

/// Address of the access `memory` in state `cpu`.
pub fn address(memory: &UsedMemory, cpu: &CpuState, mode: CpuMode) -> u64 {
    let at = memory.virtual_address(0, |register, _, _| Some(value(cpu, register))).unwrap_or(0);
    if mode == CpuMode::Protected32 { at & 0xffff_ffff } else { at }
}

/// Address of the element that lane `element` of a gather's index register selects.
pub fn element_address(memory: &UsedMemory, element: usize, cpu: &CpuState, mode: CpuMode) -> u64 {
    let lane = |register: Register, element: usize, size: usize| {
        if !register.is_vector_register() {
            return Some(value(cpu, register));
        }
        let word = cpu.vector[register.number()][element * size / 8];
        Some(if size == 8 { word } else { word >> (32 * (element % 2)) & 0xffff_ffff })
    };
    let at = memory.virtual_address(element, lane).unwrap_or(0);
    if mode == CpuMode::Protected32 { at & 0xffff_ffff } else { at }
}

/// Whether all accesses of the instruction stay where nothing of this process is.
pub fn accesses_are_harmless(used: &[UsedMemory], cpu: &CpuState, mode: CpuMode) -> bool {
    used.iter().all(|m| {
        let size = size(m).max(64);
        let around = |at: u64| harmless(at, size) && harmless(at.wrapping_sub(size), size);
        match m.vsib_size() as usize {
            0 => around(address(m, cpu, mode)),
            lane => (0..m.index().size() / lane).all(|n| around(element_address(m, n, cpu, mode))),
        }
    })
}

/// Whether it is `bt` or one of its kin with the number of the bit in a register and the bits in memory, of which it reaches any.
pub fn is_far_bit_test(insn: &Instruction) -> bool {
    let bit_test = matches!(insn.mnemonic(), Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc);
    bit_test && insn.op_kind(0) == OpKind::Memory && insn.op_kind(1) == OpKind::Register
}

/// The same of the word of bits that `insn` reaches, if it is such a test. (What iced gives for it is the operand's address.)
pub fn bits_are_harmless(insn: &Instruction, used: &[UsedMemory], cpu: &CpuState, mode: CpuMode) -> bool {
    let bits = 8 * insn.op1_register().size() as u32;
    let unused = 64 - bits.clamp(1, 64);
    let number = ((value(cpu, insn.op1_register()) << unused) as i64 >> unused) as u64;
    let reached = |m: &UsedMemory| address(m, cpu, mode).wrapping_add(((number as i64) >> 3) as u64);
    let within = |at: u64| if mode == CpuMode::Protected32 { at & 0xffff_ffff } else { at };
    !is_far_bit_test(insn)
        || used.iter().all(|m| harmless(within(reached(m)), 64) && harmless(within(reached(m).wrapping_sub(64)), 64))
}

/// Whether it is a direct near jump or call.
pub fn is_near_branch(insn: &Instruction) -> bool {
    insn.op_count() > 0 && matches!(insn.op_kind(0), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
}

#[cfg(test)]
mod tests {
    use hokku_ir::Gpr;
    use iced_x86::{Decoder, DecoderOptions, InstructionInfoFactory};

    use super::*;
    use crate::oracle::layout::{CODE, CODE_END, SCRATCH};

    #[test]
    fn bits_far_from_the_operand_are_looked_at() {
        // btr [rdx-50007120h], edx
        let bytes = [0x0f, 0xb3, 0x92, 0xe0, 0x8e, 0xff, 0xaf];
        let insn = Decoder::new(64, &bytes, DecoderOptions::NONE).decode();
        let used = InstructionInfoFactory::new().info(&insn).used_memory().to_vec();
        let mut cpu = CpuState::new(CpuMode::Long64);
        let mut try_with = |rdx| {
            cpu.set(Gpr::Rdx, rdx);
            bits_are_harmless(&insn, &used, &cpu, CpuMode::Long64)
        };
        // The operand is in the scratch pages, the bit in the page of code: the register counts as negative.
        let near_scratch = SCRATCH + 0x5000_714a;
        assert!((CODE..CODE_END).contains(&(near_scratch - 0x5000_7120 - (0x1_0000_0000 - near_scratch) / 8)));
        assert!(!try_with(near_scratch));
        assert!(try_with(0x9000_0000));
    }
}
