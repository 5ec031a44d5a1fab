//! Users, groups and limits.
//!
//! Haiku: `src/system/kernel/usergroup.cpp`, `team.cpp`.

use crate::abi::layout::Word;
use crate::abi::structs::RLimit;
use crate::abi::thread::MAIN_STACK;
use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;

/// `RLIMIT_NOFILE`.
const LIMIT_FILES: i32 = 4;
/// `RLIMIT_STACK`.
const LIMIT_STACK: i32 = 5;
/// `RLIMIT_NOVMON`.
const LIMIT_MONITORS: i32 = 7;
/// `RLIM_INFINITY`: 32 bits in both word sizes.
const INFINITY: u64 = 0xffff_ffff;
/// Most descriptors that a team may have.
const MAX_FILES: u64 = 8192;
/// Node monitors that a team may have.
const MONITORS: u64 = 4096;

fn shown(limit: u64) -> Word {
    Word(limit.min(INFINITY))
}

/// Haiku: `_user_getrlimit`.
pub fn getrlimit(call: &mut Call<'_>, resource: i32, rlp: Out<RLimit>) -> SysResult<i32> {
    let kernel = call.kernel();
    let (current, maximum) = match resource {
        LIMIT_FILES => (kernel.descriptors().limit() as u64, MAX_FILES),
        LIMIT_STACK => (MAIN_STACK, MAIN_STACK),
        LIMIT_MONITORS => (MONITORS, MONITORS),
        other => kernel.machine().limit(other)?,
    };
    call.write(rlp, &RLimit { rlim_cur: shown(current), rlim_max: shown(maximum) })?;
    Ok(0)
}

/// Haiku: `_user_setrlimit`.
pub fn setrlimit(call: &mut Call<'_>, resource: i32, rlp: In<RLimit>) -> SysResult<i32> {
    let limit = call.read(rlp)?;
    let value = |w: Word| if w.0 >= INFINITY { u64::MAX } else { w.0 };
    let (current, maximum) = (value(limit.rlim_cur), value(limit.rlim_max));
    match resource {
        LIMIT_FILES => {
            call.kernel().descriptors().set_limit(i32::try_from(current).map_err(|_| Status::B_NOT_ALLOWED)?)?
        }
        other => call.kernel().machine().set_limit(other, (current, maximum))?,
    }
    Ok(0)
}

fn put_ids(call: &Call<'_>, ids: [u32; 3], to: [Out<u32>; 3]) -> SysResult {
    to.into_iter().zip(ids).try_for_each(|(to, id)| call.write_optional(to, &id))
}

/// Haiku: `_user_getresgid`.
pub fn getresgid(call: &mut Call<'_>, rgid: Out<u32>, egid: Out<u32>, sgid: Out<u32>) -> SysResult {
    put_ids(call, call.kernel().processes().group_ids(), [rgid, egid, sgid])
}

/// Haiku: `_user_getresuid`.
pub fn getresuid(call: &mut Call<'_>, ruid: Out<u32>, euid: Out<u32>, suid: Out<u32>) -> SysResult {
    put_ids(call, call.kernel().processes().user_ids(), [ruid, euid, suid])
}

/// An id may be set to one that the team has already; nobody is the super-user here.
fn may_become(have: [u32; 3], want: [u32; 3]) -> SysResult {
    let allowed = |id: &u32| *id == u32::MAX || have.contains(id);
    if want.iter().all(allowed) { Ok(()) } else { Err(Status::B_NOT_ALLOWED) }
}

/// Haiku: `_user_setresgid`.
pub fn setresgid(call: &mut Call<'_>, rgid: u32, egid: u32, sgid: u32, _set_all_if_privileged: bool) -> SysResult {
    may_become(call.kernel().processes().group_ids(), [rgid, egid, sgid])
}

/// Haiku: `_user_setresuid`.
pub fn setresuid(call: &mut Call<'_>, ruid: u32, euid: u32, suid: u32, _set_all_if_privileged: bool) -> SysResult {
    may_become(call.kernel().processes().user_ids(), [ruid, euid, suid])
}

/// Haiku: `_user_getgroups`.
pub fn getgroups(call: &mut Call<'_>, group_count: i32, group_list: OutBytes) -> SysResult<Count> {
    let groups = call.kernel().processes().groups()?;
    let room = usize::try_from(group_count).map_err(|_| Status::B_BAD_VALUE)?;
    if room == 0 {
        return Ok(groups.len().into());
    }
    if groups.len() > room {
        return Err(Status::B_BAD_VALUE);
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|g| g.to_le_bytes()).collect();
    call.put_bytes(group_list, &bytes)?;
    Ok(groups.len().into())
}

/// Haiku: `_user_setgroups`: only for the super-user.
pub fn setgroups(_: &mut Call<'_>, _group_count: i32, _group_list: InBytes) -> SysResult<Count> {
    Err(Status::B_NOT_ALLOWED)
}
