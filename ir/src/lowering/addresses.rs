//! Addresses that several accesses of a block use: they are computed once.

use crate::CpuMode;
use crate::key::X87Arithmetic;
use crate::operand::{Addr, Type, Width, X87Format};
use crate::ops::Op;
use crate::region::{Block, Inst, Region, Value};

/// How many ops there may be between two accesses: a sum that is kept longer costs a register more than it saves.
const REACH: usize = 32;

/// The address of `op` and what is there, if it is a load or store; of x87 ops only those in doubles, which are loads and stores to hosts too.
fn address(op: &mut Op, x87: X87Arithmetic) -> Option<(&mut Addr, Type)> {
    match op {
        Op::Load { at, ty, .. } | Op::Store { at, ty, .. } => Some((at, *ty)),
        Op::X87Load { format, at }
        | Op::X87Store { format, at, .. }
        | Op::X87ArithMem { format, at, .. }
        | Op::X87CompareMem { format, at, .. }
            if x87 == X87Arithmetic::Double =>
        {
            Some((at, type_of(*format)?))
        }
        _ => None,
    }
}

fn type_of(format: X87Format) -> Option<Type> {
    match format {
        X87Format::F64 => Some(Type::F64),
        X87Format::F32 => Some(Type::F32),
        X87Format::I16 => Some(Type::I16),
        X87Format::I32 => Some(Type::I32),
        X87Format::I64 => Some(Type::I64),
        X87Format::F80 | X87Format::Bcd => None,
    }
}

/// What of `at` is computed by instructions of its own, whatever is added to it; `None` if there is nothing.
fn sum_of(at: &Addr, word: Width) -> Option<Addr> {
    let is_sum = at.base.is_some() && at.index.is_some() && at.seg.is_none() && at.width == word;
    is_sum.then_some(Addr { disp: 0, ..*at })
}

/// Sums that accesses which come close to one another have in common become values, if accesses of that type to such an address compute them.
pub fn share_addresses(region: &mut Region, computes: &dyn Fn(&Addr, Type) -> bool) {
    let word = if region.key.mode == CpuMode::Long64 { Width::W64 } else { Width::W32 };
    let mut next = region.value_count;
    let x87 = region.key.x87;
    for block in &mut region.blocks {
        share_in(block, (word, x87), &mut next, computes);
    }
    region.value_count = next;
}

fn share_in(
    block: &mut Block,
    (word, x87): (Width, X87Arithmetic),
    next: &mut u32,
    computes: &dyn Fn(&Addr, Type) -> bool,
) {
    let sum = |inst: &Inst| {
        let mut op = inst.op;
        let (at, ty) = address(&mut op, x87)?;
        sum_of(at, word).filter(|_| computes(at, ty))
    };
    let sums: Vec<Option<Addr>> = block.insts.iter().map(sum).collect();
    let again = |sum: &Addr, n: usize| sums[n + 1..].iter().take(REACH).any(|s| s.as_ref() == Some(sum));
    let mut kept: Vec<(Addr, Value, usize)> = Vec::new();
    let mut out = Vec::with_capacity(block.insts.len());
    for (n, mut inst) in std::mem::take(&mut block.insts).into_iter().enumerate() {
        if let (Some(sum), Some((at, _))) = (sums[n], address(&mut inst.op, x87)) {
            kept.retain(|k| n - k.2 <= REACH);
            let found = kept.iter_mut().find(|k| k.0 == sum);
            let shared = match found {
                Some(k) => {
                    k.2 = n;
                    Some(k.1)
                }
                None if again(&sum, n) => {
                    let fresh = Value(*next);
                    *next += 1;
                    out.push(Inst { value: fresh, op: Op::Lea { w: word, at: sum } });
                    kept.push((sum, fresh, n));
                    Some(fresh)
                }
                None => None,
            };
            if let Some(v) = shared {
                *at = Addr { base: Some(v), index: None, scale: 0, ..*at };
            }
        }
        out.push(inst);
    }
    block.insts = out;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{parse, print};

    #[test]
    fn sums_are_shared_by_accesses_of_the_same_values_that_are_close() {
        let text = "region 0x1000 long64
range 0x1000 8
block b0 0x1000
  insn 0x1000, #4
  %1 = get_gpr rdx, w64
  %2 = get_gpr rax, w64
  %3 = load i64, unaligned, [w64 + %1 + %2 * 8]
  store i64, unaligned, [w64 + %1 + %2 * 8 + 0x10], %3
  store i64, unaligned, [w64 + %1 + %2 * 4], %3
  jump 0x1008
";
        let mut region = parse::region(text).expect("the region can be read");
        share_addresses(&mut region, &|at, _| at.scale == 2);
        assert_eq!(print::region(&region).matches("lea w64").count(), 0);
        share_addresses(&mut region, &|_, _| true);
        let after = print::region(&region);
        assert_eq!(after.matches("lea w64").count(), 1, "{after}");
        let double = text.replace("long64", "long64 x87=f64").replace("%3 = load i64, unaligned, ", "x87_load f64, ");
        let double = double.replace(
            "store i64, unaligned, [w64 + %1 + %2 * 8 + 0x10], %3",
            "x87_store f64, no, yes, [w64 + %1 + %2 * 8 + 0x10]",
        );
        let double = double.replace("  store i64, unaligned, [w64 + %1 + %2 * 4], %3\n", "");
        for (text, shared) in [(double.clone(), 1), (double.replace(" x87=f64", ""), 0)] {
            let mut region = parse::region(&text).expect("the region can be read");
            share_addresses(&mut region, &|_, _| true);
            assert_eq!(print::region(&region).matches("lea w64").count(), shared);
        }
        assert!(
            after.contains("* 4], %3") && after.contains("+ 0x10], %3") && after.matches("* 8").count() == 1,
            "{after}"
        );
    }
}
