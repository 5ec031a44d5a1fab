use crate::operand::Fence;
use crate::ops::{Effects, Op};
use crate::region::{Inst, Region, Value};

/// Makes the order that x86 keeps between memory accesses explicit, by `acquire` and `release` fences: for hosts with weaker order whose back end
/// has no loads and stores that keep it. Regions that are not `ordered` stay as they are.
///
/// x86 lets a load overtake an earlier store, and nothing else (Intel SDM vol. 3A, 9.2.2). So every access waits for the loads before it, and every
/// store for all accesses before it; a block leaves no load behind that others could overtake. One fence serves two accesses where it can.
pub fn memory_order(region: &mut Region) {
    if !region.key.ordered {
        return;
    }
    for block in &mut region.blocks {
        let mut out: Vec<Inst> = Vec::with_capacity(block.insts.len() * 2);
        // Whether a load stands before this place that later accesses may still overtake.
        let mut loaded = false;
        for inst in block.insts.drain(..) {
            let access = access(&inst.op);
            let kind = match access {
                Access::None => None,
                Access::Ordered => {
                    loaded = false;
                    None
                }
                Access::Load => loaded.then_some(Fence::Acquire),
                Access::Store | Access::Both => Some(if loaded { Fence::AcquireRelease } else { Fence::Release }),
            };
            if let Some(kind) = kind {
                out.push(fence(&mut region.value_count, kind));
                loaded = false;
            }
            loaded |= matches!(access, Access::Load | Access::Both);
            out.push(inst);
        }
        if loaded {
            out.push(fence(&mut region.value_count, Fence::Acquire));
        }
        block.insts = out;
    }
}

fn fence(next: &mut u32, kind: Fence) -> Inst {
    let value = Value(*next);
    *next += 1;
    Inst { value, op: Op::FenceOp { kind } }
}

/// What an op does to memory as far as order goes.
enum Access {
    None,
    Load,
    Store,
    Both,
    /// Orders all loads before it with what comes after it, by itself.
    Ordered,
}

fn access(op: &Op) -> Access {
    match op {
        Op::AtomicRmw { .. } | Op::AtomicCas { .. } => return Access::Ordered,
        Op::CompareExchangePair { locked, .. } if locked.0 => return Access::Ordered,
        Op::FenceOp { kind: Fence::Store | Fence::Release } => return Access::None,
        Op::FenceOp { .. } => return Access::Ordered,
        _ => {}
    }
    let fx = op.effects();
    match (fx.contains(Effects::reads_mem), fx.contains(Effects::writes_mem)) {
        (false, false) => Access::None,
        (true, false) => Access::Load,
        (false, true) => Access::Store,
        (true, true) => Access::Both,
    }
}

/// The accesses to memory of each block, in order, by op: what no pass may change in an ordered region.
pub(super) fn accesses(region: &Region) -> Vec<Vec<&'static str>> {
    let counts = |op: &Op| {
        let fx = op.effects();
        let added = matches!(op, Op::FenceOp { kind: Fence::Acquire | Fence::Release | Fence::AcquireRelease });
        !added && (fx.contains(Effects::reads_mem) || fx.contains(Effects::writes_mem))
    };
    let block = |b: &crate::region::Block| b.insts.iter().filter(|i| counts(&i.op)).map(|i| i.op.name()).collect();
    region.blocks.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    fn ordered(block: &str) -> Vec<String> {
        let pass = |region: &mut Region| {
            region.key.ordered = true;
            memory_order(region);
        };
        after(pass, block).into_iter().filter(|line| !line.contains("get_gpr") && line != "jump b0").collect()
    }

    #[test]
    fn loads_are_not_overtaken_and_stores_overtake_nothing() {
        let lines = ordered(
            "%1 = get_gpr rax, w64\n%2 = load i64, unaligned, [w64 + %1]\n%3 = load i8, unaligned, [w64 + %1 + 0x8]\n\
             store i64, unaligned, [w64 + %1], %2\nstore i8, unaligned, [w64 + %1], %3\n\
             %6 = load i8, unaligned, [w64 + %1]\njump b0",
        );
        assert_eq!(
            lines,
            [
                "%2 = load i64, unaligned, [w64 + %1]",
                "fence acquire",
                "%3 = load i8, unaligned, [w64 + %1 + 0x8]",
                "fence acquire_release",
                "store i64, unaligned, [w64 + %1], %2",
                "fence release",
                "store i8, unaligned, [w64 + %1], %3",
                "%6 = load i8, unaligned, [w64 + %1]",
                "fence acquire",
            ]
        );
    }

    #[test]
    fn locked_operations_and_full_fences_order_what_is_before_them() {
        let lines = ordered(
            "%1 = get_gpr rax, w64\n%2 = load i64, unaligned, [w64 + %1]\n%3 = atomic_rmw add, w64, [w64 + %1], %2\n\
             %4 = load i64, unaligned, [w64 + %1]\nfence mfence\nstring movs, w8, rep, w64, no, ds\njump b0",
        );
        assert_eq!(
            lines,
            [
                "%2 = load i64, unaligned, [w64 + %1]",
                "%3 = atomic_rmw add, w64, [w64 + %1], %2",
                "%4 = load i64, unaligned, [w64 + %1]",
                "fence mfence",
                "fence release",
                "string movs, w8, rep, w64, no, ds",
                "fence acquire",
            ]
        );
    }

    #[test]
    fn unordered_regions_stay_as_they_are() {
        let block = "%1 = get_gpr rax, w64\n%2 = load i64, unaligned, [w64 + %1]\njump b0";
        assert_eq!(after(memory_order, block), block.lines().collect::<Vec<_>>());
    }
}
