//! Reading and writing guest state: mostly no code at all, since it lives where the host computes.

use hokku_ir::lowering::{Loc, UpperBits};
use hokku_ir::{CpuMode, Gpr, Value, Width};

use crate::access::Piece;
use crate::asm::Size;
use crate::assign::*;
use crate::integer::Logic;
use crate::lower::Lowering;

impl Lowering<'_> {
    /// `get_gpr`: another name for the home of `reg`.
    pub(crate) fn read_gpr(&mut self, dst: Value, reg: Gpr, w: Width) {
        let is_whole = w == Width::W32 && self.mode == CpuMode::Protected32;
        let upper = if is_whole { UpperBits::ZERO } else { UpperBits::UNKNOWN };
        self.values.hold(reg, dst, upper);
    }

    /// `set_gpr`.
    pub(crate) fn write_gpr(&mut self, reg: Gpr, w: Width, v: Value) {
        let home = self.values.home(reg);
        if w < Width::W32 {
            let r = self.reg(v);
            self.values.overwrite(reg, None, &mut self.plan, &mut self.asm);
            return self.asm.bfi(Size::X, home, r, 0, w.bits() as u8);
        }
        if let Some(n) = self.constant_of(v) {
            self.values.overwrite(reg, None, &mut self.plan, &mut self.asm);
            self.put_constant(home, n & w.mask());
            if self.plan.root(v) == v && self.plan.info(v).op.result_type() == w.ty() {
                self.values.hold(reg, v, UpperBits::ZERO);
            }
            return;
        }
        let root = self.plan.root(v);
        let has_type = self.plan.info(root).op.result_type().width() == Some(w);
        let is_clean = w == Width::W64 || has_type && self.values.upper(root).zero;
        if self.values.loc(root) == Loc::Home(reg) && is_clean {
            return;
        }
        let r = self.reg(v);
        let new = has_type.then_some(root);
        self.values.overwrite(reg, new, &mut self.plan, &mut self.asm);
        self.asm.mov(Size::of(w), home, r);
        if has_type && !self.plan.info(root).deferred {
            self.values.hold(reg, root, UpperBits::ZERO);
        }
    }

    /// `get_gpr_high`.
    pub(crate) fn read_gpr_high(&mut self, dst: Value, reg: Gpr) {
        let d = self.dest(dst);
        let home = self.values.home(reg);
        self.asm.ubfx(Size::W, d, home, 8, 8);
        self.define(dst, UpperBits::ZERO);
    }

    /// `set_gpr_high`.
    pub(crate) fn write_gpr_high(&mut self, reg: Gpr, v: Value) {
        let r = self.reg(v);
        self.values.overwrite(reg, None, &mut self.plan, &mut self.asm);
        let home = self.values.home(reg);
        self.asm.bfi(Size::X, home, r, 8, 8);
    }

    /// A word of the state.
    pub(crate) fn read_state(&mut self, dst: Value, w: Width, offset: i32) {
        let d = self.dest(dst);
        self.asm.load(Piece::Int(w as u8), d, STATE, offset);
        self.define(dst, UpperBits::ZERO);
    }

    /// `set_system_flags`.
    pub(crate) fn write_system_flags(&mut self, mask: u32, v: Value) {
        let mask = mask & hokku_ir::guest::eflags::USER;
        let r = self.reg(v);
        let (t, u) = (self.temp(), self.temp());
        self.asm.constant(u, mask.into());
        self.asm.load(Piece::W, t, STATE, SYSTEM_FLAGS);
        self.asm.logic(Logic::Bic, Size::W, t, t, u);
        self.asm.logic(Logic::And, Size::W, u, u, r);
        self.asm.logic(Logic::Orr, Size::W, t, t, u);
        self.asm.store(Piece::W, t, STATE, SYSTEM_FLAGS);
    }
}
