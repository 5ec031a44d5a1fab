//! How blocks end: jumps, calls, returns, stops, and the out-of-line code of unlinked ones.

use hokku_ir::backend::{FarJump, FlagSite, HotExit, LazyState, Link, Stop, StopKind, StubId, Tier};
use hokku_ir::lowering::{FLAG_SLOTS, FlagsNode, FlagsRecipe, RecipeStep};
use hokku_ir::{BlockId, Exit, FlagSet, GuestAddr, Op, Target, Value};

use crate::asm::Label;
use crate::assign::*;
use crate::callout::OutOfLine;
use crate::conditions::Test;
use crate::encode::*;
use crate::lower::Lowering;
use crate::stubs::computed_jump;

/// Code that is written behind all blocks.
#[derive(Clone, Debug)]
pub(crate) enum Cold {
    /// Leaves for the target of link number `n`; its far jump.
    Link { label: Label, n: usize },
    /// Back edge number `n`, which goes on to block `to`.
    BackEdge { label: Label, n: usize, to: BlockId },
    /// Where block `id` (number `n` of the list of entries) is entered from outside.
    Entry { id: BlockId, n: usize },
    /// A computed jump that came to another block than its target.
    Missed { label: Label },
    /// A return to another place than the latest call's.
    Mismatch { label: Label },
    /// The guest's flags are brought to the state.
    Settle { label: Label, back: Label },
    /// An op that is evaluated.
    OutOfLine(Box<OutOfLine>),
}

/// Operands of the guest's flags that are kept beyond a block.
const KEPT: usize = 64 - FLAG_SLOTS as usize;

impl Lowering<'_> {
    /// Lowers the exit of the current block; `next` is the block whose code comes right behind.
    pub(crate) fn exit(&mut self, exit: &Exit, next: Option<BlockId>) {
        match *exit {
            Exit::Jump { to } => {
                self.leave_flags(&[to]);
                self.widen_all();
                self.jump(to, next);
            }
            Exit::Branch { cond, taken, next: otherwise } => self.branch_exit(cond, taken, otherwise, next),
            Exit::Indirect { target } => {
                self.target(target);
                self.leave_flags(&[]);
                self.widen_all();
                computed_jump(&mut self.asm);
                self.asm.i(JALR, ZERO, SCRATCH, 0);
            }
            Exit::Dispatch { target } => {
                self.target(target);
                self.leave_flags(&[]);
                self.widen_all();
                self.jump_to_stub(ZERO, StubId::JumpMiss);
            }
            Exit::Call { to, ret, ret_block } => {
                self.leave_flags(&[to]);
                self.widen_all();
                self.asm.li(RA, ret.0 as i64);
                self.push_return();
                match to {
                    Target::Block(b) => {
                        let label = self.labels[b.0 as usize];
                        self.asm.jump(RA, label);
                    }
                    Target::Guest(pc) => self.link(pc, true),
                }
                self.return_pad(ret, ret_block, next);
            }
            Exit::IndirectCall { target, ret, ret_block } => {
                self.target(target);
                self.leave_flags(&[]);
                self.widen_all();
                computed_jump(&mut self.asm);
                // Nothing lives in this temporary any more.
                self.asm.mv(5, SCRATCH);
                self.asm.li(RA, ret.0 as i64);
                self.push_return();
                self.asm.i(JALR, RA, 5, 0);
                self.return_pad(ret, ret_block, next);
            }
            Exit::Return { target } => {
                self.target(target);
                self.leave_flags(&[]);
                self.widen_all();
                let mismatch = self.asm.label();
                self.asm.i(LD, SCRATCH, SHADOW, 8);
                self.asm.i(LD, RA, SHADOW, 0);
                self.asm.branch(Branch::Ne, SCRATCH, TARGET, mismatch);
                self.asm.i(ADDI, SHADOW, SHADOW, 16);
                self.asm.i(JALR, ZERO, RA, RETURN_DISTANCE);
                self.cold.push(Cold::Mismatch { label: mismatch });
            }
            Exit::Syscall { kind, at, next } => self.stop(StopKind::Syscall(kind), at, next),
            Exit::Trap { trap, at, next } => self.stop(StopKind::Trap(trap), at, next),
        }
    }

    /// Puts a computed jump's target into [`TARGET`], zero-extended.
    fn target(&mut self, v: Value) {
        let r = self.zero_extended(v);
        if r != TARGET {
            self.values.take(TARGET, &mut self.asm);
            self.asm.mv(TARGET, r);
        }
    }

    /// Pushes a pair to the shadow stack for the call that comes right behind: the guest address is in x1.
    fn push_return(&mut self) {
        self.asm.word(auipc(SCRATCH, 0));
        self.asm.s(SD, RA, SHADOW, -8);
        self.asm.s(SD, SCRATCH, SHADOW, -16);
        self.asm.i(ADDI, SHADOW, SHADOW, -16);
    }

    /// Where the guest's `ret` lands.
    fn return_pad(&mut self, ret: GuestAddr, ret_block: Option<BlockId>, next: Option<BlockId>) {
        match ret_block {
            Some(b) => {
                self.load_older(b);
                self.jump(Target::Block(b), next);
            }
            None => self.link(ret, false),
        }
    }

    /// Brings the flags to where block `id` looks for those before it, from wherever they are.
    fn load_older(&mut self, id: BlockId) {
        if !self.read_in[id.0 as usize].is_empty() {
            self.settle_flags(LazyState::default());
            self.asm.i(LWU, OLDER, STATE, STATUS_FLAGS);
        }
    }

    fn branch_exit(&mut self, cond: Value, taken: Target, otherwise: Target, next: Option<BlockId>) {
        let locks = self.values.locks();
        let test = self.test(cond);
        // Flags as bits may extend the registers that it looks at.
        let test = if self.reads_flags(&[taken, otherwise]) { self.as_truth(test) } else { test };
        self.values.unlock_since(locks, &[test.a, test.b]);
        self.leave_flags(&[taken, otherwise]);
        let test = self.settled(test);
        self.widen_all();
        if taken == otherwise {
            return self.jump(taken, next);
        }
        let here = |t: Target| matches!(t, Target::Block(b) if next == Some(b));
        if here(taken) {
            self.jump_if(test.opposite(), otherwise);
        } else {
            self.jump_if(test, taken);
            self.jump(otherwise, next);
        }
    }

    /// Whether one of `targets` reads flags of this block as bits.
    fn reads_flags(&self, targets: &[Target]) -> bool {
        targets.iter().any(|t| matches!(t, Target::Block(b) if !self.read_in[b.0 as usize].is_empty()))
    }

    fn jump_if(&mut self, test: Test, to: Target) {
        match to {
            Target::Block(b) if !self.is_back_edge(b) => {
                let label = self.labels[b.0 as usize];
                self.branch_if(test, label);
            }
            Target::Block(b) => {
                let label = self.back_edge(b);
                self.branch_if(test, label);
            }
            Target::Guest(pc) => {
                let over = self.asm.label();
                self.branch_unless(test, over);
                self.link(pc, false);
                self.asm.bind(over);
            }
        }
    }

    /// A direct jump; nothing where the target comes right behind.
    fn jump(&mut self, to: Target, next: Option<BlockId>) {
        match to {
            Target::Guest(pc) => self.link(pc, false),
            Target::Block(b) if next == Some(b) => {}
            Target::Block(b) => {
                let label = if self.is_back_edge(b) { self.back_edge(b) } else { self.labels[b.0 as usize] };
                self.asm.jump(ZERO, label);
            }
        }
    }

    fn link(&mut self, target: GuestAddr, is_call: bool) {
        let label = self.asm.label();
        let n = self.out.links.len();
        let far = Some(FarJump { jump: self.far.len() as u32, slot: 0 });
        self.far.push((0, 0));
        self.out.links.push(Link { site: self.asm.here(), stub: 0, target, is_call, far });
        self.asm.jump(if is_call { RA } else { ZERO }, label);
        self.cold.push(Cold::Link { label, n });
    }

    /// Whether a jump to `b` closes a loop that code of the first tier counts.
    fn is_back_edge(&self, b: BlockId) -> bool {
        self.tier != Tier::Second && self.asm.is_bound(self.labels[b.0 as usize])
    }

    fn back_edge(&mut self, to: BlockId) -> Label {
        let label = self.asm.label();
        let n = self.out.back_edges.len();
        let target = self.region.block(to).pc;
        self.out.back_edges.push(Link { site: 0, stub: 0, target, is_call: false, far: None });
        self.cold.push(Cold::BackEdge { label, n, to });
        label
    }

    fn is_counted(&self) -> bool {
        self.tier == Tier::First { counted: true }
    }

    /// Takes one off the region's count; goes to `hot` where that makes it zero.
    fn count_down(&mut self, hot: Label) {
        self.out.counters.push(self.asm.here());
        self.asm.word(auipc(SCRATCH, 0));
        self.asm.i(LW, RA, SCRATCH, 0);
        self.asm.i(ADDIW, RA, RA, -1);
        self.asm.s(SW, RA, SCRATCH, 0);
        self.asm.branch(Branch::Eq, RA, ZERO, hot);
    }

    /// `label`: leaves because the count is zero; the guest goes on at `target`.
    fn leave_hot(&mut self, label: Label, target: GuestAddr) {
        self.asm.bind(label);
        self.out.hot_exits.push(HotExit { stub: self.asm.here(), target });
        self.leave_from_here(StubId::LeaveHot);
    }

    /// `exit_site` = this place; to `stub`.
    fn leave_from_here(&mut self, stub: StubId) {
        self.asm.word(auipc(SCRATCH, 0));
        self.asm.s(SD, SCRATCH, STATE, EXIT_SITE);
        self.jump_to_stub(ZERO, stub);
    }

    fn stop(&mut self, kind: StopKind, at: GuestAddr, next: GuestAddr) {
        self.leave_flags(&[]);
        self.widen_all();
        self.out.stops.push(Stop { stub: self.asm.here(), kind, at, next });
        let stub = if matches!(kind, StopKind::Syscall(_)) { StubId::LeaveSyscall } else { StubId::LeaveTrap };
        self.leave_from_here(stub);
    }

    /// Code at which computed jumps enter block `id`: goes on behind it if that is the target. Gives its position.
    fn checked_entry(&mut self, id: BlockId) -> u32 {
        let start = self.asm.here();
        let pc = self.region.block(id).pc.0;
        let miss = self.asm.label();
        self.asm.li(SCRATCH, pc as i64);
        self.asm.branch(Branch::Ne, SCRATCH, TARGET, miss);
        self.cold.push(Cold::Missed { label: miss });
        start
    }

    /// Code before block `id`, which goes on behind it: where the block is entered by links, and its checked entry.
    pub(crate) fn region_entry(&mut self, id: BlockId) -> (u32, u32) {
        if !self.is_counted() {
            let checked = self.checked_entry(id);
            let entry = self.asm.here();
            self.load_older(id);
            return (entry, checked);
        }
        let hot = self.asm.label();
        self.leave_hot(hot, self.region.block(id).pc);
        let checked = self.checked_entry(id);
        let entry = self.asm.here();
        self.count_down(hot);
        self.load_older(id);
        (entry, checked)
    }

    // ---- Flags beyond the block

    /// Leaves the guest's flags where code at `targets`, or anywhere if there are none, finds them.
    fn leave_flags(&mut self, targets: &[Target]) {
        let node = self.plan.flags_at(self.at as usize);
        if self.plan.node(node) == FlagsNode::Entry {
            return;
        }
        let (mut read, mut seen) = (FlagSet::empty(), targets.is_empty());
        for target in targets {
            match target {
                Target::Block(b) => {
                    read |= self.read_in[b.0 as usize];
                    seen |= !self.seen_in[b.0 as usize].is_empty();
                }
                Target::Guest(_) => seen = true,
            }
        }
        if !read.is_empty() {
            let locks = self.values.locks();
            let reads_before = self.values.recipe(&self.plan, node).reads_before();
            if self.frugal || (reads_before && read.iter().count() > 1) {
                // Rare, and needs more registers than there are.
                let lazy = self.lazy();
                self.settle_flags(lazy);
                self.asm.i(LWU, OLDER, STATE, STATUS_FLAGS);
                return self.values.unlock_since(locks, &[]);
            }
            if reads_before {
                let t = self.temp();
                self.node_image(node, read, t);
                self.asm.mv(OLDER, t);
            } else {
                self.node_image(node, read, OLDER);
            }
            self.values.unlock_since(locks, &[]);
        }
        if seen {
            self.note_flags();
        }
    }

    /// Notes in [`FLAGS`] what the guest's flags are.
    fn note_flags(&mut self) {
        let node = self.plan.flags_at(self.at as usize);
        let recipe = self.values.recipe(&self.plan, node);
        let mut leaves: Vec<RecipeStep> = Vec::new();
        for step in &recipe.steps {
            if matches!(step, RecipeStep::Register(_) | RecipeStep::Slot(_)) && !leaves.contains(step) {
                leaves.push(*step);
            }
        }
        let reads_before = recipe.reads_before();
        if leaves.len() > KEPT || (reads_before && !keeps_carry_alone(&recipe)) {
            let lazy = self.lazy();
            return self.settle_flags(lazy);
        }
        if reads_before {
            // CF is to be in the state.
            let (label, back) = (self.asm.label(), self.asm.label());
            self.asm.i(ANDI, SCRATCH, FLAGS, 1);
            self.asm.branch(Branch::Eq, SCRATCH, ZERO, label);
            self.asm.bind(back);
            self.cold.push(Cold::Settle { label, back });
        }
        for (n, leaf) in leaves.iter().enumerate() {
            let slot = FLAG_SLOTS + n as u8;
            match *leaf {
                RecipeStep::Register(r) => self.asm.s(SD, r, STATE, slot_offset(slot)),
                RecipeStep::Slot(from) => {
                    self.asm.i(LD, SCRATCH, STATE, slot_offset(from));
                    self.asm.s(SD, SCRATCH, STATE, slot_offset(slot));
                }
                _ => {}
            }
        }
        let kept = |step: &RecipeStep| match leaves.iter().position(|leaf| leaf == step) {
            Some(n) => RecipeStep::Slot(FLAG_SLOTS + n as u8),
            None => *step,
        };
        let recipe = FlagsRecipe { steps: recipe.steps.iter().map(kept).collect() };
        let recipe = self.recipes.number(recipe);
        self.out.flag_sites.push(FlagSite { offset: self.asm.here(), recipe });
        self.asm.word(auipc(FLAGS, 0));
        if reads_before {
            self.asm.i(ADDI, FLAGS, FLAGS, 1);
        }
    }

    /// Writes what the blocks left for later.
    pub(crate) fn write_cold(&mut self) {
        let mut n = 0;
        while n < self.cold.len() {
            match self.cold[n].clone() {
                Cold::Link { label, n } => {
                    self.asm.bind(label);
                    self.out.links[n].stub = self.asm.here();
                    self.leave_from_here(StubId::LeaveLink);
                    let slot = self.asm.slot(0);
                    if let Some(far) = self.out.links[n].far {
                        self.far[far.jump as usize] = (self.asm.here(), slot);
                    }
                    self.asm.load_slot(SCRATCH, slot);
                    self.asm.i(JALR, ZERO, SCRATCH, 0);
                }
                Cold::BackEdge { label, n, to } => {
                    self.asm.bind(label);
                    let stub = self.asm.label();
                    self.out.back_edges[n].site = self.asm.here();
                    self.asm.jump(ZERO, stub);
                    self.asm.bind(stub);
                    self.out.back_edges[n].stub = self.asm.here();
                    let hot = self.asm.label();
                    if self.is_counted() {
                        self.count_down(hot);
                    }
                    let block = self.labels[to.0 as usize];
                    self.asm.jump(ZERO, block);
                    if self.is_counted() {
                        self.leave_hot(hot, self.out.back_edges[n].target);
                    }
                }
                Cold::Entry { id, n } => {
                    let label = self.labels[id.0 as usize];
                    let (offset, checked) = self.region_entry(id);
                    self.asm.jump(ZERO, label);
                    let is_plain = !self.is_counted() && self.read_in[id.0 as usize].is_empty();
                    let block = &mut self.out.blocks[n];
                    block.checked = checked;
                    if !is_plain {
                        // Whatever comes in from outside is counted, so that every loop through several regions is.
                        block.offset = offset;
                    }
                }
                Cold::Missed { label } => {
                    self.asm.bind(label);
                    self.jump_to_stub(ZERO, StubId::JumpMiss);
                }
                Cold::Mismatch { label } => {
                    self.asm.bind(label);
                    self.jump_to_stub(ZERO, StubId::ReturnMiss);
                }
                Cold::Settle { label, back } => {
                    self.asm.bind(label);
                    self.settle_flags(LazyState::default());
                    self.asm.jump(ZERO, back);
                }
                Cold::OutOfLine(slow) => self.write_out_of_line(&slow),
            }
            n += 1;
        }
        self.cold.clear();
    }
}

/// Whether all that `recipe` takes of the flags before is CF.
fn keeps_carry_alone(recipe: &FlagsRecipe) -> bool {
    let before = recipe.steps.iter().position(|s| *s == RecipeStep::Before).map(|n| Value(n as u32));
    let Some(before) = before else { return true };
    recipe.steps.iter().all(|step| match step {
        RecipeStep::Op(Op::MergeFlags { set, a, b }) if *b == before => *a != before && set.contains(!FlagSet::CF),
        RecipeStep::Op(op) => {
            let mut reads = false;
            op.values(&mut |v| reads |= v == before);
            !reads
        }
        _ => true,
    })
}
