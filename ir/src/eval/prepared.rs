//! Regions made ready to be evaluated.

use std::ops::Range;

use super::in_place::{Name, name_in_place};
use super::late::{Fate, Uses, fates};
use crate::exit::Exit;
use crate::guest::GuestAddr;
use crate::key::{CpuMode, X87Arithmetic};
use crate::ops::{Effects, Op};
use crate::region::{Block, BlockId, Inst, MAX_VALUES, Region, Value};

/// A region as the evaluator runs it: a table beside the ops tells which instruction each belongs to, small constants are values that are always
/// there, ops that only faults need stand apart, and operands and results name general registers in place.
#[derive(Debug)]
pub struct Prepared {
    pub(super) mode: CpuMode,
    pub(super) x87: X87Arithmetic,
    blocks: Vec<PreparedBlock>,
}

impl Prepared {
    /// `region`, ready.
    ///
    /// # Panics
    /// Where it has more than [`MAX_VALUES`] values.
    pub fn new(region: &Region) -> Prepared {
        assert!(region.value_count <= MAX_VALUES, "a region has at most {MAX_VALUES} values");
        let mut uses = vec![Uses::default(); region.value_count as usize];
        let mut names = vec![Name::default(); region.value_count as usize];
        let blocks = region.blocks.iter().map(|block| PreparedBlock::new(block, &mut uses, &mut names)).collect();
        Prepared { mode: region.key.mode, x87: region.key.x87, blocks }
    }

    /// The block that `id` names.
    pub(super) fn block(&self, id: BlockId) -> &PreparedBlock {
        &self.blocks[id.0 as usize]
    }
}

/// A block of a [`Prepared`] region.
#[derive(Debug)]
pub(super) struct PreparedBlock {
    /// Address of its first guest instruction.
    pub(super) pc: GuestAddr,
    /// Its ops; `insn` ops only where one behind them asks for the address: those of the x87 unit keep it.
    pub(super) insts: Vec<Inst>,
    /// How it ends.
    pub(super) exit: Exit,
    /// Where the ops of each instruction start among `insts`, in order.
    starts: Vec<(u32, GuestAddr)>,
    /// The ops that only faults need, in order, each with the places of the faults that need it.
    late: Vec<(Range<u32>, Inst)>,
}

impl PreparedBlock {
    fn new(block: &Block, uses: &mut [Uses], names: &mut [Name]) -> PreparedBlock {
        let mut insts: Vec<Inst> = Vec::with_capacity(block.insts.len());
        let mut starts = Vec::new();
        let mut late = Vec::new();
        let mut fates = fates(&block.insts, &block.exit, uses);
        name_in_place(&block.insts, &mut fates, uses, names);
        // Places of the block's ops among `insts`, or of what follows them.
        let mut places = Vec::with_capacity(block.insts.len());
        for (n, inst) in block.insts.iter().enumerate() {
            places.push(insts.len() as u32);
            if let Op::Insn { pc, .. } = inst.op {
                starts.push((insts.len() as u32, pc));
                let rest = block.insts[n + 1..].iter().take_while(|i| !i.op.effects().contains(Effects::boundary));
                if !rest.into_iter().any(|i| i.op.effects().contains(Effects::x87)) {
                    continue;
                }
            }
            match fates[n] {
                Fate::Runs => insts.push(*inst),
                Fate::Late { until } => late.push((n, until, *inst)),
                Fate::Goes => {}
            }
        }
        places.push(insts.len() as u32);
        let mut exit = block.exit;
        let slot = &mut |v: Value| names[v.0 as usize].slot.unwrap_or(v);
        for inst in &mut insts {
            inst.op.map_values(slot);
            inst.value = slot(inst.value);
        }
        exit.map_values(slot);
        let mut at_places = |(n, until, mut inst): (usize, usize, Inst)| {
            inst.op.map_values(slot);
            (places[n]..places[until], inst)
        };
        let late = late.into_iter().map(&mut at_places).collect();
        PreparedBlock { pc: block.pc, insts, exit, starts, late }
    }

    /// The ops that a fault of the one at `place` needs, in order.
    pub(super) fn late_at(&self, place: usize) -> impl Iterator<Item = &Inst> {
        self.late.iter().filter(move |(places, _)| places.contains(&(place as u32))).map(|(_, inst)| inst)
    }

    /// The instruction that the op at `place` belongs to; behind the last op the block's last one.
    #[cold]
    pub(super) fn instruction_at(&self, place: usize) -> GuestAddr {
        let up_to = self.starts.partition_point(|(start, _)| *start as usize <= place);
        up_to.checked_sub(1).map_or(self.pc, |last| self.starts[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::values;
    use super::*;
    use crate::operand::Width;
    use crate::text::parse;

    #[test]
    fn each_op_has_its_instruction_and_small_constants_are_there() {
        let region = parse::region(
            "region 0x1000 long64\nblock b0 0x1000\ninsn 0x1000, #1\n%1 = get_gpr rax, w64\ninsn 0x1001, #1\ninsn 0x1002, #1\nset_gpr rcx, w64, %1\n\
            insn 0x1003, #1\n%6 = x87_get_status \nset_gpr rax, w16, %6\ninsn 0x1004, #1\n%9 = iconst w8, 0x1ff\n%10 = iconst w64, 0x100\n%11 = add w64, %9, %10\nindirect %11\n",
        )
        .unwrap();
        let prepared = Prepared::new(&region);
        let block = prepared.block(BlockId(0));
        let ops: Vec<&str> = block.insts.iter().map(|i| i.op.name()).collect();
        assert_eq!(ops, ["set_gpr", "insn", "x87_get_status", "set_gpr", "iconst", "add"]);
        assert_eq!(block.insts[5].op, Op::Add { w: Width::W64, a: values::constant(0xff).unwrap(), b: Value(10) });
        assert_eq!((values::constant(0x100), values::constant(u64::MAX)), (None, None));
        let at = |place| block.instruction_at(place).0;
        assert_eq!([0, 1, 2, 3, 4, 6].map(at), [0x1002, 0x1003, 0x1003, 0x1003, 0x1004, 0x1004]);
    }
}
