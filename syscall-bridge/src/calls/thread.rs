//! Threads.
//!
//! Haiku: `src/system/kernel/thread.cpp`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hokku_ir::GuestAddr;

use crate::abi::signal::Signal;
use crate::abi::structs::{EarlyThreadCreationAttributes, SigInfo, ThreadCreationAttributes, ThreadInfo, UserThread};
use crate::abi::thread::*;
use crate::abi::{Chars, Status, SysResult};
use crate::args::*;
use crate::call::{Call, Flow, Local, local};
use crate::kernel::ChildWait;
use crate::start::stack::{self, StackRequest};
use crate::team::signals::ThreadSignals;
use crate::team::threads::{SentData, ThreadState};
use crate::team::waiting::{Deadline, Ticket, lock};

/// Most bytes that `send_data` takes.
const MAX_SENT: u64 = 256 * 1024;

/// What the program asks for. Two orders of the fields are about; libroot always passes the `pthread` as second argument as well, which
/// tells them apart.
fn attributes(call: &Call<'_>, at: InBytes) -> SysResult<ThreadCreationAttributes> {
    let now: ThreadCreationAttributes = call.read_at(at.0)?;
    let early = call.read_at::<EarlyThreadCreationAttributes>(at.0);
    match early {
        Ok(e) if e.pthread.0 != 0 && e.pthread == e.args2 && now.pthread != now.args2 => Ok(ThreadCreationAttributes {
            entry: e.entry,
            name: e.name,
            args1: e.args1,
            args2: e.args2,
            stack_address: e.stack_address,
            stack_size: e.stack_size,
            guard_size: e.guard_size,
            pthread: e.pthread,
            priority: e.priority,
            flags: e.flags,
        }),
        _ => Ok(now),
    }
}

/// Haiku: `_user_spawn_thread`.
pub fn spawn_thread(call: &mut Call<'_>, attributes_at: InBytes) -> SysResult<ThreadId> {
    let wanted = attributes(call, attributes_at)?;
    let name = call.name(InStr(wanted.name), "user thread")?;
    let commpage = call.team.commpage.get().ok_or(Status::B_NO_INIT)?.thread_exit;
    let request =
        StackRequest { address: wanted.stack_address, size: wanted.stack_size.0, guard: wanted.guard_size.0, above: 0 };
    let memory = stack::create_memory(call.team, call.memory(), &name, request)?;
    let cpu = stack::initial_cpu(call.memory(), &memory, wanted.entry, (wanted.args1.0, wanted.args2.0), commpage)?;
    let defer = wanted.flags & CREATION_DEFER_SIGNALS != 0;
    stack::init_user_thread(call.memory(), memory.user_thread, wanted.pthread, defer)?;
    let priority = if wanted.priority < 0 { NORMAL_PRIORITY } else { wanted.priority.clamp(1, MAX_PRIORITY) };
    let mut signals = ThreadSignals::default();
    signals.set_mask(lock(&call.me.signals).mask);
    let state = ThreadState::new(&name, priority, memory, signals, true);
    // Held until the new thread is in the table: it must not end before it is there.
    state.attention.store(true, Ordering::SeqCst);
    let host_name = String::from_utf8_lossy(&name).into_owned();
    let gate = Arc::new(std::sync::Barrier::new(2));
    let (team, at_gate) = (crate::run::team_of(call.thread), Arc::clone(&gate));
    let local = Box::new(Local::new(Arc::clone(&team), Arc::clone(&state)));
    let body = move |thread: &mut hokku_runtime::Thread| {
        at_gate.wait();
        crate::run::run_thread(&team, thread);
    };
    let handle = call.thread.team.spawn_with(cpu, local, &host_name, body).map_err(|_| Status::B_NO_MORE_THREADS)?;
    let id = ThreadId(handle.id());
    state.set_id(id);
    state.set_handle(handle);
    let ready = stack::init_tls(call.memory(), &memory, id);
    if memory.owned_stack.0 != 0 {
        let full = [name.as_slice(), format!("_{id}_stack").as_bytes()].concat();
        lock(&call.team.areas).rename(memory.owned_stack.0, &full);
    }
    call.team.threads.add(&state);
    gate.wait();
    ready.map(|()| id)
}

/// Haiku: `_user_find_thread`.
pub fn find_thread(call: &mut Call<'_>, name: InStr) -> SysResult<ThreadId> {
    match call.optional_string(name)? {
        None => Ok(call.me.id()),
        Some(name) => call.team.threads.find(&name),
    }
}

/// Haiku: `_user_suspend_thread`: sends `SIGSTOP`, which here stops the one thread.
pub fn suspend_thread(call: &mut Call<'_>, thread: ThreadId) -> SysResult {
    let thread = call.team.threads.get(thread)?;
    thread.suspended.store(true, Ordering::SeqCst);
    thread.poke();
    Ok(())
}

/// Haiku: `_user_resume_thread`.
pub fn resume_thread(call: &mut Call<'_>, thread: ThreadId) -> SysResult {
    match call.team.threads.get(thread) {
        Ok(state) => {
            if !state.suspended.swap(false, Ordering::SeqCst) {
                return Err(Status::B_BAD_THREAD_STATE);
            }
            state.parker.wake();
            Ok(())
        }
        Err(error) => {
            if call.kernel().processes().resume_loaded(TeamId(thread.0)) {
                Ok(())
            } else {
                Err(error)
            }
        }
    }
}

/// Haiku: `_user_rename_thread`.
pub fn rename_thread(call: &mut Call<'_>, thread: ThreadId, new_name: InStr) -> SysResult {
    if new_name.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    let name = call.name(new_name, "")?;
    *lock(&call.team.threads.get(thread)?.name) = name;
    Ok(())
}

/// Haiku: `_user_set_thread_priority`.
pub fn set_thread_priority(call: &mut Call<'_>, thread: ThreadId, new_priority: i32) -> SysResult<i32> {
    let thread = call.team.threads.get(thread)?;
    Ok(thread.priority.swap(new_priority.clamp(1, MAX_PRIORITY), Ordering::Relaxed))
}

/// Haiku: `_user_kill_thread`.
pub fn kill_thread(call: &mut Call<'_>, thread: ThreadId) -> SysResult {
    let state = call.team.threads.get(thread)?;
    let info = SigInfo::sent(Signal::SIGKILLTHR, 0, call.kernel().processes().team(), 0);
    call.team.signal_thread(&state, info, false)
}

/// Haiku: `_user_exit_thread`.
pub fn exit_thread(call: &mut Call<'_>, return_value: i32) -> SysResult {
    local(call.thread).exit_status = return_value;
    call.flow = Flow::Leave;
    Ok(())
}

/// Haiku: `_user_cancel_thread`.
pub fn cancel_thread(call: &mut Call<'_>, thread_id: ThreadId, cancel_function: GuestAddr) -> SysResult {
    if cancel_function.0 == 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let thread = call.team.threads.get(thread_id)?;
    lock(&thread.signals).cancel = cancel_function;
    let info = SigInfo::sent(Signal::SIGNAL_CANCEL_THREAD, 0, call.kernel().processes().team(), 0);
    call.team.signal_thread(&thread, info, false)
}

/// Haiku: `_user_thread_yield`.
pub fn thread_yield(call: &mut Call<'_>) -> SysResult {
    call.kernel().machine().yield_now();
    Ok(())
}

/// Haiku: `_user_wait_for_thread_etc`. Waiting for a new or suspended thread resumes it.
pub fn wait_for_thread_etc(
    call: &mut Call<'_>,
    thread: ThreadId,
    flags: u32,
    timeout: i64,
    return_code: Out<i32>,
) -> SysResult {
    if thread == call.me.id() {
        return Err(Status::EDEADLK);
    }
    let deadline = call.deadline(flags, timeout);
    match call.team.threads.get(thread) {
        Ok(state) => {
            if state.suspended.swap(false, Ordering::SeqCst) {
                state.parker.wake();
            }
        }
        Err(error) => {
            if !call.team.threads.was(thread) {
                return wait_for_child_team(call, thread, deadline, return_code).map_err(|e| match e {
                    Status::ECHILD => error,
                    other => other,
                });
            }
        }
    }
    let team = call.team;
    let result = {
        let _watching = team.threads.watchers.watch(&call.me.parker);
        call.waiting(|wait| {
            let done = wait.parker.wait_until(wait.clock, deadline, || match team.threads.take_status(thread) {
                Ok(Some(status)) => Some(Ok(status)),
                Ok(None) => (wait.interrupted)().then_some(Err(Status::B_INTERRUPTED)),
                Err(error) => Some(Err(error)),
            });
            done.unwrap_or(Err(deadline.expired()))
        })
    };
    let status = call.restartable(result)?;
    call.write_optional(return_code, &status)
}

/// The main thread of a team that this one has loaded.
fn wait_for_child_team(call: &mut Call<'_>, thread: ThreadId, deadline: Deadline, return_code: Out<i32>) -> SysResult {
    if thread.0 <= 0 {
        return Err(Status::ECHILD);
    }
    call.kernel().processes().resume_loaded(TeamId(thread.0));
    let which = ChildWait { who: thread.0, exited: true, stopped: false, continued: false, keep: false };
    let event = super::team::wait_child(call, which, deadline)?;
    call.write_optional(return_code, &event.info.si_status)
}

/// Haiku: `_user_has_data`.
pub fn has_data(call: &mut Call<'_>, thread: ThreadId) -> SysResult<bool> {
    let thread = call.team.threads.get(thread)?;
    let has = lock(&thread.sent).is_some();
    Ok(has)
}

/// Haiku: `_user_send_data`. Waits while the thread has not received what was sent before.
pub fn send_data(call: &mut Call<'_>, thread: ThreadId, code: i32, buffer: InBytes, buffer_size: Size) -> SysResult {
    if buffer_size.0 > MAX_SENT {
        return Err(Status::B_NO_MEMORY);
    }
    let data = call.bytes(buffer, buffer_size.0)?;
    let target = call.team.threads.get(thread)?;
    let mut message = Some(SentData { sender: call.me.id(), code, data });
    let team = call.team;
    let result = {
        let _watching = team.threads.watchers.watch(&call.me.parker);
        call.waiting(|wait| {
            let done = wait.parker.wait_until(wait.clock, Deadline::Never, || {
                let mut sent = lock(&target.sent);
                if sent.is_none() {
                    *sent = message.take();
                    return Some(Ok(()));
                }
                if !team.threads.is_living(thread) {
                    return Some(Err(Status::B_BAD_THREAD_ID));
                }
                (wait.interrupted)().then_some(Err(Status::B_INTERRUPTED))
            });
            done.unwrap_or(Err(Status::B_INTERRUPTED))
        })
    };
    call.restartable(result)?;
    target.parker.wake();
    Ok(())
}

/// Haiku: `_user_receive_data`. Gives the code; bytes that do not fit are lost.
pub fn receive_data(call: &mut Call<'_>, sender: Out<ThreadId>, buffer: OutBytes, buffer_size: Size) -> SysResult<i32> {
    let me = Arc::clone(&call.me);
    let result = call.waiting(|wait| {
        let done = wait.parker.wait_until(wait.clock, Deadline::Never, || match lock(&me.sent).take() {
            Some(data) => Some(Ok(data)),
            None => (wait.interrupted)().then_some(Err(Status::B_INTERRUPTED)),
        });
        done.unwrap_or(Err(Status::B_INTERRUPTED))
    });
    let message = call.restartable(result)?;
    // Whoever waits to send more may do so now.
    call.team.threads.watchers.notify();
    let taken = message.data.len().min(usize::try_from(buffer_size.0).unwrap_or(usize::MAX));
    call.put_bytes(buffer, &message.data[..taken])?;
    call.write_optional(sender, &message.sender)?;
    Ok(message.code)
}

fn describe(call: &Call<'_>, thread: &ThreadState) -> ThreadInfo {
    let kernel = call.kernel();
    let memory = *lock(&thread.memory);
    let sem = thread.sem.load(Ordering::Relaxed);
    let state = if thread.id() == call.me.id() {
        state::RUNNING
    } else if thread.suspended.load(Ordering::SeqCst) {
        state::SUSPENDED
    } else if sem != 0 || thread.parker.is_waiting() {
        state::WAITING
    } else {
        state::READY
    };
    ThreadInfo {
        thread: thread.id().0,
        team: kernel.processes().team().0,
        name: Chars::new(&lock(&thread.name)),
        state,
        priority: thread.priority.load(Ordering::Relaxed),
        sem: if sem == 0 { -1 } else { sem },
        // The host does not split it for other threads.
        user_time: kernel.clock().thread_time(thread.id()).unwrap_or(0),
        kernel_time: 0,
        stack_base: memory.stack_base,
        stack_end: memory.stack_end,
    }
}

/// What is known of another team's main thread, whose id is the team's.
fn describe_main(call: &Call<'_>, id: ThreadId) -> SysResult<ThreadInfo> {
    let processes = call.kernel().processes();
    let team = TeamId(id.0);
    if !processes.teams().contains(&team) {
        return Err(Status::B_BAD_THREAD_ID);
    }
    let found = processes.describe(team).map_err(|_| Status::B_BAD_THREAD_ID)?;
    Ok(ThreadInfo {
        thread: id.0,
        team: team.0,
        name: found.name,
        state: state::WAITING,
        priority: NORMAL_PRIORITY,
        sem: -1,
        ..ThreadInfo::default()
    })
}

/// Haiku: `_user_get_thread_info`.
pub fn get_thread_info(call: &mut Call<'_>, id: ThreadId, info: Out<ThreadInfo>) -> SysResult {
    let value = match id.0 {
        0 => describe(call, &call.me),
        _ => match call.team.threads.get(id) {
            Ok(thread) => describe(call, &thread),
            Err(_) => describe_main(call, id)?,
        },
    };
    call.write(info, &value)
}

/// Haiku: `_user_get_next_thread_info`. The cookie is the id of the thread before.
pub fn get_next_thread_info(call: &mut Call<'_>, team: TeamId, cookie: InOut<i32>, info: Out<ThreadInfo>) -> SysResult {
    super::team::own_team(call, team)?;
    let after = call.read_io(cookie)?;
    let threads = call.team.threads.all();
    let thread = threads.iter().find(|t| t.id().0 > after).ok_or(Status::B_BAD_VALUE)?;
    let value = describe(call, thread);
    call.write(info, &value)?;
    call.write_io(cookie, &value.thread)
}

/// Haiku: `_user_get_thread_affinity`.
pub fn get_thread_affinity(call: &mut Call<'_>, id: ThreadId, user_mask: OutBytes, size: Size) -> SysResult {
    let id = if id.0 == 0 { call.me.id() } else { call.team.threads.get(id)?.id() };
    let mut set = call.kernel().machine().affinity(id)?;
    set.resize(usize::try_from(size.0).ok().filter(|&n| n <= 1024).ok_or(Status::B_BAD_VALUE)?, 0);
    call.put_bytes(user_mask, &set)
}

/// Haiku: `_user_set_thread_affinity`.
pub fn set_thread_affinity(call: &mut Call<'_>, id: ThreadId, user_mask: InBytes, size: Size) -> SysResult {
    let id = if id.0 == 0 { call.me.id() } else { call.team.threads.get(id)?.id() };
    if size.0 > 1024 {
        return Err(Status::B_BAD_VALUE);
    }
    let set = call.bytes(user_mask, size.0)?;
    call.kernel().machine().set_affinity(id, &set)
}

fn wait_status(call: &Call<'_>, thread: &ThreadState) -> GuestAddr {
    let offset = UserThread::fields(call.mode()).1.iter().find(|f| f.0 == "wait_status").map_or(0, |f| f.1);
    lock(&thread.memory).user_thread.offset(offset as u64)
}

/// Haiku: `_user_block_thread`. `wait_status` greater than zero says that the thread is to wait.
pub fn block_thread(call: &mut Call<'_>, flags: u32, timeout: i64) -> SysResult {
    let deadline = call.deadline(flags, timeout);
    let at = wait_status(call, &call.me);
    let ticket = {
        let mut block = lock(&call.me.block);
        let status: i32 = call.read_at(at)?;
        if status <= 0 {
            return Status::new(status).map_or(Ok(()), Err);
        }
        let ticket = Ticket::new(&call.me.parker);
        *block = Some(ticket.clone());
        ticket
    };
    let result = call.waiting(|wait| wait.for_ticket(&ticket, deadline, || *lock(&call.me.block) = None));
    let status = match result {
        Ok(()) => 0,
        Err(error) => error.raw(),
    };
    // One who has unblocked the thread has stored the status already.
    if call.read_at::<i32>(at)? > 0 {
        call.write_at(at, &status)?;
    }
    call.restartable(result)
}

fn unblock(call: &Call<'_>, id: ThreadId, status: i32) -> SysResult {
    let thread = call.team.threads.get(id)?;
    let ticket = {
        let mut block = lock(&thread.block);
        let at = wait_status(call, &thread);
        if call.read_at::<i32>(at)? > 0 {
            call.write_at(at, &status)?;
        }
        block.take()
    };
    if let Some(ticket) = ticket {
        ticket.serve(Status::new(status).map_or(Ok(()), Err));
    }
    Ok(())
}

/// Haiku: `_user_unblock_thread`.
pub fn unblock_thread(call: &mut Call<'_>, thread: ThreadId, status: i32) -> SysResult {
    unblock(call, thread, status)
}

/// Haiku: `_user_unblock_threads`.
pub fn unblock_threads(call: &mut Call<'_>, threads: InBytes, count: u32, status: i32) -> SysResult {
    if count > 128 {
        return Err(Status::B_BAD_VALUE);
    }
    for i in 0..count {
        let id: ThreadId = call.read_at(threads.0.offset(4 * u64::from(i)))?;
        // Threads that are gone need no waking.
        let _ = unblock(call, id, status);
    }
    Ok(())
}

/// Haiku: `_user_estimate_max_scheduling_latency`.
pub fn estimate_max_scheduling_latency(call: &mut Call<'_>, thread: ThreadId) -> SysResult<i64> {
    if thread.0 >= 0 {
        call.team.threads.get(thread)?;
    }
    Ok(0)
}
