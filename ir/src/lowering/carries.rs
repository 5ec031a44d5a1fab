//! Carries of chains of additions and subtractions, each computed once.

use crate::operand::{Cond, Width};
use crate::ops::Op;
use crate::region::{Inst, Region, Value};

/// Gives names to the carries that additions and subtractions hand to each other, or take from the flags before their block: `condition b`, back as flags by `int_to_flags`. So what one sum's
/// flags are made of need not be kept for the next.
pub fn name_carries(region: &mut Region) {
    let mut next = region.value_count;
    for block in &mut region.blocks {
        let mut chained: Vec<(Value, Value)> = Vec::new();
        let mut wanted: Vec<Value> = Vec::new();
        for inst in &block.insts {
            if let Some(f) = carry_of(&inst.op) {
                wanted.push(f);
            }
        }
        if wanted.is_empty() {
            continue;
        }
        let mut out = Vec::with_capacity(block.insts.len() + 3 * wanted.len());
        for mut inst in block.insts.drain(..) {
            if let Some(f) = carry_of(&inst.op)
                && let Some((_, carry)) = chained.iter().find(|c| c.0 == f)
            {
                set_carry(&mut inst.op, *carry);
            }
            out.push(inst);
            let has_carry = matches!(
                inst.op,
                Op::GetFlags {} | Op::AddFlags { .. } | Op::SubFlags { .. } | Op::AdcFlags { .. } | Op::SbbFlags { .. }
            );
            if has_carry && wanted.contains(&inst.value) {
                let [bit, word, flags] = [Value(next), Value(next + 1), Value(next + 2)];
                next += 3;
                out.push(Inst { value: bit, op: Op::Condition { cc: Cond::B, f: inst.value } });
                out.push(Inst { value: word, op: Op::ExtendZero { from: Width::W8, to: Width::W32, v: bit } });
                out.push(Inst { value: flags, op: Op::IntToFlags { v: word } });
                chained.push((inst.value, flags));
            }
        }
        block.insts = out;
    }
    region.value_count = next;
}

/// The flags of which `op` reads CF alone.
fn carry_of(op: &Op) -> Option<Value> {
    match *op {
        Op::Adc { f, .. } | Op::AdcFlags { f, .. } | Op::Sbb { f, .. } | Op::SbbFlags { f, .. } => Some(f),
        _ => None,
    }
}

fn set_carry(op: &mut Op, carry: Value) {
    if let Op::Adc { f, .. } | Op::AdcFlags { f, .. } | Op::Sbb { f, .. } | Op::SbbFlags { f, .. } = op {
        *f = carry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    #[test]
    fn a_chain_reads_bits() {
        let lines = after(
            name_carries,
            "%1 = get_gpr rax, w64\n%2 = add_flags w64, %1, %1\n%3 = adc w64, %1, %1, %2\n%4 = adc_flags w64, %1, %1, %2\n\
             %5 = adc w64, %3, %1, %4\nset_gpr rax, w64, %5\njump b0",
        );
        assert!(lines.iter().any(|l| l.ends_with("= condition b, %2")), "{lines:?}");
        assert!(!lines.iter().any(|l| l.contains("adc") && l.ends_with(", %2")), "{lines:?}");
        assert_eq!(lines.iter().filter(|l| l.contains("int_to_flags")).count(), 2);
    }
}
