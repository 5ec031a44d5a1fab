//! Numbers about clocks.
//!
//! Source: haiku `headers/posix/time.h`, `headers/private/system/user_timer_defs.h`.

/// `system_time`.
pub const CLOCK_MONOTONIC: i32 = 0;
/// Time since 1970.
pub const CLOCK_REALTIME: i32 = -1;
/// Processor time of the calling team.
pub const CLOCK_PROCESS_CPUTIME_ID: i32 = -2;
/// Processor time of the calling thread.
pub const CLOCK_THREAD_CPUTIME_ID: i32 = -3;
/// Processor time of the calling team outside the kernel.
pub const CLOCK_PROCESS_USER_CPUTIME_ID: i32 = -4;
/// Flag of timers and sleeps: the time is absolute.
pub const TIMER_ABSTIME: u32 = 1;
/// The timer behind `alarm` and `setitimer(ITIMER_REAL)`.
pub const USER_TIMER_REAL_TIME_ID: i32 = 0;
/// The team timers that always exist: real, total and user time.
pub const USER_TIMER_FIRST_USER_DEFINED_ID: i32 = 3;
/// Flag of `create_timer`: the signal goes to the thread.
pub const USER_TIMER_SIGNAL_THREAD: u32 = 1;
/// A timer tells nobody.
pub const SIGEV_NONE: i32 = 0;
/// A timer sends a signal.
pub const SIGEV_SIGNAL: i32 = 1;
/// A timer starts a thread.
pub const SIGEV_THREAD: i32 = 2;
