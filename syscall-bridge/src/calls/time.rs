//! Clocks, sleeping and timers.

use std::sync::Arc;

use crate::abi::signal::Signal;
use crate::abi::structs::{SigEvent, UserTimerInfo};
use crate::abi::thread::{B_ABSOLUTE_TIMEOUT, B_RELATIVE_TIMEOUT, B_TIMEOUT_REAL_TIME_BASE};
use crate::abi::time::*;
use crate::abi::{Status, SysResult};
use crate::args::{In, InBytes, InStr, Out, OutBytes, Size, ThreadId};
use crate::call::Call;
use crate::team::threads::ThreadState;
use crate::team::timers::{NewTimer, Target, TimerClock};
use crate::team::waiting::Deadline;

/// Bits of a clock's number that say whose processor time it is; the others are an id.
const CPU_CLOCK_KIND: i32 = 0xc000_0000_u32 as i32;
/// Processor time of a thread.
const CPU_CLOCK_THREAD: i32 = 0x8000_0000_u32 as i32;
/// `which` of `get_cpuclockid`: a team's.
const TEAM_CLOCK: i32 = 1;
/// `which` of `get_cpuclockid`: a thread's.
const THREAD_CLOCK: i32 = 2;
/// The time zone, until somebody sets another.
const TIME_ZONE: &[u8] = b"GMT";

/// The time on a POSIX clock.
///
/// Haiku: `user_timer_get_clock`, `src/system/kernel/UserTimer.cpp`.
fn clock_time(call: &Call<'_>, id: i32) -> SysResult<i64> {
    let clock = call.kernel().clock();
    let team_time = || clock.team_time().map(|t| t.user_time + t.kernel_time);
    match id {
        CLOCK_MONOTONIC => Ok(clock.system_time()),
        CLOCK_REALTIME => Ok(clock.real_time()),
        CLOCK_THREAD_CPUTIME_ID => clock.thread_time(call.me.id()),
        CLOCK_PROCESS_USER_CPUTIME_ID => clock.team_time().map(|t| t.user_time),
        CLOCK_PROCESS_CPUTIME_ID => team_time(),
        _ if id & CPU_CLOCK_KIND == CPU_CLOCK_THREAD => {
            let thread = ThreadId(id & !CPU_CLOCK_KIND);
            if call.team.threads.is_living(thread) { clock.thread_time(thread) } else { Err(Status::B_BAD_VALUE) }
        }
        _ if id == call.kernel().processes().team().0 => team_time(),
        _ => Err(Status::B_BAD_VALUE),
    }
}

/// Haiku: `_user_get_clock`.
pub fn get_clock(call: &mut Call<'_>, id: i32, time: Out<i64>) -> SysResult {
    let now = clock_time(call, id)?;
    call.write(time, &now)
}

/// Haiku: `_user_set_clock`; the clocks are the host's.
pub fn set_clock(call: &mut Call<'_>, id: i32, _time: i64) -> SysResult {
    match id {
        CLOCK_MONOTONIC | CLOCK_PROCESS_USER_CPUTIME_ID => Err(Status::B_BAD_VALUE),
        _ => clock_time(call, id).and(Err(Status::B_NOT_ALLOWED)),
    }
}

/// Haiku: `_user_get_cpuclockid`.
pub fn get_cpuclockid(call: &mut Call<'_>, id: ThreadId, which: i32, clock: Out<i32>) -> SysResult {
    let number = match which {
        TEAM_CLOCK => {
            if id.0 <= 0 || call.kernel().processes().exists(id.0).is_err() {
                return Err(Status::B_BAD_VALUE);
            }
            id.0
        }
        THREAD_CLOCK if call.team.threads.is_living(id) => id.0 | CPU_CLOCK_THREAD,
        _ => return Err(Status::B_BAD_VALUE),
    };
    call.write_optional(clock, &number)
}

/// Haiku: `_user_system_time`, `src/system/kernel/real_time_clock.cpp`.
pub fn system_time(call: &mut Call<'_>) -> SysResult<i64> {
    Ok(call.kernel().clock().system_time())
}

/// Haiku: `_user_set_real_time_clock`, which only root may call; the clock is the host's.
pub fn set_real_time_clock(_: &mut Call<'_>, _time: i64) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_set_timezone`, which only root may call.
pub fn set_timezone(_: &mut Call<'_>, _offset: i32, _name: InStr, _length: Size) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_get_timezone`; a name that does not fit is cut.
pub fn get_timezone(call: &mut Call<'_>, offset: Out<i32>, name: OutBytes, length: Size) -> SysResult {
    call.write_optional(offset, &0)?;
    if name.0.0 != 0 && length.0 > 0 {
        let fitting = TIME_ZONE.len().min(usize::try_from(length.0 - 1).unwrap_or(usize::MAX));
        call.put_string(name, &TIME_ZONE[..fitting], length.0)?;
    }
    Ok(())
}

/// Haiku: `_user_set_real_time_clock_is_gmt`, which only root may call.
pub fn set_real_time_clock_is_gmt(_: &mut Call<'_>, _is_gmt: bool) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_get_real_time_clock_is_gmt`.
pub fn get_real_time_clock_is_gmt(call: &mut Call<'_>, is_gmt: Out<bool>) -> SysResult {
    if is_gmt.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    call.write(is_gmt, &true)
}

/// Haiku: `_user_snooze_etc`, `src/system/kernel/thread.cpp`.
pub fn snooze_etc(call: &mut Call<'_>, time: i64, timebase: i32, flags: i32, remaining: Out<i64>) -> SysResult {
    let flags = flags as u32;
    let is_relative = flags & B_RELATIVE_TIMEOUT != 0;
    if is_relative {
        // A clock that does not exist is told before one that cannot be waited for.
        clock_time(call, timebase)?;
    }
    let deadline = match timebase {
        // A time from now does not follow changes of the clock.
        CLOCK_MONOTONIC | CLOCK_REALTIME if is_relative => call.deadline(B_RELATIVE_TIMEOUT, time),
        CLOCK_MONOTONIC | CLOCK_REALTIME => {
            let real = timebase == CLOCK_REALTIME || flags & B_TIMEOUT_REAL_TIME_BASE != 0;
            call.deadline(B_ABSOLUTE_TIMEOUT | if real { B_TIMEOUT_REAL_TIME_BASE } else { 0 }, time)
        }
        CLOCK_THREAD_CPUTIME_ID => return Err(Status::B_BAD_VALUE),
        _ => return Err(Status::ENOTSUP),
    };
    let slept = call.waiting(|wait| {
        let interrupted = || (wait.interrupted)().then_some(());
        match wait.parker.wait_until(wait.clock, deadline, interrupted) {
            None => Ok(()),
            Some(()) => Err(Status::B_INTERRUPTED),
        }
    });
    if slept.is_err() && !remaining.is_null() {
        let left = deadline.remaining(call.kernel().clock()).map_or(i64::MAX, |left| left.as_micros() as i64);
        call.write(remaining, &left)?;
    }
    if deadline == Deadline::Now { slept } else { call.restartable(slept) }
}

/// The thread whose timer is meant; negative: the team's.
fn owner(call: &Call<'_>, id: ThreadId) -> SysResult<Option<Arc<ThreadState>>> {
    if id.0 < 0 { Ok(None) } else { call.team.threads.get(id).map(Some) }
}

/// Haiku: `_user_create_timer`, `src/system/kernel/UserTimer.cpp`.
pub fn create_timer(
    call: &mut Call<'_>,
    clock: i32,
    thread: ThreadId,
    flags: u32,
    event: In<SigEvent>,
    _attributes: InBytes,
) -> SysResult<i32> {
    let given = if event.is_null() { None } else { Some(call.read(event)?) };
    let event = given.unwrap_or(SigEvent {
        sigev_notify: SIGEV_SIGNAL,
        sigev_signo: Signal::SIGALRM.0.into(),
        ..SigEvent::default()
    });
    let owner = owner(call, thread)?;
    let clock = match clock {
        CLOCK_MONOTONIC => TimerClock::Monotonic,
        CLOCK_REALTIME => TimerClock::RealTime,
        CLOCK_THREAD_CPUTIME_ID => TimerClock::Thread(call.me.id()),
        CLOCK_PROCESS_CPUTIME_ID => TimerClock::Team,
        CLOCK_PROCESS_USER_CPUTIME_ID => TimerClock::TeamUser,
        _ if clock > 0 && clock == call.kernel().processes().team().0 => TimerClock::Team,
        _ => return Err(Status::B_BAD_VALUE),
    };
    let (target, signal) = match event.sigev_notify {
        SIGEV_NONE => (Target::None, Signal::SIGALRM),
        SIGEV_SIGNAL => {
            let number = u32::try_from(event.sigev_signo).map_err(|_| Status::B_BAD_VALUE)?;
            let signal = Signal::new(number).ok_or(Status::B_BAD_VALUE)?;
            match &owner {
                Some(thread) if flags & USER_TIMER_SIGNAL_THREAD != 0 => {
                    (Target::Thread(Arc::downgrade(thread)), signal)
                }
                _ => (Target::Team, signal),
            }
        }
        SIGEV_THREAD => return Err(Status::B_NOT_SUPPORTED),
        _ => return Err(Status::B_BAD_VALUE),
    };
    call.team.timers.create(NewTimer {
        owner: owner.map(|thread| thread.id()),
        clock,
        target,
        signal,
        value: given.map(|event| event.sigev_value),
    })
}

/// Haiku: `_user_delete_timer`.
pub fn delete_timer(call: &mut Call<'_>, timer: i32, thread: ThreadId) -> SysResult {
    if timer < USER_TIMER_FIRST_USER_DEFINED_ID {
        return Err(Status::B_BAD_VALUE);
    }
    let owner = owner(call, thread)?;
    call.team.timers.delete(owner.map(|thread| thread.id()), timer)
}

/// Haiku: `_user_get_timer`.
pub fn get_timer(call: &mut Call<'_>, timer: i32, thread: ThreadId, info: Out<UserTimerInfo>) -> SysResult {
    let owner = owner(call, thread)?;
    let found = call.team.timers.info(call.kernel(), owner.as_ref(), timer)?;
    call.write_optional(info, &found)
}

/// Haiku: `_user_set_timer`.
pub fn set_timer(
    call: &mut Call<'_>,
    timer: i32,
    thread: ThreadId,
    start: i64,
    interval: i64,
    flags: u32,
    old: Out<UserTimerInfo>,
) -> SysResult {
    if start < 0 || interval < 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let owner = owner(call, thread)?;
    let before = call.team.timers.set(call.kernel(), owner.as_ref(), timer, (start, interval, flags))?;
    call.write_optional(old, &UserTimerInfo { overrun_count: 0, ..before })
}
