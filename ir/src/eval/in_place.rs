//! Which reads and writes of general registers nothing needs to do: during a run the registers stand in the table of values, where operands and
//! results can name them.
//!
//! A value that is read from a register is the register itself, if the last use of the value comes before the register's next write. An op's result
//! goes right into the register that it is written to, if nothing looks at the register between the two and nothing may fault there.

use super::late::{Fate, Uses};
use super::values;
use crate::operand::Width;
use crate::ops::{Effects, Op};
use crate::region::{Inst, Value};

/// A value's other name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Name {
    /// Place of the op that gives the value, if that is a result which may be given elsewhere.
    made_at: Option<usize>,
    /// Where it stands instead.
    pub(super) slot: Option<Value>,
}

/// Gives the values of `insts` other names where they may have such, and takes the ops that this makes needless out of `fates`.
pub(super) fn name_in_place(insts: &[Inst], fates: &mut [Fate], uses: &[Uses], names: &mut [Name]) {
    let next_writes = next_writes(insts, fates);
    let last_use = |v: Value| uses[v.0 as usize].last;
    // Of each register the last place where it is read or written, and the last where a value with its name is used.
    let (mut seen, mut used) = ([0; 16], [0; 16]);
    // The last op that may fault or looks at registers by itself.
    let mut barrier = 0;
    for (n, inst) in insts.iter().enumerate() {
        if fates[n] != Fate::Runs {
            continue;
        }
        let own = inst.value.0 as usize;
        match inst.op {
            Op::Iconst { w, value } => match values::constant(value.0 & w.mask()) {
                Some(slot) => {
                    names[own].slot = Some(slot);
                    fates[n] = Fate::Goes;
                }
                None => names[own].made_at = Some(n),
            },
            Op::GetGpr { reg, .. } => {
                let r = reg.index();
                seen[r] = n;
                if last_use(inst.value) <= next_writes[n] {
                    names[own].slot = Some(values::register(reg));
                    used[r] = used[r].max(last_use(inst.value));
                    fates[n] = Fate::Goes;
                } else {
                    names[own].made_at = Some(n);
                }
            }
            Op::SetGpr { reg, w: Width::W32 | Width::W64, v } => {
                let (r, name) = (reg.index(), &mut names[v.0 as usize]);
                let is_unseen = |made_at: usize| made_at >= barrier && made_at >= seen[r] && made_at >= used[r];
                if name.slot.is_none() && name.made_at.is_some_and(is_unseen) && last_use(v) <= next_writes[n] {
                    name.slot = Some(values::register(reg));
                    used[r] = used[r].max(last_use(v));
                    fates[n] = Fate::Goes;
                }
                seen[r] = n;
            }
            Op::SetGpr { reg, .. } | Op::SetGprHigh { reg, .. } => seen[reg.index()] = n,
            Op::GetGprHigh { reg } => {
                seen[reg.index()] = n;
                names[own].made_at = Some(n);
            }
            _ => {
                if inst.op.effects().contains(Effects::may_fault) || uses_registers(&inst.op) {
                    barrier = n;
                }
                names[own].made_at = Some(n);
            }
        }
    }
}

/// Of each read or write of a whole register the place of the register's next write, or the end.
fn next_writes(insts: &[Inst], fates: &[Fate]) -> Vec<usize> {
    let mut next = [insts.len(); 16];
    let mut places = vec![insts.len(); insts.len()];
    for (n, inst) in insts.iter().enumerate().rev().filter(|(n, _)| fates[*n] == Fate::Runs) {
        match inst.op {
            Op::GetGpr { reg, .. } => places[n] = next[reg.index()],
            Op::SetGpr { reg, .. } | Op::SetGprHigh { reg, .. } => {
                places[n] = next[reg.index()];
                next[reg.index()] = n;
            }
            op if uses_registers(&op) => next = [n; 16],
            _ => {}
        }
    }
    places
}

/// Whether `op` may read or write general registers by itself.
fn uses_registers(op: &Op) -> bool {
    let fx = op.effects();
    let others = matches!(op, Op::GetFlags {} | Op::SetFlags { .. } | Op::GetVec { .. } | Op::SetVec { .. });
    (fx.contains(Effects::reads_state) || fx.contains(Effects::writes_state)) && !others
}

#[cfg(test)]
mod tests {
    use super::super::late::fates;
    use super::*;
    use crate::text::parse;

    /// The ops that are left of a block, by name, but for `insn`.
    fn left(ops: &str) -> Vec<String> {
        let text = format!("region 0x1000 long64\nblock b0 0x1000\ninsn 0x1000, #1\n{ops}\njump 0x2000\n");
        let region = parse::region(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let block = &region.blocks[0];
        let mut uses = vec![Uses::default(); region.value_count as usize];
        let mut fates = fates(&block.insts, &block.exit, &mut uses);
        name_in_place(&block.insts, &mut fates, &uses, &mut vec![Name::default(); region.value_count as usize]);
        let runs = block.insts.iter().zip(fates).filter(|(_, fate)| *fate == Fate::Runs);
        runs.map(|(inst, _)| inst.op.name().to_string()).filter(|name| name != "insn").collect()
    }

    const LOAD: &str = "%20 = load i8, unaligned, [w64 + %1]";

    #[test]
    fn sums_are_made_in_their_registers() {
        assert_eq!(left("%1 = get_gpr rax, w64\n%2 = add w64, %1, %1\nset_gpr rax, w64, %2"), ["add"]);
        assert_eq!(left("%1 = get_gpr rax, w32\n%2 = add w32, %1, %1\nset_gpr rcx, w32, %2"), ["add"]);
        assert_eq!(left("%1 = get_gpr rax, w64\nset_gpr rcx, w64, %1"), ["set_gpr"]);
        assert_eq!(left("%1 = get_gpr rax, w8\n%2 = add w8, %1, %1\nset_gpr rcx, w8, %2"), ["add", "set_gpr"]);
        // What is loaded goes there only if the load does not fault.
        assert_eq!(left("%1 = get_gpr rax, w64\n%2 = load i64, unaligned, [w64 + %1]\nset_gpr rax, w64, %2"), ["load"]);
    }

    #[test]
    fn a_value_that_outlives_the_registers_is_read() {
        let exchange = "%1 = get_gpr rax, w64\n%2 = get_gpr rcx, w64\nset_gpr rax, w64, %2\nset_gpr rcx, w64, %1";
        assert_eq!(left(exchange), ["get_gpr", "set_gpr", "set_gpr"]);
        let kept = "%1 = get_gpr rax, w64\n%2 = add w64, %1, %1\nset_gpr rax, w64, %2\n%3 = add w64, %2, %1\nset_gpr rcx, w64, %3";
        assert_eq!(left(kept), ["get_gpr", "add", "add"]);
        let replaced = format!(
            "%1 = get_gpr rax, w64\n%2 = add w64, %1, %1\nset_gpr rax, w64, %2\n{LOAD}\nset_gpr rax, w64, %1\n\
            set_gpr rcx, w64, %2"
        );
        // Its first write only a fault of the load would show.
        assert_eq!(left(&replaced), ["add", "load", "set_gpr", "set_gpr"]);
    }

    #[test]
    fn what_a_fault_or_a_reader_sees_is_written_in_its_place() {
        let start = "%1 = get_gpr rbx, w64\n%2 = add w64, %1, %1\n%3 = not w64, %1";
        assert_eq!(left(&format!("{start}\n{LOAD}\nset_gpr rax, w64, %2")), ["add", "load", "set_gpr"]);
        assert_eq!(left(&format!("{start}\ncpuid \nset_gpr rax, w64, %2")), ["add", "cpuid", "set_gpr"]);
        let read = format!("{start}\n%4 = get_gpr rax, w8\nset_gpr rax, w64, %2\nset_gpr rcx, w8, %4");
        assert_eq!(left(&read), ["add", "get_gpr", "set_gpr", "set_gpr"]);
    }
}
