//! `fpatan`.

use super::series;
use super::wide::Wide;
use crate::softfloat::env::FloatEnv;
use crate::softfloat::format::{Class, F80, Format, Unpacked};
use crate::softfloat::nan::propagate;
use crate::softfloat::round::round_to_precision;

const PI: Wide = Wide::constant(1, 0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1);
const HALF_PI: Wide = Wide { exponent: 0, ..PI };

/// Arctangents of `1/8, 2/8, ... 8/8`.
const EIGHTHS: [Wide; 8] = [
    Wide::constant(-4, 0xfead_d4d5_617b_6e32_c897_989f_3e88_8ef8),
    Wide::constant(-3, 0xfadb_afc9_6406_eb15_6dc7_9ef5_f7a2_17e6),
    Wide::constant(-2, 0xb7b0_ca0f_26f7_8473_8aa3_2122_dcfe_4483),
    Wide::constant(-2, 0xed63_382b_0dda_7b45_6fe4_45ec_bc3a_8d03),
    Wide::constant(-1, 0x8f00_5d5e_f7f5_9f9b_5c83_5e16_65c4_3748),
    Wide::constant(-1, 0xa4bc_7d19_34f7_0924_19a8_7f2a_457d_ac9f),
    Wide::constant(-1, 0xb805_3e2b_c231_9e73_cb2d_a552_10a4_443d),
    Wide::constant(-1, 0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1),
];

/// `fpatan`: the angle of the point (`x`, `y`), where `x` is ST0 and `y` ST1; in `[-π, π]`, with the sign of `y`.
#[must_use]
pub fn arctangent(x: F80, y: F80, env: &mut FloatEnv) -> F80 {
    let (x, y) = (x.unpack(false), y.unpack(false));
    if x.is_nan_or_refused() || y.is_nan_or_refused() {
        return propagate(&x, &y, env);
    }
    env.raise(x.denormal_flag() | y.denormal_flag());
    let angle = match (y.class, x.class) {
        (Class::Infinite, Class::Infinite) => {
            // π/4 or 3π/4.
            let quarter = Wide { exponent: -1, ..PI };
            if x.negative { PI.sub(quarter) } else { quarter }
        }
        (Class::Infinite, _) => HALF_PI,
        (Class::Zero, _) | (_, Class::Infinite) if !x.negative => return F80::zero(y.negative),
        (Class::Zero, _) | (_, Class::Infinite) => PI,
        (_, Class::Zero) => HALF_PI,
        _ => finite_angle(&x, &y),
    };
    round_to_precision(Wide { negative: y.negative, ..angle }.exact(true), F80::PRECISION, env)
}

/// The angle's magnitude for finite non-zero coordinates.
fn finite_angle(x: &Unpacked, y: &Unpacked) -> Wide {
    let magnitude = |u| Wide { negative: false, ..Wide::from_operand(u) };
    let (ax, ay) = (magnitude(x), magnitude(y));
    let steep = (ay.exponent, ay.significand) > (ax.exponent, ax.significand);
    let ratio = if steep { ax.div(ay) } else { ay.div(ax) };
    let angle = first_octant(ratio);
    match (steep, x.negative) {
        (false, false) => angle,
        (false, true) => PI.sub(angle),
        (true, false) => HALF_PI.sub(angle),
        (true, true) => HALF_PI.add(angle),
    }
}

/// The arctangent of a value in `(0, 1]`.
fn first_octant(t: Wide) -> Wide {
    // The nearest eighth c; atan(t) = atan(c) + atan((t - c) / (1 + tc)).
    let eighths = if t.exponent < -4 { 0 } else { ((t.significand >> (123 - t.exponent)) as usize).div_ceil(2) };
    if eighths == 0 {
        return small(t);
    }
    let center = Wide::from_integer(eighths as i32);
    let center = Wide { exponent: center.exponent - 3, ..center };
    let difference = t.sub(center);
    if difference.is_zero() {
        return EIGHTHS[eighths - 1];
    }
    EIGHTHS[eighths - 1].add(small(difference.div(Wide::from_integer(1).add(t.mul(center)))))
}

/// The arctangent of a value of at most 1/16 in magnitude.
fn small(t: Wide) -> Wide {
    t.mul(Wide::new(false, 0, series::arctangent(t.mul(t).fraction())))
}
