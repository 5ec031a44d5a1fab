//! hokku IR to x86-64 host code.
//!
//! The guest is x86 as well, so the aim is identity: a guest instruction becomes the host instruction that it is, on the registers where the
//! guest's live ([`assign`](self)), with the host's flags as the guest's. What differs is what cannot be the same: memory operands in segments
//! with a base, jumps, the few registers that the translator needs for itself.
//!
//! | file | what |
//! |---|---|
//! | `assign` | which guest state lives where |
//! | `plan`, `pairs`, `targets`, `liveness` | decisions about a block before its code is written |
//! | `values`, `temps`, `operands`, `address`, `flags`, `stack`, `vector_values` | where values are while it is written |
//! | `lower` | a region, block by block |
//! | `table` | the table from ops to the methods that lower them |
//! | `vector_forms`, `vector_code` | instructions on vectors by their operands; their opcodes |
//! | `arith` `bits` `shift` `mul_div` `memory` `atomic` `string` `float` `vector` `vector_fma` `vector_parts` `x87` `state` `control` `checks` `callout` | lowering, by kind of op |
//! | `features`, `optimisations` | what the host processor has; what can be left out |
//! | `buffer`, `encode`, `machine_operands`, `instructions` | instructions to bytes |
//! | `stubs` | code that all regions share: entering, leaving, computed jumps, callouts |

mod address;
mod arith;
mod assign;
mod atomic;
mod bits;
mod buffer;
mod callout;
mod checks;
mod control;
mod encode;
mod features;
mod flags;
mod float;
mod instructions;
mod liveness;
mod lower;
mod machine_operands;
mod memory;
mod mul_div;
mod operands;
mod optimisations;
mod pairs;
mod plan;
mod shift;
mod stack;
mod state;
mod string;
mod stubs;
mod table;
mod targets;
mod temps;
mod values;
mod vector;
mod vector_code;
mod vector_fma;
mod vector_forms;
mod vector_parts;
mod vector_values;
mod x87;

use hokku_ir::backend::{Backend, Compiled, Stubs, Tier};
use hokku_ir::{CpuMode, Region, X87Arithmetic};

pub use features::Features;
pub use optimisations::Optimisations;

/// The x86-64 back end.
#[derive(Clone, Copy, Debug, Default)]
pub struct X86_64 {
    features: Features,
    optimisations: Optimisations,
}

impl X86_64 {
    /// A back end for processors with `features`.
    pub fn new(features: Features) -> Self {
        X86_64 { features, optimisations: Optimisations::all() }
    }
}

impl Backend for X86_64 {
    fn name(&self) -> &'static str {
        "x86_64"
    }

    fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.features, self.optimisations)
    }

    fn optimisations(&self) -> &'static [&'static str] {
        Optimisations::NAMES
    }

    fn leave_out(&mut self, places: u32) {
        self.optimisations = Optimisations::all() - Optimisations::from_bits_truncate(places);
    }

    /// None: the host keeps registers and flags where the guest has them, so what passes save costs nothing here, and values that
    /// they carry from instruction to instruction need registers.
    fn passes(&self) -> &'static [&'static str] {
        &[]
    }

    /// The host's order is the guest's.
    fn needs_order(&self) -> bool {
        false
    }

    /// Always exact: the host's own unit computes it at the same speed.
    fn x87_arithmetic(&self, _wanted: X87Arithmetic) -> X87Arithmetic {
        X87Arithmetic::Exact
    }

    fn stubs(&self, mode: CpuMode) -> Stubs {
        stubs::stubs(mode, self.features)
    }

    fn compile_as(&self, region: &Region, tier: Tier) -> Compiled {
        lower::compile(region, self.features, self.optimisations, tier)
    }

    fn branch_word(&self, site: u64, target: u64, _is_call: bool) -> Option<u32> {
        let distance = target.wrapping_sub(site.wrapping_add(4)) as i64;
        i32::try_from(distance).ok().map(|d| d as u32)
    }

    fn set_stub_distance(&self, place: &mut [u8], distance: i64) {
        set_distance(place, distance);
    }

    fn set_counter_distance(&self, place: &mut [u8], distance: i64) {
        set_distance(place, distance);
    }
}

/// Distances are four bytes and count from the byte behind them. All code lies in one memory of less than 2 GiB.
fn set_distance(place: &mut [u8], distance: i64) {
    place[..4].copy_from_slice(&(distance as i32 - 4).to_le_bytes());
}
