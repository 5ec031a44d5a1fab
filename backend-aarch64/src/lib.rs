//! hokku IR to aarch64 host code.
//!
//! | file | what |
//! |---|---|
//! | `features` | what the host processor has |
//! | `assign` | which guest state lives where |
//! | `stubs` | code that all regions share: entering, leaving, computed jumps, callouts |
//! | `lower` | a region, block by block; code out of line |
//! | `flag_uses`, `conditions`, `flags` | who reads status flags; comparisons into NZCV, and tests |
//! | `result_tests` | conditions that look at results in place of what those were computed from |
//! | `carries` | carries that loops hand on |
//! | `flag_code`, `flag_words` | flags as bits; those that blocks have left |
//! | `alternate` | floats of hosts that can compute as x86 does |
//! | `attempt`, `attempt_extent` | parts of blocks that look once whether the results of all their operations on floats stand; how far they reach |
//! | `pending` | what guest vector registers get at the end of those |
//! | `fpsr` | what FPSR is known to hold before an operation on floats |
//! | `known` | copies of blocks that are entered with known flags, or with what the next two know |
//! | `known_alignment`, `known_zeros` | addresses that need not be looked at again; vector registers with zeros above their scalars |
//! | `vector_values` | where vectors and floats are while code is written |
//! | `table` | the table from ops to the methods that lower them |
//! | `arith` `bits` `divide` `memory` `atomic` `string` `string_compare` `state` `float` `packed_float` `vector` `wide` `x87` `control` `targets` `callout` | lowering, by kind of op |
//! | `lanes`, `shuffles` | vector operations on registers |
//! | `x87_double`, `x87_exact` | x87 ops as code, in doubles and exact |
//! | `constants`, `extensions` | constants that registers keep; what is above values, and values extended |
//! | `asm`, `immediate`, `integer`, `access`, `simd` | instructions to words |
//!
//! Ops without a method of their own are evaluated by the runtime ([`hokku_ir::backend::Callout`]).

mod access;
mod alternate;
mod arith;
mod asm;
mod assign;
mod atomic;
mod attempt;
mod attempt_extent;
mod bits;
mod callout;
mod carries;
mod conditions;
mod constants;
mod control;
mod divide;
#[cfg(test)]
mod encoding_tests;
mod extensions;
mod features;
mod flag_code;
mod flag_uses;
mod flag_words;
mod flags;
mod float;
mod fpsr;
mod immediate;
mod integer;
mod known;
mod known_alignment;
#[cfg(test)]
mod known_tests;
mod known_zeros;
mod lanes;
mod lower;
mod memory;
mod packed_float;
mod pending;
mod result_tests;
mod shuffles;
mod simd;
mod state;
mod string;
mod string_compare;
mod stubs;
mod table;
mod targets;
mod vector;
mod vector_values;
mod wide;
mod x87;
mod x87_double;
mod x87_exact;

use hokku_ir::backend::{Backend, Compiled, Stubs, Tier};
use hokku_ir::{CpuMode, Region, X87Arithmetic};

pub use features::Features;

/// The aarch64 back end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aarch64 {
    features: Features,
}

impl Aarch64 {
    /// A back end for processors with `features`.
    pub fn new(features: Features) -> Self {
        Aarch64 { features }
    }
}

impl Backend for Aarch64 {
    fn name(&self) -> &'static str {
        "aarch64"
    }

    fn fingerprint(&self) -> String {
        format!("{:?}", self.features)
    }

    fn passes(&self) -> &'static [&'static str] {
        &["state_forwarding", "constant_folding", "flag_liveness", "dead_code", "memory_order"]
    }

    fn needs_order(&self) -> bool {
        true
    }

    fn x87_arithmetic(&self, wanted: X87Arithmetic) -> X87Arithmetic {
        wanted
    }

    fn stubs(&self, mode: CpuMode) -> Stubs {
        stubs::stubs(mode, self.features)
    }

    fn compile_as(&self, region: &Region, tier: Tier) -> Compiled {
        lower::compile(region, self.features, tier)
    }

    /// `b` and `bl` reach 128 MiB.
    fn branch_word(&self, site: u64, target: u64, is_call: bool) -> Option<u32> {
        let distance = target.wrapping_sub(site) as i64;
        let op = if is_call { 0x9400_0000 } else { 0x1400_0000 };
        (-(1 << 27)..1 << 27).contains(&distance).then_some(op | (distance >> 2) as u32 & 0x3ff_ffff)
    }

    /// The place is a `b` or `bl`.
    fn set_stub_distance(&self, place: &mut [u8], distance: i64) {
        let op = u32::from_le_bytes([place[0], place[1], place[2], place[3]]) & 0xfc00_0000;
        assert!((-(1 << 27)..1 << 27).contains(&distance), "the stubs are out of reach");
        place[..4].copy_from_slice(&(op | (distance >> 2) as u32 & 0x3ff_ffff).to_le_bytes());
    }

    /// The place is an `adr` of itself, and `movz` and `movk` of the distance.
    fn set_counter_distance(&self, place: &mut [u8], distance: i64) {
        for (n, half) in [distance as u16, (distance >> 16) as u16].into_iter().enumerate() {
            let at = 4 + 4 * n;
            let op = u32::from_le_bytes([place[at], place[at + 1], place[at + 2], place[at + 3]]) & !(0xffff << 5);
            place[at..at + 4].copy_from_slice(&(op | u32::from(half) << 5).to_le_bytes());
        }
    }
}

/// Numbers of those host registers that the runtime's signal handlers deal with.
pub mod registers {
    /// Points to the thread's [`hokku_ir::CpuState`].
    pub const STATE: usize = crate::assign::STATE as usize;
    /// The shadow return stack's pointer.
    pub const SHADOW: usize = crate::assign::SHADOW as usize;
}
