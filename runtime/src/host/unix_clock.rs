//! A clock for hosts whose own counter is not used.

/// Nanoseconds since boot: a time stamp counter of 1 GHz.
pub(crate) fn ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
