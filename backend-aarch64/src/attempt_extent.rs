//! Which part of a block an attempt covers (see `attempt`), found before code for it is written.

use std::collections::VecDeque;

use hokku_ir::lowering::Plan;
use hokku_ir::{Addr, Block, Effects, Fence, Gpr, Inst, Op, Type, Upper, Value, Width};

/// Guest integer registers of which an attempt may keep what they held: each takes a temporary.
const MOST_KEPT: usize = 3;
/// Instructions for the look of an attempt or of an operation by itself.
const LOOK: usize = 3;

/// Parts of an attempt, and guest instructions between them that may fault: code for what is done again is written for each.
const MOST_PARTS: usize = 6;

/// A part of a block up to a look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extent {
    /// Its place, which starts a guest instruction.
    pub(crate) start: u32,
    /// Place of the first op behind it, which starts a guest instruction.
    pub(crate) end: u32,
    /// Guest registers that it writes: what they held is to be kept.
    pub(crate) kept: Vec<Gpr>,
    /// Guest registers to which it adds: what they held is computed back.
    pub(crate) moved: Vec<Gpr>,
    /// Place of a store that waits until the part has looked.
    pub(crate) store: Option<u32>,
    /// Values that are what a guest register held at the start and so much more.
    pub(crate) sums: Vec<(Value, Gpr, i64)>,
}

/// Whether `op` may stand in an attempt: what it does can be done again.
fn is_repeatable(op: &Op) -> bool {
    match *op {
        Op::Insn { .. }
        | Op::GetGpr { .. }
        | Op::SetGpr { .. }
        | Op::GetGprHigh { .. }
        | Op::SetGprHigh { .. }
        | Op::SetFlags { .. }
        | Op::FenceOp { kind: Fence::Load | Fence::Acquire } => true,
        Op::GetVec { ty, .. } | Op::Load { ty, .. } => ty != Type::V256,
        Op::SetVec { ty, upper, .. } => ty != Type::V256 && upper != Upper::Zero256,
        _ => {
            let fx = op.effects();
            let is_plain = fx == Effects::empty() || fx == Effects::float.union(Effects::may_fault);
            is_plain && op.result_type() != Type::V256
        }
    }
}

fn is_float(op: &Op) -> bool {
    op.effects().contains(Effects::float)
}

/// The place behind the guest instruction that starts at place `from`.
pub(crate) fn insn_end(block: &Block, from: usize) -> usize {
    let next = block.insts.iter().skip(from + 1).position(|i| matches!(i.op, Op::Insn { .. }));
    next.map_or(block.insts.len(), |n| from + 1 + n)
}

/// The ops of the guest instruction at place `from` that code is written for, with their places.
fn live_ops<'a>(block: &'a Block, plan: &'a Plan, from: usize) -> impl Iterator<Item = &'a Op> {
    (from..insn_end(block, from)).filter(|n| !plan.dead[*n]).map(|n| &block.insts[n].op)
}

/// Whether the guest instruction at place `from` may stand between two parts: it does not compute with floats, and if it faults, it has done nothing.
fn is_between(block: &Block, plan: &Plan, from: usize, barriers: &[u32]) -> bool {
    let mut has_stored = false;
    let is_barred = barriers.iter().any(|n| (from..insn_end(block, from)).contains(&(*n as usize)));
    !is_barred
        && live_ops(block, plan, from).all(|op| {
            let stores = matches!(op, Op::Store { ty, .. } if *ty != Type::V256);
            let is_late = has_stored && op.effects().contains(Effects::may_fault);
            has_stored |= stores;
            !is_late && !is_float(op) && (stores || is_repeatable(op))
        })
}

/// How far an attempt goes.
#[derive(Debug)]
pub(crate) struct Course {
    /// Place of the first op behind it.
    pub(crate) end: u32,
    /// Its parts, in order: at their ends it looks.
    pub(crate) parts: VecDeque<Extent>,
}

/// The attempt that should start at place `from` of `block` and go to none of the places `barriers`; `None` where it is not worth it. `word` is the width
/// of addresses; `knows`: FPSR is known; `copies`: copies of vector registers alone are worth one.
pub(crate) fn course(
    (block, plan, word): (&Block, &Plan, Width),
    from: usize,
    barriers: &[u32],
    (knows, copies): (bool, bool),
) -> Option<Course> {
    let writes = |op: &Op| matches!(op, Op::SetVec { .. });
    let copied = |op: &Op| match *op {
        Op::SetVec { ty: Type::V128, v, .. } => {
            let sets = |i: &&Inst| matches!(i.op, Op::SetVec { v: set, .. } if set == v);
            matches!(plan.info(v).op, Op::GetVec { .. }) || block.insts.iter().filter(sets).count() > 1
        }
        _ => false,
    };
    let mut parts: VecDeque<Extent> = VecDeque::new();
    let (mut at, mut floats, mut faults) = (from, 0, 0);
    let (mut end, mut gains) = (from, false);
    while at < block.insts.len() && parts.len() + faults < MOST_PARTS {
        if live_ops(block, plan, at).any(is_float) {
            let Some((part, count)) = extent(block, plan, word, at, barriers, knows) else { break };
            (at, floats) = (part.end as usize, floats + count);
            end = at;
            parts.push_back(part);
            continue;
        }
        let is_written = live_ops(block, plan, at).any(writes);
        if at == from && !is_written || !is_between(block, plan, at, barriers) {
            break;
        }
        gains |= copies && live_ops(block, plan, at).any(copied);
        faults += usize::from(live_ops(block, plan, at).any(|op| op.effects().contains(Effects::may_fault)));
        at = insn_end(block, at);
        if is_written {
            end = at;
        }
    }
    (floats > 1 || gains).then_some(Course { end: end as u32, parts })
}

/// The part that should start at place `from` of `block`, and how many operations on floats it has; `None` where it is not worth it.
fn extent(
    block: &Block,
    plan: &Plan,
    word: Width,
    from: usize,
    barriers: &[u32],
    knows: bool,
) -> Option<(Extent, usize)> {
    let (mut floats, mut worth) = (0, 0);
    let mut store = None;
    let mut has_float = false;
    let mut written = Written { plan, word, by: [Some(0); 16], kept: Vec::new(), moved: Vec::new(), sums: Vec::new() };
    block.insts[..from].iter().for_each(|i| written.pass_before(i.value, &i.op));
    let mut found = Extent::default();
    let ops = block.insts.iter().map(Some).chain([None]);
    for (n, inst) in ops.enumerate().skip(from) {
        if has_float && inst.is_none_or(|i| matches!(i.op, Op::Insn { .. })) {
            (worth, has_float) = (floats, false);
            let moved = written.moved.iter().copied().filter(|reg| !written.kept.contains(reg)).collect();
            found = Extent {
                start: from as u32,
                end: n as u32,
                kept: written.kept.clone(),
                moved,
                store,
                sums: Vec::new(),
            };
        }
        let Some(inst) = inst else { break };
        let may_wait = matches!(inst.op, Op::Store { ty: Type::F32 | Type::F64, .. });
        if may_wait && store.is_none() && floats > 0 && !barriers.contains(&(n as u32)) {
            store = Some(n as u32);
            continue;
        }
        // What is loaded behind a store must not be older than it.
        let passes = store.is_none() || !matches!(inst.op, Op::Load { .. } | Op::FenceOp { .. });
        if !is_repeatable(&inst.op) || !passes || barriers.contains(&(n as u32)) {
            break;
        }
        written.pass(inst.value, &inst.op);
        if written.kept.len() > MOST_KEPT {
            break;
        }
        if is_float(&inst.op) && !plan.dead[n] {
            floats += 1;
            has_float = true;
        }
    }
    found.sums = written.sums;
    let pays = LOOK * worth > LOOK + found.kept.len() || worth == 1 && knows && found.kept.is_empty();
    pays.then_some((found, worth))
}

/// Places of ops in the part `extent` that give a guest vector register what another op of the part replaces before anyone reads it, and of those that compute
/// nothing else.
pub(crate) fn overwritten(block: &Block, plan: &Plan, extent: &Extent) -> Vec<usize> {
    let (start, end) = (extent.start as usize, extent.end as usize);
    let mut found = Vec::new();
    for n in (start..end).filter(|n| !plan.dead[*n]) {
        let Op::SetVec { reg, v, .. } = block.insts[n].op else { continue };
        let next = block.insts[n + 1..end].iter().find(|i| match i.op {
            Op::SetVec { reg: of, .. } | Op::GetVec { reg: of, .. } => of == reg,
            _ => false,
        });
        let replaces = |ty: Type, upper: Upper| ty == Type::V128 || upper == Upper::Zero128;
        if !next.is_some_and(|i| matches!(i.op, Op::SetVec { ty, upper, .. } if replaces(ty, upper))) {
            continue;
        }
        found.push(n);
        let info = plan.info(v);
        if info.uses == 1 && info.def as usize >= start && info.op.effects() == Effects::empty() {
            found.push(info.def as usize);
        }
    }
    found
}

/// Guest integer registers that are written from a place on.
struct Written<'a> {
    plan: &'a Plan,
    word: Width,
    /// By register: by how much it is more than at the start, if it is that at all.
    by: [Option<i64>; 16],
    kept: Vec<Gpr>,
    moved: Vec<Gpr>,
    sums: Vec<(Value, Gpr, i64)>,
}

impl Written<'_> {
    fn sum(&self, v: Value) -> Option<(Gpr, i64)> {
        let v = self.plan.root(v);
        self.sums.iter().find(|s| s.0 == v).map(|s| (s.1, s.2))
    }

    fn constant(&self, v: Value) -> Option<i64> {
        let n = self.plan.constant(v)?;
        Some(if self.word == Width::W32 { n as u32 as i32 as i64 } else { n as i64 })
    }

    /// Goes on behind an op that stands before the part: values may still be what guest registers hold.
    fn pass_before(&mut self, v: Value, op: &Op) {
        let (v, reg, w) = match *op {
            Op::GetGpr { reg, w } => (v, reg, Some(w)),
            Op::SetGpr { reg, w, v } => (self.plan.root(v), reg, Some(w)),
            Op::SetGprHigh { reg, .. } => (v, reg, None),
            Op::SetVec { .. } | Op::SetFlags { .. } => return,
            _ if op.effects().contains(Effects::writes_state) => return self.sums.clear(),
            _ => return,
        };
        if !matches!(op, Op::GetGpr { .. }) {
            self.sums.retain(|s| s.1 != reg);
        }
        if w == Some(self.word) {
            self.sums.push((v, reg, 0));
        }
    }

    fn pass(&mut self, v: Value, op: &Op) {
        let sum = match *op {
            Op::GetGpr { reg, w } if w == self.word => self.by[reg.index()].map(|by| (reg, by)),
            Op::Add { w, a, b } if w == self.word => {
                let one = |a, b| Some((self.sum(a)?, self.constant(b)?));
                one(a, b).or_else(|| one(b, a)).map(|((reg, by), n)| (reg, by.wrapping_add(n)))
            }
            Op::Sub { w, a, b } if w == self.word => {
                self.sum(a).zip(self.constant(b)).map(|((reg, by), n)| (reg, by.wrapping_sub(n)))
            }
            Op::Lea { w, at: Addr { base: Some(base), index: None, disp, seg: None, width, .. } }
                if w == self.word && width == w =>
            {
                self.sum(base).map(|(reg, by)| (reg, by.wrapping_add(disp)))
            }
            _ => None,
        };
        if let Some((reg, by)) = sum {
            self.sums.push((v, reg, by));
        }
        match *op {
            Op::SetGpr { reg, w, v } => {
                // Loads that pop move the stack pointer themselves.
                let is_moved = reg != Gpr::Rsp && w == self.word && !self.plan.info(self.plan.root(v)).deferred;
                let by = self.sum(v).filter(|sum| is_moved && sum.0 == reg).map(|sum| sum.1);
                self.write(reg, by);
            }
            Op::SetGprHigh { reg, .. } => self.write(reg, None),
            // It may be computed where it is to be.
            _ => {
                if let Some(reg) = self.plan.info(v).home {
                    let is_moved = reg != Gpr::Rsp && sum.is_some_and(|s| s.0 == reg);
                    let to = if is_moved { &mut self.moved } else { &mut self.kept };
                    if !to.contains(&reg) {
                        to.push(reg);
                    }
                }
            }
        }
    }

    fn write(&mut self, reg: Gpr, by: Option<i64>) {
        self.by[reg.index()] = by;
        let to = if by.is_some() { &mut self.moved } else { &mut self.kept };
        if !to.contains(&reg) {
            to.push(reg);
        }
    }
}
