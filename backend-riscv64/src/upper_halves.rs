//! What is above 32-bit values: extensions, and upper halves of homes that blocks leave to those behind them to clear.
//!
//! A 32-bit result leaves bits above it in its home, which are cleared before something looks at them, and where the region is left. Between blocks of a
//! region that is not needed: a block that does not look at a register's upper half, nor leads to one that does, starts with whatever is there. That is so
//! of 32-bit code alone, where whoever comes from outside has nothing in upper halves that might be lost.

use hokku_ir::{Addr, Block, BlockId, CpuMode, Effects, Exit, Gpr, Op, Region, Target, Type, Value, Width};

use crate::Features;
use crate::assign::home;
use crate::encode::*;
use crate::exits::Cold;
use crate::lower::Lowering;

/// A set of guest registers, by their numbers.
type Gprs = u16;

const ALL: Gprs = 0xffff;

fn bit(g: Gpr) -> Gprs {
    1 << g.index()
}

/// What a block does with upper halves.
#[derive(Clone, Copy, Debug, Default)]
struct Uses {
    /// Looks at those that it found.
    needs: Gprs,
    /// Does not leave what it found.
    replaces: Gprs,
    /// Leaves something there that is still to be cleared.
    leaves: Gprs,
}

/// The ops of a block while it is read.
struct Reader<'a> {
    block: &'a Block,
    /// How many ops at its start say what the flags are.
    told: usize,
    uses: Uses,
    /// Registers that the block has not written.
    old: Gprs,
    /// By value: the register that has it.
    homes: Vec<(Value, Gpr)>,
}

impl Reader<'_> {
    fn read(mut self) -> Uses {
        let (told, others) = self.block.insts.split_at(self.told);
        // Who computes flags takes what of their operands belongs to them.
        self.homes.extend(told.iter().filter_map(|i| match i.op {
            Op::GetGpr { reg, .. } => Some((i.value, reg)),
            _ => None,
        }));
        for inst in others {
            self.op(inst.value, &inst.op);
        }
        self.uses.replaces = !self.old | self.uses.needs;
        self.uses
    }

    fn op(&mut self, v: Value, op: &Op) {
        match *op {
            Op::GetGpr { reg, w } => {
                if w == Width::W64 {
                    self.look(reg);
                }
                self.homes.push((v, reg));
            }
            Op::GetGprHigh { .. } | Op::Insn { .. } => {}
            Op::SetGpr { reg, w, v } => self.set(reg, w, v),
            Op::SetGprHigh { .. } => self.look_at_operands(op),
            // They read as many bits as they give.
            Op::Add { w: Width::W32, .. }
            | Op::Sub { w: Width::W32, .. }
            | Op::Mul { w: Width::W32, .. }
            | Op::And { w: Width::W32, .. }
            | Op::Or { w: Width::W32, .. }
            | Op::Xor { w: Width::W32, .. } => {}
            Op::Shl { w: Width::W32, n, .. } | Op::Shr { w: Width::W32, n, .. } | Op::Sar { w: Width::W32, n, .. } => {
                self.look_at(n);
            }
            Op::Truncate { .. } | Op::Lea { w: Width::W32, .. } => {}
            // Mostly nobody computes them.
            Op::IncFlags { .. } | Op::DecFlags { .. } | Op::AddFlags { .. } => {}
            Op::Load { at, .. } => self.look_at_address(at),
            Op::Store { ty, at, .. } if ty.bytes() <= 4 => self.look_at_address(at),
            _ if touches_registers(op) => {
                Gpr::ALL.iter().for_each(|g| self.look(*g));
            }
            _ => self.look_at_operands(op),
        }
    }

    fn set(&mut self, g: Gpr, w: Width, v: Value) {
        self.homes.retain(|(_, home)| *home != g);
        match w {
            Width::W64 => self.uses.leaves &= !bit(g),
            Width::W32 if self.is_narrow(v) => self.uses.leaves |= bit(g),
            Width::W32 => self.uses.leaves &= !bit(g),
            // What is above stays.
            Width::W16 | Width::W8 => return self.look_at(v),
        }
        self.old &= !bit(g);
        self.homes.push((v, g));
    }

    /// Whether the home of the 32-bit value `v` has something above it, as far as one can tell.
    fn is_narrow(&self, v: Value) -> bool {
        match self.block.insts.iter().find(|i| i.value == v).map(|i| i.op) {
            Some(Op::And { a, b, .. } | Op::Or { a, b, .. } | Op::Xor { a, b, .. }) => {
                self.is_narrow(a) || self.is_narrow(b)
            }
            Some(op) => matches!(
                op,
                Op::Add { .. }
                    | Op::Sub { .. }
                    | Op::Mul { .. }
                    | Op::Shl { .. }
                    | Op::Sar { .. }
                    | Op::ExtendSign { .. }
                    | Op::Lea { .. }
            ),
            None => false,
        }
    }

    /// The upper half of `g` is looked at.
    fn look(&mut self, g: Gpr) {
        if self.old & bit(g) != 0 {
            self.uses.needs |= bit(g);
        }
        self.uses.leaves &= !bit(g);
    }

    fn look_at(&mut self, v: Value) {
        if let Some((_, g)) = self.homes.iter().rev().find(|(other, _)| *other == v) {
            self.look(*g);
        }
    }

    fn look_at_operands(&mut self, op: &Op) {
        // Comparisons extend what the block has computed at no cost.
        let is_comparison =
            matches!(op, Op::SubFlags { .. } | Op::LogicFlags { .. } | Op::Compare { .. } | Op::Condition { .. });
        let leaves = self.uses.leaves;
        op.values(&mut |v| self.look_at(v));
        if is_comparison {
            self.uses.leaves = leaves;
        }
    }

    fn look_at_address(&mut self, at: Addr) {
        // Sums are cut when they are made.
        if at.width == Width::W32 && at.index.is_some() {
            return;
        }
        at.base.into_iter().chain(at.index).for_each(|v| self.look_at(v));
    }
}

/// Whether `op` may look at general registers that it does not name.
fn touches_registers(op: &Op) -> bool {
    let fx = op.effects();
    let is_about_others =
        matches!(op, Op::SetFlags { .. } | Op::GetFlags { .. } | Op::GetVec { .. } | Op::SetVec { .. });
    !is_about_others && (fx.contains(Effects::reads_state) || fx.contains(Effects::writes_state))
}

/// Blocks that jumps of `exit` lead to; `None` where it calls, which clears all upper halves each time.
fn successors(exit: &Exit) -> Option<Vec<usize>> {
    let of = |to: &Target| match to {
        Target::Block(b) => Some(b.0 as usize),
        Target::Guest(_) => None,
    };
    match exit {
        Exit::Jump { to } => Some(of(to).into_iter().collect()),
        Exit::Branch { taken, next, .. } => Some([taken, next].into_iter().filter_map(of).collect()),
        Exit::Call { .. } | Exit::IndirectCall { .. } | Exit::Syscall { .. } => None,
        _ => Some(Vec::new()),
    }
}

/// Homes that still are to be cleared where each block starts; `told` by block: how many ops at its start say what the flags are.
pub(crate) fn narrow_at_starts(region: &Region, told: &[usize]) -> Vec<Gprs> {
    if region.key.mode != CpuMode::Protected32 {
        return vec![0; region.blocks.len()];
    }
    let read = |(block, told): (_, &usize)| {
        Reader { block, told: *told, uses: Uses::default(), old: ALL, homes: Vec::new() }.read()
    };
    let uses: Vec<Uses> = region.blocks.iter().zip(told).map(read).collect();
    let next: Vec<Option<Vec<usize>>> = region.blocks.iter().map(|b| successors(&b.exit)).collect();
    // The stack pointer may be late, which is known within blocks alone.
    let stack = bit(Gpr::Rsp);
    let mut needs = vec![stack; uses.len()];
    let mut narrow = vec![0; uses.len()];
    loop {
        let mut changed = false;
        for (n, Uses { needs: own, replaces, .. }) in uses.iter().enumerate().rev() {
            let behind = next[n].as_ref().map_or(ALL, |next| next.iter().fold(0, |all, b| all | needs[*b]));
            let all = stack | own | behind & !replaces;
            changed |= needs[n] != all;
            needs[n] = all;
        }
        if !changed {
            break;
        }
    }
    loop {
        let mut changed = false;
        for (n, Uses { replaces, leaves, .. }) in uses.iter().enumerate() {
            let after = leaves | narrow[n] & !replaces;
            for b in next[n].iter().flatten() {
                let all = narrow[*b] | after & !needs[*b];
                changed |= narrow[*b] != all;
                narrow[*b] = all;
            }
        }
        if !changed {
            return narrow;
        }
    }
}

/// What a branch clears before it, on the way that it jumps, and on the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clears {
    pub(crate) before: Gprs,
    pub(crate) on_jump: Gprs,
    pub(crate) behind: Gprs,
}

impl Lowering<'_> {
    /// `d` = the low `w` bits of `s`, zeros above.
    pub(crate) fn extend_zero_to(&mut self, d: Reg, s: Reg, w: Width) {
        match w {
            Width::W8 => self.asm.i(ANDI, d, s, 255),
            Width::W16 if self.has(Features::ZBB) => self.asm.word(zext_h(d, s)),
            Width::W32 if self.has(Features::ZBA) => self.asm.r(ADD_UW, d, s, ZERO),
            Width::W16 | Width::W32 => {
                let n = 64 - w.bits() as i32;
                self.asm.i(SLLI, d, s, n);
                self.asm.i(SRLI, d, d, n);
            }
            Width::W64 => self.asm.mv(d, s),
        }
    }

    /// `d` = the low `w` bits of `s`, copies of their sign above.
    pub(crate) fn extend_sign_to(&mut self, d: Reg, s: Reg, w: Width) {
        match w {
            Width::W8 if self.has(Features::ZBB) => self.asm.i(SLLI, d, s, SEXT_B),
            Width::W16 if self.has(Features::ZBB) => self.asm.i(SLLI, d, s, SEXT_H),
            Width::W32 => self.asm.i(ADDIW, d, s, 0),
            Width::W8 | Width::W16 => {
                let n = 64 - w.bits() as i32;
                self.asm.i(SLLI, d, s, n);
                self.asm.i(SRAI, d, d, n | ARITHMETIC);
            }
            Width::W64 => self.asm.mv(d, s),
        }
    }

    /// Clears the upper half of the home of `g` where that is still to be done.
    pub(crate) fn widen(&mut self, g: Gpr) {
        if self.narrow & 1 << g.index() == 0 {
            return;
        }
        self.narrow &= !(1 << g.index());
        let home = home(g);
        self.extend_zero_to(home, home, Width::W32);
        let plan = &self.plan;
        self.values.home_is_zero_above(g, |v| plan.info(v).op.result_type() == Type::I32);
    }

    /// Clears all upper halves that are still to be cleared.
    pub(crate) fn widen_all(&mut self) {
        for g in Gpr::ALL {
            self.widen(*g);
        }
    }

    /// Homes that are still to be cleared where `to` starts.
    fn narrow_at(&self, to: Target) -> Gprs {
        match to {
            Target::Block(b) => self.narrow_at_starts[b.0 as usize],
            Target::Guest(_) => 0,
        }
    }

    /// Clears all upper halves that `to` does not leave alone.
    pub(crate) fn widen_for(&mut self, to: Target) {
        let kept = self.narrow_at(to);
        for g in Gpr::ALL.iter().filter(|g| kept & bit(**g) == 0) {
            self.widen(*g);
        }
    }

    /// Homes that are not cleared before the block's branch.
    pub(crate) fn kept_at_branch(&self) -> Gprs {
        let kept = |to: Target| match to {
            Target::Block(b) if !self.leaves_loop(b) => self.narrow_at(to),
            _ => ALL,
        };
        match self.block.exit {
            Exit::Branch { taken, next, .. } => {
                kept(taken) & kept(next) & (self.narrow_at(taken) | self.narrow_at(next))
            }
            _ => 0,
        }
    }

    /// What a branch that jumps to `jumped` and else goes on at `on` clears, where.
    pub(crate) fn clears(&self, jumped: Target, on: Target) -> Clears {
        let (for_jump, for_on) = (self.narrow & !self.narrow_at(jumped), self.narrow & !self.narrow_at(on));
        let common = for_jump & for_on;
        let (mut before, mut on_jump) = (common, for_jump & !common);
        if let Target::Block(b) = jumped
            && !self.leaves_loop(b)
        {
            // A jump more is no gain.
            before |= on_jump;
            on_jump = 0;
        }
        Clears { before, on_jump, behind: for_on & !before }
    }

    /// Whether no way leads from block `id` back to the one at hand, which is in a loop.
    pub(crate) fn leaves_loop(&self, id: BlockId) -> bool {
        let at = self.block_id.0 as usize;
        let leads_here = |from: usize| {
            let mut seen = vec![false; self.region.blocks.len()];
            let mut todo = vec![from];
            while let Some(n) = todo.pop() {
                if n == at {
                    return true;
                }
                if !std::mem::replace(&mut seen[n], true) {
                    todo.extend(successors(&self.region.blocks[n].exit).unwrap_or_default());
                }
            }
            false
        };
        !leads_here(id.0 as usize) && successors(&self.block.exit).unwrap_or_default().into_iter().any(leads_here)
    }

    /// Clears the upper halves of the homes of `gprs`, on a way that others do not take.
    pub(crate) fn clear_upper_halves(&mut self, gprs: Gprs) {
        for g in Gpr::ALL.iter().filter(|g| gprs & bit(**g) != 0) {
            self.extend_zero_to(home(*g), home(*g), Width::W32);
        }
    }

    /// Clears what `clears` says to clear before the branch.
    pub(crate) fn widen_before(&mut self, clears: Clears) {
        for g in Gpr::ALL.iter().filter(|g| clears.before & bit(**g) != 0) {
            self.widen(*g);
        }
    }

    /// A way to `entry` that clears the upper halves of `gprs`.
    pub(crate) fn clearing_way(&mut self, gprs: Gprs, entry: crate::asm::Label) -> crate::asm::Label {
        if gprs == 0 {
            return entry;
        }
        let label = self.asm.label();
        self.cold.push(Cold::Clear { label, gprs, entry });
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hokku_ir::text::parse;

    /// A loop that adds to `rax` and `rcx`; `rax` is an address there.
    #[test]
    fn sums_are_left_as_they_are_around_loops_and_addresses_are_not() {
        let text = "region 0x1000 protected32
range 0x1000 32
block b0 0x1000
  insn 0x1000, #2
  %1 = get_gpr rax, w32
  %2 = load i32, unaligned, [w32 + %1]
  insn 0x1002, #2
  %3 = get_gpr rcx, w32
  %4 = add w32, %3, %2
  set_gpr rcx, w32, %4
  insn 0x1004, #3
  %5 = iconst w32, 0x4
  %6 = add w32, %1, %5
  set_gpr rax, w32, %6
  insn 0x1007, #2
  %7 = get_gpr rdx, w32
  %8 = compare ult, w32, %6, %7
  branch %8, b0, b1
block b1 0x1009
  insn 0x1009, #0
  jump 0x1009
";
        let region = parse::region(text).expect("the region can be read");
        let rcx = bit(Gpr::Rcx);
        assert_eq!(narrow_at_starts(&region, &[0, 0]), [rcx, rcx | bit(Gpr::Rax)]);
    }
}
