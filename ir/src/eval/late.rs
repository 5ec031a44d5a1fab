//! Which ops of a block only its faults need: writes of registers that are written again before anybody else looks, and what these alone compute.

use crate::exit::Exit;
use crate::operand::{Type, Upper, Width};
use crate::ops::{Effects, Op};
use crate::region::Inst;

/// What becomes of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs in its place.
    Runs,
    /// It runs where an op behind it faults that stands before the one at `until`.
    Late {
        /// Place among the block's ops.
        until: usize,
    },
    /// Nobody needs it.
    Goes,
}

/// Who uses a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uses {
    /// Place of the last op that does, in whatever way; for late ones the place up to which they may run.
    pub(super) last: usize,
    /// Whether any does at all.
    any: bool,
    /// Whether an op that runs in its place does, or the exit.
    running: bool,
}

/// The fates of `insts`, which `exit` follows. Fills in who uses their values; `uses` has room for all values.
pub(super) fn fates(insts: &[Inst], exit: &Exit, uses: &mut [Uses]) -> Vec<Fate> {
    let end = insts.len();
    exit.values(&mut |v| uses[v.0 as usize] = Uses { last: end, any: true, running: true });
    let mut fates = vec![Fate::Runs; insts.len()];
    let mut next = NextWrites::UNKNOWN;
    let mut next_fault = end;
    for (n, inst) in insts.iter().enumerate().rev() {
        let fx = inst.op.effects();
        if fx.contains(Effects::may_fault) {
            next_fault = n;
        }
        let fate = match next.pass(n, &inst.op) {
            Some(until) if next_fault > until => Fate::Goes,
            Some(until) => Fate::Late { until },
            None if !fx.is_removable() => Fate::Runs,
            None => match uses[inst.value.0 as usize] {
                Uses { any: false, .. } => Fate::Goes,
                Uses { last, running: false, .. } if fx == Effects::empty() => Fate::Late { until: last },
                // Later the state may be another.
                _ => Fate::Runs,
            },
        };
        fates[n] = fate;
        let last = match fate {
            Fate::Runs => n,
            Fate::Late { until } => until,
            Fate::Goes => continue,
        };
        inst.op.values(&mut |v| {
            let uses = &mut uses[v.0 as usize];
            *uses = Uses { last: last.max(uses.last), any: true, running: fate == Fate::Runs || uses.running };
        });
    }
    fates
}

const FLAGS: usize = 16;
const VECTORS: usize = 17;

/// Walking backwards: of each register the next write, if nobody looks at the register before: its place, and which parts it writes, as bits.
struct NextWrites([Option<(usize, u32)>; VECTORS + 16]);

impl NextWrites {
    const UNKNOWN: NextWrites = NextWrites([None; VECTORS + 16]);

    /// Goes past `op` at `place`. Where that is a write all of which another one replaces unseen: the other's place.
    fn pass(&mut self, place: usize, op: &Op) -> Option<usize> {
        let (register, parts) = match *op {
            Op::SetGpr { reg, w: Width::W8, .. } => (reg.index(), 1),
            Op::SetGprHigh { reg, .. } => (reg.index(), 2),
            Op::SetGpr { reg, w: Width::W16, .. } => (reg.index(), 3),
            Op::SetGpr { reg, .. } => (reg.index(), 7),
            Op::SetFlags { set, .. } => (FLAGS, set.bits()),
            Op::SetVec { reg, ty, upper, .. } => (vector(reg.0), bytes_written(ty, upper)),
            Op::GetGpr { reg, .. } | Op::GetGprHigh { reg } => {
                self.0[reg.index()] = None;
                return None;
            }
            Op::GetFlags {} => {
                self.0[FLAGS] = None;
                return None;
            }
            Op::GetVec { reg, .. } => {
                self.0[vector(reg.0)] = None;
                return None;
            }
            _ => {
                let fx = op.effects();
                if fx.contains(Effects::reads_state) || fx.contains(Effects::writes_state) {
                    *self = NextWrites::UNKNOWN;
                }
                return None;
            }
        };
        let next = self.0[register].replace((place, parts));
        next.filter(|(_, replaced)| parts & !replaced == 0).map(|(place, _)| place)
    }
}

fn vector(reg: u8) -> usize {
    VECTORS + usize::from(reg & 15)
}

/// The bytes of a vector register that `set_vec` writes, as bits.
fn bytes_written(ty: Type, upper: Upper) -> u32 {
    let count = match upper {
        Upper::Keep => ty.bytes(),
        Upper::Zero128 => ty.bytes().max(16),
        Upper::Zero256 => 32,
    };
    u32::MAX >> (32 - count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::parse;

    /// The letter of each op's fate: `r`uns, `l`ate, `g`oes.
    fn letters(ops: &str) -> String {
        let text = format!(
            "region 0x1000 long64\nblock b0 0x1000\ninsn 0x1000, #1\n%1 = get_gpr rcx, w64\n{ops}\njump 0x2000\n"
        );
        let region = parse::region(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let block = &region.blocks[0];
        let fates = fates(&block.insts, &block.exit, &mut vec![Uses::default(); region.value_count as usize]);
        let letter = |fate: &Fate| match fate {
            Fate::Runs => 'r',
            Fate::Late { .. } => 'l',
            Fate::Goes => 'g',
        };
        fates[2..].iter().map(letter).collect()
    }

    const LOAD: &str = "%9 = load i8, unaligned, [w64 + %1]";

    #[test]
    fn writes_that_are_replaced_go_or_wait_for_a_fault() {
        assert_eq!(letters("set_gpr rax, w64, %1\nset_gpr rax, w32, %1"), "gr");
        assert_eq!(letters(&format!("set_gpr rax, w64, %1\n{LOAD}\nset_gpr rax, w32, %1")), "lrr");
        assert_eq!(
            letters(&format!(
                "{LOAD}\nset_gpr rax, w64, %1\nset_gpr rax, w32, %1\n%10 = load i8, unaligned, [w64 + %1]"
            )),
            "rgrr"
        );
        assert_eq!(letters(&format!("set_vec #3, v128, keep, %1\n{LOAD}\nset_vec #3, v128, keep, %1")), "lrr");
        assert_eq!(letters(&format!("set_vec #3, v128, zero256, %1\n{LOAD}\nset_vec #3, v128, keep, %1")), "rrr");
    }

    #[test]
    fn what_is_looked_at_or_replaced_in_part_stays() {
        for between in ["%9 = get_gpr rax, w8\nset_gpr rbx, w8, %9", "cpuid ", "set_gpr rax, w8, %1"] {
            let fates = letters(&format!("set_gpr rax, w64, %1\n{between}\nset_gpr rax, w64, %1"));
            assert!(fates.starts_with('r'), "{between}: {fates}");
        }
        assert_eq!(letters(&format!("set_gpr rax, w16, %1\n{LOAD}\nset_gpr rax, w8, %1")), "rrr");
        assert_eq!(letters(&format!("set_gpr_high rax, %1\n{LOAD}\nset_gpr rax, w16, %1")), "lrr");
    }

    #[test]
    fn what_only_late_ops_use_is_late() {
        let flags = "%3 = add_flags w64, %1, %1\nset_flags {cpazso}, %3";
        let again = "%7 = sub_flags w64, %1, %1\nset_flags {cpazso}, %7";
        assert_eq!(letters(&format!("{flags}\n{LOAD}\n{again}")), "llrrr");
        assert_eq!(letters(&format!("{flags}\n{again}")), "ggrr");
        // The state may be another at the fault.
        assert_eq!(letters(&format!("%3 = get_flags \nset_flags {{cpazso}}, %3\n{LOAD}\n{again}")), "rlrrr");
    }
}
