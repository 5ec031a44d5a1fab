//! Any text as a case of the lab: read, set up, run for a moment by the evaluator, answered.
#![no_main]

use std::path::Path;

use hokku_ir::X87Arithmetic;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_runtime::Tiering;
use libfuzzer_sys::fuzz_target;

/// The engines, as the command line's enum has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineName {
    Interp,
}

impl EngineName {
    pub(crate) fn engine(self) -> hokku_runtime::Engine {
        hokku_runtime::Engine::Interp
    }
}

#[allow(dead_code, reason = "the command's own part is not used here")]
#[path = "../../cli/src/cpu.rs"]
mod cpu;

#[allow(dead_code, reason = "the command's own part is not used here")]
#[path = "../../cli/src/lab"]
mod lab {
    pub(crate) mod case;
    pub(crate) mod worker;
}

const PROCESSOR: cpu::CpuOption = cpu::CpuOption { model: CpuModel::DEFAULT, x87: X87Arithmetic::Exact };

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut case) = serde_json::from_slice::<lab::case::Case>(bytes) else { return };
    // Files of this machine are not part of the input.
    case.data.retain(|data| data.file.is_none());
    case.timeout_ms = case.timeout_ms.min(20);
    let outcome = lab::worker::run_case(&case, EngineName::Interp, &PROCESSOR, Tiering::default(), Path::new("."));
    if let Ok(outcome) = outcome {
        serde_json::to_string(&outcome).expect("results are JSON");
    }
});
