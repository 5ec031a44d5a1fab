//! Teams as host processes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

use hokku_runtime::host::program::{self, is_run_by};
use rustix::event::PollFlags;
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Pid;

use super::files::LinuxFiles;
use super::handover::{self, TeamSetup};
use super::poll::wait_for;
use super::signals;
use crate::abi::signal::Signal;
use crate::abi::structs::{TeamInfo, TeamUsageInfo};
use crate::abi::{Chars, Status, SysResult};
use crate::args::{TeamId, ThreadId};
use crate::kernel::{ChildEvent, ChildWait, Processes, ProgramStart};
use crate::team::waiting::{Deadline, Waiting, lock};

/// The team's process and its relatives.
pub struct LinuxProcesses {
    files: Arc<LinuxFiles>,
    setup: TeamSetup,
    /// Teams that were loaded and not resumed yet, with our end of the socket to each.
    loaded: Mutex<HashMap<i32, OwnedFd>>,
    /// The socket to who loaded this team, until it has been told and this team was resumed.
    starter: Mutex<Option<OwnedFd>>,
    /// The team's own id.
    own: AtomicI32,
}

fn own_id() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

impl LinuxProcesses {
    pub(super) fn new(files: Arc<LinuxFiles>, setup: TeamSetup, starter: Option<OwnedFd>) -> Self {
        let own = AtomicI32::new(own_id());
        LinuxProcesses { files, setup, loaded: Mutex::default(), starter: Mutex::new(starter), own }
    }

    fn wait_resume(socket: &OwnedFd, wait: &Waiting<'_>) {
        // A signal that kills ends the wait; so does the starter's end, when there is nobody left to resume this team.
        if wait_for(&[(socket.as_fd(), PollFlags::IN)], Deadline::Never, wait).is_ok() {
            let mut byte = [0];
            if !matches!(rustix::io::read(socket, &mut byte), Ok(1)) {
                tracing::debug!("the team that loaded this one is gone");
            }
        }
    }
}

/// Gives this process the name that the host's tools show.
pub fn name_process(name: &[u8]) {
    let name = CString::new(name).unwrap_or_default();
    // A name that is refused leaves the one that was.
    let _ = rustix::thread::set_name(&name);
}

fn set_close_on_exec(fds: &[i32], close: bool) -> std::io::Result<()> {
    for &fd in fds {
        // SAFETY: the numbers are those of descriptors that the caller keeps open.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_setfd(fd, if close { FdFlags::CLOEXEC } else { FdFlags::empty() })?;
    }
    Ok(())
}

fn id(pid: Pid) -> TeamId {
    TeamId(pid.as_raw_nonzero().get())
}

/// What `getpgid` or `getsid` answered. It is 0 when the leader lives outside this process's PID namespace (a container
/// whose first process made no session), which rustix's `Pid` cannot hold.
pub(super) fn host_group(answer: libc::pid_t) -> SysResult<TeamId> {
    if answer < 0 { Err(std::io::Error::last_os_error().into()) } else { Ok(TeamId(answer)) }
}

fn some_pid(team: TeamId) -> SysResult<Option<Pid>> {
    match team.0 {
        0 => Ok(None),
        n => signals::pid(n).map(Some),
    }
}

/// Parent of a team that no team has started.
const KERNEL_TEAM: TeamId = TeamId(1);

/// A field of `/proc/ID/stat`, counted after the name; `None` if there is no such process.
fn stat_field(team: TeamId, field: usize) -> Option<i64> {
    let text = std::fs::read_to_string(format!("/proc/{team}/stat")).ok()?;
    let after_name = &text[text.rfind(')')? + 2..];
    after_name.split(' ').nth(field)?.parse().ok()
}

/// Whether this process is the only team of its family, so that one need not look for others.
static ALONE: AtomicBool = AtomicBool::new(false);

/// Tells that this process was not started by a team, and has started none.
pub fn started_alone() {
    ALONE.store(true, Ordering::Relaxed);
}

/// The first team of `team`'s family: its ancestor whose parent is not hokku.
fn eldest(mut team: TeamId) -> TeamId {
    while let Some(parent) = stat_field(team, 1).map(|id| TeamId(id as i32)).filter(|parent| is_run_by(parent.0)) {
        team = parent;
    }
    team
}

impl LinuxProcesses {
    /// The teams that a signal to `to` goes to: one team, a process group (negative), or all others (-1). Never a process that is no team of this
    /// guest: a guest must not reach the host's own processes, nor another guest.
    fn receivers(&self, to: i32) -> Vec<i32> {
        let own = self.team();
        let in_group = |team: &TeamId| stat_field(*team, 2) == Some(-i64::from(to));
        let wanted = |team: &TeamId| match to {
            -1 => *team != own,
            group if group < 0 => in_group(team),
            id => team.0 == id,
        };
        self.teams().into_iter().filter(wanted).map(|team| team.0).collect()
    }
}

impl Processes for LinuxProcesses {
    fn team(&self) -> TeamId {
        TeamId(self.own.load(Ordering::Relaxed))
    }

    fn thread(&self) -> ThreadId {
        ThreadId(rustix::thread::gettid().as_raw_nonzero().get())
    }

    fn fork(&self) -> SysResult<Option<TeamId>> {
        ALONE.store(false, Ordering::Relaxed);
        let quiet = (lock(&self.loaded), lock(&self.starter));
        // SAFETY: the caller holds every lock of ours, so that the child, which has this thread only, finds them usable; the C library takes
        // care of its own.
        let forked = self.files.fork(|| match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error()),
            pid => Ok(pid),
        });
        drop(quiet);
        match forked? {
            0 => {
                self.own.store(own_id(), Ordering::Relaxed);
                lock(&self.loaded).clear();
                *lock(&self.starter) = None;
                Ok(None)
            }
            pid => Ok(Some(TeamId(pid))),
        }
    }

    fn exec(&self, start: &ProgramStart) -> SysResult<Infallible> {
        let written = handover::write(&self.files, &self.setup, start, None, false)?;
        let own = program::own_words().into_iter().map(OsString::into_vec);
        let words = own.chain(written.arguments().map(String::into_bytes));
        let words: Vec<_> = words.map(|word| CString::new(word).unwrap_or_default()).collect();
        let arguments: Vec<_> = words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        set_close_on_exec(&written.kept.numbers, false)?;
        // SAFETY: the path and the arguments are strings that live until the call is over, the list ends with null.
        unsafe { libc::execvp(arguments[0], arguments.as_ptr()) };
        let error = std::io::Error::last_os_error();
        set_close_on_exec(&written.kept.numbers, true)?;
        Err(error.into())
    }

    fn load(&self, start: &ProgramStart, wait_loaded: bool, wait: &Waiting<'_>) -> SysResult<TeamId> {
        ALONE.store(false, Ordering::Relaxed);
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let written = handover::write(&self.files, &self.setup, start, Some(theirs.as_fd()), !wait_loaded)?;
        let numbers = written.kept.numbers.clone();
        let mut command = program::own_command();
        command.args(written.arguments());
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        // SAFETY: between fork and exec the closure makes `fcntl` calls only.
        unsafe { command.pre_exec(move || set_close_on_exec(&numbers, false)) };
        let child = command.spawn()?;
        let team = TeamId(i32::try_from(child.id()).map_err(|_| Status::B_NO_MORE_TEAMS)?);
        drop(theirs);
        if wait_loaded {
            wait_for(&[(ours.as_fd(), PollFlags::IN)], Deadline::Never, wait)?;
            let mut report = [0; 4];
            let error = match rustix::io::read(&ours, &mut report) {
                Ok(4) => Status::new(i32::from_le_bytes(report)),
                // It ended without a word.
                _ => Some(Status::B_ERROR),
            };
            if let Some(error) = error {
                // A team that never ran leaves nothing to wait for.
                let _ = rustix::process::waitpid(Pid::from_raw(team.0), rustix::process::WaitOptions::empty());
                return Err(error);
            }
        }
        lock(&self.loaded).insert(team.0, ours);
        Ok(team)
    }

    fn resume_loaded(&self, team: TeamId) -> bool {
        match lock(&self.loaded).remove(&team.0) {
            // If it is gone already there is nothing to resume.
            Some(socket) => rustix::io::write(&socket, &[1]).is_ok(),
            None => false,
        }
    }

    fn loaded(&self, wait: &Waiting<'_>) {
        let Some(socket) = lock(&self.starter).take() else { return };
        // If the starter is gone, nobody listens.
        if rustix::io::write(&socket, &0i32.to_le_bytes()).is_ok() {
            Self::wait_resume(&socket, wait);
        }
    }

    fn load_failed(&self, error: i32) {
        if let Some(socket) = lock(&self.starter).take() {
            // If the starter is gone, nobody listens.
            let _ = rustix::io::write(&socket, &error.to_le_bytes());
        }
    }

    fn hold_at_start(&self, wait: &Waiting<'_>) {
        if let Some(socket) = lock(&self.starter).take() {
            Self::wait_resume(&socket, wait);
        }
    }

    fn child_event(&self, which: ChildWait) -> SysResult<Option<ChildEvent>> {
        let (kind, id) = match which.who {
            -1 => (libc::P_ALL, 0),
            0 => (libc::P_PGID, 0),
            n if n < 0 => (libc::P_PGID, n.unsigned_abs()),
            n => (libc::P_PID, n.unsigned_abs()),
        };
        let mut options = libc::WNOHANG;
        for (wanted, flag) in [
            (which.exited, libc::WEXITED),
            (which.stopped, libc::WSTOPPED),
            (which.continued, libc::WCONTINUED),
            (which.keep, libc::WNOWAIT),
        ] {
            if wanted {
                options |= flag;
            }
        }
        // SAFETY: both are plain data, for which zero is a value.
        let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { std::mem::zeroed() };
        // The library's `waitid` leaves the fifth argument out: the usage.
        // SAFETY: the pointers are to valid objects of the types that the call fills.
        let failed = unsafe { libc::syscall(libc::SYS_waitid, kind, id, &raw mut info, options, &raw mut usage) };
        if failed != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        // SAFETY: the kernel has filled these fields, or left them zero when there is no event.
        let (pid, uid, status) = unsafe { (info.si_pid(), info.si_uid(), info.si_status()) };
        if pid == 0 {
            return Ok(None);
        }
        let micros = |t: libc::timeval| t.tv_sec * 1_000_000 + t.tv_usec;
        Ok(Some(ChildEvent {
            team: TeamId(pid),
            info: signals::child_info(pid, uid, info.si_code, status),
            usage: TeamUsageInfo { user_time: micros(usage.ru_utime), kernel_time: micros(usage.ru_stime) },
        }))
    }

    fn send_signal(&self, to: i32, signal: Signal) -> SysResult {
        let receivers = self.receivers(to);
        if receivers.is_empty() {
            return Err(Status::ESRCH);
        }
        receivers.into_iter().try_for_each(|team| signals::send(team, signal))
    }

    fn exists(&self, to: i32) -> SysResult {
        if self.receivers(to).is_empty() { Err(Status::ESRCH) } else { Ok(()) }
    }

    fn stop(&self) -> SysResult {
        signals::stop_self()
    }

    fn group(&self, team: TeamId) -> SysResult<TeamId> {
        // SAFETY: getpgid() touches no memory.
        host_group(unsafe { libc::getpgid(team.0) })
    }

    fn session(&self, team: TeamId) -> SysResult<TeamId> {
        // SAFETY: getsid() touches no memory.
        host_group(unsafe { libc::getsid(team.0) })
    }

    fn parent(&self, team: TeamId) -> SysResult<TeamId> {
        if team.0 == 0 || team == self.team() {
            let parent = rustix::process::getppid().map_or(TeamId(0), id);
            return Ok(if is_run_by(parent.0) { parent } else { KERNEL_TEAM });
        }
        let parent = stat_field(team, 1).ok_or(Status::B_BAD_TEAM_ID)?;
        Ok(TeamId(parent as i32))
    }

    fn set_group(&self, team: TeamId, group: TeamId) -> SysResult {
        Ok(rustix::process::setpgid(some_pid(team)?, some_pid(group)?)?)
    }

    fn new_session(&self) -> SysResult<TeamId> {
        Ok(id(rustix::process::setsid()?))
    }

    fn user_ids(&self) -> [u32; 3] {
        let (real, effective) = (rustix::process::getuid().as_raw(), rustix::process::geteuid().as_raw());
        [real, effective, effective]
    }

    fn group_ids(&self) -> [u32; 3] {
        let (real, effective) = (rustix::process::getgid().as_raw(), rustix::process::getegid().as_raw());
        [real, effective, effective]
    }

    fn groups(&self) -> SysResult<Vec<u32>> {
        Ok(rustix::process::getgroups()?.into_iter().map(|g| g.as_raw()).collect())
    }

    fn teams(&self) -> Vec<TeamId> {
        if ALONE.load(Ordering::Relaxed) {
            return vec![self.team()];
        }
        let Ok(entries) = std::fs::read_dir("/proc") else { return vec![self.team()] };
        let family = eldest(self.team());
        let mut teams: Vec<TeamId> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .map(TeamId)
            .filter(|&team| is_run_by(team.0) && eldest(team) == family)
            .collect();
        teams.sort();
        teams
    }

    fn describe(&self, team: TeamId) -> SysResult<TeamInfo> {
        if team != self.team() && !self.teams().contains(&team) {
            return Err(Status::B_BAD_TEAM_ID);
        }
        let threads = stat_field(team, 17).ok_or(Status::B_BAD_TEAM_ID)?;
        let name = std::fs::read_to_string(format!("/proc/{team}/comm")).map_err(|_| Status::B_BAD_TEAM_ID)?;
        let name = name.trim_end().as_bytes();
        Ok(TeamInfo {
            team: team.0,
            thread_count: threads as i32,
            debugger_nub_thread: -1,
            debugger_nub_port: -1,
            argc: 1,
            args: Chars::new(name),
            name: Chars::new(name),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            real_uid: rustix::process::getuid().as_raw(),
            real_gid: rustix::process::getgid().as_raw(),
            group_id: self.group(team)?.0,
            session_id: self.session(team)?.0,
            parent: self.parent(team)?.0,
            ..TeamInfo::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_led_from_outside_the_pid_namespace_is_zero_and_not_an_error() {
        assert_eq!(host_group(0), Ok(TeamId(0)));
        assert_eq!(host_group(7), Ok(TeamId(7)));
    }

    #[test]
    fn a_group_of_no_process_is_an_error() {
        // SAFETY: getpgid() touches no memory.
        assert_eq!(host_group(unsafe { libc::getpgid(i32::MAX) }), Err(Status::ESRCH));
    }
}
