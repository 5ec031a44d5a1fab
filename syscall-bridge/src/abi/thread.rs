//! Numbers about threads, timeouts and waiting.
//!
//! Source: haiku `headers/os/kernel/OS.h`, `headers/private/system/{thread_defs,tls,user_mutex_defs}.h`.

/// May be ended by any signal.
pub const B_CAN_INTERRUPT: u32 = 0x01;
/// May be ended by a deadly signal.
pub const B_KILL_CAN_INTERRUPT: u32 = 0x20;
/// The timeout is a time from now.
pub const B_RELATIVE_TIMEOUT: u32 = 0x08;
/// The timeout is a `system_time`.
pub const B_ABSOLUTE_TIMEOUT: u32 = 0x10;
/// With `B_ABSOLUTE_TIMEOUT`: a real time.
pub const B_TIMEOUT_REAL_TIME_BASE: u32 = 0x40;
/// The timeout that never ends.
pub const B_INFINITE_TIMEOUT: i64 = i64::MAX;
/// Semaphores: check permissions; nothing more to users.
pub const B_CHECK_PERMISSION: u32 = 0x04;
/// `release_sem_etc`: others run later.
pub const B_DO_NOT_RESCHEDULE: u32 = 0x02;
/// `release_sem_etc`: releases all waiters.
pub const B_RELEASE_ALL: u32 = 0x08;
/// `release_sem_etc`: releases only as many tickets as are waited for.
pub const B_RELEASE_IF_WAITING_ONLY: u32 = 0x10;

/// Thread states of `thread_info`.
pub mod state {
    /// On a processor.
    pub const RUNNING: i32 = 1;
    /// Could run.
    pub const READY: i32 = 2;
    /// In `receive_data`.
    pub const RECEIVING: i32 = 3;
    /// In `snooze`.
    pub const ASLEEP: i32 = 4;
    /// Stopped.
    pub const SUSPENDED: i32 = 5;
    /// Blocked on something.
    pub const WAITING: i32 = 6;
}

/// `B_NORMAL_PRIORITY`.
pub const NORMAL_PRIORITY: i32 = 10;
/// The highest priority that a user thread has.
pub const MAX_PRIORITY: i32 = 120;

/// Signals are deferred from the start.
pub const CREATION_DEFER_SIGNALS: u32 = 1;

/// Bytes below a stack that cannot be accessed.
pub const STACK_GUARD: u64 = 4 * 4096;
/// Bytes of a main thread's stack.
pub const MAIN_STACK: u64 = 16 << 20;
/// Bytes of another thread's stack where none are given.
pub const DEFAULT_STACK: u64 = 64 * 4096;
/// The smallest stack.
pub const MIN_STACK: u64 = 2 * 4096;
/// The largest stack.
pub const MAX_STACK: u64 = 64 << 20;
/// Words of thread-local storage above a stack.
pub const TLS_WORDS: u64 = 64;
/// TLS slots that the kernel fills.
pub mod tls {
    /// The slots' own address.
    pub const BASE: u64 = 0;
    /// The thread's id.
    pub const THREAD_ID: u64 = 1;
    /// Address of the thread's `user_thread`.
    pub const USER_THREAD: u64 = 4;
    /// Slots that are zeroed or filled.
    pub const INITIALISED: u64 = 8;
}

/// User mutex: taken.
pub const MUTEX_LOCKED: u32 = 1;
/// User mutex: the kernel is to be asked on release.
pub const MUTEX_WAITING: u32 = 2;
/// User mutex: everyone may pass.
pub const MUTEX_DISABLED: u32 = 4;
/// Flag of the mutex calls: the word is in memory shared with other teams.
pub const MUTEX_SHARED: u32 = 0x4000_0000;
/// Flag of `mutex_unblock`: wake all waiters.
pub const MUTEX_UNBLOCK_ALL: u32 = 0x8000_0000;
