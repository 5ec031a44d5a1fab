//! x87 instructions that work on the top of the stack alone.

use super::memory::Memory;
use super::x87::{C0, C1, C2, C3, StackFault, Unit};
use super::x87_double as double;
use crate::operand::X87Unary;
use crate::softfloat::{self as soft, F80, FloatEnv, Inexact, Kind, Quotient, Remainder};

/// What a function of ST(0) gives that may find its operand out of range and may push.
struct Pair {
    /// Takes the operand's place.
    place: F80,
    /// Is pushed.
    pushed: F80,
}

impl<M: Memory + ?Sized> Unit<'_, M> {
    /// `x87_unary`.
    pub(super) fn unary(&mut self, op: X87Unary) {
        let (a, b) = (self.st(0), self.st(1));
        match op {
            X87Unary::Fchs => self.transfer(&[0], 0, 0, a.negate()),
            X87Unary::Fabs => self.transfer(&[0], 0, 0, a.abs()),
            X87Unary::Fsqrt if self.is_double() => self.compute_from(&[0], 0, 0, |env| double::sqrt(a, env)),
            X87Unary::Fsqrt => self.compute_from(&[0], 0, 0, |env| soft::sqrt(a, env)),
            X87Unary::Frndint => {
                self.compute_from(&[0], 0, 0, |env| soft::round_to_integral(a, env.rounding, Inexact::Report, env))
            }
            X87Unary::F2xm1 => self.compute_from(&[0], 0, 0, |env| soft::exp2_minus_1(a, env)),
            X87Unary::Fscale => self.compute_from(&[0, 1], 0, 0, |env| soft::scale(a, b, env)),
            X87Unary::Fpatan => self.compute_from(&[0, 1], 1, 1, |env| soft::arctangent(a, b, env)),
            X87Unary::Fyl2x => self.compute_from(&[0, 1], 1, 1, |env| soft::log2_times(a, b, env)),
            X87Unary::Fyl2xp1 => self.compute_from(&[0, 1], 1, 1, |env| soft::log2_plus_1_times(a, b, env)),
            X87Unary::Ftst => {
                let relation = self.relate(&[0], F80::ZERO, false);
                self.tell(relation, 0);
            }
            X87Unary::Fxam => self.examine(a),
            X87Unary::Fsin => self.trigonometric(|env| soft::sine(a, env)),
            X87Unary::Fcos => self.trigonometric(|env| soft::cosine(a, env)),
            X87Unary::Fsincos => {
                self.set_conditions(C2, 0);
                self.compute_pair(|env| {
                    let both = soft::sine_cosine(a, env)?;
                    Some(Pair { place: both.sine, pushed: both.cosine })
                });
            }
            X87Unary::Fptan => {
                self.set_conditions(C2, 0);
                self.compute_pair(|env| {
                    let place = soft::tangent(a, env)?;
                    let pushed = if soft::classify(place) == Kind::Nan { place } else { F80::ONE };
                    Some(Pair { place, pushed })
                });
            }
            X87Unary::Fxtract => self.compute_pair(|env| {
                let parts = soft::extract(a, env);
                Some(Pair { place: parts.exponent, pushed: parts.significand })
            }),
            X87Unary::Fprem => self.remainder(a, b, Quotient::Truncated),
            X87Unary::Fprem1 => self.remainder(a, b, Quotient::Nearest),
            X87Unary::Fincstp => self.turn(1),
            X87Unary::Fdecstp => self.turn(7),
        }
    }

    /// `fxam`: tells the sign of an empty register too.
    fn examine(&mut self, a: F80) {
        let classify = if self.is_double() { double::classify } else { soft::classify };
        let kind = if self.lacks(&[0]) { C3 | C0 } else { classify(a).condition_bits() };
        let sign = if a.is_negative() { C1 } else { 0 };
        self.set_conditions(C0 | C1 | C2 | C3, kind | sign);
    }

    /// `fsin`, `fcos`: C2 and no change where the operand is out of range.
    fn trigonometric(&mut self, f: impl FnOnce(&mut FloatEnv) -> Option<F80>) {
        self.set_conditions(C2, 0);
        let (a, mut out_of_range) = (self.st(0), false);
        self.compute_from(&[0], 0, 0, |env| {
            let result = f(env);
            out_of_range = result.is_none();
            result.unwrap_or(a)
        });
        if out_of_range {
            self.set_conditions(C2, C2);
        }
    }

    /// Functions that push a second result; C2 where the operand is out of range.
    fn compute_pair(&mut self, f: impl FnOnce(&mut FloatEnv) -> Option<Pair>) {
        let fault = if self.lacks(&[0]) {
            Some(StackFault::Underflow)
        } else if self.is_full() {
            Some(StackFault::Overflow)
        } else {
            None
        };
        if let Some(fault) = fault {
            if self.stack_fault(fault) {
                self.set(0, F80::INDEFINITE);
                self.push(F80::INDEFINITE);
            }
            return;
        }
        let mut env = self.env();
        let result = f(&mut env)
            .map(|pair| Pair { place: self.result(pair.place, &mut env), pushed: self.result(pair.pushed, &mut env) });
        let settled = env.settle();
        self.commit(settled);
        match result {
            None => self.set_conditions(C2, C2),
            Some(pair) if settled.writes_register() => {
                self.set(0, pair.place);
                self.push(pair.pushed);
            }
            Some(_) => {}
        }
    }

    /// `fprem`, `fprem1`: C0 and C3 tell nothing, and stay, where there is no remainder.
    fn remainder(&mut self, a: F80, b: F80, quotient: Quotient) {
        self.set_conditions(C2, 0);
        let mut conditions = None;
        let written = self.deliver_from(&[0, 1], 0, |env| {
            let result = soft::remainder(a, b, quotient, env);
            let is_number = soft::classify(result.value) != Kind::Nan;
            conditions = is_number.then_some(result.condition_bits);
            result.value
        });
        if let (true, Some(conditions)) = (written, conditions) {
            self.set_conditions(Remainder::CONDITION_MASK, conditions);
        }
    }
}
