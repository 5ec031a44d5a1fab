//! x87 instructions as functions that translated code calls, for hosts without such a unit: exact arithmetic on ordinary operands, without the way
//! through the evaluator. The unit is in host form ([`super::x87_to_exact`]).
//!
//! A routine either does all of the instruction, as the evaluator would, or changes nothing: then the evaluator does it. What is not ordinary:
//! pending or unmasked exceptions, stack faults, operands other than zeros and normal values, results out of range, other roundings than to nearest
//! (but where a value becomes an integer).
//!
//! Memory is the caller's. It passes what it has loaded; what it is to store is in [`crate::guest::HostArea::callout_result`]: the bits, the upper
//! bits of an extended value, then the status word and the shape that the unit is to have after the store.

use super::state::PENDING;
use super::x87::{C0, C1, C2, C3, load_words};
use super::x87_exact_host::{SHAPE_C1, from_host, renew_control_bits, tell_inexact, to_host};
use crate::guest::{self, CpuState, FlagSet};
use crate::key::X87Arithmetic;
use crate::lowering::X87Shape;
use crate::operand::{X87Const, X87Unary};
use crate::softfloat::{
    self as soft, Exceptions, F32, F64, F80, FloatEnv, Inexact, Kind, Ordinary, Precision, Quotient, Relation,
    Remainder, Rounded, Rounding,
};

/// What a routine tells the stub that called it, in the two registers of such results.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct X87Answer {
    /// One: done. Zero: nothing has changed.
    pub done: u64,
    /// [`crate::guest::HostArea::attention`].
    pub attention: u64,
}

/// A routine: of the state, the operation ([`X87How`]), the instruction's address, and the memory operand's bits (those above 64 apart).
pub type X87Routine = extern "C" fn(&mut CpuState, X87How, u64, u64, u64) -> X87Answer;

/// What a routine is to do, in 16 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct X87How(pub u64);

impl X87How {
    /// On ST(`dst`) and ST(`src`), with `pops` pops behind.
    pub const fn new(dst: u8, src: u8, pops: u8) -> X87How {
        X87How(dst as u64 | (src as u64) << 3 | (pops as u64) << 6)
    }

    /// With a variant: what that is depends on the routine.
    #[must_use]
    pub const fn variant(self, n: u8) -> X87How {
        X87How(self.0 | (n as u64) << 8)
    }

    fn dst(self) -> u8 {
        self.0 as u8 & 7
    }

    fn src(self) -> u8 {
        (self.0 >> 3) as u8 & 7
    }

    fn pops(self) -> u8 {
        (self.0 >> 6) as u8 & 3
    }

    fn get_variant(self) -> u8 {
        (self.0 >> 8) as u8
    }
}

/// Variants of sums: the first or the second operand changes its sign; of quotients: the operands are exchanged.
pub(crate) const FIRST: u8 = 1;
pub(crate) const SECOND: u8 = 2;
/// Variants of integer stores: the logarithm of the bytes, and this where the value is truncated.
pub(crate) const TRUNCATE: u8 = 4;
/// Variant of comparisons: quiet NaNs are no exception. Such operands are not ordinary, so that it makes no difference.
const ROUNDING: u16 = 3 << 10;

/// The unit, in host form, while a routine works on it.
struct Unit<'a> {
    cpu: &'a mut CpuState,
    /// Top of the stack.
    top: u8,
    /// Bit i: ST(i) is in use.
    tags: u8,
}

impl<'a> Unit<'a> {
    #[inline(always)]
    fn start(cpu: &'a mut CpuState) -> Option<Self> {
        let shape = X87Shape(cpu.x87_shape as u16);
        let top = shape.top();
        let tags = shape.tags().rotate_right(top.into());
        (cpu.x87.status & PENDING == 0).then_some(Unit { cpu, top, tags })
    }

    /// The register ST(i), which must be in use.
    #[inline(always)]
    fn register(&self, i: u8) -> Option<guest::F80> {
        let v = self.cpu.x87.regs[usize::from((self.top + i) & 7)];
        (self.tags >> i & 1 != 0).then_some(v)
    }

    /// Its value.
    #[inline(always)]
    fn st(&self, i: u8) -> Option<F80> {
        self.register(i).map(from_host)
    }

    /// The same, where it is an ordinary value.
    #[inline(always)]
    fn ordinary(&self, i: u8) -> Option<Ordinary> {
        Ordinary::extended(self.st(i)?)
    }

    #[inline(always)]
    fn set_register(&mut self, i: u8, v: guest::F80) {
        self.cpu.x87.regs[usize::from((self.top + i) & 7)] = v;
        self.tags |= 1 << i;
    }

    #[inline(always)]
    fn set(&mut self, i: u8, v: F80) {
        self.set_register(i, to_host(v));
    }

    /// Where a push would put its value: that must be empty.
    #[inline(always)]
    fn push(&mut self, v: F80) -> Option<()> {
        if self.tags >> 7 != 0 {
            return None;
        }
        self.top = (self.top + 7) & 7;
        self.tags <<= 1;
        self.set(0, v);
        Some(())
    }

    /// Pops `n` registers.
    #[inline(always)]
    fn pop(&mut self, n: u8) {
        self.tags = (self.tags & (0xff << n)).rotate_right(n.into());
        self.top = (self.top + n) & 7;
    }

    /// The control word.
    #[inline(always)]
    fn control(&self) -> u16 {
        self.cpu.x87.control
    }

    /// Significand bits of results, where they are rounded to nearest.
    #[inline(always)]
    fn precision(&self) -> Option<u32> {
        let precision = Precision::from_bits((self.control() >> 8).into()).bits();
        (self.control() & ROUNDING == 0).then_some(precision)
    }

    /// Whether an exception of `flags` is delivered.
    #[inline(always)]
    fn delivers(&self, flags: Exceptions) -> bool {
        (flags & Exceptions::ALL).bits() & !self.control() != 0
    }

    /// The words of status and shape with the conditions in `mask` replaced by those in `bits`, which may have exception flags too.
    #[inline(always)]
    fn words(&self, mask: u16, bits: u16) -> (u16, u32) {
        let status = (self.cpu.x87.status & !mask | bits) & !C1;
        let before = self.cpu.x87_shape;
        let c1 = if mask & C1 == 0 { before & SHAPE_C1 } else { u32::from(bits & C1) << 7 };
        let shape = X87Shape::new(self.top, self.tags.rotate_left(self.top.into()));
        (status, before & 0xf800 | u32::from(shape.0) | c1)
    }

    /// Ends the instruction at `pc`: conditions and flags as [`Self::words`] says.
    #[inline(always)]
    fn end(self, pc: u64, mask: u16, bits: u16) -> Option<()> {
        (self.cpu.x87.status, self.cpu.x87_shape) = self.words(mask, bits);
        self.cpu.x87.instruction = pc;
        Some(())
    }

    /// Writes a result to ST(i), pops and ends.
    #[inline(always)]
    fn deliver(mut self, pc: u64, i: u8, pops: u8, result: Rounded<F80>) -> Option<()> {
        if self.delivers(result.flags) {
            return None;
        }
        self.set(i, result.value);
        self.pop(pops);
        self.end(pc, C1, result.flags.bits())
    }
}

/// What a memory operand is.
trait Source {
    fn ordinary(bits: u64) -> Option<Ordinary>;
}

struct Double;
struct Single;
struct Integer;

impl Source for Double {
    #[inline(always)]
    fn ordinary(bits: u64) -> Option<Ordinary> {
        Ordinary::double(F64(bits))
    }
}

impl Source for Single {
    #[inline(always)]
    fn ordinary(bits: u64) -> Option<Ordinary> {
        Ordinary::single(F32(bits as u32))
    }
}

impl Source for Integer {
    #[inline(always)]
    fn ordinary(bits: u64) -> Option<Ordinary> {
        Some(Ordinary::integer(bits as i64))
    }
}

#[inline(always)]
fn sum(a: Ordinary, b: Ordinary, variant: u8, precision: u32) -> Option<Rounded<F80>> {
    let a = if variant & FIRST != 0 { a.negate() } else { a };
    let b = if variant & SECOND != 0 { b.negate() } else { b };
    a.add(b, precision)
}

#[inline(always)]
fn product(a: Ordinary, b: Ordinary, _variant: u8, precision: u32) -> Option<Rounded<F80>> {
    a.mul(b, precision)
}

#[inline(always)]
fn quotient(a: Ordinary, b: Ordinary, variant: u8, precision: u32) -> Option<Rounded<F80>> {
    let (a, b) = if variant == 0 { (a, b) } else { (b, a) };
    a.div(b, precision)
}

/// Condition codes of a comparison.
#[inline(always)]
fn conditions(relation: Relation) -> u16 {
    match relation {
        Relation::Less => C0,
        Relation::Equal => C3,
        _ => 0,
    }
}

/// What a value that is to be stored leaves for the caller.
#[inline(always)]
fn store(cpu: &mut CpuState, pops: u8, upper: u64, result: Rounded<u64>) -> Option<()> {
    let mut unit = Unit::start(cpu)?;
    if unit.delivers(result.flags) {
        return None;
    }
    unit.pop(pops);
    let (status, shape) = unit.words(C1, result.flags.bits());
    cpu.host.callout_result = [result.value, upper, status.into(), shape.into()];
    Some(())
}

/// Functions of ST(0), or of ST(0) and ST(1), by the general functions. An operand that is out of range is for the evaluator.
fn unary(cpu: &mut CpuState, how: X87How, pc: u64) -> Option<()> {
    let mut unit = Unit::start(cpu)?;
    let a = unit.st(0)?;
    let mut env = FloatEnv::from_control_word(unit.control());
    let env = &mut env;
    // The register of the result, pops, and conditions that the function tells.
    let (mut i, mut pops, mut mask, mut conditions, mut pushed) = (0, 0, C1, 0, None);
    let value = match X87Unary::ALL[usize::from(how.get_variant())] {
        X87Unary::Fsqrt => soft::sqrt(a, env),
        X87Unary::Frndint => soft::round_to_integral(a, env.rounding, Inexact::Report, env),
        X87Unary::F2xm1 => soft::exp2_minus_1(a, env),
        X87Unary::Fscale => soft::scale(a, unit.st(1)?, env),
        op @ (X87Unary::Fpatan | X87Unary::Fyl2x | X87Unary::Fyl2xp1) => {
            (i, pops) = (1, 1);
            let b = unit.st(1)?;
            match op {
                X87Unary::Fpatan => soft::arctangent(a, b, env),
                X87Unary::Fyl2x => soft::log2_times(a, b, env),
                _ => soft::log2_plus_1_times(a, b, env),
            }
        }
        op @ (X87Unary::Fsin | X87Unary::Fcos | X87Unary::Fsincos | X87Unary::Fptan) => {
            mask |= C2;
            match op {
                X87Unary::Fsin => soft::sine(a, env)?,
                X87Unary::Fcos => soft::cosine(a, env)?,
                X87Unary::Fptan => {
                    pushed = Some(F80::ONE);
                    soft::tangent(a, env)?
                }
                _ => {
                    let both = soft::sine_cosine(a, env)?;
                    pushed = Some(both.cosine);
                    both.sine
                }
            }
        }
        X87Unary::Fxtract => {
            let parts = soft::extract(a, env);
            pushed = Some(parts.significand);
            parts.exponent
        }
        op @ (X87Unary::Fprem | X87Unary::Fprem1) => {
            let quotient = if op == X87Unary::Fprem { Quotient::Truncated } else { Quotient::Nearest };
            let result = soft::remainder(a, unit.st(1)?, quotient, env);
            mask |= C2;
            if soft::classify(result.value) != Kind::Nan {
                (mask, conditions) = (Remainder::CONDITION_MASK, result.condition_bits);
            }
            result.value
        }
        _ => return None,
    };
    // What NaNs give is for the evaluator where there are two results.
    let is_number = soft::classify(value) != Kind::Nan;
    if unit.delivers(env.flags) || pushed.is_some() && (!is_number || unit.tags >> 7 != 0) {
        return None;
    }
    let told = if mask == Remainder::CONDITION_MASK { env.flags.difference(Exceptions::ROUNDED_UP) } else { env.flags };
    unit.set(i, value);
    unit.pop(pops);
    if let Some(v) = pushed {
        unit.push(v)?;
    }
    unit.end(pc, mask, told.bits() | conditions)
}

macro_rules! routines {
    ($($(#[$doc:meta])* $NAME:ident = |$cpu:ident, $how:ident, $pc:ident, $bits:ident, $upper:ident| $body:expr;)*) => {
        /// Names of the routines.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum X87RoutineId {
            $($(#[$doc])* $NAME,)*
        }

        /// The routines by [`X87RoutineId`].
        pub static X87_ROUTINES: [X87Routine; [$(X87RoutineId::$NAME),*].len()] = [$({
            extern "C" fn routine(cpu: &mut CpuState, how: X87How, pc: u64, bits: u64, upper: u64) -> X87Answer {
                #[inline(always)]
                fn body($cpu: &mut CpuState, $how: X87How, $pc: u64, $bits: u64, $upper: u64) -> Option<()> {
                    $body
                }
                let done = u64::from(body(cpu, how, pc, bits, upper).is_some());
                X87Answer { done, attention: cpu.host.attention }
            }
            routine
        }),*];
    };
}

/// `x87_load` of a number.
#[inline(always)]
fn load<S: Source>(cpu: &mut CpuState, pc: u64, bits: u64) -> Option<()> {
    let mut unit = Unit::start(cpu)?;
    unit.push(S::ordinary(bits)?.to_extended())?;
    unit.end(pc, C1, 0)
}

/// `x87_arith` and `x87_arith_mem`: ST(dst) and `b`.
#[inline(always)]
fn arith(
    cpu: &mut CpuState,
    (how, pc): (X87How, u64),
    b: impl FnOnce(&Unit<'_>) -> Option<Ordinary>,
    f: impl FnOnce(Ordinary, Ordinary, u8, u32) -> Option<Rounded<F80>>,
) -> Option<()> {
    let unit = Unit::start(cpu)?;
    let precision = unit.precision()?;
    let result = f(unit.ordinary(how.dst())?, b(&unit)?, how.get_variant(), precision)?;
    unit.deliver(pc, how.dst(), how.pops(), result)
}

/// `x87_compare` and `x87_compare_mem`: ST(0) with `b`.
#[inline(always)]
fn compare(cpu: &mut CpuState, (how, pc): (X87How, u64), b: impl FnOnce(&Unit<'_>) -> Option<Ordinary>) -> Option<()> {
    let mut unit = Unit::start(cpu)?;
    let relation = unit.ordinary(0)?.relate(b(&unit)?);
    unit.pop(how.pops());
    unit.end(pc, C0 | C1 | C2 | C3, conditions(relation))
}

routines! {
    /// Nothing: what code asks for that knows that it needs the evaluator.
    Refuse = |_cpu, _how, _pc, _bits, _upper| None;
    /// `x87_load` of a double.
    LoadDouble = |cpu, _how, pc, bits, _upper| load::<Double>(cpu, pc, bits);
    /// `x87_load` of a single.
    LoadSingle = |cpu, _how, pc, bits, _upper| load::<Single>(cpu, pc, bits);
    /// `x87_load` of an integer, sign-extended.
    LoadInteger = |cpu, _how, pc, bits, _upper| load::<Integer>(cpu, pc, bits);
    /// `x87_load` of an extended value, whatever it is.
    LoadExtended = |cpu, _how, pc, bits, upper| {
        let mut unit = Unit::start(cpu)?;
        unit.push(F80 { significand: bits, sign_exponent: upper as u16 })?;
        unit.end(pc, C1, 0)
    };
    /// `x87_push`.
    Push = |cpu, how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let v = unit.st(how.src())?;
        unit.push(v)?;
        unit.end(pc, C1, 0)
    };
    /// `x87_push_const`: the variant is its number.
    PushConstant = |cpu, how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let rounding = Rounding::from_bits((unit.control() >> 10).into());
        unit.push(soft::constant(X87Const::ALL[usize::from(how.get_variant())].into(), rounding))?;
        unit.end(pc, C1, 0)
    };
    /// `x87_store` of a double.
    StoreDouble = |cpu, how, _pc, _bits, _upper| {
        let unit = Unit::start(cpu)?;
        unit.precision()?;
        let result = unit.ordinary(0)?.to_double()?;
        store(cpu, how.pops(), 0, result)
    };
    /// `x87_store` of a single.
    StoreSingle = |cpu, how, _pc, _bits, _upper| {
        let unit = Unit::start(cpu)?;
        unit.precision()?;
        let result = unit.ordinary(0)?.to_single()?;
        store(cpu, how.pops(), 0, result)
    };
    /// `x87_store` of an integer.
    StoreInteger = |cpu, how, _pc, _bits, _upper| {
        let unit = Unit::start(cpu)?;
        let rounding = Rounding::from_bits((unit.control() >> 10).into());
        let rounding = if how.get_variant() & TRUNCATE != 0 { Rounding::Zero } else { rounding };
        let Rounded { value, flags } = unit.ordinary(0)?.to_integer(8 << (how.get_variant() & 3), rounding)?;
        store(cpu, how.pops(), 0, Rounded { value: value as u64, flags })
    };
    /// `x87_store` of an extended value, whatever it is.
    StoreExtended = |cpu, how, _pc, _bits, _upper| {
        let v = Unit::start(cpu)?.st(0)?;
        let result = Rounded { value: v.significand, flags: Exceptions::empty() };
        store(cpu, how.pops(), v.sign_exponent.into(), result)
    };
    /// `x87_copy`.
    Copy = |cpu, how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let v = unit.st(0)?;
        unit.set(how.dst(), v);
        unit.pop(how.pops());
        unit.end(pc, C1, 0)
    };
    /// `x87_exchange`.
    Exchange = |cpu, how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let (a, b) = (unit.st(0)?, unit.st(how.src())?);
        unit.set(0, b);
        unit.set(how.src(), a);
        unit.end(pc, C1, 0)
    };
    /// Sums and differences of registers.
    Sum = |cpu, how, pc, _bits, _upper| arith(cpu, (how, pc), |unit| unit.ordinary(how.src()), sum);
    /// The same with a double.
    SumDouble = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Double::ordinary(bits), sum);
    /// The same with a single.
    SumSingle = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Single::ordinary(bits), sum);
    /// The same with an integer.
    SumInteger = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Integer::ordinary(bits), sum);
    /// Products of registers.
    Product = |cpu, how, pc, _bits, _upper| arith(cpu, (how, pc), |unit| unit.ordinary(how.src()), product);
    /// The same with a double.
    ProductDouble = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Double::ordinary(bits), product);
    /// The same with a single.
    ProductSingle = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Single::ordinary(bits), product);
    /// The same with an integer.
    ProductInteger = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Integer::ordinary(bits), product);
    /// Quotients of registers.
    Quotient = |cpu, how, pc, _bits, _upper| arith(cpu, (how, pc), |unit| unit.ordinary(how.src()), quotient);
    /// The same with a double.
    QuotientDouble = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Double::ordinary(bits), quotient);
    /// The same with a single.
    QuotientSingle = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Single::ordinary(bits), quotient);
    /// The same with an integer.
    QuotientInteger = |cpu, how, pc, bits, _upper| arith(cpu, (how, pc), |_| Integer::ordinary(bits), quotient);
    /// `x87_compare`.
    Compare = |cpu, how, pc, _bits, _upper| compare(cpu, (how, pc), |unit| unit.ordinary(how.src()));
    /// The same with a double.
    CompareDouble = |cpu, how, pc, bits, _upper| compare(cpu, (how, pc), |_| Double::ordinary(bits));
    /// The same with a single.
    CompareSingle = |cpu, how, pc, bits, _upper| compare(cpu, (how, pc), |_| Single::ordinary(bits));
    /// The same with an integer; `ftst` is one with zero.
    CompareInteger = |cpu, how, pc, bits, _upper| compare(cpu, (how, pc), |_| Integer::ordinary(bits));
    /// `x87_compare_flags`: the flags are the result.
    CompareFlags = |cpu, how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let flags = match unit.ordinary(0)?.relate(unit.ordinary(how.src())?) {
            Relation::Less => FlagSet::CF,
            Relation::Equal => FlagSet::ZF,
            _ => FlagSet::empty(),
        };
        unit.pop(how.pops());
        unit.end(pc, 0, 0)?;
        cpu.host.callout_result = [flags.bits().into(), 0, 0, 0];
        Some(())
    };
    /// `fchs`.
    Negate = |cpu, _how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let v = unit.st(0)?.negate();
        unit.set(0, v);
        unit.end(pc, C1, 0)
    };
    /// `fabs`.
    Magnitude = |cpu, _how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let v = unit.st(0)?.abs();
        unit.set(0, v);
        unit.end(pc, C1, 0)
    };
    /// `fxam`.
    Examine = |cpu, _how, pc, _bits, _upper| {
        let unit = Unit::start(cpu)?;
        let a = unit.st(0)?;
        let kind: Kind = soft::classify(a);
        let sign = if a.is_negative() { C1 } else { 0 };
        unit.end(pc, C0 | C1 | C2 | C3, kind.condition_bits() | sign)
    };
    /// Functions of ST(0), and of ST(1).
    Unary = |cpu, how, pc, _bits, _upper| unary(cpu, how, pc);
    /// `x87_cmov`: the bits are the condition.
    ConditionalCopy = |cpu, how, pc, bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        let (a, b) = (unit.st(0)?, unit.st(how.src())?);
        unit.set(0, if bits as u8 != 0 { b } else { a });
        unit.end(pc, 0, 0)
    };
    /// `x87_free`.
    Free = |cpu, how, pc, _bits, _upper| {
        let mut unit = Unit::start(cpu)?;
        unit.tags &= !(1 << how.dst());
        unit.pop(how.pops());
        unit.end(pc, C1, 0)
    };
    /// `fwait`.
    Wait = |cpu, _how, _pc, _bits, _upper| Unit::start(cpu).map(drop);
    /// `x87_set_control`.
    SetControl = |cpu, _how, _pc, bits, _upper| {
        Unit::start(cpu)?;
        tell_inexact(cpu);
        let status = cpu.x87.status;
        load_words(&mut cpu.x87, X87Arithmetic::Exact, bits as u16, status);
        renew_control_bits(cpu);
        Some(())
    };
}
