//! Writes of guest registers that nobody sees.

use crate::guest::Gpr;
use crate::operand::Width;
use crate::ops::{Effects, Op};
use crate::region::Region;

/// Removes each `set_gpr` behind which its block writes the whole register again before anything reads the state or may fault.
pub fn drop_dead_sets(region: &mut Region) {
    drop_dead_sets_but(region, None);
}

/// The same, but for those of the register `kept`.
pub fn drop_dead_sets_but(region: &mut Region, kept: Option<Gpr>) {
    for block in &mut region.blocks {
        // Registers that are written as a whole before they are looked at, as bits.
        let mut dead = 0u16;
        let mut keep = vec![true; block.insts.len()];
        for (n, inst) in block.insts.iter().enumerate().rev() {
            let bit = |reg: Gpr| 1u16 << reg.index();
            match inst.op {
                Op::SetGpr { reg, w, .. } => {
                    keep[n] = dead & bit(reg) == 0 || Some(reg) == kept;
                    if matches!(w, Width::W32 | Width::W64) {
                        dead |= bit(reg);
                    }
                }
                Op::SetGprHigh { reg, .. } => keep[n] = dead & bit(reg) == 0,
                Op::GetGpr { reg, .. } | Op::GetGprHigh { reg } => dead &= !bit(reg),
                Op::GetFlags {} | Op::SetFlags { .. } | Op::GetVec { .. } | Op::SetVec { .. } => {}
                op => {
                    let fx = op.effects();
                    let sees = [
                        Effects::may_fault,
                        Effects::reads_state,
                        Effects::writes_state,
                        Effects::x87,
                        Effects::volatile,
                    ];
                    if sees.into_iter().any(|e| fx.contains(e)) {
                        dead = 0;
                    }
                }
            }
        }
        let mut keep = keep.into_iter();
        block.insts.retain(|_| keep.next().unwrap_or(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    #[test]
    fn those_of_one_register_may_be_kept() {
        let of_rsp = "%1 = get_gpr rcx, w64\nset_gpr rsp, w64, %1\nset_gpr rsp, w64, %1\njump 0x10";
        let left = |block| after(|region| drop_dead_sets_but(region, Some(Gpr::Rsp)), block);
        assert_eq!(left(of_rsp).iter().filter(|l| l.contains("set_gpr")).count(), 2);
    }

    fn sets(block: &str) -> usize {
        after(drop_dead_sets, block).iter().filter(|l| l.contains("set_gpr")).count()
    }

    const SET: &str = "%1 = get_gpr rcx, w64\nset_gpr rax, w64, %1\n";

    #[test]
    fn what_is_written_again_unseen_goes() {
        assert_eq!(sets(&format!("{SET}%3 = iconst w32, 0x1\nset_gpr rax, w32, %3\njump 0x10")), 1);
    }

    #[test]
    fn what_a_fault_or_a_reader_may_see_stays() {
        let again = "set_gpr rax, w64, %1\njump 0x10";
        assert_eq!(sets(&format!("{SET}insn 0x1001, #1\n%4 = load i8, unaligned, [w64 + %1]\n{again}")), 2);
        assert_eq!(sets(&format!("{SET}%3 = get_gpr rax, w64\n{again}")), 2);
        assert_eq!(sets(&format!("{SET}%3 = iconst w8, 0x1\nset_gpr rax, w8, %3\njump 0x10")), 2);
    }
}
