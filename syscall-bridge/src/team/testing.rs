//! What unit tests need: a clock that stands at one, a thread that no signal disturbs, guest memory that no other test touches.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

use hokku_ir::CpuMode;
use hokku_runtime::GuestMemory;

use super::waiting::{Parker, Waiting, lock};
use crate::abi::SysResult;
use crate::abi::structs::TeamUsageInfo;
use crate::args::ThreadId;
use crate::kernel::Clock;

/// Stands at one microsecond.
pub(crate) struct TestClock;

impl Clock for TestClock {
    fn system_time(&self) -> i64 {
        1
    }
    fn real_time(&self) -> i64 {
        1
    }
    fn real_time_offset(&self) -> i64 {
        0
    }
    fn conversion_factor(&self) -> u32 {
        1
    }
    fn team_time(&self) -> SysResult<TeamUsageInfo> {
        Ok(TeamUsageInfo::default())
    }
    fn children_time(&self) -> SysResult<TeamUsageInfo> {
        Ok(TeamUsageInfo::default())
    }
    fn thread_time(&self, _: ThreadId) -> SysResult<i64> {
        Ok(0)
    }
}

pub(crate) fn waiting_on<T>(
    parker: &Arc<Parker>,
    clock: &TestClock,
    interrupted: &dyn Fn() -> bool,
    run: impl FnOnce(&Waiting<'_>) -> T,
) -> T {
    run(&Waiting { parker, clock, interrupted })
}

pub(crate) fn with_waiting<T>(run: impl FnOnce(&Waiting<'_>) -> T) -> T {
    waiting_on(&Arc::new(Parker::default()), &TestClock, &|| false, run)
}

/// Held by tests that map guest memory: all of a process share its addresses, and there can be one 32-bit space at a time.
static ADDRESSES: Mutex<()> = Mutex::new(());

/// Guest memory of a test, which no other test's gets in the way of.
pub(crate) struct TestMemory {
    memory: GuestMemory,
    /// Given up after the memory.
    _alone: MutexGuard<'static, ()>,
}

impl Deref for TestMemory {
    type Target = GuestMemory;

    fn deref(&self) -> &GuestMemory {
        &self.memory
    }
}

/// An empty guest address space; waits until other tests have given theirs up.
pub(crate) fn guest_memory(mode: CpuMode) -> TestMemory {
    let alone = lock(&ADDRESSES);
    TestMemory { memory: GuestMemory::new(mode).expect("guest memory"), _alone: alone }
}
