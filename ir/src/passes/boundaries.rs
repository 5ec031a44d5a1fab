use crate::exit::Exit;
use crate::key::CpuMode;
use crate::ops::{Effects, Op};
use crate::region::Region;

/// Removes the boundaries, but for each block's first, of instructions in which nothing can happen that tells its address: for evaluation alone. Guest state is as exact at
/// every fault as before, but what counts instructions must have done so.
pub fn unneeded_boundaries(region: &mut Region) {
    let is_long = region.key.mode == CpuMode::Long64;
    for block in &mut region.blocks {
        // The target may be no address.
        let is_computed = matches!(
            block.exit,
            Exit::Indirect { .. } | Exit::Dispatch { .. } | Exit::IndirectCall { .. } | Exit::Return { .. }
        );
        let mut is_needed = is_long && is_computed;
        let mut needed: Vec<bool> = Vec::with_capacity(block.insts.len());
        for inst in block.insts.iter().rev() {
            let is_boundary = matches!(inst.op, Op::Insn { .. });
            needed.push(!is_boundary || is_needed);
            let fx = inst.op.effects();
            is_needed = !is_boundary && (is_needed || fx.contains(Effects::may_fault) || fx.contains(Effects::x87));
        }
        let mut needed = needed.into_iter().rev().enumerate();
        block.insts.retain(|_| needed.next().is_some_and(|(n, needed)| needed || n == 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    #[test]
    fn instructions_that_can_fault_keep_theirs() {
        let left = after(
            unneeded_boundaries,
            "%1 = get_gpr rax, w64\ninsn 0x1000, #1\nset_gpr rcx, w64, %1\ninsn 0x1001, #1\n%3 = load i8, unaligned, [w64 + %1]\ninsn 0x1002, #1\nset_gpr rax, w8, %3\n\
            insn 0x1003, #1\n%6 = x87_get_status \nset_gpr rax, w16, %6\njump b0",
        );
        assert_eq!(
            left,
            [
                "%1 = get_gpr rax, w64",
                "set_gpr rcx, w64, %1",
                "insn 0x1001, #1",
                "%3 = load i8, unaligned, [w64 + %1]",
                "set_gpr rax, w8, %3",
                "insn 0x1003, #1",
                "%6 = x87_get_status",
                "set_gpr rax, w16, %6",
                "jump b0"
            ]
        );
    }

    #[test]
    fn computed_jumps_keep_theirs() {
        let code = "%1 = get_gpr rax, w64\ninsn 0x1000, #1\nset_gpr rcx, w64, %1\ninsn 0x1001, #1\nindirect %1";
        let left = ["%1 = get_gpr rax, w64", "set_gpr rcx, w64, %1", "insn 0x1001, #1", "indirect %1"];
        assert_eq!(after(unneeded_boundaries, code), left);
    }
}
