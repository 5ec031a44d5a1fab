//! hokku IR to riscv64 host code.
//!
//! The host has a register for each of the guest's, and no flags. What is shared by hosts of that kind stands in [`hokku_ir::lowering`].
//!
//! | file | what |
//! |---|---|
//! | `features` | what the host processor has |
//! | `assign` | which guest state lives where |
//! | `lower` | a region, block by block; operands and results |
//! | `table` | from ops to the methods that lower them |
//! | `stack` | the stack pointer, which may be late |
//! | `state` `arith` `shift` `mul_div` `bits` `flags` `conditions` `memory` `string` `atomic` `float` `vector_moves` | lowering, by kind of op |
//! | `packed` `packed_float` `shuffles` | the same with vector instructions |
//! | `lanes` `lanes_in_words` `lanes_of_floats` `pairs` | the same without them |
//! | `places` `vector_places` `wide_operands` `guest_vectors` | where vectors and scalars are |
//! | `float_runs`, `vector_runs`, `float_looks` | scalars and vectors whose results are looked at together, and how |
//! | `mxcsr_looks` | what `mxcsr` asks for, looked at where blocks start |
//! | `loops` | what stays true in loops, looked at once |
//! | `exits` | how blocks end |
//! | `upper_halves` | extensions, and what blocks leave above 32-bit values to those behind them |
//! | `notes` | what the guest's flags are where they end |
//! | `x87`, `x87_double`, `x87_carry`, `x87_exact` | x87 ops: as calls of routines; as code, in doubles, which stay in registers between blocks, and exact |
//! | `callout` | ops that the runtime evaluates |
//! | `stubs` | code that all regions share |
//! | `asm`, `encode`, `vector_encode` | instructions to words |

mod arith;
mod asm;
mod assign;
mod atomic;
mod bits;
mod callout;
mod conditions;
mod encode;
mod exits;
mod features;
mod flags;
mod float;
mod float_looks;
mod float_runs;
mod guest_vectors;
mod lanes;
mod lanes_in_words;
mod lanes_of_floats;
mod loops;
mod lower;
mod memory;
mod mul_div;
mod mxcsr_looks;
mod notes;
mod packed;
mod packed_float;
mod pairs;
mod places;
mod shift;
mod shuffles;
mod stack;
mod state;
mod string;
mod string_compare;
mod string_move;
mod stubs;
mod table;
mod upper_halves;
mod vector_encode;
mod vector_moves;
mod vector_places;
mod vector_runs;
mod wide_operands;
mod x87;
mod x87_carry;
mod x87_double;
mod x87_exact;

use hokku_ir::backend::{Backend, Compiled, Stubs, Tier};
use hokku_ir::{CpuMode, Region, X87Arithmetic};

pub use features::Features;

/// The riscv64 back end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Riscv64 {
    features: Features,
}

impl Riscv64 {
    /// A back end for processors with `features`.
    pub fn new(features: Features) -> Self {
        Riscv64 { features }
    }

    /// The features that it uses.
    pub fn features(&self) -> Features {
        self.features
    }
}

impl Backend for Riscv64 {
    fn name(&self) -> &'static str {
        "riscv64"
    }

    fn fingerprint(&self) -> String {
        format!("{:?}", self.features)
    }

    fn passes(&self) -> &'static [&'static str] {
        const ORDERED: [&str; 5] =
            ["state_forwarding", "constant_folding", "flag_liveness", "dead_code", "memory_order"];
        if self.needs_order() { &ORDERED } else { &ORDERED[..4] }
    }

    fn needs_order(&self) -> bool {
        !self.features.contains(Features::ZTSO)
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

    fn branch_word(&self, site: u64, target: u64, is_call: bool) -> Option<u32> {
        let distance = target.wrapping_sub(site) as i64;
        let reaches = (-(1 << 20)..1 << 20).contains(&distance);
        let link = if is_call { assign::RA } else { encode::ZERO };
        reaches.then(|| encode::jal(link, distance as i32))
    }

    /// At `place` stand `auipc` and `jalr`.
    fn set_stub_distance(&self, place: &mut [u8], distance: i64) {
        add_distance(place, distance);
    }

    /// At `place` stand `auipc`, `lw`, an addition and `sw`.
    fn set_counter_distance(&self, place: &mut [u8], distance: i64) {
        add_distance(place, distance);
        let (_, low) = encode::split(distance);
        change(&mut place[12..16], 0xfe00_0f80, encode::store(encode::I(0), 0, 0, low));
    }
}

/// Completes the `auipc` at the start of `place` and the instruction behind it.
fn add_distance(place: &mut [u8], distance: i64) {
    let (high, low) = encode::split(distance);
    change(&mut place[..4], 0xffff_f000, high as u32);
    change(&mut place[4..8], 0xfff0_0000, (low as u32) << 20);
}

/// Replaces the bits in `mask` of the word `place`.
fn change(place: &mut [u8], mask: u32, bits: u32) {
    let word = u32::from_le_bytes([place[0], place[1], place[2], place[3]]);
    place.copy_from_slice(&(word & !mask | bits & mask).to_le_bytes());
}

/// Numbers of those host registers that the runtime's signal handlers deal with.
pub mod registers {
    /// Points to the thread's [`hokku_ir::CpuState`].
    pub const STATE: usize = crate::assign::STATE as usize;
    /// The shadow return stack's pointer.
    pub const SHADOW: usize = crate::assign::SHADOW as usize;
}
