//! Which NaN comes out. Source: Intel SDM vol. 1, table 4-7.

use super::env::{Exceptions, FloatEnv};
use super::format::{Class, Format, Unpacked};

/// The quiet form of the NaN `u` in format `R`; payload bits that do not fit are cut off.
#[inline]
pub(crate) fn quiet<R: Format>(u: &Unpacked) -> R {
    R::pack(u.negative, R::TOP, u.significand | 1 << 62)
}

/// Raises IE and returns the default NaN.
#[cold]
pub(crate) fn invalid<R: Format>(env: &mut FloatEnv) -> R {
    env.raise(Exceptions::INVALID);
    R::default_nan()
}

/// The result of a one-operand operation on a NaN or a refused encoding.
#[cold]
pub(crate) fn propagate_one<R: Format>(a: &Unpacked, env: &mut FloatEnv) -> R {
    match a.class {
        Class::QuietNan => quiet(a),
        Class::SignalingNan => {
            env.raise(Exceptions::INVALID);
            quiet(a)
        }
        _ => invalid(env),
    }
}

/// The result of an operation on `a` and `b`, one of which at least is a NaN or a refused encoding.
#[cold]
pub(crate) fn propagate<R: Format>(a: &Unpacked, b: &Unpacked, env: &mut FloatEnv) -> R {
    if a.class == Class::Refused || b.class == Class::Refused {
        return invalid(env);
    }
    if a.class == Class::SignalingNan || b.class == Class::SignalingNan {
        env.raise(Exceptions::INVALID);
    }
    if !a.is_nan() {
        return quiet(b);
    }
    if !b.is_nan() || !R::X87 {
        return quiet(a);
    }
    match (a.class, b.class) {
        (Class::QuietNan, Class::SignalingNan) => quiet(a),
        (Class::SignalingNan, Class::QuietNan) => quiet(b),
        // The larger significand wins; between equal ones the positive sign.
        _ if a.significand != b.significand => quiet(if a.significand > b.significand { a } else { b }),
        _ => quiet(if a.negative { b } else { a }),
    }
}
