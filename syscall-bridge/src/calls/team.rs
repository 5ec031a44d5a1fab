//! Teams: starting, ending, waiting for them, and what they are.
//!
//! Haiku: `src/system/kernel/team.cpp`.

use std::sync::Arc;

use hokku_ir::GuestAddr;
use hokku_runtime::Access;

use crate::abi::layout::{GuestType, Word, word_bytes};
use crate::abi::signal::{KILL, Signal};
use crate::abi::structs::{SigInfo, TeamInfo, TeamUsageInfo};
use crate::abi::thread::NORMAL_PRIORITY;
use crate::abi::{Chars, Status, SysResult};
use crate::args::*;
use crate::call::{Call, Flow, local};
use crate::kernel::{ChildWait, ProgramStart};
use crate::start::stack;
use crate::team::exit::ExitStatus;
use crate::team::waiting::{Deadline, lock};

/// Arguments, or variables.
type Strings = Vec<Vec<u8>>;

/// Most bytes of flat arguments.
const MAX_FLAT_ARGS: u64 = 8 << 20;
/// Most arguments and variables.
const MAX_FLAT_COUNT: i32 = 1 << 20;

/// This team's id, if that is what `team` means: 0 is the caller's. Objects of other teams are the object server's.
pub(super) fn own_team(call: &Call<'_>, team: TeamId) -> SysResult<TeamId> {
    let own = call.kernel().processes().team();
    if team.0 == 0 || team == own { Ok(own) } else { Err(Status::B_BAD_TEAM_ID) }
}

/// Ends the team in an orderly way: the calling thread leaves at once, the others as soon as they look up.
pub(super) fn end_team(call: &mut Call<'_>, status: ExitStatus) -> SysResult {
    if let ExitStatus::Exited(code) = status {
        local(call.thread).exit_status = code;
    }
    call.team.exit.set(status);
    for thread in call.team.threads.all() {
        if !Arc::ptr_eq(&thread, &call.me) {
            thread.poke();
        }
    }
    call.flow = Flow::Leave;
    Ok(())
}

/// Haiku: `_user_exit_team`.
pub fn exit_team(call: &mut Call<'_>, return_value: i32) -> SysResult {
    end_team(call, ExitStatus::Exited(return_value))
}

/// Haiku: `_user_kill_team`.
pub fn kill_team(call: &mut Call<'_>, team: TeamId) -> SysResult {
    if team.0 < 0 {
        return Err(Status::B_BAD_TEAM_ID);
    }
    match own_team(call, team) {
        Ok(_) => {
            let info = SigInfo::sent(Signal::SIGKILL, 0, call.kernel().processes().team(), 0);
            call.team.signal_team(info, false)
        }
        Err(_) => call.kernel().processes().send_signal(team.0, Signal::SIGKILL).map_err(|_| Status::B_BAD_TEAM_ID),
    }
}

/// Haiku: `_user_get_current_team`.
pub fn get_current_team(call: &mut Call<'_>) -> SysResult<TeamId> {
    Ok(call.kernel().processes().team())
}

/// Flat arguments as a program hands them over: pointers into the block, of which those of the arguments come first.
fn unflatten(
    call: &Call<'_>,
    flat: InBytes,
    size: Size,
    arg_count: i32,
    env_count: i32,
) -> SysResult<(Strings, Strings)> {
    let counts = 0..=MAX_FLAT_COUNT;
    if size.0 > MAX_FLAT_ARGS || !counts.contains(&arg_count) || !counts.contains(&env_count) || arg_count < 1 {
        return Err(Status::B_BAD_VALUE);
    }
    let mode = call.mode();
    let word = word_bytes(mode);
    call.memory().check(flat.0, size.0, Access::Read)?;
    let bytes = call.bytes(flat, size.0)?;
    let string = |index: usize| -> SysResult<Vec<u8>> {
        let pointer = bytes.get(index * word..(index + 1) * word).ok_or(Status::B_BAD_VALUE)?;
        let offset = Word::decode(pointer, mode).0.checked_sub(flat.0.0).ok_or(Status::B_BAD_ADDRESS)?;
        let tail = usize::try_from(offset).ok().and_then(|o| bytes.get(o..)).ok_or(Status::B_BAD_ADDRESS)?;
        let end = tail.iter().position(|&b| b == 0).ok_or(Status::B_BAD_VALUE)?;
        Ok(tail[..end].to_vec())
    };
    let args = (0..arg_count as usize).map(string).collect::<SysResult<_>>()?;
    // A null stands between the two lists.
    let env = (0..env_count as usize).map(|i| string(arg_count as usize + 1 + i)).collect::<SysResult<_>>()?;
    Ok((args, env))
}

/// Only ELF executables come here; libroot resolves scripts itself.
fn check_executable(call: &Call<'_>, path: &[u8]) -> SysResult {
    let paths = call.kernel().paths();
    let at = crate::kernel::At { dir: -1, path: Some(path) };
    paths.access(at, 1, true)?;
    if paths.stat(at, true)?.st_mode & 0o170_000 != 0o100_000 {
        return Err(Status::B_NOT_AN_EXECUTABLE);
    }
    Ok(())
}

/// Haiku: `_user_load_image`.
pub fn load_image(
    call: &mut Call<'_>,
    flat_args: InBytes,
    flat_args_size: Size,
    arg_count: i32,
    env_count: i32,
    priority: i32,
    flags: u32,
    error_port: PortId,
    error_token: u32,
) -> SysResult<ThreadId> {
    /// Returns once the program is loaded.
    const B_WAIT_TILL_LOADED: u32 = 1;
    let (args, env) = unflatten(call, flat_args, flat_args_size, arg_count, env_count)?;
    let path = args[0].clone();
    check_executable(call, &path)?;
    let start = ProgramStart {
        path: call.kernel().paths().normalize(&path, true)?,
        args,
        env,
        umask: None,
        error_port: error_port.0,
        error_token,
        signal_mask: lock(&call.me.signals).mask,
        ignored_signals: lock(&call.team.signals).ignored(),
        priority: if priority < 0 { NORMAL_PRIORITY } else { priority },
    };
    let wait_loaded = flags & B_WAIT_TILL_LOADED != 0;
    // Not interruptible: the new team is there, and its caller must learn of it.
    let team = call.waiting_but_for(KILL, |wait| call.kernel().processes().load(&start, wait_loaded, wait))?;
    // The id of a team is that of its main thread.
    Ok(ThreadId(team.0))
}

/// Haiku: `_user_exec`.
pub fn exec(
    call: &mut Call<'_>,
    path: InStr,
    flat_args: InBytes,
    flat_args_size: Size,
    arg_count: i32,
    env_count: i32,
    umask: u32,
) -> SysResult {
    let path = call.string(path)?;
    let (args, env) = unflatten(call, flat_args, flat_args_size, arg_count, env_count)?;
    check_executable(call, &path)?;
    if !call.team.threads.main().is_some_and(|main| Arc::ptr_eq(&main, &call.me)) {
        return Err(Status::B_NOT_ALLOWED);
    }
    let start = ProgramStart {
        path: call.kernel().paths().normalize(&path, true)?,
        args,
        env,
        umask: (umask != u32::MAX).then_some(umask),
        error_port: -1,
        error_token: 0,
        signal_mask: lock(&call.me.signals).mask,
        ignored_signals: lock(&call.team.signals).ignored(),
        priority: call.me.priority.load(std::sync::atomic::Ordering::Relaxed),
    };
    call.thread.team.keep_translations();
    match call.kernel().processes().exec(&start) {
        Ok(never) => match never {},
        Err(error) => Err(error),
    }
}

/// Haiku: `_user_fork`.
pub fn fork(call: &mut Call<'_>) -> SysResult<ThreadId> {
    let team = call.team;
    let me = Arc::clone(&call.me);
    let forked = {
        // Before the runtime's own locks: handlers reach for guest memory while they hold these.
        let _quiet = team.quiesce();
        let _own = me.quiesce();
        call.thread.fork(|| team.kernel.processes().fork().map(|child| child.map_or(0, |team| team.0)))?
    };
    if forked != 0 {
        return Ok(ThreadId(forked));
    }
    team.forked(&me);
    let memory = *lock(&me.memory);
    let id = me.id();
    stack::update_tls(call.memory(), &memory, id)?;
    // libroot's fork undoes the deferring.
    let pthread: GuestAddr = call.read_at(memory.user_thread)?;
    stack::init_user_thread(call.memory(), memory.user_thread, pthread, true)?;
    // The thread that hands host signals over is not in the child.
    crate::run::forward_signals(call.thread)?;
    Ok(ThreadId(0))
}

/// Haiku: `_user_wait_for_team`.
pub fn wait_for_team(call: &mut Call<'_>, team: TeamId, return_code: Out<i32>) -> SysResult {
    let which = ChildWait { who: team.0, exited: true, stopped: false, continued: false, keep: false };
    if team.0 <= 0 {
        return Err(Status::B_BAD_TEAM_ID);
    }
    let event = wait_child(call, which, Deadline::Never).map_err(|e| match e {
        Status::ECHILD => Status::B_BAD_TEAM_ID,
        other => other,
    })?;
    call.write_optional(return_code, &event.info.si_status)
}

pub(super) fn wait_child(
    call: &mut Call<'_>,
    which: ChildWait,
    deadline: Deadline,
) -> SysResult<crate::kernel::ChildEvent> {
    let team = call.team;
    let result = call.waiting(|wait| {
        // `SIGCHLD` from the host wakes every thread of the team, whether it holds the signal back or not.
        let done = wait.parker.wait_until(wait.clock, deadline, || match team.kernel.processes().child_event(which) {
            Ok(Some(event)) => Some(Ok(event)),
            Ok(None) => (wait.interrupted)().then_some(Err(Status::B_INTERRUPTED)),
            Err(error) => Some(Err(error)),
        });
        done.unwrap_or(Err(deadline.expired()))
    });
    call.restartable(result)
}

/// Haiku: `_user_wait_for_child`.
pub fn wait_for_child(
    call: &mut Call<'_>,
    child: ThreadId,
    flags: u32,
    info: Out<SigInfo>,
    usage_info: Out<TeamUsageInfo>,
) -> SysResult<TeamId> {
    const WNOHANG: u32 = 1;
    const WUNTRACED: u32 = 2;
    const WCONTINUED: u32 = 4;
    const WEXITED: u32 = 8;
    const WSTOPPED: u32 = 0x10;
    const WNOWAIT: u32 = 0x20;
    if flags & !(WNOHANG | WUNTRACED | WCONTINUED | WEXITED | WSTOPPED | WNOWAIT) != 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let which = ChildWait {
        who: child.0,
        exited: flags & WEXITED != 0,
        stopped: flags & (WUNTRACED | WSTOPPED) != 0,
        continued: flags & WCONTINUED != 0,
        keep: flags & WNOWAIT != 0,
    };
    let deadline = if flags & WNOHANG != 0 { Deadline::Now } else { Deadline::Never };
    let event = wait_child(call, which, deadline)?;
    call.write_optional(info, &event.info)?;
    call.write_optional(usage_info, &event.usage)?;
    Ok(event.team)
}

/// Haiku: `_user_process_info`.
pub fn process_info(call: &mut Call<'_>, process: TeamId, which: i32) -> SysResult<TeamId> {
    let processes = call.kernel().processes();
    match which {
        1 => processes.session(process),
        2 => processes.group(process),
        3 => processes.parent(process),
        _ => Err(Status::B_BAD_VALUE),
    }
}

/// Haiku: `_user_setpgid`.
pub fn setpgid(call: &mut Call<'_>, process: TeamId, group: TeamId) -> SysResult<TeamId> {
    if process.0 < 0 || group.0 < 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let processes = call.kernel().processes();
    processes.set_group(process, group)?;
    processes.group(process)
}

/// Haiku: `_user_setsid`.
pub fn setsid(call: &mut Call<'_>) -> SysResult<TeamId> {
    call.kernel().processes().new_session()
}

fn describe(call: &Call<'_>, team: TeamId) -> SysResult<TeamInfo> {
    let processes = call.kernel().processes();
    let own = processes.team();
    if team.0 == 1 {
        // The kernel's team, which programs ask for by its fixed id.
        return Ok(TeamInfo {
            team: 1,
            debugger_nub_thread: -1,
            debugger_nub_port: -1,
            args: Chars::new(b"kernel_team"),
            name: Chars::new(b"kernel_team"),
            thread_count: 1,
            ..TeamInfo::default()
        });
    }
    let mut info = processes.describe(if team.0 == 0 { own } else { team })?;
    if info.team == own.0 {
        info.thread_count = call.team.threads.all().len() as i32;
        info.image_count = lock(&call.team.images).len() as i32;
        info.area_count = lock(&call.team.areas).count() as i32;
        info.args = Chars::new(&lock(&call.team.command_line));
        info.start_time = call.team.started;
    }
    Ok(info)
}

/// Haiku: `_user_get_team_info`.
pub fn get_team_info(call: &mut Call<'_>, id: TeamId, info: Out<TeamInfo>, size: Size) -> SysResult {
    let value = describe(call, id)?;
    call.write_sized(info, size, &value)
}

/// Haiku: `_user_get_next_team_info`. The cookie is one more than the id of the team before.
pub fn get_next_team_info(call: &mut Call<'_>, cookie: InOut<i32>, info: Out<TeamInfo>, size: Size) -> SysResult {
    let from = call.read_io(cookie)?;
    let teams = call.kernel().processes().teams();
    let next = teams.into_iter().filter(|t| t.0 >= from).find_map(|t| describe(call, t).ok());
    let value = next.ok_or(Status::B_BAD_VALUE)?;
    call.write_sized(info, size, &value)?;
    call.write_io(cookie, &(value.team + 1))
}

/// Haiku: `_user_get_team_usage_info`.
pub fn get_team_usage_info(
    call: &mut Call<'_>,
    team: TeamId,
    who: i32,
    info: Out<TeamUsageInfo>,
    size: Size,
) -> SysResult {
    const RUSAGE_SELF: i32 = 0;
    const RUSAGE_CHILDREN: i32 = -1;
    own_team(call, team)?;
    let clock = call.kernel().clock();
    let value = match who {
        RUSAGE_SELF => clock.team_time()?,
        RUSAGE_CHILDREN => clock.children_time()?,
        _ => return Err(Status::B_BAD_VALUE),
    };
    call.write_sized(info, size, &value)
}
