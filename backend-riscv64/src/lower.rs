//! Lowers a region: the state of the code being written, block after block; operands and results.

use hokku_ir::backend::{
    BlockEntry, Callout, Compiled, FaultSite, FlagSite, HotExit, LazyState, Link, Relocation, Stop, StubId, Tier,
};
use hokku_ir::lowering::{
    FlagsAlone, FlagsNeed, FlagsRecipe, Known, Loc, Plan, Recipes, UpperBits, Values, X87Carries, X87Shape, X87Stack,
};
use hokku_ir::passes::{FaultsSee, flags_live_in};
use hokku_ir::{
    Block, BlockId, CpuMode, Effects, Exit, FlagSet, Gpr, GuestAddr, Inst, Op, Region, Target, Value, Width,
    X87Arithmetic,
};

use crate::Features;
use crate::asm::{Asm, Label};
use crate::assign::*;
use crate::encode::*;
use crate::exits::Cold;
use crate::loops::Loop;
use crate::places::Places;

/// A region while its code is written. Offsets in `out` are positions until the end.
pub(crate) struct Lowering<'a> {
    pub(crate) asm: Asm,
    pub(crate) mode: CpuMode,
    pub(crate) features: Features,
    pub(crate) tier: Tier,
    /// Flags as bits are evaluated: that takes few registers.
    pub(crate) frugal: bool,
    /// The op whose code needs more registers than there are.
    short_of_registers: Option<Value>,
    /// Values whose ops are evaluated.
    evaluated: &'a [Value],
    pub(crate) region: &'a Region,
    /// Blocks from this number on are copies, which nobody enters from outside.
    originals: usize,
    /// By block: how many ops at its start say what the flags are.
    pub(crate) told: &'a [usize],
    pub(crate) block: &'a Block,
    pub(crate) plan: Plan,
    pub(crate) values: Values,
    /// Where values are that are not integers.
    pub(crate) wide: Places,
    /// Ops on floats are evaluated.
    pub(crate) evaluates_floats: bool,
    /// The block at hand has found that `mxcsr` asks for nothing but a rounding mode.
    pub(crate) has_looked_at_mxcsr: bool,
    /// Exceptions of several ops on floats are looked at together.
    pub(crate) looks_at_exceptions: bool,
    /// Faults that go on out of line: their numbers, and where.
    pub(crate) retries: Vec<(usize, Label)>,
    /// The shapes of the x87 stack that blocks are written for, where code computes in doubles.
    pub(crate) shapes: Option<Vec<X87Shape>>,
    /// How blocks find the x87 stack, where some of it stays in registers between them.
    pub(crate) carries: Option<X87Carries>,
    /// The x87 stack at hand, if it is known.
    pub(crate) x87: Option<X87Stack>,
    /// Its shape behind the block's ops.
    pub(crate) shape_after: Option<X87Shape>,
    /// Place in the block that code is written for.
    pub(crate) at: u32,
    /// The guest instruction.
    pub(crate) pc: GuestAddr,
    /// Homes whose upper half is still to be cleared.
    pub(crate) narrow: u16,
    /// The same where blocks start.
    pub(crate) narrow_at_starts: Vec<u16>,
    /// What is still to be added to the home of the stack pointer.
    pub(crate) late: i32,
    /// Ops of this block that another's code has done.
    pub(crate) done: Vec<bool>,
    pub(crate) recipes: Recipes,
    /// Flags that each block reads of those before it, but for faults and what comes after the region.
    pub(crate) read_in: Vec<FlagSet>,
    /// Flags that may be seen of those before each block.
    pub(crate) seen_in: Vec<FlagSet>,
    pub(crate) labels: Vec<Label>,
    /// Where blocks are behind their looks at `mxcsr`.
    pub(crate) inner_labels: Vec<Label>,
    /// Where blocks are with ops on floats evaluated, and where they are entered by way of a check of the x87 stack's shape.
    pub(crate) slow_versions: Vec<Option<Label>>,
    /// Where they are for an x87 stack that is not known, where code computes exactly.
    shapeless_versions: Vec<Option<Label>>,
    pub(crate) checks: Vec<Option<Label>>,
    /// Loops with code of their own; the ways there and the blocks there, by the numbers of their loops; the one that code is written for.
    pub(crate) loops: Vec<Loop>,
    pub(crate) ways_to_loops: Vec<(usize, Label)>,
    pub(crate) steady_versions: Vec<(usize, BlockId, Label)>,
    pub(crate) in_loop: Option<usize>,
    pub(crate) block_id: BlockId,
    pub(crate) cold: Vec<Cold>,
    /// Where the far jump of each link is, by its number, and the number of its slot.
    pub(crate) far: Vec<(u32, u32)>,
    pub(crate) out: Compiled,
}

/// Compiles `region` as code of `tier` for a processor with `features`.
pub(crate) fn compile(region: &Region, features: Features, tier: Tier) -> Compiled {
    let mut region = region.clone();
    hokku_ir::lowering::name_carries(&mut region);
    hokku_ir::lowering::drop_dead_sets(&mut region);
    hokku_ir::lowering::reread_wide(&mut region);
    crate::string::read_flags_past_strings(&mut region);
    hokku_ir::lowering::share_addresses(&mut region, &|_, _| true);
    let known = match tier {
        // Blocks with x87 registers in host registers have other versions already.
        Tier::Second if hokku_ir::lowering::x87_shapes(&region).is_none() => {
            let sees = flags_live_in(&region, FaultsSee::ExactFlags, FlagSet::STATUS);
            Known::copies(&region, &sees, &FlagsAlone, None)
        }
        _ => Known::nothing(&region),
    };
    let mut evaluated = Vec::new();
    if let Ok(compiled) = compile_once(&known, features, tier, true, &evaluated) {
        return compiled;
    }
    // Each round that finds too few registers adds an op that is evaluated, which takes almost none.
    loop {
        match compile_once(&known, features, tier, false, &evaluated) {
            Ok(compiled) => return compiled,
            Err(op) if evaluated.contains(&op) => panic!("the code of {op} needs more registers than there are"),
            Err(op) => evaluated.push(op),
        }
    }
}

/// The same, which looks at exceptions or not, with the ops of the values `evaluated` by callouts and, if there are any, flags as bits too. `Err`: the code of that op needs more
/// registers than there are.
fn compile_once<'a>(
    known: &'a Known<()>,
    features: Features,
    tier: Tier,
    looks_at_exceptions: bool,
    evaluated: &'a [Value],
) -> Result<Compiled, Value> {
    let region = &known.region;
    let mut asm = Asm::new();
    asm.counts_zeros = features.contains(Features::ZBB);
    let labels = region.blocks.iter().map(|_| asm.label()).collect();
    let inner_labels = region.blocks.iter().map(|_| asm.label()).collect();
    let mode = region.key.mode;
    let shapes = hokku_ir::lowering::x87_shapes(region);
    let mut l = Lowering {
        asm,
        mode,
        features,
        tier,
        frugal: !evaluated.is_empty(),
        evaluated,
        short_of_registers: None,
        region,
        originals: known.originals,
        told: &known.told,
        block: &region.blocks[0],
        plan: Plan::new(region),
        values: Values::new(HOMES, temporaries(mode), region.value_count),
        wide: Places::new(region.value_count),
        evaluates_floats: false,
        has_looked_at_mxcsr: false,
        looks_at_exceptions,
        retries: Vec::new(),
        carries: crate::x87_carry::carries(region, tier, shapes.as_deref()),
        shapes,
        x87: None,
        shape_after: None,
        at: 0,
        pc: region.key.pc,
        narrow: 0,
        narrow_at_starts: match tier {
            Tier::Second => crate::upper_halves::narrow_at_starts(region, &known.told),
            Tier::First { .. } => vec![0; region.blocks.len()],
        },
        late: 0,
        done: Vec::new(),
        recipes: Recipes::default(),
        read_in: flags_live_in(region, FaultsSee::ValuesAlone, FlagSet::empty()),
        seen_in: flags_live_in(region, FaultsSee::ExactFlags, FlagSet::STATUS),
        labels,
        inner_labels,
        slow_versions: vec![None; region.blocks.len()],
        shapeless_versions: vec![None; region.blocks.len()],
        checks: vec![None; region.blocks.len()],
        loops: crate::loops::loops(region, tier, features.contains(Features::V)),
        ways_to_loops: Vec::new(),
        steady_versions: Vec::new(),
        in_loop: None,
        block_id: BlockId(0),
        cold: Vec::new(),
        far: Vec::new(),
        out: Compiled::default(),
    };
    let order = region.code_order();
    let mut callouts = 0;
    for (n, id) in order.iter().enumerate() {
        let (count, called) = (l.asm.count, l.out.callouts.len());
        l.lower_block(*id, order.get(n + 1).copied());
        if let Some(op) = l.short_of_registers {
            return Err(op);
        }
        if known.stands[id.0 as usize] {
            callouts += (l.out.callouts.len() - called) as u32;
        } else {
            l.asm.count = count;
        }
    }
    l.out.host_instructions = l.asm.count;
    l.out.block_callouts = callouts;
    l.write_cold();
    if let Some(op) = l.short_of_registers {
        return Err(op);
    }
    Ok(l.finish())
}

impl<'a> Lowering<'a> {
    fn lower_block(&mut self, id: BlockId, next: Option<BlockId>) {
        self.start_block(id, false);
        let count = self.asm.count;
        // Whoever comes by the entry has all of the stack in the state.
        let stack = self.x87.take();
        let entry = (id.0 == 0).then(|| self.region_entry(id));
        if id.0 == 0 {
            self.check_shape(id);
        }
        self.x87 = stack;
        if entry.is_some() && self.narrow != 0 {
            // The entry is a place of its own: whoever is there has all of its registers in order.
            self.asm.i(ADDI, ZERO, ZERO, 0);
        }
        let label = self.labels[id.0 as usize];
        self.asm.bind(label);
        if self.is_copy(id) {
            self.wide.sew = None;
            self.check_floats(id);
            return self.lower_ops(next);
        }
        if !self.is_entered_in_place(id) && self.read_in[id.0 as usize].is_empty() {
            // Loops do not come by an entry, and may have no access to memory: here threads can be called out.
            self.may_be_called_out();
        }
        // Jumps within the region come by another way than the entry.
        self.wide.sew = None;
        self.asm.count = count;
        let (offset, checked) = entry.unwrap_or((self.asm.here(), 0));
        self.out.blocks.push(BlockEntry { block: id, pc: self.block.pc, offset, checked });
        if id.0 != 0 {
            self.cold.push(Cold::Entry { id, n: self.out.blocks.len() - 1 });
        }
        self.check_floats(id);
        self.lower_ops(next);
    }

    /// Whether block `id` is entered from blocks of the region alone, which know the flags.
    pub(crate) fn is_copy(&self, id: BlockId) -> bool {
        id.0 as usize >= self.originals
    }

    /// Whether whoever enters block `id` from elsewhere finds it as blocks before it do.
    pub(crate) fn is_entered_in_place(&self, id: BlockId) -> bool {
        self.shapes.is_none() && self.narrow_at_starts[id.0 as usize] == 0
    }

    /// Where block `id` is for an x87 stack that is not known.
    pub(crate) fn shapeless_version(&mut self, id: BlockId) -> Label {
        if let Some(label) = self.shapeless_versions[id.0 as usize] {
            return label;
        }
        let label = self.asm.label();
        self.shapeless_versions[id.0 as usize] = Some(label);
        self.cold.push(Cold::Shapeless { label, id });
        label
    }

    /// Writes block `id` for an x87 stack that is not known.
    pub(crate) fn lower_shapeless(&mut self, id: BlockId) {
        self.values = Values::new(HOMES, temporaries(self.mode), self.region.value_count);
        self.start_block(id, false);
        self.x87 = None;
        self.check_floats(id);
        self.lower_ops(None);
    }

    /// Writes block `id` with ops on floats evaluated.
    pub(crate) fn lower_with_evaluated_floats(&mut self, id: BlockId) {
        // Nothing is left of the other version.
        self.values = Values::new(HOMES, temporaries(self.mode), self.region.value_count);
        self.start_block(id, true);
        self.lower_ops(None);
    }

    pub(crate) fn start_block(&mut self, id: BlockId, evaluates_floats: bool) {
        let region: &'a Region = self.region;
        let block = region.block(id);
        self.block = block;
        self.block_id = id;
        self.pc = block.pc;
        let live = self.flags_live_after(&block.exit);
        let told = &block.insts[..self.told[id.0 as usize]];
        self.plan.block(block, live, &|op, user| {
            crate::conditions::fuses(op, user) || hokku_ir::lowering::is_told(told, op)
        });
        self.values.start_block();
        self.narrow = self.narrow_at_starts[id.0 as usize];
        self.wide.start_block();
        self.evaluates_floats = evaluates_floats;
        self.has_looked_at_mxcsr = false;
        self.x87 = if evaluates_floats { None } else { self.stack_at(id) };
        self.shape_after = None;
        self.done.clear();
        self.done.resize(block.insts.len(), false);
    }

    pub(crate) fn lower_ops(&mut self, next: Option<BlockId>) {
        let block = self.block;
        for (n, inst) in block.insts.iter().enumerate() {
            if self.plan.dead[n] || self.done[n] || self.plan.info(inst.value).deferred {
                continue;
            }
            self.at = n as u32;
            self.values.start(self.at);
            self.wish_for_result();
            if !crate::stack::leaves_stack_late(&inst.op) || self.evaluated.contains(&inst.value) {
                self.move_stack();
            }
            let fx = inst.op.effects();
            let is_float = fx.contains(Effects::float);
            self.hold_run();
            let is_retried = self.late == 0 && self.is_retried(&inst.op) && !self.evaluated.contains(&inst.value);
            if crate::float_runs::acts(&inst.op)
                && !crate::float_runs::joins_run(&inst.op, self.has_vectors())
                && !is_retried
            {
                self.end_run();
            }
            if !is_float && !is_retried && (fx.contains(Effects::may_fault) || fx.contains(Effects::x87)) {
                // What looks at the state there finds it in order.
                self.write_back_all();
            }
            if self.evaluated.contains(&inst.value) && self.x87.is_some() && fx.contains(Effects::x87) {
                self.evaluate_x87(inst.value, inst.op);
            } else if self.evaluated.contains(&inst.value) || (is_float && self.evaluates_floats) {
                self.callout(inst.value, inst.op);
            } else {
                self.inst(inst);
            }
            self.finish_op();
            if self.values.is_exhausted {
                self.short_of_registers = Some(inst.value);
                return;
            }
        }
        self.at = block.insts.len() as u32;
        self.values.start(self.at);
        self.move_stack();
        self.end_run();
        self.write_back_all();
        self.end_in_loop();
        self.end_stack();
        self.exit(&block.exit, next);
        if self.values.is_exhausted {
            // That makes all of the block's flags frugal.
            self.short_of_registers = Some(Value(u32::MAX));
        }
    }

    /// The code of the op at hand is written.
    pub(crate) fn finish_op(&mut self) {
        self.values.finish(&self.plan);
        self.finish_wide();
    }

    /// How the guest's flags are needed after `exit`.
    fn flags_live_after(&self, exit: &Exit) -> FlagsNeed {
        let at = |to: &Target| match to {
            Target::Block(b) if !self.read_in[b.0 as usize].is_empty() => FlagsNeed::Bits,
            Target::Block(b) if self.seen_in[b.0 as usize].is_empty() => FlagsNeed::None,
            _ => FlagsNeed::Recipe,
        };
        match exit {
            Exit::Jump { to } => at(to),
            Exit::Branch { taken, next, .. } => at(taken).max(at(next)),
            Exit::Call { to, .. } => at(to).max(FlagsNeed::Recipe),
            _ => FlagsNeed::Recipe,
        }
    }

    /// Whether x87 ops compute in doubles.
    pub(crate) fn computes_in_doubles(&self) -> bool {
        self.region.key.x87 == X87Arithmetic::Double
    }

    pub(crate) fn has(&self, feature: Features) -> bool {
        self.features.contains(feature)
    }

    // ---- Operands

    /// A free temporary, locked.
    pub(crate) fn temp(&mut self) -> Reg {
        self.values.temp(&self.plan, &mut self.asm)
    }

    /// The register that holds the low bits of `v`; what is above them is [`Self::upper`].
    pub(crate) fn reg(&mut self, v: Value) -> Reg {
        if let Some(n) = self.plan.constant(v) {
            let w = self.width(v);
            return self.shared_constant(sign_extend(n, w));
        }
        let root = self.plan.root(v);
        if self.plan.info(root).deferred {
            return self.deferred(root);
        }
        self.values.register(root, &self.plan, &mut self.asm)
    }

    /// A register that holds `n`.
    pub(crate) fn constant(&mut self, n: i64) -> Reg {
        if n == 0 {
            return ZERO;
        }
        let t = self.temp();
        self.asm.li(t, n);
        t
    }

    /// The same, in a register that others read too: it must not be written.
    pub(crate) fn shared_constant(&mut self, n: i64) -> Reg {
        if n == 0 {
            return ZERO;
        }
        if let Some(r) = self.values.constant(n) {
            return r;
        }
        let t = self.constant(n);
        self.values.keep_constant(t, n);
        t
    }

    pub(crate) fn width(&self, v: Value) -> Width {
        self.plan.info(v).op.result_type().width().unwrap_or(Width::W64)
    }

    /// What [`Self::reg`] of `v` holds above its bits.
    pub(crate) fn upper(&self, v: Value) -> UpperBits {
        let w = self.width(v);
        if w == Width::W64 {
            return UpperBits::BOTH;
        }
        if let Some(n) = self.plan.constant(v) {
            let is_negative = sign_extend(n, w) < 0;
            return if is_negative { UpperBits::SIGN } else { UpperBits::BOTH };
        }
        let root = self.plan.root(v);
        if self.plan.info(root).deferred {
            return match self.op_of(root) {
                Op::Condition { .. } | Op::Compare { .. } => UpperBits::BOTH,
                // What the flags are made of.
                Op::Add { .. } | Op::Sub { .. } if w == Width::W32 && root == v => UpperBits::SIGN,
                _ => UpperBits::UNKNOWN,
            };
        }
        if self.width(root) == w {
            return self.values.upper(root);
        }
        // Of what was extended before it was cut the extension is left.
        let whole = self.values.upper(root);
        let known = whole.zero || whole.sign;
        match self.op_of(root) {
            Op::ExtendZero { from, .. } if from <= w => UpperBits { zero: known, sign: known && from < w },
            Op::ExtendSign { from, .. } if from <= w => UpperBits { zero: false, sign: whole.sign },
            _ => UpperBits::UNKNOWN,
        }
    }

    /// The constant that `v` is, as a signed number, where it fits an immediate.
    pub(crate) fn small(&self, v: Value) -> Option<i32> {
        let n = sign_extend(self.plan.constant(v)?, self.width(v));
        i32::try_from(n).ok().filter(|n| (-2048..2048).contains(n))
    }

    /// A register that holds `v` zero-extended.
    pub(crate) fn zero_extended(&mut self, v: Value) -> Reg {
        let w = self.width(v);
        if let Some(n) = self.plan.constant(v) {
            return self.shared_constant(n as i64);
        }
        let r = self.reg(v);
        if w == Width::W64 || self.upper(v).zero {
            return r;
        }
        let root = self.plan.root(v);
        if w == Width::W32
            && root == v
            && let Loc::Home(g) = self.values.loc(v)
            && self.narrow & 1 << g.index() != 0
        {
            self.widen(g);
            return r;
        }
        let owned = root == v && matches!(self.values.loc(v), Loc::Temp(_));
        let t = if owned { r } else { self.temp() };
        self.extend_zero_to(t, r, w);
        if owned {
            self.values.set_upper(v, UpperBits::ZERO);
        }
        t
    }

    /// A register that holds `v` sign-extended.
    pub(crate) fn sign_extended(&mut self, v: Value) -> Reg {
        let w = self.width(v);
        let r = self.reg(v);
        if w == Width::W64 || self.upper(v).sign {
            return r;
        }
        let owned = self.plan.root(v) == v && matches!(self.values.loc(v), Loc::Temp(_));
        let t = if owned { r } else { self.temp() };
        self.extend_sign_to(t, r, w);
        if owned {
            self.values.set_upper(v, UpperBits::SIGN);
        }
        t
    }

    // ---- Results

    /// A register for the result `v`: see [`Values::result`].
    pub(crate) fn result(&mut self, v: Value) -> Reg {
        if let Some(g) = self.plan.info(v).home {
            self.narrow &= !(1 << g.index());
            if self.width(v) == Width::W32 {
                self.narrow |= 1 << g.index();
            }
            let r = self.values.result(v, &mut self.plan, &mut self.asm);
            if g == Gpr::Rsp {
                self.late = 0;
            }
            return r;
        }
        // Where a computed jump takes its target from.
        let (Exit::Indirect { target } | Exit::IndirectCall { target, .. } | Exit::Return { target }) = self.block.exit
        else {
            return self.values.result(v, &mut self.plan, &mut self.asm);
        };
        if self.plan.root(target) == v && self.values.is_free(TARGET) {
            self.values.take(TARGET, &mut self.asm);
            self.values.own(TARGET, v);
            return TARGET;
        }
        self.values.result(v, &mut self.plan, &mut self.asm)
    }

    /// The register of the result `v` holds `upper` above its bits.
    pub(crate) fn done(&mut self, v: Value, upper: UpperBits) {
        self.values.set_upper(v, upper);
        if upper.zero
            && let Loc::Home(g) = self.values.loc(v)
        {
            self.narrow &= !(1 << g.index());
        }
    }

    // ---- State at faults

    /// What the runtime has to do where the op at hand faults. Ask before registers are written.
    pub(crate) fn lazy(&mut self) -> LazyState {
        let node = self.plan.flags_at(self.at as usize);
        let recipe = self.values.recipe(&self.plan, node);
        let x87 = self.x87.as_ref().map_or(0, |stack| stack.lazy(self.pc));
        LazyState { flags: self.recipe_number(recipe), narrow: self.narrow, behind: 0, x87 }
    }

    fn recipe_number(&mut self, recipe: FlagsRecipe) -> Option<u32> {
        use hokku_ir::lowering::RecipeStep;
        (recipe.steps != [RecipeStep::Before]).then(|| self.recipes.number(recipe))
    }

    /// The next instruction may fault.
    pub(crate) fn may_fault(&mut self, lazy: LazyState) {
        let (offset, pc) = (self.asm.here(), self.pc);
        // One that may stand at the same place is another for threads that are called out alone.
        if self.out.faults.last().is_some_and(|f| f.offset == offset) {
            self.out.faults.pop();
        }
        let (leave, borrowed, stack_delta) = (StubId::LeaveFault, [None; 4], self.late);
        self.out.faults.push(FaultSite { offset, pc, leave, stack_delta, borrowed, lazy, retry: None });
    }

    /// `auipc` and `jalr rd` to `stub`.
    pub(crate) fn jump_to_stub(&mut self, rd: Reg, stub: StubId) {
        let through = if rd == RA { RA } else { SCRATCH };
        self.out.relocations.push(Relocation { offset: self.asm.here(), stub });
        self.asm.word(auipc(through, 0));
        self.asm.i(JALR, rd, through, 0);
    }

    /// Positions become offsets.
    fn finish(mut self) -> Compiled {
        for (n, label) in std::mem::take(&mut self.retries) {
            self.out.faults[n].retry = self.asm.position(label);
        }
        let finished = std::mem::take(&mut self.asm).finish();
        let at = |n: u32| finished.offset(n);
        let mut out = self.out;
        let links = |links: Vec<Link>| -> Vec<Link> {
            let far = |n: u32| {
                let (jump, slot) = self.far[n as usize];
                hokku_ir::backend::FarJump { jump: at(jump), slot: finished.constant(slot) }
            };
            links
                .into_iter()
                .map(|l| Link { site: at(l.site), stub: at(l.stub), far: l.far.map(|f| far(f.jump)), ..l })
                .collect()
        };
        out.links = links(out.links);
        out.back_edges = links(out.back_edges);
        let map = |list: &mut dyn Iterator<Item = &mut u32>| list.for_each(|offset| *offset = at(*offset));
        map(&mut out.blocks.iter_mut().flat_map(|b| [&mut b.offset, &mut b.checked]));
        map(&mut out.hot_exits.iter_mut().map(|HotExit { stub, .. }| stub));
        map(&mut out.counters.iter_mut());
        map(&mut out.stops.iter_mut().map(|Stop { stub, .. }| stub));
        map(&mut out
            .faults
            .iter_mut()
            .flat_map(|FaultSite { offset, retry, .. }| [Some(offset), retry.as_mut()])
            .flatten());
        map(&mut out.callouts.iter_mut().map(|Callout { offset, .. }| offset));
        map(&mut out.relocations.iter_mut().map(|Relocation { offset, .. }| offset));
        map(&mut out.flag_sites.iter_mut().map(|FlagSite { offset, .. }| offset));
        out.recipes = self.recipes.take();
        out.code = finished.code;
        out
    }

    /// The op at place `n` behind the one at hand, if it is there.
    pub(crate) fn following(&self, n: usize) -> Option<&'a Inst> {
        let inst = self.block.insts.get(self.at as usize + n)?;
        (!self.plan.dead[self.at as usize + n]).then_some(inst)
    }
}

/// `n` of width `w` as a signed number.
pub(crate) fn sign_extend(n: u64, w: Width) -> i64 {
    let unused = 64 - w.bits();
    (n << unused) as i64 >> unused
}
