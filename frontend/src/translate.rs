//! Regions: what discovery found, cut into blocks.

use std::cell::RefCell;

use hokku_ir::{Block, BlockId, BlockKey, Exit, GuestAddr, Inst, Region, Target, Trap};

use crate::decode::CodeSource;
use crate::discover::{Found, Limits, Piece, discover};
use crate::emit::Step;

/// Translates the guest code at `key.pc` and what it reaches by direct jumps within `limits`.
///
/// Never fails. Where the code cannot be read, the block ends with [`Trap::Fetch`], whose `next` is the first address that is not readable;
/// where the bytes are no instruction, with [`Trap::InvalidOpcode`]; where the instruction has no translator, with
/// [`Trap::Untranslated`]. With `key.single_step` the region is one instruction, which ends with [`Trap::Debug`] unless it transfers control.
pub fn translate(code: &dyn CodeSource, key: BlockKey, limits: &Limits) -> Region {
    let mut found = ROOM.take();
    discover(code, key, limits, &mut found);
    let mut starts = Starts(Vec::with_capacity(found.leaders.len()));
    starts.0.push(key.pc);
    for at in &found.leaders {
        if let Some(place) = found.places.find(*at) {
            found.pieces[place as usize].starts_block = true;
            if *at != key.pc {
                starts.0.push(*at);
            }
        }
    }
    let mut room = std::mem::take(&mut found.block_rooms);
    let blocks = starts.0.iter().map(|at| block(&found, &starts, *at, room.pop().unwrap_or_default())).collect();
    found.block_rooms = room;
    let region = Region { key, blocks, value_count: found.value_count, ranges: ranges(&found.pieces) };
    ROOM.set(found);
    region
}

thread_local! {
    /// Memory that one translation leaves to the next.
    static ROOM: RefCell<Found> = RefCell::default();
}

/// The most lists of ops that are kept for later regions: as many as a large region has blocks.
const MOST_ROOMS: usize = 32;

/// Gives the memory of `region`, which is needed no more, to the regions that this thread translates next.
pub fn reuse(region: Region) {
    ROOM.with_borrow_mut(|found| {
        for mut block in region.blocks {
            if found.block_rooms.len() < MOST_ROOMS {
                block.insts.clear();
                found.block_rooms.push(block.insts);
            }
        }
    });
}

/// Where blocks start, by number: the region's entry, then the others in order.
struct Starts(Vec<GuestAddr>);

impl Starts {
    /// The block at `at`.
    fn block(&self, at: GuestAddr) -> Option<BlockId> {
        let (entry, others) = self.0.split_first()?;
        let number = if at == *entry { 0 } else { others.binary_search(&at).ok()? + 1 };
        Some(BlockId(number as u32))
    }
}

/// The block at `start`: instructions up to the next block's start or the end of what was found. Each instruction is in one block only,
/// because wherever two ways meet a block starts; so values stay unique. Its ops are collected in `insts`, which is empty.
fn block(found: &Found, starts: &Starts, start: GuestAddr, mut insts: Vec<Inst>) -> Block {
    // Instructions found one after the other have their ops side by side: copied in one go.
    let mut run = 0..0;
    let mut at = start;
    let exit = loop {
        let place = found.places.find(at).map(|place| place as usize);
        let Some(mut place) = place.filter(|place| at == start || !found.pieces[*place].starts_block) else {
            break Exit::Jump { to: Target::Guest(at) };
        };
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
                Some(next) if matches!(piece.step, Step::Next) && next.at == piece.next && !next.starts_block => {
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
    Block { pc: start, insts, exit: resolved(exit, starts) }
}

/// `exit` with blocks of the region for the guest addresses that have one.
fn resolved(mut exit: Exit, starts: &Starts) -> Exit {
    let resolve = |t: &mut Target| {
        if let Target::Guest(at) = t {
            if let Some(id) = starts.block(*at) {
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
            *ret_block = starts.block(*ret);
        }
        Exit::IndirectCall { ret, ret_block, .. } => *ret_block = starts.block(*ret),
        Exit::Indirect { .. }
        | Exit::Dispatch { .. }
        | Exit::Return { .. }
        | Exit::Syscall { .. }
        | Exit::Trap { .. } => {}
    }
    exit
}

/// The guest bytes of what was found, in contiguous runs. The first unreadable byte belongs to them: code that appears there changes the region.
fn ranges(pieces: &[Piece]) -> Vec<(GuestAddr, u32)> {
    let mut ranges: Vec<(GuestAddr, u32)> = Vec::new();
    // Most instructions were found right after the one before them.
    for piece in pieces {
        let unreadable = matches!(piece.step, Step::End(Exit::Trap { trap: Trap::Fetch, .. }));
        let len = u32::from(piece.len) + u32::from(unreadable);
        match ranges.last_mut() {
            Some((start, run)) if start.0.checked_add(u64::from(*run)) == Some(piece.at.0) => *run += len,
            _ => ranges.push((piece.at, len)),
        }
    }
    ranges.sort_unstable();
    ranges.dedup_by(|(at, len), (start, run)| {
        let touches = at.0 - start.0 <= u64::from(*run);
        if touches {
            *run = (*run).max((at.0 - start.0) as u32 + *len);
        }
        touches
    });
    ranges
}
