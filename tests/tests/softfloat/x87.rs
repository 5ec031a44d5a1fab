//! x87 arithmetic, comparison and conversion: every precision and rounding mode, masked and unmasked exceptions.

use hokku_ir::softfloat::{self as sf, Exceptions, F32, F64, F80, FloatEnv, Inexact, Relation, Rounding};

use crate::cases::{self, Differences, Rng, count};
use crate::makes;
use crate::native_x87::{self as native, After};

/// What a test compares: ST0, the exception flags with C1, and bytes in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) st0: F80,
    pub(crate) flags: Exceptions,
    pub(crate) memory: [u8; 10],
}

/// A random control word. Most have all exceptions masked; some any combination.
pub(crate) fn control_word(rng: &mut Rng) -> u16 {
    let r = rng.next();
    let masks = if r & 0x30000 == 0 { (r >> 32) as u16 & 0x3f } else { 0x3f };
    (r as u16 & 0x0f00) | masks
}

/// The exception flags and C1 of a status word.
pub(crate) fn flags(fsw: u16) -> Exceptions {
    Exceptions::from_bits_truncate(fsw)
}

pub(crate) type Native = fn([F80; 2], [u8; 10], u16) -> After;

/// A case: the stack and the bytes of a memory operand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    pub(crate) st: [F80; 2],
    pub(crate) memory: [u8; 10],
}

/// Random registers, and in memory a float of the format `bits` wide or random bytes.
fn input(rng: &mut Rng, bits: u32) -> Input {
    let (a, b) = cases::f80_pair(rng);
    let mut memory = [0xa5; 10];
    match bits {
        32 => memory[..4].copy_from_slice(&cases::f32(rng).0.to_le_bytes()),
        64 => memory[..8].copy_from_slice(&cases::f64(rng).0.to_le_bytes()),
        _ => {}
    }
    Input { st: [a, b], memory }
}

impl Input {
    fn m32(&self) -> F32 {
        F32(u32::from_le_bytes([self.memory[0], self.memory[1], self.memory[2], self.memory[3]]))
    }

    fn m64(&self) -> F64 {
        let [a, b, c, d, e, f, g, h, ..] = self.memory;
        F64(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// Where an instruction puts its result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    St0,
    /// A new top of the stack.
    Push,
    /// Memory, and whether the instruction pops.
    Memory {
        pop: bool,
    },
}

/// Runs random cases through an instruction and through `ours`, which gives what the instruction leaves in ST0 (or in
/// memory) if nothing keeps it from doing so.
fn instruction(
    name: &str,
    bits: u32,
    destination: Destination,
    native: Native,
    ours: impl Fn(&Input, &mut FloatEnv) -> (F80, [u8; 10]),
) {
    let mut rng = Rng(0x87);
    let mut differences = Differences::of(name);
    for _ in 0..count(300_000) {
        let case = input(&mut rng, bits);
        let fcw = control_word(&mut rng);
        let after = native(case.st, case.memory, fcw);
        let mut env = FloatEnv::from_control_word(fcw);
        let (st0, memory) = ours(&case, &mut env);
        let settled = env.settle();
        let cancelled = match destination {
            Destination::St0 => !settled.writes_register(),
            Destination::Push => !settled.pushes(),
            Destination::Memory { .. } => !settled.writes_memory(),
        };
        let ours = Seen {
            st0: match destination {
                _ if cancelled => case.st[0],
                Destination::Memory { pop: true } => case.st[1],
                _ => st0,
            },
            flags: settled.flags,
            memory: if cancelled { case.memory } else { memory },
        };
        let seen = Seen { st0: after.st[0], flags: flags(after.fsw), memory: after.memory };
        differences.check(&seen, &ours, || format!("{case:x?} fcw {fcw:#x}"));
    }
    differences.finish();
}

/// An instruction that puts its result into ST0.
fn to_st0(name: &str, bits: u32, native: Native, ours: impl Fn(&Input, &mut FloatEnv) -> F80) {
    instruction(name, bits, Destination::St0, native, |case, env| (ours(case, env), case.memory));
}

/// An instruction that pushes its result.
fn push(name: &str, bits: u32, native: Native, ours: impl Fn(&Input, &mut FloatEnv) -> F80) {
    instruction(name, bits, Destination::Push, native, |case, env| (ours(case, env), case.memory));
}

/// An instruction that stores its result; it pops if its name says so.
fn to_memory<const N: usize>(name: &str, native: Native, ours: impl Fn(F80, &mut FloatEnv) -> [u8; N]) {
    let pop = name.split(' ').next().is_some_and(|mnemonic| mnemonic.ends_with('p'));
    instruction(name, 0, Destination::Memory { pop }, native, |case, env| {
        let mut memory = case.memory;
        memory[..N].copy_from_slice(&ours(case.st[0], env));
        (case.st[0], memory)
    });
}

#[test]
fn addition() {
    to_st0("fadd", 0, native::fadd, |c, env| sf::add(c.st[0], c.st[1], env));
    to_st0("fadd m32", 32, native::fadd_m32, |c, env| sf::add(c.st[0], c.m32(), env));
    to_st0("fadd m64", 64, native::fadd_m64, |c, env| sf::add(c.st[0], c.m64(), env));
}

#[test]
fn subtraction() {
    to_st0("fsub", 0, native::fsub, |c, env| sf::sub(c.st[0], c.st[1], env));
    to_st0("fsubr", 0, native::fsubr, |c, env| sf::sub(c.st[1], c.st[0], env));
    to_st0("fsub m32", 32, native::fsub_m32, |c, env| sf::sub(c.st[0], c.m32(), env));
    to_st0("fsubr m32", 32, native::fsubr_m32, |c, env| sf::sub(c.m32(), c.st[0], env));
    to_st0("fsub m64", 64, native::fsub_m64, |c, env| sf::sub(c.st[0], c.m64(), env));
    to_st0("fsubr m64", 64, native::fsubr_m64, |c, env| sf::sub(c.m64(), c.st[0], env));
}

#[test]
fn multiplication() {
    to_st0("fmul", 0, native::fmul, |c, env| sf::mul(c.st[0], c.st[1], env));
    to_st0("fmul m32", 32, native::fmul_m32, |c, env| sf::mul(c.st[0], c.m32(), env));
    to_st0("fmul m64", 64, native::fmul_m64, |c, env| sf::mul(c.st[0], c.m64(), env));
}

#[test]
fn division() {
    to_st0("fdiv", 0, native::fdiv, |c, env| sf::div(c.st[0], c.st[1], env));
    to_st0("fdivr", 0, native::fdivr, |c, env| sf::div(c.st[1], c.st[0], env));
    to_st0("fdiv m32", 32, native::fdiv_m32, |c, env| sf::div(c.st[0], c.m32(), env));
    to_st0("fdivr m32", 32, native::fdivr_m32, |c, env| sf::div(c.m32(), c.st[0], env));
    to_st0("fdiv m64", 64, native::fdiv_m64, |c, env| sf::div(c.st[0], c.m64(), env));
    to_st0("fdivr m64", 64, native::fdivr_m64, |c, env| sf::div(c.m64(), c.st[0], env));
}

#[test]
fn square_root() {
    to_st0("fsqrt", 0, native::fsqrt, |c, env| sf::sqrt(c.st[0], env));
}

#[test]
fn round_to_integral() {
    to_st0("frndint", 0, native::frndint, |c, env| sf::round_to_integral(c.st[0], env.rounding, Inexact::Report, env));
}

#[test]
fn loads() {
    push("fld m32", 32, native::fld_m32, |c, env| sf::load(c.m32(), env));
    push("fld m64", 64, native::fld_m64, |c, env| sf::load(c.m64(), env));
    push("fild m64", 64, native::fild_m64, |c, env| sf::from_i64(c.m64().0 as i64, env));
}

#[test]
fn constants() {
    use sf::Constant::{LnOf2, Log2Of10, Log2OfE, Log10Of2, One, Pi, Zero};
    for (name, native, constant) in [
        ("fldz", native::fldz as Native, Zero),
        ("fld1", native::fld1, One),
        ("fldl2t", native::fldl2t, Log2Of10),
        ("fldl2e", native::fldl2e, Log2OfE),
        ("fldpi", native::fldpi, Pi),
        ("fldlg2", native::fldlg2, Log10Of2),
        ("fldln2", native::fldln2, LnOf2),
    ] {
        push(name, 0, native, |_, env| sf::constant(constant, env.rounding));
    }
}

#[test]
fn stores() {
    to_memory("fst m32", native::fst_m32, |a, env| sf::store::<F32>(a, env).0.to_le_bytes());
    to_memory("fst m64", native::fst_m64, |a, env| sf::store::<F64>(a, env).0.to_le_bytes());
    to_memory("fist m16", native::fist_m16, |a, env| sf::to_i16(a, env.rounding, env).to_le_bytes());
    to_memory("fist m32", native::fist_m32, |a, env| sf::to_i32(a, env.rounding, env).to_le_bytes());
    to_memory("fistp m64", native::fistp_m64, |a, env| sf::to_i64(a, env.rounding, env).to_le_bytes());
    to_memory("fisttp m16", native::fisttp_m16, |a, env| sf::to_i16(a, Rounding::Zero, env).to_le_bytes());
    to_memory("fisttp m32", native::fisttp_m32, |a, env| sf::to_i32(a, Rounding::Zero, env).to_le_bytes());
    to_memory("fisttp m64", native::fisttp_m64, |a, env| sf::to_i64(a, Rounding::Zero, env).to_le_bytes());
    to_memory("fbstp", native::fbstp, sf::to_bcd);
}

fn condition_bits(fsw: u16) -> u16 {
    fsw & 0x4500
}

#[test]
fn comparison() {
    fn compare(name: &str, bits: u32, native: Native, ours: impl Fn(&Input, &mut FloatEnv) -> Relation) {
        let mut rng = Rng(0xc0);
        let mut differences = Differences::of(name);
        for _ in 0..count(300_000) {
            let case = input(&mut rng, bits);
            let fcw = control_word(&mut rng);
            let after = native(case.st, case.memory, fcw);
            let mut env = FloatEnv::from_control_word(fcw);
            let relation = ours(&case, &mut env);
            let settled = env.settle();
            let (status, eflags) = match relation {
                Relation::Less => (0x0100, 0x01),
                Relation::Equal => (0x4000, 0x40),
                Relation::Greater => (0, 0),
                Relation::Unordered => (0x4500, 0x45),
            };
            let to_eflags = name.ends_with('i');
            // Unmasked exceptions do not keep a comparison from reporting.
            let ours = if to_eflags { (0, eflags, settled.flags) } else { (status, 0x44, settled.flags) };
            let seen = (condition_bits(after.fsw), after.eflags, flags(after.fsw));
            differences.check(&seen, &ours, || format!("{case:x?} fcw {fcw:#x}"));
        }
        differences.finish();
    }
    compare("fcom", 0, native::fcom, |c, env| sf::compare_signaling(c.st[0], c.st[1], env));
    compare("fucom", 0, native::fucom, |c, env| sf::compare_quiet(c.st[0], c.st[1], env));
    compare("fcomi", 0, native::fcomi, |c, env| sf::compare_signaling(c.st[0], c.st[1], env));
    compare("fucomi", 0, native::fucomi, |c, env| sf::compare_quiet(c.st[0], c.st[1], env));
    compare("ftst", 0, native::ftst, |c, env| sf::compare_signaling(c.st[0], F80::ZERO, env));
    compare("fcom m32", 32, native::fcom_m32, |c, env| sf::compare_signaling(c.st[0], c.m32(), env));
    compare("fcom m64", 64, native::fcom_m64, |c, env| sf::compare_signaling(c.st[0], c.m64(), env));
}

#[test]
fn classification() {
    let mut rng = Rng(0xf0);
    let mut differences = Differences::of("fxam");
    for _ in 0..count(300_000) {
        let case = input(&mut rng, 0);
        let after = native::fxam(case.st, case.memory, 0x37f);
        let ours = sf::classify(case.st[0]).condition_bits() | u16::from(case.st[0].is_negative()) << 9;
        differences.check(&(after.fsw & 0x4700), &ours, || format!("{case:x?}"));
    }
    differences.finish();
}

#[test]
fn decimal_load() {
    let mut rng = Rng(0xbcd);
    let mut differences = Differences::of("fbld");
    for _ in 0..count(300_000) {
        let mut memory = [0u8; 10];
        let (low, high) = (rng.next(), rng.next());
        memory[..8].copy_from_slice(&low.to_le_bytes());
        memory[8..].copy_from_slice(&(high as u16).to_le_bytes());
        if rng.below(4) != 0 {
            // Decimal digits alone, and often few of them.
            let keep = 1 + rng.below(9) as usize;
            for (i, byte) in memory[..9].iter_mut().enumerate() {
                *byte = if i < keep { (*byte % 10) | (((*byte >> 4) % 10) << 4) } else { 0 };
            }
        }
        let after = native::fbld([F80::ONE; 2], memory, 0x37f);
        let seen = (after.st[0], flags(after.fsw));
        differences.check(&seen, &(sf::from_bcd(memory), Exceptions::empty()), || format!("{memory:x?}"));
    }
    differences.finish();
}

#[test]
fn scale() {
    to_st0("fscale", 0, native::fscale, |c, env| {
        let result = sf::scale(c.st[0], c.st[1], env);
        makes::told(c.st[0], result, env)
    });
}

#[test]
fn extract() {
    let mut rng = Rng(0xe7);
    let mut differences = Differences::of("fxtract");
    for _ in 0..count(300_000) {
        let case = input(&mut rng, 0);
        let fcw = control_word(&mut rng);
        let after = native::fxtract(case.st, case.memory, fcw);
        let mut env = FloatEnv::from_control_word(fcw);
        let parts = sf::extract(case.st[0], &mut env);
        let settled = env.settle();
        let st = if settled.writes_register() { [parts.significand, parts.exponent] } else { case.st };
        let seen = ([after.st[0], after.st[1]], flags(after.fsw));
        differences.check(&seen, &(st, settled.flags), || format!("{case:x?} fcw {fcw:#x}"));
    }
    differences.finish();
}

#[test]
fn partial_remainder() {
    fn all(name: &str, native: Native, quotient: sf::Quotient) {
        let mut rng = Rng(0x7e);
        let mut differences = Differences::of(name);
        for _ in 0..count(300_000) {
            let mut case = input(&mut rng, 0);
            if rng.below(2) == 0 {
                // Exponents so close that the quotient is small, or just around the limit of one step.
                let distance = if rng.below(2) == 0 { rng.below(5) } else { rng.below(70) };
                let exponent = (case.st[1].sign_exponent & 0x7fff).wrapping_add(distance as u16) & 0x7fff;
                case.st[0].sign_exponent = case.st[0].sign_exponent & 0x8000 | exponent;
            }
            let fcw = control_word(&mut rng);
            let after = native(case.st, case.memory, fcw);
            let mut env = FloatEnv::from_control_word(fcw);
            let ours = sf::remainder(case.st[0], case.st[1], quotient, &mut env);
            let value = makes::told(case.st[0], ours.value, &mut env);
            let settled = env.settle();
            let (st0, bits) = if settled.writes_register() { (value, ours.condition_bits) } else { (case.st[0], 0) };
            let seen = (after.st[0], flags(after.fsw) & Exceptions::ALL, after.fsw & 0x4700);
            differences
                .check(&seen, &(st0, settled.flags & Exceptions::ALL, bits), || format!("{case:x?} fcw {fcw:#x}"));
        }
        differences.finish();
    }
    all("fprem", native::fprem, sf::Quotient::Truncated);
    all("fprem1", native::fprem1, sf::Quotient::Nearest);
}
