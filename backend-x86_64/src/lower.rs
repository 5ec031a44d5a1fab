//! Lowers a region: the state of the code being written, the blocks' order, block after block.

use std::cell::RefCell;

use hokku_ir::backend::{BlockEntry, Compiled, FaultSite, LazyState, StubId, Tier};
use hokku_ir::ops;
use hokku_ir::*;

use crate::assign::temporaries;
use crate::buffer::Label;
use crate::control::Cold;
use crate::encode::Asm;
use crate::plan::{self, InstInfo, Plan};
use crate::values::{Borrowed, Loc, Val};
use crate::{Features, Optimisations};

/// A region while its code is written.
pub(crate) struct Lowering<'a> {
    pub(crate) asm: Asm,
    pub(crate) mode: CpuMode,
    pub(crate) features: Features,
    pub(crate) optimisations: Optimisations,
    pub(crate) tier: Tier,
    pub(crate) region: &'a Region,
    pub(crate) block: &'a Block,
    pub(crate) block_number: usize,
    pub(crate) plan: Plan,
    /// Place in the block that code is written for; the number of ops at the exit.
    pub(crate) at: u32,
    /// The op whose code is being written: an earlier one than `at` where that was deferred.
    pub(crate) cur: u32,
    /// The guest instruction.
    pub(crate) pc: GuestAddr,
    /// By value number: flags without an op come after the region's values.
    pub(crate) vals: Vec<Val>,
    /// By value number: the value whose place this one shares.
    pub(crate) alias: Vec<Value>,
    pub(crate) temporaries: &'static [u8],
    pub(crate) temp_owner: [Option<Value>; 16],
    /// The guest register that lives in memory and of which host r15 holds a copy.
    pub(crate) r15_copy: Option<Gpr>,
    /// The same for rcx: until anything else is done with it.
    pub(crate) rcx_copy: Option<Gpr>,
    pub(crate) locked: u16,
    /// Those that were locked more than once: another operand may be in them too.
    pub(crate) shared: u16,
    pub(crate) vec_owner: [Option<Value>; 16],
    pub(crate) vec_locked: u16,
    /// Spill slots in use, and those that the next `end_op` frees.
    pub(crate) slots: u64,
    pub(crate) freed_slots: Vec<(u8, u8)>,
    pub(crate) borrowed: Vec<Borrowed>,
    /// By guest register: values that share its place.
    pub(crate) aliases: Box<[Vec<Value>; 16]>,
    pub(crate) vec_aliases: Box<[Vec<Value>; 16]>,
    /// What the host's flags hold.
    pub(crate) eflags: Option<Value>,
    /// What the guest's flags are.
    pub(crate) guest_flags: Value,
    /// The guest's flags are about to be replaced as a whole: they are needed for faults of that instruction alone.
    pub(crate) replacing: bool,
    /// The operands of a callout that may fault are being computed: the guest's flags are needed for the fault.
    pub(crate) fault_follows: bool,
    /// Flags of which the op at hand is one of the uses that are still counted.
    pub(crate) spent: Option<Value>,
    /// The flags that those bits of `eflags` come from which its op does not compute.
    pub(crate) merged_on: Option<Value>,
    pub(crate) saved_flags: Vec<(Value, u8)>,
    /// Deferred conditions that have not been used yet.
    pub(crate) waiting_conditions: Vec<Value>,
    /// Ops of this block that another's instruction has done.
    pub(crate) done: Vec<u32>,
    /// Target of the block's computed jump.
    pub(crate) wants_rcx: Option<Value>,
    pub(crate) block_labels: Vec<Label>,
    /// Blocks whose code is written or being written.
    pub(crate) placed: Vec<bool>,
    pub(crate) cold: Vec<Cold>,
    pub(crate) out: Compiled,
}

/// Memory that one compilation leaves to the next on the same thread.
#[derive(Default)]
struct Room {
    asm: Asm,
    out: Compiled,
    placed: Vec<bool>,
    block_labels: Vec<Label>,
    vals: Vec<Val>,
    alias: Vec<Value>,
    aliases: Box<[Vec<Value>; 16]>,
    vec_aliases: Box<[Vec<Value>; 16]>,
    cold: Vec<Cold>,
    plan: plan::Room,
}

thread_local! {
    static ROOM: RefCell<Option<Room>> = const { RefCell::new(None) };
}

/// Compiles `region` as code of `tier` for a processor with `features`.
pub(crate) fn compile(region: &Region, features: Features, optimisations: Optimisations, tier: Tier) -> Compiled {
    let values = region.value_count as usize;
    let mut room = ROOM.take().unwrap_or_default();
    room.block_labels.clear();
    room.block_labels.extend(region.blocks.iter().map(|_| room.asm.label()));
    room.placed.clear();
    room.placed.resize(region.blocks.len(), false);
    room.vals.clear();
    room.vals.resize(values, Val { loc: Loc::Nowhere, uses: 0, ty: Type::Void });
    room.alias.clear();
    room.alias.extend((0..values as u32).map(Value));
    let plan = Plan::new(region, features, optimisations, room.plan, &mut room.vals, &mut room.alias);
    let mut l = Lowering {
        asm: room.asm,
        mode: region.key.mode,
        features,
        optimisations,
        tier,
        region,
        block: &region.blocks[0],
        block_number: 0,
        plan,
        at: 0,
        cur: 0,
        pc: region.key.pc,
        vals: room.vals,
        alias: room.alias,
        temporaries: temporaries(region.key.mode),
        temp_owner: [None; 16],
        r15_copy: None,
        rcx_copy: None,
        locked: 0,
        shared: 0,
        vec_owner: [None; 16],
        vec_locked: 0,
        slots: 0,
        freed_slots: Vec::new(),
        borrowed: Vec::new(),
        aliases: room.aliases,
        vec_aliases: room.vec_aliases,
        eflags: None,
        guest_flags: Value(0),
        replacing: false,
        fault_follows: false,
        spent: None,
        merged_on: None,
        saved_flags: Vec::new(),
        waiting_conditions: Vec::new(),
        done: Vec::new(),
        wants_rcx: None,
        block_labels: room.block_labels,
        placed: room.placed,
        cold: room.cold,
        out: room.out,
    };
    let order = region.code_order();
    for (n, id) in order.iter().enumerate() {
        l.lower_block(*id, order.get(n + 1).copied());
    }
    l.out.host_instructions = l.asm.count;
    l.out.block_callouts = l.out.callouts.len() as u32;
    l.write_cold();
    l.out.faults.sort_by_key(|f| f.offset);
    let code = l.asm.take();
    // The lists that grew here stay; copies of them take no more memory than they need.
    let compiled = Compiled { code, ..l.out.clone() };
    clear(&mut l.out);
    let Lowering { asm, out, placed, block_labels, vals, alias, aliases, vec_aliases, cold, plan, .. } = l;
    let plan = plan.into_room();
    ROOM.set(Some(Room { asm, out, placed, block_labels, vals, alias, aliases, vec_aliases, cold, plan }));
    compiled
}

fn clear(out: &mut Compiled) {
    let Compiled { code, blocks, links, back_edges, hot_exits, counters, stops, faults, .. } = out;
    code.clear();
    blocks.clear();
    links.clear();
    back_edges.clear();
    hot_exits.clear();
    counters.clear();
    stops.clear();
    faults.clear();
    let Compiled { callouts, return_pads, relocations, recipes, flag_sites, .. } = out;
    callouts.clear();
    return_pads.clear();
    relocations.clear();
    recipes.clear();
    flag_sites.clear();
    (out.host_instructions, out.block_callouts) = (0, 0);
}

impl<'a> Lowering<'a> {
    fn lower_block(&mut self, id: BlockId, next: Option<BlockId>) {
        let region: &'a Region = self.region;
        let block = region.block(id);
        self.block = block;
        self.block_number = id.0 as usize;
        self.plan.block(block, self.block_number);
        self.placed[id.0 as usize] = true;
        self.vals.truncate(self.region.value_count as usize);
        self.alias.truncate(self.region.value_count as usize);
        self.temp_owner = [None; 16];
        (self.r15_copy, self.rcx_copy) = (None, None);
        self.vec_owner = [None; 16];
        self.slots = 0;
        self.aliases.iter_mut().for_each(Vec::clear);
        self.vec_aliases.iter_mut().for_each(Vec::clear);
        self.saved_flags.clear();
        self.waiting_conditions.clear();
        self.done.clear();
        self.guest_flags = self.new_flags();
        self.eflags = Some(self.guest_flags);
        self.merged_on = None;
        self.asm.stack_delta = 0;
        self.wants_rcx = match block.exit {
            Exit::Indirect { target }
            | Exit::Dispatch { target }
            | Exit::IndirectCall { target, .. }
            | Exit::Return { target } => Some(self.root(target)),
            _ => None,
        };
        self.pc = block.pc;
        let count = self.asm.count;
        let entry = (id.0 == 0).then(|| self.region_entry(id));
        let label = self.block_labels[id.0 as usize];
        self.asm.bind(label);
        let (offset, checked) = entry.unwrap_or((self.asm.offset(), 0));
        self.asm.count = count;
        self.out.blocks.push(BlockEntry { block: id, pc: block.pc, offset, checked });
        if id.0 != 0 {
            self.cold.push(Cold::Checked { id, label, n: self.out.blocks.len() - 1 });
        }
        let branches = matches!(block.exit, Exit::Branch { .. });
        for (n, inst) in block.insts.iter().enumerate() {
            if let Op::Insn { pc, .. } = inst.op {
                (self.pc, self.at, self.cur) = (pc, n as u32, n as u32);
                continue;
            }
            let &InstInfo { dead, deferred, flags, .. } = &self.plan.insts[n];
            if dead || !self.done.is_empty() && self.done.contains(&(n as u32)) {
                continue;
            }
            (self.at, self.cur) = (n as u32, n as u32);
            if deferred {
                // A flags op whose instruction has been written already keeps its place.
                let val = &mut self.vals[inst.value.0 as usize];
                if val.loc == Loc::Nowhere {
                    val.loc = Loc::Deferred;
                    if matches!(inst.op, Op::Condition { .. }) {
                        self.waiting_conditions.push(inst.value);
                    }
                }
                continue;
            }
            if branches
                && n >= self.plan.settled
                && (flags != crate::plan::NONE || matches!(inst.op, Op::SetFlags { .. }))
            {
                // Nothing comes between a comparison and the jump then.
                self.flush_stack();
            }
            if flags != crate::plan::NONE {
                // What the flags that come with this op's instruction depend on is read before it.
                for (k, early) in block.insts.iter().enumerate().take(flags as usize).skip(n + 1) {
                    if matches!(early.op, Op::GetFlags {}) && !self.plan.insts[k].dead {
                        self.read_flags(early.value);
                        self.done.push(k as u32);
                    }
                }
            }
            self.lower_inst(inst);
        }
        self.exit(&block.exit, next);
        self.end_inst();
    }

    /// Writes the code of `inst`.
    pub(crate) fn lower_inst(&mut self, inst: &Inst) {
        ops::lower(self, inst);
        self.end_inst();
    }

    #[inline]
    fn end_inst(&mut self) {
        if !self.asm.guest_accesses.is_empty() {
            self.note_faults();
        }
        if !self.borrowed.is_empty() {
            self.give_back();
        }
        self.end_op();
    }

    /// Enters what the instruction accessed as places that may fault.
    #[inline(never)]
    fn note_faults(&mut self) {
        for &(offset, stack_delta) in &self.asm.guest_accesses {
            let mut borrowed = [None; 4];
            let earlier = self.borrowed.iter().filter(|b| b.since <= offset);
            for (place, b) in borrowed.iter_mut().zip(earlier) {
                *place = Some((b.reg, b.slot));
            }
            self.out.faults.push(FaultSite {
                offset,
                pc: self.pc,
                leave: StubId::LeaveFault,
                stack_delta,
                borrowed,
                lazy: LazyState::default(),
                retry: None,
            });
        }
        self.asm.guest_accesses.clear();
    }

    /// Keeps the flags value `f` for later uses; as the guest's flags it is overwritten by the next instruction itself.
    pub(crate) fn keep_flags_values(&mut self, f: Value) {
        if self.vals[f.0 as usize].uses > 0 {
            self.clobber_flags();
            self.eflags = Some(f);
        }
    }

    /// The current op by callout.
    pub(crate) fn rest(&mut self, dst: Value) {
        let op = self.block.insts[self.cur as usize].op;
        self.callout(dst, op);
    }
}
