//! Clocks. The guest computes `system_time` itself from the time stamp counter and the commpage's factor, so the kernel does the same.

use rustix::time::{ClockId, clock_gettime};

use crate::abi::structs::TeamUsageInfo;
use crate::abi::{Status, SysResult};
use crate::args::ThreadId;
use crate::kernel::Clock;

/// The clock, calibrated once.
#[derive(Clone, Copy, Debug)]
pub struct LinuxClock {
    factor: u32,
    /// Microseconds from system time to real time. Fixed, as the commpage's is: deadlines in real time end by the guest's clock.
    real_time_offset: i64,
}

/// How long the calibration looks at both clocks, in nanoseconds: the error is some 50 ns of that.
const CALIBRATION_NS: u64 = 1_000_000;

/// A measurement of the counter's frequency that is under way: it takes its time while other things are done.
#[derive(Clone, Copy, Debug)]
pub struct Calibration {
    counter: u64,
    time: u64,
}

impl Calibration {
    /// Looks at both clocks for the first time.
    pub fn start() -> Self {
        let (counter, time) = both();
        Calibration { counter, time }
    }

    /// Looks again, once enough time has passed.
    pub fn finish(self) -> LinuxClock {
        while nanoseconds(ClockId::Monotonic) - self.time < CALIBRATION_NS {
            std::hint::spin_loop();
        }
        let (counter, time) = both();
        // factor = 2^32 * 10^6 / (counts / seconds)
        let counts = u128::from(counter.wrapping_sub(self.counter)).max(1);
        let factor = (u128::from(time - self.time) << 32) / (1000 * counts);
        LinuxClock::with_factor(u32::try_from(factor).unwrap_or(u32::MAX))
    }
}

impl LinuxClock {
    /// With the factor that the team which started this one uses: system times of the two can be compared.
    pub fn with_factor(factor: u32) -> Self {
        let mut clock = LinuxClock { factor, real_time_offset: 0 };
        clock.real_time_offset = (nanoseconds(ClockId::Realtime) / 1000) as i64 - clock.system_time();
        clock
    }
}

/// Both clocks at the same moment, as nearly as can be: of some tries, the one that took least.
fn both() -> (u64, u64) {
    const TRIES: usize = 8;
    let pair = || {
        let before = counter();
        let time = nanoseconds(ClockId::Monotonic);
        let took = counter().wrapping_sub(before);
        (took, before.wrapping_add(took / 2), time)
    };
    let (_, counter, time) =
        (1..TRIES).map(|_| pair()).fold(pair(), |best, next| if next.0 < best.0 { next } else { best });
    (counter, time)
}

/// The guest's time stamp counter.
fn counter() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: `rdtsc` reads a counter and touches nothing else; Linux lets every process execute it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        nanoseconds(ClockId::Monotonic)
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
}

fn usage(who: libc::c_int) -> SysResult<TeamUsageInfo> {
    // SAFETY: `rusage` is plain integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is writable and of the type that the call fills.
    if unsafe { libc::getrusage(who, &mut usage) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let micros = |t: libc::timeval| t.tv_sec * 1_000_000 + t.tv_usec;
    Ok(TeamUsageInfo { user_time: micros(usage.ru_utime), kernel_time: micros(usage.ru_stime) })
}

impl Clock for LinuxClock {
    fn system_time(&self) -> i64 {
        ((u128::from(counter()) * u128::from(self.factor)) >> 32) as i64
    }

    fn real_time(&self) -> i64 {
        self.system_time() + self.real_time_offset
    }

    fn real_time_offset(&self) -> i64 {
        self.real_time_offset
    }

    fn conversion_factor(&self) -> u32 {
        self.factor
    }

    fn team_time(&self) -> SysResult<TeamUsageInfo> {
        usage(libc::RUSAGE_SELF)
    }

    fn children_time(&self) -> SysResult<TeamUsageInfo> {
        usage(libc::RUSAGE_CHILDREN)
    }

    fn thread_time(&self, thread: ThreadId) -> SysResult<i64> {
        // Numbers are shifted: those that do not fit are no threads.
        if !(1..1 << 28).contains(&thread.0) {
            return Err(Status::B_BAD_THREAD_ID);
        }
        // Linux's number of a thread's processor time clock: the id inverted above three low bits that say "one thread, all time".
        let id = (!thread.0 << 3) | 6;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is writable and of the type that the call fills.
        if unsafe { libc::clock_gettime(id, &mut time) } != 0 {
            return Err(Status::B_BAD_THREAD_ID);
        }
        Ok(time.tv_sec * 1_000_000 + time.tv_nsec / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_measured_alike_each_time() {
        let (first, second) = (Calibration::start().finish().factor, Calibration::start().finish().factor);
        assert!(first.abs_diff(second) < first / 100, "{first} and {second}");
    }

    #[test]
    fn system_time_runs_at_the_speed_of_the_monotonic_clock() {
        let (counter, time) = both();
        // Takes a while.
        let clock = Calibration::start().finish();
        let (counter_later, time_later) = both();
        let counted = ((u128::from(counter_later - counter) * u128::from(clock.factor) * 1000) >> 32) as u64;
        let passed = time_later - time;
        // Reading the clocks takes some time itself.
        assert!(counted.abs_diff(passed) < passed / 50 + 2000, "{counted} against {passed} nanoseconds");
    }

    #[test]
    fn thread_time_is_that_of_the_thread() {
        let clock = LinuxClock::with_factor(1);
        let me = ThreadId(rustix::thread::gettid().as_raw_nonzero().get());
        assert!(clock.thread_time(me).is_ok_and(|t| t >= 0));
        assert_eq!(clock.thread_time(ThreadId(0x3fff_ffff)), Err(Status::B_BAD_THREAD_ID));
    }
}
