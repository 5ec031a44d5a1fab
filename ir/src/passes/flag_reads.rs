//! Which status flags an op reads of the flags values that it is given.

use crate::guest::FlagSet;
use crate::ops::Op;
use crate::region::Value;

/// Tells `need` which flags `op` reads of each operand where `result` are read of its own value. `kept` are those of `result` that a shift or
/// rotation may hand on from its older flags: all of them where the count is not known. `set_flags` reads what is live of its set: that is for the
/// caller, who knows it.
pub fn flag_reads(op: &Op, result: FlagSet, kept: FlagSet, need: &mut dyn FnMut(Value, FlagSet)) {
    match *op {
        // Most ops that there are in code are of these kinds, which have no flags among their operands.
        Op::Insn { .. }
        | Op::GetGpr { .. }
        | Op::SetGpr { .. }
        | Op::Iconst { .. }
        | Op::Load { .. }
        | Op::Store { .. }
        | Op::Lea { .. }
        | Op::Add { .. }
        | Op::AddFlags { .. }
        | Op::Sub { .. }
        | Op::SubFlags { .. }
        | Op::And { .. }
        | Op::Or { .. }
        | Op::Xor { .. }
        | Op::LogicFlags { .. } => {}
        Op::Condition { cc, f } => need(f, cc.reads()),
        Op::Adc { f, .. }
        | Op::AdcFlags { f, .. }
        | Op::Sbb { f, .. }
        | Op::SbbFlags { f, .. }
        | Op::RotlCarry { f, .. }
        | Op::RotrCarry { f, .. } => need(f, FlagSet::CF),
        Op::Ado { f, .. } | Op::AdoFlags { f, .. } => need(f, FlagSet::OF),
        Op::RotlCarryFlags { f, .. } | Op::RotrCarryFlags { f, .. } => need(f, result | FlagSet::CF),
        Op::ShlFlags { f, .. }
        | Op::ShrFlags { f, .. }
        | Op::SarFlags { f, .. }
        | Op::ShldFlags { f, .. }
        | Op::ShrdFlags { f, .. }
        | Op::RotlFlags { f, .. }
        | Op::RotrFlags { f, .. } => need(f, kept),
        Op::BitTestFlags { f, .. } => need(f, result - FlagSet::CF),
        Op::MergeFlags { set, a, b } => {
            need(a, result & set);
            need(b, result - set);
        }
        // An op that is not named above may read all of the flags that it is given.
        _ => op.values(&mut |v| need(v, FlagSet::STATUS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operand::{BcdOp, Width};

    fn reads(op: Op) -> FlagSet {
        let mut read = FlagSet::empty();
        flag_reads(&op, FlagSet::ZF | FlagSet::CF, FlagSet::ZF, &mut |v, set| {
            if v == Value(9) {
                read |= set;
            }
        });
        read
    }

    #[test]
    fn each_op_reads_what_its_meaning_says() {
        let (w, a, n, f) = (Width::W32, Value(1), Value(2), Value(9));
        assert_eq!(reads(Op::AdcFlags { w, a, b: a, f }), FlagSet::CF);
        assert_eq!(reads(Op::AdoFlags { w, a, b: a, f }), FlagSet::OF);
        assert_eq!(reads(Op::ShlFlags { w, a, n, f }), FlagSet::ZF);
        assert_eq!(reads(Op::BitTestFlags { w, a, n, f }), FlagSet::ZF);
        assert_eq!(reads(Op::MergeFlags { set: FlagSet::CF, a: f, b: a }), FlagSet::CF);
    }

    #[test]
    fn an_op_without_a_rule_of_its_own_reads_all() {
        let f = Value(9);
        assert_eq!(reads(Op::BcdAdjust { op: BcdOp::Daa, a: Value(1), f }), FlagSet::STATUS);
        assert_eq!(reads(Op::FlagsToInt { f }), FlagSet::STATUS);
    }
}
