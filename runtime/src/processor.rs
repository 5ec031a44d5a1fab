//! The guest's processor beside registers and memory.

use hokku_ir::CpuFeatures;
use hokku_ir::eval::SystemModel;
use hokku_ir::eval::cpuid::CpuModel;

/// A processor model on this host's clock.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    model: CpuModel,
}

impl Processor {
    /// The processor that `model` describes.
    pub fn new(model: CpuModel) -> Self {
        Processor { model }
    }

    /// What it can do.
    pub fn features(&self) -> CpuFeatures {
        self.model.features
    }
}

impl SystemModel for Processor {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        self.model.cpuid(leaf, subleaf)
    }

    fn rdtsc(&self) -> u64 {
        crate::host::arch::clock::ticks()
    }

    fn random(&self) -> u64 {
        crate::host::random()
    }

    fn xcr0(&self) -> u64 {
        self.model.xcr0()
    }

    fn pause(&self) {
        std::hint::spin_loop();
    }
}
