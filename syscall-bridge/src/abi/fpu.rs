//! Floating-point state as signal frames hold it: the images of `FXSAVE` and `FNSAVE`.
//!
//! Source: Intel SDM vol. 1, 8.1.10 (FNSAVE) and 10.5.1 (FXSAVE); haiku `headers/posix/arch/*/signal.h`.

#[cfg(test)]
use hokku_ir::CpuMode;
use hokku_ir::CpuState;

/// Bytes of an `FXSAVE` image.
pub const FXSAVE: usize = 512;
/// Bytes of the extended image in x86_64 frames: `FXSAVE`, header, upper halves of the vector registers.
pub const XSAVE: usize = 832;
/// Bytes of `xregs` in x86 frames: the larger of both images, and a word.
pub const XREGS: usize = 516;

/// Where the vector registers stand in an `FXSAVE` image.
const XMM: usize = 160;
/// Where their upper halves stand behind the header.
const YMM: usize = 576;
/// `mxcsr` bits that may be set.
const MXCSR_MASK: u32 = 0xffff;

fn put<const N: usize>(image: &mut [u8], at: usize, bytes: [u8; N]) {
    image[at..at + N].copy_from_slice(&bytes);
}

fn get<const N: usize>(image: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&image[at..at + N]);
    bytes
}

fn put_vectors(cpu: &CpuState, image: &mut [u8], count: usize) {
    for (i, vector) in cpu.vector[..count].iter().enumerate() {
        put(image, XMM + 16 * i, vector[0].to_le_bytes());
        put(image, XMM + 16 * i + 8, vector[1].to_le_bytes());
    }
}

fn get_vectors(cpu: &mut CpuState, image: &[u8], count: usize) {
    for (i, vector) in cpu.vector[..count].iter_mut().enumerate() {
        vector[0] = u64::from_le_bytes(get(image, XMM + 16 * i));
        vector[1] = u64::from_le_bytes(get(image, XMM + 16 * i + 8));
    }
}

/// Writes the state into an image of [`XSAVE`] bytes.
pub fn save_64(cpu: &CpuState, image: &mut [u8]) {
    let x87 = &cpu.x87;
    put(image, 0, x87.control.to_le_bytes());
    put(image, 2, x87.status.to_le_bytes());
    image[4] = x87.tags;
    put(image, 6, x87.opcode.to_le_bytes());
    put(image, 8, x87.instruction.to_le_bytes());
    put(image, 16, x87.operand.to_le_bytes());
    put(image, 24, cpu.mxcsr.to_le_bytes());
    put(image, 28, MXCSR_MASK.to_le_bytes());
    for i in 0..8 {
        let reg = x87.regs[(usize::from(x87.top()) + i) % 8];
        put(image, 32 + 16 * i, reg.significand.to_le_bytes());
        put(image, 40 + 16 * i, reg.sign_exponent.to_le_bytes());
    }
    put_vectors(cpu, image, 16);
    // The header: which parts are there (x87, SSE, upper halves).
    put(image, FXSAVE, 7u64.to_le_bytes());
    for (i, vector) in cpu.vector.iter().enumerate() {
        put(image, YMM + 16 * i, vector[2].to_le_bytes());
        put(image, YMM + 16 * i + 8, vector[3].to_le_bytes());
    }
}

/// Takes the state from an image of [`XSAVE`] bytes; what the processor would refuse is masked away.
pub fn restore_64(cpu: &mut CpuState, image: &[u8]) {
    let x87 = &mut cpu.x87;
    x87.control = u16::from_le_bytes(get(image, 0));
    x87.status = u16::from_le_bytes(get(image, 2));
    x87.tags = image[4];
    x87.opcode = u16::from_le_bytes(get(image, 6)) & 0x7ff;
    x87.instruction = u64::from_le_bytes(get(image, 8));
    x87.operand = u64::from_le_bytes(get(image, 16));
    let top = usize::from(x87.top());
    for i in 0..8 {
        let reg = &mut x87.regs[(top + i) % 8];
        reg.significand = u64::from_le_bytes(get(image, 32 + 16 * i));
        reg.sign_exponent = u16::from_le_bytes(get(image, 40 + 16 * i));
    }
    cpu.mxcsr = u32::from_le_bytes(get(image, 24)) & MXCSR_MASK;
    get_vectors(cpu, image, 16);
    for (i, vector) in cpu.vector.iter_mut().enumerate() {
        vector[2] = u64::from_le_bytes(get(image, YMM + 16 * i));
        vector[3] = u64::from_le_bytes(get(image, YMM + 16 * i + 8));
    }
}

/// The two tag bits of a register as `FNSAVE` has them: 0 valid, 1 zero, 2 special, 3 empty.
fn full_tag(cpu: &CpuState, physical: usize) -> u16 {
    if cpu.x87.tags >> physical & 1 == 0 {
        return 3;
    }
    let reg = cpu.x87.regs[physical];
    match reg.sign_exponent & 0x7fff {
        0 if reg.significand == 0 => 1,
        0 | 0x7fff => 2,
        _ if reg.significand >> 63 == 0 => 2,
        _ => 0,
    }
}

/// Writes the state into an image of [`XREGS`] bytes, in `FNSAVE`'s format as Haiku's kernel does.
///
/// The kernel leaves the vector registers out, so that a handler that uses them spoils them for the code that it interrupts. Here they
/// stand where an `FXSAVE` image has them, in bytes that the other format does not use.
pub fn save_32(cpu: &CpuState, image: &mut [u8]) {
    let x87 = &cpu.x87;
    let tags = (0..8).fold(0, |all, i| all | full_tag(cpu, i) << (2 * i));
    put(image, 0, (u32::from(x87.control) | 0xffff_0000).to_le_bytes());
    put(image, 4, (u32::from(x87.status) | 0xffff_0000).to_le_bytes());
    put(image, 8, (u32::from(tags) | 0xffff_0000).to_le_bytes());
    put(image, 12, (x87.instruction as u32).to_le_bytes());
    put(image, 16, cpu.selector[1].to_le_bytes());
    put(image, 18, x87.opcode.to_le_bytes());
    put(image, 20, (x87.operand as u32).to_le_bytes());
    put(image, 24, (u32::from(cpu.selector[3]) | 0xffff_0000).to_le_bytes());
    for i in 0..8 {
        let reg = x87.regs[(usize::from(x87.top()) + i) % 8];
        put(image, 28 + 10 * i, reg.significand.to_le_bytes());
        put(image, 36 + 10 * i, reg.sign_exponent.to_le_bytes());
    }
    put_vectors(cpu, image, 8);
    put(image, 288, cpu.mxcsr.to_le_bytes());
}

/// Takes the state from an image that [`save_32`] made.
pub fn restore_32(cpu: &mut CpuState, image: &[u8]) {
    let x87 = &mut cpu.x87;
    x87.control = u16::from_le_bytes(get(image, 0));
    x87.status = u16::from_le_bytes(get(image, 4));
    let tags = u16::from_le_bytes(get(image, 8));
    x87.tags = (0..8).filter(|i| tags >> (2 * i) & 3 != 3).fold(0, |all, i| all | 1 << i);
    x87.instruction = u32::from_le_bytes(get(image, 12)).into();
    x87.opcode = u16::from_le_bytes(get(image, 18)) & 0x7ff;
    x87.operand = u32::from_le_bytes(get(image, 20)).into();
    let top = usize::from(x87.top());
    for i in 0..8 {
        let reg = &mut x87.regs[(top + i) % 8];
        reg.significand = u64::from_le_bytes(get(image, 28 + 10 * i));
        reg.sign_exponent = u16::from_le_bytes(get(image, 36 + 10 * i));
    }
    get_vectors(cpu, image, 8);
    cpu.mxcsr = u32::from_le_bytes(get(image, 288)) & MXCSR_MASK;
}

/// A processor with something in every floating-point register, for tests of the images.
#[cfg(test)]
pub(crate) fn filled(mode: CpuMode) -> CpuState {
    let mut cpu = CpuState::new(mode);
    cpu.x87.set_top(3);
    cpu.x87.tags = 0b0101_1010;
    for (i, reg) in cpu.x87.regs.iter_mut().enumerate() {
        reg.significand = 1 << 63 | i as u64;
        reg.sign_exponent = 0x3fff + i as u16;
    }
    cpu.x87.instruction = 0x1234;
    cpu.x87.operand = 0x5678;
    cpu.x87.opcode = 0x123;
    for (i, vector) in cpu.vector.iter_mut().enumerate() {
        *vector = [i as u64, i as u64 + 100, i as u64 + 200, i as u64 + 300];
    }
    cpu.mxcsr = 0x1fa0;
    cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_hold_all_state() {
        let cpu = filled(CpuMode::Long64);
        let mut image = [0; XSAVE];
        save_64(&cpu, &mut image);
        let mut other = CpuState::new(CpuMode::Long64);
        restore_64(&mut other, &image);
        assert_eq!((other.x87, other.vector, other.mxcsr), (cpu.x87, cpu.vector, cpu.mxcsr));

        let mut cpu = filled(CpuMode::Protected32);
        cpu.vector[8..].fill([0; 4]);
        cpu.vector.iter_mut().for_each(|v| (v[2], v[3]) = (0, 0));
        let mut image = [0; XREGS];
        save_32(&cpu, &mut image);
        let mut other = CpuState::new(CpuMode::Protected32);
        restore_32(&mut other, &image);
        assert_eq!((other.x87, other.vector, other.mxcsr), (cpu.x87, cpu.vector, cpu.mxcsr));
    }

    #[test]
    fn registers_are_in_stack_order() {
        let cpu = filled(CpuMode::Long64);
        let mut image = [0; XSAVE];
        save_64(&cpu, &mut image);
        assert_eq!(image[32], 3, "ST(0) is R3");
        assert_eq!(image[XMM + 16], 1);
    }
}
