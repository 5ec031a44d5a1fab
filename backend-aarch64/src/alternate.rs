//! Floats where the host can compute as x86 does (FEAT_AFP): results and exceptions stand as they are, in FPSR.
//!
//! With FPCR.AH the first NaN wins, the NaN that is made is negative, `fmin` and `fmax` give their second operand for NaNs and zeros, results are tiny
//! after rounding, and denormal operands are told of; FIZ and FZ are DAZ and FTZ; with NEP the instructions on scalars keep what is above them: in the
//! register of the first operand, of the addend, or, with one operand, in the destination. The stubs set FPCR by mxcsr, and add FPSR to it. Integers that
//! do not fit are still looked at. Where mxcsr has exceptions that are not masked, all floats are the runtime's: blocks with floats have another version
//! for that, and look at their start unless they come from one that has. Source: Arm ARM, A1.5 and C5.2 (FPCR).

use hokku_ir::backend::Tier;
use hokku_ir::{BlockId, Effects, Type, Upper, Value, X87Arithmetic};

use crate::Features;
use crate::access::Piece;
use crate::asm::{Label, Size};
use crate::assign::{FLOAT_IS_ODD, SCRATCH, STATE};
use crate::control::Cold;
use crate::known::can_be_stopped;
use crate::lower::Lowering;

/// Whether code for `x87` on processors with `features` has the host compute as x86 does.
pub(crate) fn is_alternate(features: Features, x87: X87Arithmetic) -> bool {
    features.contains(Features::AFP) && x87 != X87Arithmetic::Double
}

impl Lowering<'_> {
    /// Whether the host computes as x86 does.
    pub(crate) fn has_alternate_floats(&self) -> bool {
        is_alternate(self.features, self.region.key.x87)
    }

    /// A register for the result `v` of an instruction that leaves above it what is there in `from`, or with `None` what is in its destination: the guest
    /// register that `v` is written to next, if that is right, or a temporary.
    pub(crate) fn scalar_dest(&mut self, v: Value, from: Option<u8>) -> u8 {
        if !self.has_alternate_floats() {
            return self.float_dest(v);
        }
        let own = self.plan.info(v).op.result_type();
        let home = self.vec_home(v, |ty, upper| ty == own && upper == Upper::Keep);
        match home.filter(|n| from.is_none_or(|from| from == *n)) {
            Some(n) => self.merged_dest(v, n),
            None => self.float_dest(v),
        }
    }

    /// A register for the vector `v`, whose code reads those in `late` after it has written some of it, and which stands unless there are `doubts`.
    pub(crate) fn packed_dest(&mut self, v: Value, late: &[u8], doubts: u32) -> u8 {
        let home = self.vec_home(v, |ty, _| ty == Type::V128);
        match home {
            Some(n) if self.has_alternate_floats() && doubts == 0 && !late.contains(&n) => self.vec_dest(v),
            _ => self.float_dest(v),
        }
    }

    fn has_floats(&self, id: BlockId) -> bool {
        self.region.block(id).insts.iter().any(|inst| inst.op.effects().contains(Effects::float))
    }

    /// Whether block `id` is to be entered behind its look, too, by blocks that have looked.
    pub(crate) fn has_inner_label(&self, id: BlockId) -> bool {
        self.has_alternate_floats()
            && self.tier == Tier::Second
            && self.shapes.is_none()
            && self.has_floats(id)
            && can_be_stopped(self.region.block(id))
    }

    /// Whether the block at hand goes on in block `id` behind its look.
    pub(crate) fn leads_past_look(&self, id: BlockId) -> bool {
        self.floats_are_usual && self.has_inner_label(id)
    }

    /// The start of block `id`, whose label is bound: a look where that is due.
    pub(crate) fn look_at_start(&mut self, id: BlockId) {
        if !self.has_alternate_floats() || !self.has_floats(id) {
            return;
        }
        self.look_at_mxcsr(id);
        self.bind_inner(id);
    }

    /// Behind the look at the start of block `id`.
    pub(crate) fn bind_inner(&mut self, id: BlockId) {
        self.floats_are_usual = true;
        if self.has_inner_label(id) {
            let inner = self.inner_labels[id.0 as usize];
            self.asm.bind(inner);
        }
    }

    /// Goes to the version of block `id` with its floats evaluated where mxcsr has exceptions that are not masked.
    fn look_at_mxcsr(&mut self, id: BlockId) {
        let label = self.evaluated_version(id);
        self.asm.load(Piece::W, SCRATCH, STATE, FLOAT_IS_ODD);
        self.asm.cbnz(Size::W, SCRATCH, label);
    }

    fn evaluated_version(&mut self, id: BlockId) -> Label {
        if let Some(version) = self.evaluated_versions.iter().find(|v| v.1 == id) {
            return version.0;
        }
        let label = self.asm.label();
        self.evaluated_versions.push((label, id));
        label
    }

    /// A look that stands apart: block `id` is entered behind it by the block before it.
    pub(crate) fn write_look(&mut self, label: Label, id: BlockId, entry: Option<usize>) {
        self.asm.bind(label);
        if let Some(n) = entry {
            self.out.blocks[n].offset = self.asm.offset();
        }
        self.look_at_mxcsr(id);
        let inner = self.inner_labels[id.0 as usize];
        self.asm.b(inner);
    }

    /// Has the look at the start of block `id` stand apart; `entry` is the block's number in the list of entries.
    pub(crate) fn put_look_apart(&mut self, id: BlockId, entry: Option<usize>) {
        let label = self.block_labels[id.0 as usize];
        // That is written by the time of the look.
        self.evaluated_version(id);
        self.cold.push(Cold::Look { label, id, entry });
        self.bind_inner(id);
    }

    /// Writes the versions of blocks whose floats are evaluated.
    pub(crate) fn write_evaluated_versions(&mut self) {
        for (label, id) in self.evaluated_versions.clone() {
            self.start_other_version(id, label);
            self.evaluates_floats = true;
            self.lower_ops(0, None);
        }
    }
}
