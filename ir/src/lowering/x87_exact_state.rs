//! What exact x87 code does around its ops: the state is brought up to date before slow code, and what may differ behind it; zeros; the status word.

use super::x87_asm::{X87Alu, X87Asm, X87If, X87Imm, X87Part};
use super::x87_stack::{X87Late, X87Stack};
use crate::offsets::{X87_INSTRUCTION, X87_SHAPE, X87_STATUS, X87_TAGS};

/// What a zero is converted to, in the registers that the code has for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum X87Zero {
    /// Bits, whose uppermost one is bit `sign`, to a value.
    Load {
        /// The bits.
        bits: u8,
        /// Number of the uppermost.
        sign: i32,
        /// The value.
        to: (u8, u8),
        /// Changes.
        t: u8,
    },
    /// An extended value, its upper bits sign-extended, to the word of one in host form.
    LoadExtended {
        /// Significand and upper bits.
        from: (u8, u8),
        /// The word.
        to: u8,
        /// Changes.
        t: u8,
    },
    /// A value to such bits; what tells of rounding is zero.
    Store {
        /// The value.
        from: (u8, u8),
        /// Number of the uppermost bit.
        sign: i32,
        /// The bits.
        bits: u8,
        /// Whether it is rounded up, and at all.
        rounding: [u8; 2],
    },
}

/// Writes what the state does not have of `stack`, with the registers `t`.
pub fn x87_write_exact<A: X87Asm>(asm: &mut A, stack: &X87Stack, [t, u]: [u8; 2], zero: u8) {
    let late = stack.late().unwrap_or_default();
    let shape = u64::from(stack.shape.0);
    let is_known = stack.is_nearest;
    let over = asm.x87_label();
    if !is_known {
        if !stack.is_late() && late == X87Late::default() {
            return;
        }
        // Where an exception is not masked, the state is up to date.
        asm.x87_load(X87Part::Half, t, X87_SHAPE);
        asm.x87_imm(X87Imm::ShiftRight, t, t, 11);
        asm.x87_imm(X87Imm::ShiftRight, u, t, 4);
        asm.x87_branch(X87If::NotEqual, u, zero, over);
        asm.x87_imm(X87Imm::ShiftLeft, t, t, 11);
        asm.x87_constant(u, shape);
        asm.x87_op(X87Alu::Or, t, t, u);
        asm.x87_store(X87Part::Half, t, X87_SHAPE);
        if late.clears_c1 {
            asm.x87_store(X87Part::Byte, zero, X87_SHAPE + 2);
        }
    } else if stack.is_late() {
        asm.x87_constant(t, shape);
        asm.x87_store(if late.clears_c1 { X87Part::Word } else { X87Part::Half }, t, X87_SHAPE);
    } else if late.clears_c1 {
        asm.x87_store(X87Part::Byte, zero, X87_SHAPE + 2);
    }
    if let Some(pc) = late.instruction {
        asm.x87_constant(t, pc.0);
        asm.x87_store(X87Part::Long, t, X87_INSTRUCTION);
    }
    asm.x87_bind(over);
}

/// After the slow code of `slow`: what code that goes on relies on.
pub fn x87_come_back<A: X87Asm>(asm: &mut A, stack: &X87Stack, [t, u]: [u8; 2]) {
    if let Some(written) = stack.written() {
        if written != stack.shape {
            asm.x87_constant(t, written.0.into());
            asm.x87_store(X87Part::Half, t, X87_SHAPE);
        }
        return;
    }
    // An exception that is not masked may have left the stack as it was: the state is what counts from then on.
    let same = asm.x87_label();
    asm.x87_load(X87Part::Half, t, X87_SHAPE);
    asm.x87_imm(X87Imm::ShiftLeft, t, t, 53);
    asm.x87_constant(u, u64::from(stack.shape.0) << 53);
    asm.x87_branch(X87If::Equal, t, u, same);
    asm.x87_load(X87Part::Half, t, X87_SHAPE);
    asm.x87_constant(u, 1 << 15);
    asm.x87_op(X87Alu::Or, t, t, u);
    asm.x87_store(X87Part::Half, t, X87_SHAPE);
    asm.x87_bind(same);
}

/// Converts a zero; goes to `refused` where it is none.
pub fn x87_zero<A: X87Asm>(asm: &mut A, zero: X87Zero, none: u8, refused: A::Label) {
    match zero {
        X87Zero::Load { bits, sign, to, t } => {
            asm.x87_imm(X87Imm::ShiftLeft, t, bits, 64 - sign);
            asm.x87_branch(X87If::NotEqual, t, none, refused);
            asm.x87_constant(to.0, 0);
            asm.x87_imm(X87Imm::ShiftLeft, to.1, bits, 63 - sign);
        }
        X87Zero::LoadExtended { from, to, t } => {
            asm.x87_imm(X87Imm::ShiftLeft, t, from.1, 49);
            asm.x87_op(X87Alu::Or, t, t, from.0);
            asm.x87_branch(X87If::NotEqual, t, none, refused);
            asm.x87_sign(to, from.1);
        }
        X87Zero::Store { from, sign, bits, rounding: [up, rest] } => {
            asm.x87_imm(X87Imm::ShiftLeft, up, from.1, 1);
            asm.x87_op(X87Alu::Or, up, up, from.0);
            asm.x87_branch(X87If::NotEqual, up, none, refused);
            asm.x87_imm(X87Imm::ShiftRight, bits, from.1, 63 - sign);
            asm.x87_constant(rest, 0);
        }
    }
}

/// `d` = the status word; what the stack tells of it, if that is known, from there.
pub fn x87_status<A: X87Asm>(asm: &mut A, d: u8, [t, u]: [u8; 2], zero: u8, stack: Option<&X87Stack>) {
    let stack = stack.filter(|stack| stack.is_nearest);
    asm.x87_load(X87Part::Half, d, X87_STATUS);
    match stack {
        Some(stack) if stack.shape.top() != 0 => asm.x87_constant(u, u64::from(stack.shape.top()) << 11),
        Some(_) => {}
        None => {
            asm.x87_load(X87Part::Half, u, X87_SHAPE);
            asm.x87_field(u, u, 8, 3);
            asm.x87_imm(X87Imm::ShiftLeft, u, u, 11);
        }
    }
    if stack.is_none_or(|stack| stack.shape.top() != 0) {
        asm.x87_op(X87Alu::Or, d, d, u);
    }
    if stack.and_then(X87Stack::late).is_none_or(|late| !late.clears_c1) {
        asm.x87_load(X87Part::Byte, t, X87_SHAPE + 2);
        asm.x87_imm(X87Imm::ShiftLeft, t, t, 9);
        asm.x87_op(X87Alu::Or, d, d, t);
    }
    asm.x87_load(X87Part::Half, t, X87_TAGS);
    asm.x87_op(X87Alu::Below, t, zero, t);
    asm.x87_imm(X87Imm::ShiftLeft, t, t, 5);
    asm.x87_op(X87Alu::Or, d, d, t);
}
