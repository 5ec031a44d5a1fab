//! Which values and which guest flags are needed, and where.

use hokku_ir::passes::flag_reads;
use hokku_ir::{Block, BlockId, Effects, Exit, FlagSet, Gpr, Inst, Op, Target, Type, Upper, Value, Width};

use crate::Optimisations;
use crate::assign::home;
use crate::plan::{InstInfo, NONE, Plan, ValueInfo};
use crate::values::{Loc, Val};

/// Effects of ops that others must not be moved across.
const WRITES: Effects = Effects::writes_state
    .union(Effects::writes_mem)
    .union(Effects::boundary)
    .union(Effects::x87)
    .union(Effects::volatile);

impl Plan {
    /// Finds roots, then walks backwards: dead ops, numbers of uses, liveness of guest flags. Gives the flags live at the start. `vals` and `alias`
    /// become what they are before the block's code is written.
    pub(crate) fn count(&mut self, block: &Block, live_out: FlagSet, vals: &mut [Val], alias: &mut [Value]) -> FlagSet {
        self.last_writes = Default::default();
        let mut insts = std::mem::take(&mut self.insts);
        insts.clear();
        insts.resize(block.insts.len(), InstInfo::NEW);
        for (n, (inst, info)) in block.insts.iter().zip(&mut insts).enumerate() {
            self.first_look(block, n, inst, info, alias);
        }
        self.insts = insts;
        let mut live = live_out;
        // Guest registers in memory that are written again before anyone can look at them, a bit for each.
        let mut overwritten = 0u16;
        block.exit.values(&mut |v| {
            let root = self.root(v);
            self.info(root).uses += 1;
        });
        let mut n = block.insts.len();
        for inst in block.insts.iter().rev() {
            n -= 1;
            let info = &mut self.insts[n];
            info.live = live;
            match inst.op {
                // Most ops are of these kinds.
                Op::Insn { .. } => continue,
                Op::SetGpr { reg, w, .. } => {
                    self.written |= 1 << reg.index();
                    let bit = if self.has_registers_in_memory && home(reg).is_none() { 1 << reg.index() } else { 0 };
                    if overwritten & bit != 0 {
                        (info.dead, info.writes) = (true, false);
                        continue;
                    }
                    // One that keeps the upper bits reads them.
                    overwritten = if w >= Width::W32 { overwritten | bit } else { overwritten & !bit };
                    let value = &mut self.values[self.args[info.args as usize].0 as usize];
                    (value.uses, value.set) = (value.uses + 1, n as u32);
                    continue;
                }
                Op::GetGpr { .. } | Op::Iconst { .. } => {
                    let ValueInfo { uses, ty, .. } = self.values[inst.value.0 as usize];
                    info.dead = uses == 0;
                    if let Op::GetGpr { reg, .. } = inst.op
                        && uses > 0
                    {
                        overwritten &= !(1 << reg.index());
                    }
                    vals[inst.value.0 as usize] = Val { loc: Loc::Nowhere, uses, ty };
                    continue;
                }
                Op::SetFlags { set, .. } => {
                    if live.intersects(set) {
                        let value = &mut self.values[self.args[info.args as usize].0 as usize];
                        (value.uses, value.need) = (value.uses + 1, value.need | set & live);
                        live -= set;
                    } else {
                        (info.dead, info.writes) = (true, false);
                    }
                    continue;
                }
                _ => {}
            }
            let fx = info.effects;
            let result = self.values[inst.value.0 as usize];
            vals[inst.value.0 as usize] = Val { loc: Loc::Nowhere, uses: result.uses, ty: result.ty };
            let dead = match inst.op {
                Op::Truncate { .. } => true,
                Op::VecMergeLow { .. } if result.root != inst.value => true,
                _ => result.uses == 0 && fx.is_removable() && result.ty != Type::Void,
            };
            if dead {
                let i = &mut self.insts[n];
                (i.dead, i.faults, i.writes) = (true, false, false);
                continue;
            }
            let is_blind =
                fx == Effects::empty() || matches!(inst.op, Op::GetVec { .. } | Op::SetVec { .. } | Op::GetFlags {});
            if !is_blind {
                overwritten = 0;
            }
            let InstInfo { args, arg_count, .. } = self.insts[n];
            for k in (args..).take(arg_count.into()) {
                self.values[self.args[k as usize].0 as usize].uses += 1;
            }
            match inst.op {
                Op::AtomicRmw { v, .. } => {
                    let bit = self.locked_bit(block, n);
                    self.insts[n].locked_bit = bit;
                    if bit != NONE {
                        // The mask of a bit is not computed for an instruction that takes its number.
                        let root = self.root(v);
                        self.info(root).uses -= 1;
                    }
                }
                Op::SetGprHigh { v, .. } => {
                    let root = self.root(v);
                    self.info(root).set = n as u32;
                }
                Op::SetVec { ty, upper, v, .. } => {
                    let keeps = match ty {
                        Type::V128 => self.avx() || upper != Upper::Zero256,
                        Type::V256 => self.avx(),
                        _ => upper == Upper::Keep,
                    };
                    if keeps {
                        let root = self.root(v);
                        self.info(root).vec_set = n as u32;
                    }
                }
                _ => {}
            }
            live = self.flags_before(block, n, result.need, live);
        }
        live
    }

    /// The place of `reg` among the guest registers in memory, if it is one whose writes are looked at.
    fn register_in_memory(&self, reg: Gpr) -> Option<usize> {
        (self.has_registers_in_memory && home(reg).is_none()).then(|| reg.index() - Gpr::R13.index())
    }

    /// Enters the value of op `n`, and into `info`, which is new, what its operands are and what it does.
    #[inline]
    fn first_look(&mut self, block: &Block, n: usize, inst: &Inst, info: &mut InstInfo, alias: &mut [Value]) {
        // Most ops are of the first kinds, of which those without a result have no value to enter.
        let root = match inst.op {
            Op::Insn { .. } => {
                (info.writes, info.effects) = (true, Effects::boundary);
                return;
            }
            Op::SetGpr { v, .. } | Op::SetFlags { v, .. } => {
                if let Op::SetGpr { reg, w, .. } = inst.op
                    && let Some(n) = self.register_in_memory(reg)
                {
                    let def = self.values[self.root(v).0 as usize].def;
                    // A copy of another register would have to be made when that changes.
                    let is_own = !matches!(block.insts[def as usize].op, Op::GetGpr { .. } | Op::GetGprHigh { .. });
                    self.last_writes[n] = (is_own && w >= Width::W32).then_some((w, v));
                }
                (info.writes, info.effects) = (true, Effects::writes_state);
                (info.args, info.arg_count) = (self.args.len() as u32, 1);
                let ValueInfo { root, ty, .. } = self.values[v.0 as usize];
                info.reads_flags = ty == Type::Flags;
                self.args.push(root);
                return;
            }
            Op::GetGpr { reg, w } => {
                let written = self.register_in_memory(reg).and_then(|n| self.last_writes[n]);
                let root = written.filter(|(of, _)| *of >= w).map_or(inst.value, |(_, v)| self.root(v));
                self.values[inst.value.0 as usize] = ValueInfo::new(root, n as u32, w.ty());
                alias[inst.value.0 as usize] = root;
                return;
            }
            Op::Iconst { w, .. } => {
                self.values[inst.value.0 as usize] = ValueInfo::new(inst.value, n as u32, w.ty());
                return;
            }
            Op::Truncate { v, .. } => self.root(v),
            Op::VecMergeLow { ty, a, low } => self.merging_scalar(block, n, ty, a, low).unwrap_or(inst.value),
            _ => inst.value,
        };
        self.values[inst.value.0 as usize] = ValueInfo::new(root, n as u32, inst.op.result_type());
        alias[inst.value.0 as usize] = root;
        let effects = inst.op.effects();
        info.effects = effects;
        if effects.contains(Effects::writes_state) && !matches!(inst.op, Op::SetVec { .. }) {
            self.last_writes = Default::default();
        }
        (info.faults, info.writes) = (effects.contains(Effects::may_fault), effects.intersects(WRITES));
        info.args = self.args.len() as u32;
        info.reads_flags = self.collect_args(&inst.op);
        info.arg_count = (self.args.len() as u32 - info.args) as u8;
    }

    /// Appends the roots of the operands of `op` to `args`; says whether there are flags among them.
    fn collect_args(&mut self, op: &Op) -> bool {
        let Plan { args, values, .. } = self;
        let mut flags = false;
        let mut one = |v: Value| {
            let info = &values[v.0 as usize];
            args.push(info.root);
            flags |= info.ty == Type::Flags;
        };
        match *op {
            // Most ops are of these kinds.
            Op::GetFlags {} => {}
            Op::Load { at, .. } | Op::Lea { at, .. } => [at.base, at.index].into_iter().flatten().for_each(one),
            Op::Store { at, v, .. } => [at.base, at.index, Some(v)].into_iter().flatten().for_each(one),
            Op::LogicFlags { v, .. } | Op::ExtendZero { v, .. } | Op::ExtendSign { v, .. } => one(v),
            Op::Condition { f, .. } => one(f),
            Op::Add { a, b, .. }
            | Op::AddFlags { a, b, .. }
            | Op::Sub { a, b, .. }
            | Op::SubFlags { a, b, .. }
            | Op::And { a, b, .. }
            | Op::Or { a, b, .. }
            | Op::Xor { a, b, .. } => [a, b].into_iter().for_each(one),
            _ => op.values(&mut one),
        }
        flags
    }

    /// The scalar `low` where its own VEX instruction gives the vector that op `n` makes of it and `a`, and that goes to one register. Notes that.
    fn merging_scalar(&mut self, block: &Block, n: usize, ty: Type, a: Value, low: Value) -> Option<Value> {
        let merge = block.insts[n].value;
        let def = |v: Value| -> Option<(usize, Op)> {
            let at = self.values[v.0 as usize].def as usize;
            Some((at, block.insts.get(at).filter(|i| i.value == v)?.op))
        };
        let set = block.insts.get(n + 1)?.op;
        let off = !self.avx() || !self.does(Optimisations::MERGED_SCALARS);
        if off || !matches!(set, Op::SetVec { ty: Type::V128, upper: Upper::Zero256, v, .. } if v == merge) {
            return None;
        }
        let (at, scalar) = def(low)?;
        let (source_at, Op::GetVec { reg, ty: Type::V128 }) = def(a)? else { return None };
        let is_lane = |v: Value| match def(v) {
            Some((_, Op::GetVec { reg: r, ty: lane })) => r == reg && lane == ty,
            _ => false,
        };
        let fits = match scalar {
            Op::FpArith { a, .. } | Op::FpCompareMask { a, .. } => is_lane(a),
            Op::FpSqrt { .. } | Op::FpConvert { .. } | Op::FpIntegral { .. } | Op::IntToFp { .. } => true,
            Op::FpFma { a, b, c, .. } => self.fma() && (is_lane(a) || is_lane(b) || is_lane(c)),
            _ => false,
        };
        // The register is read at the scalar's place: nothing may write it between the two.
        let between = at.min(source_at)..n;
        let writes = |op: &Op| op.effects().contains(Effects::writes_state) || op.effects().contains(Effects::boundary);
        if !fits || block.insts[between].iter().any(|i| writes(&i.op)) {
            return None;
        }
        let mut uses = [0, 0];
        for inst in &block.insts[at..] {
            inst.op.values(&mut |v| {
                uses[0] += u32::from(v == low);
                uses[1] += u32::from(v == merge);
            });
        }
        let mut exit_uses = 0;
        block.exit.values(&mut |v| exit_uses += u32::from(v == low || v == merge));
        if uses != [1, 1] || exit_uses > 0 {
            return None;
        }
        self.info(low).merged = Some(reg.0);
        Some(low)
    }

    /// Guest flags live before op `n` when `live` are after it and `result` are read of its own value; notes what it reads of flags values.
    fn flags_before(&mut self, block: &Block, n: usize, result: FlagSet, live: FlagSet) -> FlagSet {
        let op = &block.insts[n].op;
        let InstInfo { reads_flags, effects, .. } = self.insts[n];
        match *op {
            Op::GetFlags {} => return live | result,
            _ if reads_flags => {
                let kept = self.kept_flags(block, op, result);
                flag_reads(op, result, kept, &mut |v, set| self.info(v).need |= set);
            }
            _ => {}
        }
        let sees_all = matches!(op, Op::String { .. } | Op::CompareExchangePair { .. });
        if sees_all || effects.contains(Effects::may_fault) { FlagSet::STATUS } else { live }
    }

    /// Those flags of `result` that `op` may hand on from its older flags.
    fn kept_flags(&self, block: &Block, op: &Op, result: FlagSet) -> FlagSet {
        // A constant count that is not zero leaves nothing of the old flags, or what a rotation does not change.
        let counts = |n: Value| self.constant(block, n).is_some_and(|n| n & 31 != 0);
        match *op {
            Op::ShlFlags { n, .. }
            | Op::ShrFlags { n, .. }
            | Op::SarFlags { n, .. }
            | Op::ShldFlags { n, .. }
            | Op::ShrdFlags { n, .. }
                if counts(n) =>
            {
                FlagSet::empty()
            }
            Op::RotlFlags { n, .. } | Op::RotrFlags { n, .. } if counts(n) => result - (FlagSet::CF | FlagSet::OF),
            _ => result,
        }
    }
}

/// Guest flags that are read after `exit`; `live_in` tells those that a block reads.
pub(crate) fn live_after(exit: &Exit, live_in: impl Fn(BlockId) -> FlagSet) -> FlagSet {
    let at = |to: &Target| match to {
        Target::Block(b) => live_in(*b),
        Target::Guest(_) => FlagSet::STATUS,
    };
    match exit {
        Exit::Jump { to } => at(to),
        Exit::Branch { taken, next, .. } => at(taken) | at(next),
        _ => FlagSet::STATUS,
    }
}
