//! Division. The runtime raises #DE, and divides by the few dividends that the host's instructions do not take.

use hokku_ir::{Op, Value, Width};

use crate::asm::{Cc, Label, Size};
use crate::assign::{SCRATCH, TARGET, ZERO};
use crate::callout::Operand;
use crate::immediate::add_immediate;
use crate::integer::{Extend, Logic, Shift, Sum};
use crate::lower::Lowering;

impl Lowering<'_> {
    /// `div_u`, `div_s`: `high:low` by `d`.
    pub(crate) fn quotient(&mut self, dst: Value, is_signed: bool, w: Width, (high, low, d): (Value, Value, Value)) {
        // The remainder that follows is computed from the quotient.
        if self.block.insts.get(self.at as usize + 1).is_some_and(|next| remainder_of(&next.op) == Some((high, low, d)))
        {
            let info = &mut self.plan.values[dst.0 as usize];
            info.last = info.last.max(self.at + 1);
        }
        let (rh, rl, rd) = (self.real_reg(high), self.real_reg(low), self.real_reg(d));
        let is_extended = if is_signed { self.is_sign_of(high, low, w) } else { self.constant_of(high) == Some(0) };
        let to = self.dest(dst);
        let slow = self.asm.label();
        let done = self.asm.label();
        if w >= Width::W32 && (is_extended || w == Width::W64) {
            self.divide_low(is_signed, is_extended, w, to, (rh, rl, rd), slow);
        } else {
            self.divide_wide(is_signed, w, to, (rh, rl, rd), slow);
        }
        self.evaluate_at(slow, done, to, [rh, rl, rd].map(Operand::Register).to_vec());
        self.asm.bind(done);
        self.compared = None;
        self.define_as(dst, w);
    }

    /// `low` by the divisor, where `high` is its extension, or else the runtime does it.
    fn divide_low(
        &mut self,
        is_signed: bool,
        is_extended: bool,
        w: Width,
        to: u8,
        (rh, rl, rd): (u8, u8, u8),
        slow: Label,
    ) {
        let size = Size::of(w);
        self.asm.cbz(size, rd, slow);
        if !is_signed {
            if !is_extended {
                self.asm.cbnz(size, rh, slow);
            }
            return self.asm.udiv(size, to, rl, rd);
        }
        if !is_extended {
            self.asm.logic_shifted(Logic::Eor, size, SCRATCH, rh, rl, Shift::Asr, size.bits() - 1);
            self.asm.cbnz(size, SCRATCH, slow);
        }
        // The quotient of the smallest number by minus one does not fit: left to the runtime with all by minus one.
        self.asm.add_imm(Sum::Adds, size, ZERO, rd, add_immediate(1).unwrap_or(1));
        self.asm.b_cond(Cc::Eq, slow);
        self.asm.sdiv(size, to, rl, rd);
    }

    /// The whole dividend, of at most 64 bits, by the divisor; the runtime does it where the quotient does not fit.
    fn divide_wide(&mut self, is_signed: bool, w: Width, to: u8, (rh, rl, rd): (u8, u8, u8), slow: Label) {
        let bits = w.bits() as u8;
        let size = if w == Width::W32 { Size::X } else { Size::W };
        let divisor = self.temp();
        if is_signed {
            self.asm.sbfx(size, divisor, rd, 0, bits);
        } else {
            self.zero_extend_to(divisor, rd, w);
        }
        self.asm.cbz(size, divisor, slow);
        self.zero_extend_to(TARGET, rl, w);
        self.asm.bfi(size, TARGET, rh, bits, bits);
        if !is_signed {
            self.asm.udiv(size, TARGET, TARGET, divisor);
            self.asm.lsr(size, SCRATCH, TARGET, bits);
            self.asm.cbnz(size, SCRATCH, slow);
            return self.asm.mov(Size::W, to, TARGET);
        }
        if w == Width::W8 {
            // Those of 8 and 16 bits do not fill the register.
            self.asm.sbfx(Size::W, TARGET, TARGET, 0, 16);
        }
        self.asm.sdiv(size, TARGET, TARGET, divisor);
        let extend = match w {
            Width::W8 => Extend::Sxtb,
            Width::W16 => Extend::Sxth,
            _ => Extend::Sxtw,
        };
        self.asm.add_extended(Sum::Subs, size, ZERO, TARGET, TARGET, extend, 0);
        self.asm.b_cond(Cc::Ne, slow);
        self.asm.mov(Size::W, to, TARGET);
    }

    /// Whether `high` is known to hold copies of the sign of `low`.
    fn is_sign_of(&self, high: Value, low: Value, w: Width) -> bool {
        match self.plan.info(self.plan.root(high)).op {
            Op::Sar { w: of, a, n } => {
                of == w
                    && self.plan.root(a) == self.plan.root(low)
                    && self.constant_of(n) == Some(u64::from(w.bits()) - 1)
            }
            _ => false,
        }
    }

    /// `rem_u`, `rem_s`, whose quotient stands right before.
    pub(crate) fn remainder(&mut self, dst: Value, w: Width, (high, low, d): (Value, Value, Value)) {
        let quotient = (self.at as usize)
            .checked_sub(1)
            .map(|n| self.block.insts[n])
            .filter(|i| quotient_of(&i.op) == Some((high, low, d)));
        let Some(quotient) = quotient else { return self.rest(dst) };
        let (rq, rl, rd) = (self.reg(quotient.value), self.reg(low), self.reg(d));
        let to = self.dest(dst);
        self.asm.msub(Size::of(w), to, rq, rd, rl);
        self.define_as(dst, w);
    }
}

fn quotient_of(op: &Op) -> Option<(Value, Value, Value)> {
    match *op {
        Op::DivU { high, low, d, .. } | Op::DivS { high, low, d, .. } => Some((high, low, d)),
        _ => None,
    }
}

fn remainder_of(op: &Op) -> Option<(Value, Value, Value)> {
    match *op {
        Op::RemU { high, low, d, .. } | Op::RemS { high, low, d, .. } => Some((high, low, d)),
        _ => None,
    }
}
