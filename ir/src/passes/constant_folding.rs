use crate::guest::FlagSet;
use crate::operand::{Addr, Imm, IntCmp, Width};
use crate::ops::Op;
use crate::region::{Inst, Region, Value};

/// Computes integer ops whose operands are constants, and draws constant parts of addresses into their displacement. Ops that read some flags
/// of a `merge_flags` take them from where they come.
pub fn constant_folding(region: &mut Region) {
    let mut constants: Vec<Option<u64>> = vec![None; region.value_count as usize];
    let mut merges: Vec<Option<Merge>> = vec![None; region.value_count as usize];
    for block in &mut region.blocks {
        for inst in &mut block.insts {
            fold(inst, &constants);
            if let Some((flags, reads)) = read_flags(&mut inst.op) {
                *flags = source(*flags, reads, &merges);
            }
            if let Op::MergeFlags { set, a, b } = inst.op {
                merges[inst.value.0 as usize] = Some((set, a, b));
            }
            if let Op::Iconst { w, value } = inst.op {
                constants[inst.value.0 as usize] = Some(value.0 & w.mask());
            }
        }
    }
}

/// Operands of a `merge_flags`.
type Merge = (FlagSet, Value, Value);

/// The flags operand of `op` and what it reads of them.
fn read_flags(op: &mut Op) -> Option<(&mut Value, FlagSet)> {
    match op {
        Op::Condition { cc, f } => Some((f, cc.reads())),
        Op::Adc { f, .. } | Op::AdcFlags { f, .. } | Op::Sbb { f, .. } | Op::SbbFlags { f, .. } => {
            Some((f, FlagSet::CF))
        }
        Op::RotlCarry { f, .. } | Op::RotrCarry { f, .. } => Some((f, FlagSet::CF)),
        _ => None,
    }
}

/// The value that the flags in `reads` of `flags` come from.
fn source(mut flags: Value, reads: FlagSet, merges: &[Option<Merge>]) -> Value {
    while let Some((set, a, b)) = merges[flags.0 as usize] {
        if set.contains(reads) {
            flags = a;
        } else if !set.intersects(reads) {
            flags = b;
        } else {
            break;
        }
    }
    flags
}

fn fold(inst: &mut Inst, constants: &[Option<u64>]) {
    let known = |v: Value| constants[v.0 as usize];
    if let Some(at) = address(&mut inst.op) {
        fold_address(at, &known);
    }
    if let Some((w, value)) = evaluate(&inst.op, &known) {
        inst.op = Op::Iconst { w, value: Imm(value & w.mask()) };
    }
}

fn evaluate(op: &Op, known: &dyn Fn(Value) -> Option<u64>) -> Option<(Width, u64)> {
    Some(match *op {
        Op::Add { w, a, b } => (w, known(a)?.wrapping_add(known(b)?)),
        Op::Sub { w, a, b } => (w, known(a)?.wrapping_sub(known(b)?)),
        Op::And { w, a, b } => (w, known(a)? & known(b)?),
        Op::Or { w, a, b } => (w, known(a)? | known(b)?),
        Op::Xor { w, a, b } => (w, known(a)? ^ known(b)?),
        Op::Not { w, a } => (w, !known(a)?),
        Op::Mul { w, a, b } => (w, known(a)?.wrapping_mul(known(b)?)),
        Op::Shl { w, a, n } => (w, known(a)? << (known(n)? & 63)),
        Op::Shr { w, a, n } => (w, known(a)? >> (known(n)? & 63)),
        Op::Sar { w, a, n } => (w, (sign_extend(known(a)?, w) >> (known(n)? & 63)) as u64),
        Op::ExtendZero { to, v, .. } => (to, known(v)?),
        Op::ExtendSign { from, to, v } => (to, sign_extend(known(v)?, from) as u64),
        Op::Truncate { to, v, .. } => (to, known(v)?),
        Op::Select { w, c, a, b } => (w, if known(c)? != 0 { known(a)? } else { known(b)? }),
        Op::Compare { op, w, a, b } => (Width::W8, u64::from(compare(op, w, known(a)?, known(b)?))),
        Op::Lea { w, at: Addr { base: None, index: None, disp, width, .. } } => (w, disp as u64 & width.mask()),
        _ => return None,
    })
}

fn compare(op: IntCmp, w: Width, a: u64, b: u64) -> bool {
    let (sa, sb) = (sign_extend(a, w), sign_extend(b, w));
    match op {
        IntCmp::Eq => a == b,
        IntCmp::Ne => a != b,
        IntCmp::Ult => a < b,
        IntCmp::Ule => a <= b,
        IntCmp::Slt => sa < sb,
        IntCmp::Sle => sa <= sb,
    }
}

fn sign_extend(value: u64, w: Width) -> i64 {
    let unused = 64 - w.bits();
    (value << unused) as i64 >> unused
}

fn fold_address(at: &mut Addr, known: &dyn Fn(Value) -> Option<u64>) {
    if let Some(base) = at.base.and_then(known) {
        at.disp = at.disp.wrapping_add(base as i64);
        at.base = None;
    }
    if let Some(index) = at.index.and_then(known) {
        at.disp = at.disp.wrapping_add((index << at.scale) as i64);
        at.index = None;
    }
    if at.base.is_none() && at.index.is_none() {
        at.disp = (at.disp as u64 & at.width.mask()) as i64;
    }
}

fn address(op: &mut Op) -> Option<&mut Addr> {
    match op {
        Op::Lea { at, .. }
        | Op::Load { at, .. }
        | Op::Store { at, .. }
        | Op::AtomicRmw { at, .. }
        | Op::AtomicCas { at, .. }
        | Op::CompareExchangePair { at, .. }
        | Op::StoreMasked { at, .. }
        | Op::LoadMasked { at, .. }
        | Op::Gather { at, .. }
        | Op::X87Load { at, .. }
        | Op::X87Store { at, .. }
        | Op::StoreMmx { at, .. }
        | Op::X87ArithMem { at, .. }
        | Op::X87CompareMem { at, .. }
        | Op::StateImageOp { at, .. } => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    #[test]
    fn folds_values_and_addresses() {
        let lines = after(
            constant_folding,
            "%1 = iconst w64, 0x10\n%2 = iconst w64, 0x20\n%3 = add w64, %1, %2\n%4 = extend_sign w64, w64, %3\n\
             %5 = load i8, unaligned, [w64 + %3 + %1 * 4 + 0x2]\n%6 = iconst w8, 0x80\n%7 = extend_sign w8, w32, %6\njump b0",
        );
        assert_eq!(lines[2], "%3 = iconst w64, 0x30");
        assert_eq!(lines[4], "%5 = load i8, unaligned, [w64 + 0x72]");
        assert_eq!(lines[6], "%7 = iconst w32, 0xffffff80");
    }

    #[test]
    fn takes_flags_from_where_they_come() {
        let lines = after(
            constant_folding,
            "%1 = iconst w32, 0x1\n%2 = get_gpr rcx, w32\n%3 = dec_flags w32, %2\n%4 = add_flags w32, %2, %1\n\
             %5 = merge_flags {pazso}, %3, %4\n%6 = condition ne, %5\n%7 = condition b, %5\n%8 = condition a, %5\n\
             %9 = adc w32, %2, %2, %5\njump b0",
        );
        assert_eq!(lines[5], "%6 = condition ne, %3");
        assert_eq!(lines[6], "%7 = condition b, %4");
        assert_eq!(lines[7], "%8 = condition a, %5");
        assert_eq!(lines[8], "%9 = adc w32, %2, %2, %4");
    }
}
