//! What is known where blocks are entered: flags, addresses that are aligned, vector registers with zeros above their scalars.

use hokku_ir::lowering::{Knowledge, Known, has_access};
use hokku_ir::{Block, Effects, Inst, Region};

use crate::flag_uses::blocks_that_see_flags;
use crate::known_alignment::{Fact, aligned_in, known_behind};
use crate::known_zeros::{write_zeros, zeros_at_entry, zeros_behind};

/// What is known where a block is entered, beside flags.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) alignment: Vec<Fact>,
    /// Vector registers with zeros above their lowest 64 bits, by number.
    pub(crate) zeros: u16,
}

/// How blocks gain from that.
struct Gains {
    /// From zeros above scalars, too.
    needs_zeros: bool,
}

impl Knowledge for Gains {
    type Facts = Facts;

    fn is_copied(&self, block: &Block) -> bool {
        can_be_stopped(block)
    }

    fn behind(&self, block: &Block, before: &Facts) -> Facts {
        let zeros = if self.needs_zeros { zeros_behind(block, before.zeros) } else { 0 };
        Facts { alignment: known_behind(block, &before.alignment), zeros }
    }

    fn helps(&self, block: &Block, facts: &Facts) -> bool {
        !aligned_in(block, &facts.alignment).is_empty() || gains_zeros(block, facts.zeros)
    }

    fn contains(&self, facts: &Facts, relied: &Facts) -> bool {
        relied.alignment.iter().all(|f| facts.alignment.contains(f)) && relied.zeros & !facts.zeros == 0
    }

    fn rely(&self, block: &mut Block, facts: &Facts) {
        write_zeros(block, facts.zeros);
    }
}

/// `region` with copies of blocks that are entered with known flags, or above whose scalars zeros are known to be where that `needs_zeros`.
pub(crate) fn copies(region: &Region, needs_zeros: bool) -> Known<Facts> {
    let sees = blocks_that_see_flags(region);
    let at_entry = zeros_at_entry(region).filter(|_| needs_zeros);
    let mut region = region.clone();
    if needs_zeros {
        region.blocks.iter_mut().for_each(|block| {
            write_zeros(block, 0);
        });
    }
    let facts = at_entry.map(|zeros| Facts { zeros, ..Facts::default() });
    Known::copies(&region, &sees, &Gains { needs_zeros }, facts)
}

/// Whether `block` has a place other than its start where a thread that is called can be stopped.
pub(crate) fn can_be_stopped(block: &Block) -> bool {
    has_access(block) || stop_at(block).is_some()
}

/// The place where a thread in a copy `block` can be stopped though that has no access to memory: its first operation on floats, if nothing else may fault.
pub(crate) fn stop_at(block: &Block) -> Option<usize> {
    let may_fault = |i: &Inst| i.op.effects().contains(Effects::may_fault);
    let is_float = |i: &Inst| i.op.effects().contains(Effects::float);
    let only_floats = !has_access(block) && block.insts.iter().all(|i| is_float(i) || !may_fault(i));
    block.insts.iter().position(may_fault).filter(|_| only_floats)
}

/// Whether scalars are written in `block` above which `zeros` are known to be, with several operations on floats that can use that.
fn gains_zeros(block: &Block, zeros: u16) -> bool {
    let floats = block.insts.iter().filter(|i| i.op.effects().contains(Effects::float)).count();
    floats > 1 && write_zeros(&mut block.clone(), zeros) > write_zeros(&mut block.clone(), 0)
}
