//! The x87 unit: between the host's own and [`CpuState::x87`].
//!
//! `fxsave64` and `fxrstor64` move the whole state, SSE included; what is SSE's is put back as it was.

use std::arch::x86_64::{_fxrstor64, _fxsave64};

use hokku_ir::CpuState;
use hokku_ir::guest::{F80, X87};

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

fn save_image() -> Image {
    // SAFETY: `Image` is plain data, 512 bytes at a multiple of 16, as `fxsave` wants it.
    unsafe {
        let mut image: Image = std::mem::zeroed();
        _fxsave64((&raw mut image).cast());
        image
    }
}

/// Takes the x87 state out of the host's unit, if it is there.
pub(crate) fn save(cpu: &mut CpuState) {
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
    cpu.x87 = x87;
    cpu.host.x87_in_host = 0;
}

/// Puts the x87 state into the host's unit, if it is not there.
pub(crate) fn load(cpu: &mut CpuState) {
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
    use hokku_ir::CpuMode;

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
        load(&mut cpu);
        cpu.x87 = X87::INIT;
        save(&mut cpu);
        // Processors may drop the pointers where no exception is pending.
        let pointers =
            X87 { opcode: cpu.x87.opcode, instruction: cpu.x87.instruction, operand: cpu.x87.operand, ..before };
        assert_eq!(cpu.x87, pointers);
        // Leaves the unit as other code expects it.
        cpu.x87 = X87::INIT;
        load(&mut cpu);
    }
}
