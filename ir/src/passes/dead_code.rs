use crate::region::Region;

/// Removes ops without effect whose result nobody reads.
pub fn dead_code(region: &mut Region) {
    let mut used = vec![false; region.value_count as usize];
    for block in &mut region.blocks {
        block.exit.values(&mut |v| used[v.0 as usize] = true);
        // Backwards, because a removal can make earlier ops dead.
        let mut kept = block.insts.len();
        for n in (0..block.insts.len()).rev() {
            let inst = block.insts[n];
            if used[inst.value.0 as usize] || !inst.op.effects().is_removable() {
                inst.op.values(&mut |v| used[v.0 as usize] = true);
                kept -= 1;
                block.insts[kept] = inst;
            }
        }
        block.insts.drain(..kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::after;

    #[test]
    fn removes_chains_and_keeps_effects() {
        let left = after(
            dead_code,
            "%1 = get_gpr rax, w64\n%2 = add w64, %1, %1\n%3 = not w64, %2\n%4 = load i8, unaligned, [w64 + %1]\njump b0",
        );
        assert_eq!(left, ["%1 = get_gpr rax, w64", "%4 = load i8, unaligned, [w64 + %1]", "jump b0"]);
    }
}
