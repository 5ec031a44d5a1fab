//! x87 arithmetic in IEEE doubles ([`X87Arithmetic::Double`](crate::X87Arithmetic::Double), decision 7).
//!
//! A register holds a double, as the extended value that equals it; or what an MMX instruction left there, whose exponent is all ones.

use super::x87;
use crate::operand::X87Op;
use crate::softfloat::{self as soft, F32, F64, F80, FloatEnv, Kind, Rounding};

/// The NaN that arithmetic gives, whatever its operands: what RISC-V and, with default NaNs, ARM give.
const NAN: F64 = F64(0x7ff8_0000_0000_0000);

/// `v` as the extended value that equals it; a NaN keeps its bits.
pub(super) fn widen(v: F64) -> F80 {
    let F64(bits) = v;
    if is_nan(v) {
        return F80 { significand: 1 << 63 | bits << 12 >> 1, sign_exponent: (bits >> 48) as u16 | 0x7fff };
    }
    soft::load(v, &mut FloatEnv::default())
}

/// `v` rounded to a double. A NaN keeps the bits that fit; what is no value becomes a NaN.
pub(super) fn narrow(v: F80, rounding: Rounding) -> F64 {
    match soft::classify(v) {
        Kind::Nan => {
            let sign = u64::from(v.is_negative()) << 63;
            let fraction = v.significand << 1 >> 12;
            // Without a bit that fits it would be an infinity.
            let quiet = u64::from(fraction == 0) << 51;
            F64(sign | 0x7ff << 52 | fraction | quiet)
        }
        Kind::Unsupported => NAN,
        _ => soft::store(v, &mut FloatEnv { rounding, ..FloatEnv::default() }),
    }
}

/// `v` rounded as `rounding` says, as the extended value that equals it: what loads of longer formats give.
pub(super) fn rounded(v: F80, rounding: Rounding) -> F80 {
    widen(narrow(v, rounding))
}

/// The result of an operation whose extended result is `v`.
pub(super) fn result(v: F80, env: &mut FloatEnv) -> F80 {
    match soft::classify(v) {
        Kind::Nan | Kind::Unsupported => widen(NAN),
        _ => widen(soft::store(v, env)),
    }
}

/// `a op b`, rounded once.
pub(super) fn arith(op: X87Op, a: F80, b: F64, env: &mut FloatEnv) -> F80 {
    widen(ordered(x87::arith(op, narrow(a, Rounding::Nearest), b, env)))
}

/// The square root of `a`, rounded once.
pub(super) fn sqrt(a: F80, env: &mut FloatEnv) -> F80 {
    widen(ordered(soft::sqrt(narrow(a, Rounding::Nearest), env)))
}

/// A single from memory: exact, but for a NaN.
pub(super) fn from_single(v: F32) -> F64 {
    ordered(soft::convert(v, &mut FloatEnv::default()))
}

/// `v` as a single in memory.
pub(super) fn to_single(v: F80, env: &mut FloatEnv) -> F32 {
    match soft::classify(v) {
        Kind::Nan | Kind::Unsupported => F32(0x7fc0_0000),
        _ => soft::store(v, env),
    }
}

/// What `fxam` takes `v` for.
pub(super) fn classify(v: F80) -> Kind {
    let F64(bits) = narrow(v, Rounding::Nearest);
    let tiny = bits >> 52 & 0x7ff == 0 && bits << 12 != 0;
    if tiny { Kind::Denormal } else { soft::classify(v) }
}

fn is_nan(F64(bits): F64) -> bool {
    bits << 1 > 0x7ff << 53
}

/// `v`, or the NaN of arithmetic.
fn ordered(v: F64) -> F64 {
    if is_nan(v) { NAN } else { v }
}

#[cfg(test)]
mod tests {
    use super::super::Val;
    use super::super::testing::Case;
    use super::*;
    use crate::guest::GuestAddr;
    use crate::key::X87Arithmetic;
    use crate::operand::{Addr, Flag, Num, Width, X87Const, X87Control, X87Format, X87Unary};
    use crate::ops::Op;
    use crate::region::Value;

    #[test]
    fn doubles_survive_the_registers() {
        for bits in
            [0, 1, 1 << 63, 0x3ff0_0000_0000_0000, 0x7fef_ffff_ffff_ffff, 0x7ff0_0000_0000_0001, 0xfff8_1234_5678_9abc]
        {
            assert_eq!(narrow(widen(F64(bits)), Rounding::Nearest), F64(bits));
        }
    }

    /// A case with `bytes` at [`AREA`], in doubles.
    fn case(bytes: &[u8]) -> Case {
        let mut case = Case::new();
        case.x87 = X87Arithmetic::Double;
        case.memory.map(GuestAddr(AREA), bytes.to_vec(), true);
        case
    }

    const AREA: u64 = 0x1000;

    fn at() -> Addr {
        Addr::at(Value(0), Width::W64)
    }

    /// Loads the value in `format` and stores it in `back`.
    fn through(bytes: &[u8], format: X87Format, back: X87Format) -> Vec<u8> {
        let mut case = case(bytes);
        case.eval(Op::X87Load { format, at: at() }, &[Val::int(AREA)]).unwrap();
        let store = Op::X87Store { format: back, truncate: Flag(false), pop: Flag(true), at: at() };
        case.eval(store, &[Val::int(AREA)]).unwrap();
        case.memory.contents().remove(0).1
    }

    #[test]
    fn loads_round_and_moves_keep_bits() {
        let signaling = 0x7ff0_0000_0000_0001u64.to_le_bytes();
        assert_eq!(through(&signaling, X87Format::F64, X87Format::F64), signaling);
        let long = i64::MAX.to_le_bytes();
        assert_eq!(through(&long, X87Format::I64, X87Format::F64), (i64::MAX as f64).to_le_bytes());
        let third = [0xab, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xfd, 0x3f];
        assert_eq!(through(&third, X87Format::F80, X87Format::F80)[..8], [0, 0xa8, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa]);
    }

    #[test]
    fn no_exception_is_delivered() {
        let mut case = case(&0f64.to_le_bytes());
        case.cpu.x87.control = 0x340;
        case.eval(Op::X87PushConst { value: X87Const::One }, &[]).unwrap();
        let divide = Op::X87ArithMem { op: X87Op::Div, format: X87Format::F64, at: at() };
        case.eval(divide, &[Val::int(AREA)]).unwrap();
        case.eval(Op::X87Copy { st: Num(5), pop: Flag(false) }, &[]).unwrap();
        // An empty register, too.
        case.eval(Op::X87UnaryOp { op: X87Unary::Fincstp }, &[]).unwrap();
        case.eval(Op::X87UnaryOp { op: X87Unary::Fsqrt }, &[]).unwrap();
        case.eval(Op::X87SetControl { v: Value(0) }, &[Val::int(0x340)]).unwrap();
        assert_eq!(case.eval(Op::X87ControlOp { op: X87Control::Wait }, &[]), Ok(Val::default()));
        assert_eq!(case.cpu.x87.status & 0x80, 0);
    }

    #[test]
    fn results_stay_in_the_range_of_doubles() {
        let mut case = case(&f64::MAX.to_le_bytes());
        case.eval(Op::X87Load { format: X87Format::F64, at: at() }, &[Val::int(AREA)]).unwrap();
        case.eval(Op::X87Arith { op: X87Op::Add, dst: Num(0), src: Num(0), pop: Flag(false) }, &[]).unwrap();
        assert_eq!(case.cpu.x87.regs[7].sign_exponent, 0x7fff);
        case.eval(Op::X87UnaryOp { op: X87Unary::Fxam }, &[]).unwrap();
        assert_eq!(case.cpu.x87.status & 0x4700, Kind::Infinity.condition_bits());
    }

    #[test]
    fn results_are_those_of_the_host_s_doubles() {
        let values = [0.1, -3.5, 1e308, 1e-310, 7.0, f64::INFINITY, 0.0, -1.0];
        let value = |v: f64| widen(F64(v.to_bits()));
        let check = |ours: F80, theirs: f64| {
            let expected = if theirs.is_nan() { NAN } else { F64(theirs.to_bits()) };
            assert_eq!(narrow(ours, Rounding::Nearest), expected);
        };
        for a in values {
            check(sqrt(value(a), &mut FloatEnv::default()), a.sqrt());
            for b in values {
                let ours = |op| arith(op, value(a), F64(b.to_bits()), &mut FloatEnv::default());
                check(ours(X87Op::Add), a + b);
                check(ours(X87Op::Sub), a - b);
                check(ours(X87Op::SubR), b - a);
                check(ours(X87Op::Mul), a * b);
                check(ours(X87Op::Div), a / b);
                check(ours(X87Op::DivR), b / a);
            }
        }
    }
}
