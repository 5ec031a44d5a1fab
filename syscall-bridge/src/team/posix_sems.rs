//! Named POSIX semaphores of one team: names for semaphores, and how often each is open.

use std::collections::HashMap;
use std::sync::Mutex;

use hokku_ir::GuestAddr;

use super::sems::Sems;
use super::waiting::lock;
use crate::abi::{Status, SysResult};
use crate::args::SemId;

/// Most named semaphores that there may be.
const MAX_NAMED: usize = 1024;
/// Write permission of anybody: the team's user and group made the semaphore.
const WRITABLE: u32 = 0o222;

struct Named {
    id: SemId,
    mode: u32,
}

struct Opened {
    /// Where the program keeps it.
    user_sem: GuestAddr,
    times: u32,
}

#[derive(Default)]
struct Table {
    names: HashMap<Vec<u8>, Named>,
    open: HashMap<i32, Opened>,
}

impl Table {
    /// Deletes a semaphore that has no name and is not open.
    fn tidy(&self, sems: &Sems, id: SemId) {
        if !self.open.contains_key(&id.0) && self.names.values().all(|named| named.id != id) {
            // A program may have deleted it by its id already.
            let _ = sems.delete(id);
        }
    }
}

/// All named POSIX semaphores of the team.
#[derive(Default)]
pub struct PosixSems {
    table: Mutex<Table>,
}

/// How a semaphore is to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// Makes it if need be.
    pub create: bool,
    /// It must be new.
    pub exclusive: bool,
    /// Permissions of a new one.
    pub mode: u32,
    /// Count of a new one.
    pub count: i32,
    /// Where the program would keep it.
    pub user_sem: GuestAddr,
}

impl PosixSems {
    /// Opens a semaphore; gives its id and where the program keeps it: one that is open already stays where it is.
    pub fn open(&self, sems: &Sems, name: &[u8], opening: Opening, privileged: bool) -> SysResult<(SemId, GuestAddr)> {
        let mut table = lock(&self.table);
        let id = match table.names.get(name) {
            Some(_) if opening.exclusive => return Err(Status::B_FILE_EXISTS),
            Some(named) if !privileged && named.mode & WRITABLE == 0 => return Err(Status::B_PERMISSION_DENIED),
            Some(named) => named.id,
            None if !opening.create => return Err(Status::B_ENTRY_NOT_FOUND),
            None if table.names.len() >= MAX_NAMED => return Err(Status::B_DEVICE_FULL),
            None => {
                let id = sems.create(opening.count, name)?;
                table.names.insert(name.to_vec(), Named { id, mode: opening.mode });
                id
            }
        };
        let opened = table.open.entry(id.0).or_insert(Opened { user_sem: opening.user_sem, times: 0 });
        opened.times += 1;
        Ok((id, opened.user_sem))
    }

    /// Closes a semaphore; gives where the program kept it if that was the last time.
    pub fn close(&self, sems: &Sems, id: SemId) -> SysResult<Option<GuestAddr>> {
        let mut table = lock(&self.table);
        let opened = table.open.get_mut(&id.0).ok_or(Status::B_BAD_VALUE)?;
        opened.times -= 1;
        if opened.times > 0 {
            return Ok(None);
        }
        let user_sem = opened.user_sem;
        table.open.remove(&id.0);
        table.tidy(sems, id);
        Ok(Some(user_sem))
    }

    /// Removes a name.
    pub fn unlink(&self, sems: &Sems, name: &[u8], privileged: bool) -> SysResult {
        let mut table = lock(&self.table);
        match table.names.get(name) {
            None => return Err(Status::B_ENTRY_NOT_FOUND),
            Some(named) if !privileged && named.mode & WRITABLE == 0 => return Err(Status::B_PERMISSION_DENIED),
            Some(_) => {}
        }
        if let Some(named) = table.names.remove(name) {
            table.tidy(sems, named.id);
        }
        Ok(())
    }

    /// Checks that a semaphore is open.
    pub fn check(&self, id: SemId) -> SysResult {
        if lock(&self.table).open.contains_key(&id.0) { Ok(()) } else { Err(Status::B_BAD_VALUE) }
    }

    /// Locks the table for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        lock(&self.table)
    }

    /// Forgets all: a forked team starts without semaphores.
    pub(super) fn clear(&self) {
        *lock(&self.table) = Table::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(create: bool, exclusive: bool, at: u64) -> Opening {
        Opening { create, exclusive, mode: 0o600, count: 1, user_sem: GuestAddr(at) }
    }

    #[test]
    fn a_name_leads_to_one_semaphore_until_it_is_unlinked_and_closed() {
        let (sems, named) = (Sems::default(), PosixSems::default());
        let open = |create, exclusive, at| named.open(&sems, b"/s", opening(create, exclusive, at), false);
        assert_eq!(open(false, false, 16), Err(Status::B_ENTRY_NOT_FOUND));
        let (id, at) = open(true, false, 16).expect("a semaphore");
        assert_eq!(at, GuestAddr(16));
        assert_eq!(open(true, true, 32), Err(Status::B_FILE_EXISTS));
        assert_eq!(open(false, false, 32), Ok((id, GuestAddr(16))), "it stays where it was opened first");
        assert_eq!(named.close(&sems, id), Ok(None));
        assert_eq!(named.unlink(&sems, b"/s", false), Ok(()));
        assert_eq!(sems.count(id), Ok(1), "it is open still");
        assert_eq!(named.close(&sems, id), Ok(Some(GuestAddr(16))));
        assert_eq!(sems.count(id), Err(Status::B_BAD_SEM_ID));
        assert_eq!((named.close(&sems, id), named.check(id)), (Err(Status::B_BAD_VALUE), Err(Status::B_BAD_VALUE)));
        assert_eq!(named.unlink(&sems, b"/s", false), Err(Status::B_ENTRY_NOT_FOUND));
    }

    #[test]
    fn permissions_count_for_those_without_privilege() {
        let (sems, named) = (Sems::default(), PosixSems::default());
        let read_only = Opening { mode: 0o400, ..opening(true, false, 16) };
        named.open(&sems, b"/s", read_only, false).expect("a semaphore");
        assert_eq!(named.open(&sems, b"/s", read_only, false), Err(Status::B_PERMISSION_DENIED));
        assert_eq!(named.unlink(&sems, b"/s", false), Err(Status::B_PERMISSION_DENIED));
        assert_eq!(named.unlink(&sems, b"/s", true), Ok(()));
    }
}
