use super::flag_reads;
use crate::exit::{Exit, Target};
use crate::guest::FlagSet;
use crate::key::X87Arithmetic;
use crate::operand::StringOp;
use crate::ops::{Effects, Op};
use crate::region::{Block, Region, Value};

/// Which status flags a guest fault handler may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultsSee {
    /// All flags as the processor would have them: for hosts whose own instructions keep them anyway.
    ExactFlags,
    /// Flags may be missing that no instruction would have read.
    LiveFlags,
    /// The same, and ops that act on the flags in guest state find them by other means.
    ValuesAlone,
}

/// Narrows every `set_flags` to the flags that may still be read, and removes those that set none.
///
/// Exits that leave the region read all flags. Where `faults_see` asks for exact flags, so does every op that may fault.
pub fn flag_liveness(region: &mut Region, faults_see: FaultsSee) {
    let live_in = flags_live_in(region, faults_see, FlagSet::STATUS);
    let mut needed = vec![FlagSet::empty(); region.value_count as usize];
    for n in 0..region.blocks.len() {
        let out = live_out(&region.blocks[n], &live_in, FlagSet::STATUS);
        let mut narrowed = Vec::new();
        let (block, x87) = (&region.blocks[n], region.key.x87);
        block_live_in(block, out, (faults_see, x87), &mut needed, &mut |at, set| narrowed.push((at, set)));
        let block = &mut region.blocks[n];
        for (at, live) in narrowed {
            if let Op::SetFlags { set, .. } = &mut block.insts[at].op {
                *set = live;
            }
        }
        block.insts.retain(|i| !matches!(i.op, Op::SetFlags { set, .. } if set.is_empty()));
    }
}

/// The status flags that may still be read where each block starts, where `outside` are read after the region.
pub fn flags_live_in(region: &Region, faults_see: FaultsSee, outside: FlagSet) -> Vec<FlagSet> {
    let mut live_in = vec![FlagSet::empty(); region.blocks.len()];
    let mut needed = vec![FlagSet::empty(); region.value_count as usize];
    loop {
        let mut changed = false;
        for n in (0..region.blocks.len()).rev() {
            let block = &region.blocks[n];
            let out = live_out(block, &live_in, outside);
            let live = block_live_in(block, out, (faults_see, region.key.x87), &mut needed, &mut |_, _| {});
            changed |= live != live_in[n];
            live_in[n] = live;
        }
        if !changed {
            return live_in;
        }
    }
}

fn live_out(block: &Block, live_in: &[FlagSet], outside: FlagSet) -> FlagSet {
    let at = |to: &Target| match to {
        Target::Block(b) => live_in[b.0 as usize],
        Target::Guest(_) => outside,
    };
    match &block.exit {
        Exit::Jump { to } => at(to),
        Exit::Branch { taken, next, .. } => at(taken) | at(next),
        _ => outside,
    }
}

/// Walks `block` backwards from `live`; tells `narrow` which flags each `set_flags` must still set.
fn block_live_in(
    block: &Block,
    mut live: FlagSet,
    (faults_see, x87): (FaultsSee, X87Arithmetic),
    needed: &mut [FlagSet],
    narrow: &mut dyn FnMut(usize, FlagSet),
) -> FlagSet {
    for inst in &block.insts {
        needed[inst.value.0 as usize] = FlagSet::empty();
    }
    for (n, inst) in block.insts.iter().enumerate().rev() {
        let result = needed[inst.value.0 as usize];
        let mut need = |v: Value, set: FlagSet| needed[v.0 as usize] |= set;
        match inst.op {
            Op::SetFlags { set, v } => {
                narrow(n, set & live);
                need(v, set & live);
                live -= set;
            }
            Op::GetFlags {} => live |= result,
            _ => {
                flag_reads(&inst.op, result, result, &mut need);
                if faults_see == FaultsSee::ValuesAlone && gives_flags_itself(&inst.op) {
                    live = FlagSet::empty();
                }
                let fx = inst.op.effects();
                let reads = fx.contains(Effects::reads_state) && writes_or_reads_flags_itself(&inst.op);
                if (reads && faults_see != FaultsSee::ValuesAlone)
                    || (fx.contains(Effects::may_fault)
                        && faults_see == FaultsSee::ExactFlags
                        && !x87.never_faults(&inst.op))
                {
                    live = FlagSet::STATUS;
                }
            }
        }
    }
    live
}

/// Ops that act on the status flags in guest state without a flags value: they may leave them as they were.
fn writes_or_reads_flags_itself(op: &Op) -> bool {
    matches!(op, Op::String { .. } | Op::CompareExchangePair { .. })
}

/// Those of them behind which the flags are in guest state, new or old.
fn gives_flags_itself(op: &Op) -> bool {
    matches!(op, Op::String { op: StringOp::Cmps | StringOp::Scas, .. } | Op::CompareExchangePair { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    fn run(faults_see: FaultsSee, block: &str) -> Vec<String> {
        after(|r| flag_liveness(r, faults_see), block)
    }

    const TWO_ADDS: &str = "%1 = get_gpr rax, w64\n%2 = add_flags w64, %1, %1\nset_flags {cpazso}, %2\ninsn 0x1001, #1\n\
        %4 = load i8, unaligned, [w64 + %1]\n%5 = inc_flags w64, %1\nset_flags {pazso}, %5\njump 0x10";

    #[test]
    fn overwritten_flags_are_not_set() {
        let lines = run(FaultsSee::LiveFlags, TWO_ADDS);
        assert!(lines.contains(&"set_flags {c}, %2".to_string()), "{lines:?}");
        assert!(lines.contains(&"set_flags {pazso}, %5".to_string()), "{lines:?}");
    }

    #[test]
    fn ops_on_the_x87_stack_see_no_flags_in_doubles() {
        let live = |arithmetic: &str| {
            let text = format!(
                "region 0x1000 long64{arithmetic}\nrange 0x1000 5\nblock b0 0x1000\n  insn 0x1000, #2\n  x87_exchange #1\n  \
                 insn 0x1002, #3\n  %1 = get_gpr rax, w64\n  %2 = add_flags w64, %1, %1\n  set_flags {{cpazso}}, %2\n  jump 0x1005\n"
            );
            let region = crate::text::parse::region(&text).expect("the region can be read");
            flags_live_in(&region, FaultsSee::ExactFlags, FlagSet::STATUS)[0]
        };
        assert_eq!((live(""), live(" x87=f64")), (FlagSet::STATUS, FlagSet::empty()));
    }

    #[test]
    fn a_fault_sees_all_flags_where_they_must_be_exact() {
        let lines = run(FaultsSee::ExactFlags, TWO_ADDS);
        assert!(lines.contains(&"set_flags {cpazso}, %2".to_string()), "{lines:?}");
    }

    #[test]
    fn a_loop_keeps_what_its_next_round_reads() {
        let lines = run(
            FaultsSee::LiveFlags,
            "%1 = get_flags \n%2 = condition b, %1\n%3 = get_gpr rax, w64\n%4 = sub_flags w64, %3, %3\nset_flags {cpazso}, %4\nbranch %2, b0, b0",
        );
        assert!(lines.contains(&"set_flags {c}, %4".to_string()), "{lines:?}");
    }

    /// Every op that takes flags beside the result that gives them.
    #[test]
    fn additions_with_either_carry_keep_it() {
        for (op, kept) in [("adc", "{c}"), ("ado", "{o}"), ("sbb", "{c}")] {
            let block = format!(
                "%1 = get_gpr rax, w64\n%2 = add_flags w64, %1, %1\nset_flags {{cpazso}}, %2\ninsn 0x1001, #1\n\
                 %5 = get_flags \n%6 = {op} w64, %1, %1, %5\nset_gpr rax, w64, %6\ninsn 0x1002, #1\n\
                 %9 = sub_flags w64, %1, %1\nset_flags {{cpazso}}, %9\njump 0x10"
            );
            let lines = run(FaultsSee::LiveFlags, &block);
            assert!(lines.contains(&format!("set_flags {kept}, %2")), "{op}: {lines:?}");
        }
    }

    #[test]
    fn a_count_of_zero_keeps_older_flags() {
        let lines = run(
            FaultsSee::LiveFlags,
            "%1 = get_gpr rax, w64\n%2 = get_gpr rcx, w8\n%3 = add_flags w64, %1, %1\nset_flags {cpazso}, %3\n\
             %5 = get_flags \n%6 = shl_flags w64, %1, %2, %5\nset_flags {cpazso}, %6\njump 0x10",
        );
        assert!(lines.contains(&"set_flags {cpazso}, %3".to_string()), "{lines:?}");
    }
}
