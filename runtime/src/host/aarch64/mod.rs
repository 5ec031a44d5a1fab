//! aarch64 Linux.

pub(crate) mod access;
pub(crate) mod atomics;
mod blocking;
mod cache;
pub(crate) mod context;
pub(crate) mod memory_instruction;
mod routines;
pub(crate) mod step;

pub(crate) use super::native::boundary;
pub(crate) use super::native::out_of_line::Stepper;
pub(crate) use super::unix_clock as clock;
pub(crate) use super::x87_in_memory as x87;
pub(crate) use cache::flush_instruction_cache;
use hokku_backend_aarch64::Features;

/// Nothing: the state's address is an argument of the code that is entered.
pub(crate) fn bind(_base: u64) {}

/// The back end for this host, for the processor's features or those that the environment's `HOKKU_HOST_FEATURES` names (`lse,flagm`; empty: none).
pub(crate) fn backend() -> Option<Box<dyn hokku_ir::backend::Backend>> {
    Some(Box::new(hokku_backend_aarch64::Aarch64::new(features())))
}

fn features() -> Features {
    if let Ok(names) = std::env::var("HOKKU_HOST_FEATURES") {
        match Features::from_names(&names) {
            Ok(features) => return features,
            Err(error) => tracing::warn!("HOKKU_HOST_FEATURES: {error}"),
        }
    }
    // SAFETY: reads what the kernel has passed to the process.
    let (hwcap, hwcap2) = unsafe { (libc::getauxval(libc::AT_HWCAP), libc::getauxval(libc::AT_HWCAP2)) };
    Features::from_hwcap(hwcap, hwcap2)
}

/// Functions that return 1 and 2.
pub(crate) const CODE_TEST: Option<[[u8; 8]; 2]> =
    Some([[0x20, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6], [0x40, 0x00, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6]]);
