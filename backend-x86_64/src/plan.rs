//! What is decided about a block before its code is written: which ops are dead, which are computed only where they are used, which
//! pairs become one instruction, and which results go straight into a guest register.
//!
//! Emission runs forwards through the block. An op is *deferred* when its code is part of a later op's: a load that becomes a memory
//! operand, flags that the consuming op puts into the host's flags, an addition that becomes `add [mem], reg` at the store. Faults must stay
//! in order and before all writes of guest state, so a load is deferred only across ops that neither fault nor write.

use hokku_ir::{Addr, Align, Block, CpuMode, Effects, FlagSet, Gpr, Inst, Op, Region, Type, Value, Width};

use crate::liveness::live_after;
use crate::pairs::{computes_flags_of, may_give_flags, modify_operands};
use crate::values::Val;
use crate::vector_values::{Form, folds};
use crate::{Features, Optimisations};

/// No such op.
pub(crate) const NONE: u32 = u32::MAX;

/// What is known of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValueInfo {
    /// The value that it is the low bits of: itself but for truncations.
    pub(crate) root: Value,
    /// Place of the defining op in its block.
    pub(crate) def: u32,
    /// Operands that name it (truncations count for their root).
    pub(crate) uses: u32,
    /// Earliest and latest place at which code uses it.
    pub(crate) first: u32,
    pub(crate) last: u32,
    /// Earliest op that uses it.
    pub(crate) user: u32,
    /// First op that writes it to a general register.
    pub(crate) set: u32,
    /// First op that writes it to a vector register such that nothing above it changes.
    pub(crate) vec_set: u32,
    /// Register that it is computed into.
    pub(crate) target: Option<Place>,
    /// Vector register that it is computed into.
    pub(crate) vec_target: Option<u8>,
    /// For a scalar whose instruction also puts it into the low lane of a vector: the vector register with the other lanes.
    pub(crate) merged: Option<u8>,
    /// Status flags that are read of it.
    pub(crate) need: FlagSet,
    /// Its type.
    pub(crate) ty: Type,
}

impl ValueInfo {
    /// A value of type `ty` that nothing uses yet, the low bits of `root`, defined at place `def` of its block.
    pub(crate) fn new(root: Value, def: u32, ty: Type) -> ValueInfo {
        ValueInfo {
            root,
            def,
            uses: 0,
            first: NONE,
            last: 0,
            user: NONE,
            set: NONE,
            vec_set: NONE,
            target: None,
            vec_target: None,
            merged: None,
            need: FlagSet::empty(),
            ty,
        }
    }
}

/// A part of a guest register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The low bits.
    Low(Gpr),
    /// Bits 8 to 15.
    High(Gpr),
}

impl Place {
    /// The register.
    pub(crate) fn reg(self) -> Gpr {
        match self {
            Place::Low(g) | Place::High(g) => g,
        }
    }
}

/// What is decided about an op.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InstInfo {
    /// Nobody needs it.
    pub(crate) dead: bool,
    /// Its code is part of a later op's.
    pub(crate) deferred: bool,
    /// Guest flags that are read after it and before they are written again.
    pub(crate) live: FlagSet,
    /// For an op on values: the op that computes its flags, when one instruction does both.
    pub(crate) flags: u32,
    /// For a store: the deferred op whose result it writes back to where an operand came from.
    pub(crate) modify: u32,
    /// For an atomic op that is `lock bts` or kin: the op that computes its flags.
    pub(crate) locked_bit: u32,
    /// An instruction here may fault.
    pub(crate) faults: bool,
    /// Guest state is written here.
    pub(crate) writes: bool,
    /// What the op does.
    pub(crate) effects: Effects,
    /// Where in [`Plan::args`] the roots of its operands start, and how many they are.
    pub(crate) args: u32,
    pub(crate) arg_count: u8,
    /// Whether there are flags among them.
    pub(crate) reads_flags: bool,
    /// No guest state may be written here: a later instruction stands for a load before and a store after this place.
    pub(crate) pinned: bool,
}

impl InstInfo {
    /// An op of which nothing is decided yet.
    pub(crate) const NEW: InstInfo = InstInfo {
        dead: false,
        deferred: false,
        live: FlagSet::empty(),
        flags: NONE,
        modify: NONE,
        locked_bit: NONE,
        faults: false,
        writes: false,
        effects: Effects::empty(),
        args: 0,
        arg_count: 0,
        reads_flags: false,
        pinned: false,
    };
}

/// Memory that one plan leaves to the next: plans are made often.
#[derive(Default)]
pub(crate) struct Room {
    values: Vec<ValueInfo>,
    insts: Vec<InstInfo>,
    args: Vec<Value>,
    counted: Vec<Vec<InstInfo>>,
    live_out: Vec<FlagSet>,
    live_in: Vec<LiveIn>,
}

/// What is known of a block while flags liveness is computed.
#[derive(Clone, Copy)]
struct LiveIn {
    flags: FlagSet,
    /// It has not been computed yet.
    fresh: bool,
    /// It is read before it is computed: only changes of such blocks make another round necessary.
    read_early: bool,
}

/// The decisions for one block at a time; the arrays are kept from block to block.
#[derive(Default)]
pub(crate) struct Plan {
    /// What the host has.
    features: Features,
    optimisations: Optimisations,
    pub(crate) values: Vec<ValueInfo>,
    pub(crate) insts: Vec<InstInfo>,
    /// Roots of the operands of all ops, for which it takes long to ask the ops.
    pub(crate) args: Vec<Value>,
    /// By block: what is found out of its ops before it is planned. Longer than the number of blocks where an earlier region had more.
    counted: Vec<Vec<InstInfo>>,
    /// Guest registers that the region writes, a bit for each.
    pub(crate) written: u16,
    /// Whether the code has guest registers that live in memory, of which writes that nobody sees are left out.
    pub(crate) has_registers_in_memory: bool,
    /// What was written last to each of them, all of it and by this block, while its ops are looked at: the width and the value.
    pub(crate) last_writes: [Option<(Width, Value)>; 3],
    /// Place in the block behind the last op that moves rsp.
    pub(crate) settled: usize,
    /// Guest flags that are read after each block; faults count as readers.
    live_out: Vec<FlagSet>,
    /// Memory of that computation.
    live_in: Vec<LiveIn>,
}

impl Plan {
    /// Computes flags liveness between the blocks of `region`, for a host with `features`; plans no more than `optimisations`.
    ///
    /// `room` is memory of an earlier plan. `vals` and `alias`, by value number, become what they are before code is written.
    pub(crate) fn new(
        region: &Region,
        features: Features,
        optimisations: Optimisations,
        room: Room,
        vals: &mut [Val],
        alias: &mut [Value],
    ) -> Plan {
        let Room { values, insts, args, counted, live_out, mut live_in } = room;
        let kept = Vec::new();
        let mut plan = Plan {
            features,
            optimisations,
            values,
            insts,
            args,
            counted,
            written: 0,
            has_registers_in_memory: region.key.mode == CpuMode::Long64
                && optimisations.contains(Optimisations::DEAD_WRITES),
            last_writes: Default::default(),
            settled: 0,
            live_out,
            live_in: kept,
        };
        plan.args.clear();
        // What is there of an earlier plan is replaced where an op defines a value.
        plan.values
            .resize(plan.values.len().max(region.value_count as usize), ValueInfo::new(Value(0), NONE, Type::Void));
        plan.counted.resize_with(plan.counted.len().max(region.blocks.len()), Vec::new);
        plan.live_out.clear();
        plan.live_out.resize(region.blocks.len(), FlagSet::empty());
        live_in.clear();
        live_in.resize(region.blocks.len(), LiveIn { flags: FlagSet::empty(), fresh: true, read_early: false });
        for (n, block) in region.blocks.iter().enumerate() {
            block.exit.successors(&mut |to| live_in[to.0 as usize].read_early |= to.0 as usize <= n);
        }
        loop {
            let mut changed = false;
            for (n, block) in region.blocks.iter().enumerate().rev() {
                let out = live_after(&block.exit, |to| live_in[to.0 as usize].flags);
                if !std::mem::take(&mut live_in[n].fresh) && plan.live_out[n] == out {
                    continue;
                }
                plan.live_out[n] = out;
                std::mem::swap(&mut plan.insts, &mut plan.counted[n]);
                let live = plan.count(block, out, vals, alias);
                std::mem::swap(&mut plan.insts, &mut plan.counted[n]);
                changed |= live_in[n].read_early && live != live_in[n].flags;
                live_in[n].flags = live;
            }
            if !changed {
                plan.live_in = live_in;
                return plan;
            }
        }
    }

    /// Whether the region writes `reg`.
    pub(crate) fn writes(&self, reg: Gpr) -> bool {
        self.written & 1 << reg.index() != 0
    }

    /// Gives its memory back.
    pub(crate) fn into_room(self) -> Room {
        let Plan { values, insts, args, counted, live_out, live_in, .. } = self;
        Room { values, insts, args, counted, live_out, live_in }
    }

    /// Plans block number `n`, once.
    pub(crate) fn block(&mut self, block: &Block, n: usize) {
        // What the block before leaves there is not asked for again.
        std::mem::swap(&mut self.insts, &mut self.counted[n]);
        self.pair(block);
        let end = block.insts.len() as u32;
        block.exit.values(&mut |v| self.note_use(self.root(v), end, end));
        self.settled = 0;
        let mut at = block.insts.len();
        for inst in block.insts.iter().rev() {
            at -= 1;
            match inst.op {
                // Most ops are of these kinds: they stay where they are.
                Op::Insn { .. } | Op::GetFlags {} | Op::GetGpr { .. } | Op::Iconst { .. } => {}
                Op::SetGpr { .. } | Op::SetFlags { .. } => {
                    if self.settled == 0 && matches!(inst.op, Op::SetGpr { reg: Gpr::Rsp, .. }) {
                        self.settled = at + 1;
                    }
                    let InstInfo { dead, args, .. } = self.insts[at];
                    if !dead {
                        self.note_use(self.args[args as usize], at as u32, at as u32);
                    }
                }
                _ => self.place(block, at),
            }
        }
    }

    /// Whether `what` is not left out.
    pub(crate) fn does(&self, what: Optimisations) -> bool {
        self.optimisations.contains(what)
    }

    /// Whether the host has VEX encodings.
    pub(crate) fn avx(&self) -> bool {
        self.features.contains(Features::AVX)
    }

    /// Whether the host multiplies and adds in one.
    pub(crate) fn fma(&self) -> bool {
        self.features.contains(Features::FMA)
    }

    /// Whether the host has `pext`.
    pub(crate) fn bmi2(&self) -> bool {
        self.features.contains(Features::BMI2)
    }

    /// Guest flags that are read after place `at` (the number of ops: after the block).
    pub(crate) fn live(&self, at: u32, n: usize) -> FlagSet {
        self.insts.get(at as usize).map_or(self.live_out[n], |i| i.live)
    }

    pub(crate) fn root(&self, v: Value) -> Value {
        self.values[v.0 as usize].root
    }

    pub(crate) fn info(&mut self, v: Value) -> &mut ValueInfo {
        &mut self.values[v.0 as usize]
    }

    /// Pairs value ops with the flags ops of the same operands, and stores with the op whose result goes back to where its operand came from.
    fn pair(&mut self, block: &Block) {
        let does_join = self.does(Optimisations::JOINED_FLAGS);
        let modifies = self.does(Optimisations::MEMORY_OPERANDS | Optimisations::MEMORY_DESTINATIONS);
        for (n, inst) in block.insts.iter().enumerate() {
            let joins = may_give_flags(&inst.op);
            if !(joins || matches!(inst.op, Op::Store { .. })) || self.insts[n].dead {
                continue;
            }
            let joins = joins && does_join;
            for (k, other) in block.insts.iter().enumerate().skip(n + 1).take(if joins { 8 } else { 0 }) {
                if matches!(other.op, Op::Insn { .. }) {
                    break;
                }
                let taken = |p: &Plan| p.insts[..n].iter().rev().take(8).any(|i| i.flags == k as u32);
                if self.computes_flags_of(block, inst, &other.op) && !self.insts[k].dead && !taken(self) {
                    self.insts[n].flags = k as u32;
                    break;
                }
            }
            if modifies
                && let Op::Store { ty, at, v, .. } = inst.op
                && let Some(w) = ty.width()
            {
                let op = self.values[self.root(v).0 as usize].def;
                if self.root(v) == v && op != NONE && self.modifies(block, op as usize, w, &at) {
                    self.insts[n].modify = op;
                }
            }
        }
    }

    /// Whether `flags` are those that the host instruction for `inst` leaves.
    fn computes_flags_of(&self, block: &Block, inst: &Inst, flags: &Op) -> bool {
        match (inst.op, flags) {
            (Op::Add { b, .. }, Op::IncFlags { .. }) | (Op::Sub { b, .. }, Op::DecFlags { .. })
                if self.constant(block, b) != Some(1) =>
            {
                false
            }
            _ => computes_flags_of(inst, flags),
        }
    }

    /// Number of operands of op `n` and the op of its flags that are `v`.
    fn uses_in_pair(&self, n: usize, v: Value) -> u32 {
        let uses = |n: usize| self.args(n).iter().filter(|u| **u == v).count() as u32;
        let flags = self.insts[n].flags;
        uses(n) + if flags != NONE { uses(flags as usize) } else { 0 }
    }

    /// Whether op number `n` makes of the value loaded from `at` what one instruction with a memory destination can make.
    fn modifies(&self, block: &Block, n: usize, w: Width, at: &Addr) -> bool {
        let inst = &block.insts[n];
        let flags = self.insts[n].flags;
        // The result goes to the store alone (or its flags are computed from it).
        let result_uses =
            1 + u32::from(flags != NONE && matches!(block.insts[flags as usize].op, Op::LogicFlags { .. }));
        if self.values[inst.value.0 as usize].uses != result_uses {
            return false;
        }
        let Some((width, operand, other)) = modify_operands(&inst.op, |v| self.constant(block, v)) else {
            return false;
        };
        let info = &self.values[operand.0 as usize];
        let loads = info.def != NONE
            && matches!(block.insts[info.def as usize].op, Op::Load { ty, at: from, .. } if ty == w.ty() && from == *at);
        loads
            && width == w
            && info.uses == self.uses_in_pair(n, operand)
            && other.is_none_or(|o| self.root(o) != operand)
    }

    /// The constant that `v` is, if it is one.
    pub(crate) fn constant(&self, block: &Block, v: Value) -> Option<u64> {
        let def = self.values[self.root(v).0 as usize].def;
        match block.insts.get(def as usize)?.op {
            Op::Iconst { value, .. } => Some(value.0),
            _ => None,
        }
    }

    /// Roots of the operands of op `n` of the block.
    pub(crate) fn args(&self, n: usize) -> &[Value] {
        let InstInfo { args, arg_count, .. } = self.insts[n];
        &self.args[args as usize..][..arg_count.into()]
    }

    /// Places in `args` of those roots.
    fn arg_places(&self, n: usize) -> std::ops::Range<usize> {
        let InstInfo { args, arg_count, .. } = self.insts[n];
        args as usize..args as usize + usize::from(arg_count)
    }

    fn note_use(&mut self, root: Value, at: u32, user: u32) {
        let info = self.info(root);
        (info.first, info.last, info.user) = (info.first.min(at), info.last.max(at), info.user.min(user));
    }

    /// Decides where the code of op `at` stands; all later ops are decided.
    fn place(&mut self, block: &Block, at: usize) {
        let inst = &block.insts[at];
        if self.insts[at].dead {
            return;
        }
        let value = self.values[inst.value.0 as usize];
        let store = if value.first == NONE { NONE } else { value.first };
        let modified = self.insts.get(store as usize).is_some_and(|s| s.modify == at as u32);
        let deferred = match inst.op {
            _ if value.uses == 0 => false,
            _ if modified && self.modify_is_possible(block, at, store) => true,
            _ if value.ty == Type::Flags && self.insts[at].effects == Effects::empty() => true,
            Op::Condition { .. } => true,
            Op::Compare { .. } => value.uses == 1,
            Op::And { .. } => value.uses == 1 && self.insts[at].flags != NONE,
            Op::VecZeroExtend { from, v, .. } => self.is_part_of_operand(block, &value, from, v),
            Op::Load { ty, align, .. } => self.load_is_operand(block, at, &value, ty, align),
            _ => false,
        };
        if modified && !deferred {
            self.insts[store as usize].modify = NONE;
        }
        let emit = if deferred { value.first } else { at as u32 };
        self.insts[at].deferred = deferred;
        if deferred && matches!(inst.op, Op::Load { .. }) {
            self.insts[at].faults = false;
            if let Some(i) = self.insts.get_mut(emit as usize) {
                i.faults = true;
            }
        }
        if deferred && !modified && matches!(inst.op, Op::And { .. }) {
            // `test`: the flags are not a by-product but the purpose.
            self.insts[at].flags = NONE;
        }
        self.join_flags(block, at, emit);
        for k in self.arg_places(at) {
            self.note_use(self.args[k], emit, at as u32);
        }
        let k = self.insts[at].flags;
        if k != NONE {
            for k in self.arg_places(k as usize) {
                let v = self.args[k];
                if self.values[v.0 as usize].uses == self.uses_in_pair(at, v) {
                    self.info(v).last = emit;
                }
            }
        }
        self.choose_target(block, at);
    }

    /// Whether the flags of op `at`, whose code stands at `emit`, can be left by its own instruction: nothing between that and their use faults.
    fn flags_can_join(&self, block: &Block, at: usize, emit: u32) -> bool {
        let k = self.insts[at].flags;
        let wanted = self.values[block.insts[k as usize].value.0 as usize].first;
        let end = (wanted as usize).min(self.insts.len());
        wanted != NONE
            && wanted >= emit
            && !self.insts.get(emit as usize + 1..end).unwrap_or(&[]).iter().any(|i| i.faults)
            && self.insts.get(emit as usize).is_none_or(|i| !i.pinned)
    }

    /// Keeps the pair of op `at` and its flags op only where one instruction can do both.
    fn join_flags(&mut self, block: &Block, at: usize, emit: u32) {
        let k = self.insts[at].flags;
        if k == NONE {
            return;
        }
        if self.flags_can_join(block, at, emit) {
            if let Some(i) = self.insts.get_mut(emit as usize) {
                i.writes = true;
            }
        } else {
            self.insts[at].flags = NONE;
        }
    }

    /// Whether the load at `at` can become an operand of the one instruction that uses it.
    fn load_is_operand(&self, block: &Block, at: usize, value: &ValueInfo, ty: Type, align: Align) -> bool {
        if !self.does(Optimisations::MEMORY_OPERANDS) {
            return false;
        }
        // SSE memory operands must be aligned; VEX ones need not be. Moves are loads themselves.
        let moves = || {
            block.insts.get(value.user as usize).is_none_or(|i| matches!(i.op, Op::SetVec { .. } | Op::Store { .. }))
        };
        // Some processors do not look at the alignment of these.
        let is_hash = || block.insts.get(value.user as usize).is_some_and(|i| is_hash(&i.op));
        if align == Align::Natural && is_hash() {
            return false;
        }
        let fits = folds(ty, align, Form::Legacy) || (self.avx() && folds(ty, align, Form::Vex) && !moves());
        // A second use must be that of the flags of the same instruction.
        let once = match value.uses {
            1 => true,
            2 if (value.user as usize) < self.insts.len() => {
                let mut uses = 0;
                block.insts[value.user as usize].op.values(&mut |v| uses += u32::from(v == value.root));
                uses == 1 && self.uses_in_pair(value.user as usize, value.root) == 2
            }
            _ => false,
        };
        fits && once && value.first == value.last && self.clear(at, value.first)
    }

    /// Whether the vector that a load of a `from`, `v`, is extended to goes to one instruction, which may read memory of that size.
    fn is_part_of_operand(&self, block: &Block, value: &ValueInfo, from: Type, v: Value) -> bool {
        let load = self.values[self.root(v).0 as usize];
        let loads = load.uses == 1 && matches!(block.insts[load.def as usize].op, Op::Load { ty, .. } if ty == from);
        let reads = match block.insts.get(value.user as usize).map(|i| i.op) {
            Some(Op::VecUnary { op, .. }) => op.widens(),
            Some(Op::VecBroadcast { w, .. }) => w.bytes() == from.bytes(),
            _ => false,
        };
        value.uses == 1 && loads && reads
    }

    /// Whether no op between places `from` and `to` faults or writes anything.
    fn clear(&self, from: usize, to: u32) -> bool {
        let to = (to as usize).min(self.insts.len());
        !self.insts[from + 1..to].iter().any(|i| i.faults || i.writes)
    }

    /// Whether the op at `at` can move into the store at `store` that writes its result; keeps the way free if so.
    fn modify_is_possible(&mut self, block: &Block, at: usize, store: u32) -> bool {
        let Some((_, operand, _)) = modify_operands(&block.insts[at].op, |v| self.constant(block, v)) else {
            return false;
        };
        let load = self.values[operand.0 as usize].def as usize;
        // The instruction writes flags: they must be wanted, or the guest's dead.
        let flags_ok = if self.insts[at].flags == NONE {
            matches!(block.insts[at].op, Op::Not { .. }) || self.insts[store as usize].live.is_empty()
        } else {
            self.flags_can_join(block, at, store)
        };
        let possible = flags_ok && self.clear(load, store);
        if possible {
            self.insts[load + 1..store as usize].iter_mut().for_each(|i| i.pinned = true);
        }
        possible
    }
}

/// Whether `op` is an instruction of the SHA extension.
fn is_hash(op: &Op) -> bool {
    use hokku_ir::{VecBin as B, VecImm, VecTer};
    matches!(
        op,
        Op::VecBinary { op: B::Sha1Nexte | B::Sha1Msg1 | B::Sha1Msg2 | B::Sha256Msg1 | B::Sha256Msg2, .. }
            | Op::VecByImm { op: VecImm::Sha1Rnds4, .. }
            | Op::VecTernary { op: VecTer::Sha256Rnds2, .. }
    )
}
