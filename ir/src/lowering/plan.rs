//! Decisions about a block before its code is written.

use crate::guest::{FlagSet, Gpr};
use crate::operand::{Type, Width};
use crate::ops::{Effects, Op};
use crate::region::{Block, Region, Value};

/// Names a [`FlagsNode`] of the block's plan.
pub type NodeId = u32;

/// What the guest's status flags are at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagsNode {
    /// Those with which the block was entered, or that an op which acts on the state itself has left.
    Entry,
    /// Those in `set` of the flags value `v`, the others as in node `rest`.
    Set {
        /// Which.
        set: FlagSet,
        /// Of type flags.
        v: Value,
        /// The others.
        rest: NodeId,
    },
}

/// How the guest's flags are needed at the end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlagsNeed {
    /// Not at all.
    None,
    /// For faults and for what comes after the region: a recipe does.
    Recipe,
    /// As bits, for another block of the region.
    Bits,
}

/// What is known of a value before code is written.
#[derive(Clone, Copy, Debug)]
pub struct ValueInfo {
    /// The op that defines it.
    pub op: Op,
    /// That op's place in the block.
    pub def: u32,
    /// How many operands of ops and exit it is, dead ones not counted.
    pub uses: u32,
    /// The last place in the block whose code reads it: operands of deferred ops are read where those are. The exit is one place behind the ops.
    pub last: u32,
    /// The last place where a recipe for the guest's flags needs it.
    pub last_flags: u32,
    /// It may be computed in the home of this register, which a later `set_gpr` writes.
    pub home: Option<Gpr>,
    /// No code is written for its op at its place: flags, constants, truncations, and conditions that are used once.
    pub deferred: bool,
}

/// What is known of a block before code is written.
#[derive(Clone, Debug)]
pub struct Plan {
    /// By value number.
    pub values: Vec<ValueInfo>,
    nodes: Vec<FlagsNode>,
    /// By place: the guest's flags before the op; at the end those at the exit.
    flags_at: Vec<NodeId>,
    /// By place: nobody reads what the op gives.
    pub dead: Vec<bool>,
}

impl Plan {
    /// Room for the values of `region`.
    pub fn new(region: &Region) -> Plan {
        let none =
            ValueInfo { op: Op::GetFlags {}, def: 0, uses: 0, last: 0, last_flags: 0, home: None, deferred: false };
        Plan {
            values: vec![none; region.value_count as usize],
            nodes: Vec::new(),
            flags_at: Vec::new(),
            dead: Vec::new(),
        }
    }

    /// Plans `block`. `at_end` says how the guest's flags are needed at its end; `fuses` whether the host reads the operands of an op,
    /// which is used once, by the op at that place or, where that is `None`, by the exit, in the user's own code.
    pub fn block(&mut self, block: &Block, at_end: FlagsNeed, fuses: &dyn Fn(&Op, Option<&Op>) -> bool) {
        let end = block.insts.len() as u32;
        for (n, inst) in block.insts.iter().enumerate() {
            let n = n as u32;
            *self.info_mut(inst.value) =
                ValueInfo { op: inst.op, def: n, uses: 0, last: n, last_flags: n, home: None, deferred: false };
        }
        self.find_dead(block);
        self.follow_flags(block);
        self.defer(block, fuses);
        self.find_homes(block);
        for (n, inst) in block.insts.iter().enumerate() {
            // Setting flags is a note.
            let writes_code = !self.info(inst.value).deferred && !matches!(inst.op, Op::SetFlags { .. });
            if !self.dead[n] && writes_code {
                inst.op.values(&mut |v| self.read(v, n as u32));
            }
        }
        block.exit.values(&mut |v| self.read(v, end));
        // Where each node is last needed.
        let mut needed: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for (n, inst) in block.insts.iter().enumerate() {
            let fx = inst.op.effects();
            if !self.dead[n] && (fx.contains(Effects::may_fault) || sees_flags(&inst.op)) {
                needed[self.flags_at[n] as usize] = Some(n as u32);
            }
        }
        if at_end == FlagsNeed::Bits {
            self.read_node(self.flags_at[end as usize], end);
        }
        if at_end != FlagsNeed::None {
            needed[self.flags_at[end as usize] as usize] = Some(end);
        }
        for (node, at) in needed.into_iter().enumerate() {
            if let Some(at) = at {
                self.keep_node(node as NodeId, at, FlagSet::STATUS);
            }
        }
    }

    /// What is known of `v`.
    pub fn info(&self, v: Value) -> &ValueInfo {
        &self.values[v.0 as usize]
    }

    fn info_mut(&mut self, v: Value) -> &mut ValueInfo {
        &mut self.values[v.0 as usize]
    }

    /// The node called `id`.
    pub fn node(&self, id: NodeId) -> FlagsNode {
        self.nodes[id as usize]
    }

    /// The guest's flags before the op at place `n`, or at the exit.
    pub fn flags_at(&self, n: usize) -> NodeId {
        self.flags_at[n]
    }

    /// The value whose low bits `v` is: truncations share the place of what they cut.
    pub fn root(&self, mut v: Value) -> Value {
        while let Op::Truncate { v: wider, .. } = self.info(v).op {
            v = wider;
        }
        v
    }

    /// The constant that `v` is.
    pub fn constant(&self, v: Value) -> Option<u64> {
        match self.info(v).op {
            Op::Iconst { w, value } => Some(value.0 & w.mask()),
            Op::Truncate { to, v, .. } => self.constant(v).map(|n| n & to.mask()),
            _ => None,
        }
    }

    /// What the flags op `op` computes beside, where the block has that before place `before`: sum, difference, shifted value.
    pub fn result_of(&self, block: &Block, op: &Op, before: u32) -> Option<Value> {
        let wanted = match *op {
            Op::AddFlags { w, a, b } => Op::Add { w, a, b },
            Op::SubFlags { w, a, b } => Op::Sub { w, a, b },
            Op::AdcFlags { w, a, b, f } => Op::Adc { w, a, b, f },
            Op::SbbFlags { w, a, b, f } => Op::Sbb { w, a, b, f },
            Op::ShlFlags { w, a, n, .. } => Op::Shl { w, a, n },
            Op::ShrFlags { w, a, n, .. } => Op::Shr { w, a, n },
            Op::SarFlags { w, a, n, .. } => Op::Sar { w, a, n },
            Op::MulFlagsU { w, a, b } | Op::MulFlagsS { w, a, b } => Op::Mul { w, a, b },
            _ => return None,
        };
        let until = (before as usize).min(block.insts.len());
        // It stands close by.
        let from = until.saturating_sub(12);
        let found = block.insts[from..until].iter().enumerate().find(|(n, i)| i.op == wanted && !self.dead[from + n]);
        found.map(|(_, i)| i.value)
    }

    /// Makes the operands of `v`, if it is deferred, and `v` itself last until place `n`.
    pub fn read(&mut self, v: Value, n: u32) {
        let info = self.info_mut(v);
        info.last = info.last.max(n);
        if info.deferred {
            let op = info.op;
            op.values(&mut |operand| {
                if !skips(self, &op, operand) {
                    self.read(operand, n);
                }
            });
            if let Op::GetFlags {} = op {
                let at = self.flags_at[self.info(v).def as usize];
                self.read_node(at, n);
            }
        }
    }

    fn read_node(&mut self, node: NodeId, n: u32) {
        if let FlagsNode::Set { v, rest, .. } = self.node(node) {
            self.read(v, n);
            self.read_node(rest, n);
        }
    }

    /// Of `node` the flags in `wanted` are kept.
    fn keep_node(&mut self, node: NodeId, n: u32, wanted: FlagSet) {
        if let FlagsNode::Set { set, v, rest } = self.node(node)
            && !wanted.is_empty()
        {
            if set.intersects(wanted) {
                self.keep(v, n);
            }
            self.keep_node(rest, n, wanted - set);
        }
    }

    /// Makes `v` last until place `n` for a recipe.
    fn keep(&mut self, v: Value, n: u32) {
        let info = self.info_mut(v);
        info.last_flags = info.last_flags.max(n);
        if info.deferred {
            let op = info.op;
            op.values(&mut |operand| {
                if !skips(self, &op, operand) {
                    self.keep(operand, n);
                }
            });
            if let Op::GetFlags {} = op {
                let at = self.flags_at[self.info(v).def as usize];
                self.keep_node(at, n, FlagSet::STATUS);
            }
        }
    }

    fn find_dead(&mut self, block: &Block) {
        self.dead.clear();
        self.dead.resize(block.insts.len(), false);
        block.exit.values(&mut |v| self.info_mut(v).uses += 1);
        for (n, inst) in block.insts.iter().enumerate().rev() {
            self.dead[n] = self.info(inst.value).uses == 0
                && inst.op.effects().is_removable()
                && inst.op.result_type() != Type::Void;
            if !self.dead[n] {
                inst.op.values(&mut |v| self.info_mut(v).uses += 1);
            }
        }
    }

    fn follow_flags(&mut self, block: &Block) {
        self.nodes.clear();
        self.nodes.push(FlagsNode::Entry);
        self.flags_at.clear();
        let mut now = 0;
        for inst in &block.insts {
            self.flags_at.push(now);
            match inst.op {
                Op::SetFlags { set, v } => {
                    let rest = if set.is_all() { 0 } else { self.without(now, set) };
                    self.nodes.push(FlagsNode::Set { set, v, rest });
                    now = self.nodes.len() as NodeId - 1;
                }
                op if sees_flags(&op) && op.effects().contains(Effects::writes_state) => now = 0,
                _ => {}
            }
        }
        self.flags_at.push(now);
    }

    /// Node `node` as far as flags outside `set` matter.
    fn without(&mut self, node: NodeId, set: FlagSet) -> NodeId {
        match self.node(node) {
            FlagsNode::Set { set: older, rest, .. } if set.contains(older) => self.without(rest, set),
            _ => node,
        }
    }

    fn defer(&mut self, block: &Block, fuses: &dyn Fn(&Op, Option<&Op>) -> bool) {
        let mut user: Vec<Option<usize>> = vec![None; block.insts.len()];
        for (n, inst) in block.insts.iter().enumerate().filter(|(n, _)| !self.dead[*n]) {
            inst.op.values(&mut |v| user[self.info(v).def as usize] = Some(n));
        }
        for inst in &block.insts {
            let info = *self.info(inst.value);
            let always = match inst.op {
                Op::Iconst { .. } | Op::Truncate { .. } | Op::GetFlags {} => true,
                // What recipes can compute: not from vectors.
                Op::VecTestFlags { .. } | Op::VecStringFlags { .. } => false,
                op => op.result_type() == Type::Flags && op.effects().is_removable(),
            };
            let by = user[info.def as usize].map(|n| &block.insts[n].op);
            let once = info.uses == 1 && inst.op.effects() == Effects::empty();
            self.info_mut(inst.value).deferred = always || once && fuses(&inst.op, by);
        }
    }

    fn find_homes(&mut self, block: &Block) {
        for (n, inst) in block.insts.iter().enumerate() {
            let Op::SetGpr { reg, w: w @ (Width::W32 | Width::W64), v } = inst.op else { continue };
            let v = self.root(v);
            let info = *self.info(v);
            let is_fit = info.op.result_type() == w.ty();
            if !is_fit || info.home.is_some() || info.deferred || matches!(info.op, Op::GetGpr { .. }) {
                continue;
            }
            let from = info.def as usize + 1;
            let free = block.insts[from..n].iter().enumerate().all(|(k, i)| {
                let fx = i.op.effects();
                let touches = match i.op {
                    Op::GetGpr { reg: r, .. }
                    | Op::GetGprHigh { reg: r }
                    | Op::SetGpr { reg: r, .. }
                    | Op::SetGprHigh { reg: r, .. } => r == reg,
                    Op::SetFlags { .. } | Op::GetFlags {} | Op::SetVec { .. } | Op::GetVec { .. } => false,
                    _ => {
                        fx.contains(Effects::may_fault)
                            || fx.contains(Effects::reads_state)
                            || fx.contains(Effects::writes_state)
                            || fx.contains(Effects::x87)
                            || fx.contains(Effects::volatile)
                    }
                };
                self.dead[from + k] || !touches
            });
            if free {
                self.info_mut(v).home = Some(reg);
            }
        }
    }
}

/// Ops that read or write the status flags in guest state without a flags value.
pub fn sees_flags(op: &Op) -> bool {
    matches!(op, Op::String { .. } | Op::CompareExchangePair { .. })
}

/// Whether the shift op `op` is known to shift: its flags need no older ones then.
pub fn count_is_known(op: &Op, constant: impl Fn(Value) -> Option<u64>) -> bool {
    match *op {
        Op::ShlFlags { n, .. }
        | Op::ShrFlags { n, .. }
        | Op::SarFlags { n, .. }
        | Op::ShldFlags { n, .. }
        | Op::ShrdFlags { n, .. } => constant(n).is_some_and(|n| n & 63 != 0),
        _ => false,
    }
}

/// Whether `op` does not read its operand `v` after all.
fn skips(plan: &Plan, op: &Op, v: Value) -> bool {
    match *op {
        Op::ShlFlags { f, .. }
        | Op::ShrFlags { f, .. }
        | Op::SarFlags { f, .. }
        | Op::ShldFlags { f, .. }
        | Op::ShrdFlags { f, .. } => f == v && count_is_known(op, |n| plan.constant(n)),
        _ => false,
    }
}
