//! What FPSR is known to hold before an operation on floats, so that a look behind it sees what the operation has raised.
//!
//! [`FPSR`] holds its inexact bit in regions with several such operations. From block to block that is known: blocks that want it have two entries, one of which reads it.
//! QC is never in it: where the stubs set that, all looks fail (see `float`).

use hokku_ir::{BlockId, Effects, Op, Region, Type};

use crate::asm::{Label, Size};
use crate::assign::{LINK, SCRATCH};
use crate::control::Cold;
use crate::immediate::bitmask;
use crate::integer::Logic;
use crate::known_zeros::is_in_loop;
use crate::lower::Lowering;

/// The inexact bit, and the bit that says that no result stands.
const IXC: u64 = 1 << 4;
const QC: u64 = 1 << 27;

/// Where FPSR's inexact bit is kept: what calls and callouts change, and nothing else within a block.
pub(crate) const FPSR: u8 = LINK;

/// What is known of FPSR.
#[derive(Clone, Debug)]
pub(crate) struct KnownFpsr {
    /// By block: it wants to know. Empty where nobody does.
    wants: Vec<bool>,
    /// By block: the entry of those who know.
    entries: Vec<Label>,
    /// [`FPSR`] holds it at the place at hand.
    pub(crate) is_known: bool,
    /// The block into which the code before it falls, knowing.
    pub(crate) falls_into: Option<BlockId>,
}

impl KnownFpsr {
    /// For `region`, compiled with attempts or not; `entries` gives a label for each block.
    pub(crate) fn new(region: &Region, may_attempt: bool, entries: Vec<Label>) -> KnownFpsr {
        let floats = |id: BlockId| {
            let block = region.block(id);
            let is_one = |op: &Op| op.effects().contains(Effects::float) && op.result_type() != Type::V256;
            block.insts.iter().filter(|i| is_one(&i.op)).count()
        };
        let mut wants: Vec<bool> = region.block_ids().map(|id| floats(id) > 1 && is_in_loop(region, id)).collect();
        // Code of x87 ops goes its own ways from block to block.
        if !may_attempt || !wants.contains(&true) || crate::x87_double::shapes(region).is_some() {
            wants.clear();
        }
        KnownFpsr { wants, entries, is_known: false, falls_into: None }
    }

    /// Whether block `id` wants to know.
    pub(crate) fn wants(&self, id: BlockId) -> bool {
        self.wants.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// The entry of block `id` for the block at hand, if it is another one.
    pub(crate) fn entry_of(&self, id: BlockId) -> Option<Label> {
        (self.is_known && self.wants(id)).then(|| self.entries[id.0 as usize])
    }
}

fn bits(bits: u64) -> u32 {
    bitmask(Size::W, bits & 0xffff_ffff).unwrap_or(0)
}

impl Lowering<'_> {
    /// `reg` = FPSR's inexact bit. Keeps NZCV.
    pub(crate) fn read_inexact(&mut self, reg: u8) {
        self.asm.read_fpsr(reg);
        self.asm.logic_bits(Logic::And, Size::W, reg, reg, bits(IXC));
    }

    /// FPSR = the inexact bit in `reg`, and QC as it is.
    pub(crate) fn write_inexact(&mut self, reg: u8) {
        self.asm.read_fpsr(SCRATCH);
        self.asm.logic_bits(Logic::And, Size::W, SCRATCH, SCRATCH, bits(QC));
        self.asm.logic(Logic::Orr, Size::W, SCRATCH, SCRATCH, reg);
        self.asm.write_fpsr(SCRATCH);
    }

    /// The register that holds FPSR's inexact bit at the place at hand, if one does.
    pub(crate) fn known_fpsr(&self) -> Option<u8> {
        self.fpsr.is_known.then_some(FPSR)
    }

    /// Binds the entries of block `id`, whose code is written next: who comes by `label` need not know FPSR. `is_original`: it can be entered from outside, and
    /// its entry is noted next.
    pub(crate) fn enter_with_fpsr(&mut self, id: BlockId, label: Label, is_original: bool) {
        let falls = self.fpsr.falls_into.take() == Some(id);
        self.fpsr.is_known = self.fpsr.wants(id);
        if !self.fpsr.is_known {
            return self.asm.bind(label);
        }
        let known = self.fpsr.entries[id.0 as usize];
        if falls {
            self.asm.bind(known);
            let n = is_original.then_some(self.out.blocks.len());
            return self.cold.push(Cold::Fpsr { label, known, n });
        }
        self.asm.bind(label);
        let before = self.asm.offset();
        self.read_inexact(FPSR);
        // Loops do not come by here: not the block's own.
        self.out.host_instructions += (self.asm.offset() - before) / 4;
        self.asm.bind(known);
    }

    /// After a callout, which has FPSR empty: knows again what was `known` before.
    pub(crate) fn know_fpsr_again(&mut self, known: bool) {
        if known {
            self.read_inexact(FPSR);
        }
        self.fpsr.is_known = known;
    }

    /// Goes to `slow` where what has been computed is not what the guest's processor computes: whatever has raised more than the inexact exception since
    /// `before` held FPSR's inexact bit, if it is known, or since the stubs cleared FPSR. Keeps NZCV.
    /// `then` writes what comes next, while `before` holds what it held; it is called twice, and must not change where values are.
    pub(crate) fn look_at_exceptions(&mut self, slow: Label, before: Option<u8>, then: &dyn Fn(&mut Self)) {
        self.asm.read_fpsr(SCRATCH);
        let Some(before) = before else {
            self.asm.logic_bits(Logic::And, Size::W, SCRATCH, SCRATCH, bits(!IXC));
            self.asm.cbnz(Size::W, SCRATCH, slow);
            return then(self);
        };
        self.asm.logic(Logic::Eor, Size::W, SCRATCH, SCRATCH, before);
        let (changed, back) = (self.asm.label(), self.asm.label());
        self.asm.cbnz(Size::W, SCRATCH, changed);
        let places = (self.values.clone(), self.vectors.clone());
        then(self);
        self.asm.bind(back);
        let there = (std::mem::replace(&mut self.values, places.0), std::mem::replace(&mut self.vectors, places.1));
        self.outline_alike(changed, |l| {
            l.asm.logic_bits(Logic::Eor, Size::W, SCRATCH, SCRATCH, bits(IXC));
            l.asm.cbnz(Size::W, SCRATCH, slow);
            then(l);
            l.asm.logic_bits(Logic::Eor, Size::W, before, before, bits(IXC));
            l.asm.b(back);
        });
        (self.values, self.vectors) = there;
    }
}
