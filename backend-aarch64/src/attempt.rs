//! The start of a block, with several operations on floats, as an attempt: FPSR is looked at once, behind the last of them.
//!
//! Until then nothing is changed that the block was entered with: guest vector registers are written at the end of the attempt, and what guest integer
//! registers held is kept. Where the look finds that results do not stand (see `float`), or a load of the attempt faults, all is put back, and another
//! version of the block, which looks behind each operation, does it again from the start. So state is exact wherever somebody sees it.

use hokku_ir::backend::Tier;
use hokku_ir::lowering::{Plan, Values};
use hokku_ir::{Block, BlockId, Effects, Fence, Gpr, Op, Type, Upper, Value};

use crate::asm::{Label, Size};
use crate::assign::TEMPS;
use crate::lower::{HOMES, Lowering};
use crate::vector_values::{VecLoc, VectorValues};

/// Guest integer registers that an attempt may write: each takes a temporary.
const MOST_KEPT: usize = 3;
/// Instructions for the looks of an attempt and of an operation by itself.
const LOOKS: usize = 4;
const LOOK: usize = 3;

/// What a guest vector register is to get at the end of the attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Pending {
    /// A V128, or what has zeros above it.
    whole: Option<(Type, Value)>,
    /// What its low part gets then.
    low: Option<(Type, Value)>,
}

/// The attempt that code is written for.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// Place of the first op behind it, which starts a guest instruction.
    end: u32,
    /// Register that holds what FPSR was.
    before: u8,
    /// Registers that hold what guest registers were.
    kept: Vec<(Gpr, u8)>,
    pending: [Pending; 16],
    /// Values that are pending, and their last places but for that.
    lasts: Vec<(Value, u32)>,
    retry: Label,
}

/// A version of a block that is still to be written.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    pub(crate) label: Label,
    block: BlockId,
    before: u8,
    kept: Vec<(Gpr, u8)>,
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

/// Where an attempt at `block` ends, no later than at `limit`, and the registers that it writes; `None` where it is not worth it.
fn extent(block: &Block, plan: &Plan, limit: u32) -> Option<(u32, Vec<Gpr>)> {
    let (mut floats, mut end) = (0, 0);
    let mut has_float = false;
    // Written before the instruction at hand, and up to it; up to the end.
    let (mut kept, mut kept_at_end): (Vec<Gpr>, Vec<Gpr>) = (Vec::new(), Vec::new());
    let mut worth = 0;
    let ops = block.insts.iter().map(|i| Some(&i.op)).chain([None]);
    for (n, op) in ops.enumerate() {
        if n as u32 > limit {
            break;
        }
        if has_float && op.is_none_or(|op| matches!(op, Op::Insn { .. })) {
            (end, worth, has_float) = (n as u32, floats, false);
            kept_at_end.clone_from(&kept);
        }
        let Some(op) = op else { break };
        if !is_repeatable(op) {
            break;
        }
        let written = match *op {
            Op::SetGpr { reg, .. } | Op::SetGprHigh { reg, .. } => Some(reg),
            _ => plan.info(block.insts[n].value).home,
        };
        kept.extend(written.filter(|reg| !kept.contains(reg)));
        if kept.len() > MOST_KEPT {
            break;
        }
        if op.effects().contains(Effects::float) && !plan.dead[n] {
            floats += 1;
            has_float = true;
        }
    }
    (worth > 1 && LOOK * worth > LOOKS + kept_at_end.len()).then_some((end, kept_at_end))
}

impl Lowering<'_> {
    /// Starts an attempt at the block at hand where that is worth it.
    pub(crate) fn start_attempt(&mut self, id: BlockId) {
        if self.tier != Tier::Second || self.has_alternate_floats() {
            return;
        }
        let Some((end, written)) = extent(self.block, &self.plan, self.limits[id.0 as usize]) else { return };
        let retry = self.asm.label();
        let before = self.temp();
        self.asm.read_fpsr(before);
        let mut kept = Vec::new();
        for g in written {
            let t = self.temp();
            self.asm.mov(Size::X, t, crate::assign::home(g));
            kept.push((g, t));
        }
        self.retries.push(Retry { label: retry, block: id, before, kept: kept.clone() });
        self.attempt = Some(Attempt { end, before, kept, pending: Default::default(), lasts: Vec::new(), retry });
    }

    /// The attempt stays as it is while the op at hand takes registers.
    pub(crate) fn hold_attempt(&mut self) {
        if let Some(a) = &self.attempt {
            self.values.lock(a.before);
            a.kept.iter().for_each(|(_, r)| self.values.lock(*r));
        }
    }

    /// Whether code of an attempt is being written.
    pub(crate) fn is_attempt(&self) -> bool {
        self.attempt.is_some()
    }

    /// Where the attempt gives up.
    pub(crate) fn retry_label(&self) -> Option<Label> {
        self.attempt.as_ref().map(|a| a.retry)
    }

    /// An attempt cannot go as far as the op at hand: what is being written is of no use. False where there is none.
    pub(crate) fn fail_attempt(&mut self) -> bool {
        if self.attempt.is_some() {
            self.failed.get_or_insert((self.block_number, self.at));
        }
        self.attempt.is_some()
    }

    /// Ends the attempt if that is to be before the op at hand: from here on everything is where it belongs.
    pub(crate) fn end_attempt(&mut self) {
        if self.values.is_exhausted {
            self.fail_attempt();
        }
        let Some(a) = self.attempt.take_if(|a| a.end == self.at) else { return };
        self.look_at_exceptions(a.retry);
        let at = self.at;
        // What is pending is still needed.
        self.at = at - 1;
        let mut pending: Vec<(u8, Pending)> = (0..16).zip(a.pending).filter(|p| p.1 != Pending::default()).collect();
        while !pending.is_empty() {
            let reads = |l: &Self, p: &Pending, n: u8| {
                let is_there = |v: Option<(Type, Value)>| v.is_some_and(|(_, v)| l.vectors.is_in_home(v, n));
                is_there(p.whole) || is_there(p.low)
            };
            // Those first that nobody reads any more, and among them those that do not become the place of a value.
            let order = |k: &usize| {
                let (n, p) = pending[*k];
                let is_read = pending.iter().any(|(other, p)| *other != n && reads(self, p, n));
                (is_read, p.low.is_none())
            };
            let first = (0..pending.len()).min_by_key(order).unwrap_or(0);
            let (n, p) = pending.swap_remove(first);
            self.write_whole(n, p);
            self.vectors.unlock_all();
            for (v, last) in &a.lasts {
                let is_it = |p: Option<(Type, Value)>| p.is_some_and(|(_, p)| self.vectors.root(p) == *v);
                if !pending.iter().any(|(_, p)| is_it(p.whole) || is_it(p.low)) {
                    self.plan.values[v.0 as usize].last = *last;
                }
            }
            self.vectors.finish(&self.plan, self.at);
        }
        self.at = at;
    }

    /// Guest register `n` gets what is pending for it.
    fn write_whole(&mut self, n: u8, Pending { whole, low }: Pending) {
        match (whole, low) {
            (Some((Type::V128, v)), Some(_)) => {
                let r = self.vec_reg(v);
                if r != n {
                    self.overwrite_vec(n, None);
                    self.asm.vec_mov(n, r);
                }
            }
            (Some((ty, v)), _) => {
                self.write_vec(n, ty, if ty == Type::V128 { Upper::Keep } else { Upper::Zero128 }, v);
            }
            _ => {}
        }
        if let Some((ty, v)) = low {
            self.write_vec(n, ty, Upper::Keep, v);
        }
    }

    /// `v` is needed until the end of the attempt.
    fn keep_pending(&mut self, v: Value) {
        let v = self.vectors.root(v);
        let Some(a) = &mut self.attempt else { return };
        let info = &mut self.plan.values[v.0 as usize];
        if !a.lasts.iter().any(|l| l.0 == v) {
            a.lasts.push((v, info.last));
        }
        info.last = info.last.max(a.end);
    }

    /// `dst` is the low part of `v`.
    fn name_again(&mut self, dst: Value, v: Value) {
        let v = self.vectors.root(v);
        let last = self.plan.info(dst).last;
        let info = &mut self.plan.values[v.0 as usize];
        info.last = info.last.max(last);
        if let Some(a) = &mut self.attempt {
            a.lasts.iter_mut().filter(|l| l.0 == v).for_each(|l| l.1 = l.1.max(last));
        }
        self.vectors.name_again(dst, v);
    }

    fn pending(&self, n: u8) -> Pending {
        self.attempt.as_ref().map_or(Pending::default(), |a| a.pending[usize::from(n)])
    }

    fn set_pending(&mut self, n: u8, p: Pending) {
        for (_, v) in [p.whole, p.low].into_iter().flatten() {
            self.keep_pending(v);
        }
        if let Some(a) = &mut self.attempt {
            a.pending[usize::from(n)] = p;
        }
    }

    /// All of guest register `n`, which something is pending for, in a register that becomes `dst`.
    fn merge_pending(&mut self, n: u8, dst: Value) {
        let Pending { whole, low } = self.pending(n);
        let from = whole.map(|(ty, v)| (ty, self.vec_reg(v)));
        let part = low.map(|(ty, v)| (ty, self.vec_reg(v)));
        let t = self.vec_temp();
        match from {
            Some((Type::V128, r)) => self.asm.vec_mov(t, r),
            Some((ty, r)) => self.asm.fp_mov(if ty == Type::F32 { 2 } else { 3 }, t, r),
            None => self.asm.vec_mov(t, n),
        }
        if let Some((ty, r)) = part {
            self.asm.vec_insert(if ty == Type::F32 { 2 } else { 3 }, t, 0, r, 0);
        }
        self.own_vec(t, dst);
        self.set_pending(n, Pending { whole: Some((Type::V128, dst)), low: None });
    }

    /// `get_vec` in an attempt.
    pub(crate) fn read_pending(&mut self, dst: Value, n: u8) {
        let ty = self.plan.info(dst).op.result_type();
        let Pending { whole, low } = self.pending(n);
        match low.or(whole) {
            None => self.vectors.hold(n, dst),
            Some((of, v)) if ty.bytes() <= of.bytes() || low.is_none() && self.is_alone(v) => self.name_again(dst, v),
            Some(_) => self.merge_pending(n, dst),
        }
    }

    /// Whether the float `v` has zeros above it in its register: instructions on single floats leave them there.
    fn is_alone(&self, v: Value) -> bool {
        let v = self.vectors.root(v);
        let is_result = matches!(self.plan.info(v).op, Op::Load { .. } | Op::FpArith { .. } | Op::FpSqrt { .. });
        is_result && matches!(self.vectors.loc(v), VecLoc::Temp(_))
    }

    /// `set_vec` in an attempt.
    pub(crate) fn write_pending(&mut self, n: u8, ty: Type, upper: Upper, v: Value) {
        if ty == Type::V128 || upper != Upper::Keep {
            return self.set_pending(n, Pending { whole: Some((ty, v)), low: None });
        }
        let is_wider = |p: Option<(Type, Value)>| p.is_some_and(|(of, _)| of.bytes() > ty.bytes());
        if is_wider(self.pending(n).low) {
            let unnamed = self.block.insts[self.at as usize].value;
            self.merge_pending(n, unnamed);
        }
        let p = self.pending(n);
        if p.whole.is_some() && !is_wider(p.whole) {
            // Zeros above stay.
            return self.set_pending(n, Pending { whole: Some((ty, v)), low: None });
        }
        self.set_pending(n, Pending { low: Some((ty, v)), ..p });
    }

    /// Writes the other versions of blocks.
    pub(crate) fn write_retries(&mut self) {
        for Retry { label, block, before, kept } in self.retries.clone() {
            self.asm.bind(label);
            for (g, r) in kept {
                self.asm.mov(Size::X, crate::assign::home(g), r);
            }
            self.asm.write_fpsr(before);
            // Nothing is left of the first version.
            self.values = Values::new(HOMES, &TEMPS, self.region.value_count);
            self.vectors = VectorValues::new(self.region.value_count);
            self.start_block(block);
            self.entry_site = None;
            self.lower_ops(None);
        }
    }
}
