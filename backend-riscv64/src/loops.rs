//! Loops that compute with floats and vectors: what stays true while they run is looked at once, on the way to code of their own that relies on it.
//!
//! That code comes beside the ordinary one. Blocks of a loop that jump to its header go there by way of a look: at `mxcsr`, at addresses that are to be
//! multiples of 16 and stay so, and at operands that nothing in the loop writes. Where one of these is not as it should be, the ordinary code goes on.

use hokku_ir::backend::{LazyState, Tier};
use hokku_ir::{Addr, Block, BlockId, Effects, Exit, Gpr, Op, Region, Target, Type, Value, Width};

use crate::asm::Label;
use crate::assign::*;
use crate::encode::*;
use crate::exits::Cold;
use crate::float::{DYNAMIC, fp};
use crate::lower::Lowering;
use crate::places::{high, lane_offset};
use crate::vector_encode::*;

/// More blocks than that are no loop whose code is worth having twice.
const MOST_BLOCKS: usize = 4;
/// Scalars that are kept in registers: the others are for what the loop computes.
const LANES: usize = 5;

/// An address in terms of the guest registers where blocks of the loop start; of what is added the low bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HomeAddr {
    base: Option<Gpr>,
    index: Option<Gpr>,
    scale: u8,
    disp: i64,
}

/// A loop, and what stays true while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Loop {
    header: BlockId,
    blocks: Vec<BlockId>,
    /// Addresses of blocks that are multiples of 16.
    aligned: Vec<(BlockId, Addr, HomeAddr)>,
    /// Guest registers whose elements, of this width, are no denormals and not tiny.
    pub(crate) sound: Vec<(u8, Sew)>,
    /// Lanes of guest registers (see [`crate::places::CACHED`]) that are in these floating-point registers, and not tiny; whether they are singles.
    pub(crate) lanes: Vec<(u8, Reg, bool)>,
}

fn successors(block: &Block) -> Option<Vec<BlockId>> {
    let inner = |t: &Target| match t {
        Target::Block(b) => Some(*b),
        Target::Guest(_) => None,
    };
    match &block.exit {
        Exit::Jump { to } => Some(inner(to).into_iter().collect()),
        Exit::Branch { taken, next, .. } => Some([taken, next].into_iter().filter_map(inner).collect()),
        _ => None,
    }
}

/// The ways from `header` back to it over few blocks.
fn ways_around(region: &Region, header: BlockId) -> Vec<Vec<BlockId>> {
    fn walk(region: &Region, way: &mut Vec<BlockId>, found: &mut Vec<Vec<BlockId>>) {
        let Some(last) = way.last().copied() else { return };
        for next in successors(region.block(last)).unwrap_or_default() {
            if way.first() == Some(&next) {
                found.push(way.clone());
            } else if way.len() < MOST_BLOCKS && !way.contains(&next) {
                way.push(next);
                walk(region, way, found);
                way.pop();
            }
        }
    }
    let mut found = Vec::new();
    walk(region, &mut vec![header], &mut found);
    found
}

/// Whether nothing in `block` changes state but by the ops that are looked at here.
fn is_plain(block: &Block) -> bool {
    block.insts.iter().all(|inst| {
        let fx = inst.op.effects();
        let sets = matches!(
            inst.op,
            Op::SetGpr { .. } | Op::SetGprHigh { .. } | Op::SetFlags { .. } | Op::SetVec { .. } | Op::Insn { .. }
        );
        !fx.contains(Effects::x87) && (sets || !fx.contains(Effects::writes_state))
    })
}

/// The ops of one block by what they give.
struct Ops<'a>(&'a Block);

impl Ops<'_> {
    fn of(&self, v: Value) -> Option<(usize, Op)> {
        self.0.insts.iter().enumerate().find(|(_, inst)| inst.value == v).map(|(n, inst)| (n, inst.op))
    }

    fn constant(&self, v: Value) -> Option<i64> {
        match self.of(v)?.1 {
            Op::Iconst { value, .. } => Some(value.0 as i64),
            _ => None,
        }
    }

    /// `v` as a guest register where the block starts, and what is added to it.
    fn home(&self, v: Value) -> Option<(Gpr, i64)> {
        let (mut v, mut sum) = (v, 0i64);
        loop {
            match self.of(v)? {
                (n, Op::GetGpr { reg, w: Width::W64 }) => {
                    let is_set =
                        |op: &Op| matches!(op, Op::SetGpr { reg: g, .. } | Op::SetGprHigh { reg: g, .. } if *g == reg);
                    return (!self.0.insts[..n].iter().any(|i| is_set(&i.op))).then_some((reg, sum));
                }
                (_, Op::Add { w: Width::W64, a, b }) => {
                    sum = sum.wrapping_add(self.constant(b)?);
                    v = a;
                }
                _ => return None,
            }
        }
    }

    /// What the block adds to `g`; `None`: it does something else with it.
    fn step(&self, g: Gpr) -> Option<i64> {
        let mut step = Some(0);
        for inst in &self.0.insts {
            match inst.op {
                Op::SetGpr { reg, w: Width::W64, v } if reg == g => {
                    step = self.home(v).filter(|h| h.0 == g).map(|h| h.1);
                }
                Op::SetGpr { reg, .. } | Op::SetGprHigh { reg, .. } if reg == g => return None,
                _ => {}
            }
        }
        step
    }
}

/// What `op` reads as packed floats, and the width of their elements.
fn packed_operands(op: &Op) -> Option<(Vec<Value>, Sew)> {
    if !crate::vector_runs::is_packed_member(op) {
        return None;
    }
    let mut operands = Vec::new();
    op.values(&mut |v| operands.push(v));
    let is_double = match *op {
        Op::VecBinary { op, .. } => crate::vector_runs::is_double(op),
        Op::VecUnary { op, .. } => op == hokku_ir::VecUn::SqrtPd,
        Op::VecCompare { lane, .. } => lane == Type::F64,
        _ => return None,
    };
    Some((operands, if is_double { Sew::E64 } else { Sew::E32 }))
}

impl Loop {
    fn new(region: &Region, ids: &[BlockId], has_vectors: bool) -> Option<Loop> {
        let header = *ids.first()?;
        let blocks: Vec<&Block> = ids.iter().map(|id| region.block(*id)).collect();
        if !blocks.iter().all(|b| is_plain(b)) {
            return None;
        }
        let mut l = Loop { header, blocks: ids.to_vec(), aligned: Vec::new(), sound: Vec::new(), lanes: Vec::new() };
        let is_written = |n: u8| {
            let writes = |op: &Op| matches!(op, Op::SetVec { reg, .. } if reg.0 == n);
            blocks.iter().any(|b| b.insts.iter().any(|i| writes(&i.op)))
        };
        let mut mixed = Vec::new();
        for (id, block) in ids.iter().zip(&blocks) {
            let ops = Ops(block);
            for inst in &block.insts {
                if let Op::Load { ty: Type::V128, at, .. } | Op::Store { ty: Type::V128, at, .. } = inst.op {
                    l.aligned.extend(Self::steady_address(&ops, &blocks, at).map(|(at, home)| (*id, at, home)));
                }
                if let Op::GetVec { reg, ty: Type::F64 | Type::F32, .. } = inst.op
                    && !is_written(reg.0)
                {
                    l.keep_lane(reg.0, matches!(inst.op, Op::GetVec { ty: Type::F32, .. }), &mut mixed);
                }
                let is_member = has_vectors || crate::pairs::is_member(&inst.op);
                let Some((operands, sew)) = packed_operands(&inst.op).filter(|_| is_member) else { continue };
                for v in operands {
                    if let Some((_, Op::GetVec { reg, ty: Type::V128 })) = ops.of(v)
                        && !is_written(reg.0)
                    {
                        if !has_vectors {
                            l.keep_lane(reg.0, false, &mut mixed);
                            l.keep_lane(high(reg.0), false, &mut mixed);
                            continue;
                        }
                        match l.sound.iter().find(|s| s.0 == reg.0) {
                            Some(s) if s.1 != sew => mixed.push(reg.0),
                            Some(_) => {}
                            None => l.sound.push((reg.0, sew)),
                        }
                    }
                }
            }
        }
        l.lanes.retain(|lane| !mixed.contains(&lane.0));
        l.sound.retain(|s| !mixed.contains(&s.0));
        let has_floats = blocks.iter().any(|b| b.insts.iter().any(|i| i.op.effects().contains(Effects::float)));
        (has_floats || !l.aligned.is_empty()).then_some(l)
    }

    /// Keeps lane `n` if there is room. Those that are `mixed` are not what they were kept as.
    fn keep_lane(&mut self, n: u8, is_single: bool, mixed: &mut Vec<u8>) {
        match self.lanes.iter().find(|lane| lane.0 == n) {
            Some(lane) if lane.2 != is_single => mixed.push(n),
            None if self.lanes.len() < LANES => {
                self.lanes.push((n, FLOATS[FLOATS.len() - 1 - self.lanes.len()], is_single));
            }
            _ => {}
        }
    }

    /// `at` taken apart, and in terms of guest registers, if the loop adds to those what leaves its alignment alone.
    fn steady_address(ops: &Ops<'_>, blocks: &[&Block], at: Addr) -> Option<(Addr, HomeAddr)> {
        if at.seg.is_some() || at.width != Width::W64 {
            return None;
        }
        let mut at = at;
        while let Some((_, op)) = at.base.and_then(|v| ops.of(v)) {
            match op {
                Op::Add { w: Width::W64, a, b } => {
                    (at.base, at.disp) = (Some(a), at.disp.wrapping_add(ops.constant(b)?));
                }
                Op::Lea { w: Width::W64, at: sum }
                    if sum.seg.is_none() && sum.width == Width::W64 && at.index.is_none() =>
                {
                    at = Addr { disp: at.disp.wrapping_add(sum.disp), ..sum };
                }
                _ => break,
            }
        }
        let mut home = HomeAddr { base: None, index: None, scale: at.scale, disp: 0 };
        let mut disp = at.disp;
        for (v, to, scale) in [(at.base, &mut home.base, 0), (at.index, &mut home.index, at.scale)] {
            let Some(v) = v else { continue };
            let (g, by) = ops.home(v)?;
            let keeps = |b: &Block| Ops(b).step(g).is_some_and(|step| step << scale & 15 == 0);
            if !blocks.iter().all(|b| keeps(b)) {
                return None;
            }
            *to = Some(g);
            disp = disp.wrapping_add(by << scale);
        }
        home.disp = disp & 15;
        Some((Addr { disp: at.disp & 15, ..at }, home))
    }
}

/// The loops of `region` whose code relies on what stays true in them.
pub(crate) fn loops(region: &Region, tier: Tier, has_vectors: bool) -> Vec<Loop> {
    if tier != Tier::Second {
        return Vec::new();
    }
    let all: Vec<Vec<BlockId>> = region.block_ids().flat_map(|id| ways_around(region, id)).collect();
    // The innermost ones, each by one of its blocks.
    let is_within = |a: &[BlockId], b: &[BlockId]| a.iter().all(|id| b.contains(id));
    let holds_other = |n: usize, l: &[BlockId]| {
        all.iter().enumerate().any(|(m, other)| m != n && is_within(other, l) && (m < n || !is_within(l, other)))
    };
    let innermost = all.iter().enumerate().filter(|(n, l)| !holds_other(*n, l)).map(|(_, l)| l);
    innermost.filter_map(|l| Loop::new(region, l, has_vectors)).collect()
}

impl Lowering<'_> {
    /// The number of the loop that jumps from the block at hand to `id` belong to, if there is one.
    pub(crate) fn loop_to(&self, id: BlockId) -> Option<usize> {
        if self.evaluates_floats || self.shapes.is_some() || !self.read_in[id.0 as usize].is_empty() {
            return None;
        }
        if let Some(n) = self.in_loop {
            return self.loops[n].blocks.contains(&id).then_some(n);
        }
        let at = self.block_id;
        self.loops.iter().position(|l| l.header == id && l.blocks.contains(&at))
    }

    /// Where the block at hand goes on in block `id` of loop `n`.
    pub(crate) fn way_in_loop(&mut self, n: usize, id: BlockId) -> Label {
        if self.in_loop.is_some() {
            return self.steady(n, id);
        }
        if let Some((_, label)) = self.ways_to_loops.iter().find(|way| way.0 == n) {
            return *label;
        }
        let label = self.asm.label();
        self.ways_to_loops.push((n, label));
        self.cold.push(Cold::EnterLoop { label, n });
        label
    }

    /// Where block `id` is in the code of loop `n`.
    fn steady(&mut self, n: usize, id: BlockId) -> Label {
        if let Some((_, _, label)) = self.steady_versions.iter().find(|s| (s.0, s.1) == (n, id)) {
            return *label;
        }
        let label = self.asm.label();
        self.steady_versions.push((n, id, label));
        self.cold.push(Cold::InLoop { label, n, id });
        label
    }

    /// Writes the way to the code of loop `n`, from a place where all that is known is where it belongs.
    pub(crate) fn write_way_to_loop(&mut self, label: Label, n: usize) {
        const PRODUCT: Reg = 0;
        const SINGLE: Reg = 1;
        self.asm.bind(label);
        self.wide.start_block();
        let l = self.loops[n].clone();
        let ordinary = self.labels[l.header.0 as usize];
        if self.has_floats_in(&l) {
            self.asm.i(LWU, SCRATCH, STATE, FLOAT_IS_ODD);
            self.asm.branch(Branch::Ne, SCRATCH, ZERO, ordinary);
        }
        let mut seen = Vec::new();
        for (_, _, at) in &l.aligned {
            if seen.contains(at) {
                continue;
            }
            seen.push(*at);
            let mut from = ZERO;
            if let Some(index) = at.index {
                self.asm.i(SLLI, SCRATCH, home(index), at.scale.into());
                from = SCRATCH;
            }
            if let Some(base) = at.base {
                self.asm.r(ADD, SCRATCH, from, home(base));
                from = SCRATCH;
            }
            self.asm.i(ADDI, SCRATCH, from, at.disp as i32);
            self.asm.i(ANDI, SCRATCH, SCRATCH, 15);
            self.asm.branch(Branch::Ne, SCRATCH, ZERO, ordinary);
        }
        self.load_lanes(&l);
        if !l.sound.is_empty() || !l.lanes.is_empty() {
            self.read_exceptions(RA);
            if l.sound.iter().any(|s| s.1 == Sew::E32) || l.lanes.iter().any(|lane| lane.2) {
                self.single_factor(SINGLE);
            }
            for (n, sew) in &l.sound {
                self.set_sew(*sew);
                self.vx(VFMUL, 1, HOME_VECTOR + n, if *sew == Sew::E32 { SINGLE } else { SCALE });
            }
            for (_, f, is_single) in &l.lanes {
                let factor = if *is_single { SINGLE } else { SCALE };
                self.asm.word(fp(8, !is_single, DYNAMIC, PRODUCT, *f, factor.into()));
            }
            self.read_exceptions(SCRATCH);
            self.put_exceptions_back(RA);
            self.all_but_inexact(SCRATCH);
            self.asm.branch(Branch::Ne, SCRATCH, ZERO, ordinary);
        }
        let steady = self.steady(n, l.header);
        self.asm.jump(ZERO, steady);
    }

    fn has_floats_in(&self, l: &Loop) -> bool {
        l.blocks.iter().any(|id| self.has_floats(*id))
    }

    /// Brings the lanes that loop `l` keeps in registers there, where they are not.
    fn load_lanes(&mut self, l: &Loop) {
        for (n, f, is_single) in &l.lanes {
            let is_there = |c: crate::places::Cached| c.is(*f, *is_single);
            if self.wide.cached[usize::from(*n)].is_some_and(is_there) {
                continue;
            }
            if self.has_vectors() {
                self.set_sew(crate::places::element(*is_single));
                self.asm.word(vfmv_f_s(*f, HOME_VECTOR + n));
            } else {
                self.asm.i(if *is_single { FLW } else { FLD }, *f, STATE, lane_offset(*n));
            }
        }
    }

    /// Behind a block's ops: what the code of the loop that it is in, if it is in one, relies on is in its place.
    pub(crate) fn end_in_loop(&mut self) {
        if let Some(n) = self.in_loop {
            let l = self.loops[n].clone();
            self.load_lanes(&l);
        }
    }

    /// Writes block `id` in the code of loop `n`.
    pub(crate) fn lower_in_loop(&mut self, label: Label, n: usize, id: BlockId) {
        self.values = hokku_ir::lowering::Values::new(HOMES, temporaries(self.mode), self.region.value_count);
        self.start_block(id, false);
        self.asm.bind(label);
        let l = self.loops[n].clone();
        if id == l.header && !self.is_copy(id) {
            // Here threads can be called out.
            self.may_fault(LazyState { narrow: self.narrow, ..LazyState::default() });
        }
        self.in_loop = Some(n);
        self.has_looked_at_mxcsr = self.has_floats_in(&l);
        self.wide.aligned = l.aligned.iter().filter(|a| a.0 == id).map(|a| a.1).collect();
        for (n, f, is_single) in &l.lanes {
            self.wide.keep_lane(*n, *f, *is_single);
        }
        for (n, sew) in &l.sound {
            self.wide.sound.push((crate::float_looks::VECTOR | (HOME_VECTOR + n), *sew == Sew::E64));
        }
        self.lower_ops(None);
        self.in_loop = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hokku_ir::text::parse;

    fn found(step: i64, has_vectors: bool) -> Vec<Loop> {
        let text = format!(
            "region 0x1000 long64
range 0x1000 32
block b0 0x1000
  insn 0x1000, #5
  %1 = get_gpr rcx, w64
  %2 = get_gpr rax, w64
  %3 = load v128, aligned, [w64 + %1 + %2 * 8 + 0x10]
  %4 = get_vec #1, v128
  %5 = vec_binary mulpd, v128, %3, %4
  set_vec #0, v128, keep, %5
  insn 0x1005, #4
  %6 = get_vec #2, f64
  %7 = get_vec #3, f64
  %8 = fp_arith add, f64, %7, %6
  set_vec #3, f64, keep, %8
  insn 0x1009, #4
  %9 = iconst w64, {step:#x}
  %10 = add w64, %2, %9
  set_gpr rax, w64, %10
  %11 = compare ult, w64, %10, %1
  branch %11, b0, b1
block b1 0x100d
  insn 0x100d, #0
  jump 0x100d
"
        );
        let region = parse::region(&text).expect("the region can be read");
        loops(&region, Tier::Second, has_vectors)
    }

    #[test]
    fn what_a_loop_leaves_alone_is_found() {
        let all = found(2, true);
        assert_eq!(all.len(), 1);
        let at = HomeAddr { base: Some(Gpr::Rcx), index: Some(Gpr::Rax), scale: 3, disp: 0 };
        assert_eq!(all[0].aligned.iter().map(|a| a.2).collect::<Vec<_>>(), [at]);
        assert_eq!(all[0].sound, [(1, Sew::E64)]);
        assert_eq!(all[0].lanes, [(2, 26, false)]);
    }

    #[test]
    fn addresses_that_lose_their_alignment_are_looked_at_each_time() {
        assert!(found(1, true)[0].aligned.is_empty());
    }

    #[test]
    fn both_doubles_of_vectors_are_kept_where_there_are_no_vector_registers() {
        let all = found(2, false);
        assert!(all[0].sound.is_empty());
        assert_eq!(all[0].lanes, [(1, 26, false), (high(1), 25, false), (2, 24, false)]);
    }
}
