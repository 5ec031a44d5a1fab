//! Regions: what discovery found, cut into blocks.

use std::collections::BTreeMap;

use hokku_ir::{Block, BlockId, BlockKey, Exit, GuestAddr, Inst, Op, Region, Target, Trap, Value};

use crate::decode::CodeSource;
use crate::discover::{Found, Limits, Piece, discover};
use crate::emit::Step;

/// Translates the guest code at `key.pc` and what it reaches by direct jumps within `limits`.
///
/// Never fails. Where the code cannot be read, the block ends with [`Trap::Fetch`], whose `next` is the first address that is not readable;
/// where the bytes are no instruction, with [`Trap::InvalidOpcode`]; where the instruction has no translator, with
/// [`Trap::Untranslated`]. With `key.single_step` the region is one instruction, which ends with [`Trap::Debug`] unless it transfers control.
pub fn translate(code: &dyn CodeSource, key: BlockKey, limits: &Limits) -> Region {
    let found = discover(code, key, limits);
    let entry = std::iter::once(key.pc);
    let others = found.leaders.iter().copied().filter(|at| *at != key.pc && found.pieces.contains_key(at));
    let starts: Vec<GuestAddr> = entry.chain(others).collect();
    let ids: BTreeMap<GuestAddr, BlockId> = starts.iter().copied().zip((0..).map(BlockId)).collect();
    let mut value_count = 0;
    let blocks = starts.iter().map(|at| block(&found, &ids, *at, &mut value_count)).collect();
    Region { key, blocks, value_count, ranges: ranges(&found.pieces) }
}

/// The block at `start`: instructions up to the next block's start or the end of what was found.
fn block(found: &Found, ids: &BTreeMap<GuestAddr, BlockId>, start: GuestAddr, value_count: &mut u32) -> Block {
    let mut insts = Vec::new();
    let mut at = start;
    let exit = loop {
        let Some(piece) = found.pieces.get(&at).filter(|_| at == start || !ids.contains_key(&at)) else {
            break Exit::Jump { to: Target::Guest(at) };
        };
        let old = &found.insts[piece.insts.clone()];
        let renumber = renumbering(old, *value_count);
        insts.extend(old.iter().map(|inst| renumbered(inst, &renumber)));
        *value_count += old.len() as u32;
        match piece.step {
            Step::Next => at = piece.next,
            Step::End(mut exit) => {
                exit.map_values(&mut |v| renumber(v));
                break exit;
            }
        }
    };
    Block { pc: start, insts, exit: resolved(exit, ids) }
}

/// Maps the values of `insts`, numbered in order from the first's, to numbers from `base`.
fn renumbering(insts: &[Inst], base: u32) -> impl Fn(Value) -> Value + use<> {
    let first = insts.first().map_or(0, |inst| inst.value.0);
    move |v| Value(v.0.wrapping_sub(first).wrapping_add(base))
}

fn renumbered(inst: &Inst, renumber: &impl Fn(Value) -> Value) -> Inst {
    let mut op: Op = inst.op;
    op.map_values(&mut |v| renumber(v));
    Inst { value: renumber(inst.value), op }
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
        Exit::Indirect { .. } | Exit::Return { .. } | Exit::Syscall { .. } | Exit::Trap { .. } => {}
    }
    exit
}

/// The guest bytes of `pieces`, in contiguous runs. The first unreadable byte belongs to them: code that appears there changes the region.
fn ranges(pieces: &BTreeMap<GuestAddr, Piece>) -> Vec<(GuestAddr, u32)> {
    let mut ranges: Vec<(GuestAddr, u32)> = Vec::new();
    for (at, piece) in pieces {
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
