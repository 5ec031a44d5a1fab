//! Packed floats: arithmetic, comparisons, conversions, roundings, fused multiply-adds, and the scalar kin of the last three.
//!
//! As in `float`, what raises more than the inexact exception goes to the runtime. Instructions that quietly pass on other NaNs than the guest's are
//! followed by a signalling comparison of their result. A product that is added to a denormal may be inexact where the whole is not: the runtime takes
//! over the exceptions as they were before.

use hokku_ir::{FmaOp, FpOp, Type, Value, VecBin, VecUn};

use crate::asm::{Asm, Size};
use crate::assign::{SCRATCH, TARGET};
use crate::float::{DENORMAL, INVALID, Settling};
use crate::lanes::Regs;
use crate::lower::Lowering;
use crate::simd::{One, Same};

/// The float operation that `op` is, and whether its lanes are doubles. `ADDSUB*` is none.
fn float_operation(op: VecBin) -> Option<(FpOp, bool)> {
    use VecBin::*;
    Some(match op {
        AddPs => (FpOp::Add, false),
        AddPd => (FpOp::Add, true),
        SubPs => (FpOp::Sub, false),
        SubPd => (FpOp::Sub, true),
        MulPs => (FpOp::Mul, false),
        MulPd => (FpOp::Mul, true),
        DivPs => (FpOp::Div, false),
        DivPd => (FpOp::Div, true),
        MinPs => (FpOp::Min, false),
        MinPd => (FpOp::Min, true),
        MaxPs => (FpOp::Max, false),
        MaxPd => (FpOp::Max, true),
        _ => return None,
    })
}

/// How a comparison by a predicate of `CMPPS` is made.
#[derive(Clone, Copy)]
enum Comparison {
    /// By this instruction (size 2 or 3 where so marked) of the operands, exchanged or not.
    One { same: Same, high_size: bool, exchanged: bool },
    /// Both are numbers.
    Ordered,
}

/// The comparison for predicate `imm` and whether its result is to be inverted; `None` for those that the runtime makes. Those that signal
/// where the guest's does not are right: they signal to the runtime.
fn comparison(imm: u8) -> Option<(Comparison, bool)> {
    let one = |same, high_size, exchanged| Comparison::One { same, high_size, exchanged };
    Some(match imm & 31 {
        0 => (one(Same::FCMEQ, false, true), false),
        4 => (one(Same::FCMEQ, false, true), true),
        3 => (Comparison::Ordered, true),
        7 => (Comparison::Ordered, false),
        n => match n & 15 {
            1 => (one(Same::FCMGT, true, true), false),
            2 => (one(Same::FCMGE, false, true), false),
            5 => (one(Same::FCMGT, true, true), true),
            6 => (one(Same::FCMGE, false, true), true),
            9 => (one(Same::FCMGE, false, false), true),
            10 => (one(Same::FCMGT, true, false), true),
            13 => (one(Same::FCMGE, false, false), false),
            14 => (one(Same::FCMGT, true, false), false),
            _ => return None,
        },
    })
}

/// Exceptions with which the comparison `how` for predicate `imm` is not the guest's where the host computes as that.
fn comparison_doubts(how: Comparison, imm: u8) -> u32 {
    match how {
        // Of each operand by itself, where the other one may be a NaN.
        Comparison::Ordered => DENORMAL,
        // Quiet ones, by instructions that signal.
        Comparison::One { same, .. } if same != Same::FCMEQ && imm & 16 != 0 => INVALID,
        Comparison::One { .. } => 0,
    }
}

/// The rounding instruction for the immediate `mode` of `ROUNDPS`, and its size's upper bit and scalar number; `None` for those that the runtime does:
/// with a rounding of their own and an inexact exception.
fn rounding(mode: u8) -> Option<(One, bool, u32)> {
    Some(match mode & 15 {
        4..=7 => (One::FRINTX, false, 6),
        8 => (One::FRINTN, false, 0),
        9 => (One::FRINTM, false, 2),
        10 => (One::FRINTP, true, 1),
        11 => (One::FRINTZ, true, 3),
        12..=15 => (One::FRINTI, true, 7),
        _ => return None,
    })
}

/// The size of a float instruction: bit 0 for doubles, bit 1 is part of the opcode.
fn size(double: bool, high: bool) -> u8 {
    u8::from(double) | u8::from(high) << 1
}

impl Asm {
    fn float_lanes(&mut self, op: FpOp, double: bool, is_alternate: bool, Regs { d, a, b, .. }: Regs) {
        let low = size(double, false);
        let high = size(double, true);
        match op {
            FpOp::Add => self.same(Same::FADD, true, low, d, a, b),
            FpOp::Sub => self.same(Same::FSUB, true, high, d, a, b),
            FpOp::Mul => self.same(Same::FMUL, true, low, d, a, b),
            FpOp::Div => self.same(Same::FDIV, true, low, d, a, b),
            FpOp::Min if is_alternate => self.same(Same::FMIN, true, high, d, a, b),
            FpOp::Max if is_alternate => self.same(Same::FMAX, true, low, d, a, b),
            FpOp::Min | FpOp::Max => {
                // The second operand for equal zeros and NaNs, which are invalid.
                let (n, m) = if op == FpOp::Min { (b, a) } else { (a, b) };
                self.same(Same::FCMGT, true, high, d, n, m);
                self.same(Same::EOR, true, 1, d, a, b);
            }
        }
    }

    /// Of all lanes, or of the lowest one where `scalar`.
    fn compare_lanes(&mut self, comparison: (Comparison, bool), double: bool, scalar: bool, regs: Regs) {
        let Regs { d, a, b, t, .. } = regs;
        let mut compare = |same: Same, high: bool, d: u8, n: u8, m: u8| {
            let size = size(double, high);
            if scalar { self.same_scalar(same, size, d, n, m) } else { self.same(same, true, size, d, n, m) }
        };
        match comparison.0 {
            Comparison::One { same, high_size, exchanged: true } => compare(same, high_size, d, b, a),
            Comparison::One { same, high_size, .. } => compare(same, high_size, d, a, b),
            Comparison::Ordered => {
                compare(Same::FCMEQ, false, d, a, a);
                compare(Same::FCMEQ, false, t, b, b);
                self.same(Same::LOGIC, true, 0, d, d, t);
            }
        }
        if comparison.1 {
            self.one(One::NOT, true, 0, d, d);
        }
    }

    /// `±(a * b) ± c` in `d`, and an invalid operation where that is no number unless the host computes as the guest; the second scratch register
    /// changes.
    fn multiply_add_lanes(&mut self, op: FmaOp, double: bool, is_alternate: bool, d: u8, [a, b, c]: [u8; 3], t: u8) {
        let sign = |asm: &mut Asm| asm.one(One::FNEG, true, size(double, true), d, c);
        match op {
            FmaOp::Add | FmaOp::NegAdd => self.vec_mov(d, c),
            FmaOp::Sub | FmaOp::NegSub => sign(self),
            FmaOp::AddSub | FmaOp::SubAdd if is_alternate => {
                // Keeps NaNs, as the others do.
                self.one(One::FNEG, true, size(double, true), t, c);
                self.vec_mov(d, c);
                let first = u8::from(op == FmaOp::SubAdd);
                let (log2, lanes) = if double { (3, 2) } else { (2, 4) };
                (0..lanes).filter(|lane| lane & 1 == first).for_each(|lane| self.vec_insert(log2, d, lane, t, lane));
            }
            FmaOp::AddSub | FmaOp::SubAdd => {
                // Signs of the lanes that are subtracted.
                let lane = if double { 63 } else { 31 };
                let odd = op == FmaOp::SubAdd;
                self.vec_fill(t, true);
                self.shift_left(true, lane + 1, t, t, lane);
                if double {
                    self.vec_fill(d, false);
                    if odd { self.vec_insert(3, t, 0, d, 0) } else { self.vec_insert(3, t, 1, d, 0) }
                } else if odd {
                    self.shift_right(false, true, 64, t, t, 63);
                    self.shift_left(true, 64, t, t, 63);
                } else {
                    self.shift_right(false, true, 64, t, t, 32);
                }
                self.same(Same::EOR, true, 0, d, c, t);
            }
        }
        match op {
            FmaOp::NegAdd | FmaOp::NegSub => self.same(Same::FMLS, true, size(double, true), d, a, b),
            _ => self.same(Same::FMLA, true, size(double, false), d, a, b),
        }
        if !is_alternate {
            self.same(Same::FCMGE, true, size(double, false), t, d, d);
        }
    }

    /// The two doubles of `a` to words in the low half of `d`, zeros above.
    fn doubles_to_words(&mut self, d: u8, a: u8, t: u8) {
        self.fp_to_int(Size::W, true, SCRATCH, a);
        self.broadcast_lane(3, t, a, 1);
        self.fp_to_int(Size::W, true, TARGET, t);
        self.gpr_to_fp(2, d, SCRATCH);
        self.gpr_to_lane(2, d, 1, TARGET);
    }

    /// A conversion or root; in `high`, a widening one of the upper lanes. `d` is not `a`.
    fn convert_lanes(&mut self, op: VecUn, high: bool, d: u8, a: u8, t: u8) {
        use VecUn::*;
        match op {
            SqrtPs => self.one(One::FSQRT, true, 2, d, a),
            SqrtPd => self.one(One::FSQRT, true, 3, d, a),
            CvtDq2Ps => self.one(One::SCVTF, true, 0, d, a),
            CvtPs2Dq => {
                self.one(One::FRINTX, true, 0, t, a);
                self.one(One::FCVTZS, true, 2, d, t);
            }
            CvttPs2Dq => self.one(One::FCVTZS, true, 2, d, a),
            CvtDq2Pd => {
                self.extend_lanes(true, high, 2, t, a);
                self.one(One::SCVTF, true, 1, d, t);
            }
            CvtPs2Pd => self.one(One::FCVTL, high, 1, d, a),
            CvtPd2Ps => self.one(One::FCVTN, false, 1, d, a),
            CvtPd2Dq => {
                self.one(One::FRINTX, true, 1, t, a);
                self.doubles_to_words(d, t, t);
            }
            _ => self.doubles_to_words(d, a, t),
        }
    }
}

impl Lowering<'_> {
    /// The float ones among `vec_binary`. False where the runtime must do it.
    pub(crate) fn packed_arith(&mut self, dst: Value, op: VecBin, ty: Type, a: Value, b: Value) -> bool {
        let Some((op, double)) = float_operation(op).filter(|_| ty != Type::V64) else { return false };
        let is_alternate = self.has_alternate_floats();
        self.float_halves(dst, ty, [a, b, b], |asm, d, [a, b, _], [t, u]| {
            asm.float_lanes(op, double, is_alternate, Regs { d, a, b, t, u });
        });
        true
    }

    /// The conversions and roots among `vec_unary`. False where the runtime must do it.
    pub(crate) fn packed_convert(&mut self, dst: Value, op: VecUn, ty: Type, a: Value) -> bool {
        use VecUn::*;
        let is_native = matches!(
            op,
            SqrtPs | SqrtPd | CvtDq2Ps | CvtPs2Dq | CvttPs2Dq | CvtDq2Pd | CvtPs2Pd | CvtPd2Ps | CvtPd2Dq | CvttPd2Dq
        );
        if !is_native || ty == Type::V64 {
            return false;
        }
        // A double that does not fit 32 bits is not inexact as well.
        let before = (op == CvtPd2Dq && !self.is_attempt()).then(|| self.note_exceptions());
        let is_integer = matches!(op, CvtPs2Dq | CvttPs2Dq | CvtPd2Dq | CvttPd2Dq);
        let settling = Settling { before, doubts: if is_integer { INVALID } else { 0 }, late: 0 };
        if ty == Type::V256 && op.narrows() {
            let (low, high, t) = (self.vec_temp(), self.vec_temp(), self.vec_temp());
            let d = self.float_dest(dst);
            self.load_half(t, a, 1);
            self.asm.convert_lanes(op, false, high, t, low);
            self.load_half(t, a, 0);
            let scratch = self.vec_temp();
            self.asm.convert_lanes(op, false, low, t, scratch);
            self.asm.permute(crate::simd::Permute::Zip1, 3, d, low, high);
            self.settle_from(dst, settling);
        } else if ty == Type::V256 && op.widens() {
            let ra = self.vec_reg(a);
            let (t, low, high) = (self.vec_temp(), self.vec_temp(), self.vec_temp());
            self.asm.convert_lanes(op, false, low, ra, t);
            self.asm.convert_lanes(op, true, high, ra, t);
            self.own_pair(low, high, dst);
            if op != CvtDq2Pd {
                self.settle(dst);
            }
        } else if op == CvtDq2Pd {
            // Always exact.
            let r = self.vec_reg(a);
            let t = self.vec_temp();
            let d = self.vec_dest(dst);
            self.asm.convert_lanes(op, false, d, r, t);
        } else {
            self.float_halves_from(dst, ty, [a, a, a], settling, |asm, d, [a, _, _], [t, _]| {
                asm.convert_lanes(op, false, d, a, t);
            });
        }
        true
    }

    /// `vec_compare`. False where the runtime must do it.
    pub(crate) fn packed_compare(&mut self, dst: Value, lane: Type, imm: u8, ty: Type, a: Value, b: Value) -> bool {
        let Some(how) = comparison(imm) else { return false };
        let settling = self.comparison_settling(how.0, imm);
        self.float_halves_from(dst, ty, [a, b, b], settling, |asm, d, [a, b, _], [t, u]| {
            asm.compare_lanes(how, lane == Type::F64, false, Regs { d, a, b, t, u });
        });
        true
    }

    /// `fp_compare_mask`. False where the runtime must do it.
    pub(crate) fn float_compare_mask(&mut self, dst: Value, ty: Type, imm: u8, a: Value, b: Value) -> bool {
        let Some(how) = comparison(imm) else { return false };
        let settling = self.comparison_settling(how.0, imm);
        let (a, b) = (self.vec_reg(a), self.vec_reg(b));
        let t = self.vec_temp();
        // What is above the second operand of the instruction stays.
        let keeps_first = matches!(how, (Comparison::One { exchanged: true, .. }, false)) && settling.doubts == 0;
        let d = if keeps_first { self.scalar_dest(dst, Some(a)) } else { self.float_dest(dst) };
        self.asm.compare_lanes(how, ty == Type::F64, true, Regs { d, a, b, t, u: t });
        self.settle_from(dst, settling);
        true
    }

    /// What is to be known of the comparison at hand. Notes what FPSR is.
    fn comparison_settling(&mut self, how: Comparison, imm: u8) -> Settling {
        let doubts = if self.has_alternate_floats() { comparison_doubts(how, imm) } else { 0 };
        Settling { before: (doubts != 0).then(|| self.note_exceptions()), doubts, late: 0 }
    }

    /// `vec_integral`. False where the runtime must do it.
    pub(crate) fn packed_integral(&mut self, dst: Value, lane: Type, mode: u8, ty: Type, a: Value) -> bool {
        let Some((one, high, _)) = rounding(mode) else { return false };
        let size = size(lane == Type::F64, high);
        self.float_halves(dst, ty, [a, a, a], |asm, d, [a, _, _], _| asm.one(one, true, size, d, a));
        true
    }

    /// `fp_integral`. False where the runtime must do it.
    pub(crate) fn float_integral(&mut self, dst: Value, ty: Type, mode: u8, v: Value) -> bool {
        let Some((_, _, number)) = rounding(mode) else { return false };
        let r = self.vec_reg(v);
        let d = self.scalar_dest(dst, None);
        self.asm.fp_integral(number, ty == Type::F64, d, r);
        self.settle(dst);
        true
    }

    /// `vec_fma`.
    pub(crate) fn packed_multiply_add(&mut self, dst: Value, op: FmaOp, lane: Type, ty: Type, abc: [Value; 3]) {
        let is_alternate = self.has_alternate_floats();
        if !self.is_attempt() && !is_alternate {
            self.asm.read_fpsr(TARGET);
        }
        let settling = Settling { before: Some(TARGET), doubts: 0, late: 2 };
        self.float_halves_from(dst, ty, abc, settling, |asm, d, abc, [t, _]| {
            asm.multiply_add_lanes(op, lane == Type::F64, is_alternate, d, abc, t);
        });
    }

    /// `fp_fma`.
    pub(crate) fn float_multiply_add(&mut self, dst: Value, op: FmaOp, ty: Type, abc: [Value; 3]) {
        let abc = abc.map(|v| self.vec_reg(v));
        let t = self.vec_temp();
        let is_alternate = self.has_alternate_floats();
        let d = self.scalar_dest(dst, Some(abc[2]));
        let signs = match op {
            FmaOp::NegAdd => (true, false),
            FmaOp::Sub | FmaOp::AddSub => (false, true),
            FmaOp::NegSub => (true, true),
            FmaOp::Add | FmaOp::SubAdd => (false, false),
        };
        let double = ty == Type::F64;
        if !self.is_attempt() && !is_alternate {
            self.asm.read_fpsr(TARGET);
        }
        self.asm.fp_multiply_add(signs, double, d, abc);
        if !is_alternate {
            self.asm.same_scalar(Same::FCMGE, size(double, false), t, d, d);
        }
        self.settle_from(dst, Settling { before: Some(TARGET), ..Settling::default() });
    }
}
