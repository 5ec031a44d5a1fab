//! The x87 unit as translated code that computes exactly has it, on hosts without such a unit: *host form* of 80-bit values.
//!
//! While [`crate::guest::HostArea::x87_in_host`] is [`EXACT_IN_HOST`],
//!
//! * a register's second word has the sign in bit 63 and the biased exponent below. Its significand has bit 63 set if and only if the value is normal:
//!   infinities, NaNs and pseudo-denormals have it in bit 62 of the second word instead;
//! * the low half of [`CpuState::x87_shape`] is an [`X87Shape`], above which there is zero if the control word is that of most programs (nearest, 64
//!   bits, all exceptions masked) and nothing is pending; bit 16 is C1;
//! * the status word has neither top nor C1, and PE is also set where the halfword of the tags is not zero.

use super::state::PENDING;
use super::x87::C1;
use crate::guest::{self, CpuState};
use crate::lowering::X87Shape;
use crate::operand::X87Const;
use crate::softfloat::{self as soft, F80, Rounding};

/// [`crate::guest::HostArea::x87_in_host`] where the unit is in this form.
pub const EXACT_IN_HOST: u32 = 2;
/// C1 in [`CpuState::x87_shape`].
pub(crate) const SHAPE_C1: u32 = 1 << 16;
/// In its low half: an exception is not masked, or pending.
pub(crate) const SHAPE_IS_ODD: u32 = 1 << 15;
/// Control and shape bits of [`CpuState::x87_shape`].
const SHAPE_CONTROL: u32 = 0xf800;
const SIGN: u64 = 1 << 63;
/// The significand's bit 63 of a value that is not normal.
const MARK: u64 = 1 << 62;
const PE: u16 = 1 << 5;
const TOP: u16 = 7 << 11;

/// A register in host form.
#[inline(always)]
pub(crate) fn to_host(v: F80) -> guest::F80 {
    let exponent = v.sign_exponent & 0x7fff;
    let sign = u64::from(v.sign_exponent >> 15) << 63;
    let is_normal = (1..0x7fff).contains(&exponent);
    let marked = v.significand & SIGN != 0 && !is_normal;
    let (significand, mark) = if marked { (v.significand ^ SIGN, MARK) } else { (v.significand, 0) };
    let word = sign | mark | u64::from(exponent);
    let halves = |n: u32| (word >> n) as u16;
    guest::F80 { significand, sign_exponent: halves(0), padding: [halves(16), halves(32), halves(48)] }
}

/// The value of a register in host form.
#[inline(always)]
pub(crate) fn from_host(v: guest::F80) -> F80 {
    let upper = v.padding[2];
    let significand = v.significand | u64::from(upper >> 14 & 1) << 63;
    F80 { significand, sign_exponent: v.sign_exponent | upper & 0x8000 }
}

/// The words of a register in host form that has value `v`.
#[cfg(test)]
pub(crate) fn x87_exactly_to_host(v: F80) -> (u64, u64) {
    let v = to_host(v);
    let words = [v.sign_exponent, v.padding[0], v.padding[1], v.padding[2]];
    (v.significand, words.iter().rev().fold(0, |word, half| word << 16 | u64::from(*half)))
}

/// The value of a register in host form, by its words.
#[cfg(test)]
pub(crate) fn x87_exactly_from_host((significand, word): (u64, u64)) -> F80 {
    let half = |n: u32| (word >> n) as u16;
    from_host(guest::F80 { significand, sign_exponent: half(0), padding: [half(16), half(32), half(48)] })
}

/// What [`CpuState::x87_shape`] has above the shape.
pub(crate) fn control_bits(control: u16, status: u16) -> u32 {
    let is_odd = control & 0x3f != 0x3f || status & PENDING != 0;
    u32::from(control >> 8 & 15 ^ 3) << 11 | u32::from(is_odd) << 15
}

/// Significand and second word of the register in host form that the load of a constant gives, rounded to nearest.
pub(crate) fn x87_constant_exactly(value: X87Const) -> (u64, u64) {
    let v = soft::constant(value.into(), Rounding::Nearest);
    (v.significand, v.sign_exponent.into())
}

/// PE, where code has noted it elsewhere, in the status word.
#[inline(always)]
pub(crate) fn tell_inexact(cpu: &mut CpuState) {
    if (cpu.x87.tags, cpu.x87.padding) != (0, 0) {
        cpu.x87.status |= PE;
    }
    (cpu.x87.tags, cpu.x87.padding) = (0, 0);
}

/// The control bits once more, after the control word or the status word has changed.
pub(crate) fn renew_control_bits(cpu: &mut CpuState) {
    cpu.x87_shape = cpu.x87_shape & !SHAPE_CONTROL | control_bits(cpu.x87.control, cpu.x87.status);
}

/// Brings the unit into this form, unless it is in host form.
pub fn x87_to_exact(cpu: &mut CpuState) {
    if cpu.host.x87_in_host != 0 {
        return;
    }
    cpu.host.x87_in_host = EXACT_IN_HOST;
    let x87 = &mut cpu.x87;
    let c1 = if x87.status & C1 != 0 { SHAPE_C1 } else { 0 };
    cpu.x87_shape = u32::from(X87Shape::new(x87.top(), x87.tags).0) | control_bits(x87.control, x87.status) | c1;
    x87.status &= !(C1 | TOP);
    (x87.tags, x87.padding) = (0, 0);
    for reg in &mut x87.regs {
        *reg = to_host(F80 { significand: reg.significand, sign_exponent: reg.sign_exponent });
    }
}

/// Brings the unit back into the form that everybody else knows.
pub(super) fn x87_from_exact(cpu: &mut CpuState) {
    cpu.host.x87_in_host = 0;
    tell_inexact(cpu);
    let shape = X87Shape(cpu.x87_shape as u16);
    let x87 = &mut cpu.x87;
    if cpu.x87_shape & SHAPE_C1 != 0 {
        x87.status |= C1;
    }
    x87.tags = shape.tags();
    x87.set_top(shape.top());
    for reg in &mut x87.regs {
        let v = from_host(*reg);
        *reg = guest::F80 { significand: v.significand, sign_exponent: v.sign_exponent, padding: [0; 3] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::x87_from_host;
    use crate::guest::X87;
    use crate::key::CpuMode;

    #[test]
    fn the_unit_comes_back_as_it_was() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.x87 = X87 { control: 0xf7e, status: 0x7f00 & !TOP | 5 << 11, tags: 0x21, opcode: 7, ..X87::INIT };
        for (n, exponent) in [0, 1, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff].into_iter().enumerate() {
            cpu.x87.regs[n].sign_exponent = exponent;
            cpu.x87.regs[n].significand = if n % 2 == 0 { 1 << 63 | 5 } else { 77 };
        }
        let before = cpu.x87;
        x87_to_exact(&mut cpu);
        assert_eq!(cpu.x87_shape, 0x21 | 5 << 8 | 12 << 11 | 1 << 15 | 1 << 16);
        assert_eq!((cpu.x87.regs[0].significand, cpu.x87.regs[0].padding[2]), (5, 1 << 14));
        assert_eq!((cpu.x87.regs[2].significand, cpu.x87.regs[6].padding[2]), (1 << 63 | 5, 1 << 15));
        x87_from_host(&mut cpu);
        assert_eq!(cpu.x87, before);
        x87_to_exact(&mut cpu);
        cpu.x87.padding = 1;
        x87_from_host(&mut cpu);
        assert_eq!(cpu.x87, X87 { status: before.status | PE, ..before });
    }
}
