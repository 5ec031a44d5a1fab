//! Which results are computed into the guest register that they go to.

use hokku_ir::{Block, Effects, Op, Type, Width};

use crate::Optimisations;
use crate::plan::{NONE, Place, Plan};

impl Plan {
    /// Decides whether the result of op `at` is computed into the register that it is written to later.
    pub(crate) fn choose_target(&mut self, block: &Block, at: usize) {
        let inst = &block.insts[at];
        let info = self.values[inst.value.0 as usize];
        if !self.does(Optimisations::TARGETS) {
            return;
        }
        if info.vec_set != NONE && !self.insts[at].deferred && !self.insts[at].pinned {
            self.choose_vec_target(block, at, info.vec_set as usize);
        }
        if info.set == NONE || self.insts[at].deferred || self.insts[at].pinned {
            return;
        }
        let set = info.set as usize;
        let (place, w) = match block.insts[set].op {
            Op::SetGpr { reg, w, .. } => (Place::Low(reg), w),
            Op::SetGprHigh { reg, .. } => (Place::High(reg), Width::W8),
            _ => return,
        };
        if info.ty.width() != Some(w)
            || matches!(inst.op, Op::GetGpr { .. } | Op::GetGprHigh { .. } | Op::Iconst { .. })
        {
            return;
        }
        let touches = |op: &Op| match *op {
            Op::GetGpr { reg, .. } | Op::GetGprHigh { reg } | Op::SetGpr { reg, .. } | Op::SetGprHigh { reg, .. } => {
                reg == place.reg()
            }
            Op::SetFlags { .. } | Op::GetFlags {} | Op::GetVec { .. } | Op::SetVec { .. } => false,
            ref op => op.effects().contains(Effects::reads_state) || op.effects().contains(Effects::writes_state),
        };
        let between = at + 1..set;
        if between.clone().any(|k| !self.insts[k].dead && touches(&block.insts[k].op))
            || self.insts[between].iter().any(|i| i.faults)
        {
            return;
        }
        self.values[inst.value.0 as usize].target = Some(place);
        self.insts[at].writes = true;
    }

    /// Decides whether the result of op `at` is computed into the vector register that `set` writes it to.
    fn choose_vec_target(&mut self, block: &Block, at: usize, set: usize) {
        let inst = &block.insts[at];
        let Op::SetVec { reg, ty, .. } = block.insts[set].op else { return };
        let scalar_load = matches!(inst.op, Op::Load { ty, .. } if !matches!(ty, Type::V128 | Type::V256));
        let other_kind = matches!(
            inst.op,
            Op::GetVec { .. } | Op::GetMmx { .. } | Op::Bitcast { .. } | Op::VecJoin { ty: Type::V128, .. }
        );
        let result =
            if self.values[inst.value.0 as usize].merged.is_some() { Type::V128 } else { inst.op.result_type() };
        if result != ty || scalar_load || other_kind {
            return;
        }
        let touches = |op: &Op| match *op {
            Op::GetVec { reg: r, .. } | Op::SetVec { reg: r, .. } => r == reg,
            Op::GetGpr { .. }
            | Op::SetGpr { .. }
            | Op::GetGprHigh { .. }
            | Op::SetGprHigh { .. }
            | Op::SetFlags { .. }
            | Op::GetFlags {} => false,
            ref op => op.effects().contains(Effects::reads_state) || op.effects().contains(Effects::writes_state),
        };
        let between = at + 1..set;
        if between.clone().any(|k| !self.insts[k].dead && touches(&block.insts[k].op))
            || self.insts[between].iter().any(|i| i.faults)
        {
            return;
        }
        self.values[inst.value.0 as usize].vec_target = Some(reg.0);
        self.insts[at].writes = true;
    }
}
