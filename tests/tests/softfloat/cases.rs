//! Operands that hit corners, and the bookkeeping of failures.

use hokku_ir::softfloat::{F32, F64, F80};

/// A small generator of repeatable pseudo-random numbers (splitmix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

/// How many cases a test runs: `release` of them in release builds, a fraction in debug builds.
pub(crate) fn count(release: u64) -> u64 {
    if cfg!(debug_assertions) { release / 4 } else { release }
}

/// Sign, biased exponent and fraction of an interesting value of a format with those field widths.
fn fields(rng: &mut Rng, exponent_bits: u32, fraction_bits: u32) -> (u64, u64, u64) {
    let top = (1u64 << exponent_bits) - 1;
    let bias = top >> 1;
    let exponent = match rng.below(16) {
        0 | 1 => 0,
        2 => top,
        3 => top - 1 - rng.below(3),
        4 => 1 + rng.below(3),
        5..=8 => bias - 4 + rng.below(9),
        9 | 10 => bias - 70 + rng.below(140),
        11 => bias / 2 - 2 + rng.below(5),
        12 => bias + bias / 2 - 2 + rng.below(5),
        13 => rng.below(2 * u64::from(fraction_bits)),
        _ => rng.below(top + 1),
    };
    let all = u64::MAX >> (64 - fraction_bits);
    let bit = |rng: &mut Rng| 1u64 << rng.below(u64::from(fraction_bits));
    let fraction = match rng.below(12) {
        0 | 1 => 0,
        2 => 1,
        3 => all - rng.below(2),
        4 => 1 << (fraction_bits - 1),
        5 => bit(rng),
        6 => bit(rng) | bit(rng),
        7 => all ^ bit(rng),
        // Few leading bits: exact products, ties.
        8 => rng.next() & all & !(all >> rng.below(u64::from(fraction_bits))),
        9 => (all >> rng.below(u64::from(fraction_bits))) & rng.next(),
        _ => rng.next() & all,
    };
    (rng.next() & 1, exponent.min(top), fraction & all)
}

/// A second operand's fields, often close to the first's so that sums cancel and comparisons are tight.
fn near(rng: &mut Rng, bits: u64, fraction_bits: u32) -> u64 {
    match rng.below(4) {
        0 => bits,
        1 => bits.wrapping_add(rng.below(9)).wrapping_sub(4),
        2 => bits ^ 1 << (rng.below(u64::from(fraction_bits))),
        _ => bits.wrapping_add((rng.below(5) << fraction_bits).wrapping_sub(2 << fraction_bits)),
    }
}

pub(crate) fn f32(rng: &mut Rng) -> F32 {
    let (s, e, f) = fields(rng, 8, 23);
    F32((s << 31 | e << 23 | f) as u32)
}

pub(crate) fn f64(rng: &mut Rng) -> F64 {
    let (s, e, f) = fields(rng, 11, 52);
    F64(s << 63 | e << 52 | f)
}

/// An extended value; one in sixteen has the wrong leading bit.
pub(crate) fn f80(rng: &mut Rng) -> F80 {
    let (s, e, f) = fields(rng, 15, 63);
    let leading = u64::from(e != 0) ^ u64::from(rng.below(16) == 0);
    F80 { significand: leading << 63 | f, sign_exponent: (s << 15 | e) as u16 }
}

pub(crate) fn f32_pair(rng: &mut Rng) -> (F32, F32) {
    let a = f32(rng);
    let b = if rng.below(4) == 0 {
        F32(near(rng, u64::from(a.0), 23) as u32 ^ ((rng.next() & 1) as u32) << 31)
    } else {
        f32(rng)
    };
    if rng.next() & 1 == 0 { (a, b) } else { (b, a) }
}

pub(crate) fn f64_pair(rng: &mut Rng) -> (F64, F64) {
    let a = f64(rng);
    let b = if rng.below(4) == 0 { F64(near(rng, a.0, 52) ^ (rng.next() & 1) << 63) } else { f64(rng) };
    if rng.next() & 1 == 0 { (a, b) } else { (b, a) }
}

pub(crate) fn f80_pair(rng: &mut Rng) -> (F80, F80) {
    let a = f80(rng);
    let b = if rng.below(4) == 0 {
        let shift = rng.below(5).wrapping_sub(2) as u16;
        F80 {
            significand: near(rng, a.significand, 62),
            sign_exponent: a.sign_exponent.wrapping_add(shift) ^ (rng.next() as u16 & 0x8000),
        }
    } else {
        f80(rng)
    };
    if rng.next() & 1 == 0 { (a, b) } else { (b, a) }
}

/// Counts differences and shows the first few.
pub(crate) struct Differences {
    name: String,
    cases: u64,
    found: u64,
}

impl Differences {
    pub(crate) fn of(name: impl Into<String>) -> Self {
        Self { name: name.into(), cases: 0, found: 0 }
    }

    /// Compares what the processor did with what we did; `input` describes the case.
    pub(crate) fn check<T: PartialEq + std::fmt::Debug>(
        &mut self,
        native: &T,
        ours: &T,
        input: impl FnOnce() -> String,
    ) {
        self.cases += 1;
        if native != ours {
            self.found += 1;
            if self.found <= 6 {
                eprintln!("{}: {}\n  processor {native:x?}\n  ours      {ours:x?}", self.name, input());
            }
        }
    }

    /// Ends the test.
    pub(crate) fn finish(self) {
        assert!(self.cases > 0, "{}: no cases ran", self.name);
        assert_eq!(self.found, 0, "{}: {} of {} cases differ", self.name, self.found, self.cases);
    }
}
