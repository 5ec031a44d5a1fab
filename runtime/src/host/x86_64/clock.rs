//! The processor's own clock.

/// The time stamp counter.
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has `rdtsc`, and Linux lets programs use it.
    unsafe { std::arch::x86_64::_rdtsc() }
}
