//! Ops that one host instruction can do together: an operation and its flags; a load, an operation and a store.

use hokku_ir::{Inst, Op, Value, Width};

/// Whether the host instruction for `op` may leave flags that are a flags op's.
pub(crate) fn may_give_flags(op: &Op) -> bool {
    matches!(
        op,
        Op::Add { .. }
            | Op::Sub { .. }
            | Op::Adc { .. }
            | Op::Sbb { .. }
            | Op::And { .. }
            | Op::Or { .. }
            | Op::Xor { .. }
            | Op::Shl { .. }
            | Op::Shr { .. }
            | Op::Sar { .. }
            | Op::Rotl { .. }
            | Op::Rotr { .. }
            | Op::RotlCarry { .. }
            | Op::RotrCarry { .. }
            | Op::Shld { .. }
            | Op::Shrd { .. }
            | Op::Mul { .. }
            | Op::MulHighU { .. }
            | Op::MulHighS { .. }
            | Op::BitScanForward { .. }
            | Op::BitScanReverse { .. }
            | Op::CountOnes { .. }
            | Op::CountLeadingZeros { .. }
            | Op::CountTrailingZeros { .. }
            | Op::VecStringIndex { .. }
    )
}

/// Whether `flags` are those that the host instruction for `inst` leaves.
pub(crate) fn computes_flags_of(inst: &Inst, flags: &Op) -> bool {
    match (inst.op, *flags) {
        (Op::Add { w, a, b }, Op::AddFlags { w: w2, a: a2, b: b2 })
        | (Op::Sub { w, a, b }, Op::SubFlags { w: w2, a: a2, b: b2 }) => (w, a, b) == (w2, a2, b2),
        (Op::Adc { w, a, b, f }, Op::AdcFlags { w: w2, a: a2, b: b2, f: f2 })
        | (Op::Sbb { w, a, b, f }, Op::SbbFlags { w: w2, a: a2, b: b2, f: f2 }) => (w, a, b, f) == (w2, a2, b2, f2),
        (Op::Add { w, a, .. }, Op::IncFlags { w: w2, a: a2 })
        | (Op::Sub { w, a, .. }, Op::DecFlags { w: w2, a: a2 }) => (w, a) == (w2, a2),
        (Op::And { w, .. } | Op::Or { w, .. } | Op::Xor { w, .. }, Op::LogicFlags { w: w2, v }) => {
            w == w2 && v == inst.value
        }
        (Op::Shl { w, a, n }, Op::ShlFlags { w: w2, a: a2, n: n2, .. })
        | (Op::Shr { w, a, n }, Op::ShrFlags { w: w2, a: a2, n: n2, .. })
        | (Op::Sar { w, a, n }, Op::SarFlags { w: w2, a: a2, n: n2, .. })
        | (Op::Rotl { w, a, n }, Op::RotlFlags { w: w2, a: a2, n: n2, .. })
        | (Op::Rotr { w, a, n }, Op::RotrFlags { w: w2, a: a2, n: n2, .. }) => (w, a, n) == (w2, a2, n2),
        (Op::RotlCarry { w, a, n, f }, Op::RotlCarryFlags { w: w2, a: a2, n: n2, f: f2 })
        | (Op::RotrCarry { w, a, n, f }, Op::RotrCarryFlags { w: w2, a: a2, n: n2, f: f2 }) => {
            (w, a, n, f) == (w2, a2, n2, f2)
        }
        (Op::Shld { w, a, b, n }, Op::ShldFlags { w: w2, a: a2, b: b2, n: n2, .. })
        | (Op::Shrd { w, a, b, n }, Op::ShrdFlags { w: w2, a: a2, b: b2, n: n2, .. }) => {
            (w, a, b, n) == (w2, a2, b2, n2)
        }
        (Op::Mul { w, a, b }, Op::MulFlagsS { w: w2, a: a2, b: b2 }) if w != Width::W8 => (w, a, b) == (w2, a2, b2),
        (Op::MulHighU { w, a, b }, Op::MulFlagsU { w: w2, a: a2, b: b2 })
        | (Op::MulHighS { w, a, b }, Op::MulFlagsS { w: w2, a: a2, b: b2 }) => (w, a, b) == (w2, a2, b2),
        (Op::BitScanForward { w, a, .. } | Op::BitScanReverse { w, a, .. }, Op::BitScanFlags { w: w2, a: a2 })
        | (Op::CountOnes { w, a }, Op::CountOnesFlags { w: w2, a: a2 }) => (w, a) == (w2, a2),
        (Op::CountLeadingZeros { w, a } | Op::CountTrailingZeros { w, a }, Op::CountZerosFlags { w: w2, a: a2, v }) => {
            (w, a, inst.value) == (w2, a2, v)
        }
        (
            Op::VecStringIndex { control, explicit, a, a_len, b, b_len },
            Op::VecStringFlags { control: c2, explicit: e2, a: a2, a_len: al2, b: b2, b_len: bl2 },
        ) => (control, explicit, a, a_len, b, b_len) == (c2, e2, a2, al2, b2, bl2),
        _ => false,
    }
}

/// For an op that x86 has with a memory destination: width, the operand that is replaced, the other one.
pub(crate) fn modify_operands(
    op: &Op,
    constant: impl Fn(Value) -> Option<u64>,
) -> Option<(Width, Value, Option<Value>)> {
    Some(match *op {
        Op::Sub { w, a, b } if constant(a) == Some(0) => (w, b, None),
        Op::Add { w, a, b } | Op::And { w, a, b } | Op::Or { w, a, b } | Op::Xor { w, a, b } | Op::Sub { w, a, b } => {
            (w, a, Some(b))
        }
        Op::Adc { w, a, b, .. } | Op::Sbb { w, a, b, .. } => (w, a, Some(b)),
        Op::Not { w, a } => (w, a, None),
        Op::Shl { w, a, n } | Op::Shr { w, a, n } | Op::Sar { w, a, n } => (w, a, Some(n)),
        Op::Rotl { w, a, n } | Op::Rotr { w, a, n } => (w, a, Some(n)),
        _ => return None,
    })
}
