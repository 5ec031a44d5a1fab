//! A part of a block, with several operations on floats, as an attempt: FPSR is looked at once, behind the last of them.
//!
//! Until then nothing is changed that the attempt was entered with: guest vector registers are written at its end, and what guest integer
//! registers held is kept, or computed back. Where the look finds that results do not stand (see `float`), or a load of the attempt faults, all is put
//! back, and another version of the block's rest, which looks behind each operation, does it again. So state is exact wherever somebody sees it.

use hokku_ir::backend::Tier;
use hokku_ir::lowering::{Loc, Plan, Values};
use hokku_ir::{Addr, BlockId, Gpr, GuestAddr, Op, Type, Upper, Value};

use crate::asm::{Label, Size};
use crate::attempt_extent::{Extent, extent};
use crate::flag_uses::Carried;
use crate::lower::Lowering;
use crate::vector_values::{VecLoc, VectorValues};

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
    /// What it covers.
    extent: Extent,
    /// Temporaries, integer and vector, that are to stay as they are: what the other version starts with.
    locked: Vec<u8>,
    locked_vectors: Vec<u8>,
    /// By how much guest registers that are computed back are more than at the start.
    moved: Vec<(Gpr, i64)>,
    pending: [Pending; 16],
    /// Values that are pending, and their last places but for that.
    lasts: Vec<(Value, u32)>,
    /// Number of the other version.
    retry: usize,
}

/// A version of a block's rest that is still to be written: everything is as it was at the attempt's start.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    /// Entries for those who have added so much to guest registers.
    entries: Vec<(Vec<(Gpr, i64)>, Label)>,
    before: u8,
    /// That is the inexact bit, in its register.
    knows_fpsr: bool,
    /// Registers that hold what guest registers were.
    kept: Vec<(Gpr, u8)>,
    block: BlockId,
    at: u32,
    pc: GuestAddr,
    plan: Plan,
    values: Values,
    vectors: VectorValues,
    aligned: Vec<(Addr, u32)>,
    carried: Vec<Option<Carried>>,
    done: Vec<bool>,
}

impl Lowering<'_> {
    /// Starts an attempt before the op at hand where that is worth it.
    pub(crate) fn start_attempt(&mut self) {
        let is_start = matches!(self.block.insts[self.at as usize].op, Op::Insn { .. });
        if !is_start || self.tier != Tier::Second || !self.may_attempt || self.attempt.is_some() {
            return;
        }
        let barriers = &self.barriers[self.block_number];
        let Some(extent) = extent(self.block, &self.plan, self.mode.word(), self.at as usize, barriers) else { return };
        let here = |l: &Self, v: Value| matches!(l.values.loc(v), Loc::Slot(_));
        if self.block.insts.iter().any(|i| here(self, i.value)) {
            return;
        }
        let known = Retry {
            entries: Vec::new(),
            before: 0,
            knows_fpsr: self.fpsr.is_known,
            kept: Vec::new(),
            block: BlockId(self.block_number as u32),
            at: self.at,
            pc: self.pc,
            plan: self.plan.clone(),
            values: self.values.clone(),
            vectors: self.vectors.clone(),
            aligned: self.aligned.clone(),
            carried: self.carried.clone(),
            done: self.done.clone(),
        };
        let mut locked = self.keep_values(extent.end);
        let known_fpsr = self.known_fpsr();
        let before = known_fpsr.unwrap_or_else(|| self.note_exceptions());
        locked.push(before);
        let mut kept = Vec::new();
        for g in &extent.kept {
            let t = self.temp();
            self.asm.mov(Size::X, t, crate::assign::home(*g));
            kept.push((*g, t));
            locked.push(t);
        }
        let retry = self.retries.len();
        self.retries.push(Retry { before, kept, ..known });
        let moved = extent.moved.iter().map(|g| (*g, 0)).collect();
        let locked_vectors = self.vectors.in_use().collect();
        let (pending, lasts) = (Default::default(), Vec::new());
        self.attempt = Some(Attempt { extent, locked, locked_vectors, moved, pending, lasts, retry });
    }

    /// Values that are in temporaries stay there until place `end`; gives the integer temporaries.
    fn keep_values(&mut self, end: u32) -> Vec<u8> {
        let mut kept = Vec::new();
        for inst in &self.block.insts {
            let v = inst.value;
            let temp = match self.values.loc(v) {
                Loc::Temp(r) => Some(r),
                _ => None,
            };
            if temp.is_some() || matches!(self.vectors.loc(v), VecLoc::Temp(_) | VecLoc::Pair(..)) {
                kept.extend(temp);
                let root = self.vectors.root(v);
                let info = &mut self.plan.values[root.0 as usize];
                info.last = info.last.max(end);
            }
        }
        kept
    }

    /// The attempt stays as it is while the op at hand takes registers.
    pub(crate) fn hold_attempt(&mut self) {
        if let Some(a) = &self.attempt {
            a.locked.iter().for_each(|r| self.values.lock(*r));
            a.locked_vectors.iter().for_each(|r| self.vectors.lock(*r));
        }
    }

    /// Whether code of an attempt is being written.
    pub(crate) fn is_attempt(&self) -> bool {
        self.attempt.is_some()
    }

    /// Where the attempt gives up at the place at hand.
    pub(crate) fn retry_label(&mut self) -> Option<Label> {
        let a = self.attempt.as_mut()?;
        for (v, reg, by) in &a.extent.sums {
            // What is in the home tells by how much that has moved.
            if self.values.loc(*v) == Loc::Home(*reg)
                && let Some(moved) = a.moved.iter_mut().find(|m| m.0 == *reg)
            {
                moved.1 = *by;
            }
        }
        let entries = &mut self.retries[a.retry].entries;
        if let Some(entry) = entries.iter().find(|e| e.0 == a.moved) {
            return Some(entry.1);
        }
        let label = self.asm.label();
        entries.push((a.moved.clone(), label));
        Some(label)
    }

    /// An attempt cannot go as far as the op at hand: what is being written is of no use. False where there is none.
    pub(crate) fn fail_attempt(&mut self) -> bool {
        self.fail_attempt_at(self.at)
    }

    fn fail_attempt_at(&mut self, at: u32) -> bool {
        if self.attempt.is_some() {
            self.failed.get_or_insert((self.block_number, at));
        }
        self.attempt.is_some()
    }

    /// Ends the attempt if that is to be before the op at hand: from here on everything is where it belongs.
    pub(crate) fn end_attempt(&mut self) {
        if self.values.is_exhausted {
            self.fail_attempt_at(self.at.saturating_sub(1));
        }
        if self.attempt.as_ref().is_none_or(|a| a.extent.end != self.at) {
            return;
        }
        let retry = self.retry_label();
        let (Some(a), Some(retry)) = (self.attempt.take(), retry) else { return };
        self.look_at_exceptions(retry, self.known_fpsr());
        let at = self.at;
        // What is pending is still needed.
        self.at = at - 1;
        let mut pending: Vec<(u8, Pending)> = (0..16).zip(a.pending).filter(|p| p.1 != Pending::default()).collect();
        self.free_written(&a.lasts, &pending);
        self.vectors.finish(&self.plan, self.at);
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
            self.free_written(&a.lasts, &pending);
            self.vectors.finish(&self.plan, self.at);
        }
        self.at = at;
    }

    /// Values of `lasts` that are not `pending` any more are needed as long as others read them.
    fn free_written(&mut self, lasts: &[(Value, u32)], pending: &[(u8, Pending)]) {
        for (v, last) in lasts {
            let is_it = |p: Option<(Type, Value)>| p.is_some_and(|(_, p)| self.vectors.root(p) == *v);
            if !pending.iter().any(|(_, p)| is_it(p.whole) || is_it(p.low)) {
                self.plan.values[v.0 as usize].last = *last;
            }
        }
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
        info.last = info.last.max(a.extent.end);
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

    /// Writes the other versions of blocks' rests.
    pub(crate) fn write_retries(&mut self) {
        self.may_attempt = false;
        for retry in std::mem::take(&mut self.retries) {
            let size = Size::of(self.mode.word());
            let common = self.asm.label();
            for (moved, label) in retry.entries {
                self.asm.bind(label);
                for (g, by) in moved {
                    let home = crate::assign::home(g);
                    self.add_constant(size, home, home, by.wrapping_neg());
                }
                self.asm.b(common);
            }
            self.asm.bind(common);
            for (g, r) in retry.kept {
                self.asm.mov(Size::X, crate::assign::home(g), r);
            }
            if retry.knows_fpsr {
                self.write_inexact(retry.before);
            } else {
                self.asm.write_fpsr(retry.before);
            }
            self.start_block(retry.block);
            (self.plan, self.values, self.vectors) = (retry.plan, retry.values, retry.vectors);
            (self.aligned, self.carried, self.done) = (retry.aligned, retry.carried, retry.done);
            (self.pc, self.entry_site) = (retry.pc, None);
            self.fpsr.is_known = retry.knows_fpsr;
            self.lower_ops(retry.at as usize, None);
        }
    }
}
