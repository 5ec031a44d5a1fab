//! How blocks end: jumps, calls, returns, stops, and the out-of-line code of unlinked ones.

use hokku_ir::backend::{FarJump, FaultSite, HotExit, LazyState, Link, Stop, StopKind, StubId, Tier};
use hokku_ir::lowering::{FlagsNode, X87Slow, X87Stack};
use hokku_ir::{BlockId, CpuMode, Exit, FlagSet, GuestAddr, Target, Value};

use crate::asm::Label;
use crate::assign::*;
use crate::callout::OutOfLine;
use crate::conditions::Test;
use crate::encode::*;
use crate::float_runs::EvaluatedRun;
use crate::lower::Lowering;
use crate::notes::Note;
use crate::stubs::computed_jump;
use crate::x87_exact::X87Site;

/// Code that is written behind all blocks.
#[derive(Clone, Debug)]
pub(crate) enum Cold {
    /// Leaves for the target of link number `n`; its far jump.
    Link { label: Label, n: usize },
    /// Back edge number `n`, which goes on to a block's entry.
    BackEdge { label: Label, n: usize, entry: Label },
    /// A check that the x87 stack is as block `id` must find it.
    Check { label: Label, id: BlockId },
    /// Where block `id` (number `n` of the list of entries) is entered from outside.
    Entry { id: BlockId, n: usize },
    /// A computed jump that came to another block than its target.
    Missed { label: Label },
    /// A return to another place than the latest call's.
    Mismatch { label: Label, at: GuestAddr },
    /// The guest's flags are brought to the state.
    Settle { label: Label, back: Label, stack: Option<X87Stack> },
    /// CF of flags that are noted is kept beside the note to come.
    KeepCarry { label: Label, back: Label, stack: Option<X87Stack> },
    /// A way that notes the flags on its way to a block's entry.
    Note { label: Label, note: Note, entry: Label, stack: Option<X87Stack> },
    /// A way to a block's entry on which the x87 stack, which is `from`, becomes what the block finds.
    Carry { label: Label, from: Box<X87Stack>, to: Box<X87Stack>, entry: Label },
    /// A way to a block's entry that clears the upper halves of some homes.
    Clear { label: Label, gprs: u16, entry: Label },
    /// Block `id` with ops on floats evaluated.
    EvaluatedFloats { label: Label, id: BlockId },
    /// The way to the code of loop `n`.
    EnterLoop { label: Label, n: usize },
    /// Block `id` in the code of loop `n`.
    InLoop { label: Label, n: usize, id: BlockId },
    /// Block `id` for an x87 stack that is not known.
    Shapeless { label: Label, id: BlockId },
    /// An x87 op that is not done by the code in place.
    X87(Box<X87Slow<Label, X87Site>>),
    /// Ops on floats that are evaluated.
    FloatRun(Box<EvaluatedRun>),
    /// An op that is evaluated.
    OutOfLine(Box<OutOfLine>),
}

impl Lowering<'_> {
    /// Lowers the exit of the current block; `next` is the block whose code comes right behind.
    pub(crate) fn exit(&mut self, exit: &Exit, next: Option<BlockId>) {
        self.leave_block(exit, next);
        self.x87 = None;
    }

    fn leave_block(&mut self, exit: &Exit, next: Option<BlockId>) {
        match *exit {
            Exit::Jump { to } => {
                self.leave_flags(&[to]);
                self.widen_for(to);
                self.jump(to, next);
            }
            Exit::Branch { cond, taken, next: otherwise } => self.branch_exit(cond, taken, otherwise, next),
            Exit::Indirect { target } => {
                self.target(target);
                self.leave_flags(&[]);
                self.widen_all();
                self.tell_transfer(self.pc);
                computed_jump(&mut self.asm, self.features);
                // To a processor that is no call.
                self.asm.i(JALR, JUMPED, SCRATCH, 0);
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
                let guest = self.shared_constant(ret.0 as i64);
                if let Target::Block(b) = to
                    && self.leads_past_check(b)
                {
                    self.load_carried(b);
                }
                self.push_return(guest);
                match to {
                    Target::Block(b) => {
                        let label = self.entry_of(b);
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
                self.tell_transfer(self.pc);
                let guest = self.shared_constant(ret.0 as i64);
                computed_jump(&mut self.asm, self.features);
                self.push_return(guest);
                self.asm.i(JALR, RA, SCRATCH, 0);
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
                self.cold.push(Cold::Mismatch { label: mismatch, at: self.pc });
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

    /// What follows is the computed jump of the guest instruction at `pc`: the runtime asks where the target is no address.
    fn tell_transfer(&mut self, pc: GuestAddr) {
        if self.mode == CpuMode::Long64 && self.out.faults.last().is_none_or(|f| f.pc != pc) {
            let (offset, leave, lazy) = (self.asm.here(), StubId::JumpMiss, LazyState::default());
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

    /// Pushes a pair to the shadow stack for the call that comes right behind, of which `guest` holds the guest address.
    fn push_return(&mut self, guest: Reg) {
        self.asm.word(auipc(RA, 0));
        self.asm.s(SD, guest, SHADOW, -8);
        self.asm.s(SD, RA, SHADOW, -16);
        self.asm.i(ADDI, SHADOW, SHADOW, -16);
    }

    /// Where the guest's `ret` lands.
    fn return_pad(&mut self, ret: GuestAddr, ret_block: Option<BlockId>, next: Option<BlockId>) {
        self.shape_after = None;
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
        let seen = self.leave_read_flags(&[taken, otherwise]);
        if taken == otherwise {
            self.note_flags(&seen);
            self.widen_for(taken);
            return self.jump(taken, next);
        }
        let stays =
            |l: &Self, t: Target| l.in_loop.is_some() && matches!(t, Target::Block(b) if l.loop_to(b).is_some());
        let turned =
            matches!(taken, Target::Block(b) if next == Some(b)) || (stays(self, otherwise) && !stays(self, taken));
        let (test, jumped, on) = if turned { (test.opposite(), otherwise, taken) } else { (test, taken, otherwise) };
        let clears = self.clears(jumped, on);
        let test = self.settled(test, clears.before);
        self.carry_before(test, jumped);
        // Who sees the flags notes them.
        match (seen.contains(&jumped), seen.contains(&on)) {
            (false, false) => {
                self.widen_before(clears);
                self.jump_if(test, jumped, None, clears.on_jump);
                self.clear_upper_halves(clears.behind);
                self.jump(on, next);
            }
            (false, true) => {
                let note = self.note(&seen);
                self.widen_before(clears);
                self.jump_if(test, jumped, None, clears.on_jump);
                self.write_note(note);
                self.clear_upper_halves(clears.behind);
                self.jump(on, next);
            }
            (true, false) if self.notes_aside(jumped) => {
                let note = self.note(&seen);
                self.widen_before(clears);
                self.jump_if(test, jumped, note, clears.on_jump);
                self.clear_upper_halves(clears.behind);
                self.jump(on, next);
            }
            (true, _) => {
                self.note_flags(&seen);
                self.widen_before(clears);
                self.jump_if(test, jumped, None, clears.on_jump);
                self.clear_upper_halves(clears.behind);
                self.jump(on, next);
            }
        }
    }

    /// Whether a note for `to` alone is better made on the way there: not where that would be a jump more in a loop.
    fn notes_aside(&self, to: Target) -> bool {
        match to {
            Target::Guest(_) => true,
            Target::Block(b) => !self.asm.is_bound(self.labels[b.0 as usize]),
        }
    }

    /// Whether one of `targets` reads flags of this block as bits.
    fn reads_flags(&self, targets: &[Target]) -> bool {
        targets.iter().any(|t| matches!(t, Target::Block(b) if !self.read_in[b.0 as usize].is_empty()))
    }

    /// Goes to `to` where `test` holds; on the way makes `note`, and clears the upper halves of `gprs`.
    fn jump_if(&mut self, test: Test, to: Target, note: Option<Note>, gprs: u16) {
        match to {
            Target::Block(b) => {
                let label = match note {
                    Some(note) if note.instructions() > 1 => {
                        let entry = self.way_to(b);
                        let entry = self.carrying_way(b, entry);
                        let (label, entry) = (self.asm.label(), self.clearing_way(gprs, entry));
                        self.cold.push(Cold::Note { label, note, entry, stack: self.x87.clone() });
                        label
                    }
                    note => {
                        self.write_note(note);
                        let entry = if self.is_back_edge(b) { self.back_edge(b) } else { self.way_to(b) };
                        let entry = self.carrying_way(b, entry);
                        self.clearing_way(gprs, entry)
                    }
                };
                self.branch_if(test, label);
            }
            Target::Guest(pc) => {
                let over = self.asm.label();
                self.branch_unless(test, over);
                self.write_note(note);
                self.clear_upper_halves(gprs);
                let stack = self.x87.clone();
                self.carry_to(to);
                self.x87 = stack;
                self.link(pc, false);
                self.asm.bind(over);
            }
        }
    }

    /// A direct jump; nothing where the target comes right behind.
    fn jump(&mut self, to: Target, next: Option<BlockId>) {
        self.carry_to(to);
        match to {
            Target::Guest(pc) => self.link(pc, false),
            Target::Block(b) if next == Some(b) && self.leads_past_check(b) => {}
            Target::Block(b) => {
                let label = if self.is_back_edge(b) { self.back_edge(b) } else { self.way_to(b) };
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
    pub(crate) fn is_back_edge(&self, b: BlockId) -> bool {
        self.tier != Tier::Second && self.asm.is_bound(self.labels[b.0 as usize])
    }

    fn back_edge(&mut self, to: BlockId) -> Label {
        let label = self.asm.label();
        let n = self.out.back_edges.len();
        let target = self.region.block(to).pc;
        self.out.back_edges.push(Link { site: 0, stub: 0, target, is_call: false, far: None });
        let entry = self.entry_of(to);
        self.cold.push(Cold::BackEdge { label, n, entry });
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
        if targets.is_empty() && self.plan.node(node) != FlagsNode::Entry {
            let note = self.note(&[]);
            return self.write_note(note);
        }
        let seen = self.leave_read_flags(targets);
        self.note_flags(&seen);
    }

    /// Leaves those flags as bits that code at `targets` reads as such. Gives the targets that look for the flags where [`FLAGS`] says.
    fn leave_read_flags(&mut self, targets: &[Target]) -> Vec<Target> {
        let node = self.plan.flags_at(self.at as usize);
        if self.plan.node(node) == FlagsNode::Entry {
            return Vec::new();
        }
        let (mut read, mut seen) = (FlagSet::empty(), Vec::new());
        for target in targets {
            let is_seen = match target {
                Target::Block(b) => {
                    read |= self.read_in[b.0 as usize];
                    !self.seen_in[b.0 as usize].is_empty()
                }
                Target::Guest(_) => true,
            };
            if is_seen {
                seen.push(*target);
            }
        }
        if !read.is_empty() {
            let locks = self.values.locks();
            let reads_before = self.node_reads_older(node, read);
            if self.frugal || (reads_before && read.iter().count() > 1) {
                // Rare, and needs more registers than there are.
                let lazy = self.lazy();
                self.settle_flags(lazy);
                self.asm.i(LWU, OLDER, STATE, STATUS_FLAGS);
                self.values.unlock_since(locks, &[]);
                return Vec::new();
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
        seen
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
                Cold::BackEdge { label, n, entry } => {
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
                    self.asm.jump(ZERO, entry);
                    if self.is_counted() {
                        self.leave_hot(hot, self.out.back_edges[n].target);
                    }
                }
                Cold::Entry { id, n } => {
                    let label = self.labels[id.0 as usize];
                    let (offset, checked) = self.region_entry(id);
                    self.check_shape(id);
                    self.asm.jump(ZERO, label);
                    let is_plain =
                        !self.is_counted() && self.read_in[id.0 as usize].is_empty() && self.is_entered_in_place(id);
                    let block = &mut self.out.blocks[n];
                    block.checked = checked;
                    if !is_plain {
                        // Whatever comes in from outside is counted, so that every loop through several regions is.
                        block.offset = offset;
                    }
                }
                Cold::Check { label, id } => {
                    self.asm.bind(label);
                    self.check_shape(id);
                    let block = self.labels[id.0 as usize];
                    self.asm.jump(ZERO, block);
                }
                Cold::Missed { label } => {
                    self.asm.bind(label);
                    self.jump_to_stub(ZERO, StubId::JumpMiss);
                }
                Cold::Mismatch { label, at } => {
                    self.asm.bind(label);
                    self.tell_transfer(at);
                    self.jump_to_stub(JUMPED, StubId::ReturnMiss);
                }
                Cold::Settle { label, back, stack } => {
                    self.asm.bind(label);
                    // All of them may be in the state already.
                    self.asm.i(ADDI, SCRATCH, FLAGS, -1);
                    self.asm.branch(Branch::Eq, SCRATCH, ZERO, back);
                    self.settle_flags_beside(stack.as_ref());
                    self.asm.jump(ZERO, back);
                }
                Cold::KeepCarry { label, back, stack } => self.keep_carry(label, back, stack.as_ref()),
                Cold::Note { label, note, entry, stack } => {
                    self.asm.bind(label);
                    self.x87 = stack;
                    self.write_note(Some(note));
                    self.x87 = None;
                    self.asm.jump(ZERO, entry);
                }
                Cold::Carry { label, from, to, entry } => {
                    self.asm.bind(label);
                    self.write_carry(&from, &to);
                    self.asm.jump(ZERO, entry);
                }
                Cold::Clear { label, gprs, entry } => {
                    self.asm.bind(label);
                    self.clear_upper_halves(gprs);
                    self.asm.jump(ZERO, entry);
                }
                Cold::EvaluatedFloats { label, id } => {
                    self.asm.bind(label);
                    self.lower_with_evaluated_floats(id);
                }
                Cold::Shapeless { label, id } => {
                    self.asm.bind(label);
                    self.lower_shapeless(id);
                }
                Cold::EnterLoop { label, n } => self.write_way_to_loop(label, n),
                Cold::InLoop { label, n, id } => self.lower_in_loop(label, n, id),
                Cold::X87(slow) => self.write_x87_slow(&slow),
                Cold::FloatRun(run) => self.write_evaluated_run(&run),
                Cold::OutOfLine(slow) => self.write_out_of_line(&slow),
            }
            n += 1;
        }
        self.cold.clear();
    }
}
