//! The guest's file descriptors: numbers of its own (design D15), each for an open file.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::open_file::OpenFile;
use crate::abi::{Status, SysResult};
use crate::kernel::DescriptorFlags;

/// One descriptor.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    pub(super) file: Arc<OpenFile>,
    pub(super) flags: DescriptorFlags,
}

/// All descriptors of the team.
#[derive(Debug)]
pub(super) struct FdTable {
    open: BTreeMap<i32, Descriptor>,
    /// How many there may be.
    limit: i32,
}

/// Descriptors that a team may have unless it asks for more.
pub(super) const DEFAULT_LIMIT: i32 = 512;
/// Most descriptors that a team may ask for.
pub(super) const HIGHEST_LIMIT: i32 = 8192;

impl FdTable {
    pub(super) fn new() -> Self {
        FdTable { open: BTreeMap::new(), limit: DEFAULT_LIMIT }
    }

    pub(super) fn limit(&self) -> i32 {
        self.limit
    }

    /// Changes how many there may be; those open stay open.
    pub(super) fn set_limit(&mut self, limit: i32) -> SysResult {
        if !(1..=HIGHEST_LIMIT).contains(&limit) || self.open.keys().next_back().is_some_and(|&fd| fd >= limit) {
            return Err(Status::B_BAD_VALUE);
        }
        self.limit = limit;
        Ok(())
    }

    pub(super) fn get(&self, fd: i32) -> SysResult<&Descriptor> {
        self.open.get(&fd).ok_or(Status::B_FILE_ERROR)
    }

    pub(super) fn get_mut(&mut self, fd: i32) -> SysResult<&mut Descriptor> {
        self.open.get_mut(&fd).ok_or(Status::B_FILE_ERROR)
    }

    /// Gives `file` the lowest free number from `lowest` on.
    pub(super) fn insert(&mut self, lowest: i32, file: Arc<OpenFile>, flags: DescriptorFlags) -> SysResult<i32> {
        if !(0..self.limit).contains(&lowest) {
            return Err(Status::B_BAD_VALUE);
        }
        let mut fd = lowest;
        for &used in self.open.range(lowest..).map(|(n, _)| n) {
            if used != fd {
                break;
            }
            fd += 1;
        }
        if fd >= self.limit {
            return Err(Status::B_NO_MORE_FDS);
        }
        self.open.insert(fd, Descriptor { file, flags });
        Ok(fd)
    }

    /// Gives `file` the number `fd`; gives what had it before.
    pub(super) fn replace(
        &mut self,
        fd: i32,
        file: Arc<OpenFile>,
        flags: DescriptorFlags,
    ) -> SysResult<Option<Descriptor>> {
        if !(0..self.limit).contains(&fd) {
            return Err(Status::B_FILE_ERROR);
        }
        Ok(self.open.insert(fd, Descriptor { file, flags }))
    }

    pub(super) fn remove(&mut self, fd: i32) -> SysResult<Descriptor> {
        self.open.remove(&fd).ok_or(Status::B_FILE_ERROR)
    }

    /// Takes out those that `out` says.
    pub(super) fn remove_where(&mut self, mut out: impl FnMut(i32, &Descriptor) -> bool) -> Vec<Descriptor> {
        let gone: Vec<i32> = self.open.iter().filter(|(n, d)| out(**n, d)).map(|(n, _)| *n).collect();
        gone.into_iter().filter_map(|n| self.open.remove(&n)).collect()
    }

    /// Each open file once.
    pub(super) fn files(&self) -> Vec<Arc<OpenFile>> {
        let files: HashMap<_, _> = self.open.values().map(|d| (Arc::as_ptr(&d.file), &d.file)).collect();
        files.into_values().map(Arc::clone).collect()
    }

    /// In a forked child, where the threads are gone that were using files when the process was forked: these end with their last descriptor.
    pub(super) fn forget_lost_users(&mut self) {
        let mut known = HashMap::new();
        for descriptor in self.open.values() {
            *known.entry(Arc::as_ptr(&descriptor.file)).or_insert(0) += 1;
        }
        let mut renewed = HashMap::new();
        for Descriptor { file, .. } in self.open.values() {
            let at = Arc::as_ptr(file);
            if Arc::strong_count(file) > known[&at] && !renewed.contains_key(&at) {
                renewed.extend(file.without_lost_users().map(|own| (at, Arc::new(own))));
            }
        }
        for Descriptor { file, .. } in self.open.values_mut() {
            if let Some(own) = renewed.get(&Arc::as_ptr(file)) {
                *file = Arc::clone(own);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, &Descriptor)> {
        self.open.iter().map(|(n, d)| (*n, d))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (i32, &mut Descriptor)> {
        self.open.iter_mut().map(|(n, d)| (*n, d))
    }

    /// The first one from `fd` on.
    pub(super) fn next(&self, fd: i32) -> Option<(i32, &Descriptor)> {
        self.open.range(fd..).next().map(|(n, d)| (*n, d))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::fs::OpenMode;

    fn file() -> Arc<OpenFile> {
        let host =
            rustix::fs::open("/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).expect("/dev/null");
        Arc::new(OpenFile::host(host, OpenMode::READ_WRITE).expect("an open file"))
    }

    #[test]
    fn numbers_are_the_lowest_free_ones() {
        let mut table = FdTable::new();
        for expected in 0..4 {
            assert_eq!(table.insert(0, file(), DescriptorFlags::default()), Ok(expected));
        }
        table.remove(1).expect("open");
        assert_eq!(table.insert(0, file(), DescriptorFlags::default()), Ok(1));
        assert_eq!(table.insert(10, file(), DescriptorFlags::default()), Ok(10));
        assert_eq!(table.insert(2, file(), DescriptorFlags::default()), Ok(4));
        assert!(table.replace(4, file(), DescriptorFlags::default()).is_ok_and(|old| old.is_some()));
        assert_eq!(table.next(5).map(|(fd, _)| fd), Some(10));
    }

    #[test]
    fn the_limit_holds() {
        let mut table = FdTable::new();
        table.set_limit(3).expect("a limit");
        for _ in 0..3 {
            table.insert(0, file(), DescriptorFlags::default()).expect("room");
        }
        assert_eq!(table.insert(0, file(), DescriptorFlags::default()), Err(Status::B_NO_MORE_FDS));
        assert_eq!(table.insert(-1, file(), DescriptorFlags::default()), Err(Status::B_BAD_VALUE));
        assert_eq!(table.set_limit(2), Err(Status::B_BAD_VALUE));
        assert_eq!(table.replace(3, file(), DescriptorFlags::default()).err(), Some(Status::B_FILE_ERROR));
        assert_eq!(table.remove(7).err(), Some(Status::B_FILE_ERROR));
    }
}
