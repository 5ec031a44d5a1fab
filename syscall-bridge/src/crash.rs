//! What is told when a thread does something that ends its team.

use hokku_ir::GuestAddr;
use hokku_runtime::loader::backtrace;
use hokku_runtime::{GuestFault, Thread};

use crate::abi::signal::Signal;
use crate::call::local;
use crate::team::TeamState;
use crate::team::exit::CrashReport;
use crate::team::waiting::lock;

/// Most frames of a call stack that are shown.
const MAX_FRAMES: usize = 32;

/// Describes the thread as it stands at the fault.
pub fn report(
    team: &TeamState,
    thread: &mut Thread,
    signal: Signal,
    fault: &GuestFault,
    address: GuestAddr,
) -> CrashReport {
    let me = std::sync::Arc::clone(&local(thread).me);
    let stack = backtrace(&thread.cpu, &thread.team.memory, MAX_FRAMES);
    let images = lock(&team.images);
    let mut report = CrashReport {
        signal,
        cause: fault.kind.to_string(),
        address,
        thread: (String::from_utf8_lossy(&lock(&me.name)).into_owned(), me.id().0),
        mode: team.mode,
        registers: [0; 16],
        rip: 0,
        eflags: 0,
        stack: stack.into_iter().map(|at| thread.team.symbols.name(at)).collect(),
        images: images
            .all()
            .map(|i| {
                let name = String::from_utf8_lossy(i.name.text()).into_owned();
                let end = i.text.0.max(i.data.0)
                    + if i.data.0 > i.text.0 { i.data_size as u32 } else { i.text_size as u32 } as u64;
                (name, i.text, GuestAddr(end))
            })
            .collect(),
    };
    report.set_registers(&thread.cpu);
    report
}
