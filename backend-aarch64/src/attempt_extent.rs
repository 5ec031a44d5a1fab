//! Which part of a block an attempt covers (see `attempt`), found before code for it is written.

use hokku_ir::lowering::Plan;
use hokku_ir::{Addr, Block, Effects, Fence, Gpr, Op, Type, Upper, Value, Width};

/// Guest integer registers of which an attempt may keep what they held: each takes a temporary.
const MOST_KEPT: usize = 3;
/// Instructions for the look of an attempt or of an operation by itself.
const LOOK: usize = 3;

/// A part of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extent {
    /// Place of the first op behind it, which starts a guest instruction.
    pub(crate) end: u32,
    /// Guest registers that it writes: what they held is to be kept.
    pub(crate) kept: Vec<Gpr>,
    /// Guest registers to which it adds: what they held is computed back.
    pub(crate) moved: Vec<Gpr>,
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

/// Whether an attempt should start at place `from`, where a guest instruction starts: it computes with floats, or it copies vector registers and one that
/// follows such ones computes.
fn starts_well(block: &Block, plan: &Plan, from: usize) -> bool {
    let mut copies = true;
    for (n, inst) in block.insts.iter().enumerate().skip(from + 1) {
        match inst.op {
            Op::Insn { .. } if !copies => return false,
            Op::Insn { .. } | Op::GetVec { .. } | Op::SetVec { ty: Type::V128, .. } => {}
            _ if plan.dead[n] => {}
            op if is_float(&op) => return true,
            _ => copies = false,
        }
    }
    false
}

/// The attempt that should start at place `from` of `block` and go to none of the places `barriers`; `None` where it is not worth it. `word` is the width of addresses.
pub(crate) fn extent(block: &Block, plan: &Plan, word: Width, from: usize, barriers: &[u32]) -> Option<Extent> {
    if !starts_well(block, plan, from) {
        return None;
    }
    let (mut floats, mut worth) = (0, 0);
    let mut has_float = false;
    let mut written = Written { plan, word, by: [Some(0); 16], kept: Vec::new(), moved: Vec::new(), sums: Vec::new() };
    let mut found = Extent::default();
    let ops = block.insts.iter().map(Some).chain([None]);
    for (n, inst) in ops.enumerate().skip(from) {
        if has_float && inst.is_none_or(|i| matches!(i.op, Op::Insn { .. })) {
            (worth, has_float) = (floats, false);
            let moved = written.moved.iter().copied().filter(|reg| !written.kept.contains(reg)).collect();
            found = Extent { end: n as u32, kept: written.kept.clone(), moved, sums: Vec::new() };
        }
        let Some(inst) = inst else { break };
        if !is_repeatable(&inst.op) || barriers.contains(&(n as u32)) {
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
    (worth > 1 && LOOK * worth > LOOK + found.kept.len()).then_some(found)
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
