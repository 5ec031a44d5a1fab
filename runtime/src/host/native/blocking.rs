//! Host calls that block, without losing an interrupt that comes just before they do.
//!
//! The routine looks at the thread's flag and enters the kernel. A signal between the two would find the thread not yet blocked, and the call
//! would then wait for ever; so the handler sends a thread that is anywhere between them to the end, as if the call had been interrupted.

use std::sync::atomic::AtomicU32;

unsafe extern "C" {
    fn hokku_blocking_call(flag: *const AtomicU32, call: *const [u64; 7]) -> i64;
    static hokku_blocking_start: u8;
    static hokku_blocking_syscall: u8;
    static hokku_blocking_interrupted: u8;
}

/// Makes a host call unless `flag` is set; gives what the kernel returns, `-EINTR` when the flag is set before or while it blocks.
///
/// # Safety
/// As the host call itself.
pub(crate) unsafe fn call(flag: &AtomicU32, number: i64, args: [u64; 6]) -> i64 {
    let words = [number as u64, args[0], args[1], args[2], args[3], args[4], args[5]];
    // SAFETY: the caller answers for the call; the routine keeps to the C calling convention.
    unsafe { hokku_blocking_call(flag, &raw const words) }
}

/// Where an interrupt at host address `pc` goes on, when `pc` is between the look at the flag and the call.
pub(in crate::host) fn interrupted(pc: u64) -> Option<u64> {
    let at = |label: *const u8| label.addr() as u64;
    let before = at(&raw const hokku_blocking_start)..=at(&raw const hokku_blocking_syscall);
    before.contains(&pc).then(|| at(&raw const hokku_blocking_interrupted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_made_unless_the_flag_is_set() {
        let flag = AtomicU32::new(0);
        // SAFETY: getpid takes and changes nothing.
        let pid = unsafe { call(&flag, libc::SYS_getpid, [0; 6]) };
        assert_eq!(pid, i64::from(std::process::id()));
        flag.store(1, std::sync::atomic::Ordering::SeqCst);
        // SAFETY: as above.
        assert_eq!(unsafe { call(&flag, libc::SYS_getpid, [0; 6]) }, -i64::from(libc::EINTR));
    }

    #[test]
    fn a_signal_just_before_the_call_interrupts_it() {
        let start = (&raw const hokku_blocking_start).addr() as u64;
        let end = (&raw const hokku_blocking_interrupted).addr() as u64;
        assert_eq!(interrupted(start), Some(end));
        assert_eq!(interrupted((&raw const hokku_blocking_syscall).addr() as u64), Some(end));
        assert_eq!(interrupted(start - 1), None);
        assert_eq!(interrupted(end), None);
    }
}
