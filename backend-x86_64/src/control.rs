//! How blocks end: jumps, calls, returns, stops, and the out-of-line stubs of unlinked ones.

use hokku_ir::backend::{HotExit, Link, Relocation, Stop, StopKind, StubId, Tier};
use hokku_ir::{BlockId, Cond, CpuMode, Exit, GuestAddr, Op, Target, Trap, Value, Width};

use crate::assign::{EXIT_SITE, R15, RCX};
use crate::buffer::Label;
use crate::checks::TargetIn;
use crate::encode::{HIGH, Mem, Opcode, Rm, Space, Src};
use crate::lower::Lowering;
use crate::values::Loc;

/// Code that is written behind all blocks. What leads there is a distance at `site`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cold {
    /// Leaves for the target of link number `n`.
    Link { n: usize },
    /// Counts back edge number `n` and goes on to block `to`.
    BackEdge { n: usize, to: BlockId },
    /// A return to another place than the expected one, which is where `target` says.
    Mismatch { site: u32, target: TargetIn },
    /// A computed jump that came to a block with the same place in the jump cache as its target.
    Missed { site: u32, target: TargetIn },
    /// A guest address as data.
    Address { site: u32, pc: GuestAddr },
    /// Leaves at guest instruction `at` because its code has changed.
    Stale { site: u32, at: GuestAddr },
    /// Where computed jumps enter block `id` (number `n` of the list of entries).
    Checked { id: BlockId, label: Label, n: usize },
    /// The string instruction `code` with DF set, or not after all.
    Backwards { site: u32, forwards: Label, done: Label, string: crate::string::Code },
}

/// Kinds of direct jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jump {
    Always,
    If(Cond),
    Call,
}

impl Lowering<'_> {
    /// Lowers the exit of the current block; `next` is the block whose code comes right behind.
    pub(crate) fn exit(&mut self, exit: &Exit, next: Option<BlockId>) {
        self.at = self.block.insts.len() as u32;
        self.flush_stack();
        match *exit {
            Exit::Jump { to } => {
                self.before_fault_if_live();
                self.jump(Jump::Always, to, next);
            }
            Exit::Branch { cond, taken, next: otherwise } => self.branch(cond, taken, otherwise, next),
            Exit::Indirect { target } => {
                self.target_to_rcx(target);
                self.before_fault_if_live();
                self.record_transfer();
                self.computed_jump(false);
            }
            Exit::Dispatch { target } => {
                self.target_to_rcx(target);
                self.before_fault_if_live();
                if self.mode == CpuMode::Long64 {
                    // Where the stub expects it.
                    self.asm.op(Opcode::sse(0x66, 0x0f6e).wide(true), 15, RCX, &[]);
                }
                self.jump_to_stub(0xe9, StubId::JumpMiss);
            }
            Exit::Call { to, ret, ret_block } => {
                self.before_fault_if_live();
                self.jump(Jump::Call, to, None);
                self.return_pad(ret, ret_block, next);
            }
            Exit::IndirectCall { target, ret, ret_block } => {
                self.target_to_rcx(target);
                self.before_fault_if_live();
                self.record_transfer();
                self.computed_jump(true);
                self.return_pad(ret, ret_block, next);
            }
            Exit::Return { target } => {
                self.target_to_rcx(target);
                self.before_fault_if_live();
                self.record_transfer();
                self.asm.plain(&[0xc3]);
            }
            Exit::Syscall { kind, at, next } => self.stop(StopKind::Syscall(kind), at, next),
            Exit::Trap { trap, at, next } => self.stop(StopKind::Trap(trap), at, next),
        }
    }

    fn before_fault_if_live(&mut self) {
        if !self.live_flags().is_empty() {
            self.before_fault();
        }
    }

    /// Puts the target of a computed jump into rcx, zero-extended.
    fn target_to_rcx(&mut self, target: Value) {
        let w = self.mode.word();
        if self.loc(target) == Loc::Temp(RCX) {
            self.lock(RCX);
            self.consume(target);
            return;
        }
        self.force(target);
        self.take_rcx();
        if let Some(n) = self.constant_of(target) {
            self.asm.constant(RCX, n);
        } else {
            let s = self.src(target, w);
            self.load_reg(RCX, s, w);
        }
        self.consume(target);
    }

    /// Before a computed jump of 64-bit code, whose target may be no address: `exit_site` tells the place, for [`StubId::JumpMiss`].
    fn record_transfer(&mut self) {
        if self.mode == CpuMode::Protected32 {
            return;
        }
        let told = self.out.faults.last().is_some_and(|f| f.pc == self.pc);
        if !told && self.asm.guest_accesses.is_empty() {
            self.asm.guest_accesses.push((self.asm.offset(), 0));
        }
        self.asm.op(Opcode::of(0xc7), 0, Mem::state(EXIT_SITE), &[0; 4]);
        let offset = self.asm.offset() - 4;
        self.out.relocations.push(Relocation { offset, stub: StubId::JumpMiss });
    }

    pub(crate) fn jump_to_stub(&mut self, opcode: u8, stub: StubId) {
        self.asm.count += 1;
        self.asm.bytes(&[opcode]);
        self.stub_distance(stub);
    }

    /// Goes where the jump cache says for the guest address in rcx; the code there checks that it is the right one.
    fn computed_jump(&mut self, call: bool) {
        let index = match self.mode {
            CpuMode::Long64 => {
                // Two registers are all that is free: the target waits in a vector register.
                self.asm.op(Opcode::sse(0x66, 0x0f6e).wide(true), 15, RCX, &[]);
                RCX
            }
            CpuMode::Protected32 => 8,
        };
        self.asm.movzx(Width::W16, index, Rm::Reg(RCX));
        self.asm.mov(Width::W64, R15, Mem::state(crate::assign::JUMP_CACHE));
        let to = Mem { scale: 3, ..Mem::sum(R15, index, 0) };
        self.asm.op(Opcode::of(0xff), if call { 2 } else { 4 }, to, &[]);
    }

    /// Code before block `id`, which goes on behind it: where the block is entered by links, and its checked entry.
    pub(crate) fn region_entry(&mut self, id: BlockId) -> (u32, u32) {
        if !self.is_counted() {
            let checked = self.checked_entry(id);
            return (self.asm.offset(), checked);
        }
        let hot = self.asm.label();
        self.leave_hot(hot, self.region.block(id).pc);
        let checked = self.checked_entry(id);
        let entry = self.asm.offset();
        self.count_down(hot);
        (entry, checked)
    }

    fn is_counted(&self) -> bool {
        self.tier == Tier::First { counted: true }
    }

    /// Takes one off the region's count; goes to `hot`, which is near, where that makes it zero. Flags are kept.
    fn count_down(&mut self, hot: Label) {
        let mut counter = |asm: &mut crate::encode::Asm, opcode: u8| {
            // mov ecx, [rip + ...] or mov [rip + ...], ecx
            asm.plain(&[opcode, 0x0d]);
            self.out.counters.push(asm.offset());
            asm.bytes(&[0; 4]);
        };
        counter(&mut self.asm, 0x8b);
        self.asm.plain(&[0x8d, 0x49, 0xff]);
        counter(&mut self.asm, 0x89);
        self.asm.jrcxz(hot);
    }

    /// `label`: leaves because the count is zero; the guest goes on at `target`.
    fn leave_hot(&mut self, label: Label, target: GuestAddr) {
        self.asm.bind(label);
        self.out.hot_exits.push(HotExit { stub: self.asm.offset(), target });
        self.jump_to_stub(0xe8, StubId::LeaveHot);
    }

    fn stub_distance(&mut self, stub: StubId) {
        let offset = self.asm.offset();
        self.out.relocations.push(Relocation { offset, stub });
        self.asm.bytes(&[0; 4]);
    }

    fn branch(&mut self, cond: Value, taken: Target, otherwise: Target, next: Option<BlockId>) {
        let root = self.root(cond);
        let live = !self.live_flags().is_empty();
        // A condition on other flags than the guest's must not cost the guest's: have it in a register.
        if live && !self.is_condition_on_guest_flags(root) {
            return self.branch_on_register(root, taken, otherwise, next);
        }
        let cc = self.host_condition(root);
        if taken == otherwise {
            return self.jump(Jump::Always, taken, next);
        }
        if next.is_some_and(|n| taken == Target::Block(n)) {
            self.jump(Jump::If(cc.negate()), otherwise, next);
        } else {
            self.jump(Jump::If(cc), taken, next);
            self.jump(Jump::Always, otherwise, next);
        }
    }

    /// A branch that leaves the flags alone: `jrcxz`.
    fn branch_on_register(&mut self, root: Value, taken: Target, otherwise: Target, next: Option<BlockId>) {
        let zero_test = match self.op_at(root) {
            Some(Op::Compare { op, w, a, b })
                if self.loc(root) == Loc::Deferred
                    && matches!(op, hokku_ir::IntCmp::Eq | hokku_ir::IntCmp::Ne)
                    && self.constant_of(b) == Some(0) =>
            {
                Some((op, w, a))
            }
            _ => None,
        };
        let (mut if_zero, mut if_not) = (otherwise, taken);
        let (w, v) = match zero_test {
            Some((op, w, a)) => {
                if op == hokku_ir::IntCmp::Eq {
                    std::mem::swap(&mut if_zero, &mut if_not);
                }
                (w, a)
            }
            None => {
                self.force(root);
                (Width::W8, root)
            }
        };
        self.force(v);
        if self.loc(v) != Loc::Temp(RCX) {
            self.take_rcx();
        }
        let s = self.src(v, w);
        match s {
            Src::Reg(r) if r & HIGH != 0 || w < Width::W32 => self.asm.movzx(w, RCX, Rm::Reg(r)),
            Src::Reg(r) => self.asm.mov(w, RCX, r),
            _ => self.load_reg(RCX, s, w),
        }
        if zero_test.is_some() {
            let def = self.def(root);
            self.vals[root.0 as usize].loc = Loc::Nowhere;
            self.consume_inst(def);
        }
        self.consume(root);
        self.before_fault_if_live();
        let zero = self.asm.label();
        self.asm.jrcxz(zero);
        self.jump(Jump::Always, if_not, None);
        self.asm.bind(zero);
        self.jump(Jump::Always, if_zero, next);
    }

    /// A direct jump; nothing where the target comes right behind.
    pub(crate) fn jump(&mut self, kind: Jump, to: Target, next: Option<BlockId>) {
        let (block, target) = match to {
            Target::Block(b) if kind == Jump::Always && next == Some(b) => return,
            Target::Block(b) => (Some(b), self.region.block(b).pc),
            Target::Guest(pc) => (None, pc),
        };
        let is_counted = |b: BlockId| self.tier != Tier::Second && self.placed[b.0 as usize];
        if let Some(b) = block.filter(|b| !is_counted(*b)) {
            self.jump_opcode(kind);
            return self.asm.buf.distance(self.block_labels[b.0 as usize]);
        }
        self.asm.align_site(if matches!(kind, Jump::If(_)) { 2 } else { 1 });
        self.jump_opcode(kind);
        let site = self.asm.distance_ahead();
        // A call of a block is a jump where loops are counted.
        let is_call = kind == Jump::Call && block.is_none();
        let link = Link { site, stub: 0, target, is_call, far: None };
        if let Some(to) = block {
            self.cold.push(Cold::BackEdge { n: self.out.back_edges.len(), to });
            self.out.back_edges.push(link);
        } else {
            self.cold.push(Cold::Link { n: self.out.links.len() });
            self.out.links.push(link);
        }
    }

    /// A direct jump without its distance.
    fn jump_opcode(&mut self, kind: Jump) {
        match kind {
            Jump::Always => self.asm.plain(&[0xe9]),
            Jump::If(cc) => self.asm.plain(&[0x0f, 0x80 | cc as u8]),
            Jump::Call => self.asm.plain(&[0xe8]),
        }
    }

    /// `check_code`: leaves if what is at `at` is not `expected`. Keeps all flags.
    pub(crate) fn compare_code(&mut self, at: GuestAddr, w: Width, expected: u64) {
        self.flush_stack();
        self.before_fault();
        self.take_rcx();
        let t = self.temp();
        self.asm.constant(t, at.0);
        self.asm.movzx(w, t, Rm::Mem(Mem { space: Space::Guest, ..Mem::plain(t, 0) }));
        let sum = w.max(Width::W32);
        self.asm.constant(RCX, (expected & w.mask()).wrapping_neg() & sum.mask());
        self.asm.lea(sum, RCX, Mem::sum(RCX, t, 0));
        let same = self.asm.label();
        self.asm.jrcxz(same);
        let site = self.asm.jmp_ahead();
        self.asm.bind(same);
        self.cold.push(Cold::Stale { site, at: self.pc });
    }

    /// A syscall or trap.
    fn stop(&mut self, kind: StopKind, at: GuestAddr, next: GuestAddr) {
        self.before_fault_if_live();
        let stub = self.asm.offset();
        self.out.stops.push(Stop { stub, kind, at, next });
        let leave = match kind {
            StopKind::Syscall(_) => StubId::LeaveSyscall,
            StopKind::Trap(_) => StubId::LeaveTrap,
        };
        self.leave_from_here(leave);
    }

    /// `exit_site` = this place; to `stub`.
    fn leave_from_here(&mut self, stub: StubId) {
        // lea rcx, [rip - 7]: the start of this instruction.
        self.asm.plain(&[0x48, 0x8d, 0x0d, 0xf9, 0xff, 0xff, 0xff]);
        self.asm.mov(Width::W64, Mem::state(EXIT_SITE), RCX);
        self.jump_to_stub(0xe9, stub);
    }

    /// Writes what the blocks left for later.
    pub(crate) fn write_cold(&mut self) {
        let mut n = 0;
        while n < self.cold.len() {
            match self.cold[n] {
                Cold::Link { n } => {
                    let link = &mut self.out.links[n];
                    self.asm.lead_here(link.site);
                    link.stub = self.asm.offset();
                    self.jump_to_stub(0xe8, StubId::LeaveLink);
                }
                Cold::BackEdge { n, to } => {
                    let link = &mut self.out.back_edges[n];
                    self.asm.lead_here(link.site);
                    link.stub = self.asm.offset();
                    let hot = self.asm.label();
                    if self.is_counted() {
                        self.count_down(hot);
                    }
                    self.asm.jmp(self.block_labels[to.0 as usize]);
                    if self.is_counted() {
                        self.leave_hot(hot, self.out.back_edges[n].target);
                    }
                }
                Cold::Mismatch { site, target } => {
                    self.asm.lead_here(site);
                    self.target_back(target);
                    self.jump_to_stub(0xe9, StubId::Indirect);
                }
                Cold::Missed { site, target } => {
                    self.asm.lead_here(site);
                    self.missed(target);
                }
                Cold::Address { site, pc } => {
                    self.asm.lead_here(site);
                    self.asm.bytes(&pc.0.to_le_bytes());
                }
                Cold::Stale { site, at } => {
                    self.asm.lead_here(site);
                    let stub = self.asm.offset();
                    self.out.stops.push(Stop { stub, kind: StopKind::Trap(Trap::Stale), at, next: at });
                    self.leave_from_here(StubId::LeaveTrap);
                }
                Cold::Checked { id, label, n } if self.is_counted() => {
                    // Whatever comes in from outside is counted, so that every loop through several regions is.
                    let hot = self.asm.label();
                    self.leave_hot(hot, self.region.block(id).pc);
                    let checked = self.short_checked_entry(id);
                    let offset = self.asm.offset();
                    self.count_down(hot);
                    self.asm.jmp(label);
                    let block = &mut self.out.blocks[n];
                    (block.offset, block.checked) = (offset, checked);
                }
                Cold::Checked { id, label, n } => {
                    self.out.blocks[n].checked = match self.tier {
                        Tier::Second => self.checked_entry(id),
                        Tier::First { .. } => self.short_checked_entry(id),
                    };
                    self.asm.jmp(label);
                }
                Cold::Backwards { site, forwards, done, string } => {
                    self.asm.lead_here(site);
                    self.string_backwards(forwards, done, string);
                }
            }
            n += 1;
        }
        if self.cold.iter().any(|c| matches!(c, Cold::Address { .. })) {
            // Addresses are read together with the eight bytes behind them.
            self.asm.bytes(&[0; 8]);
        }
        self.cold.clear();
    }

    /// Pushes nothing and pops nothing: keeps opcode helpers together.
    pub(crate) fn test_state_bit(&mut self, offset: i32, mask: u32) {
        self.asm.op(Opcode::of(0xf7), 0, Mem::state(offset), &mask.to_le_bytes());
    }
}
