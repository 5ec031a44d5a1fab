//! `iret` within the program: instruction pointer, flags and, in 64-bit code, the stack pointer come from the stack.

use hokku_frontend::{Limits, translate};
use hokku_ir::eval::{EvalFault, FixedSystem, FlatMemory, Flow, run_region};
use hokku_ir::guest::eflags;
use hokku_ir::{BlockId, BlockKey, CpuMode, CpuState, FlagSet, Gpr, GuestAddr, Seg, Trap};

/// Runs `code` with the words of width `size` on the stack at 0x8000.
fn run(mode: CpuMode, code: &[u8], size: usize, items: &[u64]) -> (CpuState, Flow) {
    let mut cpu = CpuState::new(mode);
    cpu.set(Gpr::Rsp, 0x8000);
    let mut stack: Vec<u8> = items.iter().flat_map(|v| v.to_le_bytes()[..size].to_vec()).collect();
    stack.resize(64, 0);
    let memory = FlatMemory::with(GuestAddr(0x8000), &stack);
    let key = BlockKey::new(GuestAddr(0x1000), mode);
    let region = translate(&(GuestAddr(0x1000), code), key, &Limits::default());
    let flow = run_region(&region, BlockId(0), &mut cpu, &memory, &FixedSystem::default());
    (cpu, flow)
}

fn cs(mode: CpuMode) -> u64 {
    u64::from(CpuState::new(mode).selector[Seg::Cs.index()])
}

#[test]
fn iretq_takes_the_stack_pointer_too() {
    let mode = CpuMode::Long64;
    let flags = u64::from(FlagSet::CF.bits() | FlagSet::ZF.bits() | eflags::DF);
    let (cpu, flow) = run(mode, &[0x48, 0xcf], 8, &[0x1234_5678_9abc, cs(mode), flags, 0x7000, 0x23]);
    assert_eq!(flow, Flow::Jump { to: GuestAddr(0x1234_5678_9abc) });
    assert_eq!((cpu.get(Gpr::Rsp), cpu.status_flags), (0x7000, (FlagSet::CF | FlagSet::ZF).bits()));
    assert_eq!(cpu.system_flags & eflags::DF, eflags::DF);
}

#[test]
fn iretd_pops_three_words() {
    let mode = CpuMode::Protected32;
    let (cpu, flow) = run(mode, &[0xcf], 4, &[0x12_3456, cs(mode), u64::from(FlagSet::SF.bits())]);
    assert_eq!(flow, Flow::Jump { to: GuestAddr(0x12_3456) });
    assert_eq!((cpu.get(Gpr::Rsp), cpu.status_flags), (0x800c, FlagSet::SF.bits()));
}

#[test]
fn iret_to_another_segment_is_a_protection_fault() {
    let (cpu, flow) = run(CpuMode::Protected32, &[0xcf], 4, &[0x12_3456, 8, 0]);
    let fault = EvalFault::Trap(Trap::Protection);
    assert_eq!(flow, Flow::Fault { at: GuestAddr(0x1000), fault });
    assert_eq!(cpu.get(Gpr::Rsp), 0x8000);
}
