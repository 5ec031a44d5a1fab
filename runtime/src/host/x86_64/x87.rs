//! The x87 unit: between the host's own and [`CpuState::x87`].
//!
//! `fxsave64` and `fxrstor64` move the whole state, SSE included; what is SSE's is put back as it was.
//!
//! While the host's unit runs the guest's instructions, it keeps *host* addresses of them: [`save`] asks which guest instruction that is.
//! Opcode and operand address, which the unit keeps where an unmasked exception is raised, become the guest's with it: the host's instruction
//! may name another register as base, and its operand address holds the base of fs or gs.

use std::arch::x86_64::{_fxrstor64, _fxsave64};

use hokku_ir::eval::X87Code;
use hokku_ir::guest::{F80, X87};
use hokku_ir::{CpuMode, CpuState, GuestAddr, X87Arithmetic};

/// An FXSAVE image with 64-bit pointers. Source: Intel SDM vol. 1, 10.5.1.
#[repr(C, align(16))]
struct Image {
    control: u16,
    status: u16,
    tags: u8,
    reserved: u8,
    opcode: u16,
    instruction: u64,
    operand: u64,
    mxcsr: u32,
    mxcsr_mask: u32,
    /// In stack order: ST(0) first.
    st: [[u16; 8]; 8],
    rest: [u8; 352],
}

const _: () = assert!(size_of::<Image>() == 512);

/// Status word: an unmasked exception is pending (ES).
const PENDING: u16 = 1 << 7;

fn save_image() -> Image {
    // SAFETY: `Image` is plain data, 512 bytes at a multiple of 16, as `fxsave` wants it.
    unsafe {
        let mut image: Image = std::mem::zeroed();
        _fxsave64((&raw mut image).cast());
        image
    }
}

/// An x87 instruction of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuestInstruction {
    pub(crate) pc: GuestAddr,
    pub(crate) mode: CpuMode,
    pub(crate) code: X87Code,
}

/// Takes the x87 state out of the host's unit, if it is there. `translated` tells what the code at a host address was translated from, if
/// that is translated code.
pub(crate) fn save(cpu: &mut CpuState, translated: impl FnOnce(u64) -> Option<GuestInstruction>) {
    if cpu.host.x87_in_host == 0 {
        return;
    }
    let image = save_image();
    let mut x87 = X87 {
        control: image.control,
        status: image.status,
        tags: image.tags,
        opcode: image.opcode,
        instruction: image.instruction,
        operand: image.operand,
        ..X87::INIT
    };
    let top = usize::from(x87.top());
    for (i, st) in image.st.iter().enumerate() {
        let significand = (0..4).fold(0, |value, n| value | u64::from(st[n]) << (16 * n));
        x87.regs[(top + i) % 8] = F80 { significand, sign_exponent: st[4], padding: [0; 3] };
    }
    let host = x87.instruction;
    // What was loaded is the guest's as it is, though it be the address of translated code.
    let is_loaded = host == cpu.x87.instruction;
    if let Some(guest) = translated(host).filter(|_| !is_loaded) {
        // SAFETY: the address is that of an instruction in translated code, whose bytes can be read; one reads no further than its end.
        let code = X87Code::decode(CpuMode::Long64, |n| unsafe { *((host + n) as *const u8) });
        translate(&mut x87, cpu, guest, code.opcode);
    }
    cpu.x87 = x87;
    cpu.host.x87_in_host = 0;
}

/// Replaces what `x87` tells of its last instruction, of which the host's opcode is `host_opcode`, by what `guest` is.
fn translate(x87: &mut X87, cpu: &CpuState, guest: GuestInstruction, host_opcode: u16) {
    x87.instruction = guest.pc.0;
    // Where another opcode is there, `fldcw` has unmasked what an earlier instruction raised.
    if x87.status & PENDING != 0 && x87.opcode == host_opcode {
        x87.opcode = guest.code.opcode;
        let base = guest.code.segment.map_or(0, |seg| cpu.segment_base[seg.index()]);
        x87.operand = x87.operand.wrapping_sub(base) & if base == 0 { u64::MAX } else { guest.mode.word().mask() };
    }
}

/// Puts the x87 state into the host's unit, if it is not there.
pub(crate) fn load(cpu: &mut CpuState, _arithmetic: X87Arithmetic) {
    if cpu.host.x87_in_host != 0 {
        return;
    }
    // The SSE part stays as it is now.
    let mut image = save_image();
    let x87 = &cpu.x87;
    image.control = x87.control;
    image.status = x87.status;
    image.tags = x87.tags;
    image.opcode = x87.opcode;
    image.instruction = x87.instruction;
    image.operand = x87.operand;
    let top = usize::from(x87.top());
    for (i, st) in image.st.iter_mut().enumerate() {
        let register = &x87.regs[(top + i) % 8];
        *st = [0; 8];
        for (n, word) in st[..4].iter_mut().enumerate() {
            *word = (register.significand >> (16 * n)) as u16;
        }
        st[4] = register.sign_exponent;
    }
    // SAFETY: a valid image: the SSE part and mxcsr are the processor's own, and the x87 part has no bits that `fxrstor` rejects. Rust code
    // does not use the x87 unit on this target.
    unsafe { _fxrstor64((&raw const image).cast()) };
    cpu.host.x87_in_host = 1;
}

#[cfg(test)]
mod tests {
    use hokku_ir::Seg;

    use super::*;

    #[test]
    fn the_state_survives_the_way_through_the_host() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.x87.control = 0x27f;
        cpu.x87.set_top(5);
        cpu.x87.status |= 0x4100;
        cpu.x87.tags = 0b0110_0001;
        for (i, reg) in cpu.x87.regs.iter_mut().enumerate() {
            *reg = F80 {
                significand: 0x8000_0000_0000_0001 + i as u64,
                sign_exponent: 0x3fff + i as u16,
                padding: [0; 3],
            };
        }
        let before = cpu.x87;
        load(&mut cpu, X87Arithmetic::Exact);
        cpu.x87 = X87::INIT;
        save(&mut cpu, |_| None);
        // Processors may drop the pointers where no exception is pending.
        let pointers =
            X87 { opcode: cpu.x87.opcode, instruction: cpu.x87.instruction, operand: cpu.x87.operand, ..before };
        assert_eq!(cpu.x87, pointers);
        leave_clean(cpu);
    }

    #[test]
    fn an_address_that_was_loaded_is_the_guest_s_even_if_code_is_there() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.x87.instruction = load as *const () as u64;
        let before = cpu.x87.instruction;
        load(&mut cpu, X87Arithmetic::Exact);
        let code = X87Code { opcode: 0, segment: None };
        let guest = GuestInstruction { pc: GuestAddr(0x1234), mode: CpuMode::Long64, code };
        save(&mut cpu, |host| (host == before).then_some(guest));
        // Processors may drop the pointers where no exception is pending.
        assert!([before, 0].contains(&cpu.x87.instruction), "{:#x}", cpu.x87.instruction);
        leave_clean(cpu);
    }

    #[test]
    fn the_instruction_becomes_the_guest_s() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.segment_base[Seg::Fs.index()] = 0x1000;
        let code = X87Code { opcode: 0x135, segment: Some(Seg::Fs) };
        let guest = GuestInstruction { pc: GuestAddr(0x1234), mode: CpuMode::Long64, code };
        let raised = X87 { status: 0x8081, opcode: 0x7ff, instruction: 0x5555_0000, operand: 0x6666, ..X87::INIT };
        let mut x87 = raised;
        translate(&mut x87, &cpu, guest, 0x7ff);
        assert_eq!((x87.opcode, x87.instruction, x87.operand), (0x135, 0x1234, 0x5666));
        // An earlier instruction's exception.
        x87 = raised;
        translate(&mut x87, &cpu, guest, 0x7fe);
        assert_eq!((x87.opcode, x87.instruction, x87.operand), (0x7ff, 0x1234, 0x6666));
    }

    /// Leaves the unit as other code expects it.
    fn leave_clean(mut cpu: CpuState) {
        cpu.x87 = X87::INIT;
        load(&mut cpu, X87Arithmetic::Exact);
    }
}
