use crate::exit::{Exit, Target};
use crate::guest::GuestAddr;
use crate::operand::{Fence, Imm, Width};
use crate::ops::{Effects, Op};
use crate::region::{Block, Inst, Region, Value};

/// Has code compare itself with what it was translated from, where it may change without notice: `current` gives the byte that was translated at
/// an address, or nothing where changes are noticed.
///
/// A block is compared when it is entered, as far as its next instruction that may change code; what comes after that instruction is compared
/// after it. So stores to the very next instruction are seen, and those of other threads wherever the guest synchronises with them.
pub fn code_checks(region: &mut Region, current: &dyn Fn(GuestAddr) -> Option<u8>) {
    for block in &mut region.blocks {
        let checks = checks(block, current);
        if checks.is_empty() {
            continue;
        }
        let mut out = Vec::with_capacity(block.insts.len() + checks.len());
        let mut checks = checks.into_iter().peekable();
        for (n, inst) in block.insts.drain(..).enumerate() {
            out.push(inst);
            while let Some((_, op)) = checks.next_if(|c| c.0 == n) {
                out.push(Inst { value: Value(region.value_count), op });
                region.value_count += 1;
            }
        }
        block.insts = out;
    }
}

/// The `check_code` ops of `block`, each with the place of the `insn` op that it follows.
fn checks(block: &Block, current: &dyn Fn(GuestAddr) -> Option<u8>) -> Vec<(usize, Op)> {
    let mut checks = Vec::new();
    // Bytes to compare at `place`, in order of address as far as instructions are.
    let mut bytes: Vec<(u64, u8)> = Vec::new();
    let mut place = 0;
    let mut may_change = false;
    for (n, inst) in block.insts.iter().enumerate() {
        let Op::Insn { pc, len } = inst.op else {
            may_change |= may_change_code(&inst.op);
            continue;
        };
        if may_change {
            words(place, &bytes, &mut checks);
            bytes.clear();
            (place, may_change) = (n, false);
        }
        let at = |i: u8| pc.0.wrapping_add(u64::from(i));
        bytes.extend((0..len.0).filter_map(|i| Some((at(i), current(GuestAddr(at(i)))?))));
    }
    words(place, &bytes, &mut checks);
    checks
}

/// Ends each block behind its first instruction that may change code, for a region that is run once and not checked.
pub fn end_where_code_may_change(region: &mut Region) {
    for block in &mut region.blocks {
        let Some(first) = block.insts.iter().position(|i| may_change_code(&i.op)) else { continue };
        let next = block.insts.iter().enumerate().skip(first).find_map(|(n, inst)| match inst.op {
            Op::Insn { pc, .. } => Some((n, pc)),
            _ => None,
        });
        if let Some((n, pc)) = next {
            block.insts.truncate(n);
            block.exit = Exit::Jump { to: Target::Guest(pc) };
        }
    }
}

/// Whether code may be another after `op`: it stores, or waits for the stores of others.
fn may_change_code(op: &Op) -> bool {
    let fx = op.effects();
    let serialises = matches!(op, Op::Cpuid {} | Op::FenceOp { kind: Fence::Load | Fence::Full });
    fx.contains(Effects::writes_mem) || serialises
}

/// Compares `bytes` by words of one size, as large as possible; the last one may overlap the one before it.
fn words(place: usize, mut bytes: &[(u64, u8)], checks: &mut Vec<(usize, Op)>) {
    while let Some(&(start, _)) = bytes.first() {
        let run = bytes.iter().zip(0..).take_while(|((at, _), i)| *at == start.wrapping_add(*i)).count();
        let w = [Width::W64, Width::W32, Width::W16].into_iter().find(|w| w.bytes() as usize <= run);
        let w = w.unwrap_or(Width::W8);
        let size = w.bytes() as usize;
        for from in (0..run).step_by(size).map(|from| from.min(run - size)) {
            let expected = bytes[from..from + size].iter().rev().fold(0, |sum, (_, byte)| sum << 8 | u64::from(*byte));
            checks.push((place, Op::CheckCode { pc: GuestAddr(bytes[from].0), w, expected: Imm(expected) }));
        }
        bytes = &bytes[run..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{parse, print};

    fn checked(from: u64, text: &str) -> Vec<String> {
        let mut region = parse::region(&format!("region 0x1000 long64\nblock b0 0x1000\n{text}\njump b0\n")).unwrap();
        code_checks(&mut region, &|at| (at.0 >= from).then_some(at.0 as u8));
        crate::verify::verify(&region).unwrap();
        let wanted = |line: &&str| line.starts_with("insn") || line.starts_with("check_code");
        print::region(&region).lines().map(str::trim).filter(wanted).map(str::to_string).collect()
    }

    const STORE: &str = "%1 = get_gpr rax, w64\nstore i64, unaligned, [w64 + %1], %1";

    #[test]
    fn a_block_is_compared_at_its_start_and_after_each_store() {
        let lines = checked(0, &format!("insn 0x1000, #3\ninsn 0x1003, #4\n{STORE}\ninsn 0x1007, #9\ninsn 0x1010, #1"));
        assert_eq!(
            lines,
            [
                "insn 0x1000, #3",
                "check_code 0x1000, w32, 0x3020100",
                "check_code 0x1003, w32, 0x6050403",
                "insn 0x1003, #4",
                "insn 0x1007, #9",
                "check_code 0x1007, w64, 0xe0d0c0b0a090807",
                "check_code 0x1009, w64, 0x100f0e0d0c0b0a09",
                "insn 0x1010, #1",
            ]
        );
    }

    #[test]
    fn a_block_that_is_run_once_ends_behind_a_store() {
        let text = format!("insn 0x1000, #3\n{STORE}\ninsn 0x1003, #4\ninsn 0x1007, #1");
        let mut region = parse::region(&format!("region 0x1000 long64\nblock b0 0x1000\n{text}\njump b0\n")).unwrap();
        end_where_code_may_change(&mut region);
        crate::verify::verify(&region).unwrap();
        assert_eq!(region.blocks[0].exit, Exit::Jump { to: Target::Guest(GuestAddr(0x1003)) });
        let short = "region 0x1000 long64\nblock b0 0x1000\ninsn 0x1000, #3\njump b0\n";
        let mut same = parse::region(short).unwrap();
        end_where_code_may_change(&mut same);
        assert_eq!(same, parse::region(short).unwrap());
    }

    #[test]
    fn what_is_watched_otherwise_is_not_compared() {
        assert_eq!(checked(0x2000, "insn 0x1000, #3"), ["insn 0x1000, #3"]);
        let lines = checked(0x1002, "insn 0x1000, #3\ncpuid \ninsn 0x1003, #1");
        assert_eq!(
            lines,
            ["insn 0x1000, #3", "check_code 0x1002, w8, 0x2", "insn 0x1003, #1", "check_code 0x1003, w8, 0x3"]
        );
    }
}
