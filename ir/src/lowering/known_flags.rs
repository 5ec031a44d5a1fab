//! Copies of blocks that are entered with known flags.
//!
//! Where a block ends, its flags would have to be put away for what follows: most of all for the first access to memory of the next block, which may fault.
//! Instead the next block is copied for those that come from here, and the copy begins by saying anew what the flags are, in terms of the guest's registers.
//! That costs no instruction. The original stays for whoever comes from elsewhere. What else a back end can make use of goes the same way ([`Knowledge`]).

use std::collections::HashMap;

use crate::exit::{Exit, Target};
use crate::guest::{FlagSet, Gpr};
use crate::operand::{Imm, Width};
use crate::ops::{Effects, Op};
use crate::region::{Block, BlockId, Inst, Region, Value};

/// Most ops of a block that is copied.
const LONGEST: usize = 80;
/// Most copies of one block.
const COPIES: usize = 3;

/// What a back end takes for known where a block is entered, beside flags.
pub trait Knowledge {
    /// What is known at a place.
    type Facts: Clone + Default;

    /// Whether `block`, which is not too long, may be copied: it needs a place where a thread that is called can be stopped, other than its start.
    fn is_copied(&self, block: &Block) -> bool {
        has_access(block)
    }
    /// What is known behind `block`, which is entered with `before`.
    fn behind(&self, block: &Block, before: &Self::Facts) -> Self::Facts;
    /// Whether `block` has better code where it is entered with `facts`.
    fn helps(&self, block: &Block, facts: &Self::Facts) -> bool;
    /// Whether a copy that relies on `relied` may be entered with `facts`.
    fn contains(&self, facts: &Self::Facts, relied: &Self::Facts) -> bool;
    /// Has the copy `block` rely on `facts`.
    fn rely(&self, block: &mut Block, facts: &Self::Facts);
}

/// Nothing beside flags.
#[derive(Clone, Copy, Debug)]
pub struct FlagsAlone;

impl Knowledge for FlagsAlone {
    type Facts = ();

    fn behind(&self, _: &Block, (): &()) {}
    fn helps(&self, _: &Block, (): &()) -> bool {
        false
    }
    fn contains(&self, (): &(), (): &()) -> bool {
        true
    }
    fn rely(&self, _: &mut Block, (): &()) {}
}

/// A region with copies.
#[derive(Clone, Debug)]
pub struct Known<F> {
    /// The region; the copies come last.
    pub region: Region,
    /// Number of the blocks that are no copies.
    pub originals: usize,
    /// By block: how many ops at its start say what the flags are.
    pub told: Vec<usize>,
    /// By block: what it relies on.
    pub facts: Vec<F>,
    /// The copy of the first block for who enters the region with what it relies on.
    pub entry: Option<BlockId>,
    /// By block: it stands for a piece of guest code; of a block and its copies the first copy does.
    pub stands: Vec<bool>,
}

impl<F: Clone + Default> Known<F> {
    /// `region` as it is.
    pub fn nothing(region: &Region) -> Known<F> {
        let originals = region.blocks.len();
        let (told, facts, stands) = (vec![0; originals], vec![F::default(); originals], vec![true; originals]);
        Known { region: region.clone(), originals, told, facts, entry: None, stands }
    }

    /// `region` with copies of blocks that are entered with known flags, or with facts that help; `sees` tells which flags somebody may see of those
    /// before each block. The first block has a copy for who enters it with `at_entry`, if that is given and the block may be copied.
    pub fn copies<K: Knowledge<Facts = F>>(
        region: &Region,
        sees: &[FlagSet],
        knowledge: &K,
        at_entry: Option<F>,
    ) -> Known<F> {
        let mut known = Known::nothing(region);
        let is_copied = |block: &Block| block.insts.len() <= LONGEST && knowledge.is_copied(block);
        let mut room = 2 * region.blocks.iter().map(|b| b.insts.len()).sum::<usize>();
        let mut copies: Vec<Copy<F>> = Vec::new();
        let mut order = Order { next: vec![0], seen: vec![false; known.originals] };
        if let Some(facts) = at_entry.filter(|_| is_copied(&region.blocks[0])) {
            known.entry = Some(BlockId(known.originals as u32));
            known.copy(BlockId(0), &[], knowledge, &facts);
            copies.push(Copy { of: BlockId(0), told: Vec::new(), facts });
            order.add(known.originals);
        }
        while let Some(n) = order.next() {
            let from = &known.region.blocks[n];
            let flags = flags_at_end(from).unwrap_or_default();
            let facts = knowledge.behind(from, &known.facts[n]);
            let mut exit = from.exit;
            let mut lead = |known: &mut Known<F>, to: &mut Target| {
                let Target::Block(of) = *to else { return };
                let block = known.region.block(of);
                if of.0 as usize >= known.originals || !is_copied(block) {
                    return;
                }
                let told = if sees[of.0 as usize].is_empty() { &[][..] } else { &flags };
                if told.is_empty() && !knowledge.helps(block, &facts) {
                    return;
                }
                let length = block.insts.len() + told.len();
                let is_it = |c: &Copy<F>| c.of == of && c.told == told && knowledge.contains(&facts, &c.facts);
                let there = copies.iter().position(is_it);
                let number = there.or_else(|| {
                    let count = copies.iter().filter(|c| c.of == of).count();
                    if length > room || count >= COPIES {
                        return None;
                    }
                    room -= length;
                    known.copy(of, told, knowledge, &facts);
                    copies.push(Copy { of, told: told.to_vec(), facts: facts.clone() });
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

    /// Adds a copy of block `id` that begins with `told`, and relies on `facts`.
    fn copy<K: Knowledge<Facts = F>>(&mut self, id: BlockId, told: &[Op], knowledge: &K, facts: &F) {
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
        knowledge.rely(&mut block, facts);
        region.blocks.push(block);
        self.facts.push(facts.clone());
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
struct Copy<F> {
    of: BlockId,
    told: Vec<Op>,
    facts: F,
}

/// Whether `block` has an access to memory.
pub fn has_access(block: &Block) -> bool {
    block.insts.iter().any(|i| matches!(i.op, Op::Load { .. } | Op::Store { .. }))
}

/// Whether `op`, which is used once, is one of the ops `told` that say what the flags are, for who reads them alone.
pub fn is_told(told: &[Inst], op: &Op) -> bool {
    matches!(op, Op::Add { .. } | Op::Sub { .. } | Op::And { .. }) && told.iter().any(|i| i.op == *op)
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
    let changes = |i: &Inst| super::sees_flags(&i.op);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::{FaultsSee, flags_live_in};
    use crate::text::parse;

    /// A loop that counts `rcx` down, with `access` in it.
    fn count_down(access: &str) -> Known<()> {
        let text = format!(
            "\
region 0x1000 long64 step top=3
range 0x1000 16
block b0 0x1000
  insn 0x1000, #4
  %1 = get_gpr rax, w64
  {access}
  insn 0x1004, #4
  %3 = get_gpr rcx, w64
  %4 = iconst w64, 0x1
  %5 = sub w64, %3, %4
  %6 = dec_flags w64, %3
  set_flags {{pazso}}, %6
  set_gpr rcx, w64, %5
  %7 = condition ne, %6
  branch %7, b0, 0x1010
"
        );
        let region = parse::region(&text).expect("the text is a region");
        let sees = flags_live_in(&region, FaultsSee::ExactFlags, FlagSet::STATUS);
        Known::copies(&region, &sees, &FlagsAlone, None)
    }

    #[test]
    fn a_copy_says_what_the_flags_are_by_what_is_in_registers() {
        let known = count_down("%2 = load i64, unaligned, [w64 + %1]");
        assert_eq!((known.originals, known.stands), (1, vec![false, true]));
        let copy = known.region.block(BlockId(1));
        let Exit::Branch { taken, .. } = copy.exit else { panic!("{:?}", copy.exit) };
        assert_eq!(taken, Target::Block(BlockId(1)));
        let told: Vec<Op> = copy.insts[..known.told[1]].iter().map(|i| i.op).collect();
        let [Op::GetGpr { reg: Gpr::Rcx, .. }, Op::Iconst { .. }, Op::Add { .. }, flags, set] = told[..] else {
            panic!("{told:?}")
        };
        assert!(matches!(flags, Op::DecFlags { .. }));
        assert!(matches!(set, Op::SetFlags { set, .. } if !set.contains(FlagSet::CF)));
    }

    /// A thread that is called has to be stopped somewhere.
    #[test]
    fn blocks_without_an_access_are_not_copied() {
        assert_eq!(count_down("%2 = add w64, %1, %1").region.blocks.len(), 1);
    }
}
