//! What hokku's cross-crate tests and benchmarks share.

use std::fs;
use std::sync::LazyLock;

pub mod bench;
pub mod fuzz;
pub mod hosts;
pub mod litmus;
pub mod oracle;
pub mod parsers;

/// Whether this is an x86 processor of another make than Intel's. What the manual leaves open is evaluated as Intel's do it: undefined flags,
/// estimates, when x87 pointers are kept, the last bits of `fsin` and its kin. [`fuzz::makes`] has what others do.
pub fn is_of_another_make() -> bool {
    static INTEL: LazyLock<bool> =
        LazyLock::new(|| fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("GenuineIntel")));
    cfg!(target_arch = "x86_64") && !*INTEL
}
