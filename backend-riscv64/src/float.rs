//! SSE scalars: host instructions, and a look at what they gave; the rest is evaluated out of line.
//!
//! The host gathers inexact, underflow, overflow, division by zero and invalid operations as x86 does; the stubs add them to `mxcsr`. It does not tell of
//! denormal operands, and it makes other NaNs. So results that are NaN, and operands that are denormal, go to the evaluator; how that is found out once for
//! several ops stands in [`crate::float_runs`] and [`crate::float_looks`]. Blocks with such ops start with a look at `mxcsr`: where it asks for more than a
//! rounding mode, another version of the block runs, which evaluates them all.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{FpOp, FpRound, Num, Op, Type, Value, Width};

use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::lower::Lowering;
use crate::vector_moves::float_of_int;

/// What `fclass` tells of denormals.
pub(crate) const DENORMAL: i64 = 1 << 2 | 1 << 5;
/// The same and NaNs.
pub(crate) const DENORMAL_OR_NAN: i64 = DENORMAL | 1 << 8 | 1 << 9;
/// Rounding as `fcsr` says, and to zero.
pub(crate) const DYNAMIC: u32 = 7;
const TO_ZERO: u32 = 1;

/// An instruction of the floating-point extensions by its funct7, for single or double, with `rm` in its funct3.
pub(crate) fn fp(funct7: u32, is_double: bool, rm: u32, rd: Reg, rs1: Reg, rs2: u32) -> u32 {
    let format = u32::from(is_double);
    0x53 | u32::from(rd) << 7 | rm << 12 | u32::from(rs1) << 15 | rs2 << 20 | (funct7 | format) << 25
}

/// `fclass`.
pub(crate) fn fclass(is_double: bool, rd: Reg, f: Reg) -> u32 {
    fp(0x70, is_double, 1, rd, f, 0)
}

/// `fsgnj` of a register and itself: a copy.
pub(crate) fn copy_float(is_double: bool, rd: Reg, f: Reg) -> u32 {
    fp(0x10, is_double, 0, rd, f, f.into())
}

/// How two floats are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared {
    kind: Kind,
    /// Holds where that does not.
    is_opposite: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Equal,
    Less,
    LessOrEqual,
    /// Neither is NaN.
    Ordered,
}

impl Compared {
    /// By the number that x86's comparisons have as an operand, as far as those of SSE go.
    pub(crate) fn by(predicate: Num) -> Option<Compared> {
        let (kind, is_opposite) = match predicate.0 {
            0 => (Kind::Equal, false),
            1 => (Kind::Less, false),
            2 => (Kind::LessOrEqual, false),
            3 => (Kind::Ordered, true),
            4 => (Kind::Equal, true),
            5 => (Kind::Less, true),
            6 => (Kind::LessOrEqual, true),
            7 => (Kind::Ordered, false),
            _ => return None,
        };
        Some(Compared { kind, is_opposite })
    }
}

impl Lowering<'_> {
    /// Those of `operands` of which nobody can tell whether they are denormal.
    pub(crate) fn untold(&self, operands: &[Reg]) -> Vec<Reg> {
        let mut untold = Vec::new();
        for f in operands {
            if self.wide.told & 1 << f == 0 && !untold.contains(f) {
                untold.push(*f);
            }
        }
        untold
    }

    /// Goes out of line where a register in `floats` is of one of the classes in `mask`.
    fn unless_class(&mut self, slow: &OutOfLine, floats: &[Reg], is_double: bool, mask: i64) {
        let Some((first, others)) = floats.split_first() else { return };
        self.asm.word(fclass(is_double, SCRATCH, *first));
        for f in others {
            self.asm.word(fclass(is_double, RA, *f));
            self.asm.r(OR, SCRATCH, SCRATCH, RA);
        }
        self.asm.i(ANDI, SCRATCH, SCRATCH, mask as i32);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
    }

    pub(crate) fn fp_arith(&mut self, dst: Value, op: Op, kind: FpOp, ty: Type, a: Value, b: Value) {
        let funct7 = match kind {
            FpOp::Add => 0,
            FpOp::Sub => 4,
            FpOp::Mul => 8,
            FpOp::Div => 12,
            FpOp::Min | FpOp::Max => return self.fp_choice(dst, op, kind == FpOp::Max, ty, a, b),
        };
        self.make_room_in_run(&[a, b]);
        let (fa, fb) = (self.unseen_float(a), self.unseen_float(b));
        let d = self.float_result(dst);
        self.start_run();
        self.asm.word(fp(funct7, ty == Type::F64, DYNAMIC, d, fa, fb.into()));
        self.join_run(op, &[fa, fb], ty, Some((d, ty)));
    }

    /// The smaller or the larger; the second of zeros, and where one is NaN.
    fn fp_choice(&mut self, dst: Value, op: Op, is_max: bool, ty: Type, a: Value, b: Value) {
        let (fa, fb) = (self.float(a), self.float(b));
        let d = self.float_result(dst);
        let slow = self.out_of_line_wide(op);
        let is_double = ty == Type::F64;
        let untold = self.untold(&[fa, fb]);
        self.unless_class(&slow, &untold, is_double, DENORMAL);
        let (less, more) = if is_max { (fb, fa) } else { (fa, fb) };
        self.asm.word(fp(0x50, is_double, 1, SCRATCH, less, more.into()));
        self.asm.word(copy_float(is_double, d, fa));
        let chosen = self.asm.label();
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, chosen);
        self.asm.word(copy_float(is_double, d, fb));
        self.asm.bind(chosen);
        self.out_of_line_ends_at(slow, crate::places::Place::Float(d), ty);
    }

    pub(crate) fn fp_sqrt(&mut self, dst: Value, op: Op, ty: Type, a: Value) {
        self.make_room_in_run(&[a]);
        let fa = self.unseen_float(a);
        let d = self.float_result(dst);
        self.start_run();
        self.asm.word(fp(0x2c, ty == Type::F64, DYNAMIC, d, fa, 0));
        self.join_run(op, &[fa], ty, Some((d, ty)));
    }

    pub(crate) fn fp_convert(&mut self, dst: Value, op: Op, from: Type, to: Type, v: Value) {
        self.make_room_in_run(&[v]);
        let fa = self.unseen_float(v);
        let d = self.float_result(dst);
        self.start_run();
        // The other format's number stands where a second operand would.
        self.asm.word(fp(0x20, to == Type::F64, DYNAMIC, d, fa, u32::from(from == Type::F64)));
        self.join_run(op, &[fa], from, Some((d, to)));
    }

    pub(crate) fn int_to_fp(&mut self, dst: Value, w: Width, ty: Type, v: Value) {
        let r = self.sign_extended(v);
        if w != Width::W32 || ty != Type::F64 {
            // It may be inexact: a run that is done again does not do this again.
            self.end_run();
        }
        let d = self.float_result(dst);
        self.wide.told |= 1 << d;
        let kind = if w == Width::W64 { 2 } else { 0 };
        self.asm.word(fp(0x68, ty == Type::F64, DYNAMIC, d, r, kind));
    }

    pub(crate) fn fp_to_int(&mut self, dst: Value, op: Op, ty: Type, w: Width, round: FpRound, v: Value) {
        // Registers are found before the first branch: what is moved for them is moved on either way.
        let f = self.float(v);
        let slow = self.out_of_line_wide(op);
        let d = self.result(dst);
        let rm = if round == FpRound::Truncate { TO_ZERO } else { DYNAMIC };
        let is_wide = w == Width::W64;
        // What is too large, and NaN, gives the largest integer; what is too small gives x86's own answer.
        self.asm.word(fp(0x60, ty == Type::F64, rm, SCRATCH, f, if is_wide { 2 } else { 0 }));
        self.asm.i(if is_wide { ADDI } else { ADDIW }, RA, SCRATCH, 1);
        self.asm.branch(Branch::Lt, RA, SCRATCH, slow.label);
        self.asm.mv(d, SCRATCH);
        self.done(dst, if is_wide { UpperBits::BOTH } else { UpperBits::SIGN });
        self.out_of_line_ends(slow, Some((d, (!is_wide).then_some(w))));
    }

    pub(crate) fn fp_compare_flags(&mut self, dst: Value, op: Op, ty: Type, a: Value, b: Value) {
        self.make_room_in_run(&[a, b]);
        let (fa, fb) = (self.unseen_float(a), self.unseen_float(b));
        let t = self.temp();
        let is_double = ty == Type::F64;
        let (less, less_or_equal, equal) = (1, 0, 2);
        // Comparing NaNs signals, which is taken back where exceptions are looked at.
        if self.wide.run.looks.is_some() {
            self.asm.word(fp(0x50, is_double, less, t, fa, fb.into()));
            self.asm.word(fp(0x50, is_double, equal, SCRATCH, fa, fb.into()));
            self.asm.i(SLLI, SCRATCH, SCRATCH, 6);
            self.asm.r(OR, t, t, SCRATCH);
            self.values.own(t, dst);
            self.join_run(op, &[fa, fb], ty, None);
            return self.end_run_with(&[fa, fb], is_double, t);
        }
        self.end_run();
        let slow = self.out_of_line_wide(op);
        let is_told = self.untold(&[fa, fb]).is_empty();
        if is_told && matches!(op, Op::FpCompareFlags { signalling: hokku_ir::Flag(true), .. }) {
            // Neither is less than or equal to the other: one is NaN.
            self.asm.word(fp(0x50, is_double, less_or_equal, t, fb, fa.into()));
            self.asm.word(fp(0x50, is_double, less_or_equal, SCRATCH, fa, fb.into()));
            self.asm.r(OR, RA, t, SCRATCH);
            self.asm.branch(Branch::Eq, RA, ZERO, slow.label);
            self.asm.r(AND, SCRATCH, SCRATCH, t);
            self.asm.i(XORI, t, t, 1);
        } else {
            self.unless_class(&slow, &[fa, fb], is_double, DENORMAL_OR_NAN);
            self.asm.word(fp(0x50, is_double, less, t, fa, fb.into()));
            self.asm.word(fp(0x50, is_double, equal, SCRATCH, fa, fb.into()));
        }
        // CF and ZF.
        self.asm.i(SLLI, SCRATCH, SCRATCH, 6);
        self.asm.r(OR, t, t, SCRATCH);
        self.values.own(t, dst);
        self.out_of_line_ends(slow, Some((t, None)));
    }

    /// `d` = all ones where `compared` holds of `a` and `b`, else zero. Changes x1.
    pub(crate) fn compare_floats(&mut self, d: Reg, compared: Compared, is_double: bool, a: Reg, b: Reg) {
        let (less, less_or_equal, equal) = (1, 0, 2);
        match compared.kind {
            Kind::Equal => self.asm.word(fp(0x50, is_double, equal, d, a, b.into())),
            Kind::Less => self.asm.word(fp(0x50, is_double, less, d, a, b.into())),
            Kind::LessOrEqual => self.asm.word(fp(0x50, is_double, less_or_equal, d, a, b.into())),
            Kind::Ordered => {
                self.asm.word(fp(0x50, is_double, equal, d, a, a.into()));
                self.asm.word(fp(0x50, is_double, equal, RA, b, b.into()));
                self.asm.r(AND, d, d, RA);
            }
        }
        if compared.is_opposite {
            self.asm.i(ADDI, d, d, -1);
        } else {
            self.asm.r(SUB, d, ZERO, d);
        }
    }

    /// A mask of one lane.
    pub(crate) fn fp_compare_mask(&mut self, dst: Value, op: Op, ty: Type, predicate: Num, a: Value, b: Value) {
        let Some(compared) = Compared::by(predicate) else { return self.callout(dst, op) };
        let (fa, fb) = (self.float(a), self.float(b));
        let d = self.float_result(dst);
        let slow = self.out_of_line_wide(op);
        let is_double = ty == Type::F64;
        let untold = self.untold(&[fa, fb]);
        self.unless_class(&slow, &untold, is_double, DENORMAL);
        // A mask is no denormal: zero, or NaN.
        self.wide.told |= 1 << d;
        self.compare_floats(SCRATCH, compared, is_double, fa, fb);
        self.asm.word(float_of_int(!is_double, d, SCRATCH));
        self.out_of_line_ends_at(slow, crate::places::Place::Float(d), ty);
    }
}
