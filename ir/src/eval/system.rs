//! What of the guest's machine is neither registers nor memory.

use std::cell::Cell;
use std::fmt;

use super::cpuid::CpuModel;

/// The guest's processor model and clock, as its instructions ask for them.
pub trait SystemModel: fmt::Debug {
    /// What `cpuid` gives in eax, ebx, ecx, edx for leaf `eax` and subleaf `ecx`.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4];
    /// The time stamp counter.
    fn rdtsc(&self) -> u64;
    /// 64 random bits that nobody can predict.
    fn random(&self) -> u64;
    /// XCR0: the state components that are enabled.
    fn xcr0(&self) -> u64;
    /// A spin loop runs: a good moment for other threads.
    fn pause(&self) {}
}

/// A system for tests: a fixed model and a clock that only `rdtsc` itself moves.
#[derive(Clone, Debug)]
pub struct FixedSystem {
    /// The processor.
    pub model: CpuModel,
    /// What the next `rdtsc` gives; each adds one.
    pub ticks: Cell<u64>,
    /// State of the random numbers, which are always the same ones.
    pub seed: Cell<u64>,
}

impl Default for FixedSystem {
    fn default() -> Self {
        FixedSystem { model: CpuModel::DEFAULT, ticks: Cell::new(0), seed: Cell::new(0) }
    }
}

impl SystemModel for FixedSystem {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.model.cpuid(leaf, subleaf)
    }

    fn rdtsc(&self) -> u64 {
        self.ticks.replace(self.ticks.get().wrapping_add(1))
    }

    fn random(&self) -> u64 {
        // SplitMix64.
        let seed = self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.seed.set(seed);
        let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn xcr0(&self) -> u64 {
        self.model.xcr0()
    }
}
