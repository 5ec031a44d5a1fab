//! Semaphores.
//!
//! Haiku: `src/system/kernel/sem.cpp`.

use std::sync::atomic::Ordering;

use crate::abi::structs::SemInfo;
use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::team::waiting::Deadline;

pub use super::posix_sem::{
    realtime_sem_close, realtime_sem_get_value, realtime_sem_open, realtime_sem_post, realtime_sem_unlink,
    realtime_sem_wait,
};

/// Haiku: `_user_create_sem`.
pub fn create_sem(call: &mut Call<'_>, count: i32, name: InStr) -> SysResult<SemId> {
    let name = call.name(name, "unnamed semaphore")?;
    call.team.sems.create(count, &name)
}

/// Haiku: `_user_delete_sem`.
pub fn delete_sem(call: &mut Call<'_>, id: SemId) -> SysResult {
    call.team.sems.delete(id)
}

/// Haiku: `_user_switch_sem`.
pub fn switch_sem(call: &mut Call<'_>, release_sem: SemId, id: SemId) -> SysResult {
    switch(call, release_sem, id, 1, Deadline::Never)
}

/// Haiku: `_user_switch_sem_etc`.
pub fn switch_sem_etc(
    call: &mut Call<'_>,
    release_sem: SemId,
    id: SemId,
    count: u32,
    flags: u32,
    timeout: i64,
) -> SysResult {
    let deadline = call.deadline(flags, timeout);
    switch(call, release_sem, id, count, deadline)
}

/// Not run again when interrupted: the first semaphore is released by then.
fn switch(call: &mut Call<'_>, release: SemId, id: SemId, count: u32, deadline: Deadline) -> SysResult {
    if release.0 < 0 {
        return acquire(call, id, count, deadline);
    }
    call.me.sem.store(id.0, Ordering::Relaxed);
    let result = call.waiting(|wait| call.team.sems.switch(release, id, count, deadline, call.me.id(), wait));
    call.me.sem.store(0, Ordering::Relaxed);
    result
}

/// Haiku: `_user_acquire_sem`.
pub fn acquire_sem(call: &mut Call<'_>, id: SemId) -> SysResult {
    acquire(call, id, 1, Deadline::Never)
}

/// Haiku: `_user_acquire_sem_etc`.
pub fn acquire_sem_etc(call: &mut Call<'_>, id: SemId, count: u32, flags: u32, timeout: i64) -> SysResult {
    let deadline = call.deadline(flags, timeout);
    acquire(call, id, count, deadline)
}

fn acquire(call: &mut Call<'_>, id: SemId, count: u32, deadline: Deadline) -> SysResult {
    call.me.sem.store(id.0, Ordering::Relaxed);
    let result = call.waiting(|wait| call.team.sems.acquire(id, count, deadline, call.me.id(), wait));
    call.me.sem.store(0, Ordering::Relaxed);
    call.restartable(result)
}

/// Haiku: `_user_release_sem`.
pub fn release_sem(call: &mut Call<'_>, id: SemId) -> SysResult {
    call.team.sems.release(id, 1, 0)
}

/// Haiku: `_user_release_sem_etc`.
pub fn release_sem_etc(call: &mut Call<'_>, id: SemId, count: u32, flags: u32) -> SysResult {
    call.team.sems.release(id, count, flags)
}

/// Haiku: `_user_get_sem_count`.
pub fn get_sem_count(call: &mut Call<'_>, id: SemId, thread_count: Out<i32>) -> SysResult {
    let count = call.team.sems.count(id)?;
    call.write(thread_count, &count)
}

/// Haiku: `_user_get_sem_info`.
pub fn get_sem_info(call: &mut Call<'_>, semaphore: SemId, info: Out<SemInfo>, size: Size) -> SysResult {
    let value = call.team.sems.info(semaphore, call.kernel().processes().team())?;
    call.write_sized(info, size, &value)
}

/// Haiku: `_user_get_next_sem_info`. The cookie is the id of the semaphore before.
pub fn get_next_sem_info(
    call: &mut Call<'_>,
    team: TeamId,
    cookie: InOut<i32>,
    info: Out<SemInfo>,
    size: Size,
) -> SysResult {
    let own = super::team::own_team(call, team)?;
    let after = call.read_io(cookie)?;
    let value = call.team.sems.next_info(after, own).ok_or(Status::B_BAD_VALUE)?;
    call.write_sized(info, size, &value)?;
    call.write_io(cookie, &value.sem)
}

/// Haiku: `_user_set_sem_owner`.
pub fn set_sem_owner(call: &mut Call<'_>, id: SemId, team: TeamId) -> SysResult {
    call.team.sems.count(id)?;
    super::team::own_team(call, team).map(|_| ())
}
