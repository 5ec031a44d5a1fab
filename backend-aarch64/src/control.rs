//! How blocks end: jumps, calls, returns, stops, and the out-of-line stubs of unlinked ones.

use hokku_ir::backend::{Callout, FaultSite, HotExit, LazyState, Link, ReturnPad, Stop, StopKind, StubId, Tier};
use hokku_ir::lowering::{FLAG_SLOTS, FlagsNode, FlagsRecipe, RecipeStep};
use hokku_ir::{BlockId, CpuMode, Exit, FlagSet, GuestAddr, Op, Target, Trap, Value, Width};

use crate::access::{Piece, Place};
use crate::asm::{Label, Size};
use crate::assign::*;
use crate::carries::{CARRY_SLOT, carry_of};
use crate::conditions::Test;
use crate::constants::length;
use crate::flag_uses::target_sees;
use crate::flag_words::compute_flags;
use crate::integer::{Extend, Logic, Shift, Sum};
use crate::lower::{KnownSite, Lowering};

/// Code that is written behind all blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cold {
    /// Leaves for the target of link number `n`.
    Link { label: Label, n: usize },
    /// Counts back edge number `n` and goes on to a block's entry.
    BackEdge { label: Label, n: usize, entry: Label },
    /// A check that the x87 stack is as block `id` must find it.
    Check { label: Label, id: BlockId },
    /// A look at mxcsr before block `id`, which has that number in the list of entries if it is one.
    Look { label: Label, id: BlockId, entry: Option<usize> },
    /// x87 op number `n` of those that are not done in place.
    X87 { n: usize },
    /// A constant.
    Literal { label: Label, n: u64 },
    /// To a shared stub.
    Stub { label: Label, stub: StubId },
    /// A return to another place than the expected one: that in the register.
    ReturnMiss { label: Label, target: u8, at: GuestAddr },
    /// Leaves at guest instruction `at` because its code has changed.
    Stale { label: Label, at: GuestAddr },
    /// Where computed jumps enter block `id` (number `n` of the list of entries).
    Checked { id: BlockId, label: Label, n: usize },
    /// Reads FPSR for the block behind `known`, which is number `n` of the list of entries if it can be entered from outside.
    Fpsr { label: Label, known: Label, n: Option<usize> },
}

/// Where NZCV is kept over callouts: the place of a register that they do not keep.
const KEPT_NZCV: i32 = REGISTERS + 8 * SCRATCH as i32;

/// How many registers and slots `recipe` reads.
fn leaves(recipe: &FlagsRecipe) -> usize {
    let is_leaf = |s: &&RecipeStep| matches!(s, RecipeStep::Register(_) | RecipeStep::Slot(_));
    recipe.steps.iter().filter(is_leaf).count()
}

/// What a block that follows can do with the flags of `steps` by itself.
fn known_site(label: Label, steps: &[RecipeStep]) -> Option<KnownSite> {
    let (RecipeStep::Op(op), sources) = steps.split_last()? else { return None };
    if !matches!(op, Op::SubFlags { .. } | Op::AddFlags { .. } | Op::LogicFlags { .. }) {
        return None;
    }
    let mut operands = [None; 2];
    let mut n = 0;
    let mut plain = true;
    op.values(&mut |v| {
        operands[n] = sources.get(v.0 as usize).copied();
        plain &= matches!(operands[n], Some(RecipeStep::Slot(_) | RecipeStep::Constant(_)));
        n += 1;
    });
    plain.then_some(KnownSite { label, op: *op, operands })
}

impl Lowering<'_> {
    /// Which flags at `exit` somebody may see.
    pub(crate) fn exit_sees_flags(&self, exit: &Exit) -> FlagSet {
        crate::flag_uses::exit_sees(exit, &self.sees_flags)
    }

    /// Lowers the exit of the current block; `next` is the block whose code comes right behind.
    pub(crate) fn exit(&mut self, next: Option<BlockId>) {
        self.write_exit(next);
        if let Some(label) = self.own_site.take() {
            // No place of flags, so that nobody takes it for one.
            self.asm.bind(label);
        }
    }

    fn write_exit(&mut self, next: Option<BlockId>) {
        let exit = self.block.exit;
        // A test may read the flags with which the block was entered.
        let test = match exit {
            Exit::Branch { cond, .. } => Some(self.test_value(cond)),
            _ => None,
        };
        if let Exit::Branch { taken, next: otherwise, .. } = exit {
            return self.branch(test.unwrap_or(Test::Constant(true)), taken, otherwise, next);
        }
        self.leave_flags(self.exit_sees_flags(&exit));
        match exit {
            Exit::Branch { .. } => {}
            Exit::Jump { to } => self.jump(None, to, next),
            Exit::Indirect { target } => {
                self.target(target);
                self.tell_transfer(self.pc);
                if self.mode == CpuMode::Long64 {
                    self.link_from_here();
                }
                self.computed_jump();
            }
            Exit::Dispatch { target } => {
                self.target(target);
                self.branch_to_stub(StubId::JumpMiss, false);
            }
            Exit::Call { to, ret, ret_block } => {
                let pad = self.push_return(ret);
                self.call(to);
                self.return_pad(pad, ret, ret_block, next);
            }
            Exit::IndirectCall { target, ret, ret_block } => {
                self.target(target);
                let pad = self.push_return(ret);
                self.jump_cache_entry();
                self.tell_transfer(self.pc);
                // The host's prediction of returns wants a call, although the link is known.
                self.asm.blr(SCRATCH);
                self.return_pad(pad, ret, ret_block, next);
            }
            Exit::Return { target } => self.return_to(target),
            Exit::Syscall { kind, at, next } => self.stop(StopKind::Syscall(kind), at, next),
            Exit::Trap { trap, at, next } => self.stop(StopKind::Trap(trap), at, next),
        }
    }

    /// Whether the block has changed flags in `seen`.
    fn changes_flags(&self, seen: FlagSet) -> bool {
        let mut node = self.plan.flags_at(self.at as usize);
        while let FlagsNode::Set { set, rest, .. } = self.plan.node(node) {
            if set.intersects(seen) {
                return true;
            }
            node = rest;
        }
        false
    }

    /// Says where the guest's flags are, if somebody sees those in `seen`: `flag_site`, and operands in slots of their own.
    pub(crate) fn leave_flags(&mut self, seen: FlagSet) {
        if !self.changes_flags(seen) {
            return;
        }
        let node = self.plan.flags_at(self.at as usize);
        let recipe = self.values.recipe_for(&self.plan, node, seen);
        if leaves(&recipe) > usize::from(64 - FLAG_SLOTS) {
            return self.leave_word(&recipe);
        }
        let skip = self.skip_unless_shifted(&recipe);
        if recipe.reads_before() && skip.is_none() {
            // The older flags become those of record.
            let (compared, kept) = (self.compared, self.temp());
            self.asm.read_nzcv(kept);
            self.settle_flags();
            self.asm.write_nzcv(kept);
            self.values.unlock(kept);
            self.compared = compared;
        }
        let mut recipe = self.values.recipe_for(&self.plan, node, seen);
        if skip.is_some() {
            let before = recipe.steps.iter_mut().filter(|step| **step == RecipeStep::Before);
            before.for_each(|step| *step = RecipeStep::Constant(0));
        }
        let mut moved: Vec<RecipeStep> = Vec::new();
        let own = if leaves(&recipe) < usize::from(64 - FLAG_SLOTS) { self.take_own_site(&recipe.steps) } else { None };
        if let (Some(_), Some(carry)) = (own, carry_of(&recipe.steps)) {
            match carry {
                RecipeStep::Register(r) => self.asm.store(Piece::X, r, STATE, recipe_slot_offset(CARRY_SLOT)),
                RecipeStep::Slot(slot) => {
                    self.asm.load(Piece::X, SCRATCH, STATE, recipe_slot_offset(slot));
                    self.asm.store(Piece::X, SCRATCH, STATE, recipe_slot_offset(CARRY_SLOT));
                }
                _ => {}
            }
            let is_carry = recipe.steps.iter_mut().filter(|step| **step == carry);
            is_carry.for_each(|step| *step = RecipeStep::Slot(CARRY_SLOT));
        }
        for step in &mut recipe.steps {
            if own.is_some() && *step == RecipeStep::Slot(CARRY_SLOT) {
                continue;
            }
            if !matches!(step, RecipeStep::Register(_) | RecipeStep::Slot(_)) {
                continue;
            }
            let known = moved.iter().position(|m| m == step);
            let n = known.unwrap_or(moved.len()) as u8;
            if known.is_none() {
                moved.push(*step);
            }
            *step = RecipeStep::Slot(FLAG_SLOTS + n);
        }
        let mut n = 0;
        while n < moved.len() {
            let to = recipe_slot_offset(FLAG_SLOTS + n as u8);
            match (moved[n], moved.get(n + 1)) {
                (RecipeStep::Register(a), Some(RecipeStep::Register(b))) => {
                    self.asm.store_pair(Piece::X, a, *b, STATE, to);
                    n += 2;
                    continue;
                }
                (RecipeStep::Register(a), _) => self.asm.store(Piece::X, a, STATE, to),
                (RecipeStep::Slot(slot), _) => {
                    self.asm.load(Piece::X, SCRATCH, STATE, recipe_slot_offset(slot));
                    self.asm.store(Piece::X, SCRATCH, STATE, to);
                }
                _ => {}
            }
            n += 1;
        }
        let label = match own {
            Some(label) => self.routine_at(label, recipe.clone()),
            None => self.routine(recipe.clone()),
        };
        self.sites[self.block_number] = known_site(label, &recipe.steps);
        self.asm.adr(FLAG_SITE, label);
        if let Some(skip) = skip {
            self.asm.bind(skip);
        }
    }

    /// Where `recipe` is that of a shift by a count that may be zero, which leaves the older flags as they are: goes to the label then. NZCV is kept.
    fn skip_unless_shifted(&mut self, recipe: &FlagsRecipe) -> Option<Label> {
        let (RecipeStep::Op(op), sources) = recipe.steps.split_last()? else { return None };
        let (n, f) = match *op {
            Op::ShlFlags { n, f, .. } | Op::ShrFlags { n, f, .. } | Op::SarFlags { n, f, .. } => (n, f),
            _ => return None,
        };
        let reads_older_once = sources.get(f.0 as usize) == Some(&RecipeStep::Before);
        let Some(RecipeStep::Register(count)) = sources.get(n.0 as usize).filter(|_| reads_older_once) else {
            return None;
        };
        let skip = self.asm.label();
        // The front end has cut the count to its low bits; what is above the byte is not known.
        self.asm.ubfx(Size::W, SCRATCH, *count, 0, 6);
        self.asm.cbz(Size::W, SCRATCH, skip);
        Some(skip)
    }

    /// Leaves the flags of `recipe`, those at hand, as bits. NZCV is kept.
    fn leave_word(&mut self, recipe: &FlagsRecipe) {
        let compared = self.compared;
        self.asm.read_nzcv(SCRATCH);
        self.asm.store(Piece::X, SCRATCH, STATE, KEPT_NZCV);
        if recipe.reads_before() {
            self.settle_flags();
        }
        let start = self.asm.offset();
        if !compute_flags(&mut self.asm, &recipe.steps) {
            self.asm.cut(start);
            self.spill_vectors();
            let (op, pc, lazy) = (Op::GetFlags {}, self.pc, self.lazy());
            self.branch_to_stub(StubId::Callout, true);
            self.out.callouts.push(Callout { offset: self.asm.offset(), op, pc, lazy });
        }
        self.asm.load(Piece::X, SCRATCH, STATE, KEPT_NZCV);
        self.asm.write_nzcv(SCRATCH);
        self.compared = compared;
    }

    /// What follows is the computed jump of the guest instruction at `pc`: the runtime asks where the target is no address.
    fn tell_transfer(&mut self, pc: GuestAddr) {
        if self.mode == CpuMode::Long64 && self.out.faults.last().is_none_or(|f| f.pc != pc) {
            let (offset, leave, lazy) = (self.asm.offset(), StubId::JumpMiss, LazyState::default());
            self.out.faults.push(FaultSite {
                offset,
                pc,
                leave,
                stack_delta: 0,
                borrowed: [None; 4],
                lazy,
                retry: None,
            });
        }
    }

    /// [`LINK`] = the host address behind this instruction.
    fn link_from_here(&mut self) {
        let behind = self.asm.label();
        self.asm.adr(LINK, behind);
        self.fpsr.is_known = false;
        self.asm.bind(behind);
    }

    /// Goes where the jump cache says for the guest address in [`TARGET`]; the code there checks that it is the right one.
    fn computed_jump(&mut self) {
        self.jump_cache_entry();
        self.asm.br(SCRATCH);
    }

    /// [`SCRATCH`] = what the jump cache has for the low 16 bits of the guest address in [`TARGET`].
    fn jump_cache_entry(&mut self) {
        self.asm.load(Piece::X, SCRATCH, STATE, JUMP_CACHE);
        self.asm.ubfx(Size::W, INDEX, TARGET, 0, 16);
        let place = Place::Index { base: SCRATCH, index: INDEX, extend: Extend::Uxtx, shifted: true };
        self.asm.access(true, Piece::X, SCRATCH, place);
    }

    fn call(&mut self, to: Target) {
        match to {
            Target::Block(b) => {
                let label = self.entry_of(b);
                self.asm.bl(label);
            }
            Target::Guest(pc) => {
                let label = self.asm.label();
                self.link(label, pc, true);
                self.asm.bl(label);
            }
        }
    }

    /// Notes that the jump that is written next is link to `pc`, and leads to `label` while unlinked.
    fn link(&mut self, label: Label, pc: GuestAddr, is_call: bool) {
        let n = self.out.links.len();
        let site = self.asm.offset();
        self.out.links.push(Link { site, stub: 0, target: pc, is_call, far: None });
        self.cold.push(Cold::Link { label, n });
    }

    /// Where the guest's `ret` lands.
    fn return_pad(&mut self, pad: Label, ret: GuestAddr, block: Option<BlockId>, next: Option<BlockId>) {
        self.shape_after = None;
        self.floats_are_usual = false;
        self.fpsr.is_known = false;
        self.asm.bind(pad);
        self.out.return_pads.push(ReturnPad { offset: self.asm.offset(), pc: ret });
        match block {
            Some(b) => self.jump(None, Target::Block(b), next),
            None => self.jump(None, Target::Guest(ret), None),
        }
    }

    /// Returns to the host address that belongs to the guest's return address, if that is the expected one.
    fn return_to(&mut self, target: Value) {
        let w = self.mode.word();
        let r = self.zero_extended(target, w);
        self.asm.pop_pair(Piece::X, SCRATCH, LINK, SHADOW, 16);
        self.asm.logic(Logic::Eor, Size::X, SCRATCH, SCRATCH, r);
        let miss = self.asm.label();
        self.cold.push(Cold::ReturnMiss { label: miss, target: r, at: self.pc });
        self.asm.cbnz(Size::X, SCRATCH, miss);
        self.asm.ret();
    }

    /// Code at which computed jumps enter block `id`: goes on to `label` (or right behind) if that is the target. Gives its offset. The
    /// jump cache leads there for addresses with the same low 16 bits alone.
    fn checked_entry(&mut self, id: BlockId, label: Option<Label>) -> u32 {
        let start = self.asm.offset();
        let pc = self.region.block(id).pc.0;
        if length(pc >> 16) > 1 {
            self.literal(SCRATCH, pc);
            self.asm.add(Sum::Sub, Size::X, SCRATCH, SCRATCH, TARGET);
        } else {
            self.asm.constant(SCRATCH, pc >> 16);
            self.asm.add_shifted(Sum::Sub, Size::X, SCRATCH, SCRATCH, TARGET, Shift::Lsr, 16);
        }
        let miss = self.asm.label();
        self.cold.push(Cold::Stub { label: miss, stub: StubId::JumpMiss });
        self.asm.cbnz(Size::X, SCRATCH, miss);
        if let Some(label) = label {
            self.asm.b(label);
        }
        start
    }

    /// Code before block `id`, which goes on behind it: where the block is entered by links, and its checked entry.
    pub(crate) fn region_entry(&mut self, id: BlockId) -> (u32, u32) {
        let before = self.asm.offset();
        let entries = self.entries(id);
        // Not the blocks' own.
        self.out.host_instructions += (self.asm.offset() - before) / 4;
        entries
    }

    fn entries(&mut self, id: BlockId) -> (u32, u32) {
        if !self.is_counted() {
            let checked = self.checked_entry(id, None);
            let entry = self.asm.offset();
            self.check_shape(id);
            return (entry, checked);
        }
        let hot = self.asm.label();
        self.leave_hot(hot, self.region.block(id).pc);
        let checked = self.checked_entry(id, None);
        let entry = self.asm.offset();
        self.count_down(hot);
        self.check_shape(id);
        (entry, checked)
    }

    fn is_counted(&self) -> bool {
        self.tier == Tier::First { counted: true }
    }

    /// Takes one off the region's count; goes to `hot` where that makes it zero. NZCV is kept.
    fn count_down(&mut self, hot: Label) {
        self.out.counters.push(self.asm.offset());
        let here = self.asm.here();
        // The distance is filled in by `set_counter_distance`.
        self.asm.adr(LINK, here);
        self.asm.word(0x5280_0000 | u32::from(SCRATCH));
        self.asm.word(0x72a0_0000 | u32::from(SCRATCH));
        self.asm.add_extended(Sum::Add, Size::X, LINK, LINK, SCRATCH, Extend::Sxtw, 0);
        self.asm.load(Piece::W, SCRATCH, LINK, 0);
        self.asm.add_imm(Sum::Sub, Size::W, SCRATCH, SCRATCH, 1);
        self.asm.store(Piece::W, SCRATCH, LINK, 0);
        self.asm.cbz(Size::W, SCRATCH, hot);
    }

    /// `label`: leaves because the count is zero; the guest goes on at `target`.
    fn leave_hot(&mut self, label: Label, target: GuestAddr) {
        self.asm.bind(label);
        self.out.hot_exits.push(HotExit { stub: self.asm.offset(), target });
        self.leave_from_here(StubId::LeaveHot);
    }

    fn branch(&mut self, test: Test, taken: Target, otherwise: Target, next: Option<BlockId>) {
        let sees = |to: &Target| target_sees(to, &self.sees_flags);
        let (there, here) = (sees(&taken), sees(&otherwise));
        if taken == otherwise {
            self.leave_flags(there);
            return self.jump(None, taken, next);
        }
        // Flags that matter on one way alone are left on that.
        match (self.changes_flags(there), self.changes_flags(here)) {
            (true, false) if self.shapes.is_none() => {
                self.jump(Some(test.negate()), otherwise, None);
                self.leave_flags(there);
                return self.jump(None, taken, next);
            }
            (false, true) if self.shapes.is_none() => {
                self.jump(Some(test), taken, None);
                self.leave_flags(here);
                return self.jump(None, otherwise, next);
            }
            _ => self.leave_flags(there | here),
        }
        if next.is_some_and(|n| taken == Target::Block(n) && self.leads_past_check(n)) {
            self.jump(Some(test.negate()), otherwise, next);
            next.into_iter().for_each(|n| self.run_on(n));
            self.fpsr.falls_into = next.filter(|_| self.fpsr.is_known);
        } else {
            self.jump(Some(test), taken, next);
            self.jump(None, otherwise, next);
        }
    }

    /// Block `id`, which stands right behind the one at hand, is entered so.
    fn run_on(&mut self, id: BlockId) {
        self.runs_on_usual = self.leads_past_look(id).then_some(id);
    }

    /// A direct jump, where `test` holds; nothing where the target comes right behind.
    fn jump(&mut self, test: Option<Test>, to: Target, next: Option<BlockId>) {
        let (label, pc) = match to {
            Target::Block(b) => {
                if test.is_none() && next == Some(b) && self.leads_past_check(b) {
                    self.fpsr.falls_into = Some(b).filter(|_| self.fpsr.is_known);
                    return self.run_on(b);
                }
                let pc = self.region.block(b).pc;
                if self.tier == Tier::Second || !self.placed[b.0 as usize] {
                    let label = self.entry_of(b);
                    return match test {
                        None => self.asm.b(label),
                        Some(test) => self.branch_if(test, label),
                    };
                }
                let label = self.asm.label();
                let n = self.out.back_edges.len();
                let entry = self.entry_of(b);
                self.cold.push(Cold::BackEdge { label, n, entry });
                (label, pc)
            }
            Target::Guest(pc) => (self.asm.label(), pc),
        };
        // The one instruction that can be redirected is a `b`.
        let over = self.asm.label();
        if let Some(test) = test {
            self.branch_if(test.negate(), over);
        }
        match to {
            Target::Block(_) => {
                let site = self.asm.offset();
                self.out.back_edges.push(Link { site, stub: 0, target: pc, is_call: false, far: None });
            }
            Target::Guest(_) => self.link(label, pc, false),
        }
        self.asm.b(label);
        self.asm.bind(over);
    }

    /// `check_code`: leaves if what is at `at` is not `expected`.
    pub(crate) fn compare_code(&mut self, at: GuestAddr, w: Width, expected: u64) {
        let (t, e) = (self.temp(), self.temp());
        self.asm.constant(t, at.0);
        self.fault_site();
        self.asm.load(Piece::Int(w as u8), t, t, 0);
        self.asm.constant(e, expected & w.mask());
        self.asm.logic(Logic::Eor, Size::X, t, t, e);
        let stale = self.asm.label();
        self.asm.cbnz(Size::X, t, stale);
        self.cold.push(Cold::Stale { label: stale, at: self.pc });
    }

    /// A syscall or trap.
    fn stop(&mut self, kind: StopKind, at: GuestAddr, next: GuestAddr) {
        let stub = self.asm.offset();
        self.out.stops.push(Stop { stub, kind, at, next });
        self.leave_from_here(match kind {
            StopKind::Syscall(_) => StubId::LeaveSyscall,
            StopKind::Trap(_) => StubId::LeaveTrap,
        });
    }

    /// `exit_site` = this place; to `stub`.
    fn leave_from_here(&mut self, stub: StubId) {
        let here = self.asm.here();
        self.asm.adr(SCRATCH, here);
        self.asm.store(Piece::X, SCRATCH, STATE, EXIT_SITE);
        self.branch_to_stub(stub, false);
    }

    /// Writes what the blocks left for later.
    pub(crate) fn write_cold(&mut self) {
        let mut n = 0;
        while n < self.cold.len() {
            match self.cold[n] {
                Cold::Link { label, n } => {
                    self.asm.bind(label);
                    self.out.links[n].stub = self.asm.offset();
                    self.leave_from_here(StubId::LeaveLink);
                }
                Cold::BackEdge { label, n, entry } => {
                    self.asm.bind(label);
                    self.out.back_edges[n].stub = self.asm.offset();
                    let hot = self.asm.label();
                    if self.is_counted() {
                        self.count_down(hot);
                    }
                    self.asm.b(entry);
                    if self.is_counted() {
                        self.leave_hot(hot, self.out.back_edges[n].target);
                    }
                }
                Cold::Look { label, id, entry } => self.write_look(label, id, entry),
                Cold::Fpsr { label, known, n } => {
                    self.asm.bind(label);
                    if let Some(n) = n {
                        self.out.blocks[n].offset = self.asm.offset();
                    }
                    self.read_inexact(crate::fpsr::FPSR);
                    self.asm.b(known);
                }
                Cold::X87 { n } => self.write_x87_slow(n),
                Cold::Literal { label, n } => {
                    self.asm.bind(label);
                    self.asm.word(n as u32);
                    if n >> 32 != 0 {
                        self.asm.word((n >> 32) as u32);
                    }
                }
                Cold::Stub { label, stub } => {
                    self.asm.bind(label);
                    self.branch_to_stub(stub, false);
                }
                Cold::ReturnMiss { label, target, at } => {
                    self.asm.bind(label);
                    self.tell_transfer(at);
                    self.link_from_here();
                    self.asm.mov(Size::X, TARGET, target);
                    self.branch_to_stub(StubId::ReturnMiss, false);
                }
                Cold::Stale { label, at } => {
                    self.asm.bind(label);
                    let stub = self.asm.offset();
                    self.out.stops.push(Stop { stub, kind: StopKind::Trap(Trap::Stale), at, next: at });
                    self.leave_from_here(StubId::LeaveTrap);
                }
                Cold::Check { label, id } => {
                    self.asm.bind(label);
                    self.check_shape(id);
                    let block = self.block_labels[id.0 as usize];
                    self.asm.b(block);
                }
                Cold::Checked { id, label, n } if self.is_counted() || self.shapes.is_some() => {
                    // Whatever comes in from outside is counted, so that every loop through several regions is.
                    let (offset, checked) = self.entries(id);
                    self.asm.b(label);
                    let block = &mut self.out.blocks[n];
                    (block.offset, block.checked) = (offset, checked);
                }
                Cold::Checked { id, label, n } => {
                    self.out.blocks[n].checked = self.checked_entry(id, Some(label));
                }
            }
            n += 1;
        }
        self.cold.clear();
    }
}
