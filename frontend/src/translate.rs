//! Regions: what discovery found, cut into blocks.

use std::cell::RefCell;

use hokku_ir::{Block, BlockId, BlockKey, Exit, GuestAddr, Region, Target};

use crate::decode::CodeSource;
use crate::discover::{Found, Limits, Span, discover};
use crate::places::Places;

/// Translates the guest code at `key.pc` and what it reaches by direct jumps within `limits`.
///
/// Never fails. Where the code cannot be read, the block ends with [`Trap::Fetch`], whose `next` is the first address that is not readable;
/// where the bytes are no instruction, with [`Trap::InvalidOpcode`]; where the instruction has no translator, with
/// [`Trap::Untranslated`]. With `key.single_step` the region is one instruction, which ends with [`Trap::Debug`] unless it transfers control.
pub fn translate(code: &dyn CodeSource, key: BlockKey, limits: &Limits) -> Region {
    let mut found = ROOM.take();
    discover(code, key, limits, &mut found);
    cut(&mut found);
    found.spans.sort_unstable_by_key(|span| span.start);
    let ranges = ranges(&found.spans);
    let region = Region { key, blocks: in_order(&mut found), value_count: found.value_count, ranges };
    ROOM.set(found);
    region
}

thread_local! {
    /// Memory that one translation leaves to the next.
    static ROOM: RefCell<Found> = RefCell::default();
}

/// The most lists of ops that are kept for later regions: as many as a large region has blocks.
const MOST_ROOMS: usize = 32;

/// Gives the memory of `blocks`, which are needed no more, to the regions that this thread translates next.
pub fn reuse(blocks: Vec<Block>) {
    // Where the thread ends, it translates no more.
    let _ = ROOM.try_with(|found| {
        let rooms = &mut found.borrow_mut().rooms;
        for Block { mut insts, .. } in blocks {
            if rooms.len() < MOST_ROOMS {
                insts.clear();
                rooms.push(insts);
            }
        }
    });
}

/// Cuts the blocks that jumps lead into: their tails become blocks of their own.
fn cut(found: &mut Found) {
    found.cuts.sort_unstable();
    let uncut = found.blocks.len();
    // From the last one on: what is cut off is not cut again.
    for (value, pc) in found.cuts.drain(..).rev() {
        let after = found.blocks[..uncut].partition_point(|b| b.insts[0].value.0 <= value);
        let block = &mut found.blocks[after - 1];
        let first = block.insts.partition_point(|i| i.value.0 < value);
        let mut insts = found.rooms.pop().unwrap_or_default();
        insts.extend_from_slice(&block.insts[first..]);
        block.insts.truncate(first);
        let exit = std::mem::replace(&mut block.exit, Exit::Jump { to: Target::Guest(pc) });
        // Its code is in the other one's span.
        found.spans.push(Span { start: pc, len: 0, block: Some(found.blocks.len()) });
        found.blocks.push(Block { pc, insts, exit });
    }
}

/// The blocks by number: the region's entry, which was found first, then the others in order, as the spans are. They lead to each other.
fn in_order(found: &mut Found) -> Vec<Block> {
    let Found { blocks, spans, places, .. } = found;
    let others = spans.iter().filter_map(|span| span.block).filter(|n| *n != 0);
    let order = || std::iter::once(0).chain(others.clone());
    for (number, n) in (0..).zip(order()) {
        places.set_block(blocks[n].pc, BlockId(number));
    }
    let take = |n: usize| {
        let Block { pc, insts, exit } = &mut blocks[n];
        Block { pc: *pc, insts: std::mem::take(insts), exit: resolved(*exit, places) }
    };
    let mut blocks = Vec::with_capacity(spans.len());
    blocks.extend(order().map(take));
    blocks
}

/// `exit` with blocks of the region for the guest addresses that have one.
fn resolved(mut exit: Exit, places: &Places) -> Exit {
    let resolve = |t: &mut Target| {
        if let Target::Guest(at) = t {
            if let Some(id) = places.block(*at) {
                *t = Target::Block(id);
            }
        }
    };
    match &mut exit {
        Exit::Jump { to } => resolve(to),
        Exit::Branch { taken, next, .. } => {
            resolve(taken);
            resolve(next);
        }
        Exit::Call { to, ret, ret_block } => {
            resolve(to);
            *ret_block = places.block(*ret);
        }
        Exit::IndirectCall { ret, ret_block, .. } => *ret_block = places.block(*ret),
        Exit::Indirect { .. }
        | Exit::Dispatch { .. }
        | Exit::Return { .. }
        | Exit::Syscall { .. }
        | Exit::Trap { .. } => {}
    }
    exit
}

/// The contiguous pieces of guest code of `spans`, which are in order.
fn ranges(spans: &[Span]) -> Vec<(GuestAddr, u32)> {
    let mut ranges: Vec<(GuestAddr, u32)> = Vec::new();
    for &Span { start: at, len, .. } in spans {
        match ranges.last_mut() {
            Some((start, run)) if at.0 - start.0 <= u64::from(*run) => *run = (*run).max((at.0 - start.0) as u32 + len),
            _ => ranges.push((at, len)),
        }
    }
    ranges
}
