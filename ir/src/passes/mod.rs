//! Passes: functions that make a region cheaper and leave its meaning as it is.

mod code_checks;
mod constant_folding;
mod dead_code;
mod flag_liveness;
mod flag_reads;
mod memory_order;
mod state_forwarding;

pub use code_checks::{code_checks, end_where_code_may_change};
pub use constant_folding::constant_folding;
pub use dead_code::dead_code;
pub use flag_liveness::{FaultsSee, flag_liveness, flags_live_in};
pub use flag_reads::flag_reads;
pub use memory_order::memory_order;
pub use state_forwarding::state_forwarding;

use crate::region::Region;

/// Names of the passes in the order in which [`run`] applies them.
pub const NAMES: [&str; 4] = ["state_forwarding", "constant_folding", "flag_liveness", "dead_code"];

/// Applies all passes. `faults_see` says how exact the status flags must be where memory accesses fault.
///
/// In debug builds the verifier checks the region after each pass.
pub fn run(region: &mut Region, faults_see: FaultsSee) {
    for name in NAMES {
        run_one(region, name, faults_see);
    }
}

/// Applies the pass called `name`; does nothing for other names.
///
/// No pass changes which memory accesses an ordered region does, or their order; in debug builds that is checked.
pub fn run_one(region: &mut Region, name: &str, faults_see: FaultsSee) {
    let accesses = (cfg!(debug_assertions) && region.key.ordered).then(|| memory_order::accesses(region));
    match name {
        "state_forwarding" => state_forwarding(region),
        "constant_folding" => constant_folding(region),
        "flag_liveness" => flag_liveness(region, faults_see),
        "dead_code" => dead_code(region),
        "memory_order" => memory_order(region),
        _ => return,
    }
    if cfg!(debug_assertions) {
        if let Err(error) = crate::verify::verify(region) {
            panic!("pass {name} broke the region: {error}\n{}", crate::text::print::region(region));
        }
        if accesses.is_some_and(|before| before != memory_order::accesses(region)) {
            panic!(
                "pass {name} changed the memory accesses of an ordered region:\n{}",
                crate::text::print::region(region)
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::text::{parse, print};

    /// Applies `pass` to a one-block text and returns the block's lines, trimmed.
    pub(crate) fn after(pass: impl Fn(&mut Region), block: &str) -> Vec<String> {
        let text = format!("region 0x1000 long64\nblock b0 0x1000\ninsn 0x1000, #1\n{block}\n");
        let mut region = parse::region(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        crate::verify::verify(&region).unwrap();
        pass(&mut region);
        crate::verify::verify(&region).unwrap();
        print::region(&region).lines().skip(3).map(|l| l.trim().to_string()).collect()
    }
}
