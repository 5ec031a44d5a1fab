//! Operations on packed floats, for hosts with vectors. As with scalars, NaN results and denormal operands go to the evaluator.

use hokku_ir::{Num, Op, Type, Value, VecBin, VecUn};

use crate::assign::*;
use crate::callout::OutOfLine;
use crate::encode::*;
use crate::float::{DENORMAL, DENORMAL_OR_NAN};
use crate::lower::Lowering;
use crate::places::Place;
use crate::vector_encode::*;

fn lane_of(sew: Sew) -> Type {
    if sew == Sew::E32 { Type::F32 } else { Type::F64 }
}

impl Lowering<'_> {
    /// Goes out of line where a lane of `vectors` is of one of the classes in `mask`. Changes v1 and v2.
    fn unless_lanes(&mut self, slow: &OutOfLine, vectors: &[Vreg], mask: i64) {
        for (n, v) in vectors.iter().enumerate() {
            if n == 0 {
                self.vv(VFUNARY, 1, *v, CLASS);
            } else if !vectors[..n].contains(v) {
                self.vv(VFUNARY, 2, *v, CLASS);
                self.vv(VOR, 1, 1, 2);
            }
        }
        self.vv(VREDOR, 1, 1, 1);
        self.asm.word(vmv_x_s(SCRATCH, 1));
        self.asm.i(ANDI, SCRATCH, SCRATCH, mask as i32);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, slow.label);
    }

    pub(crate) fn packed_arith(&mut self, dst: Value, op: Op, kind: VecBin, a: Value, b: Value) -> bool {
        use VecBin as B;
        let sew = match kind {
            B::AddPs | B::SubPs | B::MulPs | B::DivPs | B::MinPs | B::MaxPs => Sew::E32,
            B::AddPd | B::SubPd | B::MulPd | B::DivPd | B::MinPd | B::MaxPd => Sew::E64,
            _ => return false,
        };
        if self.joins_packed_run() {
            self.packed_member(dst, op, kind, sew, a, b);
            return true;
        }
        let (va, vb) = (self.vector(a), self.vector(b));
        self.set_sew(sew);
        let d = self.vector_result(dst);
        let slow = self.out_of_line_wide(op);
        let instruction = match kind {
            B::AddPs | B::AddPd => VFADD,
            B::SubPs | B::SubPd => VFSUB,
            B::MulPs | B::MulPd => VFMUL,
            B::DivPs | B::DivPd => VFDIV,
            _ => {
                self.unless_lanes(&slow, &[va, vb], DENORMAL);
                // The second of zeros, and where one is NaN.
                let is_max = matches!(kind, B::MaxPs | B::MaxPd);
                let (less, more) = if is_max { (vb, va) } else { (va, vb) };
                self.vv(VMFLT, 0, less, more);
                self.asm.word(masked(vv(VMERGE, d, vb, va)));
                self.out_of_line_ends_at(slow, Place::Vector(d), Type::V128);
                return true;
            }
        };
        let to = if d == va || d == vb { 4 } else { d };
        self.vv(instruction, to, va, vb);
        self.unless_lanes(&slow, &[to, va, vb], DENORMAL_OR_NAN);
        self.out_of_line_ends_at(slow, Place::Vector(to), Type::V128);
        self.move_vector(d, to);
        true
    }

    /// The same as part of a run.
    fn packed_member(&mut self, dst: Value, op: Op, kind: VecBin, sew: Sew, a: Value, b: Value) {
        use VecBin as B;
        let (va, vb) = (self.unseen_vector(a), self.unseen_vector(b));
        let d = self.member_result(dst, &[va, vb]);
        self.start_packed_run();
        self.set_sew(sew);
        match kind {
            B::AddPs | B::AddPd => self.vv(VFADD, d, va, vb),
            B::SubPs | B::SubPd => self.vv(VFSUB, d, va, vb),
            B::MulPs | B::MulPd => self.vv(VFMUL, d, va, vb),
            B::DivPs | B::DivPd => self.vv(VFDIV, d, va, vb),
            _ => {
                let is_max = matches!(kind, B::MaxPs | B::MaxPd);
                let (less, more) = if is_max { (vb, va) } else { (va, vb) };
                self.vv(VMFLT, 0, less, more);
                self.asm.word(masked(vv(VMERGE, d, vb, va)));
            }
        }
        self.join_packed_run(op, &[va, vb], lane_of(sew), d);
    }

    pub(crate) fn packed_float_unary(&mut self, dst: Value, kind: VecUn, op: Op, a: Value) -> bool {
        use VecUn as U;
        let is_root = matches!(kind, U::SqrtPs | U::SqrtPd);
        if is_root && self.joins_packed_run() {
            let va = self.unseen_vector(a);
            let sew = if kind == U::SqrtPs { Sew::E32 } else { Sew::E64 };
            let d = self.vector_temp();
            self.own_vector(d, dst);
            self.start_packed_run();
            self.set_sew(sew);
            self.vv(VFUNARY, d, va, SQRT);
            self.join_packed_run(op, &[va], lane_of(sew), d);
            return true;
        }
        let va = self.vector(a);
        match kind {
            U::SqrtPs | U::SqrtPd => {
                self.set_sew(if kind == U::SqrtPs { Sew::E32 } else { Sew::E64 });
                let d = self.vector_result(dst);
                let slow = self.out_of_line_wide(op);
                let to = if d == va { 4 } else { d };
                self.vv(VFUNARY, to, va, SQRT);
                self.unless_lanes(&slow, &[to, va], DENORMAL_OR_NAN);
                self.out_of_line_ends_at(slow, Place::Vector(to), Type::V128);
                self.move_vector(d, to);
            }
            U::CvtDq2Ps => {
                self.set_sew(Sew::E32);
                let d = self.vector_result(dst);
                self.vv(VFCVT, d, va, FLOAT_OF_INT);
            }
            U::CvtDq2Pd => {
                self.set_sew(Sew::E32);
                let d = self.vector_result(dst);
                self.vv(VFCVT, 2, va, WIDE_FLOAT_OF_INT);
                self.move_vector(d, 2);
            }
            U::CvtPs2Dq | U::CvttPs2Dq => {
                self.set_sew(Sew::E32);
                let d = self.vector_result(dst);
                self.vv(VFCVT, d, va, if kind == U::CvtPs2Dq { INT_OF_FLOAT } else { INT_TOWARDS_ZERO });
                // No single is the largest integer: that stands for what is too large, and NaN.
                let largest = self.scratch(i32::MAX.into());
                self.vx(VMSEQ, 0, d, largest);
                self.asm.word(masked(vi(VXOR, d, d, -1)));
            }
            U::CvtPs2Pd => {
                self.any_sew();
                let d = self.vector_result(dst);
                let slow = self.out_of_line_wide(op);
                self.asm.word(vsetivli(Sew::E32, 2));
                self.wide.sew = None;
                self.unless_lanes(&slow, &[va], DENORMAL_OR_NAN);
                self.vv(VFCVT, 2, va, WIDE_FLOAT);
                self.move_vector(d, 2);
                self.out_of_line_ends_at(slow, Place::Vector(d), Type::V128);
            }
            U::CvtPd2Ps => {
                self.set_sew(Sew::E64);
                let d = self.vector_result(dst);
                let slow = self.out_of_line_wide(op);
                self.unless_lanes(&slow, &[va], DENORMAL_OR_NAN);
                self.move_vector(1, ZERO_VECTOR);
                self.asm.word(vsetivli_half(Sew::E32, 2));
                self.wide.sew = None;
                self.vv(VFCVT, 1, va, NARROW_FLOAT);
                self.move_vector(d, 1);
                self.out_of_line_ends_at(slow, Place::Vector(d), Type::V128);
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn packed_compare(
        &mut self,
        dst: Value,
        op: Op,
        lane: Type,
        predicate: Num,
        a: Value,
        b: Value,
    ) -> bool {
        if predicate.0 > 7 {
            return false;
        }
        let joins = self.joins_packed_run();
        let (va, vb) = (self.unseen_vector(a), self.unseen_vector(b));
        let sew = if lane == Type::F32 { Sew::E32 } else { Sew::E64 };
        if joins {
            let d = self.vector_temp();
            self.own_vector(d, dst);
            self.start_packed_run();
            self.set_sew(sew);
            self.compare_lanes(d, predicate, va, vb);
            self.join_packed_run(op, &[va, vb], lane, d);
            return true;
        }
        self.set_sew(sew);
        let d = self.vector_result(dst);
        let slow = self.out_of_line_wide(op);
        self.unless_lanes(&slow, &[va, vb], DENORMAL);
        self.compare_lanes(d, predicate, va, vb);
        self.out_of_line_ends_at(slow, Place::Vector(d), Type::V128);
        true
    }

    /// `d` = masks of where `predicate` holds.
    fn compare_lanes(&mut self, d: Vreg, predicate: Num, va: Vreg, vb: Vreg) {
        let is_opposite = match predicate.0 {
            0 | 4 => {
                self.vv(if predicate.0 == 0 { VMFEQ } else { VMFNE }, 0, va, vb);
                false
            }
            1 | 5 => {
                self.vv(VMFLT, 0, va, vb);
                predicate.0 == 5
            }
            2 | 6 => {
                self.vv(VMFLE, 0, va, vb);
                predicate.0 == 6
            }
            _ => {
                self.vv(VMFEQ, 1, va, va);
                self.vv(VMFEQ, 2, vb, vb);
                self.vv(VMAND, 0, 1, 2);
                predicate.0 == 3
            }
        };
        if is_opposite {
            self.asm.word(vmv_v_i(d, -1));
            self.asm.word(masked(vi(VMERGE, d, d, 0)));
        } else {
            self.lanes_of_mask(d);
        }
    }
}
