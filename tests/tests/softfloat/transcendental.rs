//! The x87's transcendental instructions: results within one unit in the last place of the processor's, everything else
//! (special operands, flags but C1, the stack) the same.

use hokku_ir::softfloat::{self as sf, Exceptions, F80, FloatEnv};

use crate::cases::{self, Differences, Rng, count};
use crate::makes;
use crate::native_x87 as native;
use crate::x87::{Native, control_word, flags};

/// Where on the line of all extended values `a` lies, so that neighbours differ by 1.
fn position(a: F80) -> i128 {
    let magnitude = i128::from(a.sign_exponent & 0x7fff) << 63 | i128::from(a.significand & (u64::MAX >> 1));
    if a.is_negative() { -magnitude } else { magnitude }
}

fn is_number(a: F80) -> bool {
    a.sign_exponent & 0x7fff != 0x7fff
}

/// How far apart two results are, in units in the last place; `None` if they differ in kind.
fn distance(a: F80, b: F80) -> Option<u128> {
    if a == b {
        return Some(0);
    }
    (is_number(a) && is_number(b)).then(|| position(a).abs_diff(position(b)))
}

/// What an instruction leaves: the top two registers and whether C2 is set.
type Ours = fn([F80; 2], &mut FloatEnv) -> ([F80; 2], bool);

const C2: u16 = 1 << 10;

/// Compares; prints how many results differ and by how much at most.
fn compare(name: &str, native: Native, operands: fn(&mut Rng) -> [F80; 2], ours: Ours) {
    let mut rng = Rng(0x7a);
    let mut differences = Differences::of(name);
    let (mut inexact, mut differing, mut largest) = (0u64, 0u64, 0);
    for _ in 0..count(300_000) {
        let st = operands(&mut rng);
        let fcw = control_word(&mut rng);
        let mut after = native(st, [0; 10], fcw);
        let mut env = FloatEnv::from_control_word(fcw);
        let (results, c2) = ours(st, &mut env);
        let settled = env.settle();
        for value in &mut after.st {
            *value = makes::without_scale(*value, flags(after.fsw), settled.flags, env.masked);
        }
        let results = if settled.writes_register() { results } else { st };
        let mut near = results;
        let mut ignored = Exceptions::ROUNDED_UP;
        for (near, native) in near.iter_mut().zip(after.st) {
            if let Some(ulps) = distance(*near, native) {
                inexact += u64::from(is_number(native) && native != F80::ZERO);
                differing += u64::from(ulps != 0);
                largest = largest.max(ulps);
                if ulps <= 1 {
                    // Neighbours across the smallest normal value differ in UE too.
                    if sf::classify(*near) != sf::classify(native) {
                        ignored |= Exceptions::UNDERFLOW;
                    }
                    *near = native;
                }
            }
        }
        let seen = (after.fsw & C2 != 0, flags(after.fsw) - ignored, [after.st[0], after.st[1]]);
        differences.check(&seen, &(c2, settled.flags - ignored, near), || format!("{st:x?} fcw {fcw:#x}"));
    }
    println!("{name}: {differing} of {inexact} inexact results differ, by at most {largest} units");
    differences.finish();
}

/// A value with an exponent in `low..=high`, often close to a power of two, or (one in eight) anything.
fn between(rng: &mut Rng, low: i32, high: i32) -> F80 {
    let any = cases::f80(rng);
    if rng.below(8) == 0 {
        return any;
    }
    let exponent = (16383 + low) as u16 + rng.below((high - low + 1) as u64) as u16;
    F80 { significand: any.significand | 1 << 63, sign_exponent: any.sign_exponent & 0x8000 | exponent }
}

#[test]
fn exponential() {
    compare(
        "f2xm1",
        native::f2xm1,
        |rng| [between(rng, -12, -1), F80::ZERO],
        |st, env| ([sf::exp2_minus_1(st[0], env), st[1]], false),
    );
}

#[test]
fn logarithm() {
    compare(
        "fyl2x",
        native::fyl2x,
        |rng| [between(rng, -8, 8), between(rng, -8, 8)],
        |st, env| ([sf::log2_times(st[0], st[1], env), F80::ZERO], false),
    );
    compare(
        "fyl2xp1",
        native::fyl2xp1,
        |rng| [between(rng, -40, -3), between(rng, -8, 8)],
        |st, env| ([sf::log2_plus_1_times(st[0], st[1], env), F80::ZERO], false),
    );
}

#[test]
fn arctangent() {
    compare(
        "fpatan",
        native::fpatan,
        |rng| [between(rng, -8, 8), between(rng, -8, 8)],
        |st, env| ([sf::arctangent(st[0], st[1], env), F80::ZERO], false),
    );
}

#[test]
fn sine_and_cosine() {
    fn operands(rng: &mut Rng) -> [F80; 2] {
        let high = if rng.below(2) == 0 { 4 } else { 63 };
        [between(rng, -20, high), F80::ZERO]
    }
    compare("fsin", native::fsin, operands, |st, env| match sf::sine(st[0], env) {
        Some(value) => ([value, st[1]], false),
        None => (st, true),
    });
    compare("fcos", native::fcos, operands, |st, env| match sf::cosine(st[0], env) {
        Some(value) => ([value, st[1]], false),
        None => (st, true),
    });
    compare("fsincos", native::fsincos, operands, |st, env| match sf::sine_cosine(st[0], env) {
        Some(both) => ([both.cosine, both.sine], false),
        None => (st, true),
    });
    compare("fptan", native::fptan, operands, |st, env| match sf::tangent(st[0], env) {
        Some(value) if value.sign_exponent & 0x7fff == 0x7fff => ([value, value], false),
        Some(value) => ([F80::ONE, value], false),
        None => (st, true),
    });
}
