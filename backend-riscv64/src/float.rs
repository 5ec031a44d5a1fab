//! SSE scalars: host instructions on ordinary numbers while `mxcsr` asks for nothing that the host has not; the rest is evaluated out of line.
//!
//! Values are in memory. Operands that are infinite, NaN or denormal, results that are NaN, and modes other than a rounding of one's own with all
//! exceptions masked go to the evaluator: so flags and NaNs are exact. The host gathers inexact, underflow, overflow and division by zero; the stubs
//! add them to `mxcsr`.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{FpOp, FpRound, Op, Type, Value, Width};

use crate::assign::{FLOAT_IS_ODD, RA, SCRATCH, STATE};
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::lower::Lowering;

/// Host registers for operands and results.
const A: Reg = 0;
const B: Reg = 1;
const D: Reg = 2;
/// What `fclass` tells of infinities, denormals and NaNs.
const NOT_ORDINARY: i64 = 1 | 1 << 2 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9;
/// The same without infinities.
const NOT_ORDERED: i64 = 1 << 2 | 1 << 5 | 1 << 8 | 1 << 9;
/// Rounding as `fcsr` says, and to zero.
const DYNAMIC: u32 = 7;
const TO_ZERO: u32 = 1;

/// An instruction of the floating-point extensions by its funct7, for single or double, with `rm` in its funct3.
fn fp(funct7: u32, is_double: bool, rm: u32, rd: Reg, rs1: Reg, rs2: u32) -> u32 {
    let format = u32::from(is_double);
    0x53 | u32::from(rd) << 7 | rm << 12 | u32::from(rs1) << 15 | rs2 << 20 | (funct7 | format) << 25
}

impl Lowering<'_> {
    fn load_float(&mut self, f: Reg, v: Value, ty: Type) {
        let offset = self.offset_of(v);
        self.asm.i(if ty == Type::F64 { FLD } else { FLW }, f, STATE, offset);
    }

    fn store_float(&mut self, offset: i32, f: Reg, ty: Type) {
        self.asm.s(if ty == Type::F64 { FSD } else { FSW }, f, STATE, offset);
    }

    /// Starts a float op: odd modes go out of line.
    fn float_op(&mut self, op: Op) -> OutOfLine {
        let slow = self.out_of_line_wide(op);
        self.unless_odd(&slow);
        slow
    }

    fn unless_odd(&mut self, slow: &OutOfLine) {
        self.asm.i(LWU, SCRATCH, STATE, FLOAT_IS_ODD);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
    }

    /// Goes out of line where a register in `floats` is of one of the classes in `mask`.
    fn unless_class(&mut self, slow: &OutOfLine, floats: &[Reg], ty: Type, mask: i64) {
        let is_double = ty == Type::F64;
        self.asm.word(fp(0x70, is_double, 1, SCRATCH, floats[0], 0));
        for f in &floats[1..] {
            self.asm.word(fp(0x70, is_double, 1, RA, *f, 0));
            self.asm.r(OR, SCRATCH, SCRATCH, RA);
        }
        self.asm.i(ANDI, SCRATCH, SCRATCH, mask as i32);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
    }

    /// Goes out of line where the result is NaN.
    fn unless_nan(&mut self, slow: &OutOfLine, ty: Type) {
        // feq.
        self.asm.word(fp(0x50, ty == Type::F64, 2, SCRATCH, D, D.into()));
        self.asm.branch(Branch::Eq, SCRATCH, ZERO, slow.label);
    }

    fn float_result(&mut self, dst: Value, slow: OutOfLine, ty: Type) {
        let offset = self.wide_result(dst, ty);
        self.store_float(offset, D, ty);
        self.out_of_line_ends_wide(slow, offset, 1);
    }

    pub(crate) fn fp_arith(&mut self, dst: Value, op: Op, kind: FpOp, ty: Type, a: Value, b: Value) {
        let funct7 = match kind {
            FpOp::Add => 0,
            FpOp::Sub => 4,
            FpOp::Mul => 8,
            FpOp::Div => 12,
            FpOp::Min | FpOp::Max => return self.callout(dst, op),
        };
        let slow = self.float_op(op);
        self.load_float(A, a, ty);
        self.load_float(B, b, ty);
        self.unless_class(&slow, &[A, B], ty, NOT_ORDINARY);
        self.asm.word(fp(funct7, ty == Type::F64, DYNAMIC, D, A, B.into()));
        if kind == FpOp::Div {
            // Zero by zero.
            self.unless_nan(&slow, ty);
        }
        self.float_result(dst, slow, ty);
    }

    pub(crate) fn fp_sqrt(&mut self, dst: Value, op: Op, ty: Type, a: Value) {
        let slow = self.float_op(op);
        self.load_float(A, a, ty);
        self.unless_class(&slow, &[A], ty, NOT_ORDINARY);
        self.asm.word(fp(0x2c, ty == Type::F64, DYNAMIC, D, A, 0));
        self.unless_nan(&slow, ty);
        self.float_result(dst, slow, ty);
    }

    pub(crate) fn fp_convert(&mut self, dst: Value, op: Op, from: Type, to: Type, v: Value) {
        let slow = self.float_op(op);
        self.load_float(A, v, from);
        self.unless_class(&slow, &[A], from, NOT_ORDINARY);
        // The other format's number stands where a second operand would.
        self.asm.word(fp(0x20, to == Type::F64, DYNAMIC, D, A, u32::from(from == Type::F64)));
        self.float_result(dst, slow, to);
    }

    pub(crate) fn int_to_fp(&mut self, dst: Value, op: Op, w: Width, ty: Type, v: Value) {
        let r = self.sign_extended(v);
        let slow = self.float_op(op);
        let kind = if w == Width::W64 { 2 } else { 0 };
        self.asm.word(fp(0x68, ty == Type::F64, DYNAMIC, D, r, kind));
        self.float_result(dst, slow, ty);
    }

    pub(crate) fn fp_to_int(&mut self, dst: Value, op: Op, ty: Type, w: Width, round: FpRound, v: Value) {
        // Registers are found before the first branch: what is moved for them is moved on either way.
        let slow = self.out_of_line_wide(op);
        let d = self.result(dst);
        self.unless_odd(&slow);
        self.load_float(A, v, ty);
        self.unless_class(&slow, &[A], ty, NOT_ORDINARY);
        let rm = if round == FpRound::Truncate { TO_ZERO } else { DYNAMIC };
        // The bits of A tell whether it is small enough for a signed 64-bit integer: its exponent is less than 62.
        let is_double = ty == Type::F64;
        self.asm.word(fp(0x70, is_double, 0, RA, A, 0));
        let (bits, mantissa, bias) = if is_double { (11, 52, 1023) } else { (8, 23, 127) };
        self.asm.i(SLLI, RA, RA, 64 - bits - mantissa);
        self.asm.i(SRLI, RA, RA, 64 - bits);
        let limit = if w == Width::W64 { 62 } else { 30 };
        self.asm.i(ADDI, RA, RA, -(bias + limit));
        self.asm.branch(Branch::Ge, RA, ZERO, slow.label);
        self.asm.word(fp(0x60, is_double, rm, d, A, 2));
        self.done(dst, if w == Width::W64 { UpperBits::BOTH } else { UpperBits::SIGN });
        self.out_of_line_ends(slow, Some((d, (w == Width::W32).then_some(w))));
    }

    pub(crate) fn fp_compare_flags(&mut self, dst: Value, op: Op, ty: Type, a: Value, b: Value) {
        let slow = self.out_of_line_wide(op);
        let t = self.temp();
        self.unless_odd(&slow);
        self.load_float(A, a, ty);
        self.load_float(B, b, ty);
        self.unless_class(&slow, &[A, B], ty, NOT_ORDERED);
        let is_double = ty == Type::F64;
        // flt is CF, feq ZF.
        self.asm.word(fp(0x50, is_double, 1, t, A, B.into()));
        self.asm.word(fp(0x50, is_double, 2, SCRATCH, A, B.into()));
        self.asm.i(SLLI, SCRATCH, SCRATCH, 6);
        self.asm.r(OR, t, t, SCRATCH);
        self.values.own(t, dst);
        self.out_of_line_ends(slow, Some((t, None)));
    }
}
