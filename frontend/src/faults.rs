//! What an instruction's code tells of a memory fault in it: found out when there is one, so that translated code need not say it.

use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr, Seg};
use iced_x86::{InstructionInfoFactory, Mnemonic, OpAccess, Register, UsedMemory};

use crate::decode::{CodeSource, decode_one};
use crate::insn::gpr;

/// The access of an instruction that faulted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultingAccess {
    /// It is on the stack, by instruction or by base register: an address that is not canonical is a #SS there and a #GP elsewhere (SDM vol. 1,
    /// 3.3.7.1).
    pub on_stack: bool,
    /// It reads what it is going to write: processors ask for both at once, and tell of a write.
    pub modifies: bool,
}

/// The access of the instruction at `cpu.rip` that faulted at `address`, or, where that is not known, for an address that is not canonical.
pub fn faulting_access(
    code: &dyn CodeSource,
    mode: CpuMode,
    cpu: &CpuState,
    address: Option<GuestAddr>,
) -> FaultingAccess {
    let Some(raw) = decode_one(code, mode, GuestAddr(cpu.rip)) else {
        return FaultingAccess::default();
    };
    let faulted = |m: &&UsedMemory| {
        let start = m.virtual_address(0, |register, _, _| Some(value(cpu, register))).unwrap_or(0) & mode.word().mask();
        let last = start.wrapping_add(m.memory_size().size().max(1) as u64 - 1);
        match address {
            Some(address) => address.0.wrapping_sub(start) <= last.wrapping_sub(start),
            None => {
                let canonical = |at| GuestAddr(at).is_canonical();
                mode == CpuMode::Long64 && !(canonical(start) && canonical(last))
            }
        }
    };
    let mut factory = InstructionInfoFactory::new();
    let used = factory.info(&raw).used_memory();
    // ARPL reads first, and asks to write where it has something to change.
    let reads_first = raw.mnemonic() == Mnemonic::Arpl;
    // The only access is it, wherever it is: bit strings reach beyond their operand.
    let only = || used.first().filter(|_| used.len() == 1 && address.is_some());
    match used.iter().find(faulted).or_else(only) {
        Some(m) => FaultingAccess {
            on_stack: m.segment() == Register::SS,
            modifies: !reads_first && matches!(m.access(), OpAccess::ReadWrite | OpAccess::ReadCondWrite),
        },
        None => FaultingAccess::default(),
    }
}

/// Sets the stack pointer back to what it was before the 64-bit instruction at `cpu.rip`, which has jumped, called or returned to an address that
/// is none. What a call has pushed stays in memory, as on processors.
pub fn undo_transfer(code: &dyn CodeSource, cpu: &mut CpuState) {
    let mode = CpuMode::Long64;
    if let Some(raw) = decode_one(code, mode, GuestAddr(cpu.rip)) {
        let moved = i64::from(raw.stack_pointer_increment());
        cpu.set(Gpr::Rsp, cpu.get(Gpr::Rsp).wrapping_sub(moved as u64));
    }
}

/// The value of `register`, or the base of the segment that it is.
fn value(cpu: &CpuState, register: Register) -> u64 {
    match (register, gpr(register)) {
        (Register::FS, _) => cpu.segment_base[Seg::Fs.index()],
        (Register::GS, _) => cpu.segment_base[Seg::Gs.index()],
        (_, Some((reg, false))) => match register.size() {
            1 => cpu.get(reg) & 0xff,
            2 => cpu.get(reg) & 0xffff,
            4 => cpu.get(reg) & 0xffff_ffff,
            _ => cpu.get(reg),
        },
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(code: &[u8], address: Option<u64>) -> (bool, bool) {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.rip = 0x1000;
        cpu.set(Gpr::Rax, 1 << 60);
        cpu.set(Gpr::Rbp, 1 << 61);
        cpu.set(Gpr::Rsp, 1 << 62);
        let access = faulting_access(&(GuestAddr(0x1000), code), CpuMode::Long64, &cpu, address.map(GuestAddr));
        (access.on_stack, access.modifies)
    }

    #[test]
    fn jumps_to_no_address_are_undone() {
        // jmp rax; call rax; ret; ret 16; ret with a prefix of no effect
        let codes: [(&[u8], i64); 5] =
            [(&[0xff, 0xe0], 0), (&[0xff, 0xd0], -8), (&[0xc3], 8), (&[0xc2, 16, 0], 24), (&[0x66, 0xc3], 8)];
        for (code, moved) in codes {
            let mut cpu = CpuState::new(CpuMode::Long64);
            cpu.rip = 0x1000;
            cpu.set(Gpr::Rsp, 0x2000u64.wrapping_add_signed(moved));
            undo_transfer(&(GuestAddr(0x1000), code), &mut cpu);
            assert_eq!((cpu.rip, cpu.get(Gpr::Rsp)), (0x1000, 0x2000), "{code:x?}");
        }
    }

    #[test]
    fn accesses_of_instructions() {
        // mov ecx, [rax]; mov ecx, [rbp]; push rcx; add [rbp], ecx; add ecx, [rax]
        assert_eq!(access(&[0x8b, 0x08], None), (false, false));
        assert_eq!(access(&[0x8b, 0x4d, 0x00], None), (true, false));
        assert_eq!(access(&[0x51], None), (true, false));
        assert_eq!(access(&[0x01, 0x4d, 0x00], None), (true, true));
        assert_eq!(access(&[0x03, 0x08], Some(1 << 60)), (false, false));
        // inc dword [rax], at its last byte; bts [rax], ecx, anywhere
        assert_eq!(access(&[0xff, 0x00], Some((1 << 60) + 3)), (false, true));
        assert_eq!(access(&[0x0f, 0xab, 0x08], Some(4)), (false, true));
        // push [rax]: what is read, what is written
        assert_eq!(access(&[0xff, 0x30], Some(1 << 60)), (false, false));
        assert_eq!(access(&[0xff, 0x30], Some((1 << 62) - 8)), (true, false));
    }
}
