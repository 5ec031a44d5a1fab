//! SSE scalar operations with all exceptions masked: every rounding mode with and without FTZ and DAZ.

use hokku_ir::softfloat::{
    self as sf, Exceptions, F16, F32, F64, FloatEnv, Format, Inexact, MulAdd, Predicate, Relation, Rounding,
};

use crate::cases::{self, Differences, Rng, count};
use crate::makes;
use crate::native_sse as native;

/// A random MXCSR with all exceptions masked and no flags.
fn mxcsr(rng: &mut Rng) -> u32 {
    let r = rng.next() as u32;
    0x1f80 | (r & 3) << 13 | (r >> 2 & r >> 3 & 1) << 15 | (r >> 4 & r >> 5 & 1) << 6
}

fn flags(env: &FloatEnv) -> u32 {
    u32::from((env.flags & Exceptions::ALL).bits())
}

/// Formats as operands in a register's low lane.
pub(crate) trait Lane: Format {
    fn bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
    fn pair(rng: &mut Rng) -> (Self, Self);
}

impl Lane for F32 {
    fn bits(self) -> u64 {
        u64::from(self.0)
    }
    fn from_bits(bits: u64) -> Self {
        Self(bits as u32)
    }
    fn pair(rng: &mut Rng) -> (Self, Self) {
        cases::f32_pair(rng)
    }
}

impl Lane for F64 {
    fn bits(self) -> u64 {
        self.0
    }
    fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
    fn pair(rng: &mut Rng) -> (Self, Self) {
        cases::f64_pair(rng)
    }
}

type Native2 = fn(u64, u64, u32) -> (u64, u32);
type Native1 = fn(u64, u32) -> (u64, u32);

/// Runs random operand pairs of format `A` through an instruction and through `ours`, with results of format `R`.
fn binary<A: Lane, R: Lane>(name: &str, native: Native2, ours: impl Fn(A, A, &mut FloatEnv) -> R) {
    let mut rng = Rng(0x5eed);
    let mut differences = Differences::of(name);
    for _ in 0..count(1_000_000) {
        let (a, b) = A::pair(&mut rng);
        let mode = mxcsr(&mut rng);
        let (bits, raised) = native(a.bits(), b.bits(), mode);
        let mut env = FloatEnv::from_mxcsr(mode);
        let result = ours(a, b, &mut env);
        differences.check(&(R::from_bits(bits), raised), &(result, flags(&env)), || {
            format!("a {a:x?} b {b:x?} mxcsr {mode:#x}")
        });
    }
    differences.finish();
}

#[test]
fn addition() {
    binary::<F32, F32>("addss", native::addss, sf::add);
    binary::<F64, F64>("addsd", native::addsd, sf::add);
}

#[test]
fn subtraction() {
    binary::<F32, F32>("subss", native::subss, sf::sub);
    binary::<F64, F64>("subsd", native::subsd, sf::sub);
}

#[test]
fn multiplication() {
    binary::<F32, F32>("mulss", native::mulss, sf::mul);
    binary::<F64, F64>("mulsd", native::mulsd, sf::mul);
}

#[test]
fn division() {
    binary::<F32, F32>("divss", native::divss, sf::div);
    binary::<F64, F64>("divsd", native::divsd, sf::div);
}

#[test]
fn square_root() {
    binary::<F32, F32>("sqrtss", native::sqrtss, |_, b, env| sf::sqrt(b, env));
    binary::<F64, F64>("sqrtsd", native::sqrtsd, |_, b, env| sf::sqrt(b, env));
}

#[test]
fn minimum_and_maximum() {
    binary::<F32, F32>("minss", native::minss, sf::min);
    binary::<F64, F64>("minsd", native::minsd, sf::min);
    binary::<F32, F32>("maxss", native::maxss, sf::max);
    binary::<F64, F64>("maxsd", native::maxsd, sf::max);
}

#[test]
fn float_to_float() {
    binary::<F32, F64>("cvtss2sd", native::cvtss2sd, |_, b, env| sf::convert(b, env));
    binary::<F64, F32>("cvtsd2ss", native::cvtsd2ss, |_, b, env| sf::convert(b, env));
}

/// The bits that `comiss` sets in EFLAGS: ZF, PF, CF.
fn eflags(relation: Relation) -> F64 {
    F64(match relation {
        Relation::Less => 0x01,
        Relation::Equal => 0x40,
        Relation::Greater => 0,
        Relation::Unordered => 0x45,
    })
}

#[test]
fn comparison() {
    binary::<F32, F64>("comiss", native::comiss, |a, b, env| eflags(sf::compare_signaling(a, b, env)));
    binary::<F32, F64>("ucomiss", native::ucomiss, |a, b, env| eflags(sf::compare_quiet(a, b, env)));
    binary::<F64, F64>("comisd", native::comisd, |a, b, env| eflags(sf::compare_signaling(a, b, env)));
    binary::<F64, F64>("ucomisd", native::ucomisd, |a, b, env| eflags(sf::compare_quiet(a, b, env)));
}

#[test]
fn compare_predicates() {
    fn all<F: Lane>(name: &str, native: fn(u8, u64, u64, u32) -> (u64, u32), predicates: u8) {
        let mut rng = Rng(1);
        let mut differences = Differences::of(name);
        for _ in 0..count(1_000_000) {
            let (a, b) = F::pair(&mut rng);
            let mode = mxcsr(&mut rng);
            let imm = rng.below(u64::from(predicates)) as u8;
            let (bits, raised) = native(imm, a.bits(), b.bits(), mode);
            let mut env = FloatEnv::from_mxcsr(mode);
            let holds = sf::cmp(Predicate::from_imm(imm), a, b, &mut env);
            differences.check(&(bits & 1 != 0, raised), &(holds, flags(&env)), || {
                format!("imm {imm} a {a:x?} b {b:x?} mxcsr {mode:#x}")
            });
        }
        differences.finish();
    }
    all::<F32>("cmpss", native::cmpss, 8);
    all::<F64>("cmpsd", native::cmpsd, 8);
    if std::arch::is_x86_feature_detected!("avx") {
        all::<F32>("vcmpss", native::vcmpss, 32);
    }
}

/// Runs random operands of format `A` through a conversion to integers.
fn to_integer<A: Lane>(name: &str, native: Native1, ours: impl Fn(A, &mut FloatEnv) -> u64) {
    let mut rng = Rng(2);
    let mut differences = Differences::of(name);
    for _ in 0..count(1_000_000) {
        let (a, _) = A::pair(&mut rng);
        let mode = mxcsr(&mut rng);
        let mut env = FloatEnv::from_mxcsr(mode);
        let ours = (ours(a, &mut env), flags(&env));
        differences.check(&native(a.bits(), mode), &ours, || format!("a {a:x?} mxcsr {mode:#x}"));
    }
    differences.finish();
}

#[test]
fn float_to_integer() {
    fn i32<A: Lane>(a: A, env: &mut FloatEnv) -> u64 {
        u64::from(sf::to_i32(a, env.rounding, env) as u32)
    }
    fn i32_truncated<A: Lane>(a: A, env: &mut FloatEnv) -> u64 {
        u64::from(sf::to_i32(a, Rounding::Zero, env) as u32)
    }
    fn i64<A: Lane>(a: A, env: &mut FloatEnv) -> u64 {
        sf::to_i64(a, env.rounding, env) as u64
    }
    fn i64_truncated<A: Lane>(a: A, env: &mut FloatEnv) -> u64 {
        sf::to_i64(a, Rounding::Zero, env) as u64
    }
    to_integer("cvtss2si r32", native::cvtss2si32, i32::<F32>);
    to_integer("cvtsd2si r32", native::cvtsd2si32, i32::<F64>);
    to_integer("cvttss2si r32", native::cvttss2si32, i32_truncated::<F32>);
    to_integer("cvttsd2si r32", native::cvttsd2si32, i32_truncated::<F64>);
    to_integer("cvtss2si r64", native::cvtss2si64, i64::<F32>);
    to_integer("cvtsd2si r64", native::cvtsd2si64, i64::<F64>);
    to_integer("cvttss2si r64", native::cvttss2si64, i64_truncated::<F32>);
    to_integer("cvttsd2si r64", native::cvttsd2si64, i64_truncated::<F64>);
}

#[test]
fn integer_to_float() {
    fn all<R: Lane>(name: &str, native: Native1, ours: impl Fn(u64, &mut FloatEnv) -> R) {
        let mut rng = Rng(3);
        let mut differences = Differences::of(name);
        for _ in 0..count(500_000) {
            let shifted = rng.next() >> rng.below(64);
            let v = match rng.below(4) {
                0 => shifted,
                1 => shifted.wrapping_neg(),
                2 => (1u64 << rng.below(64)).wrapping_add(rng.below(9)).wrapping_sub(4),
                _ => shifted & !(u64::MAX >> rng.below(64)),
            };
            let mode = mxcsr(&mut rng);
            let (bits, raised) = native(v, mode);
            let mut env = FloatEnv::from_mxcsr(mode);
            let ours = ours(v, &mut env);
            differences
                .check(&(R::from_bits(bits), raised), &(ours, flags(&env)), || format!("v {v:#x} mxcsr {mode:#x}"));
        }
        differences.finish();
    }
    all::<F32>("cvtsi2ss r32", native::cvtsi2ss32, |v, env| sf::from_i32(v as i32, env));
    all::<F32>("cvtsi2ss r64", native::cvtsi2ss64, |v, env| sf::from_i64(v as i64, env));
    all::<F64>("cvtsi2sd r32", native::cvtsi2sd32, |v, env| sf::from_i32(v as i32, env));
    all::<F64>("cvtsi2sd r64", native::cvtsi2sd64, |v, env| sf::from_i64(v as i64, env));
}

#[test]
fn round_to_integral() {
    fn all<F: Lane>(forms: &[(&str, Native2, Option<Rounding>, Inexact)]) {
        for &(name, native, rounding, inexact) in forms {
            binary::<F, F>(name, native, |_, b, env| {
                sf::round_to_integral(b, rounding.unwrap_or(env.rounding), inexact, env)
            });
        }
    }
    use Inexact::{Report, Suppress};
    all::<F32>(&[
        ("roundss 0", native::roundss_0, Some(Rounding::Nearest), Report),
        ("roundss 1", native::roundss_1, Some(Rounding::Down), Report),
        ("roundss 2", native::roundss_2, Some(Rounding::Up), Report),
        ("roundss 3", native::roundss_3, Some(Rounding::Zero), Report),
        ("roundss 4", native::roundss_4, None, Report),
        ("roundss 12", native::roundss_12, None, Suppress),
    ]);
    all::<F64>(&[
        ("roundsd 0", native::roundsd_0, Some(Rounding::Nearest), Report),
        ("roundsd 1", native::roundsd_1, Some(Rounding::Down), Report),
        ("roundsd 2", native::roundsd_2, Some(Rounding::Up), Report),
        ("roundsd 3", native::roundsd_3, Some(Rounding::Zero), Report),
        ("roundsd 4", native::roundsd_4, None, Report),
        ("roundsd 12", native::roundsd_12, None, Suppress),
    ]);
}

type Native3 = fn(u64, u64, u64, u32) -> (u64, u32);

#[test]
fn fused_multiply_add() {
    /// `form` says which of the instruction's operands are multiplied and which is added.
    fn all<F: Lane>(name: &str, native: Native3, signs: MulAdd, form: [usize; 3]) {
        let mut rng = Rng(4);
        let mut differences = Differences::of(name);
        for _ in 0..count(1_000_000) {
            let (a, b) = F::pair(&mut rng);
            let mut env = FloatEnv::default();
            // Often an addend that nearly cancels the product.
            let c = if rng.below(2) == 0 { sf::mul(a, b, &mut env) } else { F::pair(&mut rng).0 };
            let c = F::from_bits(c.bits() ^ rng.next() & rng.next() & rng.next() & rng.next() & 0x8000_0000_8000_0003);
            let x = match rng.below(2) {
                0 => [a, b, c],
                _ => [c, a, b],
            };
            let mode = mxcsr(&mut rng);
            let (bits, raised) = native(x[0].bits(), x[1].bits(), x[2].bits(), mode);
            let mut env = FloatEnv::from_mxcsr(mode);
            let ours = sf::fma(signs, x[form[0]], x[form[1]], x[form[2]], &mut env);
            differences
                .check(&(F::from_bits(bits), raised), &(ours, flags(&env)), || format!("{x:x?} mxcsr {mode:#x}"));
        }
        differences.finish();
    }
    if !std::arch::is_x86_feature_detected!("fma") {
        return;
    }
    use MulAdd::{Add, NegativeAdd, NegativeSub, Sub};
    all::<F32>("vfmadd132ss", native::vfmadd132ss, Add, [0, 2, 1]);
    all::<F32>("vfmadd213ss", native::vfmadd213ss, Add, [1, 0, 2]);
    all::<F32>("vfmadd231ss", native::vfmadd231ss, Add, [1, 2, 0]);
    all::<F32>("vfmsub213ss", native::vfmsub213ss, Sub, [1, 0, 2]);
    all::<F32>("vfnmadd213ss", native::vfnmadd213ss, NegativeAdd, [1, 0, 2]);
    all::<F32>("vfnmsub213ss", native::vfnmsub213ss, NegativeSub, [1, 0, 2]);
    all::<F64>("vfmadd132sd", native::vfmadd132sd, Add, [0, 2, 1]);
    all::<F64>("vfmadd213sd", native::vfmadd213sd, Add, [1, 0, 2]);
    all::<F64>("vfmadd231sd", native::vfmadd231sd, Add, [1, 2, 0]);
    all::<F64>("vfmsub213sd", native::vfmsub213sd, Sub, [1, 0, 2]);
    all::<F64>("vfnmadd213sd", native::vfnmadd213sd, NegativeAdd, [1, 0, 2]);
    all::<F64>("vfnmsub213sd", native::vfnmsub213sd, NegativeSub, [1, 0, 2]);
}

#[test]
fn halves() {
    if !std::arch::is_x86_feature_detected!("f16c") {
        return;
    }
    // The other lanes hold zeros.
    binary::<F32, F32>(
        "vcvtph2ps",
        |_, b, mode| native::vcvtph2ps(0, b & 0xffff, mode),
        |_, b, env| sf::from_half(F16(b.0 as u16), env),
    );
    let half = |F16(bits): F16| F32(u32::from(bits));
    binary::<F32, F32>("vcvtps2ph 0", native::vcvtps2ph_0, |_, b, env| half(sf::to_half(b, Rounding::Nearest, env)));
    binary::<F32, F32>("vcvtps2ph 1", native::vcvtps2ph_1, |_, b, env| half(sf::to_half(b, Rounding::Down, env)));
    binary::<F32, F32>("vcvtps2ph 4", native::vcvtps2ph_4, |_, b, env| half(sf::to_half(b, env.rounding, env)));
}

/// What the manual leaves open, we do as Intel's processors.
#[test]
fn estimates() {
    fn reciprocal(a: u64, b: u64, mode: u32) -> (u64, u32) {
        makes::estimate(native::rcpss(a, b, mode), sf::reciprocal_estimate(F32(b as u32)))
    }
    fn root(a: u64, b: u64, mode: u32) -> (u64, u32) {
        makes::estimate(native::rsqrtss(a, b, mode), sf::reciprocal_root_estimate(F32(b as u32)))
    }
    binary::<F32, F32>("rcpss", reciprocal, |_, b, _| sf::reciprocal_estimate(b));
    binary::<F32, F32>("rsqrtss", root, |_, b, _| sf::reciprocal_root_estimate(b));
}
