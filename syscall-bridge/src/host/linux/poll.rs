//! Waiting for host files.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::abi::fs::event;
use crate::abi::{Status, SysResult};
use crate::team::waiting::{Deadline, Waiting};

/// Haiku's events and the host's.
const EVENTS: &[(u16, PollFlags)] = &[
    (event::READ, PollFlags::IN),
    (event::WRITE, PollFlags::OUT),
    (event::ERROR, PollFlags::ERR),
    (event::PRIORITY_READ, PollFlags::RDBAND),
    (event::PRIORITY_WRITE, PollFlags::WRBAND),
    (event::HIGH_PRIORITY_READ, PollFlags::PRI),
    (event::DISCONNECTED, PollFlags::HUP),
    (event::INVALID, PollFlags::NVAL),
];

/// `events` as the host calls them.
pub(super) fn host_events(events: u16) -> PollFlags {
    EVENTS.iter().filter(|(ours, _)| events & ours != 0).fold(PollFlags::empty(), |all, (_, host)| all | *host)
}

/// `events` as Haiku calls them.
pub(super) fn haiku_events(events: PollFlags) -> u16 {
    EVENTS.iter().filter(|(_, host)| events.intersects(*host)).fold(0, |all, (ours, _)| all | ours)
}

/// Waits until one of `files` has one of its events, the deadline passes, or a signal wants the thread; gives what each file has.
pub(super) fn wait_for(
    files: &[(BorrowedFd<'_>, PollFlags)],
    deadline: Deadline,
    wait: &Waiting<'_>,
) -> SysResult<Vec<PollFlags>> {
    wait_for_or(files, deadline, wait, &|| false)
}

/// As above; also ends when `also` is true, which is asked whenever the thread's parker is woken.
pub(super) fn wait_for_or(
    files: &[(BorrowedFd<'_>, PollFlags)],
    deadline: Deadline,
    wait: &Waiting<'_>,
    also: &dyn Fn() -> bool,
) -> SysResult<Vec<PollFlags>> {
    let waiting = wait.parker.file_wait()?;
    loop {
        // After the announcement, so that a signal that comes now raises the flag.
        if (wait.interrupted)() {
            return Err(Status::B_INTERRUPTED);
        }
        let mut polled: Vec<PollFd<'_>> =
            files.iter().map(|(fd, events)| PollFd::from_borrowed_fd(*fd, *events)).collect();
        polled.push(PollFd::from_borrowed_fd(waiting.file.as_fd(), PollFlags::IN));
        let also = also();
        let left = if also { Some(std::time::Duration::ZERO) } else { deadline.remaining(wait.clock) };
        let timeout = left.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let came: Vec<PollFlags> = polled[..files.len()].iter().map(PollFd::revents).collect();
        if also || came.iter().any(|c| !c.is_empty()) {
            return Ok(came);
        }
        if deadline.remaining(wait.clock).is_some_and(|left| left.is_zero()) {
            return Err(deadline.expired());
        }
        waiting.file.reset();
    }
}
