//! The x86-64 back end, on any host: its code for a region is the same whatever it has compiled before on the same thread, whose memory it goes on
//! using.

use hokku_backend_x86_64::{Features, X86_64};
use hokku_ir::backend::{Backend as _, Tier};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{CpuMode, Region};
use hokku_tests::fuzz::case::codes;
use hokku_tests::fuzz::evaluate::translated;
use hokku_tests::fuzz::run::Plan;

fn compiled(region: &Region, n: u64) -> String {
    let back_end = X86_64::new(if n % 3 == 0 { Features::empty() } else { Features::all() });
    let tiers = [Tier::First { counted: true }, Tier::First { counted: false }, Tier::Second];
    format!("{:?}", tiers.map(|tier| back_end.compile_as(region, tier)))
}

#[test]
fn code_does_not_depend_on_what_was_compiled_before() {
    let mut programs = 0;
    for mode in [CpuMode::Long64, CpuMode::Protected32] {
        let model = CpuModel::DEFAULT;
        let plan = Plan { seed: 11, mode, model, codes: codes(mode), sequences: true, reports: 0 };
        for n in 0..300 {
            let (_, Some(program)) = plan.program(n) else { continue };
            let region = translated(&program, false).region;
            let on_another = || std::thread::scope(|s| s.spawn(|| compiled(&region, n)).join().unwrap());
            let (here, there) = (compiled(&region, n), on_another());
            assert!(here == there, "{}\n{here}\n{there}", hokku_ir::text::print::region(&region));
            programs += 1;
        }
    }
    assert!(programs > 100, "{programs} programs");
}
