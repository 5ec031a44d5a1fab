//! Files by path.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{
    Access, AtFlags, CWD, FileType, MemfdFlags, Mode, OFlags, SealFlags, Timestamps, UTIME_OMIT, accessat, chmodat,
    chownat, fchmod, fchown, fcntl_add_seals, fstat, ftruncate, futimens, linkat, memfd_create, mkdirat, mknodat,
    openat, readlinkat, renameat, statat, symlinkat, unlinkat, utimensat,
};
use rustix::process::{Gid, Uid};

use super::fd_table::FdTable;
use super::namespace::{Dir, Located, Namespace, Node, Place};
use super::open_file::OpenFile;
use super::stat::{haiku_stat, host_time, virtual_stat};
use crate::abi::fs::{OpenMode, stat_mask};
use crate::abi::structs::{FsInfo, PATH_LENGTH, Stat};
use crate::abi::{Chars, Status, SysResult};
use crate::args::DeviceId;
use crate::kernel::{At, DescriptorFlags, Paths};
use crate::team::waiting::lock;

/// Most directories whose paths are remembered by node.
const REMEMBERED_NODES: usize = 4096;

/// The guest's files.
pub struct LinuxFiles {
    pub(super) space: Namespace,
    pub(super) table: Mutex<FdTable>,
    pub(super) cwd: Mutex<Arc<Dir>>,
    /// Paths of the directories that the guest has asked about, by volume and node.
    nodes: Mutex<HashMap<(i32, i64), Arc<Dir>>>,
}

impl LinuxFiles {
    /// Files of `space`, with the root as working directory and no file open.
    pub fn new(space: Namespace) -> Self {
        let cwd = Mutex::new(Arc::clone(space.root()));
        LinuxFiles { space, table: Mutex::new(FdTable::new()), cwd, nodes: Mutex::default() }
    }

    /// Gives the guest hokku's own standard input, output and error as 0, 1 and 2.
    pub fn inherit_standard(&self) -> SysResult {
        for fd in 0..3 {
            // Where hokku itself has none, the guest gets none.
            if let Ok(host) = super::raw::inherited(fd) {
                let file = OpenFile::borrowed(host)?;
                lock(&self.table).replace(fd, Arc::new(file), DescriptorFlags::default())?;
            }
        }
        Ok(())
    }

    pub(super) fn table(&self) -> MutexGuard<'_, FdTable> {
        lock(&self.table)
    }

    pub(super) fn file(&self, fd: i32) -> SysResult<Arc<OpenFile>> {
        Ok(Arc::clone(&self.table().get(fd)?.file))
    }

    pub(super) fn install(&self, file: OpenFile, mode: OpenMode) -> SysResult<i32> {
        let flags =
            DescriptorFlags { cloexec: mode.contains(OpenMode::CLOEXEC), clofork: mode.contains(OpenMode::CLOFORK) };
        self.table().insert(0, Arc::new(file), flags)
    }

    /// Locks what a forked child must find free, and calls `fork`; in the child, the files have this process's users only.
    pub(super) fn fork<E>(&self, fork: impl FnOnce() -> Result<i32, E>) -> Result<i32, E> {
        let mut table = self.table();
        let forked = {
            let files = table.files();
            // Before the others, which whoever reads a directory takes.
            let _files: Vec<_> = files.iter().map(|file| file.quiesce()).collect();
            let _rest = (lock(&self.cwd), lock(&self.nodes));
            fork()
        };
        if let Ok(0) = forked {
            table.forget_lost_users();
            drop(table.remove_where(|_, d| d.flags.clofork));
        }
        forked
    }

    fn start(&self, dir: i32) -> SysResult<Arc<Dir>> {
        if dir < 0 {
            return Ok(Arc::clone(&lock(&self.cwd)));
        }
        self.file(dir)?.dir().cloned().ok_or(Status::B_NOT_A_DIRECTORY)
    }

    pub(super) fn locate(&self, at: At<'_>, follow: bool) -> SysResult<Located> {
        let path = at.path.ok_or(Status::B_BAD_VALUE)?;
        // An absolute path does not need its directory.
        let start = if path.starts_with(b"/") { Arc::clone(self.space.root()) } else { self.start(at.dir)? };
        self.space.resolve(&start, path, follow)
    }

    /// Where a new entry can be made: its directory and name.
    fn new_entry(&self, at: At<'_>) -> SysResult<Located> {
        let located = self.locate(at, false)?;
        match located.node {
            Some(_) => Err(Status::B_FILE_EXISTS),
            None => Ok(located),
        }
    }

    fn open_located(&self, located: &Located, mode: OpenMode, perms: u32) -> SysResult<OpenFile> {
        let Some(node) = &located.node else {
            if !mode.contains(OpenMode::CREAT) {
                return Err(Status::B_ENTRY_NOT_FOUND);
            }
            if located.must_be_dir {
                return Err(Status::B_IS_A_DIRECTORY);
            }
            let dir = located.host_dir()?;
            // Without O_EXCL: somebody may have made the file in between, which is as good.
            let flags = host_flags(mode) | OFlags::CREATE;
            let file = openat(dir, located.name.as_slice(), flags, Mode::from_raw_mode(perms & 0o7777))?;
            return OpenFile::host(file, mode);
        };
        if mode.contains(OpenMode::CREAT | OpenMode::EXCL) {
            return Err(Status::B_FILE_EXISTS);
        }
        if (located.must_be_dir || mode.contains(OpenMode::DIRECTORY)) && !matches!(node, Node::Dir(_)) {
            return Err(Status::B_NOT_A_DIRECTORY);
        }
        match node {
            Node::Dir(_) if mode.writes() => Err(Status::B_IS_A_DIRECTORY),
            Node::Dir(dir) => open_directory(dir, mode),
            Node::Host(FileType::Symlink) if mode.contains(OpenMode::NOFOLLOW) => Err(Status::B_LINK_LIMIT),
            Node::Host(FileType::Symlink) => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                OpenFile::host(openat(located.host_dir()?, located.name.as_slice(), flags, Mode::empty())?, mode)
            }
            Node::Host(_) => {
                let flags = host_flags(mode);
                OpenFile::host(openat(located.host_dir()?, located.name.as_slice(), flags, Mode::empty())?, mode)
            }
            Node::Embedded(_) if mode.writes() => Err(Status::B_READ_ONLY_DEVICE),
            Node::Embedded(file) => OpenFile::host(embedded_file(file.data)?, mode),
            Node::Device(path) => OpenFile::host(rustix::fs::open(*path, host_flags(mode), Mode::empty())?, mode),
        }
    }

    /// Remembers where a directory is, for calls that name it by its node.
    fn remember(&self, stat: &Stat, dir: &Arc<Dir>) {
        let mut nodes = lock(&self.nodes);
        if nodes.len() >= REMEMBERED_NODES {
            nodes.clear();
        }
        nodes.insert((stat.st_dev, stat.st_ino), Arc::clone(dir));
    }

    pub(super) fn stat_dir(&self, dir: &Arc<Dir>) -> SysResult<Stat> {
        let stat = match &dir.place {
            Place::Host(fd) => haiku_stat(&statat(fd, c"", AtFlags::EMPTY_PATH)?),
            _ => virtual_stat(&dir.path(), None),
        };
        self.remember(&stat, dir);
        Ok(stat)
    }

    pub(super) fn stat_located(&self, located: &Located) -> SysResult<Stat> {
        match located.existing()? {
            Node::Dir(dir) => self.stat_dir(dir),
            Node::Host(_) => {
                Ok(haiku_stat(&statat(located.host_dir()?, located.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?))
            }
            Node::Embedded(file) => Ok(virtual_stat(file.path.as_bytes(), Some(file))),
            Node::Device(path) => Ok(haiku_stat(&rustix::fs::stat(*path)?)),
        }
    }

    fn stat_open(&self, file: &OpenFile) -> SysResult<Stat> {
        match file.dir() {
            Some(dir) => self.stat_dir(dir),
            None => Ok(haiku_stat(&fstat(&*file.host)?)),
        }
    }
}

/// The host's open flags; links are never followed by the host.
fn host_flags(mode: OpenMode) -> OFlags {
    let mut flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    flags |= match (mode.reads(), mode.writes()) {
        (_, false) => OFlags::RDONLY,
        (false, true) => OFlags::WRONLY,
        (true, true) => OFlags::RDWR,
    };
    for (ours, hosts) in [
        (OpenMode::NONBLOCK, OFlags::NONBLOCK),
        (OpenMode::TRUNC, OFlags::TRUNC),
        (OpenMode::APPEND, OFlags::APPEND),
        (OpenMode::NOCTTY, OFlags::NOCTTY),
        (OpenMode::SYNC, OFlags::SYNC),
        (OpenMode::DSYNC, OFlags::DSYNC),
    ] {
        flags.set(hosts, mode.contains(ours));
    }
    flags
}

/// A file in memory with these contents, read-only.
fn embedded_file(data: &[u8]) -> SysResult<OwnedFd> {
    let file = memfd_create("hokku-embedded", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut written = 0;
    while written < data.len() {
        written += rustix::io::pwrite(&file, &data[written..], written as u64)?;
    }
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

pub(super) fn open_directory(dir: &Arc<Dir>, mode: OpenMode) -> SysResult<OpenFile> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = match &dir.place {
        Place::Host(fd) => openat(fd, c".", flags, Mode::empty())?,
        // Something to hold; nothing is ever read from it.
        _ => rustix::fs::open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?,
    };
    Ok(OpenFile::directory(host, Arc::clone(dir), mode))
}

impl Paths for LinuxFiles {
    fn open(&self, at: At<'_>, mode: OpenMode, perms: u32) -> SysResult<i32> {
        let follow = !mode.intersects(OpenMode::NOFOLLOW | OpenMode::NOTRAVERSE);
        let located = self.locate(at, follow && !mode.contains(OpenMode::CREAT | OpenMode::EXCL))?;
        self.install(self.open_located(&located, mode, perms)?, mode)
    }

    fn open_dir(&self, at: At<'_>) -> SysResult<i32> {
        let dir = match at.path {
            None => self.start(at.dir)?,
            Some(_) => match self.locate(at, true)?.existing()? {
                Node::Dir(dir) => Arc::clone(dir),
                _ => return Err(Status::B_NOT_A_DIRECTORY),
            },
        };
        self.stat_dir(&dir)?;
        self.install(open_directory(&dir, OpenMode::empty())?, OpenMode::CLOEXEC)
    }

    fn open_parent_dir(&self, fd: i32) -> SysResult<(i32, Vec<u8>)> {
        let dir = self.start(fd)?;
        let parent = dir.parent.as_ref().ok_or(Status::B_ENTRY_NOT_FOUND)?;
        let opened = self.install(open_directory(parent, OpenMode::empty())?, OpenMode::CLOEXEC)?;
        Ok((opened, dir.name.clone()))
    }

    fn path_of_node(&self, device: DeviceId, node: i64) -> SysResult<Vec<u8>> {
        let nodes = lock(&self.nodes);
        nodes.get(&(device.0, node)).map(|dir| dir.path()).ok_or(Status::B_ENTRY_NOT_FOUND)
    }

    fn read_whole(&self, at: At<'_>) -> SysResult<Vec<u8>> {
        let located = self.locate(at, true)?;
        if let Node::Embedded(file) = located.existing()? {
            return Ok(file.data.to_vec());
        }
        if !matches!(located.existing()?, Node::Host(FileType::RegularFile)) {
            return Err(Status::B_IS_A_DIRECTORY);
        }
        let file = self.open_located(&located, OpenMode::empty(), 0)?;
        let mut data = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        loop {
            match rustix::io::pread(&*file.host, &mut chunk, data.len() as u64)? {
                0 => return Ok(data),
                n => data.extend_from_slice(&chunk[..n]),
            }
        }
    }

    fn stat(&self, at: At<'_>, follow: bool) -> SysResult<Stat> {
        match at.path {
            Some(_) => self.stat_located(&self.locate(at, follow)?),
            None if at.dir < 0 => self.stat_dir(&self.start(at.dir)?),
            None => self.stat_open(&*self.file(at.dir)?),
        }
    }

    fn write_stat(&self, at: At<'_>, follow: bool, stat: &Stat, mask: u32) -> SysResult {
        let owner = (mask & stat_mask::UID != 0).then(|| Uid::from_raw(stat.st_uid));
        let group = (mask & stat_mask::GID != 0).then(|| Gid::from_raw(stat.st_gid));
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        let mut times = Timestamps { last_access: host_time(stat.st_atim), last_modification: host_time(stat.st_mtim) };
        if mask & stat_mask::ACCESS_TIME == 0 {
            times.last_access.tv_nsec = UTIME_OMIT as _;
        }
        if mask & stat_mask::MODIFICATION_TIME == 0 {
            times.last_modification.tv_nsec = UTIME_OMIT as _;
        }
        let set_times = mask & (stat_mask::ACCESS_TIME | stat_mask::MODIFICATION_TIME) != 0;
        if at.path.is_none() && at.dir >= 0 {
            let file = self.file(at.dir)?;
            let host = file.host.as_fd();
            if mask & stat_mask::SIZE != 0 {
                ftruncate(host, u64::try_from(stat.st_size).map_err(|_| Status::B_BAD_VALUE)?)?;
            }
            if mask & stat_mask::MODE != 0 {
                fchmod(host, mode)?;
            }
            if owner.is_some() || group.is_some() {
                fchown(host, owner, group)?;
            }
            if set_times {
                futimens(host, &times)?;
            }
            return Ok(());
        }
        let located = match at.path {
            Some(_) => self.locate(at, follow)?,
            None => self.locate(At { dir: at.dir, path: Some(b".") }, follow)?,
        };
        located.existing()?;
        // The root of the guest is reached through itself.
        let (dir, name): (&OwnedFd, &[u8]) = match &located.node {
            Some(Node::Dir(d)) if located.name.is_empty() => match &d.place {
                Place::Host(fd) => (fd, b"."),
                _ => return Err(Status::B_READ_ONLY_DEVICE),
            },
            _ => (located.host_dir()?, &located.name),
        };
        if mask & stat_mask::SIZE != 0 {
            // A named pipe without readers is not waited for: it has no size to set.
            let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = openat(dir, name, flags, Mode::empty())?;
            ftruncate(&file, u64::try_from(stat.st_size).map_err(|_| Status::B_BAD_VALUE)?)?;
        }
        if mask & stat_mask::MODE != 0 {
            if matches!(located.node, Some(Node::Host(FileType::Symlink))) {
                return Err(Status::B_UNSUPPORTED);
            }
            chmodat(dir, name, mode, AtFlags::empty())?;
        }
        if owner.is_some() || group.is_some() {
            chownat(dir, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if set_times {
            utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn create_dir(&self, at: At<'_>, perms: u32) -> SysResult {
        let entry = self.new_entry(at)?;
        Ok(mkdirat(entry.host_dir()?, entry.name.as_slice(), Mode::from_raw_mode(perms & 0o7777))?)
    }

    fn remove_dir(&self, at: At<'_>) -> SysResult {
        let located = self.locate(at, false)?;
        match located.existing()? {
            Node::Dir(_) if located.name.is_empty() => Err(Status::B_NOT_ALLOWED),
            Node::Dir(_) => Ok(unlinkat(located.host_dir()?, located.name.as_slice(), AtFlags::REMOVEDIR)?),
            _ => Err(Status::B_NOT_A_DIRECTORY),
        }
    }

    fn unlink(&self, at: At<'_>) -> SysResult {
        let located = self.locate(at, false)?;
        match located.existing()? {
            Node::Dir(_) => Err(Status::B_IS_A_DIRECTORY),
            _ => Ok(unlinkat(located.host_dir()?, located.name.as_slice(), AtFlags::empty())?),
        }
    }

    fn rename(&self, from: At<'_>, to: At<'_>) -> SysResult {
        let (from, to) = (self.locate(from, false)?, self.locate(to, false)?);
        from.existing()?;
        Ok(renameat(from.host_dir()?, from.name.as_slice(), to.host_dir()?, to.name.as_slice())?)
    }

    fn create_symlink(&self, at: At<'_>, target: &[u8]) -> SysResult {
        let entry = self.new_entry(at)?;
        Ok(symlinkat(target, entry.host_dir()?, entry.name.as_slice())?)
    }

    fn create_link(&self, at: At<'_>, target: At<'_>, follow: bool) -> SysResult {
        let entry = self.new_entry(at)?;
        let target = self.locate(target, follow)?;
        if matches!(target.existing()?, Node::Dir(_)) {
            return Err(Status::B_NOT_ALLOWED);
        }
        let (old, new) = (target.host_dir()?, entry.host_dir()?);
        Ok(linkat(old, target.name.as_slice(), new, entry.name.as_slice(), AtFlags::empty())?)
    }

    fn create_fifo(&self, at: At<'_>, perms: u32) -> SysResult {
        let entry = self.new_entry(at)?;
        let mode = Mode::from_raw_mode(perms & 0o7777);
        Ok(mknodat(entry.host_dir()?, entry.name.as_slice(), FileType::Fifo, mode, 0)?)
    }

    fn read_link(&self, at: At<'_>) -> SysResult<Vec<u8>> {
        let located = match at.path {
            Some(_) => self.locate(at, false)?,
            None => {
                let file = self.file(at.dir)?;
                return Ok(readlinkat(&*file.host, c"", Vec::new()).map_err(|_| Status::B_BAD_VALUE)?.into_bytes());
            }
        };
        match located.existing()? {
            Node::Host(FileType::Symlink) => {
                Ok(readlinkat(located.host_dir()?, located.name.as_slice(), Vec::new())?.into_bytes())
            }
            _ => Err(Status::B_BAD_VALUE),
        }
    }

    fn access(&self, at: At<'_>, mode: u32, effective: bool) -> SysResult {
        let access = Access::from_bits(mode & 7).ok_or(Status::B_BAD_VALUE)?;
        let flags = if effective { AtFlags::EACCESS } else { AtFlags::empty() };
        let located = match at.path {
            Some(_) => self.locate(at, true)?,
            None => return Ok(accessat(&*self.file(at.dir)?.host, c"", access, flags | AtFlags::EMPTY_PATH)?),
        };
        match located.existing()? {
            Node::Dir(dir) => match &dir.place {
                Place::Host(fd) => Ok(accessat(fd, c".", access, flags)?),
                _ if access.contains(Access::WRITE_OK) => Err(Status::B_READ_ONLY_DEVICE),
                _ => Ok(()),
            },
            Node::Host(_) => Ok(accessat(located.host_dir()?, located.name.as_slice(), access, flags)?),
            Node::Embedded(_) if access.contains(Access::WRITE_OK) => Err(Status::B_READ_ONLY_DEVICE),
            Node::Embedded(file) if access.contains(Access::EXEC_OK) && !file.executable => {
                Err(Status::B_PERMISSION_DENIED)
            }
            Node::Embedded(_) => Ok(()),
            Node::Device(path) => Ok(accessat(CWD, *path, access, flags)?),
        }
    }

    fn working_dir(&self) -> SysResult<Vec<u8>> {
        Ok(lock(&self.cwd).path())
    }

    fn set_working_dir(&self, at: At<'_>) -> SysResult {
        let dir = match at.path {
            None => self.start(at.dir)?,
            Some(_) => match self.locate(at, true)?.existing()? {
                Node::Dir(dir) => Arc::clone(dir),
                _ => return Err(Status::B_NOT_A_DIRECTORY),
            },
        };
        if let Place::Host(fd) = &dir.place {
            accessat(fd, c".", Access::EXEC_OK, AtFlags::EACCESS)?;
        }
        *lock(&self.cwd) = dir;
        Ok(())
    }

    fn normalize(&self, path: &[u8], follow: bool) -> SysResult<Vec<u8>> {
        let located = self.locate(At { dir: -1, path: Some(path) }, follow)?;
        let normal = match &located.node {
            Some(Node::Dir(dir)) => dir.path(),
            _ => {
                let mut names = located.dir.components();
                names.push(located.name.clone());
                super::namespace::join(&names)
            }
        };
        if normal.len() >= PATH_LENGTH { Err(Status::B_NAME_TOO_LONG) } else { Ok(normal) }
    }

    fn volume(&self, device: DeviceId) -> SysResult<FsInfo> {
        let root = self.stat_dir(self.space.root())?;
        let known = lock(&self.nodes).iter().find(|((d, _), _)| *d == device.0).map(|(_, dir)| Arc::clone(dir));
        let dir = known.ok_or(Status::B_BAD_VALUE)?;
        let mut info = FsInfo {
            dev: device.0,
            root: root.st_ino,
            volume_name: Chars::new(if root.st_dev == device.0 { b"Haiku" } else { b"shared" }),
            fsh_name: Chars::new(b"hokku"),
            block_size: 4096,
            io_size: 65536,
            ..FsInfo::default()
        };
        if let Place::Host(fd) = &dir.place {
            let host = rustix::fs::fstatfs(fd)?;
            info.block_size = host.f_bsize;
            info.total_blocks = host.f_blocks as i64;
            info.free_blocks = host.f_bavail as i64;
            info.total_nodes = host.f_files as i64;
            info.free_nodes = host.f_ffree as i64;
        } else {
            // Persistent and read-only.
            info.flags = 0x4 | 0x1;
        }
        Ok(info)
    }

    fn next_volume(&self, cookie: &mut i32) -> SysResult<DeviceId> {
        let root = self.stat_dir(self.space.root())?;
        match std::mem::replace(cookie, 1) {
            0 => Ok(DeviceId(root.st_dev)),
            _ => Err(Status::B_BAD_VALUE),
        }
    }

    fn sync(&self) {
        rustix::fs::sync();
    }

    fn set_umask(&self, umask: u32) {
        rustix::process::umask(Mode::from_raw_mode(umask & 0o777));
    }
}
