//! Translators of instructions, by family.

pub(crate) mod aes;
pub(crate) mod arith;
pub(crate) mod atomic;
pub(crate) mod avx;
pub(crate) mod avx2;
pub(crate) mod bcd;
pub(crate) mod bit;
pub(crate) mod bmi;
pub(crate) mod control;
pub(crate) mod fma;
pub(crate) mod logic;
pub(crate) mod mmx;
pub(crate) mod mov;
pub(crate) mod mul_div;
pub(crate) mod shift;
pub(crate) mod sse;
pub(crate) mod sse2;
pub(crate) mod sse4;
pub(crate) mod ssse3;
pub(crate) mod stack;
pub(crate) mod string;
pub(crate) mod system;
pub(crate) mod vector;
pub(crate) mod x87;
