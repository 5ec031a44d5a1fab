//! Guest vector registers that are known to have zeros above their lowest 64 bits, as those of programs that compute in scalars mostly do.

use hokku_ir::{Block, Effects, Inst, Op, Type, Upper, Value, VecBin};

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
