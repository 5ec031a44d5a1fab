//! Vectors of 256 bits, of which a back end may have room for few beside the guest's registers.

use crate::operand::{Num, Type};
use crate::ops::{Effects, Op};
use crate::region::{Inst, Region, Value};

/// Has each guest instruction read vectors of 256 bits from the guest registers that hold them, rather than take them from instructions before.
pub fn reread_wide(region: &mut Region) {
    let mut next = region.value_count;
    for block in &mut region.blocks {
        // What each guest register holds, if that was told before this guest instruction.
        let mut held: [Option<Value>; 16] = [None; 16];
        let mut told: Vec<(u8, Value)> = Vec::new();
        let mut out = Vec::with_capacity(block.insts.len());
        for mut inst in std::mem::take(&mut block.insts) {
            if let Op::Insn { .. } = inst.op {
                for (n, v) in told.drain(..) {
                    held[usize::from(n)] = Some(v);
                }
            }
            inst.op.map_values(&mut |v| {
                let Some(n) = held.iter().position(|h| *h == Some(v)) else { return v };
                let fresh = Value(next);
                next += 1;
                out.push(Inst { value: fresh, op: Op::GetVec { reg: Num(n as u8), ty: Type::V256 } });
                fresh
            });
            match inst.op {
                Op::GetVec { reg: Num(n), ty: Type::V256 } => told.push((n, inst.value)),
                Op::SetVec { reg: Num(n), ty, v, .. } => {
                    held[usize::from(n)] = None;
                    told.retain(|t| t.0 != n);
                    if ty == Type::V256 {
                        told.push((n, v));
                    }
                }
                Op::SetGpr { .. } | Op::SetGprHigh { .. } | Op::SetFlags { .. } => {}
                op if op.effects().contains(Effects::writes_state) => {
                    held = [None; 16];
                    told.clear();
                }
                _ => {}
            }
            out.push(inst);
        }
        block.insts = out;
    }
    region.value_count = next;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    #[test]
    fn a_later_instruction_reads_the_register() {
        let lines = after(
            reread_wide,
            "%1 = get_vec #3, v256\nset_vec #5, v256, zero256, %1\ninsn 0x12, #2\nset_vec #6, v256, zero256, %1\njump 0x10",
        );
        assert_eq!(lines.iter().filter(|l| l.contains("get_vec")).count(), 2, "{lines:?}");
    }

    #[test]
    fn a_register_that_was_written_is_not_read() {
        let lines = after(
            reread_wide,
            "%1 = get_vec #3, v256\n%2 = get_vec #4, v256\nset_vec #3, v256, zero256, %2\ninsn 0x12, #2\nset_vec #6, v256, zero256, %1\njump 0x10",
        );
        assert_eq!(lines.iter().filter(|l| l.contains("get_vec")).count(), 2, "{lines:?}");
    }
}
