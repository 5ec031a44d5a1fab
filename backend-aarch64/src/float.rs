//! SSE scalar floats in the host's registers.
//!
//! The host rounds by FPCR, which follows mxcsr. It flushes denormals to zero, so that FPSR tells of each: what raises another exception than the inexact
//! one goes to the runtime, which computes it anew, as x86 does, and sets mxcsr. So FPSR holds nothing else when an instruction starts, and the stubs
//! add its inexact bit to mxcsr. Where mxcsr is not as programs have it (exceptions masked, denormals kept), they set QC in FPSR: all goes to the
//! runtime then. Hosts that compute as x86 does need none of this: see [`crate::alternate`].

use hokku_ir::lowering::{FlagsCode, UpperBits};
use hokku_ir::{FpOp, FpRound, Op, Type, Upper, Value, Width};

use crate::access::Piece;
use crate::asm::{Cc, Label, Size};
use crate::assign::*;
use crate::conditions::{ALL, Sense};
use crate::immediate::bitmask;
use crate::integer::{Logic, Shift};
use crate::lower::Lowering;
use crate::pending::gives_zeros_above;
use crate::vector_values::VecLoc;

/// Bits of FPSR that tell of another way than the guest's processor's: any but the inexact exception.
const OTHER_WAY: u32 = !0x10;
/// Invalid operation.
pub(crate) const INVALID: u32 = 1;
/// Denormal operand.
pub(crate) const DENORMAL: u32 = 1 << 7;

/// What is to be known of an operation to say whether its result stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settling {
    /// Register that holds what FPSR was, of which the runtime's way is to know.
    pub(crate) before: Option<u8>,
    /// Bits of FPSR without which the result stands where the host computes as the guest.
    pub(crate) doubts: u32,
    /// How many operands, the first ones, are read after some of the result is written.
    pub(crate) late: usize,
}

/// Float instructions of two operands by their opcode. Source: Arm ARM, C4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    Mul = 0,
    Div = 1,
    Add = 2,
    Sub = 3,
    /// The guest's where the host computes as that does: see [`crate::alternate`].
    Max = 4,
    Min = 5,
}

/// NZCV after a comparison as a choice of flags: by its number less N, equal Z and C, greater C, unordered C and V.
const COMPARED: FlagsCode = FlagsCode { shift: 25, table: 0x40 << 48 | 0x45 << 24 | 0x01 };

fn double(ty: Type) -> bool {
    ty == Type::F64
}

impl Lowering<'_> {
    /// Goes to the label that it gives where what has just been computed is not what the guest's processor computes: whatever has raised more
    /// than the inexact exception. The stubs make that so, too, where mxcsr is not the usual one.
    fn check_exceptions(&mut self, bits: u32) -> Label {
        let slow = self.asm.label();
        if bits == OTHER_WAY {
            self.look_at_exceptions(slow, self.known_fpsr(), &|_| {});
        } else {
            self.look_at(bits, slow);
        }
        slow
    }

    /// Goes to `slow` where FPSR has one of `bits`. Keeps NZCV.
    fn look_at(&mut self, bits: u32, slow: Label) {
        self.asm.read_fpsr(SCRATCH);
        let bits = bitmask(Size::W, bits.into()).expect("bits in a row");
        self.asm.logic_bits(Logic::And, Size::W, SCRATCH, SCRATCH, bits);
        self.asm.cbnz(Size::W, SCRATCH, slow);
    }

    /// `fp_arith`.
    pub(crate) fn float_arith(&mut self, dst: Value, op: FpOp, ty: Type, a: Value, b: Value) {
        let (ra, rb) = (self.vec_reg(a), self.vec_reg(b));
        let is_alternate = self.has_alternate_floats();
        let d = self.scalar_dest(dst, Some(ra));
        let is_double = double(ty);
        let float = match op {
            FpOp::Add => Float::Add,
            FpOp::Sub => Float::Sub,
            FpOp::Mul => Float::Mul,
            FpOp::Div => Float::Div,
            FpOp::Min if is_alternate => Float::Min,
            FpOp::Max if is_alternate => Float::Max,
            FpOp::Min | FpOp::Max => {
                // The second operand for equal zeros and NaNs, which are invalid.
                self.asm.fp_compare(true, is_double, ra, rb);
                self.compared = None;
                self.asm.fp_select(is_double, d, ra, rb, if op == FpOp::Min { Cc::Mi } else { Cc::Gt });
                return self.settle(dst);
            }
        };
        self.asm.fp_two(float, is_double, d, ra, rb);
        self.settle(dst);
    }

    /// `fp_sqrt`.
    pub(crate) fn float_sqrt(&mut self, dst: Value, ty: Type, a: Value) {
        let ra = self.vec_reg(a);
        let d = self.scalar_dest(dst, None);
        self.asm.fp_sqrt(double(ty), d, ra);
        self.settle(dst);
    }

    /// `fp_convert`.
    pub(crate) fn float_convert(&mut self, dst: Value, from: Type, v: Value) {
        let r = self.vec_reg(v);
        let d = self.scalar_dest(dst, None);
        self.asm.fp_convert(double(from), d, r);
        self.settle(dst);
    }

    /// `int_to_fp`.
    pub(crate) fn int_to_float(&mut self, dst: Value, w: Width, ty: Type, v: Value) {
        let r = self.reg(v);
        let d = self.scalar_dest(dst, None);
        self.asm.int_to_fp(Size::of(w), double(ty), d, r);
        self.settle(dst);
    }

    /// `fp_to_int`.
    pub(crate) fn float_to_int(&mut self, dst: Value, ty: Type, w: Width, round: FpRound, v: Value) {
        let r = self.vec_reg(v);
        let t = self.vec_temp();
        let size = Size::of(w);
        let mut from = r;
        let mut before = None;
        if self.is_attempt() {
            if round == FpRound::Current {
                self.asm.fp_round(double(ty), t, r);
                from = t;
            }
            let d = self.dest(dst);
            self.asm.fp_to_int(size, double(ty), d, from);
            return self.define(dst, UpperBits::ZERO);
        }
        if round == FpRound::Current {
            // What does not fit 32 bits is not inexact as well.
            before = (double(ty) && w == Width::W32).then(|| self.note_exceptions());
            self.asm.fp_round(double(ty), t, r);
            from = t;
        }
        self.asm.fp_to_int(size, double(ty), TARGET, from);
        // Where the host computes as the guest, it is integers that do not fit.
        let slow = self.check_exceptions(if self.has_alternate_floats() { INVALID } else { OTHER_WAY });
        self.compared = None;
        let done = self.asm.label();
        self.outline(slow, |l| {
            if let Some(before) = before {
                l.asm.write_fpsr(before);
            }
            l.call_out_of_line();
            l.asm.load(Piece::X, TARGET, STATE, CALLOUT_RESULT);
            l.asm.b(done);
        });
        self.asm.bind(done);
        let d = self.dest(dst);
        self.asm.mov(size, d, TARGET);
        self.define(dst, UpperBits::ZERO);
    }

    /// `fp_compare_flags`: flags at their EFLAGS places, and in NZCV.
    pub(crate) fn float_compare(&mut self, dst: Value, ty: Type, signalling: bool, a: Value, b: Value) {
        let (ra, rb) = (self.vec_reg(a), self.vec_reg(b));
        self.reserve();
        let d = self.dest(dst);
        self.asm.fp_compare(signalling, double(ty), ra, rb);
        if self.is_attempt() || self.has_alternate_floats() {
            if self.is_flag_word_unread(dst) {
                self.asm.read_nzcv(d);
                self.values.encode(dst, COMPARED);
            } else {
                self.compared_flags(d);
            }
            self.define(dst, UpperBits::ZERO);
            return self.compared(dst, Sense::Float, ALL);
        }
        let slow = self.check_exceptions(OTHER_WAY);
        self.compared_flags(d);
        let done = self.asm.label();
        self.outline(slow, |l| {
            l.call_out_of_line();
            l.asm.load(Piece::X, d, STATE, CALLOUT_RESULT);
            // NZCV of the same flags: less N, equal Z and C, greater C, unordered C and V.
            let bit = |n: u32| bitmask(Size::W, 1 << n).unwrap_or(0);
            l.asm.ubfx(Size::W, SCRATCH, d, 2, 1);
            l.asm.lsl(Size::W, TARGET, SCRATCH, 28);
            // PF, ZF and CF to unordered, equal, less.
            l.asm.logic(Logic::Bic, Size::W, SCRATCH, d, SCRATCH);
            l.asm.bfi(Size::W, TARGET, SCRATCH, 31, 1);
            l.asm.ubfx(Size::W, SCRATCH, d, 6, 1);
            l.asm.logic_shifted(Logic::Bic, Size::W, SCRATCH, SCRATCH, d, Shift::Lsr, 2);
            l.asm.logic_bits(Logic::And, Size::W, SCRATCH, SCRATCH, bit(0));
            l.asm.bfi(Size::W, TARGET, SCRATCH, 30, 1);
            l.asm.lsr(Size::W, SCRATCH, TARGET, 31);
            l.asm.logic_bits(Logic::Eor, Size::W, SCRATCH, SCRATCH, bit(0));
            l.asm.bfi(Size::W, TARGET, SCRATCH, 29, 1);
            l.asm.write_nzcv(TARGET);
            l.asm.b(done);
        });
        self.asm.bind(done);
        self.define(dst, UpperBits::ZERO);
        self.compared(dst, Sense::Float, ALL);
    }

    /// Whether nobody reads flags `v` but conditions and recipes.
    fn is_flag_word_unread(&self, v: Value) -> bool {
        self.block.insts.iter().all(|i| {
            let mut reads = false;
            i.op.values(&mut |read| reads |= read == v);
            !reads || matches!(i.op, Op::SetFlags { .. } | Op::Condition { .. })
        })
    }

    /// `d` = the flags of a comparison, at their EFLAGS places.
    fn compared_flags(&mut self, d: u8) {
        // Less is CF, equal ZF, and unordered these and PF.
        self.asm.constant(SCRATCH, 0x40);
        self.asm.constant(TARGET, 0x45);
        self.asm.cset(d, Cc::Lt);
        self.asm.csel(Size::W, d, SCRATCH, d, Cc::Eq);
        self.asm.csel(Size::W, d, TARGET, d, Cc::Vs);
    }

    /// What FPSR is, in a register for [`Self::settle_from`].
    pub(crate) fn note_exceptions(&mut self) -> u8 {
        let t = self.temp();
        self.asm.read_fpsr(t);
        t
    }

    /// A register for the result `v`, none of an operand's: the operands and the guest's state are as they were if the result does not stand.
    pub(crate) fn float_dest(&mut self, v: Value) -> u8 {
        let op = self.plan.info(v).op;
        let fits = |ty: Type, upper: Upper| {
            ty == Type::V128 || ty == op.result_type() && upper == Upper::Zero128 && gives_zeros_above(&op)
        };
        self.placed_dest(v, false, fits).unwrap_or_else(|| self.own_temp(v))
    }

    /// The result `dst` of the op at hand stands, or the runtime computes it. That does not keep NZCV.
    pub(crate) fn settle(&mut self, dst: Value) {
        self.settle_from(dst, Settling::default());
    }

    /// As [`Self::settle`].
    pub(crate) fn settle_from(&mut self, dst: Value, Settling { before, doubts, .. }: Settling) {
        let is_alternate = self.has_alternate_floats();
        if self.is_attempt() || is_alternate && doubts == 0 {
            return;
        }
        let slow = self.check_exceptions(if is_alternate { doubts } else { OTHER_WAY });
        self.compared = None;
        let done = self.asm.label();
        let place = self.vectors.loc(dst);
        self.outline(slow, |l| {
            if let Some(before) = before {
                l.asm.write_fpsr(before);
            }
            l.call_out_of_line();
            match place {
                VecLoc::Temp(d) => l.asm.load(Piece::Q, d, STATE, CALLOUT_RESULT),
                VecLoc::Pair(low, high) => {
                    l.asm.load(Piece::Q, low, STATE, CALLOUT_RESULT);
                    l.asm.load(Piece::Q, high, STATE, CALLOUT_RESULT + 16);
                }
                place => debug_assert!(false, "a float in {place:?}"),
            }
            l.asm.b(done);
        });
        self.asm.bind(done);
    }
}
