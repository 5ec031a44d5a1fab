//! Targets of computed jumps and return addresses: in which register they come to be.

use hokku_ir::lowering::Loc;
use hokku_ir::{GuestAddr, Value};

use crate::access::Piece;
use crate::asm::Label;
use crate::assign::*;
use crate::lower::Lowering;

/// Whether the instruction `word` is one of those that are known to leave `reg` alone: pushes, notes of flags, constants.
fn writes_apart(word: u32, reg: u8) -> bool {
    let names = |at: u32| word >> at & 31 == u32::from(reg);
    match word {
        // `str reg, [base, #offset]!`; `str`, `stp` in the state.
        w if w & 0xbfe0_0c00 == 0xb800_0c00 => !names(0) && !names(5),
        w if w & 0xffc0_0000 == 0xf900_0000 => !names(0) && !names(5),
        w if w & 0xffc0_0000 == 0xa900_0000 => !names(0) && !names(10) && !names(5),
        // `adr`; `ldr` of a literal; `movz`, `movk`.
        w if w & 0x9f00_0000 == 0x1000_0000 => !names(0),
        w if w & 0xbf00_0000 == 0x1800_0000 => !names(0),
        w if w & 0x5f80_0000 == 0x5280_0000 => !names(0),
        _ => false,
    }
}

impl Lowering<'_> {
    /// Puts the target of a computed jump into its register, zero-extended.
    pub(crate) fn target(&mut self, target: Value) {
        let w = self.mode.word();
        if let Some(n) = self.constant_of(target) {
            return self.asm.constant(TARGET, n);
        }
        let r = self.reg(target);
        match self.loaded_target(target) {
            Some(offset) => self.asm.redirect(offset, TARGET),
            None => self.zero_extend_to(TARGET, r, w),
        }
    }

    /// The place of the load of `target` where that, which nothing else reads, can go to [`TARGET`]: what comes behind leaves both registers alone.
    fn loaded_target(&self, target: Value) -> Option<u32> {
        let (v, offset) = self.loaded?;
        let info = self.plan.info(v);
        let Loc::Temp(r) = self.values.loc(v) else { return None };
        let is_alone = v == target && info.uses == 1 && info.last_flags <= info.def;
        let (load, behind) = self.asm.words_from(offset).split_first()?;
        let leaves = |word: &u32| writes_apart(*word, r) && writes_apart(*word, TARGET);
        (is_alone && load & 31 == u32::from(r) && behind.iter().all(leaves)).then_some(offset)
    }

    /// Pushes the pair of return addresses; gives the place that the host returns to.
    pub(crate) fn push_return(&mut self, ret: GuestAddr) -> Label {
        let pad = self.asm.label();
        let address = self.pushed_register(ret).unwrap_or_else(|| {
            self.literal(SCRATCH, ret.0);
            SCRATCH
        });
        self.asm.adr(LINK, pad);
        self.fpsr.is_known = false;
        self.asm.push_pair(Piece::X, address, LINK, SHADOW, 16);
        pad
    }

    /// The temporary that the guest's own push of `ret` has left it in: what has been written since are notes of flags and the target.
    fn pushed_register(&self, ret: GuestAddr) -> Option<u8> {
        let (_, reg, behind) = self.pushed.filter(|p| p.0 == ret.0)?;
        let leaves_temporaries = |word: &u32| {
            let to = word & 31;
            let stores_in_state =
                matches!(word & 0xffc0_0000, 0xf900_0000 | 0xa900_0000) && word >> 5 & 31 == STATE.into();
            let is_address = word & 0x9f00_0000 == 0x1000_0000 && to == u32::from(FLAG_SITE);
            let is_copy = word & 0x7fe0_ffe0 == 0x2a00_03e0 && to == u32::from(TARGET);
            stores_in_state || is_address || is_copy
        };
        self.asm.words_from(behind).iter().all(leaves_temporaries).then_some(reg)
    }
}
