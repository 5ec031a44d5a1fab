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
}

impl Default for FixedSystem {
    fn default() -> Self {
        FixedSystem { model: CpuModel::DEFAULT, ticks: Cell::new(0) }
    }
}

impl SystemModel for FixedSystem {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.model.cpuid(leaf, subleaf)
    }

    fn rdtsc(&self) -> u64 {
        self.ticks.replace(self.ticks.get().wrapping_add(1))
    }

    fn xcr0(&self) -> u64 {
        self.model.xcr0()
    }
}
