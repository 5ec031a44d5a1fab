//! Conditions on zero, sign and parity of a shifted value look at that, where the block has it, and need not what was shifted.

use hokku_ir::lowering::count_is_known;
use hokku_ir::{Block, FlagSet, Inst, Op, Region, Value, Width};

/// Lets those conditions of `region` read flags of the results.
pub(crate) fn test_results(region: &mut Region) {
    let mut next = region.value_count;
    for block in &mut region.blocks {
        test_in(block, &mut next);
    }
    region.value_count = next;
}

fn test_in(block: &mut Block, next: &mut u32) {
    let flags = FlagSet::ZF | FlagSet::SF | FlagSet::PF;
    let mut n = 0;
    while n < block.insts.len() {
        if let Op::Condition { cc, f } = block.insts[n].op
            && flags.contains(cc.reads())
            && let Some((w, v)) = result_of(&block.insts[..n], f)
        {
            let value = Value(*next);
            *next += 1;
            block.insts[n].op = Op::Condition { cc, f: value };
            block.insts.insert(n, Inst { value, op: Op::LogicFlags { w, v } });
            n += 1;
        }
        n += 1;
    }
}

/// The shifted value that flags `f` are of, and its width: flags of a shift by a constant that is not zero.
fn result_of(before: &[Inst], f: Value) -> Option<(Width, Value)> {
    let op = before.iter().rev().find(|i| i.value == f)?.op;
    let constant = |v: Value| match before.iter().find(|i| i.value == v)?.op {
        Op::Iconst { w, value } => Some(value.0 & w.mask()),
        _ => None,
    };
    let (w, wanted) = match op {
        Op::ShlFlags { w, a, n, .. } => (w, Op::Shl { w, a, n }),
        Op::ShrFlags { w, a, n, .. } => (w, Op::Shr { w, a, n }),
        Op::SarFlags { w, a, n, .. } => (w, Op::Sar { w, a, n }),
        _ => return None,
    };
    if !count_is_known(&op, constant) {
        return None;
    }
    before.iter().find(|i| i.op == wanted).map(|i| (w, i.value))
}

#[cfg(test)]
mod tests {
    use hokku_ir::text::parse;

    use super::*;

    /// Whether condition `cc` of flags `f`, behind `%4`, which is rax shifted right by three, looks at that.
    fn looks_at_result(cc: &str, f: &str) -> bool {
        let text = format!(
            "\
region 0x1000 long64 step top=3
range 0x1000 16
block b0 0x1000
  insn 0x1000, #4
  %1 = get_gpr rax, w64
  %2 = get_gpr rcx, w8
  %3 = iconst w8, 0x3
  %4 = shr w64, %1, %3
  %5 = get_flags
  %6 = {f}
  %7 = condition {cc}, %6
  branch %7, b0, 0x1010
"
        );
        let mut region = parse::region(&text).expect("the text is a region");
        test_results(&mut region);
        let is_told = |i: &Inst| i.op == Op::LogicFlags { w: Width::W64, v: Value(4) };
        region.blocks[0].insts.iter().any(is_told)
    }

    #[test]
    fn zero_sign_and_parity_are_those_of_the_result() {
        for cc in ["e", "ne", "s", "ns", "p", "np"] {
            assert!(looks_at_result(cc, "shr_flags w64, %1, %3, %5"), "{cc}");
        }
    }

    #[test]
    fn carries_and_other_results_are_not() {
        assert!(!looks_at_result("b", "shr_flags w64, %1, %3, %5"));
        assert!(!looks_at_result("be", "shr_flags w64, %1, %3, %5"));
        assert!(!looks_at_result("e", "shl_flags w64, %1, %3, %5"));
        assert!(!looks_at_result("e", "shr_flags w64, %1, %2, %5"));
    }
}
