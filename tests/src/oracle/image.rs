//! Guest state to and from the processor's XSAVE image.

use hokku_ir::CpuState;
use hokku_ir::guest::F80;

use super::enter::IMAGE;

/// Offset of the XMM registers, of the header and of the upper halves of the YMM registers.
const XMM: usize = 160;
const HEADER: usize = 512;
const YMM: usize = 576;

fn put<const N: usize>(image: &mut [u8; IMAGE], at: usize, bytes: [u8; N]) {
    image[at..at + N].copy_from_slice(&bytes);
}

fn take<const N: usize>(image: &[u8; IMAGE], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&image[at..at + N]);
    bytes
}

/// Writes the float and vector state of `cpu` to `image`.
pub(super) fn store(cpu: &CpuState, image: &mut [u8; IMAGE]) {
    let x87 = &cpu.x87;
    put(image, 0, x87.control.to_le_bytes());
    put(image, 2, x87.status.to_le_bytes());
    put(image, 4, [x87.tags, 0]);
    put(image, 6, x87.opcode.to_le_bytes());
    put(image, 8, x87.instruction.to_le_bytes());
    put(image, 16, x87.operand.to_le_bytes());
    put(image, 24, cpu.mxcsr.to_le_bytes());
    for i in 0..8 {
        let register = &x87.regs[(x87.top() as usize + i) % 8];
        put(image, 32 + 16 * i, register.significand.to_le_bytes());
        put(image, 40 + 16 * i, register.sign_exponent.to_le_bytes());
    }
    for (i, v) in cpu.vector.iter().enumerate() {
        put(image, XMM + 16 * i, v[0].to_le_bytes());
        put(image, XMM + 16 * i + 8, v[1].to_le_bytes());
        put(image, YMM + 16 * i, v[2].to_le_bytes());
        put(image, YMM + 16 * i + 8, v[3].to_le_bytes());
    }
    image[HEADER..YMM].fill(0);
    image[HEADER] = 7;
}

/// Reads the float and vector state of `cpu` from `image`.
pub(super) fn load(image: &[u8; IMAGE], cpu: &mut CpuState) {
    let x87 = &mut cpu.x87;
    x87.control = u16::from_le_bytes(take(image, 0));
    x87.status = u16::from_le_bytes(take(image, 2));
    x87.tags = image[4];
    x87.opcode = u16::from_le_bytes(take(image, 6));
    x87.instruction = u64::from_le_bytes(take(image, 8));
    x87.operand = u64::from_le_bytes(take(image, 16));
    for i in 0..8 {
        let register = (x87.top() as usize + i) % 8;
        x87.regs[register] = F80 {
            significand: u64::from_le_bytes(take(image, 32 + 16 * i)),
            sign_exponent: u16::from_le_bytes(take(image, 40 + 16 * i)),
            padding: [0; 3],
        };
    }
    cpu.mxcsr = u32::from_le_bytes(take(image, 24));
    let word = |at| u64::from_le_bytes(take(image, at));
    for (i, v) in cpu.vector.iter_mut().enumerate() {
        let (low, high) = (XMM + 16 * i, YMM + 16 * i);
        *v = [word(low), word(low + 8), word(high), word(high + 8)];
    }
}
