//! What single vector instructions need of their state, beyond random lanes, to reach their corners: masks, indices of gathers, products that
//! nearly cancel or leave the range.

use hokku_ir::{CpuMode, CpuState, Gpr};
use iced_x86::{Instruction, Mnemonic, OpKind, Register, UsedMemory};

use super::rng::Rng;
use super::safety::{address, element_address, set_value, value};
use crate::oracle::layout::{SCRATCH, WRITABLE};

/// Points the elements of a gather's memory operand at the scratch pages, where its index register is long enough for that.
pub fn aim_gather(
    rng: &mut Rng,
    memory: &UsedMemory,
    cpu: &mut CpuState,
    mode: CpuMode,
    place: impl Fn(&mut Rng) -> u64,
) {
    if memory.base() != Register::None {
        let target = SCRATCH + rng.below(WRITABLE);
        let old = value(cpu, memory.base());
        set_value(cpu, memory.base(), old.wrapping_add(target.wrapping_sub(address(memory, cpu, mode))));
    }
    let size = memory.vsib_size() as usize;
    let register = memory.index().number();
    for element in 0..memory.index().size() / size {
        set_element(&mut cpu.vector[register], element, size, 0);
        let fixed = element_address(memory, element, cpu, mode);
        let target = if rng.percent(97) { SCRATCH + rng.below(WRITABLE - 8) } else { place(rng) };
        let away = target.wrapping_sub(fixed) as i64 / i64::from(memory.scale());
        set_element(&mut cpu.vector[register], element, size, away as u64);
    }
}

fn set_element(vector: &mut [u64; 4], element: usize, size: usize, v: u64) {
    let bit = element * size * 8;
    if size == 8 {
        vector[bit / 64] = v;
    } else {
        let low = bit % 64;
        vector[bit / 64] = vector[bit / 64] & !(0xffff_ffff << low) | (v & 0xffff_ffff) << low;
    }
}

/// The register whose lanes' signs say which elements an instruction accesses.
fn mask_register(insn: &Instruction) -> Option<Register> {
    use Mnemonic::*;
    match insn.mnemonic() {
        Vmaskmovps | Vmaskmovpd | Vpmaskmovd | Vpmaskmovq => Some(insn.op1_register()),
        Maskmovdqu | Vmaskmovdqu => Some(insn.op2_register()),
        Vgatherdps | Vgatherdpd | Vgatherqps | Vgatherqpd | Vpgatherdd | Vpgatherdq | Vpgatherqd | Vpgatherqq => {
            Some(insn.op2_register())
        }
        _ => None,
    }
}

/// Gives masks lanes of all or no bits, mostly.
pub fn set_mask(rng: &mut Rng, insn: &Instruction, cpu: &mut CpuState) {
    let Some(register) = mask_register(insn).filter(|r| r.is_vector_register()) else { return };
    let lanes = match rng.below(4) {
        0 => return,
        1 => [u64::MAX; 4],
        _ => std::array::from_fn(|_| rng.pick(&[0, u64::MAX, 0xffff_ffff, 0xffff_ffff << 32, 1 << 63])),
    };
    cpu.vector[register.number()] = lanes;
}

/// Lengths of strings for the instructions that compare strings of explicit length.
pub fn set_lengths(rng: &mut Rng, insn: &Instruction, cpu: &mut CpuState, mode: CpuMode) {
    use Mnemonic::*;
    if matches!(insn.mnemonic(), Pcmpestri | Pcmpestrm | Vpcmpestri | Vpcmpestrm) && rng.percent(70) {
        for reg in [Gpr::Rax, Gpr::Rdx] {
            let length = rng.below(41).wrapping_sub(20);
            let high = if rng.percent(20) { rng.u64() << 32 } else { 0 };
            cpu.set(reg, ((length & 0xffff_ffff) | high) & mode.word().mask());
        }
    }
}

/// Relates the operands of multiplications and of fused multiplications and additions, in registers: a sum that cancels but for the product's
/// last bits, a product at either end of the range.
pub fn relate(rng: &mut Rng, insn: &Instruction, cpu: &mut CpuState) {
    let name = format!("{:?}", insn.mnemonic());
    let fused = name.starts_with("Vf") && (name.contains("132") || name.contains("213") || name.contains("231"));
    let wide = name.ends_with('d');
    if !fused || insn.op2_kind() != OpKind::Register || rng.percent(60) {
        return;
    }
    let number = |i: u32| insn.op_register(i).number();
    let (a, b, c) = match () {
        () if name.contains("132") => (number(0), number(2), number(1)),
        () if name.contains("213") => (number(1), number(0), number(2)),
        () => (number(1), number(2), number(0)),
    };
    let extreme = rng.percent(30);
    for word in 0..4 {
        let (x, y) = (cpu.vector[a][word], cpu.vector[b][word]);
        if wide {
            let y = if extreme { end_of_range_64(rng, x, y) } else { y };
            cpu.vector[b][word] = y;
            let product = f64::from_bits(x) * f64::from_bits(y);
            cpu.vector[c][word] = product.to_bits().wrapping_add(rng.below(3)).wrapping_sub(1) ^ rng.u64() << 63;
        } else {
            let mut lanes = [0, 0];
            let mut factors = [0, 0];
            for (i, shift) in [0, 32].into_iter().enumerate() {
                let (x, y) = ((x >> shift) as u32, (y >> shift) as u32);
                let y = if extreme { end_of_range_32(rng, x, y) } else { y };
                let product = f32::from_bits(x) * f32::from_bits(y);
                let near = product.to_bits().wrapping_add(rng.below(3) as u32).wrapping_sub(1);
                lanes[i] = u64::from(near ^ (rng.u64() as u32) << 31) << shift;
                factors[i] = u64::from(y) << shift;
            }
            cpu.vector[b][word] = factors[0] | factors[1];
            cpu.vector[c][word] = lanes[0] | lanes[1];
        }
    }
}

/// `y` with an exponent that brings the product with `x` to the least normal numbers or to the greatest.
fn end_of_range_64(rng: &mut Rng, x: u64, y: u64) -> u64 {
    let of = |v: u64| (v >> 52 & 0x7ff) as i64 - 1023;
    let wanted = if rng.percent(75) { -1022 - 56 + rng.below(60) as i64 } else { 1020 + rng.below(5) as i64 };
    let exponent = (wanted - of(x) + 1023).clamp(0, 0x7fe) as u64;
    y & !(0x7ff << 52) | exponent << 52
}

/// The same for singles.
fn end_of_range_32(rng: &mut Rng, x: u32, y: u32) -> u32 {
    let of = |v: u32| (v >> 23 & 0xff) as i32 - 127;
    let wanted = if rng.percent(75) { -126 - 27 + rng.below(30) as i32 } else { 124 + rng.below(5) as i32 };
    let exponent = (wanted - of(x) + 127).clamp(0, 0xfe) as u32;
    y & !(0xff << 23) | exponent << 23
}
