//! Vectors: lanes, shuffles, conversions.

use hokku_ir::lowering::UpperBits;
use hokku_ir::{Type, Value};

use crate::lower::Lowering;

impl Lowering<'_> {
    /// `bitcast`: the same bits as another type.
    pub(crate) fn cast_bits(&mut self, dst: Value, from: Type, to: Type, v: Value) {
        let log2 = if to.bytes() == 8 { 3 } else { 2 };
        match (from.width().is_some(), to.width().is_some()) {
            (true, false) => {
                let r = self.reg(v);
                let d = self.vec_dest(dst);
                self.asm.gpr_to_fp(log2, d, r);
            }
            (false, true) => {
                let r = self.vec_reg(v);
                let d = self.dest(dst);
                self.asm.fp_to_gpr(log2, d, r);
                self.define(dst, UpperBits::ZERO);
            }
            (false, false) => {
                let r = self.vec_reg(v);
                let d = self.vec_dest(dst);
                self.asm.vec_mov(d, r);
            }
            (true, true) => {
                let r = self.reg(v);
                let d = self.dest(dst);
                self.asm.mov(crate::asm::Size::X, d, r);
            }
        }
    }
}
