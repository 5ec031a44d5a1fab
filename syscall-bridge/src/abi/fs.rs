//! Numbers about files.
//!
//! Source: haiku `headers/posix/{fcntl,sys/stat,poll,termios}.h`, `headers/os/storage`, `headers/private/system/vfs_defs.h`.

bitflags::bitflags! {
    /// How a file is opened, and its status flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OpenMode: u32 {
        /// Writing only.
        const WRITE_ONLY = 1;
        /// Reading and writing.
        const READ_WRITE = 2;
        /// Closed on exec.
        const CLOEXEC = 0x40;
        /// Never blocks.
        const NONBLOCK = 0x80;
        /// The file must be new.
        const EXCL = 0x100;
        /// Makes the file if need be.
        const CREAT = 0x200;
        /// Empties the file.
        const TRUNC = 0x400;
        /// Writes go to the end.
        const APPEND = 0x800;
        /// Does not become the controlling terminal.
        const NOCTTY = 0x1000;
        /// Opens a link itself.
        const NOTRAVERSE = 0x2000;
        /// Writes data and status through.
        const SYNC = 0x1_0000;
        /// Reads synchronously.
        const RSYNC = 0x2_0000;
        /// Writes data through.
        const DSYNC = 0x4_0000;
        /// Fails on a link.
        const NOFOLLOW = 0x8_0000;
        /// Without cache.
        const DIRECT = 0x10_0000;
        /// Must be a directory.
        const DIRECTORY = 0x20_0000;
        /// Closed on fork.
        const CLOFORK = 0x40_0000;
    }
}

impl OpenMode {
    /// The two bits of the access mode.
    pub const ACCESS: OpenMode = OpenMode::WRITE_ONLY.union(OpenMode::READ_WRITE);

    /// Whether reading is allowed.
    pub fn reads(self) -> bool {
        !self.contains(OpenMode::WRITE_ONLY)
    }

    /// Whether writing is allowed.
    pub fn writes(self) -> bool {
        self.intersects(OpenMode::ACCESS)
    }
}

/// Operations of `fcntl`.
pub mod fcntl {
    #![allow(missing_docs, reason = "the names are POSIX's")]
    pub const F_DUPFD: i32 = 0x1;
    pub const F_GETFD: i32 = 0x2;
    pub const F_SETFD: i32 = 0x4;
    pub const F_GETFL: i32 = 0x8;
    pub const F_SETFL: i32 = 0x10;
    pub const F_GETLK: i32 = 0x20;
    pub const F_SETLK: i32 = 0x80;
    pub const F_SETLKW: i32 = 0x100;
    pub const F_DUPFD_CLOEXEC: i32 = 0x200;
    pub const F_DUPFD_CLOFORK: i32 = 0x400;
    pub const F_RDLCK: i16 = 0x40;
    pub const F_UNLCK: i16 = 0x200;
    pub const F_WRLCK: i16 = 0x400;
    pub const FD_CLOEXEC: u32 = 1;
    pub const FD_CLOFORK: u32 = 2;
}

/// Which fields `write_stat` changes.
pub mod stat_mask {
    #![allow(missing_docs, reason = "the names are the fields'")]
    pub const MODE: u32 = 0x1;
    pub const UID: u32 = 0x2;
    pub const GID: u32 = 0x4;
    pub const SIZE: u32 = 0x8;
    pub const ACCESS_TIME: u32 = 0x10;
    pub const MODIFICATION_TIME: u32 = 0x20;
    pub const CREATION_TIME: u32 = 0x40;
    pub const CHANGE_TIME: u32 = 0x80;
}

/// Events of `poll`, `select` and `wait_for_objects`.
pub mod event {
    #![allow(missing_docs, reason = "the names are Haiku's")]
    pub const READ: u16 = 0x1;
    pub const WRITE: u16 = 0x2;
    pub const ERROR: u16 = 0x4;
    pub const PRIORITY_READ: u16 = 0x8;
    pub const PRIORITY_WRITE: u16 = 0x10;
    pub const HIGH_PRIORITY_READ: u16 = 0x20;
    pub const HIGH_PRIORITY_WRITE: u16 = 0x40;
    pub const DISCONNECTED: u16 = 0x80;
    /// A semaphore can be acquired.
    pub const ACQUIRE_SEMAPHORE: u16 = 0x1;
    pub const INVALID: u16 = 0x1000;
}

/// Kinds of objects of `wait_for_objects`.
pub mod object {
    #![allow(missing_docs, reason = "the names are Haiku's")]
    pub const FD: u16 = 0;
    pub const SEMAPHORE: u16 = 1;
    pub const PORT: u16 = 2;
    pub const THREAD: u16 = 3;
}

/// Device control operations.
pub mod ioctl {
    #![allow(missing_docs, reason = "the names are those of termios.h")]
    pub const TCGETA: u32 = 0x8000;
    pub const TCSETA: u32 = TCGETA + 1;
    pub const TCSETAF: u32 = TCGETA + 2;
    pub const TCSETAW: u32 = TCGETA + 3;
    pub const TCSBRK: u32 = TCGETA + 5;
    pub const TCFLSH: u32 = TCGETA + 6;
    pub const TCXONC: u32 = TCGETA + 7;
    pub const TIOCGWINSZ: u32 = TCGETA + 12;
    pub const TIOCSWINSZ: u32 = TCGETA + 13;
    pub const TIOCGPGRP: u32 = TCGETA + 15;
    pub const TIOCSPGRP: u32 = TCGETA + 16;
    pub const TIOCSCTTY: u32 = TCGETA + 17;
    pub const TIOCGSID: u32 = TCGETA + 24;
    pub const FIONBIO: u32 = 0xbe00_0000;
    pub const FIONREAD: u32 = 0xbe00_0001;
}
