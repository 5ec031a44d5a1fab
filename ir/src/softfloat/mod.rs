//! x86 floating point, bit for bit, in integer arithmetic: what the evaluator means by a float operation on any host.
//!
//! [`F32`], [`F64`] and [`F80`] hold raw bits. Operations are generic over formats; the *result* format chooses the
//! rules: [`F32`] and [`F64`] follow SSE (first NaN wins, flush-to-zero), [`F80`] follows the x87 (larger NaN wins,
//! precision control, C1). `add::<F80, F32, F80>` is therefore `fadd m32fp`.
//!
//! **Exceptions.** Each operation reads modes and masks from its [`FloatEnv`] and adds to `env.flags`. It always
//! returns a result; [`FloatEnv::settle`] says whether the instruction faults instead of delivering it. A packed
//! instruction runs its lanes through one environment and settles once.
//! Source: Intel SDM vol. 1, chapters 4, 8, 11 and appendix D; where it is silent, what processors do (`hokku-tests`).

mod arith;
mod bcd;
mod classify;
mod compare;
mod constants;
mod convert;
mod env;
mod estimate;
mod fma;
mod format;
mod integer;
mod integral;
mod nan;
mod ordinary;
mod remainder;
mod root;
mod round;
mod scale;
#[cfg(test)]
mod tests;
mod transcendental;

pub use arith::{add, div, mul, sub};
pub use bcd::{from_bcd, to_bcd};
pub use classify::{Kind, classify};
pub use compare::{Predicate, Relation, cmp, compare_quiet, compare_signaling, max, min};
pub use constants::{Constant, constant};
pub use convert::{convert, from_half, load, store, to_half};
pub use env::{Exceptions, FloatEnv, Precision, Rounding, Settled};
pub use estimate::{reciprocal_estimate, reciprocal_root_estimate};
pub use fma::{MulAdd, fma};
pub use format::{F16, F32, F64, F80, Format};
pub use integer::{from_i32, from_i64, from_u32, from_u64, to_i16, to_i32, to_i64, to_u32, to_u64};
pub use integral::{Inexact, round_to_integral};
pub use ordinary::{Ordinary, Rounded};
pub use remainder::{Quotient, Remainder, remainder};
pub use root::sqrt;
pub use scale::{Extracted, extract, scale};
pub use transcendental::{
    SineCosine, arctangent, cosine, exp2_minus_1, log2_plus_1_times, log2_times, sine, sine_cosine, tangent,
};
