//! Looks at what `mxcsr` asks for, at the start of blocks with ops on floats: for more than a rounding mode there is another version of the block.

use hokku_ir::backend::{LazyState, Tier};
use hokku_ir::{BlockId, Effects};

use crate::asm::Label;
use crate::assign::*;
use crate::encode::*;
use crate::exits::Cold;
use crate::lower::Lowering;

impl Lowering<'_> {
    /// Goes to the version of block `id` with ops on floats evaluated where that is necessary.
    pub(crate) fn check_floats(&mut self, id: BlockId) {
        if !self.has_floats(id) {
            return;
        }
        let label = self.slow_version(id);
        self.asm.i(LWU, SCRATCH, STATE, FLOAT_IS_ODD);
        self.asm.branch(Branch::Ne, SCRATCH, ZERO, label);
        self.has_looked_at_mxcsr = true;
        if self.has_inner_label(id) {
            // Loops that come here are to meet a place where threads can be called out.
            let inner = self.inner_labels[id.0 as usize];
            self.asm.bind(inner);
            if !self.is_copy(id) {
                self.may_fault(LazyState { narrow: self.narrow, ..LazyState::default() });
            }
        }
    }

    pub(crate) fn has_floats(&self, id: BlockId) -> bool {
        self.region.block(id).insts.iter().any(|inst| inst.op.effects().contains(Effects::float))
    }

    /// Whether block `id` is to be entered behind its look at `mxcsr` too, by blocks that have looked.
    fn has_inner_label(&self, id: BlockId) -> bool {
        self.has_floats(id)
            && self.tier == Tier::Second
            && self.shapes.is_none()
            && self.read_in[id.0 as usize].is_empty()
    }

    /// Where the block at hand goes on in block `id`.
    pub(crate) fn way_to(&mut self, id: BlockId) -> Label {
        if let Some(n) = self.loop_to(id) {
            return self.way_in_loop(n, id);
        }
        if self.has_looked_at_mxcsr && !self.evaluates_floats && self.has_inner_label(id) {
            return self.inner_labels[id.0 as usize];
        }
        self.entry_of(id)
    }

    /// Where block `id` is with ops on floats evaluated.
    pub(crate) fn slow_version(&mut self, id: BlockId) -> Label {
        if let Some(label) = self.slow_versions[id.0 as usize] {
            return label;
        }
        let label = self.asm.label();
        self.slow_versions[id.0 as usize] = Some(label);
        self.cold.push(Cold::EvaluatedFloats { label, id });
        label
    }
}
