//! A few facts that hold on every host. The whole comparison with a processor is in `tests/tests/softfloat`.

use super::*;

fn f64(bits: f64) -> F64 {
    F64(bits.to_bits())
}

fn with(rounding: Rounding) -> FloatEnv {
    FloatEnv { rounding, ..FloatEnv::default() }
}

/// The host's own IEEE arithmetic is a second opinion on nearest rounding.
#[test]
fn agrees_with_the_host_on_ordinary_doubles() {
    let values = [1.0, -1.5, 3.0, 0.1, 1e300, -1e-300, 7.25e-5, 123_456_789.125, f64::MIN_POSITIVE, f64::MAX];
    let env = &mut FloatEnv::default();
    for x in values {
        for y in values {
            assert_eq!(add::<_, _, F64>(f64(x), f64(y), env), f64(x + y), "{x} + {y}");
            assert_eq!(sub::<_, _, F64>(f64(x), f64(y), env), f64(x - y), "{x} - {y}");
            assert_eq!(mul::<_, _, F64>(f64(x), f64(y), env), f64(x * y), "{x} * {y}");
            assert_eq!(div::<_, _, F64>(f64(x), f64(y), env), f64(x / y), "{x} / {y}");
            assert_eq!(fma(MulAdd::Add, f64(x), f64(y), f64(x), env), f64(x.mul_add(y, x)), "{x} * {y} + {x}");
        }
        if x > 0.0 {
            assert_eq!(sqrt(f64(x), env), f64(x.sqrt()), "sqrt {x}");
        }
    }
}

#[test]
fn inexact_results_follow_the_rounding_mode() {
    let third = |rounding| {
        let mut env = with(rounding);
        let F64(bits) = div(f64(-1.0), f64(3.0), &mut env);
        (bits, env.flags)
    };
    let (near, up) = (0xbfd5_5555_5555_5555, Exceptions::PRECISION | Exceptions::ROUNDED_UP);
    assert_eq!(third(Rounding::Nearest), (near, Exceptions::PRECISION));
    assert_eq!(third(Rounding::Zero), (near, Exceptions::PRECISION));
    assert_eq!(third(Rounding::Up), (near, Exceptions::PRECISION));
    assert_eq!(third(Rounding::Down), (near + 1, up));
}

#[test]
fn tininess_is_found_after_rounding() {
    // With 24 bits and any exponent, the first product is exact and below the smallest normal value: tiny.
    let mut env = FloatEnv::default();
    let product: F32 = mul(F32(0x0080_0000), F32(0x3f7f_ffff), &mut env);
    assert_eq!(product, F32(0x0080_0000));
    assert_eq!(env.flags & Exceptions::ALL, Exceptions::UNDERFLOW | Exceptions::PRECISION);
    // This one already rounds up to the smallest normal value: not tiny.
    let mut env = FloatEnv::default();
    let rounded: F32 = convert(F64(0x380f_ffff_ffff_ffff), &mut env);
    assert_eq!((rounded, env.flags & Exceptions::ALL), (F32(0x0080_0000), Exceptions::PRECISION));
}

#[test]
fn flush_to_zero_needs_underflow_masked() {
    let flush = FloatEnv { flush_to_zero: true, ..FloatEnv::default() };
    let mut env = flush;
    let result: F32 = mul(F32(0x0080_0000), F32(0x3f00_0000), &mut env);
    assert_eq!((result, env.flags), (F32(0), Exceptions::UNDERFLOW | Exceptions::PRECISION));
    let mut env = FloatEnv { masked: Exceptions::ALL - Exceptions::UNDERFLOW, ..flush };
    let _: F32 = mul(F32(0x0080_0000), F32(0x3f00_0000), &mut env);
    assert_eq!(env.settle().unmasked, Exceptions::UNDERFLOW);
}

#[test]
fn formats_choose_among_nans() {
    let (small, large) = (0x7fc0_0001, 0xffc0_0002);
    let env = &mut FloatEnv::default();
    assert_eq!(add::<_, _, F32>(F32(small), F32(large), env), F32(small));
    let x87: F80 = add(F32(small), F32(large), env);
    assert_eq!(x87, F80 { significand: 0xc000_0200_0000_0000, sign_exponent: 0xffff });
    assert_eq!(min(F32(small), F32(0), env), F32(0));
}

#[test]
fn unmasked_overflow_moves_the_exponent_of_extended_results() {
    let huge = F80 { significand: 1 << 63, sign_exponent: 0x7ffe };
    let mut env = FloatEnv { masked: Exceptions::ALL - Exceptions::OVERFLOW, ..FloatEnv::default() };
    let result: F80 = add(huge, huge, &mut env);
    assert_eq!(result, F80 { significand: 1 << 63, sign_exponent: 0x7fff - 24576 });
    let settled = env.settle();
    assert!(settled.writes_register() && !settled.writes_memory());
}

#[test]
fn precision_control_shortens_the_significand_alone() {
    let mut env = FloatEnv { precision: Precision::Single, ..FloatEnv::default() };
    let third: F80 = div(F80::ONE, F80 { significand: 3 << 62, sign_exponent: 0x4000 }, &mut env);
    assert_eq!(third, F80 { significand: 0xaaaa_ab00_0000_0000, sign_exponent: 0x3ffd });
    assert!(env.flags.contains(Exceptions::ROUNDED_UP));
}

#[test]
fn refused_encodings_are_invalid() {
    let unnormal = F80 { significand: 1, sign_exponent: 0x3fff };
    let mut env = FloatEnv::default();
    assert_eq!(add::<_, _, F80>(unnormal, F80::ONE, &mut env), F80::INDEFINITE);
    assert_eq!(env.flags, Exceptions::INVALID);
    assert_eq!(classify(unnormal), Kind::Unsupported);
}

#[test]
fn integers_that_do_not_fit_are_indefinite() {
    let mut env = FloatEnv::default();
    assert_eq!(to_i32(f64(2_147_483_647.5), Rounding::Zero, &mut env), i32::MAX);
    assert_eq!(to_i32(f64(2_147_483_647.5), Rounding::Nearest, &mut env), i32::MIN);
    assert_eq!(to_u64(f64(-0.25), Rounding::Nearest, &mut env), 0);
    assert!(env.flags.contains(Exceptions::INVALID | Exceptions::PRECISION));
}

#[test]
fn decimals_come_back() {
    let mut env = FloatEnv::default();
    let bytes = [0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0x98, 0x80];
    assert_eq!(to_bcd(from_bcd(bytes), &mut env), bytes);
    assert!(env.flags.is_empty());
}

#[test]
fn remainders_give_quotient_bits() {
    let seven = F80 { significand: 7 << 61, sign_exponent: 0x4001 };
    let two = F80 { significand: 1 << 63, sign_exponent: 0x4000 };
    let mut env = FloatEnv::default();
    let truncated = remainder(seven, two, Quotient::Truncated, &mut env);
    assert_eq!((truncated.value, truncated.condition_bits), (F80::ONE, 0x4200));
    let nearest = remainder(seven, two, Quotient::Nearest, &mut env);
    assert_eq!((nearest.value, nearest.condition_bits), (F80::ONE.negate(), 0x0100));
}

/// Angles and logarithms with values known to 64 bits.
#[test]
fn transcendental_functions_at_known_points() {
    let env = &mut FloatEnv::default();
    let pi = constant(Constant::Pi, Rounding::Nearest);
    assert_eq!(arctangent(F80::ONE.negate(), F80::ZERO, env), pi);
    let two = F80 { significand: 1 << 63, sign_exponent: 0x4000 };
    assert_eq!(log2_times(two, pi, env), pi);
    let minus_one = F80::ONE.negate();
    assert_eq!(exp2_minus_1(minus_one, env), F80 { significand: 1 << 63, sign_exponent: 0xbffe });
    // π has 66 bits in argument reduction, which is 2^-64 less than its 64 bits rounded up: processors return just that.
    let sine = sine(pi, env);
    assert_eq!(sine, Some(F80 { significand: 1 << 63, sign_exponent: 0xbfff - 64 }));
}
