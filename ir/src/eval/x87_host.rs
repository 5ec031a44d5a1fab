//! The x87 unit as translated code that computes in doubles has it: *host form*.
//!
//! While [`crate::guest::HostArea::x87_in_host`] is one, the significand of each register in the state is the bits of a double,
//! [`CpuState::x87_shape`] has top and tags, and the status word no top. What the registers were before is kept, so that those come back as they
//! were whose doubles are the same: MMX registers are no doubles.

use super::x87::{from_guest, to_guest};
use super::x87_double::{narrow, widen};
use super::x87_exact_host::{EXACT_IN_HOST, x87_from_exact};
use crate::guest::CpuState;
use crate::lowering::{X87Shape, rounding_bits};
use crate::operand::X87Const;
use crate::softfloat::{self as soft, F64, Rounding};

/// The bits of the double that the load of a constant gives.
pub fn x87_constant(value: X87Const) -> u64 {
    narrow(soft::constant(value.into(), Rounding::Nearest), Rounding::Nearest).0
}

/// [`crate::guest::HostArea::x87_in_host`] where the unit is in this form.
pub const DOUBLES_IN_HOST: u32 = 1;
/// What is left of the status word: the condition codes.
const CONDITIONS: u16 = 0x4700;

/// Brings the unit into host form, unless it is in that.
pub fn x87_to_doubles(cpu: &mut CpuState) {
    if cpu.host.x87_in_host != 0 {
        return;
    }
    cpu.host.x87_in_host = DOUBLES_IN_HOST;
    cpu.host.x87_extended = cpu.x87.regs;
    let shape = X87Shape::new(cpu.x87.top(), cpu.x87.tags);
    cpu.x87_shape = u32::from(shape.0) | rounding_bits(cpu.x87.control);
    cpu.x87.status &= CONDITIONS;
    for reg in &mut cpu.x87.regs {
        reg.significand = narrow(from_guest(*reg), Rounding::Nearest).0;
    }
}

/// Brings the unit back into the form that everybody else knows, from whichever host form it is in.
pub fn x87_from_host(cpu: &mut CpuState) {
    match cpu.host.x87_in_host {
        0 => {}
        EXACT_IN_HOST => x87_from_exact(cpu),
        _ => x87_from_doubles(cpu),
    }
}

/// The same where it may be in doubles.
pub fn x87_from_doubles(cpu: &mut CpuState) {
    if cpu.host.x87_in_host == 0 {
        return;
    }
    cpu.host.x87_in_host = 0;
    let shape = X87Shape(cpu.x87_shape as u16);
    cpu.x87.tags = shape.tags();
    cpu.x87.set_top(shape.top());
    for (reg, before) in cpu.x87.regs.iter_mut().zip(cpu.host.x87_extended) {
        let now = F64(reg.significand);
        *reg = if narrow(from_guest(before), Rounding::Nearest) == now { before } else { to_guest(widen(now)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::X87;
    use crate::key::CpuMode;

    #[test]
    fn the_unit_comes_back_as_it_was() {
        let mut cpu = CpuState::new(CpuMode::Long64);
        cpu.x87 = X87 { control: 0xf7f, status: 0x4500 | 5 << 11, tags: 0x21, ..X87::INIT };
        cpu.x87.regs[5] = to_guest(widen(F64(1.5f64.to_bits())));
        cpu.x87.regs[6].significand = 0x0123_4567_89ab_cdef;
        cpu.x87.regs[6].sign_exponent = 0xffff;
        let before = cpu.x87;
        x87_to_doubles(&mut cpu);
        assert_eq!((cpu.x87_shape, cpu.x87.status), (0x21 | 5 << 8 | 3 << 11, 0x4500));
        assert_eq!(cpu.x87.regs[5].significand, 1.5f64.to_bits());
        x87_from_doubles(&mut cpu);
        assert_eq!(cpu.x87, before);
        x87_to_doubles(&mut cpu);
        cpu.x87.regs[5].significand = (-2f64).to_bits();
        cpu.x87_shape = 1 << 6 | 6 << 8;
        x87_from_doubles(&mut cpu);
        assert_eq!((cpu.x87.top(), cpu.x87.tags), (6, 1 << 6));
        assert_eq!(from_guest(cpu.x87.regs[5]), widen(F64((-2f64).to_bits())));
    }
}
