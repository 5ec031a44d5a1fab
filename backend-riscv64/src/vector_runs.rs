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

impl Lowering<'_> {
    /// Whether the op at hand, on packed floats, joins the run: one that looks at exceptions is there or is to start. Ends another one.
    pub(crate) fn joins_packed_run(&mut self) -> bool {
        if self.wide.run.looks.is_none() {
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

    /// Ends the run if it leaves no vector register for another value.
    pub(crate) fn make_room_for_vector(&mut self) {
        if VECTORS.iter().all(|v| (self.wide.locked_vectors | self.wide.run.vectors) & 1 << v != 0) {
            self.end_run();
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
        if !is_unseen && !self.is_home_of_run(n) {
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
