//! User mutexes: what libroot asks of the kernel when one is contended.
//!
//! Haiku: `src/system/kernel/locks/user_mutex.cpp`.

use hokku_ir::GuestAddr;

use crate::abi::SysResult;
use crate::args::InStr;
use crate::call::Call;

/// Haiku: `_user_mutex_lock`.
pub fn mutex_lock(call: &mut Call<'_>, mutex: GuestAddr, _name: InStr, flags: u32, timeout: i64) -> SysResult {
    let deadline = call.deadline(flags, timeout);
    let result = call.waiting(|wait| call.team.mutexes.lock(call.memory(), mutex, deadline, wait));
    call.restartable(result)
}

/// Haiku: `_user_mutex_unblock`.
pub fn mutex_unblock(call: &mut Call<'_>, mutex: GuestAddr, flags: u32) -> SysResult {
    call.team.mutexes.unblock(call.memory(), mutex, flags)
}

/// Haiku: `_user_mutex_switch_lock`. Not run again when interrupted: the first mutex is released by then.
pub fn mutex_switch_lock(
    call: &mut Call<'_>,
    from_mutex: GuestAddr,
    from_flags: u32,
    to_mutex: GuestAddr,
    _name: InStr,
    to_flags: u32,
    timeout: i64,
) -> SysResult {
    let deadline = call.deadline(to_flags, timeout);
    call.waiting(|wait| call.team.mutexes.switch(call.memory(), from_mutex, from_flags, to_mutex, deadline, wait))
}

/// Haiku: `_user_mutex_sem_acquire`.
pub fn mutex_sem_acquire(call: &mut Call<'_>, sem: GuestAddr, _name: InStr, flags: u32, timeout: i64) -> SysResult {
    let deadline = call.deadline(flags, timeout);
    let result = call.waiting(|wait| call.team.mutexes.sem_acquire(call.memory(), sem, deadline, wait));
    call.restartable(result)
}

/// Haiku: `_user_mutex_sem_release`.
pub fn mutex_sem_release(call: &mut Call<'_>, sem: GuestAddr, _flags: u32) -> SysResult {
    call.team.mutexes.sem_release(call.memory(), sem)
}
