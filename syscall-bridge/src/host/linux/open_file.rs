//! An open file: what several descriptors, and forked teams, may stand for.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

use super::namespace::Dir;
use crate::abi::SysResult;
use crate::abi::fs::OpenMode;
use crate::team::waiting::lock;

/// An open file of the guest.
#[derive(Debug)]
pub(super) struct OpenFile {
    /// The host's file; for directories opened for their entries only, none.
    pub(super) host: Arc<OwnedFd>,
    /// What it is.
    pub(super) kind: Kind,
    mode: Mutex<OpenMode>,
    /// Whether others that are not hokku's hold the same open file: its host flags are not ours to change.
    pub(super) borrowed: bool,
}

/// What an open file is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Reads and writes end soon: a regular file.
    Regular,
    /// Reads and writes may have to wait: a pipe, terminal or device.
    Stream,
    /// A socket.
    Socket,
    /// A directory, with the entries not read yet.
    Directory(Arc<Dir>, Mutex<DirStream>),
}

/// How far a directory has been read.
#[derive(Debug, Default)]
pub(super) struct DirStream {
    /// Names still to be given, the next one last; `None`: the directory is to be read first.
    pub(super) names: Option<Vec<Vec<u8>>>,
}

impl OpenFile {
    /// The file behind a host descriptor.
    pub(super) fn host(host: OwnedFd, mode: OpenMode) -> SysResult<Self> {
        let kind = match FileType::from_raw_mode(fstat(&host)?.st_mode) {
            FileType::RegularFile => Kind::Regular,
            FileType::Socket => Kind::Socket,
            _ => Kind::Stream,
        };
        Ok(OpenFile { host: Arc::new(host), kind, mode: Mutex::new(mode), borrowed: false })
    }

    /// A descriptor that hokku was started with.
    pub(super) fn borrowed(host: OwnedFd) -> SysResult<Self> {
        let flags = fcntl_getfl(&host)?;
        let mut mode = match flags & OFlags::RWMODE {
            OFlags::WRONLY => OpenMode::WRITE_ONLY,
            OFlags::RDWR => OpenMode::READ_WRITE,
            _ => OpenMode::empty(),
        };
        mode.set(OpenMode::APPEND, flags.contains(OFlags::APPEND));
        mode.set(OpenMode::NONBLOCK, flags.contains(OFlags::NONBLOCK));
        Ok(OpenFile { borrowed: true, ..Self::host(host, mode)? })
    }

    /// A directory opened for its entries; `host` may be any file that lives as long.
    pub(super) fn directory(host: OwnedFd, dir: Arc<Dir>, mode: OpenMode) -> Self {
        let kind = Kind::Directory(dir, Mutex::default());
        OpenFile { host: Arc::new(host), kind, mode: Mutex::new(mode), borrowed: false }
    }

    /// The directory that it is.
    pub(super) fn dir(&self) -> Option<&Arc<Dir>> {
        match &self.kind {
            Kind::Directory(dir, _) => Some(dir),
            _ => None,
        }
    }

    /// Locks this for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        let stream = match &self.kind {
            Kind::Directory(_, stream) => Some(lock(stream)),
            _ => None,
        };
        (stream, lock(&self.mode))
    }

    /// In a forked child: the same open file without the threads that were using it in the parent. As they never end that here, the host's
    /// file would stay open when the last descriptor is closed. `None`: that harms nothing, or others than threads use it, too.
    pub(super) fn without_lost_users(&self) -> Option<OpenFile> {
        let kind = match self.kind {
            Kind::Regular => Kind::Regular,
            Kind::Stream => Kind::Stream,
            Kind::Socket => Kind::Socket,
            Kind::Directory(..) => return None,
        };
        if Arc::strong_count(&self.host) > 1 {
            return None;
        }
        let host = Arc::new(super::raw::taken_from(Arc::clone(&self.host)));
        Some(OpenFile { host, kind, mode: Mutex::new(self.mode()), borrowed: self.borrowed })
    }

    pub(super) fn mode(&self) -> OpenMode {
        *lock(&self.mode)
    }

    /// Changes `APPEND` and `NONBLOCK`.
    pub(super) fn set_mode(&self, mode: OpenMode) -> SysResult {
        const CHANGEABLE: OpenMode = OpenMode::APPEND.union(OpenMode::NONBLOCK);
        let mut current = lock(&self.mode);
        let new = *current & !CHANGEABLE | mode & CHANGEABLE;
        if !self.borrowed && self.dir().is_none() {
            let mut flags = fcntl_getfl(&*self.host)?;
            flags.set(OFlags::APPEND, new.contains(OpenMode::APPEND));
            flags.set(OFlags::NONBLOCK, new.contains(OpenMode::NONBLOCK));
            fcntl_setfl(&*self.host, flags)?;
        }
        *current = new;
        Ok(())
    }
}
