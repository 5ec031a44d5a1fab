//! Ops on packed floats in runs, for hosts with vectors: their operands stay as they are until the run is looked at, and so do guest registers.

use hokku_ir::{Op, Type, Value, VecBin, VecUn};

use crate::assign::*;
use crate::encode::*;
use crate::lower::Lowering;
use crate::places::Place;
use crate::vector_encode::*;

/// The first slot for what guest registers held whose pending values are written out of line.
const FIRST_KEPT: u8 = 8;

/// Whether `op` may become part of a run of a host with vectors.
pub(crate) fn is_packed_member(op: &Op) -> bool {
    use VecBin as B;
    match *op {
        Op::VecBinary { op, ty: Type::V128, .. } => {
            matches!(op, B::AddPs | B::SubPs | B::MulPs | B::DivPs | B::MinPs | B::MaxPs)
                || matches!(op, B::AddPd | B::SubPd | B::MulPd | B::DivPd | B::MinPd | B::MaxPd)
        }
        Op::VecUnary { op, ty: Type::V128, .. } => matches!(op, VecUn::SqrtPs | VecUn::SqrtPd),
        Op::VecCompare { predicate, ty: Type::V128, .. } => predicate.0 < 8,
        _ => false,
    }
}

/// Whether `op`, on packed floats, is on doubles.
pub(crate) fn is_double(op: VecBin) -> bool {
    use VecBin as B;
    matches!(op, B::AddPd | B::SubPd | B::MulPd | B::DivPd | B::MinPd | B::MaxPd)
}

impl Lowering<'_> {
    /// Whether the op at hand, on packed floats, joins the run: one that looks at exceptions is there or is to start. Ends another one.
    pub(crate) fn joins_packed_run(&mut self) -> bool {
        if self.wide.run.looks.is_none() && !self.wide.run.members.is_empty() {
            self.end_run();
        }
        self.wide.run.looks.is_some() || self.is_worth_looks()
    }

    /// Starts a run for packed floats if none is there: operands and result have their registers.
    pub(crate) fn start_packed_run(&mut self) {
        if self.wide.run.looks.is_none() {
            self.wide.run.looks = Some(self.new_looks());
        }
    }

    /// `op`, on the vectors `operands` of elements of type `lane`, joins the run and gives `d`.
    pub(crate) fn join_packed_run(&mut self, op: Op, operands: &[Vreg], lane: Type, d: Vreg) {
        let mut member = self.out_of_line_in(op, Vec::new(), hokku_ir::backend::LazyState::default());
        member.takes(operands.iter().map(|v| Place::Vector(*v)), Type::V128);
        member.gives(Place::Vector(d), Type::V128);
        if let Some(looks) = &mut self.wide.run.looks {
            looks.add_packed(&op, operands, lane, d);
        }
        for v in operands {
            self.wide.run.vectors |= 1 << v;
        }
        self.wide.run.vectors |= 1 << d;
        self.wide.run.vector_results |= 1 << d;
        self.wide.run.members.push(member);
    }

    /// The ops behind place `n` that the run at hand may go over.
    fn rest_of_run(&self, n: u32) -> impl Iterator<Item = &Op> + '_ {
        let has_vectors = self.has_vectors();
        let ends = move |op: &Op| {
            crate::float_runs::acts(op) && !crate::float_runs::joins_run(op, has_vectors) && !self.is_retried(op)
        };
        let rest =
            (n as usize..self.block.insts.len()).filter(|n| !self.plan.dead[*n]).map(|n| &self.block.insts[n].op);
        rest.take_while(move |op| !ends(op))
    }

    /// Whether guest register `n`, which the op at hand or the next writes as a whole, is written again before anybody but ops of a run that looks at
    /// exceptions reads it.
    pub(crate) fn is_soon_overwritten(&self, n: u8) -> bool {
        if self.wide.run.looks.is_none() && !self.is_worth_looks() {
            return false;
        }
        let mut rest = self.rest_of_run(self.at + 1).skip_while(|op| !matches!(op, Op::Insn { .. }));
        let decides = |op: &Op| match op {
            Op::SetVec { reg, ty, .. } if reg.0 == n => Some(*ty == Type::V128),
            Op::GetVec { reg, ty, .. } if reg.0 == n && *ty != Type::V128 => Some(false),
            _ => None,
        };
        rest.find_map(decides).unwrap_or(false)
    }

    /// A register for the result `dst` of a member of a run that reads `operands`: the home of the guest register that it goes to, if what was there before is not needed by then.
    pub(crate) fn member_result(&mut self, dst: Value, operands: &[Vreg]) -> Vreg {
        let is_operand = |n: &u8| operands.contains(&(HOME_VECTOR + n));
        let Some(n) = self.home_of_last(dst).filter(|n| !is_operand(n)) else {
            let d = self.vector_temp();
            self.own_vector(d, dst);
            return d;
        };
        self.wide.run.pending.retain(|p| p.0 != n);
        self.wide.cached[n as usize] = None;
        self.own_vector(HOME_VECTOR + n, dst);
        HOME_VECTOR + n
    }

    /// The guest register that the next op writes with `dst`, if neither the run nor a fault within it needs what is in its home.
    fn home_of_last(&self, dst: Value) -> Option<u8> {
        let n = self.set_next(dst)?;
        let is_needed = self.wide.run.vectors & 1 << (HOME_VECTOR + n) != 0
            || self.rest_of_run(self.at + 1).any(|op| matches!(op, Op::Load { .. }))
            || self.is_soon_overwritten(n);
        (!is_needed).then_some(n)
    }

    /// What is in the home of guest register `n` has been looked at from here on.
    pub(crate) fn see_home(&mut self, n: u8) {
        if self.wide.run.vector_results & 1 << (HOME_VECTOR + n) != 0 {
            self.end_run();
        }
    }

    /// Before the code of `op`, which is no operation on floats: whether it joins the run because it reads a result of that.
    pub(crate) fn start_other_member(&mut self, op: &Op) -> bool {
        let is_plain = match op {
            Op::VecBinary { op, .. } => !op.is_float(),
            Op::VecShiftImm { .. } | Op::VecShuffleImm { .. } => true,
            _ => false,
        };
        if !is_plain || self.wide.run.looks.is_none() {
            return false;
        }
        let mut reads = false;
        op.values(&mut |v| {
            let place = self.vector_place(v);
            reads |= matches!(place, Place::Vector(r) if self.wide.run.vector_results & 1 << r != 0);
        });
        self.wide.run.joined_by_other = reads;
        reads
    }

    /// The code of `op`, which has joined the run, gives `dst`.
    pub(crate) fn end_other_member(&mut self, dst: Value, op: Op) {
        if !std::mem::take(&mut self.wide.run.joined_by_other) {
            // The run was over before it.
            return;
        }
        let Place::Vector(d) = self.place(dst) else { return self.end_run() };
        let mut places = Vec::new();
        op.values(&mut |v| places.push(self.vector_place(v)));
        self.join_other(op, places, Type::V128, d);
    }

    /// `op`, whose operands of type `ty` are at `places`, joins the run and gives `d`: no exception tells of it.
    fn join_other(&mut self, op: Op, places: Vec<Place>, ty: Type, d: Vreg) {
        if self.wide.run.members.is_empty() {
            return;
        }
        let mut member = self.out_of_line_in(op, Vec::new(), hokku_ir::backend::LazyState::default());
        for place in &places {
            match place {
                Place::Vector(v) => self.wide.run.vectors |= 1 << v,
                Place::Float(f) => self.wide.run.registers |= 1 << f,
                _ => {}
            }
        }
        member.takes(places.into_iter(), ty);
        member.gives(Place::Vector(d), Type::V128);
        self.wide.run.vectors |= 1 << d;
        self.wide.run.vector_results |= 1 << d;
        if let Some(looks) = &mut self.wide.run.looks {
            looks.forget(crate::float_looks::VECTOR | d);
        }
        self.wide.run.members.push(member);
    }

    /// Lowers the low double of one vector, which `a` and `b` both are, to both halves where it is in a floating-point register; says whether it has.
    pub(crate) fn broadcast(&mut self, dst: Value, a: Value, b: Value) -> bool {
        let Place::State(n) = self.place(a) else { return false };
        let Some(f) = self.double_lane(n).filter(|_| self.place(b) == Place::State(n)) else { return false };
        let is_unseen = self.wide.run.results & 1 << f != 0;
        if is_unseen && self.wide.run.looks.is_none() {
            self.end_run();
        }
        self.set_sew(Sew::E64);
        if !(is_unseen && self.wide.run.looks.is_some()) {
            let d = self.vector_result(dst);
            self.asm.word(vfmv_v_f(d, f));
            return true;
        }
        let d = self.vector_temp();
        self.own_vector(d, dst);
        self.asm.word(vfmv_v_f(d, f));
        let halves = Op::VecJoin { ty: Type::V128, low: a, high: b };
        self.join_other(halves, vec![Place::Float(f); 2], Type::V64, d);
        true
    }

    /// The vector register where `v` is.
    fn vector_place(&self, v: Value) -> Place {
        match self.place(v) {
            Place::State(n) => Place::Vector(HOME_VECTOR + n),
            place => place,
        }
    }

    /// Ends the run if it leaves no vector register for another value.
    pub(crate) fn make_room_for_vector(&mut self) {
        if VECTORS.iter().all(|v| (self.wide.locked_vectors | self.wide.run.vectors) & 1 << v != 0) {
            self.end_run_for_room();
        }
    }

    /// The vector that is to become guest register `n`, if one is.
    pub(crate) fn pending_vector(&self, n: u8) -> Option<Vreg> {
        self.wide.run.pending.iter().find(|p| p.0 == n).map(|p| p.1)
    }

    /// Whether the run needs the home of guest register `n` as it is.
    pub(crate) fn is_home_of_run(&self, n: u8) -> bool {
        self.wide.run.vectors & 1 << (HOME_VECTOR + n) != 0 || self.pending_vector(n).is_some()
    }

    /// The home of guest register `n` is about to be read or written: ends the run if that is in its way.
    pub(crate) fn free_home(&mut self, n: u8) {
        if self.is_home_of_run(n) {
            self.end_run();
        }
    }

    /// Guest register `n` is `v` once the run is over, if it must not be before. False: nothing is in the way.
    pub(crate) fn leave_pending(&mut self, n: u8, v: Value) -> bool {
        let place = self.place(v);
        let is_unseen = matches!(place, Place::Vector(r) if self.wide.run.vector_results & 1 << r != 0);
        let is_passing = matches!(place, Place::Vector(_)) && self.is_soon_overwritten(n);
        if !is_unseen && !is_passing && !self.is_home_of_run(n) {
            return false;
        }
        let Place::Vector(r) = place else {
            self.end_run();
            return false;
        };
        if !VECTORS.contains(&r) {
            self.end_run();
            return false;
        }
        self.wide.cached[n as usize] = None;
        self.wide.run.vectors |= 1 << r;
        self.wide.run.pending.retain(|p| p.0 != n);
        self.wide.run.pending.push((n, r));
        true
    }

    /// Writes what is `pending` out of line, and keeps what was there.
    pub(crate) fn write_pending(&mut self, pending: &[(u8, Vreg)]) {
        for ((n, r), slot) in pending.iter().zip(FIRST_KEPT..) {
            let sew = self.any_sew();
            self.far_slot(slot);
            self.asm.word(vse(sew, HOME_VECTOR + n, SCRATCH));
            self.asm.word(vmv1r(HOME_VECTOR + n, *r));
        }
    }

    /// The reverse.
    pub(crate) fn take_pending_back(&mut self, pending: &[(u8, Vreg)]) {
        for ((n, _), slot) in pending.iter().zip(FIRST_KEPT..) {
            let sew = self.any_sew();
            self.far_slot(slot);
            self.asm.word(vle(sew, HOME_VECTOR + n, SCRATCH));
        }
    }

    /// [`SCRATCH`] = the address of vector slot `slot`.
    fn far_slot(&mut self, slot: u8) {
        self.asm.li(SCRATCH, vector_slot_offset(slot).into());
        self.asm.r(ADD, SCRATCH, SCRATCH, STATE);
    }
}
