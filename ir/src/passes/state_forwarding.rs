use crate::guest::FlagSet;
use crate::operand::{Type, Width};
use crate::ops::{Effects, Op};
use crate::region::{Block, Inst, Region, Value};

/// Replaces reads of guest state by the value that the block wrote or read there before.
///
/// General registers, status flags and vector registers are tracked; a read of another width becomes a truncation or an extension.
pub fn state_forwarding(region: &mut Region) {
    let mut next = region.value_count;
    for block in &mut region.blocks {
        forward(block, &mut next);
    }
    region.value_count = next;
}

/// What a block knows of guest state at one point: for each register the value that its low bits hold.
#[derive(Default)]
struct Known {
    gpr: [Option<(Width, Value)>; 16],
    /// Whether the bits above the known W32 value are zero.
    zero_above: [bool; 16],
    flags: Option<Value>,
    vector: [Option<(Type, Value)>; 16],
}

fn forward(block: &mut Block, next: &mut u32) {
    let mut known = Known::default();
    let mut replaced: Vec<(Value, Value)> = Vec::new();
    let mut out = Vec::with_capacity(block.insts.len());
    for mut inst in block.insts.drain(..) {
        inst.op.map_values(&mut |v| resolve(&replaced, v));
        let value = inst.value;
        let mut keep = true;
        match inst.op {
            Op::GetGpr { reg, w } => match known.gpr[reg.index()] {
                Some((have, old)) if have == w => {
                    replaced.push((value, old));
                    keep = false;
                }
                Some((have, old)) if have > w => inst.op = Op::Truncate { from: have, to: w, v: old },
                Some((Width::W32, old)) if known.zero_above[reg.index()] => {
                    inst.op = Op::ExtendZero { from: Width::W32, to: w, v: old };
                    known.gpr[reg.index()] = Some((w, value));
                }
                _ => {
                    known.gpr[reg.index()] = Some((w, value));
                    known.zero_above[reg.index()] = false;
                }
            },
            Op::SetGpr { reg, w, v } => {
                known.gpr[reg.index()] = Some((w, v));
                known.zero_above[reg.index()] = w == Width::W32;
            }
            Op::SetGprHigh { reg, .. } => match known.gpr[reg.index()] {
                Some((Width::W8, _)) => {}
                _ => known.gpr[reg.index()] = None,
            },
            Op::GetFlags {} => match known.flags {
                Some(old) => {
                    replaced.push((value, old));
                    keep = false;
                }
                None => known.flags = Some(value),
            },
            Op::SetFlags { set, v } if set == FlagSet::STATUS => known.flags = Some(v),
            Op::SetFlags { set, v } => {
                // What a later read sees is a mixture; name it here, where both parts are at hand.
                if let Some(old) = known.flags {
                    let mixed = Value(*next);
                    *next += 1;
                    out.push(Inst { value: mixed, op: Op::MergeFlags { set, a: v, b: old } });
                    known.flags = Some(mixed);
                }
            }
            Op::GetVec { reg, ty } => match known.vector[reg.0 as usize] {
                Some((have, old)) if have == ty => {
                    replaced.push((value, old));
                    keep = false;
                }
                Some(_) => {}
                None => known.vector[reg.0 as usize] = Some((ty, value)),
            },
            Op::SetVec { reg, ty, v, .. } => known.vector[reg.0 as usize] = Some((ty, v)),
            op if op.effects().contains(Effects::writes_state) => forget(&mut known, &op),
            _ => {}
        }
        if keep {
            out.push(inst);
        }
    }
    block.exit.map_values(&mut |v| resolve(&replaced, v));
    block.insts = out;
}

fn resolve(replaced: &[(Value, Value)], v: Value) -> Value {
    replaced.iter().rev().find(|(from, _)| *from == v).map_or(v, |(_, to)| *to)
}

/// Forgets what `op`, which acts on guest state directly, may change.
fn forget(known: &mut Known, op: &Op) {
    match op {
        Op::SetSystemFlags { .. } | Op::SetSegmentBase { .. } | Op::SetSelector { .. } | Op::SetMxcsr { .. } => {}
        Op::String { .. } | Op::CompareExchangePair { .. } | Op::Cpuid {} => {
            known.gpr = Default::default();
            known.flags = None;
        }
        Op::ZeroVectors { .. } | Op::Gather { .. } => known.vector = Default::default(),
        _ => *known = Known::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    fn run(block: &str) -> Vec<String> {
        after(state_forwarding, block)
    }

    #[test]
    fn reads_become_what_was_written() {
        let lines = run("%1 = get_gpr rax, w64\nset_gpr rcx, w64, %1\n%3 = get_gpr rcx, w64\n%4 = get_gpr rcx, w8\n\
            set_gpr rdx, w64, %3\nset_gpr rbx, w8, %4\njump b0");
        assert_eq!(
            lines,
            [
                "%1 = get_gpr rax, w64",
                "set_gpr rcx, w64, %1",
                "%4 = truncate w64, w8, %1",
                "set_gpr rdx, w64, %1",
                "set_gpr rbx, w8, %4",
                "jump b0"
            ]
        );
    }

    #[test]
    fn a_w32_write_clears_the_upper_half_and_a_w8_write_hides_the_rest() {
        let lines =
            run("%1 = get_gpr rax, w32\nset_gpr rcx, w32, %1\n%3 = get_gpr rcx, w64\n%4 = truncate w64, w8, %3\n\
            set_gpr rcx, w8, %4\n%6 = get_gpr rcx, w64\nset_gpr rdx, w64, %6\njump b0");
        assert!(lines.contains(&"%3 = extend_zero w32, w64, %1".into()), "{lines:?}");
        assert!(lines.contains(&"%6 = get_gpr rcx, w64".into()), "{lines:?}");
    }

    #[test]
    fn flags_of_two_writers_are_merged() {
        let lines =
            run("%1 = get_gpr rax, w64\n%2 = add_flags w64, %1, %1\nset_flags {cpazso}, %2\n%4 = inc_flags w64, %1\n\
            set_flags {pazso}, %4\n%6 = get_flags \n%7 = adc w64, %1, %1, %6\nset_gpr rax, w64, %7\njump b0");
        assert!(lines.contains(&"%12 = merge_flags {pazso}, %4, %2".into()), "{lines:?}");
        assert!(lines.contains(&"%7 = adc w64, %1, %1, %12".into()), "{lines:?}");
    }

    #[test]
    fn ops_on_state_are_not_looked_through() {
        let lines = run(
            "%1 = get_gpr rcx, w64\nstring movs, w8, rep, w64, no, ds\n%3 = get_gpr rcx, w64\nset_gpr rax, w64, %3\njump b0",
        );
        assert!(lines.contains(&"%3 = get_gpr rcx, w64".into()), "{lines:?}");
        let lines = run(
            "%1 = get_gpr rcx, w64\n%2 = get_vec #1, v256\nzero_vectors no\n%4 = get_gpr rcx, w64\n%5 = get_vec #1, v256\n\
            set_gpr rax, w64, %4\nset_vec #2, v256, keep, %5\njump b0",
        );
        assert!(lines.contains(&"set_gpr rax, w64, %1".into()), "{lines:?}");
        assert!(lines.contains(&"%5 = get_vec #1, v256".into()), "{lines:?}");
    }
}
