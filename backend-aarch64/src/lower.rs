//! A region, block by block: what the lowering of all ops shares.

use hokku_ir::backend::{BlockEntry, Callout, Compiled, FaultSite, LazyState, Relocation, StubId, Tier};
use hokku_ir::lowering::{
    FlagsNeed, FlagsNode, FlagsRecipe, Known, Loc, Moves, Plan, RecipeStep, Recipes, UpperBits, Values, X87Shape,
    X87Slow, X87Stack, drop_dead_sets_but, share_addresses,
};
use hokku_ir::ops;
use hokku_ir::{Addr, Block, BlockId, CpuMode, Effects, FlagSet, Gpr, GuestAddr, Inst, Op, Region, Value, Width};

use crate::Features;
use crate::access;
use crate::alternate::is_alternate;
use crate::asm::{Asm, Label, Piece, Size};
use crate::assign::{SCRATCH, STATE, TEMPS, ZERO, recipe_slot_offset};
use crate::attempt::{Attempt, Retry};
use crate::conditions::Compared;
use crate::control::Cold;
use crate::flag_uses::{Carried, FlagUses};
use crate::flag_words::Routine;
use crate::fpsr::KnownFpsr;
use crate::known::{Facts, stop_at};
use crate::known_alignment::aligned_in;
use crate::simd::Same;
use crate::vector_values::VectorValues;
use crate::x87_exact::X87Site;

/// The host's registers for the guest's, by number.
pub(crate) const HOMES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Code of a region while it is written.
pub(crate) struct Lowering<'a> {
    pub(crate) asm: Asm,
    pub(crate) mode: CpuMode,
    pub(crate) features: Features,
    pub(crate) tier: Tier,
    pub(crate) region: &'a Region,
    /// Blocks from this number on are copies, which nobody enters from outside.
    originals: usize,
    /// By block: how many ops at its start say what the flags are.
    told: &'a [usize],
    /// By block: what is known where it is entered.
    facts: &'a [Facts],
    /// The copy of the first block for those who enter the region with zeros above the lowest 64 bits of these vector registers.
    zeros_at_entry: Option<(BlockId, u16)>,
    /// The block at hand.
    pub(crate) block: &'a Block,
    /// The place in it that code is written for.
    pub(crate) at: u32,
    /// The guest instruction at hand.
    pub(crate) pc: GuestAddr,
    pub(crate) plan: Plan,
    pub(crate) values: Values,
    pub(crate) vectors: VectorValues,
    /// Addresses that are multiples of so many bytes.
    pub(crate) aligned: Vec<(Addr, u32)>,
    /// The attempt that is being written.
    pub(crate) attempt: Option<Attempt>,
    /// Other versions of blocks that are to be written.
    pub(crate) retries: Vec<Retry>,
    /// By block: the places that no attempt may go to.
    pub(crate) barriers: &'a [Vec<u32>],
    /// Attempts may start in what is being written.
    pub(crate) may_attempt: bool,
    /// What is known of FPSR.
    pub(crate) fpsr: KnownFpsr,
    /// Block and place that an attempt should not have gone to.
    pub(crate) failed: Option<(usize, u32)>,
    /// By fault site's number: the version of a block that is to run instead.
    pub(crate) fault_retries: Vec<(usize, Label)>,
    /// Floats of the block at hand are evaluated from here on; mxcsr has all exceptions masked, as has been looked at.
    pub(crate) evaluates_floats: bool,
    pub(crate) floats_are_usual: bool,
    /// The block that is entered by running on from one for which that holds.
    pub(crate) runs_on_usual: Option<BlockId>,
    /// By block: its start behind that look.
    pub(crate) inner_labels: Vec<Label>,
    /// Versions of blocks whose floats are evaluated.
    pub(crate) evaluated_versions: Vec<(Label, BlockId)>,
    /// What NZCV holds.
    pub(crate) compared: Option<Compared>,
    /// By place: the flags that the op there is to leave in NZCV beside its result.
    pub(crate) carried: Vec<Option<Carried>>,
    /// By place: code for the op has been written with that of another.
    pub(crate) done: Vec<bool>,
    /// By block: which of the flags with which it is entered somebody may see.
    pub(crate) sees_flags: Vec<FlagSet>,
    /// By block: the place that tells its flags at its end, and the op that they are of.
    pub(crate) sites: Vec<Option<KnownSite>>,
    /// The one of those that a block before this one in the code has, from which control comes here.
    pub(crate) entry_site: Option<KnownSite>,
    /// The place that is to tell the flags at the end of the block at hand, if its start asks for it.
    pub(crate) own_site: Option<Label>,
    pub(crate) block_number: usize,
    pub(crate) block_labels: Vec<Label>,
    /// Blocks whose code is written or being written.
    pub(crate) placed: Vec<bool>,
    pub(crate) cold: Vec<Cold>,
    /// The constant that was pushed last, a temporary that held it right behind that, and the place there.
    pub(crate) pushed: Option<(u64, u8, u32)>,
    /// The value that was loaded last, and the place of the load.
    pub(crate) loaded: Option<(Value, u32)>,
    pub(crate) recipes: Recipes,
    /// Code that computes flags from what blocks left of them.
    pub(crate) routines: Vec<Routine>,
    /// The shapes of the x87 stack that blocks are written for, where code computes in doubles.
    pub(crate) shapes: Option<Vec<X87Shape>>,
    /// The x87 stack at hand, if it is known.
    pub(crate) x87: Option<X87Stack>,
    /// Its shape behind the block's ops.
    pub(crate) shape_after: Option<X87Shape>,
    /// Code of x87 ops that are not done in place.
    pub(crate) x87_slow: Vec<X87Slow<Label, X87Site>>,
    /// By block: where its x87 ops are evaluated, and where it is entered by way of a check of that shape.
    pub(crate) slow_versions: Vec<Label>,
    pub(crate) checks: Vec<Option<Label>>,
    /// Code that stands behind all blocks: rare ways of single ops.
    pub(crate) outlined: Vec<Outlined>,
    /// Such code is being written.
    pub(crate) is_aside: bool,
    pub(crate) out: Compiled,
}

/// A flag site whose flags are those of one op on slots and constants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownSite {
    /// The site.
    pub(crate) label: Label,
    /// The op; its operands are not to be looked at.
    pub(crate) op: Op,
    /// Its operands, in order.
    pub(crate) operands: [Option<RecipeStep>; 2],
}

/// A piece of code that stands behind all blocks, and what was noted of it.
#[derive(Debug)]
pub(crate) struct Outlined {
    entry: Label,
    piece: Piece,
    relocations: Vec<Relocation>,
    callouts: Vec<Callout>,
    faults: Vec<(FaultSite, Option<Label>)>,
}

impl Moves for Asm {
    fn copy(&mut self, to: u8, from: u8) {
        self.mov(Size::X, to, from);
    }
    fn spill(&mut self, slot: u8, from: u8) {
        self.store(access::Piece::X, from, STATE, recipe_slot_offset(slot));
    }
    fn reload(&mut self, to: u8, slot: u8) {
        self.load(access::Piece::X, to, STATE, recipe_slot_offset(slot));
    }
    fn add(&mut self, w: Width, to: u8, from: u8, by: i32) -> UpperBits {
        use crate::integer::Sum;
        let size = if w == Width::W64 { Size::X } else { Size::W };
        self.add_imm(if by < 0 { Sum::Sub } else { Sum::Add }, size, to, from, by.unsigned_abs());
        match w {
            Width::W64 => UpperBits::BOTH,
            Width::W32 => UpperBits::ZERO,
            _ => UpperBits::UNKNOWN,
        }
    }
}

/// Compiles `region` as code of `tier` for a processor with `features`.
pub(crate) fn compile(region: &Region, features: Features, tier: Tier) -> Compiled {
    let mut region = region.clone();
    // Pushes and pops write the stack pointer as they go.
    drop_dead_sets_but(&mut region, Some(Gpr::Rsp));
    share_addresses(&mut region, &crate::memory::has_sum_of_its_own);
    crate::result_tests::test_results(&mut region);
    crate::carries::name_last_carries(&mut region);
    let region = &region;
    let known = match tier {
        // Blocks with x87 registers in host registers have another version already.
        Tier::Second if crate::x87_double::shapes(region).is_none() => {
            crate::known::copies(region, !is_alternate(features, region.key.x87))
        }
        _ => Known::nothing(region),
    };
    let mut barriers = vec![Vec::new(); known.region.blocks.len()];
    loop {
        match compile_once(&known, features, tier, &barriers) {
            Ok(compiled) => return compiled,
            Err((block, at)) if barriers[block].contains(&at) => {
                barriers[block] = (0..known.region.blocks[block].insts.len() as u32).collect();
            }
            Err((block, at)) => barriers[block].push(at),
        }
    }
}

/// The same, with attempts that do not go to the places `barriers` in their blocks. `Err`: a block and place that one should not have gone to.
fn compile_once(
    known: &Known<Facts>,
    features: Features,
    tier: Tier,
    barriers: &[Vec<u32>],
) -> Result<Compiled, (usize, u32)> {
    let region = &known.region;
    let mut asm = Asm::new();
    let entries = region.blocks.iter().map(|_| asm.label()).collect();
    let fpsr = KnownFpsr::new(region, tier == Tier::Second && !is_alternate(features, region.key.x87), entries);
    let block_labels = region.blocks.iter().map(|_| asm.label()).collect();
    let slow_versions = region.blocks.iter().map(|_| asm.label()).collect();
    let inner_labels = region.blocks.iter().map(|_| asm.label()).collect();
    let mut l = Lowering {
        asm,
        mode: region.key.mode,
        features,
        tier,
        region,
        originals: known.originals,
        told: &known.told,
        facts: &known.facts,
        zeros_at_entry: known.entry.map(|id| (id, known.facts[id.0 as usize].zeros)),
        block: &region.blocks[0],
        at: 0,
        pc: region.key.pc,
        plan: Plan::new(region),
        values: Values::new(HOMES, &TEMPS, region.value_count),
        vectors: VectorValues::new(region.value_count),
        aligned: Vec::new(),
        attempt: None,
        retries: Vec::new(),
        barriers,
        may_attempt: false,
        fpsr,
        failed: None,
        fault_retries: Vec::new(),
        evaluates_floats: false,
        floats_are_usual: false,
        runs_on_usual: None,
        inner_labels,
        evaluated_versions: Vec::new(),
        compared: None,
        is_aside: false,
        carried: Vec::new(),
        done: Vec::new(),
        sees_flags: crate::flag_uses::blocks_that_see_flags(region),
        sites: vec![None; region.blocks.len()],
        entry_site: None,
        own_site: None,
        block_number: 0,
        block_labels,
        placed: vec![false; region.blocks.len()],
        cold: Vec::new(),
        pushed: None,
        loaded: None,
        recipes: Recipes::default(),
        routines: Vec::new(),
        shapes: crate::x87_double::shapes(region),
        x87: None,
        shape_after: None,
        x87_slow: Vec::new(),
        slow_versions,
        checks: vec![None; region.blocks.len()],
        outlined: Vec::new(),
        out: Compiled::default(),
    };
    let order = region.code_order();
    let mut callouts = 0;
    for (n, id) in order.iter().enumerate() {
        let (before, not_own) = (l.asm.offset() / 4, l.out.host_instructions);
        let called = l.out.callouts.len();
        l.lower_block(*id, order.get(n + 1).copied());
        if let Some(failed) = l.failed {
            return Err(failed);
        }
        if known.stands[id.0 as usize] {
            callouts += (l.out.callouts.len() - called) as u32;
        } else {
            // All of it counts as not its own.
            l.out.host_instructions = not_own + l.asm.offset() / 4 - before;
        }
    }
    l.out.host_instructions = l.asm.offset() / 4 - l.out.host_instructions;
    l.out.block_callouts = callouts;
    if l.shapes.is_some() {
        order.iter().for_each(|id| l.lower_slow_version(*id));
    }
    l.write_retries();
    l.write_evaluated_versions();
    l.write_outlined();
    l.write_cold();
    l.write_routines();
    l.out.recipes = l.recipes.take();
    for (n, label) in std::mem::take(&mut l.fault_retries) {
        l.out.faults[n].retry = l.asm.offset_of(label);
    }
    l.out.faults.sort_by_key(|f| f.offset);
    l.out.code = l.asm.finish();
    Ok(l.out)
}

impl<'a> Lowering<'a> {
    /// The code of block `id` is written next.
    pub(crate) fn start_block(&mut self, id: BlockId) {
        let region: &'a Region = self.region;
        self.block = region.block(id);
        self.at = 0;
        self.pc = self.block.pc;
        self.block_number = id.0 as usize;
        let live = !self.exit_sees_flags(&self.block.exit).is_empty();
        let need = if live { FlagsNeed::Recipe } else { FlagsNeed::None };
        let told = &self.block.insts[..self.told[self.block_number]];
        self.plan.block(self.block, need, &|op, user| is_fused(op, user) || hokku_ir::lowering::is_told(told, op));
        let uses = FlagUses::find(self.block, &mut self.plan);
        self.carried = uses.carried;
        self.done.clear();
        self.done.resize(self.block.insts.len(), false);
        self.values.start_block();
        self.vectors.start_block();
        self.aligned = aligned_in(self.block, &self.facts[self.block_number].alignment);
        self.evaluates_floats = false;
        self.floats_are_usual = false;
        self.compared = None;
        self.pushed = None;
        self.loaded = None;
        self.x87 = None;
        self.shape_after = None;
    }

    fn lower_block(&mut self, id: BlockId, next: Option<BlockId>) {
        self.start_block(id);
        self.entry_site = self.site_before(id);
        self.placed[id.0 as usize] = true;
        let is_usual = self.runs_on_usual.take() == Some(id);
        let entry = (id.0 == 0).then(|| self.region_entry(id));
        if let (0, Some((copy, zeros))) = (id.0, self.zeros_at_entry) {
            self.look_for_zeros(copy, zeros);
        }
        let label = self.block_labels[id.0 as usize];
        let is_original = self.block_number < self.originals;
        let here = self.asm.offset();
        if !is_usual {
            self.enter_with_fpsr(id, label, is_original);
        }
        let (offset, checked) = entry.unwrap_or((here, 0));
        if is_original {
            self.out.blocks.push(BlockEntry { block: id, pc: self.block.pc, offset, checked });
        }
        if id.0 != 0 && is_original {
            self.cold.push(Cold::Checked { id, label, n: self.out.blocks.len() - 1 });
        }
        if let Some(shapes) = &self.shapes {
            let shape = shapes[id.0 as usize];
            // Loops do not come by an entry, and may have no access to memory: here threads can be called out.
            self.fault_site();
            self.x87 = Some(X87Stack::new(shape, self.region.key.x87));
        }
        if is_usual {
            self.put_look_apart(id, is_original.then(|| self.out.blocks.len() - 1));
        } else {
            self.look_at_start(id);
        }
        self.may_attempt = self.shapes.is_none() && !self.has_alternate_floats();
        self.lower_ops(0, next);
    }

    /// Goes on with block `copy` if the vector registers `zeros` have zeros above their lowest 64 bits.
    fn look_for_zeros(&mut self, copy: BlockId, zeros: u16) {
        let before = self.asm.offset();
        let mut looked = (0..16).filter(|n| zeros & 1 << n != 0);
        let Some(mut all) = looked.next() else { return };
        for n in looked {
            // The first temporary: nothing is in it yet.
            self.asm.same(Same::LOGIC, true, 2, 16, all, n);
            all = 16;
        }
        self.asm.lane_to_gpr(3, SCRATCH, all, 1);
        self.asm.cbz(Size::X, SCRATCH, self.block_labels[copy.0 as usize]);
        // Not the block's own.
        self.out.host_instructions += (self.asm.offset() - before) / 4;
    }

    /// Writes block `id` with x87 ops evaluated.
    fn lower_slow_version(&mut self, id: BlockId) {
        self.start_other_version(id, self.slow_versions[id.0 as usize]);
        self.look_at_start(id);
        self.may_attempt = false;
        self.lower_ops(0, None);
    }

    /// At `label` another version of block `id` is written next.
    pub(crate) fn start_other_version(&mut self, id: BlockId, label: Label) {
        // Nothing is left of the one before.
        self.values = Values::new(HOMES, &TEMPS, self.region.value_count);
        self.vectors = VectorValues::new(self.region.value_count);
        self.start_block(id);
        self.entry_site = None;
        self.asm.bind(label);
    }

    /// Writes the ops from place `from` on and the exit of the block at hand, before block `next`.
    pub(crate) fn lower_ops(&mut self, from: usize, next: Option<BlockId>) {
        // A copy is no entry, nor is a place behind a look.
        let is_entry = self.block_number < self.originals && !self.has_inner_label(BlockId(self.block_number as u32));
        let stop = stop_at(self.block).filter(|_| !is_entry);
        for (n, inst) in self.block.insts.iter().enumerate().skip(from) {
            self.at = n as u32;
            self.end_attempt();
            self.values.start(self.at);
            self.start_attempt();
            let is_deferred = self.plan.info(inst.value).deferred;
            if self.plan.dead[n] || is_deferred || self.done[n] {
                continue;
            }
            self.values.start(self.at);
            if stop == Some(n) {
                self.fault_site();
            }
            self.hold_attempt();
            if self.delays_store() {
                self.end_inst();
                continue;
            }
            if self.evaluates_floats && inst.op.effects().contains(Effects::float) {
                self.callout(inst.value, inst.op);
                self.end_inst();
                continue;
            }
            self.lower_inst(inst);
        }
        self.at = self.block.insts.len() as u32;
        self.end_attempt();
        self.values.start(self.at);
        self.end_stack();
        self.exit(next);
    }

    /// The site of a block that is written already and leads to `id`.
    fn site_before(&self, id: BlockId) -> Option<KnownSite> {
        self.region.block_ids().find_map(|from| {
            let mut leads = false;
            self.region.block(from).exit.successors(&mut |to| leads |= to == id);
            self.sites[from.0 as usize].filter(|_| leads)
        })
    }

    fn lower_inst(&mut self, inst: &Inst) {
        ops::lower(self, inst);
        self.end_inst();
    }

    /// What the op at hand needed is free.
    fn end_inst(&mut self) {
        self.values.finish(&self.plan);
        self.vectors.finish(&self.plan, self.at);
    }

    /// Writes code that stands behind all blocks, at `entry`. It must not change where values are.
    pub(crate) fn outline(&mut self, entry: Label, write: impl FnOnce(&mut Self)) {
        self.fail_attempt_at_hand();
        self.outline_alike(entry, write);
    }

    /// As [`Self::outline`], of code that an attempt may have.
    pub(crate) fn outline_alike(&mut self, entry: Label, write: impl FnOnce(&mut Self)) {
        let start = self.asm.offset();
        let (relocations, callouts) = (self.out.relocations.len(), self.out.callouts.len());
        let faults = self.out.faults.len();
        let was_aside = std::mem::replace(&mut self.is_aside, true);
        write(self);
        self.is_aside = was_aside;
        let again = |n: usize| self.fault_retries.iter().find(|r| r.0 == n).map(|r| r.1);
        let sites = self.out.faults.drain(faults..).enumerate().map(|(n, site)| (site, again(faults + n))).collect();
        self.fault_retries.retain(|r| r.0 < faults);
        self.outlined.push(Outlined {
            entry,
            piece: self.asm.cut(start),
            relocations: self.out.relocations.split_off(relocations),
            callouts: self.out.callouts.split_off(callouts),
            faults: sites,
        });
    }

    fn write_outlined(&mut self) {
        for o in std::mem::take(&mut self.outlined) {
            self.asm.bind(o.entry);
            let moved = self.asm.paste(o.piece);
            let to = |at: u32| (i64::from(at) + moved) as u32;
            let relocations = o.relocations.into_iter().map(|r| Relocation { offset: to(r.offset), ..r });
            self.out.relocations.extend(relocations);
            for (site, retry) in o.faults {
                self.fault_retries.extend(retry.map(|label| (self.out.faults.len(), label)));
                self.out.faults.push(FaultSite { offset: to(site.offset), ..site });
            }
            self.out.callouts.extend(o.callouts.into_iter().map(|c| Callout { offset: to(c.offset), ..c }));
        }
        self.out.callouts.sort_by_key(|c| c.offset);
    }

    /// The current op by callout.
    pub(crate) fn rest(&mut self, dst: Value) {
        let op = self.block.insts[self.at as usize].op;
        self.callout(dst, op);
    }

    /// A scratch register that values can live in, locked.
    pub(crate) fn temp(&mut self) -> u8 {
        self.values.temp(&self.plan, &mut self.asm)
    }

    /// Makes three temporaries free, so that code on a side way needs not move values.
    pub(crate) fn reserve(&mut self) {
        let temps = [self.temp(), self.temp(), self.temp()];
        temps.into_iter().for_each(|t| self.values.unlock(t));
    }

    /// The constant that `v` is.
    pub(crate) fn constant_of(&self, v: Value) -> Option<u64> {
        self.plan.constant(v)
    }

    /// The register that holds the low bits of `v`; what is above them is not known. May be the zero register.
    pub(crate) fn reg(&mut self, v: Value) -> u8 {
        if let Some(n) = self.constant_of(v) {
            if n == 0 {
                return ZERO;
            }
            let t = self.temp();
            self.asm.constant(t, n);
            return t;
        }
        let root = self.plan.root(v);
        if self.plan.info(root).deferred && self.values.loc(root) == Loc::Nowhere {
            let t = self.temp();
            self.compute_deferred(root, t);
            return t;
        }
        self.values.register(root, &self.plan, &mut self.asm)
    }

    /// As [`Self::reg`], where the zero register is not allowed.
    pub(crate) fn real_reg(&mut self, v: Value) -> u8 {
        match self.reg(v) {
            ZERO => {
                let t = self.temp();
                self.asm.constant(t, 0);
                t
            }
            r => r,
        }
    }

    /// The register that the result `dst` of the op at hand is to be computed in.
    pub(crate) fn dest(&mut self, dst: Value) -> u8 {
        self.values.result(dst, &mut self.plan, &mut self.asm)
    }

    /// `dst` has been computed; `upper` is above it.
    pub(crate) fn define(&mut self, dst: Value, upper: UpperBits) {
        self.values.set_upper(dst, upper);
    }

    /// As [`Self::define`] where the code was one of 32-bit instructions for narrower values.
    pub(crate) fn define_as(&mut self, dst: Value, w: Width) {
        let upper = if w == Width::W32 { UpperBits::ZERO } else { UpperBits::UNKNOWN };
        self.define(dst, upper);
    }

    /// How the guest's flags are known at the place at hand, for the runtime.
    pub(crate) fn lazy(&mut self) -> LazyState {
        let node = self.plan.flags_at(self.at as usize);
        let flags = match self.plan.node(node) {
            FlagsNode::Entry => None,
            FlagsNode::Set { .. } => {
                let recipe: FlagsRecipe = self.values.recipe(&self.plan, node);
                Some(self.recipes.number(recipe))
            }
        };
        LazyState { flags, x87: self.x87.as_ref().map_or(0, |stack| stack.lazy(self.pc)), ..LazyState::default() }
    }

    /// The next instruction may fault.
    pub(crate) fn fault_site(&mut self) {
        let lazy = if self.is_waiting_store() { LazyState::default() } else { self.lazy() };
        self.fault_site_with(lazy);
    }

    /// The same, with what the runtime has to do.
    pub(crate) fn fault_site_with(&mut self, lazy: LazyState) {
        self.out.faults.push(FaultSite {
            offset: self.asm.offset(),
            pc: self.pc,
            leave: StubId::LeaveFault,
            stack_delta: 0,
            borrowed: [None; 4],
            lazy,
            retry: None,
        });
        if let Some(label) = self.retry_label() {
            self.fault_retries.push((self.out.faults.len() - 1, label));
        }
    }

    /// `b` or `bl` to a stub.
    pub(crate) fn branch_to_stub(&mut self, stub: StubId, link: bool) {
        if stub == StubId::Callout {
            self.fpsr.is_known = false;
            // Who evaluates may look at the x87 unit.
            self.write_stack();
        }
        self.out.relocations.push(Relocation { offset: self.asm.offset(), stub });
        self.asm.word(if link { 0x9400_0000 } else { 0x1400_0000 });
    }

    /// `d` = `n` + `add`, 64 bits. May use [`SCRATCH`].
    pub(crate) fn add_constant(&mut self, size: Size, d: u8, n: u8, add: i64) {
        use crate::immediate::add_immediate;
        use crate::integer::Sum;
        let (op, magnitude) = if add < 0 { (Sum::Sub, add.unsigned_abs()) } else { (Sum::Add, add as u64) };
        if add == 0 {
            self.asm.mov(size, d, n);
        } else if let Some(imm) = add_immediate(magnitude) {
            self.asm.add_imm(op, size, d, n, imm);
        } else if magnitude < 1 << 24 {
            let high = add_immediate(magnitude & !0xfff).unwrap_or(0);
            self.asm.add_imm(op, size, d, n, high);
            self.asm.add_imm(op, size, d, d, (magnitude & 0xfff) as u32);
        } else {
            let value = if size == Size::W { add as u32 as u64 } else { add as u64 };
            self.asm.constant(SCRATCH, value);
            self.asm.add(Sum::Add, size, d, n, SCRATCH);
        }
    }
}

/// Whether `op`, which is used once, is read by its user's code.
fn is_fused(op: &Op, user: Option<&Op>) -> bool {
    matches!(op, Op::Condition { .. } | Op::Compare { .. }) && matches!(user, None | Some(Op::Select { .. }))
}
