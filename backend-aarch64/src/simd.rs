//! Float and vector instructions of the host, by name. Source: Arm ARM, C7.
#![allow(dead_code, reason = "an instruction is listed with its family")]

use crate::asm::Asm;

fn r(reg: u8, at: u32) -> u32 {
    u32::from(reg) << at
}

impl Asm {
    /// `mov d.16b, n.16b`.
    pub(crate) fn vec_mov(&mut self, d: u8, n: u8) {
        if d != n {
            self.word(0x4ea0_1c00 | r(n, 16) | r(n, 5) | r(d, 0));
        }
    }

    /// `mov d.t[i], n.t[j]`: lanes of 2^`log2` bytes.
    pub(crate) fn vec_insert(&mut self, log2: u8, d: u8, i: u8, n: u8, j: u8) {
        let to = u32::from(i) << (log2 + 1) | 1 << log2;
        let from = u32::from(j) << log2;
        self.word(0x6e00_0400 | to << 16 | from << 11 | r(n, 5) | r(d, 0));
    }

    /// `fmov sd, sn` (`log2` 2) or `fmov dd, dn` (3): the rest of `d` is cleared.
    pub(crate) fn fp_mov(&mut self, log2: u8, d: u8, n: u8) {
        let ty = u32::from(log2 == 3) << 22;
        self.word(0x1e20_4000 | ty | r(n, 5) | r(d, 0));
    }

    /// `fmov wd, sn` or `fmov xd, dn`.
    pub(crate) fn fp_to_gpr(&mut self, log2: u8, d: u8, n: u8) {
        let op = if log2 == 3 { 0x9e66_0000 } else { 0x1e26_0000 };
        self.word(op | r(n, 5) | r(d, 0));
    }

    /// `fmov sd, wn` or `fmov dd, xn`: the rest of `d` is cleared.
    pub(crate) fn gpr_to_fp(&mut self, log2: u8, d: u8, n: u8) {
        let op = if log2 == 3 { 0x9e67_0000 } else { 0x1e27_0000 };
        self.word(op | r(n, 5) | r(d, 0));
    }
}
