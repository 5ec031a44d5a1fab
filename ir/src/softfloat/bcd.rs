//! Packed decimal: 18 digits in nine bytes, low digits first, and the sign in bit 7 of the tenth.

use super::env::Exceptions;
use super::env::FloatEnv;
use super::format::F80;
use super::integer::{from_i64, to_i64};

/// The "packed BCD indefinite".
const INDEFINITE: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff];

/// The smallest magnitude with more than 18 digits.
const LIMIT: u64 = 1_000_000_000_000_000_000;

/// `fbld`: exact, raises nothing. Nibbles above 9 count for what they are, as processors do it.
#[must_use]
pub fn from_bcd(bytes: [u8; 10]) -> F80 {
    let [digits @ .., sign] = bytes;
    let magnitude =
        digits.iter().rev().fold(0u64, |value, byte| value * 100 + u64::from(byte >> 4) * 10 + u64::from(byte & 15));
    let value: F80 = from_i64(magnitude as i64, &mut FloatEnv::default());
    if sign & 0x80 != 0 { value.negate() } else { value }
}

/// `fbstp`: rounds to an integer as `env` says; more than 18 digits, and what is no number, become the indefinite, with IE.
#[must_use]
pub fn to_bcd(a: F80, env: &mut FloatEnv) -> [u8; 10] {
    let mut attempt = *env;
    let value = to_i64(a, env.rounding, &mut attempt);
    let mut rest = value.unsigned_abs();
    if rest >= LIMIT {
        env.raise(Exceptions::INVALID);
        return INDEFINITE;
    }
    env.flags = attempt.flags;
    let mut bytes = [0; 10];
    for byte in &mut bytes[..9] {
        let pair = (rest % 100) as u8;
        rest /= 100;
        *byte = ((pair / 10) << 4) | (pair % 10);
    }
    bytes[9] = u8::from(a.is_negative()) << 7;
    bytes
}
