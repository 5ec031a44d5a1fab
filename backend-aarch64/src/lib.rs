//! hokku IR to aarch64 host code.
//!
//! | file | what |
//! |---|---|
//! | `features` | what the host processor has |
//! | `assign` | which guest state lives where |
//! | `stubs` | code that all regions share: entering, leaving, computed jumps, callouts |
//! | `asm`, `immediate`, `integer`, `access` | instructions to words |

mod access;
mod asm;
mod assign;
#[cfg(test)]
mod encoding_tests;
mod features;
mod immediate;
mod integer;
mod stubs;

use hokku_ir::CpuMode;
use hokku_ir::backend::Stubs;

pub use features::{Features, UnknownFeature};

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

    /// The features that it uses.
    pub fn features(&self) -> Features {
        self.features
    }

    /// The code that all regions of `mode` share.
    pub fn stubs(&self, mode: CpuMode) -> Stubs {
        stubs::stubs(mode)
    }
}

/// Numbers of those host registers that the runtime's signal handlers deal with.
pub mod registers {
    /// Points to the thread's [`hokku_ir::CpuState`].
    pub const STATE: usize = crate::assign::STATE as usize;
    /// The shadow return stack's pointer.
    pub const SHADOW: usize = crate::assign::SHADOW as usize;
}
