//! Named POSIX semaphores.
//!
//! Haiku: `src/system/kernel/posix/realtime_sem.cpp`.

use hokku_ir::GuestAddr;

use crate::abi::fs::OpenMode;
use crate::abi::structs::PATH_LENGTH;
use crate::abi::{Status, SysResult, Word};
use crate::args::*;
use crate::call::Call;
use crate::team::posix_sems::Opening;

/// Where a `sem_t` holds the semaphore's id.
const SEM_ID: u64 = 4;

fn name(call: &Call<'_>, name: InStr) -> SysResult<Vec<u8>> {
    if name.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    let name = call.string(name)?;
    if name.len() >= PATH_LENGTH { Err(Status::B_NAME_TOO_LONG) } else { Ok(name) }
}

fn is_privileged(call: &Call<'_>) -> bool {
    call.kernel().processes().user_ids()[1] == 0
}

/// Haiku: `_user_realtime_sem_open`.
pub fn realtime_sem_open(
    call: &mut Call<'_>,
    sem_name: InStr,
    flags: i32,
    mode: u32,
    count: u32,
    user_sem: GuestAddr,
    used_user_sem: Out<Word>,
) -> SysResult {
    let count = i32::try_from(count).map_err(|_| Status::B_BAD_VALUE)?;
    if user_sem.0 == 0 || used_user_sem.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    let name = name(call, sem_name)?;
    let flags = OpenMode::from_bits_retain(flags as u32);
    let opening = Opening {
        create: flags.contains(OpenMode::CREAT),
        exclusive: flags.contains(OpenMode::EXCL),
        mode,
        count,
        user_sem,
    };
    let team = call.team;
    let (id, used) = team.posix_sems.open(&team.sems, &name, opening, is_privileged(call))?;
    let told = call.write_at(user_sem.offset(SEM_ID), &id).and_then(|()| call.write(used_user_sem, &Word(used.0)));
    if let Err(error) = told {
        team.posix_sems.close(&team.sems, id)?;
        return Err(error);
    }
    Ok(())
}

/// Haiku: `_user_realtime_sem_close`; stores what the program may free now, or null.
pub fn realtime_sem_close(call: &mut Call<'_>, id: SemId, delete_user_sem: Out<Word>) -> SysResult {
    let unused = call.team.posix_sems.close(&call.team.sems, id)?;
    call.write_optional(delete_user_sem, &Word(unused.map_or(0, |at| at.0)))
}

/// Haiku: `_user_realtime_sem_unlink`.
pub fn realtime_sem_unlink(call: &mut Call<'_>, sem_name: InStr) -> SysResult {
    let name = name(call, sem_name)?;
    call.team.posix_sems.unlink(&call.team.sems, &name, is_privileged(call))
}

/// What is told of a semaphore that was deleted behind the name's back.
fn told<T>(result: SysResult<T>) -> SysResult<T> {
    result.map_err(|error| if error == Status::B_BAD_SEM_ID { Status::B_BAD_VALUE } else { error })
}

/// Haiku: `_user_realtime_sem_get_value`.
pub fn realtime_sem_get_value(call: &mut Call<'_>, id: SemId, value: Out<i32>) -> SysResult {
    if value.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    call.team.posix_sems.check(id)?;
    let count = call.team.sems.count(id)?;
    call.write(value, &count)
}

/// Haiku: `_user_realtime_sem_post`.
pub fn realtime_sem_post(call: &mut Call<'_>, id: SemId) -> SysResult {
    call.team.posix_sems.check(id)?;
    told(call.team.sems.release(id, 1, 0))
}

/// Haiku: `_user_realtime_sem_wait`.
pub fn realtime_sem_wait(call: &mut Call<'_>, id: SemId, flags: u32, timeout: i64) -> SysResult {
    call.team.posix_sems.check(id)?;
    told(super::sem::acquire_sem_etc(call, id, 1, flags, timeout))
}
