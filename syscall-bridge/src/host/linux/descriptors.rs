//! Open files.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use hokku_runtime::HostBuffer;
use rustix::event::PollFlags;
use rustix::fs::{AtFlags, Dir as HostDir, FallocateFlags, FlockOperation, Mode, OFlags, SeekFrom, openat, statat};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::files::LinuxFiles;
use super::namespace::{Dir, Node, Place};
use super::open_file::{DirStream, Kind, OpenFile};
use super::poll::{haiku_events, host_events, wait_for, wait_for_or};
use super::stat::device_id;
use super::{raw, terminal};
use crate::abi::fs::{OpenMode, event, fcntl};
use crate::abi::structs::{FLock, Termios, WinSize};
use crate::abi::{Status, SysResult};
use crate::kernel::{DescriptorFlags, Descriptors, DirEntry, Direction, OpenFileInfo, PollItem, TerminalRequest};
use crate::team::waiting::{Deadline, Waiting, lock};

impl LinuxFiles {
    /// Waits until `file` is ready for `direction`; a file that never blocks fails instead.
    pub(super) fn wait_ready(&self, file: &OpenFile, direction: Direction, wait: &Waiting<'_>) -> SysResult {
        let flag = match direction {
            Direction::Read => PollFlags::IN,
            Direction::Write => PollFlags::OUT,
        };
        let deadline = if file.mode().contains(OpenMode::NONBLOCK) { Deadline::Now } else { Deadline::Never };
        wait_for(&[(file.host.as_fd(), flag)], deadline, wait).map(|_| ())
    }

    fn read_names(dir: &Arc<Dir>, files: &LinuxFiles) -> SysResult<Vec<Vec<u8>>> {
        let mut names = files.space.own_names(dir);
        if let Place::Host(fd) = &dir.place {
            let host = openat(fd, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            for entry in HostDir::new(host)? {
                let name = entry?.file_name().to_bytes().to_vec();
                if name != b"." && name != b".." && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        // Taken from the end: dots come first.
        names.sort_by(|a, b| b.cmp(a));
        names.extend([b"..".to_vec(), b".".to_vec()]);
        Ok(names)
    }

    /// Describes entry `name` of `dir`; `None` if it is gone.
    fn entry(&self, dir: &Arc<Dir>, name: Vec<u8>) -> SysResult<Option<DirEntry>> {
        let parent = self.stat_dir(dir)?;
        let (device, node) = match name.as_slice() {
            b"." => (parent.st_dev, parent.st_ino),
            b".." => {
                let up = self.stat_dir(dir.parent.as_ref().unwrap_or(dir))?;
                (up.st_dev, up.st_ino)
            }
            _ => match self.space.look_up(dir, &name) {
                Ok(Node::Dir(child)) => {
                    let stat = self.stat_dir(&child)?;
                    (stat.st_dev, stat.st_ino)
                }
                Ok(Node::Host(_)) => match &dir.place {
                    Place::Host(fd) => {
                        let stat = statat(fd, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
                        (device_id(stat.st_dev), stat.st_ino as i64)
                    }
                    _ => return Ok(None),
                },
                Ok(node) => {
                    let located = super::namespace::Located {
                        dir: Arc::clone(dir),
                        name: name.clone(),
                        node: Some(node),
                        must_be_dir: false,
                    };
                    let stat = self.stat_located(&located)?;
                    (stat.st_dev, stat.st_ino)
                }
                Err(Status::B_ENTRY_NOT_FOUND) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        Ok(Some(DirEntry { device, node, parent_device: parent.st_dev, parent_node: parent.st_ino, name }))
    }

    fn transfer_once(
        file: &OpenFile,
        direction: Direction,
        position: Option<i64>,
        buffers: &[HostBuffer],
    ) -> Result<usize, Errno> {
        match direction {
            Direction::Read => raw::read(file.host.as_fd(), buffers, position),
            Direction::Write => raw::write(file.host.as_fd(), buffers, position),
        }
    }
}

impl Descriptors for LinuxFiles {
    fn close(&self, fd: i32) -> SysResult {
        let closed = self.table().remove(fd)?;
        drop(closed);
        Ok(())
    }

    fn close_range(&self, first: u32, last: u32, only_flag: Option<DescriptorFlags>) -> SysResult {
        if first > last {
            return Err(Status::B_BAD_VALUE);
        }
        let within = |fd: i32| (first..=last).contains(&fd.unsigned_abs());
        let mut table = self.table();
        match only_flag {
            Some(flags) => {
                for (_, descriptor) in table.iter_mut().filter(|(fd, _)| within(*fd)) {
                    descriptor.flags.cloexec |= flags.cloexec;
                    descriptor.flags.clofork |= flags.clofork;
                }
            }
            None => {
                let closed = table.remove_where(|fd, _| within(fd));
                drop(table);
                drop(closed);
            }
        }
        Ok(())
    }

    fn dup(&self, fd: i32, lowest: i32, flags: DescriptorFlags) -> SysResult<i32> {
        let mut table = self.table();
        let file = Arc::clone(&table.get(fd)?.file);
        table.insert(lowest, file, flags)
    }

    fn dup_to(&self, fd: i32, to: i32, flags: DescriptorFlags) -> SysResult<i32> {
        let mut table = self.table();
        let file = Arc::clone(&table.get(fd)?.file);
        if fd != to {
            let closed = table.replace(to, file, flags)?;
            drop(table);
            drop(closed);
        }
        Ok(to)
    }

    fn flags(&self, fd: i32) -> SysResult<DescriptorFlags> {
        Ok(self.table().get(fd)?.flags)
    }

    fn set_flags(&self, fd: i32, flags: DescriptorFlags) -> SysResult {
        self.table().get_mut(fd)?.flags = flags;
        Ok(())
    }

    fn mode(&self, fd: i32) -> SysResult<OpenMode> {
        Ok(self.file(fd)?.mode())
    }

    fn set_mode(&self, fd: i32, mode: OpenMode) -> SysResult {
        self.file(fd)?.set_mode(mode)
    }

    fn transfer(
        &self,
        fd: i32,
        direction: Direction,
        position: Option<i64>,
        buffers: &[HostBuffer],
        wait: &Waiting<'_>,
    ) -> SysResult<usize> {
        let file = self.file(fd)?;
        let allowed = match direction {
            Direction::Read => file.mode().reads(),
            Direction::Write => file.mode().writes(),
        };
        if !allowed {
            return Err(Status::B_FILE_ERROR);
        }
        match &file.kind {
            Kind::Directory(..) => Err(Status::B_IS_A_DIRECTORY),
            Kind::Regular => Ok(Self::transfer_once(&file, direction, position, buffers)?),
            Kind::Stream | Kind::Socket => loop {
                // Where positions mean nothing, giving one is an error, except to devices that ignore it.
                self.wait_ready(&file, direction, wait)?;
                match Self::transfer_once(&file, direction, None, buffers) {
                    // Another reader was faster, or a signal came.
                    Err(Errno::AGAIN | Errno::INTR) if !file.mode().contains(OpenMode::NONBLOCK) => {}
                    result => return Ok(result?),
                }
            },
        }
    }

    fn seek(&self, fd: i32, offset: i64, whence: i32) -> SysResult<i64> {
        let file = self.file(fd)?;
        if let Kind::Directory(_, stream) = &file.kind {
            // Directories can be rewound only.
            if (offset, whence) != (0, 0) {
                return Err(Status::B_BAD_VALUE);
            }
            *lock(stream) = DirStream::default();
            return Ok(0);
        }
        let to = match whence {
            0 => SeekFrom::Start(u64::try_from(offset).map_err(|_| Status::B_BAD_VALUE)?),
            1 => SeekFrom::Current(offset),
            2 => SeekFrom::End(offset),
            3 => SeekFrom::Data(u64::try_from(offset).map_err(|_| Status::B_BAD_VALUE)?),
            4 => SeekFrom::Hole(u64::try_from(offset).map_err(|_| Status::B_BAD_VALUE)?),
            _ => return Err(Status::B_BAD_VALUE),
        };
        Ok(rustix::fs::seek(&*file.host, to)? as i64)
    }

    fn read_dir(&self, fd: i32, take: &mut dyn FnMut(&DirEntry) -> bool) -> SysResult {
        let file = self.file(fd)?;
        let Kind::Directory(dir, stream) = &file.kind else { return Err(Status::B_NOT_A_DIRECTORY) };
        let mut stream = lock(stream);
        let names = match &mut stream.names {
            Some(names) => names,
            None => stream.names.insert(Self::read_names(dir, self)?),
        };
        while let Some(name) = names.last() {
            if let Some(entry) = self.entry(dir, name.clone())? {
                if !take(&entry) {
                    break;
                }
            }
            names.pop();
        }
        Ok(())
    }

    fn rewind_dir(&self, fd: i32) -> SysResult {
        match &self.file(fd)?.kind {
            Kind::Directory(_, stream) => {
                *lock(stream) = DirStream::default();
                Ok(())
            }
            _ => Err(Status::B_NOT_A_DIRECTORY),
        }
    }

    fn pipe(&self, mode: OpenMode) -> SysResult<(i32, i32)> {
        let mut flags = PipeFlags::CLOEXEC;
        flags.set(PipeFlags::NONBLOCK, mode.contains(OpenMode::NONBLOCK));
        let (read, write) = pipe_with(flags)?;
        let kept = mode & OpenMode::NONBLOCK;
        let read = self.install(OpenFile::host(read, kept)?, mode)?;
        match self.install(OpenFile::host(write, kept | OpenMode::WRITE_ONLY)?, mode) {
            Ok(write) => Ok((read, write)),
            Err(error) => {
                self.close(read)?;
                Err(error)
            }
        }
    }

    fn fsync(&self, fd: i32, data_only: bool) -> SysResult {
        let file = self.file(fd)?;
        let done = if data_only { rustix::fs::fdatasync(&*file.host) } else { rustix::fs::fsync(&*file.host) };
        match done {
            // What cannot be synchronised has nothing cached.
            Err(Errno::INVAL) => Ok(()),
            done => Ok(done?),
        }
    }

    fn flock(&self, fd: i32, operation: i32) -> SysResult {
        let operation = match operation {
            1 => FlockOperation::LockShared,
            2 => FlockOperation::LockExclusive,
            5 => FlockOperation::NonBlockingLockShared,
            6 => FlockOperation::NonBlockingLockExclusive,
            8 | 12 => FlockOperation::Unlock,
            _ => return Err(Status::B_BAD_VALUE),
        };
        Ok(rustix::fs::flock(&*self.file(fd)?.host, operation)?)
    }

    fn get_lock(&self, fd: i32, lock: &FLock) -> SysResult<FLock> {
        raw_lock(self.file(fd)?.host.as_fd(), libc::F_GETLK, lock)
    }

    fn set_lock(&self, fd: i32, lock: &FLock, wait: bool) -> SysResult {
        let command = if wait { libc::F_SETLKW } else { libc::F_SETLK };
        raw_lock(self.file(fd)?.host.as_fd(), command, lock).map(|_| ())
    }

    fn preallocate(&self, fd: i32, offset: i64, length: i64) -> SysResult {
        let (Ok(offset), Ok(length)) = (u64::try_from(offset), u64::try_from(length)) else {
            return Err(Status::B_BAD_VALUE);
        };
        Ok(rustix::fs::fallocate(&*self.file(fd)?.host, FallocateFlags::empty(), offset, length)?)
    }

    fn readable_bytes(&self, fd: i32) -> SysResult<i32> {
        let count = rustix::io::ioctl_fionread(&*self.file(fd)?.host)?;
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }

    fn terminal_modes(&self, fd: i32) -> SysResult<Termios> {
        terminal::modes(self.file(fd)?.host.as_fd())
    }

    fn terminal_size(&self, fd: i32) -> SysResult<WinSize> {
        terminal::size(self.file(fd)?.host.as_fd())
    }

    fn terminal_group(&self, fd: i32, session: bool) -> SysResult<i32> {
        terminal::group(self.file(fd)?.host.as_fd(), session)
    }

    fn terminal_request(&self, fd: i32, request: TerminalRequest) -> SysResult {
        terminal::request(self.file(fd)?.host.as_fd(), request)
    }

    fn poll(
        &self,
        items: &mut [PollItem],
        deadline: Deadline,
        wait: &Waiting<'_>,
        also: &dyn Fn() -> bool,
    ) -> SysResult<usize> {
        // Kept open while they are waited for.
        let files: Vec<Option<Arc<OpenFile>>> = items.iter().map(|i| self.file(i.fd).ok()).collect();
        let mut ready = 0;
        for (item, file) in items.iter_mut().zip(&files) {
            item.came = if file.is_none() && item.fd >= 0 { event::INVALID } else { 0 };
            ready += usize::from(item.came != 0);
        }
        let polled: Vec<(usize, BorrowedFd<'_>, PollFlags)> = items
            .iter()
            .zip(&files)
            .enumerate()
            .filter_map(|(i, (item, file))| file.as_ref().map(|f| (i, f.host.as_fd(), host_events(item.events))))
            .collect();
        let deadline = if ready > 0 { Deadline::Now } else { deadline };
        let host: Vec<_> = polled.iter().map(|(_, fd, events)| (*fd, *events)).collect();
        match wait_for_or(&host, deadline, wait, also) {
            Ok(came) => {
                for ((i, ..), came) in polled.iter().zip(came) {
                    items[*i].came = haiku_events(came);
                    ready += usize::from(items[*i].came != 0);
                }
                Ok(ready)
            }
            Err(Status::B_TIMED_OUT | Status::B_WOULD_BLOCK) => Ok(ready),
            Err(error) => Err(error),
        }
    }

    fn for_mapping(&self, fd: i32) -> SysResult<(Arc<OwnedFd>, OpenMode)> {
        let file = self.file(fd)?;
        match file.kind {
            Kind::Regular | Kind::Stream => Ok((Arc::clone(&file.host), file.mode())),
            Kind::Socket | Kind::Directory(..) => Err(Status::B_NOT_SUPPORTED),
        }
    }

    fn limit(&self) -> i32 {
        self.table().limit()
    }

    fn set_limit(&self, limit: i32) -> SysResult {
        self.table().set_limit(limit)
    }

    fn next_info(&self, from: i32) -> SysResult<OpenFileInfo> {
        let (fd, file) = match self.table().next(from) {
            Some((fd, descriptor)) => (fd, Arc::clone(&descriptor.file)),
            None => return Err(Status::B_ENTRY_NOT_FOUND),
        };
        let (device, node) = match file.dir() {
            Some(dir) => {
                let stat = self.stat_dir(dir)?;
                (stat.st_dev, stat.st_ino)
            }
            None => {
                let stat = rustix::fs::fstat(&*file.host)?;
                (device_id(stat.st_dev), stat.st_ino as i64)
            }
        };
        Ok(OpenFileInfo { fd, mode: file.mode(), device, node })
    }
}

fn raw_lock(fd: BorrowedFd<'_>, command: libc::c_int, lock: &FLock) -> SysResult<FLock> {
    let kind = match lock.l_type {
        fcntl::F_RDLCK => libc::F_RDLCK,
        fcntl::F_WRLCK => libc::F_WRLCK,
        fcntl::F_UNLCK => libc::F_UNLCK,
        _ => return Err(Status::B_BAD_VALUE),
    };
    let mut host = libc::flock {
        l_type: kind as i16,
        l_whence: lock.l_whence,
        l_start: lock.l_start,
        l_len: lock.l_len,
        l_pid: 0,
    };
    // SAFETY: `host` is readable and writable and of the type that these commands take.
    if unsafe { libc::fcntl(fd.as_raw_fd(), command, &mut host) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let kind = match libc::c_int::from(host.l_type) {
        libc::F_RDLCK => fcntl::F_RDLCK,
        libc::F_WRLCK => fcntl::F_WRLCK,
        _ => fcntl::F_UNLCK,
    };
    Ok(FLock { l_type: kind, l_whence: host.l_whence, l_start: host.l_start, l_len: host.l_len, l_pid: host.l_pid })
}
