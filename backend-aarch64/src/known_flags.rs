//! Blocks that are entered with known flags, or with addresses that are known to be aligned.
//!
//! Where a block ends, its flags would have to be put away for what follows: most of all for the first access to memory of the next block, which may fault.
//! Instead the next block is copied for those that come from here, and the copy begins by saying anew what the flags are, in terms of the guest's registers.
//! That costs no instruction. The original stays for whoever comes from elsewhere. The same goes for addresses that need no second look.

use std::collections::HashMap;

use hokku_ir::{Addr, Block, BlockId, Effects, Exit, FlagSet, Gpr, Imm, Inst, Op, Region, Target, Value, Width};

use crate::flag_uses::blocks_that_see_flags;
use crate::known_alignment::{Fact, aligned_in, known_behind};
use crate::known_zeros::{write_zeros, zeros_at_entry, zeros_behind};

/// Most ops of a block that is copied.
const LONGEST: usize = 80;
/// Most copies of one block.
const COPIES: usize = 3;

/// A region with copies.
pub(crate) struct Known {
    /// The region; the copies come last.
    pub(crate) region: Region,
    /// Number of the blocks that are no copies.
    pub(crate) originals: usize,
    /// By block: how many ops at its start say what the flags are.
    pub(crate) told: Vec<usize>,
    /// By block: addresses in it that are known to be aligned to so many bytes.
    pub(crate) aligned: Vec<Vec<(Addr, u32)>>,
    /// The copy of the first block that is entered where these vector registers turn out to have zeros above their lowest 64 bits.
    pub(crate) entry: Option<(BlockId, u16)>,
    /// By block: it stands for a piece of guest code; of a block and its copies the first copy does.
    pub(crate) stands: Vec<bool>,
}

impl Known {
    /// `region` as it is.
    pub(crate) fn nothing(region: &Region) -> Known {
        let originals = region.blocks.len();
        let (told, aligned, stands) = (vec![0; originals], vec![Vec::new(); originals], vec![true; originals]);
        Known { region: region.clone(), originals, told, aligned, entry: None, stands }
    }

    /// `region` with copies of blocks that are entered with known flags, or above whose scalars zeros are known to be where that `needs_zeros`.
    pub(crate) fn copies(region: &Region, needs_zeros: bool) -> Known {
        let mut known = Known::nothing(region);
        if needs_zeros {
            known.region.blocks.iter_mut().for_each(|block| {
                write_zeros(block, 0);
            });
        }
        let sees = blocks_that_see_flags(region);
        let mut room = 2 * region.blocks.iter().map(|b| b.insts.len()).sum::<usize>();
        let mut copies: Vec<Copy> = Vec::new();
        let mut order = Order { next: vec![0], seen: vec![false; known.originals] };
        if let Some(zeros) = zeros_at_entry(region).filter(|_| needs_zeros && is_copied(&region.blocks[0])) {
            known.entry = Some((BlockId(known.originals as u32), zeros));
            known.copy(BlockId(0), &[], &[], zeros);
            copies.push(Copy { of: BlockId(0), told: Vec::new(), facts: Vec::new(), zeros });
            order.add(known.originals);
        }
        while let Some(n) = order.next() {
            let from = &known.region.blocks[n];
            let before = n.checked_sub(known.originals).map(|n| &copies[n]);
            let (flags, facts) =
                (flags_at_end(from).unwrap_or_default(), known_behind(from, before.map_or(&[], |c| &c.facts)));
            let zeros = if needs_zeros { zeros_behind(from, before.map_or(0, |c| c.zeros)) } else { 0 };
            let mut exit = from.exit;
            let mut lead = |known: &mut Known, to: &mut Target| {
                let Target::Block(of) = *to else { return };
                let block = known.region.block(of);
                if of.0 as usize >= known.originals || !is_copied(block) {
                    return;
                }
                let told = if sees[of.0 as usize].is_empty() { &[][..] } else { &flags };
                if told.is_empty() && aligned_in(block, &facts).is_empty() && !gains_zeros(block, zeros) {
                    return;
                }
                let length = block.insts.len() + told.len();
                let is_it = |c: &Copy| c.of == of && c.told == told && c.is_entered_with(&facts, zeros);
                let there = copies.iter().position(is_it);
                let number = there.or_else(|| {
                    let count = copies.iter().filter(|c| c.of == of).count();
                    if length > room || count >= COPIES {
                        return None;
                    }
                    room -= length;
                    known.copy(of, told, &facts, zeros);
                    copies.push(Copy { of, told: told.to_vec(), facts: facts.clone(), zeros });
                    Some(copies.len() - 1)
                });
                if let Some(number) = number {
                    *to = Target::Block(BlockId((known.originals + number) as u32));
                }
            };
            match &mut exit {
                Exit::Jump { to } => lead(&mut known, to),
                Exit::Branch { taken, next, .. } => {
                    lead(&mut known, taken);
                    lead(&mut known, next);
                }
                _ => {}
            }
            exit.successors(&mut |to| order.add(to.0 as usize));
            known.region.blocks[n].exit = exit;
        }
        known
    }

    /// Adds a copy of block `id` that begins with `told`, and is entered with `facts` and `zeros`.
    fn copy(&mut self, id: BlockId, told: &[Op], facts: &[Fact], zeros: u16) {
        let region = &mut self.region;
        let mut block = region.block(id).clone();
        let mut next = region.value_count;
        let mut fresh = || {
            next += 1;
            Value(next - 1)
        };
        let mut insts: Vec<Inst> = Vec::with_capacity(told.len() + block.insts.len());
        for mut op in told.iter().copied() {
            op.map_values(&mut |v| insts[v.0 as usize].value);
            insts.push(Inst { value: fresh(), op });
        }
        let mut new: HashMap<Value, Value> = HashMap::new();
        for mut inst in block.insts.drain(..) {
            inst.op.map_values(&mut |v| new[&v]);
            let value = fresh();
            new.insert(inst.value, value);
            insts.push(Inst { value, op: inst.op });
        }
        block.exit.map_values(&mut |v| new[&v]);
        block.insts = insts;
        region.value_count = next;
        self.aligned.push(aligned_in(&block, facts));
        write_zeros(&mut block, zeros);
        region.blocks.push(block);
        self.told.push(told.len());
        let is_first = std::mem::replace(&mut self.stands[id.0 as usize], false);
        self.stands.push(is_first);
    }
}

/// The order in which blocks are looked at: those first that the region's entry leads to by way of copies.
struct Order {
    next: Vec<usize>,
    seen: Vec<bool>,
}

impl Order {
    fn add(&mut self, block: usize) {
        self.next.push(block);
    }

    fn next(&mut self) -> Option<usize> {
        loop {
            let n = match self.next.pop() {
                Some(n) => n,
                None => self.seen.iter().position(|seen| !seen)?,
            };
            if n >= self.seen.len() {
                self.seen.resize(n + 1, false);
            }
            if !std::mem::replace(&mut self.seen[n], true) {
                return Some(n);
            }
        }
    }
}

/// Of which block a copy is, the ops that it begins with, and what it takes for known.
struct Copy {
    of: BlockId,
    told: Vec<Op>,
    facts: Vec<Fact>,
    zeros: u16,
}

impl Copy {
    fn is_entered_with(&self, facts: &[Fact], zeros: u16) -> bool {
        self.facts.iter().all(|f| facts.contains(f)) && self.zeros & !zeros == 0
    }
}

/// Whether `block` may be copied: not a long one, and one with a place where a thread that is called can be stopped.
fn is_copied(block: &Block) -> bool {
    block.insts.len() <= LONGEST && can_be_stopped(block)
}

/// Whether `block` has a place other than its start where a thread that is called can be stopped.
pub(crate) fn can_be_stopped(block: &Block) -> bool {
    has_access(block) || stop_at(block).is_some()
}

fn has_access(block: &Block) -> bool {
    block.insts.iter().any(|i| matches!(i.op, Op::Load { .. } | Op::Store { .. }))
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

/// What is known at the end of a block.
struct End<'a> {
    block: &'a Block,
    /// Values that the low bits of guest registers are.
    held: Vec<(Value, Gpr)>,
    /// Ops that give the flags from the guest's registers; values number them.
    told: Vec<Op>,
}

/// Ops that give the flags at the end of `block` from the guest's registers as they are then, where there are such: values number them. What they do not set is as before the block.
fn flags_at_end(block: &Block) -> Option<Vec<Op>> {
    let mut sets = block.insts.iter().rev().filter_map(|i| match i.op {
        Op::SetFlags { set, v } => Some((set, v)),
        _ => None,
    });
    let (set, flags) = sets.next()?;
    let is_alone = set.is_all() || sets.all(|(older, _)| set.contains(older));
    // The last to change them.
    let changes = |i: &Inst| hokku_ir::lowering::sees_flags(&i.op);
    if !is_alone || block.insts.iter().any(changes) {
        return None;
    }
    let mut end = End { block, held: held_at_end(block), told: Vec::new() };
    let op = match end.op_of(flags)? {
        Op::SubFlags { w, a, b } => {
            let (a, b) = end.operands(w, a, b, Op::Sub { w, a, b })?;
            Op::SubFlags { w, a, b }
        }
        Op::AddFlags { w, a, b } => {
            let (a, b) = end.operands(w, a, b, Op::Add { w, a, b })?;
            Op::AddFlags { w, a, b }
        }
        Op::IncFlags { w, a } if !set.contains(FlagSet::CF) => Op::IncFlags { w, a: end.before_one(w, a, false)? },
        Op::DecFlags { w, a } if !set.contains(FlagSet::CF) => Op::DecFlags { w, a: end.before_one(w, a, true)? },
        Op::LogicFlags { w, v } => {
            let v = match end.value(w, v) {
                Some(v) => v,
                None => {
                    let Op::And { w, a, b } = end.op_of(v)? else { return None };
                    let (a, b) = (end.value(w, a)?, end.value(w, b)?);
                    end.tell(Op::And { w, a, b })
                }
            };
            Op::LogicFlags { w, v }
        }
        _ => return None,
    };
    let v = end.tell(op);
    end.tell(Op::SetFlags { set, v });
    Some(end.told)
}

fn held_at_end(block: &Block) -> Vec<(Value, Gpr)> {
    let mut held: Vec<(Value, Gpr)> = Vec::new();
    for inst in &block.insts {
        match inst.op {
            Op::GetGpr { reg, .. } => held.push((inst.value, reg)),
            Op::SetGpr { reg, v, .. } => {
                held.retain(|h| h.1 != reg);
                held.push((v, reg));
            }
            Op::SetGprHigh { reg, .. } => held.retain(|h| h.1 != reg),
            Op::SetFlags { .. } | Op::SetVec { .. } => {}
            op if op.effects().contains(Effects::writes_state) => held.clear(),
            _ => {}
        }
    }
    held
}

impl End<'_> {
    fn tell(&mut self, op: Op) -> Value {
        if let Some(n) = self.told.iter().position(|o| *o == op) {
            return Value(n as u32);
        }
        self.told.push(op);
        Value(self.told.len() as u32 - 1)
    }

    fn op_of(&self, v: Value) -> Option<Op> {
        self.block.insts.iter().find(|i| i.value == v).map(|i| i.op)
    }

    fn constant(&self, v: Value) -> Option<u64> {
        match self.op_of(v)? {
            Op::Iconst { value, .. } => Some(value.0),
            Op::Truncate { v, .. } => self.constant(v),
            _ => None,
        }
    }

    /// The guest register whose low bits `v` is.
    fn register(&self, v: Value) -> Option<Gpr> {
        let held = self.held.iter().find(|h| h.0 == v).map(|h| h.1);
        held.or_else(|| match self.op_of(v)? {
            Op::Truncate { v, .. } => self.register(v),
            _ => None,
        })
    }

    /// `v` of width `w`, if it is a constant or in a register.
    fn value(&mut self, w: Width, v: Value) -> Option<Value> {
        if let Some(n) = self.constant(v) {
            return Some(self.tell(Op::Iconst { w, value: Imm(n & w.mask()) }));
        }
        let reg = self.register(v)?;
        Some(self.tell(Op::GetGpr { reg, w }))
    }

    /// The operands of the sum or difference `op`; the first may be computed back from the result.
    fn operands(&mut self, w: Width, a: Value, b: Value, op: Op) -> Option<(Value, Value)> {
        if let Some(first) = self.value(w, a) {
            return Some((first, self.value(w, b)?));
        }
        let result = self.block.insts.iter().find(|i| i.op == op)?.value;
        let (result, b) = (self.value(w, result)?, self.value(w, b)?);
        let a = match op {
            Op::Sub { .. } => Op::Add { w, a: result, b },
            _ => Op::Sub { w, a: result, b },
        };
        Some((self.tell(a), b))
    }

    /// The operand of `inc` or `dec`, which may be computed back from the result.
    fn before_one(&mut self, w: Width, a: Value, less: bool) -> Option<Value> {
        if let Some(a) = self.value(w, a) {
            return Some(a);
        }
        let is_it = |i: &&Inst| match i.op {
            Op::Add { w: of, a: x, b } => !less && of == w && x == a && self.constant(b) == Some(1),
            Op::Sub { w: of, a: x, b } => less && of == w && x == a && self.constant(b) == Some(1),
            _ => false,
        };
        let result = self.block.insts.iter().find(is_it)?.value;
        let a = self.value(w, result)?;
        let b = self.tell(Op::Iconst { w, value: Imm(1) });
        Some(self.tell(if less { Op::Add { w, a, b } } else { Op::Sub { w, a, b } }))
    }
}
