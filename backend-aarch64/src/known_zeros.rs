//! Guest vector registers that are known to have zeros above their lowest 64 bits, as those of programs that compute in scalars mostly do.

use hokku_ir::{Block, BlockId, Effects, Inst, Op, Region, Type, Upper, Value, VecBin};

/// Which registers have zeros there behind `block`, if those of `before` have when it is entered: a bit for each by number.
pub(crate) fn zeros_behind(block: &Block, before: u16) -> u16 {
    let mut zeros = Zeros { registers: before, values: Vec::new() };
    block.insts.iter().for_each(|i| zeros.pass(i));
    zeros.registers
}

/// Has the scalars that `block` writes below known zeros write those zeros, too: so what was there before does not matter. Gives how many.
pub(crate) fn write_zeros(block: &mut Block, before: u16) -> usize {
    let mut zeros = Zeros { registers: before, values: Vec::new() };
    let mut count = 0;
    for inst in &mut block.insts {
        zeros.pass(inst);
        if let Op::SetVec { reg, ty: Type::F64, upper: upper @ Upper::Keep, .. } = &mut inst.op
            && zeros.registers & 1 << reg.0 != 0
        {
            *upper = Upper::Zero128;
            count += 1;
        }
    }
    count
}

/// Most registers that a region's entry looks at.
const MOST_AT_ENTRY: u32 = 4;

/// The registers that should be looked at when `region` is entered: where they have zeros, loops need not keep what else would be in registers
/// that are copied whole.
pub(crate) fn zeros_at_entry(region: &Region) -> Option<u16> {
    let looping: Vec<BlockId> = region.block_ids().filter(|id| is_in_loop(region, *id)).collect();
    let gain = |zeros: u16| {
        let before = zeros_before(region, zeros);
        let of = |id: &BlockId| zeros_over_copies(region.block(*id), before[id.0 as usize]);
        looping.iter().map(of).sum::<usize>()
    };
    let all = gain(u16::MAX);
    if all == gain(0) {
        return None;
    }
    let mut zeros = u16::MAX;
    for n in 0..16 {
        if gain(zeros & !(1 << n)) == all {
            zeros &= !(1 << n);
        }
    }
    (zeros.count_ones() <= MOST_AT_ENTRY).then_some(zeros)
}

/// Whether ways lead from block `id` back to it.
pub(crate) fn is_in_loop(region: &Region, id: BlockId) -> bool {
    let mut seen = vec![false; region.blocks.len()];
    let mut next = vec![id];
    while let Some(from) = next.pop() {
        region.block(from).exit.successors(&mut |to| {
            if !std::mem::replace(&mut seen[to.0 as usize], true) {
                next.push(to);
            }
        });
    }
    seen[id.0 as usize]
}

/// By block: which registers have zeros when it is entered, if those of `zeros` have where `region` is.
fn zeros_before(region: &Region, zeros: u16) -> Vec<u16> {
    let mut before = vec![u16::MAX; region.blocks.len()];
    before[0] = zeros;
    loop {
        let mut changed = false;
        for id in region.block_ids() {
            let block = region.block(id);
            let behind = zeros_behind(block, before[id.0 as usize]);
            block.exit.successors(&mut |to| {
                let there = &mut before[to.0 as usize];
                changed |= *there & !behind != 0;
                *there &= behind;
            });
        }
        if !changed {
            return before;
        }
    }
}

/// How many scalars `block` writes below known zeros to registers that it has written as a whole before.
fn zeros_over_copies(block: &Block, before: u16) -> usize {
    let mut zeros = Zeros { registers: before, values: Vec::new() };
    let (mut copied, mut count) = (0_u16, 0);
    for inst in &block.insts {
        zeros.pass(inst);
        match inst.op {
            Op::SetVec { reg, ty: Type::V128, .. } => copied |= 1 << reg.0,
            Op::SetVec { reg, ty: Type::F64, upper: Upper::Keep, .. } => {
                count += usize::from(zeros.registers & copied & 1 << reg.0 != 0);
                copied &= !(1 << reg.0);
            }
            _ => {}
        }
    }
    count
}

/// What is known at a place of a block.
struct Zeros {
    registers: u16,
    /// V128 with zeros there.
    values: Vec<Value>,
}

impl Zeros {
    /// Goes on behind `inst`.
    fn pass(&mut self, inst: &Inst) {
        match inst.op {
            Op::GetVec { reg, ty: Type::V128 } if self.registers & 1 << reg.0 != 0 => self.values.push(inst.value),
            Op::VecBinary { op: VecBin::Pxor, ty: Type::V128, a, b } if a == b => self.values.push(inst.value),
            Op::SetVec { reg, ty: Type::F32 | Type::F64, upper, .. } => {
                self.registers |= u16::from(upper != Upper::Keep) << reg.0;
            }
            Op::SetVec { reg, v, .. } => {
                self.registers &= !(1 << reg.0);
                self.registers |= u16::from(self.values.contains(&v)) << reg.0;
            }
            Op::SetGpr { .. } | Op::SetGprHigh { .. } | Op::SetFlags { .. } => {}
            op if op.effects().contains(Effects::writes_state) || op.effects().contains(Effects::x87) => {
                self.registers = 0;
            }
            _ => {}
        }
    }
}
