//! Parts of a block with several operations on floats as an attempt: FPSR is looked at once in each part, behind the last of them.
//!
//! Until then a part changes nothing that it was entered with: what guest vector registers get is pending until the attempt's end (see `pending`), and what guest
//! integer registers held is kept, or computed back. Where the look finds that results do not stand (see `float`), or a load of the part faults, all is put
//! back, and another version of the block's rest, which looks behind each operation, does it again. What stands between parts, stores mostly, goes on with what
//! is pending; where that faults, the other version starts with its guest instruction. So state is exact wherever somebody sees it.

use hokku_ir::backend::Tier;
use hokku_ir::lowering::{Loc, Plan, Values};
use hokku_ir::{Addr, BlockId, Effects, Gpr, GuestAddr, Op, Value};

use crate::asm::{Label, Size};
use crate::attempt_extent::{Course, Extent, course, insn_end, overwritten};
use crate::flag_uses::Carried;
use crate::known_zeros::is_in_loop;
use crate::lower::Lowering;
use crate::pending::Pendings;
use crate::vector_values::{VecLoc, VectorValues};

/// Most temporaries for vectors that hold values when a part starts: the others are for its own.
const MOST_VECTORS: usize = 11;

/// The attempt that code is written for.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// How far it goes, and the parts that are still to come.
    course: Course,
    /// The one at hand, or the guest instruction at hand if it may fault while something is pending.
    part: Option<Part>,
    pub(crate) pendings: Pendings,
}

/// A piece of code that is done again from its start.
#[derive(Debug)]
struct Part {
    extent: Extent,
    /// It ends with a look.
    looks: bool,
    /// Temporaries, integer and vector, that are to stay as they are: what the other version starts with.
    locked: Vec<u8>,
    locked_vectors: Vec<u8>,
    /// By how much guest registers that are computed back are more than at the start.
    moved: Vec<(Gpr, i64)>,
    /// Its store is being written.
    stores: bool,
    /// By guest vector register: the other version starts with what its register holds.
    needed: u16,
    /// The other version's number.
    retry: usize,
}

/// A version of a block's rest that is still to be written: everything is as it was at the part's start.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    /// Entries for those who have added so much to guest registers; without one it is of no use.
    entries: Vec<(Vec<(Gpr, i64)>, Label)>,
    /// What FPSR was, in its register, if operations on floats have been done since.
    before: Option<u8>,
    /// That is the inexact bit alone.
    knows_fpsr: bool,
    /// Registers that hold what guest registers were.
    kept: Vec<(Gpr, u8)>,
    block: BlockId,
    at: u32,
    pc: GuestAddr,
    plan: Plan,
    values: Values,
    vectors: VectorValues,
    pendings: Pendings,
    aligned: Vec<(Addr, u32)>,
    carried: Vec<Option<Carried>>,
    done: Vec<bool>,
}

impl Lowering<'_> {
    /// Starts an attempt, or a part of one, before the op at hand where that is worth it.
    pub(crate) fn start_attempt(&mut self) {
        let is_start = matches!(self.block.insts[self.at as usize].op, Op::Insn { .. });
        if !is_start || self.tier != Tier::Second || !self.may_attempt || self.is_part() {
            return;
        }
        let is_slot = |v: Value| matches!(self.values.loc(v), Loc::Slot(_));
        let is_crowded =
            self.vectors.in_use().count() > MOST_VECTORS || self.block.insts.iter().any(|i| is_slot(i.value));
        if is_crowded {
            return self.close_attempt();
        }
        if self.attempt.is_none() {
            let barriers = &self.barriers[self.block_number];
            let worth = (self.fpsr.is_known, is_in_loop(self.region, BlockId(self.block_number as u32)));
            let code = (self.block, &self.plan, self.mode.word());
            let Some(course) = course(code, self.at as usize, barriers, worth) else { return };
            self.attempt = Some(Attempt { course, part: None, pendings: Pendings::default() });
        }
        let Some(a) = &mut self.attempt else { return };
        if a.course.parts.front().is_some_and(|p| p.start == self.at) {
            let extent = a.course.parts.pop_front().unwrap_or_default();
            return self.start_part(extent, true);
        }
        let end = insn_end(self.block, self.at as usize);
        let faults =
            self.block.insts[self.at as usize..end].iter().any(|i| i.op.effects().contains(Effects::may_fault));
        if faults && self.is_pending() {
            self.start_part(Extent { start: self.at, end: end as u32, ..Extent::default() }, false);
        }
    }

    fn start_part(&mut self, extent: Extent, looks: bool) {
        // Of what temporaries hold, values alone stay.
        let mut values = self.values.clone();
        let constants: Vec<u8> = values.constants().map(|c| c.0).collect();
        for r in constants {
            values.take(r, &mut self.asm);
            values.unlock(r);
        }
        let known = Retry {
            entries: Vec::new(),
            before: None,
            knows_fpsr: self.fpsr.is_known,
            kept: Vec::new(),
            block: BlockId(self.block_number as u32),
            at: self.at,
            pc: self.pc,
            plan: self.plan.clone(),
            values,
            vectors: self.vectors.clone(),
            pendings: self.attempt.as_ref().map(|a| a.pendings.clone()).unwrap_or_default(),
            aligned: self.aligned.clone(),
            carried: self.carried.clone(),
            done: self.done.clone(),
        };
        // A guest instruction that does not look writes when it does not fault any more.
        let needed = if looks { self.needed_registers() } else { 0 };
        let mut locked = self.keep_values(extent.end);
        let known_fpsr = self.known_fpsr();
        let before = looks.then(|| known_fpsr.unwrap_or_else(|| self.note_exceptions()));
        locked.extend(before);
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
        if looks {
            // The other version writes them.
            overwritten(self.block, &self.plan, &extent).into_iter().for_each(|n| self.done[n] = true);
        }
        let part = Part { extent, looks, locked, locked_vectors, moved, stores: false, needed, retry };
        if let Some(a) = &mut self.attempt {
            a.part = Some(part);
        }
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

    /// The part at hand stays as it is while the op at hand takes registers.
    pub(crate) fn hold_attempt(&mut self) {
        if let Some(part) = self.attempt.as_ref().and_then(|a| a.part.as_ref()) {
            part.locked.iter().for_each(|r| self.values.lock(*r));
            part.locked_vectors.iter().for_each(|r| self.vectors.lock(*r));
        }
    }

    /// Whether code of an attempt is being written.
    pub(crate) fn is_attempt(&self) -> bool {
        self.attempt.is_some()
    }

    fn is_part(&self) -> bool {
        self.attempt.as_ref().is_some_and(|a| a.part.is_some())
    }

    /// Which guest vector registers the part at hand must leave as they are.
    pub(crate) fn needed_by_part(&self) -> u16 {
        self.attempt.as_ref().and_then(|a| a.part.as_ref()).map_or(0, |part| part.needed)
    }

    /// The place behind the attempt at hand.
    pub(crate) fn attempt_end(&self) -> Option<u32> {
        self.attempt.as_ref().map(|a| a.course.end)
    }

    /// Where the part gives up at the place at hand.
    pub(crate) fn retry_label(&mut self) -> Option<Label> {
        let Some(part) = self.attempt.as_mut().and_then(|a| a.part.as_mut()) else {
            if self.is_pending() {
                self.fail_attempt();
            }
            return None;
        };
        for (v, reg, by) in &part.extent.sums {
            // What is in the home tells by how much that has moved.
            if self.values.loc(*v) == Loc::Home(*reg)
                && let Some(moved) = part.moved.iter_mut().find(|m| m.0 == *reg)
            {
                moved.1 = *by;
            }
        }
        let entries = &mut self.retries[part.retry].entries;
        if let Some(entry) = entries.iter().find(|e| e.0 == part.moved) {
            return Some(entry.1);
        }
        let label = self.asm.label();
        entries.push((part.moved.clone(), label));
        Some(label)
    }

    /// The attempt, if there is one, cannot go as far as the op at hand: what is being written is of no use.
    pub(crate) fn fail_attempt(&mut self) -> bool {
        self.fail_attempt_at(self.at)
    }

    /// The same where something of it is not where it belongs.
    pub(crate) fn fail_attempt_at_hand(&mut self) {
        if self.is_part() || self.is_pending() {
            self.fail_attempt();
        }
    }

    fn fail_attempt_at(&mut self, at: u32) -> bool {
        if self.attempt.is_some() {
            self.failed.get_or_insert((self.block_number, at));
        }
        self.attempt.is_some()
    }

    /// Ends the part of the attempt, and the attempt, if that is to be before the op at hand: at its end everything is where it belongs.
    pub(crate) fn end_attempt(&mut self) {
        if self.values.is_exhausted {
            self.fail_attempt_at(self.at.saturating_sub(1));
        }
        let is_end = |part: &Part| part.extent.end == self.at;
        if self.attempt.as_ref().and_then(|a| a.part.as_ref()).is_some_and(is_end) {
            self.end_part();
        }
        if self.attempt_end() == Some(self.at) {
            self.close_attempt();
        }
    }

    /// Whether the op at hand is a store that waits until the part has looked; what it needs is kept.
    pub(crate) fn delays_store(&mut self) -> bool {
        let Some(part) = self.attempt.as_ref().and_then(|a| a.part.as_ref()) else { return false };
        let (is_one, end) = (part.extent.store == Some(self.at), part.extent.end);
        if is_one {
            self.block.insts[self.at as usize].op.values(&mut |v| {
                self.plan.read(v, end);
                let info = &mut self.plan.values[self.vectors.root(v).0 as usize];
                info.last = info.last.max(end);
            });
        }
        is_one
    }

    /// Writes the store at place `n`, which has waited. If it faults, the part is done again.
    fn write_store(&mut self, n: u32) {
        let Op::Store { ty, align, at, v } = self.block.insts[n as usize].op else { return };
        self.values.start(self.at);
        self.hold_attempt();
        self.tell_stores(true);
        // Constants that one of both ways leaves in registers are not in the other's.
        let was_aside = std::mem::replace(&mut self.is_aside, true);
        self.store_value(ty, align, at, v);
        self.is_aside = was_aside;
        self.tell_stores(false);
        self.values.finish(&self.plan);
        self.vectors.finish(&self.plan, self.at);
    }

    fn tell_stores(&mut self, stores: bool) {
        if let Some(part) = self.attempt.as_mut().and_then(|a| a.part.as_mut()) {
            part.stores = stores;
        }
    }

    /// Whether a store that has waited is being written: nobody sees the flags there.
    pub(crate) fn is_waiting_store(&self) -> bool {
        self.attempt.as_ref().and_then(|a| a.part.as_ref()).is_some_and(|part| part.stores)
    }

    fn end_part(&mut self) {
        let part = self.attempt.as_ref().and_then(|a| a.part.as_ref());
        let looks = part.is_some_and(|part| part.looks);
        let store = part.and_then(|part| part.extent.store);
        let at = self.at;
        self.at = at - 1;
        if looks && let Some(retry) = self.retry_label() {
            self.look_at_exceptions(retry, self.known_fpsr(), &|l| store.into_iter().for_each(|n| l.write_store(n)));
        }
        let Some(mut a) = self.attempt.take() else { return };
        a.part = None;
        self.free_written(&a.pendings);
        self.vectors.finish(&self.plan, self.at);
        self.at = at;
        self.attempt = Some(a);
    }

    /// Everything is where it belongs from here on.
    fn close_attempt(&mut self) {
        if let Some(a) = self.attempt.take() {
            self.write_pendings(a.pendings);
        }
    }

    /// Writes the other versions of blocks' rests.
    pub(crate) fn write_retries(&mut self) {
        self.may_attempt = false;
        for retry in std::mem::take(&mut self.retries) {
            if retry.entries.is_empty() {
                continue;
            }
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
            match retry.before {
                Some(before) if retry.knows_fpsr => self.write_inexact(before),
                Some(before) => self.asm.write_fpsr(before),
                None => {}
            }
            self.start_block(retry.block);
            (self.plan, self.values, self.vectors) = (retry.plan, retry.values, retry.vectors);
            (self.aligned, self.carried, self.done) = (retry.aligned, retry.carried, retry.done);
            (self.pc, self.entry_site) = (retry.pc, None);
            self.fpsr.is_known = retry.knows_fpsr;
            self.at = retry.at;
            self.write_pendings(retry.pendings);
            self.lower_ops(retry.at as usize, None);
        }
    }
}
