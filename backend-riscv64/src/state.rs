//! Guest registers as values, and values as guest registers.

use hokku_ir::lowering::{Loc, UpperBits};
use hokku_ir::{CpuMode, Gpr, Value, Width};

use crate::Features;
use crate::assign::home;
use crate::encode::*;
use crate::lower::Lowering;

impl Lowering<'_> {
    pub(crate) fn get_gpr(&mut self, dst: Value, g: Gpr, w: Width) {
        if g == Gpr::Rsp && self.late != 0 {
            if w.bytes() == self.mode_bytes() {
                return self.get_late_stack(dst);
            }
            self.move_stack();
        }
        let is_narrow = self.narrow & 1 << g.index() != 0;
        let upper = match w {
            Width::W64 => {
                self.widen(g);
                UpperBits::BOTH
            }
            Width::W32 if self.mode == CpuMode::Protected32 && !is_narrow => UpperBits::ZERO,
            _ => UpperBits::UNKNOWN,
        };
        self.values.hold(g, dst, upper);
    }

    pub(crate) fn set_gpr(&mut self, g: Gpr, w: Width, v: Value) {
        if g == Gpr::Rsp {
            if w.bytes() < self.mode_bytes() {
                self.move_stack();
            } else if let Some(by) = self.stack_distance(v) {
                return self.set_late_stack(by);
            }
        }
        match w {
            Width::W64 | Width::W32 => self.set_whole(g, w, v),
            Width::W16 | Width::W8 => self.set_low(g, w, v),
        }
    }

    /// Bytes of a guest register.
    fn mode_bytes(&self) -> u32 {
        if self.is_64() { 8 } else { 4 }
    }

    fn set_whole(&mut self, g: Gpr, w: Width, v: Value) {
        let to = home(g);
        if g == Gpr::Rsp {
            self.set_late_stack(0);
        }
        if let Some(n) = self.plan.constant(v) {
            self.overwrite(g, None);
            self.asm.li(to, n as i64);
            self.narrow &= !(1 << g.index());
            return;
        }
        let is_whole = self.plan.root(v) == v;
        if is_whole && self.plan.info(v).home == Some(g) && self.values.loc(v) == Loc::Home(g) {
            return;
        }
        let from = self.reg(v);
        let upper = self.upper(v);
        self.overwrite(g, Some(v));
        let is_zero = w == Width::W64 || upper.zero;
        if is_zero {
            self.asm.mv(to, from);
        } else if from != to && self.has(Features::ZBA) {
            self.extend_zero_to(to, from, w);
        } else {
            self.asm.mv(to, from);
        }
        let is_narrow = !is_zero && (from == to || !self.has(Features::ZBA));
        self.narrow &= !(1 << g.index());
        self.narrow |= u16::from(is_narrow) << g.index();
        if is_whole {
            let upper = match w {
                Width::W64 => UpperBits::BOTH,
                _ if is_narrow => upper,
                _ => UpperBits { zero: true, ..upper.and(UpperBits::BOTH) },
            };
            let upper = if !is_narrow && !is_zero { UpperBits::ZERO } else { upper };
            self.values.hold(g, v, upper);
        }
    }

    /// Writes the low 8 or 16 bits.
    fn set_low(&mut self, g: Gpr, w: Width, v: Value) {
        let to = home(g);
        let from = self.zero_extended(v);
        if from == to {
            // They are there, below zeros.
            return;
        }
        self.overwrite(g, None);
        if w == Width::W8 {
            self.asm.i(ANDI, to, to, -256);
        } else {
            self.asm.i(SRLI, to, to, 16);
            self.asm.i(SLLI, to, to, 16);
        }
        if from != ZERO {
            self.asm.r(OR, to, to, from);
        }
    }

    pub(crate) fn get_gpr_high(&mut self, dst: Value, g: Gpr) {
        let d = self.result(dst);
        self.asm.i(SRLI, d, home(g), 8);
        self.asm.i(ANDI, d, d, 255);
        self.done(dst, UpperBits::ZERO);
    }

    pub(crate) fn set_gpr_high(&mut self, g: Gpr, v: Value) {
        let to = home(g);
        let from = self.zero_extended(v);
        let t = self.temp();
        self.asm.i(SLLI, t, from, 8);
        self.overwrite(g, None);
        let mask = self.constant(!0xff00);
        self.asm.r(AND, to, to, mask);
        self.asm.r(OR, to, to, t);
    }

    /// Moves what is still needed away from the home of `g`, which is about to be written (with `new`).
    pub(crate) fn overwrite(&mut self, g: Gpr, new: Option<Value>) {
        self.values.overwrite(g, new, &mut self.plan, &mut self.asm);
    }
}
