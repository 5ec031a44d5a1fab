//! Fused multiplication and addition, and selections by a third vector.

use hokku_ir::{FmaOp, Type, Value, VecTer};

use crate::Features;
use crate::encode::{Opcode, Rm};
use crate::lower::Lowering;
use crate::values::Loc;
use crate::vector_forms::VecCode;
use crate::vector_values::{Form, VecDest};

/// A way to encode `a * b + c`: low bits of the opcode's upper digit, and which of the three is the destination, the second source and the last one.
///
/// NaNs take precedence in the order `a`, `b`, `c` in each. Source: Intel SDM vol. 1, 14.5.2.
const WAYS: [(u32, [usize; 3]); 3] = [(0x90, [0, 2, 1]), (0xa0, [1, 0, 2]), (0xb0, [2, 0, 1])];

impl Lowering<'_> {
    /// `v` = `±(a * b) ± c` in lanes of type `lane`; `ty` is a vector type, or `lane` for a scalar.
    pub(crate) fn fused_multiply(&mut self, v: Value, op: FmaOp, lane: Type, ty: Type, operands: [Value; 3]) {
        if !self.features.contains(Features::FMA) || self.vec_form(v) == Form::Legacy {
            return self.rest(v);
        }
        let scalar = u32::from(ty == lane);
        let kind = match op {
            FmaOp::Add => 8 + scalar,
            FmaOp::Sub => 0xa + scalar,
            FmaOp::NegAdd => 0xc + scalar,
            FmaOp::NegSub => 0xe + scalar,
            FmaOp::AddSub => 6,
            FmaOp::SubAdd => 7,
        };
        let target = self.plan.values[v.0 as usize].vec_target;
        let merged = self.plan.values[v.0 as usize].merged;
        let at = |l: &Self, v: Value, reg: Option<u8>| reg.is_some_and(|r| l.loc(v) == Loc::VecHome(r));
        let worth = |l: &Self, places: &[usize; 3]| {
            let [first, _, last] = places.map(|n| operands[n]);
            // The bits above a scalar come from the destination.
            let above = merged.is_some() && at(l, first, merged);
            let in_memory = l.is_deferred_load(last) || matches!(l.loc(last), Loc::Slot(_));
            4 * u32::from(above) + 2 * u32::from(at(l, first, target)) + u32::from(in_memory)
        };
        let (code, places) = WAYS.into_iter().max_by_key(|(_, places)| worth(self, places)).unwrap_or(WAYS[0]);
        let [first, second, last] = places.map(|n| operands[n]);
        for v in operands {
            if v != last || self.is_aligned_load(v) {
                self.force(v);
            }
        }
        // A copy of the first one may need a temporary beside the second's.
        let in_place = at(self, first, target) || matches!(self.loc(first), Loc::VecTemp(_));
        if let (Loc::VecTemp(r), false) = (self.loc(last), in_place) {
            self.spill_vec_temp(r);
        }
        let first_reg = match merged {
            Some(n) => self.upper_source(n),
            None => self.vec_reg(first, ty),
        };
        let second_reg = self.vec_reg(second, ty);
        let last = self.vec_operand(last, ty, Form::Vex);
        self.consume_inst(self.cur);
        let goal = self.vec_dest(v, Some(first_reg));
        let mut d = goal;
        if first_reg != d.reg && (d.home.is_some() || d.reg == second_reg || last == Rm::Reg(d.reg)) {
            d = VecDest { reg: self.vec_scratch(first_reg), home: None, form: Form::Vex };
        }
        let whole = if ty == Type::V256 { ty } else { Type::V128 };
        self.vec_copy_from(d.reg, Rm::Reg(first_reg), whole);
        self.may_trap();
        let op = Opcode::sse(0x66, 0x0f3800 + code + kind).wide(lane == Type::F64);
        self.asm.vex(op, ty == Type::V256, d.reg, second_reg, last, &[]);
        self.finish_vec(v, whole, d, goal);
    }

    pub(crate) fn vector_ternary(&mut self, v: Value, op: VecTer, ty: Type, a: Value, b: Value, c: Value) {
        let (legacy, vex) = match op {
            VecTer::BlendvB => (0x0f3810, VecCode::int(0x0f3a4c)),
            VecTer::BlendvPs => (0x0f3814, VecCode::float(0x66, 0x0f3a4a)),
            VecTer::BlendvPd => (0x0f3815, VecCode::float(0x66, 0x0f3a4b)),
            VecTer::Sha256Rnds2 => {
                let code = VecCode::legacy_only(0x0f38cb, Features::SHA);
                return if self.third_is_xmm0(v, a, c) {
                    self.vec_two(v, code, (a, ty), (b, ty), false, &[])
                } else {
                    self.rest(v)
                };
            }
        };
        let form = self.vec_form(v);
        if form == Form::Legacy && self.third_is_xmm0(v, a, c) {
            let code = VecCode::legacy_only(legacy, Features::SSE41).prefixed();
            return self.vec_two(v, code, (a, ty), (b, ty), false, &[]);
        }
        if form == Form::Legacy || !vex.runs(self.features, form, ty) {
            return self.rest(v);
        }
        self.force(a);
        self.force(c);
        if self.is_aligned_load(b) {
            self.force(b);
        }
        let (a, mask) = (self.vec_reg(a, ty), self.vec_reg(c, ty));
        let b = self.vec_operand(b, ty, form);
        self.consume_inst(self.cur);
        let d = self.vec_dest(v, Some(a));
        self.asm.vex(vex.op, ty == Type::V256, d.reg, a, b, &[mask << 4]);
        self.define_vec(v, d);
    }

    /// Whether `c` is in xmm0, which legacy instructions take it from, while `v` is computed of `a`.
    fn third_is_xmm0(&self, v: Value, a: Value, c: Value) -> bool {
        let xmm0 = Loc::VecHome(0);
        self.loc(c) == xmm0 && (self.plan.values[v.0 as usize].vec_target != Some(0) || self.loc(a) == xmm0)
    }

    /// The register that holds guest vector register `reg`.
    pub(crate) fn upper_source(&mut self, reg: u8) -> u8 {
        match self.vec_home(reg) {
            Rm::Reg(h) => {
                self.vec_locked |= 1 << h;
                h
            }
            m => {
                let t = self.vec_temp();
                self.vec_copy_from(t, m, Type::V128);
                t
            }
        }
    }
}
