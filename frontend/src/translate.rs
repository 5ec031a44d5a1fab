//! Regions: what discovery found, cut into blocks.

use std::collections::BTreeMap;

use hokku_ir::{Block, BlockId, BlockKey, Exit, GuestAddr, Region, Target, Trap};

use crate::decode::CodeSource;
use crate::discover::{Found, Limits, discover};
use crate::emit::Step;

/// Translates the guest code at `key.pc` and what it reaches by direct jumps within `limits`.
///
/// Never fails. Where the code cannot be read, the block ends with [`Trap::Fetch`], whose `next` is the first address that is not readable;
/// where the bytes are no instruction, with [`Trap::InvalidOpcode`]; where the instruction has no translator, with
/// [`Trap::Untranslated`]. With `key.single_step` the region is one instruction, which ends with [`Trap::Debug`] unless it transfers control.
pub fn translate(code: &dyn CodeSource, key: BlockKey, limits: &Limits) -> Region {
    let found = discover(code, key, limits);
    let entry = std::iter::once(key.pc);
    let others = found.leaders.iter().copied().filter(|at| *at != key.pc && found.places.contains_key(at));
    let starts: Vec<GuestAddr> = entry.chain(others).collect();
    let ids: BTreeMap<GuestAddr, BlockId> = starts.iter().copied().zip((0..).map(BlockId)).collect();
    let blocks = starts.iter().map(|at| block(&found, &ids, *at)).collect();
    Region { key, blocks, value_count: found.value_count, ranges: ranges(&found) }
}

/// The block at `start`: instructions up to the next block's start or the end of what was found. Each instruction is in one block only,
/// because wherever two ways meet a block starts; so values stay unique.
fn block(found: &Found, ids: &BTreeMap<GuestAddr, BlockId>, start: GuestAddr) -> Block {
    let mut insts = Vec::new();
    // Instructions found one after the other have their ops side by side: copied in one go.
    let mut run = 0..0;
    let mut at = start;
    let exit = loop {
        let Some(place) = found.places.get(&at).filter(|_| at == start || !ids.contains_key(&at)) else {
            break Exit::Jump { to: Target::Guest(at) };
        };
        let mut place = *place as usize;
        let mut piece = &found.pieces[place];
        loop {
            if run.end == piece.insts.start {
                run.end = piece.insts.end;
            } else {
                insts.extend_from_slice(&found.insts[run]);
                run = piece.insts.clone();
            }
            // The next instruction was mostly found right after this one.
            match found.pieces.get(place + 1) {
                Some(next) if piece.step == Step::Next && next.at == piece.next && !ids.contains_key(&next.at) => {
                    place += 1;
                    piece = next;
                }
                _ => break,
            }
        }
        match piece.step {
            Step::Next => at = piece.next,
            Step::End(exit) => break exit,
        }
    };
    insts.extend_from_slice(&found.insts[run]);
    Block { pc: start, insts, exit: resolved(exit, ids) }
}

/// `exit` with blocks of the region for the guest addresses that have one.
fn resolved(mut exit: Exit, ids: &BTreeMap<GuestAddr, BlockId>) -> Exit {
    let resolve = |t: &mut Target| {
        if let Target::Guest(at) = t {
            if let Some(id) = ids.get(at) {
                *t = Target::Block(*id);
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
            *ret_block = ids.get(ret).copied();
        }
        Exit::IndirectCall { ret, ret_block, .. } => *ret_block = ids.get(ret).copied(),
        Exit::Indirect { .. }
        | Exit::Dispatch { .. }
        | Exit::Return { .. }
        | Exit::Syscall { .. }
        | Exit::Trap { .. } => {}
    }
    exit
}

/// The guest bytes of what was found, in contiguous runs. The first unreadable byte belongs to them: code that appears there changes the region.
fn ranges(found: &Found) -> Vec<(GuestAddr, u32)> {
    let mut ranges: Vec<(GuestAddr, u32)> = Vec::new();
    for (at, place) in &found.places {
        let piece = &found.pieces[*place as usize];
        let unreadable = matches!(piece.step, Step::End(Exit::Trap { trap: Trap::Fetch, .. }));
        let len = u32::from(piece.len) + u32::from(unreadable);
        match ranges.last_mut() {
            Some((start, run)) if at.0 - start.0 <= u64::from(*run) => {
                *run = (*run).max((at.0 - start.0) as u32 + len);
            }
            _ => ranges.push((*at, len)),
        }
    }
    ranges
}
