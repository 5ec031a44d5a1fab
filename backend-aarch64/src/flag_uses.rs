//! Who reads status flags, found before a block's code is written.

use hokku_ir::lowering::{FlagsNode, NodeId, Plan};
use hokku_ir::{Block, BlockId, Cond, Effects, Exit, FlagSet, Op, Region, Target, Type, Value, Width};

/// Flags that an op leaves in NZCV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Their value.
    pub(crate) flags: Value,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct FlagUses {
    /// By place.
    pub(crate) carried: Vec<Option<Carried>>,
}

impl FlagUses {
    /// Looks at `block`, for which `plan` was made; operands of flags that come with an op's result need not be kept for them.
    pub(crate) fn find(block: &Block, plan: &mut Plan) -> FlagUses {
        let mut uses = FlagUses { carried: vec![None; block.insts.len()] };
        let mut any = false;
        for n in 0..block.insts.len() {
            if plan.dead[n] || plan.info(block.insts[n].value).deferred {
                continue;
            }
            let Some(f) = flags_beside(block, plan, n) else { continue };
            let last = plan.info(f).last as usize;
            // Nobody reads them, but for recipes.
            if last <= plan.info(f).def as usize || last <= n {
                continue;
            }
            let between = &block.insts[n + 1..last.min(block.insts.len())];
            let kept = between
                .iter()
                .zip(n + 1..)
                .all(|(i, k)| plan.dead[k] || plan.info(i.value).deferred || keeps_nzcv(plan, &i.op, f));
            if kept
                && reads_are_plain(block, plan, f, last)
                && uses.carried[n + 1..last.min(block.insts.len())].iter().all(Option::is_none)
            {
                uses.carried[n] = Some(Carried { flags: f });
                any = true;
            }
        }
        // Of two that overlap the later one keeps its place.
        for n in 0..block.insts.len() {
            if let Some(c) = uses.carried[n] {
                let last = (plan.info(c.flags).last as usize).min(block.insts.len());
                if uses.carried[n + 1..last].iter().any(Option::is_some) {
                    uses.carried[n] = None;
                }
            }
        }
        if any {
            uses.read_again(block, plan);
        }
        uses
    }

    /// Finds anew how long values are read.
    fn read_again(&self, block: &Block, plan: &mut Plan) {
        let carried: Vec<Value> = self.carried.iter().flatten().map(|c| c.flags).collect();
        for inst in &block.insts {
            let info = &mut plan.values[inst.value.0 as usize];
            info.last = info.def;
        }
        for f in &carried {
            plan.values[f.0 as usize].deferred = false;
        }
        for (n, inst) in block.insts.iter().enumerate() {
            let writes_code = !plan.info(inst.value).deferred && !matches!(inst.op, Op::SetFlags { .. });
            if !plan.dead[n] && writes_code && !carried.contains(&inst.value) {
                inst.op.values(&mut |v| plan.read(v, n as u32));
            }
        }
        let end = block.insts.len() as u32;
        block.exit.values(&mut |v| plan.read(v, end));
        for f in &carried {
            plan.values[f.0 as usize].deferred = true;
        }
    }
}

/// The flags value that belongs to the op at place `n`, which one host instruction can compute with its result.
fn flags_beside(block: &Block, plan: &Plan, n: usize) -> Option<Value> {
    let op = block.insts[n].op;
    let one = |v: Value| plan.constant(v) == Some(1);
    let wanted = |f: &Op| match (op, *f) {
        (Op::Add { w, a, b }, Op::AddFlags { w: w2, a: a2, b: b2 }) => (w, a, b) == (w2, a2, b2),
        (Op::Sub { w, a, b }, Op::SubFlags { w: w2, a: a2, b: b2 }) => (w, a, b) == (w2, a2, b2),
        (Op::Add { w, a, b }, Op::IncFlags { w: w2, a: a2 }) => (w, a) == (w2, a2) && one(b),
        (Op::Sub { w, a, b }, Op::DecFlags { w: w2, a: a2 }) => (w, a) == (w2, a2) && one(b),
        (Op::Adc { w, a, b, f }, Op::AdcFlags { w: w2, a: a2, b: b2, f: f2 }) => (w, a, b, f) == (w2, a2, b2, f2),
        (Op::Sbb { w, a, b, f }, Op::SbbFlags { w: w2, a: a2, b: b2, f: f2 }) => (w, a, b, f) == (w2, a2, b2, f2),
        (Op::And { w, .. }, Op::LogicFlags { w: w2, v }) => w == w2 && v == block.insts[n].value,
        _ => false,
    };
    let is_wide = match op {
        Op::Add { w, .. } | Op::Sub { w, .. } | Op::Adc { w, .. } | Op::Sbb { w, .. } | Op::And { w, .. } => {
            w >= Width::W32
        }
        _ => false,
    };
    if !is_wide {
        return None;
    }
    // It stands close by.
    let until = (n + 8).min(block.insts.len());
    block.insts[n + 1..until].iter().find(|i| wanted(&i.op)).map(|i| i.value)
}

/// Whether all readers of `f` up to `last` can use NZCV as an addition or subtraction leaves it.
fn reads_are_plain(block: &Block, plan: &Plan, f: Value, last: usize) -> bool {
    let parity = |cc: Cond| matches!(cc, Cond::P | Cond::Np);
    block.insts[..(last + 1).min(block.insts.len())].iter().enumerate().all(|(n, i)| {
        let mut reads = false;
        i.op.values(&mut |v| reads |= v == f);
        reads |= matches!(i.op, Op::GetFlags {});
        !reads
            || plan.dead[n]
            || match i.op {
                Op::Condition { cc, .. } => !parity(cc),
                Op::SetFlags { .. } | Op::Adc { .. } | Op::Sbb { .. } => true,
                Op::AdcFlags { .. } | Op::SbbFlags { .. } => true,
                // Reads them as the guest's.
                Op::GetFlags {} => plan.info(i.value).last as usize <= n || !holds(plan, plan.flags_at(n), f),
                _ => false,
            }
    })
}

/// Whether `f` is among the guest's flags at `node`.
fn holds(plan: &Plan, node: NodeId, f: Value) -> bool {
    match plan.node(node) {
        FlagsNode::Entry => false,
        FlagsNode::Set { v, rest, .. } => v == f || holds(plan, rest, f),
    }
}

/// Whether the code of `op` leaves NZCV as it is, or is one of the readers of `f` that do.
fn keeps_nzcv(plan: &Plan, op: &Op, f: Value) -> bool {
    match *op {
        Op::Insn { .. }
        | Op::GetGpr { .. }
        | Op::SetGpr { .. }
        | Op::GetGprHigh { .. }
        | Op::SetGprHigh { .. }
        | Op::SetFlags { .. }
        | Op::Add { .. }
        | Op::Sub { .. }
        | Op::And { .. }
        | Op::Or { .. }
        | Op::Xor { .. }
        | Op::Not { .. }
        | Op::ExtendZero { .. }
        | Op::ExtendSign { .. }
        | Op::Lea { .. }
        | Op::ByteSwap { .. } => true,
        Op::Mul { w, .. } => w >= Width::W32,
        Op::Shl { n, .. } | Op::Shr { n, .. } | Op::Sar { n, .. } => plan.constant(n).is_some(),
        Op::Load { ty, .. } | Op::Store { ty, .. } => ty.width().is_some(),
        // With a carry that is not inverted these two take a test of a register.
        Op::Condition { cc: Cond::Be | Cond::A, f: other } => {
            other == f && matches!(plan.info(f).op, Op::SubFlags { .. } | Op::SbbFlags { .. })
        }
        Op::Condition { f: other, .. } => other == f,
        _ => false,
    }
}

/// By block: which of the flags with which it is entered somebody may see, be it after a fault.
pub(crate) fn blocks_that_see_flags(region: &Region) -> Vec<FlagSet> {
    let mut sees = vec![FlagSet::empty(); region.blocks.len()];
    loop {
        let mut changed = false;
        for id in region.block_ids().collect::<Vec<_>>().into_iter().rev() {
            let now = block_sees(region, id, &sees);
            changed |= now != sees[id.0 as usize];
            sees[id.0 as usize] = now;
        }
        if !changed {
            return sees;
        }
    }
}

fn block_sees(region: &Region, id: BlockId, sees: &[FlagSet]) -> FlagSet {
    let block = region.block(id);
    let (mut unset, mut seen) = (FlagSet::STATUS, FlagSet::empty());
    for inst in &block.insts {
        match inst.op {
            Op::SetFlags { set, .. } => unset -= set,
            Op::GetFlags {} => seen |= unset & read_of(block, inst.value),
            op => {
                let fx = op.effects();
                if fx.contains(Effects::may_fault)
                    || fx.contains(Effects::x87)
                    || (fx.contains(Effects::reads_state) && op.result_type() == Type::Void)
                {
                    return seen | unset;
                }
            }
        }
        if unset.is_empty() {
            return seen;
        }
    }
    seen | unset & exit_sees(&block.exit, sees)
}

/// Which of the flags `f` the block reads.
fn read_of(block: &Block, f: Value) -> FlagSet {
    let mut read = FlagSet::empty();
    for inst in &block.insts {
        let mut reads = false;
        inst.op.values(&mut |v| reads |= v == f);
        read |= match inst.op {
            _ if !reads => FlagSet::empty(),
            Op::Condition { cc, .. } => cc.reads(),
            Op::Adc { .. } | Op::Sbb { .. } | Op::AdcFlags { .. } | Op::SbbFlags { .. } => FlagSet::CF,
            _ => FlagSet::STATUS,
        };
    }
    read
}

/// Which of the flags at `to` may be seen by somebody.
pub(crate) fn target_sees(to: &Target, sees: &[FlagSet]) -> FlagSet {
    match to {
        Target::Block(b) => sees[b.0 as usize],
        Target::Guest(_) => FlagSet::STATUS,
    }
}

/// Which of the flags at `exit` may be seen by somebody.
pub(crate) fn exit_sees(exit: &Exit, sees: &[FlagSet]) -> FlagSet {
    match exit {
        Exit::Jump { to } => target_sees(to, sees),
        Exit::Branch { taken, next, .. } => target_sees(taken, sees) | target_sees(next, sees),
        _ => FlagSet::STATUS,
    }
}
