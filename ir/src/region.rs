//! Regions, blocks and values.

use crate::exit::{Exit, Target};
use crate::guest::GuestAddr;
use crate::key::BlockKey;
use crate::ops::Op;

/// The result of an op. Numbers are unique within a region; a value is used only in the block that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

/// A block's place in its region's list; block 0 is the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u32);

/// One op and the value it defines (a number without meaning where the op has no result).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inst {
    /// The result.
    pub value: Value,
    /// The operation.
    pub op: Op,
}

/// A single-entry run of guest instructions with one exit.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Address of its first guest instruction.
    pub pc: GuestAddr,
    /// Ops in program order; each guest instruction starts with an `insn` op.
    pub insts: Vec<Inst>,
    /// How it ends.
    pub exit: Exit,
}

/// The most values that a region that is evaluated may have: numbers of 16 bits, some of which the evaluator has for constants and
/// registers.
pub const MAX_VALUES: u32 = (1 << 16) - 512;

/// Blocks connected by direct jumps: the unit of translation.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// What the code is specialised for; `key.pc` is block 0's address.
    pub key: BlockKey,
    /// The blocks; block 0 is the entry.
    pub blocks: Vec<Block>,
    /// One more than the largest value number.
    pub value_count: u32,
    /// Guest bytes that the region was made from: start and length of each contiguous piece.
    pub ranges: Vec<(GuestAddr, u32)>,
}

impl Region {
    /// The block that `id` names.
    pub fn block(&self, id: BlockId) -> &Block {
        &self.blocks[id.0 as usize]
    }

    /// Ids of all blocks in order.
    pub fn block_ids(&self) -> impl Iterator<Item = BlockId> + use<> {
        (0..self.blocks.len() as u32).map(BlockId)
    }

    /// Blocks in the order in which back ends place their code: the entry first, then each behind the one that falls through to it where possible.
    pub fn code_order(&self) -> Vec<BlockId> {
        let mut placed = vec![false; self.blocks.len()];
        let mut order = Vec::with_capacity(self.blocks.len());
        for start in self.block_ids() {
            let mut at = Some(start);
            while let Some(id) = at.filter(|b| !placed[b.0 as usize]) {
                placed[id.0 as usize] = true;
                order.push(id);
                let local = |t: &Target| match t {
                    Target::Block(b) if !placed[b.0 as usize] => Some(*b),
                    _ => None,
                };
                at = match &self.block(id).exit {
                    Exit::Jump { to } => local(to),
                    Exit::Branch { taken, next, .. } => local(next).or_else(|| local(taken)),
                    Exit::Call { ret_block, .. } | Exit::IndirectCall { ret_block, .. } => *ret_block,
                    _ => None,
                };
            }
        }
        order
    }
}
