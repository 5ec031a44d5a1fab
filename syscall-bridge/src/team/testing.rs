//! What unit tests of waiting need: a clock that stands at one, and a thread that no signal disturbs.

use std::sync::Arc;

use super::waiting::{Parker, Waiting};
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
