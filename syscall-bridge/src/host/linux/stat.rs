//! Node status: the host's as Haiku's.

use rustix::fs::{Stat as HostStat, Timespec};

use crate::abi::SignedWord;
use crate::abi::structs::{Stat, TimeSpec};
use crate::root::EmbeddedFile;

/// Volume of nodes that the host does not have. Host volumes stay below 2^30.
pub(super) const VIRTUAL_DEVICE: i32 = 1 << 30;

/// A host volume as a `dev_t` of 32 bits: ten bits of the major number, twenty of the minor.
pub(super) fn device_id(device: u64) -> i32 {
    ((rustix::fs::major(device) & 0x3ff) << 20 | rustix::fs::minor(device) & 0xf_ffff) as i32
}

fn time(seconds: i64, nanoseconds: u64) -> TimeSpec {
    TimeSpec { tv_sec: SignedWord(seconds), tv_nsec: SignedWord(nanoseconds as i64) }
}

/// `time` for host calls.
pub(super) fn host_time(time: TimeSpec) -> Timespec {
    Timespec { tv_sec: time.tv_sec.0, tv_nsec: time.tv_nsec.0 as _ }
}

/// The host's status. Mode bits are the same on both systems; there is no creation time: the change time stands for it.
pub(super) fn haiku_stat(host: &HostStat) -> Stat {
    let changed = time(host.st_ctime, host.st_ctime_nsec);
    Stat {
        st_dev: device_id(host.st_dev),
        st_ino: host.st_ino as i64,
        st_mode: host.st_mode,
        st_nlink: host.st_nlink as i32,
        st_uid: host.st_uid,
        st_gid: host.st_gid,
        st_size: host.st_size,
        st_rdev: device_id(host.st_rdev),
        st_blksize: host.st_blksize as i32,
        st_atim: time(host.st_atime, host.st_atime_nsec),
        st_mtim: time(host.st_mtime, host.st_mtime_nsec),
        st_ctim: changed,
        st_crtim: changed,
        st_type: 0,
        st_blocks: host.st_blocks,
    }
}

/// Status of an embedded file, or of a directory that the host does not have. Its node is made of its path.
pub(super) fn virtual_stat(path: &[u8], file: Option<&EmbeddedFile>) -> Stat {
    // FNV-1a, without the sign bit: stable from run to run.
    let node = path.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let (kind, perms) = match file {
        None => (0o040_000, 0o555),
        Some(f) => (0o100_000, if f.executable { 0o555 } else { 0o444 }),
    };
    let size = file.map_or(0, |f| f.data.len() as i64);
    Stat {
        st_dev: VIRTUAL_DEVICE,
        st_ino: (node >> 1) as i64,
        st_mode: kind | perms,
        st_nlink: 1,
        st_size: size,
        st_blksize: 4096,
        st_blocks: (size + 511) / 512,
        ..Stat::default()
    }
}
