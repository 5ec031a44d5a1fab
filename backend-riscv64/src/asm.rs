//! Words in a row, with labels, and constants behind them.
//!
//! Positions are numbers of words until the end: then conditional branches that do not reach become two instructions, and positions offsets.

use hokku_ir::Width;
use hokku_ir::lowering::{Moves, UpperBits};

use crate::assign::{STATE, recipe_slot_offset};
use crate::encode::*;

/// A place in the code that is known or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(u32);

/// What a word is to be completed with.
#[derive(Clone, Copy, Debug)]
enum Fixup {
    /// A conditional branch.
    Branch(Branch, Reg, Reg, Label),
    /// `jal`.
    Jump(Reg, Label),
    /// `auipc` and a load of the constant with that number.
    Constant(Reg, u32),
}

/// Code that is being written.
#[derive(Debug, Default)]
pub(crate) struct Asm {
    words: Vec<u32>,
    fixups: Vec<(u32, Fixup)>,
    labels: Vec<Option<u32>>,
    constants: Vec<u64>,
    /// Constants that may be shared.
    shared: Vec<(u64, u32)>,
    /// Whether the processor counts leading zeros.
    pub(crate) counts_zeros: bool,
    /// Instructions, for the golden counts.
    pub(crate) count: u32,
}

/// Finished code.
pub(crate) struct Finished {
    pub(crate) code: Vec<u8>,
    /// Offset of each word, and of the end.
    offsets: Vec<u32>,
    /// Offset of the first constant.
    constants: u32,
}

impl Finished {
    /// The offset of position `at`.
    pub(crate) fn offset(&self, at: u32) -> u32 {
        self.offsets[at as usize]
    }

    /// The offset of constant number `n`.
    pub(crate) fn constant(&self, n: u32) -> u32 {
        self.constants + 8 * n
    }
}

impl Asm {
    pub(crate) fn new() -> Asm {
        Asm::default()
    }

    /// The position of the next word.
    pub(crate) fn here(&self) -> u32 {
        self.words.len() as u32
    }

    pub(crate) fn word(&mut self, word: u32) {
        self.words.push(word);
        self.count += 1;
    }

    pub(crate) fn r(&mut self, op: R, rd: Reg, rs1: Reg, rs2: Reg) {
        self.word(reg3(op, rd, rs1, rs2));
    }

    pub(crate) fn i(&mut self, op: I, rd: Reg, rs1: Reg, imm: i32) {
        self.word(imm12(op, rd, rs1, imm));
    }

    /// Stores `rs2` at `imm(rs1)`.
    pub(crate) fn s(&mut self, op: I, rs2: Reg, rs1: Reg, imm: i32) {
        self.word(store(op, rs2, rs1, imm));
    }

    /// `rd = rs`, nothing where they are one.
    pub(crate) fn mv(&mut self, rd: Reg, rs: Reg) {
        if rd != rs {
            self.i(ADDI, rd, rs, 0);
        }
    }

    /// `rd = value`: as few instructions as there are for it.
    pub(crate) fn li(&mut self, rd: Reg, value: i64) {
        if let Ok(small) = i32::try_from(value) {
            if (-2048..2048).contains(&small) {
                return self.i(ADDI, rd, ZERO, small);
            }
            let (high, low) = split(value);
            self.word(lui(rd, high));
            if low != 0 {
                self.i(ADDIW, rd, rd, low);
            }
            return;
        }
        let zeros = value.trailing_zeros() as i32;
        let odd = value >> zeros;
        if (-2048..2048).contains(&odd) {
            self.i(ADDI, rd, ZERO, odd as i32);
            return self.i(SLLI, rd, rd, zeros);
        }
        if value > 0 && value as u64 & (value as u64 + 1) == 0 {
            self.i(ADDI, rd, ZERO, -1);
            return self.i(SRLI, rd, rd, value.leading_zeros() as i32);
        }
        self.constant(rd, value as u64);
    }

    /// Loads `value`, which stands behind the code.
    fn constant(&mut self, rd: Reg, value: u64) {
        let known = self.shared.iter().find(|s| s.0 == value).map(|s| s.1);
        let n = known.unwrap_or_else(|| {
            let n = self.slot(value);
            self.shared.push((value, n));
            n
        });
        self.load_slot(rd, n);
    }

    /// A double word of its own behind the code.
    pub(crate) fn slot(&mut self, value: u64) -> u32 {
        self.constants.push(value);
        self.constants.len() as u32 - 1
    }

    /// Loads the double word number `n` behind the code.
    pub(crate) fn load_slot(&mut self, rd: Reg, n: u32) {
        self.fixups.push((self.here(), Fixup::Constant(rd, n)));
        self.word(0);
        self.word(0);
    }

    /// Makes the instruction before position `end`, if that is here and it is an addition that gives `from`, give `to`.
    pub(crate) fn retarget(&mut self, end: u32, from: Reg, to: Reg) -> bool {
        let is_sum =
            |word: u32| [ADD, SH1ADD, SH2ADD, SH3ADD].iter().any(|op| word & !0x1ff_8f80 == reg3(*op, 0, 0, 0));
        self.change_last(end, from, |word| is_sum(word).then(|| word & !0xf80 | u32::from(to) << 7))
    }

    /// The same where it is a plain addition: it becomes one of 32 bits.
    pub(crate) fn retarget_word(&mut self, end: u32, from: Reg, to: Reg) -> bool {
        let is_sum = |word: u32| word & !0x1ff_8f80 == reg3(ADD, 0, 0, 0);
        self.change_last(end, from, |word| is_sum(word).then(|| word & !0xf80 | 8 | u32::from(to) << 7))
    }

    fn change_last(&mut self, end: u32, rd: Reg, change: impl Fn(u32) -> Option<u32>) -> bool {
        let is_last = end == self.here() && self.fixups.last().is_none_or(|f| f.0 + 2 < end);
        let Some(last) = self.words.last_mut().filter(|w| is_last && **w >> 7 & 31 == u32::from(rd)) else {
            return false;
        };
        let Some(changed) = change(*last) else { return false };
        *last = changed;
        true
    }

    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    pub(crate) fn bind(&mut self, label: Label) {
        self.labels[label.0 as usize] = Some(self.here());
    }

    /// Branches to `label` where `rs1 op rs2`.
    pub(crate) fn branch(&mut self, op: Branch, rs1: Reg, rs2: Reg, label: Label) {
        self.fixups.push((self.here(), Fixup::Branch(op, rs1, rs2, label)));
        self.word(0);
    }

    /// `jal rd` to `label`.
    pub(crate) fn jump(&mut self, rd: Reg, label: Label) {
        self.fixups.push((self.here(), Fixup::Jump(rd, label)));
        self.word(0);
    }

    /// Whether the place of `label` is known.
    pub(crate) fn is_bound(&self, label: Label) -> bool {
        self.labels[label.0 as usize].is_some()
    }

    /// The position of `label`, if it is known.
    pub(crate) fn position(&self, label: Label) -> Option<u32> {
        self.labels[label.0 as usize]
    }

    fn target(&self, label: Label) -> usize {
        self.labels[label.0 as usize].unwrap_or_else(|| panic!("a label is never bound")) as usize
    }

    /// The code and its constants.
    pub(crate) fn finish(self) -> Finished {
        let mut long = vec![false; self.words.len()];
        let offsets = loop {
            let mut offsets = Vec::with_capacity(self.words.len() + 1);
            let mut at = 0u32;
            for is_long in &long {
                offsets.push(at);
                at += if *is_long { 8 } else { 4 };
            }
            offsets.push(at);
            let mut grown = false;
            for (n, fixup) in &self.fixups {
                if let Fixup::Branch(_, _, _, label) = fixup {
                    let distance = i64::from(offsets[self.target(*label)]) - i64::from(offsets[*n as usize]);
                    if !(-4096..4096).contains(&distance) && !long[*n as usize] {
                        long[*n as usize] = true;
                        grown = true;
                    }
                }
            }
            if !grown {
                break offsets;
            }
        };
        let end = offsets[self.words.len()];
        let constants = end.next_multiple_of(8);
        let mut code: Vec<u32> = Vec::with_capacity(self.words.len());
        let mut fixups = self.fixups.iter().peekable();
        let mut skip = 0;
        for (n, word) in self.words.iter().enumerate() {
            let at = i64::from(offsets[n]);
            let Some((_, fixup)) = fixups.next_if(|f| f.0 as usize == n) else {
                if skip > 0 {
                    skip -= 1;
                } else {
                    code.push(*word);
                }
                continue;
            };
            let to = |label: &Label| i64::from(offsets[self.target(*label)]) - at;
            match fixup {
                Fixup::Branch(op, a, b, label) if long[n] => {
                    code.push(branch(op.negate(), *a, *b, 8));
                    code.push(jal(ZERO, (to(label) - 4) as i32));
                }
                Fixup::Branch(op, a, b, label) => code.push(branch(*op, *a, *b, to(label) as i32)),
                Fixup::Jump(rd, label) => code.push(jal(*rd, to(label) as i32)),
                Fixup::Constant(rd, n) => {
                    let (high, low) = split(i64::from(constants + 8 * n) - at);
                    code.push(auipc(*rd, high));
                    code.push(imm12(LD, *rd, *rd, low));
                    skip = 1;
                }
            }
        }
        let mut bytes: Vec<u8> = code.iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.resize(constants as usize, 0);
        bytes.extend(self.constants.iter().flat_map(|c| c.to_le_bytes()));
        Finished { code: bytes, offsets, constants }
    }
}

impl Moves for Asm {
    fn copy(&mut self, to: u8, from: u8) {
        self.mv(to, from);
    }
    fn spill(&mut self, slot: u8, from: u8) {
        self.s(SD, from, STATE, recipe_slot_offset(slot));
    }
    fn reload(&mut self, to: u8, slot: u8) {
        self.i(LD, to, STATE, recipe_slot_offset(slot));
    }
    fn add(&mut self, w: Width, to: u8, from: u8, by: i32) -> UpperBits {
        self.i(if w == Width::W32 { ADDIW } else { ADDI }, to, from, by);
        crate::arith::sum_upper(w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(asm: Asm) -> Vec<u32> {
        asm.finish().code.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect()
    }

    #[test]
    fn far_branches_become_two_instructions() {
        let mut asm = Asm::new();
        let (near, far) = (asm.label(), asm.label());
        asm.branch(Branch::Eq, 5, 6, near);
        asm.branch(Branch::Ltu, 5, 6, far);
        asm.bind(near);
        for _ in 0..1030 {
            asm.mv(7, 6);
        }
        asm.bind(far);
        asm.word(EBREAK);
        let code = words(asm);
        assert_eq!(code[..3], [branch(Branch::Eq, 5, 6, 12), branch(Branch::Geu, 5, 6, 8), jal(0, 4 + 1030 * 4)]);
    }

    #[test]
    fn constants_take_few_instructions() {
        let len = |value| {
            let mut asm = Asm::new();
            asm.li(5, value);
            asm.here()
        };
        assert_eq!([0, -2048, 0x12345678, 0x1000, 1 << 40, u32::MAX.into()].map(len), [1, 1, 2, 1, 2, 2]);
        let mut asm = Asm::new();
        asm.li(5, 0x1234_5678_9abc_def0);
        asm.li(6, 0x1234_5678_9abc_def0);
        asm.li(7, 0x0fed_cba9_8765_4321);
        let code = words(asm);
        assert_eq!((code.len(), code[6], code[9]), (10, 0x9abc_def0, 0x0fed_cba9));
        assert_eq!(code[..2], [auipc(5, 0), imm12(LD, 5, 5, 24)]);
    }
}
