//! Open files: reading and writing, descriptors and their flags, locks, directories.

mod ioctl;
mod select;

use crate::abi::fs::{OpenMode, fcntl as op};
use crate::abi::layout::GuestType;
use crate::abi::signal::{Signal, code};
use crate::abi::structs::{DIRENT_NAME, DirEntHead, FLock, FdInfo, IoVec, SigInfo};
use crate::abi::{Status, SysResult};
use crate::args::{Count, Fd, InBytes, InOut, Out, OutBytes, Size, TeamId};
use crate::call::Call;
use crate::kernel::{At, DescriptorFlags, DirEntry, Direction};
use hokku_ir::{CpuMode, GuestAddr};
use hokku_runtime::{Access, HostBuffer};
use std::os::fd::AsFd;

pub use ioctl::ioctl;
pub use select::{poll, select, wait_for_objects};

/// Longest `iovec` list: `IOV_MAX`.
const MAX_VECTORS: u64 = 1024;
/// Most bytes of directory entries that one call gives.
const MAX_DIRENT_BYTES: u64 = 8192;
/// Alignment of directory entries in a buffer.
const DIRENT_ALIGN: usize = 8;
/// Flag of `close_range`: sets close-on-exec instead.
const CLOSE_RANGE_CLOEXEC: i32 = 4;
/// Flag of `flock`: without waiting.
const LOCK_NB: i32 = 4;
/// Operations of `flock`: shared, exclusive, unlock.
const FLOCK_OPERATIONS: [i32; 3] = [1, 2, 8];
/// The kind of node in a mode.
const KIND: u32 = 0o170_000;

/// How the guest accesses buffers that bytes go through in this direction.
fn buffer_access(direction: Direction) -> Access {
    match direction {
        Direction::Read => Access::Write,
        Direction::Write => Access::Read,
    }
}

/// Where a transfer begins: -1 is the file position. Checks that `fd` is open for it.
fn position(call: &Call<'_>, fd: Fd, pos: i64, direction: Direction) -> SysResult<Option<i64>> {
    if pos < -1 {
        return Err(Status::B_BAD_VALUE);
    }
    let descriptors = call.kernel().descriptors();
    let mode = descriptors.mode(fd.0)?;
    let allowed = match direction {
        Direction::Read => mode.reads(),
        Direction::Write => mode.writes(),
    };
    if !allowed {
        return Err(Status::B_FILE_ERROR);
    }
    if pos == -1 {
        return Ok(None);
    }
    // Pipes and sockets have no positions.
    match descriptors.seek(fd.0, 0, 1) {
        Err(Status::ESPIPE) => Err(Status::ESPIPE),
        _ => Ok(Some(pos)),
    }
}

fn transfer(
    call: &mut Call<'_>,
    fd: Fd,
    direction: Direction,
    position: Option<i64>,
    buffers: &[HostBuffer],
) -> SysResult<Count> {
    let team = call.team;
    let descriptors = team.kernel.descriptors();
    let done = call.wait_restartable(|wait| descriptors.transfer(fd.0, direction, position, buffers, wait));
    if direction == Direction::Write && done == Err(Status::B_BUSTED_PIPE) {
        pipe_signal(call)?;
    }
    if direction == Direction::Write && done.is_ok_and(|bytes| bytes > 0) {
        // A file of which code is mapped has changed. Where exactly, only calls with a position tell.
        if let Ok((file, _)) = descriptors.for_mapping(fd.0) {
            let from = position.map_or(0, |at| at.max(0).unsigned_abs());
            let len = position.map_or(u64::MAX, |_| done.unwrap_or(0) as u64);
            call.memory().file_changed(file.as_fd(), from, len)?;
        }
    }
    done.map(Count::from)
}

/// Tells the caller that nobody reads what it writes.
pub(super) fn pipe_signal(call: &Call<'_>) -> SysResult {
    let processes = call.kernel().processes();
    let info = SigInfo::sent(Signal::SIGPIPE, code::SI_USER, processes.team(), processes.user_ids()[0]);
    call.team.signal_thread(&call.me, info, false)
}

/// Haiku: `common_user_io`, `src/system/kernel/fs/fd.cpp`.
fn one_buffer(
    call: &mut Call<'_>,
    fd: Fd,
    pos: i64,
    at: GuestAddr,
    size: Size,
    direction: Direction,
) -> SysResult<Count> {
    let position = position(call, fd, pos, direction)?;
    if size.0 == 0 {
        return Ok(Count(0));
    }
    let buffer = call.buffer(at, size.0, buffer_access(direction))?;
    transfer(call, fd, direction, position, &[buffer])
}

/// Haiku: `common_user_vector_io`; buffers at null are left out.
fn several_buffers(
    call: &mut Call<'_>,
    fd: Fd,
    pos: i64,
    vecs: InBytes,
    count: Size,
    direction: Direction,
) -> SysResult<Count> {
    if count.0 > MAX_VECTORS || count.0 == 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let buffers = vectors(call, vecs, count.0, buffer_access(direction))?;
    let position = position(call, fd, pos, direction)?;
    if buffers.is_empty() {
        return Ok(Count(0));
    }
    transfer(call, fd, direction, position, &buffers)
}

/// The buffers of an `iovec` list that are not at null and not empty.
fn vectors(call: &Call<'_>, vecs: InBytes, count: u64, access: Access) -> SysResult<Vec<HostBuffer>> {
    let most = match call.mode() {
        CpuMode::Protected32 => i32::MAX.unsigned_abs().into(),
        CpuMode::Long64 => i64::MAX.unsigned_abs(),
    };
    let size = IoVec::size(call.mode()) as u64;
    let mut total = 0u64;
    let mut buffers = Vec::new();
    for i in 0..count {
        let vec: IoVec = call.read_at(vecs.0.offset(i * size))?;
        if vec.iov_base.0 == 0 || vec.iov_len.0 == 0 {
            continue;
        }
        buffers.push(call.buffer(vec.iov_base, vec.iov_len.0, access)?);
        total = total.checked_add(vec.iov_len.0).filter(|&t| t <= most).ok_or(Status::B_BAD_VALUE)?;
    }
    Ok(buffers)
}

/// Haiku: `_user_read`.
pub fn read(call: &mut Call<'_>, fd: Fd, pos: i64, buffer: OutBytes, size: Size) -> SysResult<Count> {
    one_buffer(call, fd, pos, buffer.0, size, Direction::Read)
}

/// Haiku: `_user_readv`.
pub fn readv(call: &mut Call<'_>, fd: Fd, pos: i64, vecs: InBytes, count: Size) -> SysResult<Count> {
    several_buffers(call, fd, pos, vecs, count, Direction::Read)
}

/// Haiku: `_user_write`.
pub fn write(call: &mut Call<'_>, fd: Fd, pos: i64, buffer: InBytes, size: Size) -> SysResult<Count> {
    one_buffer(call, fd, pos, buffer.0, size, Direction::Write)
}

/// Haiku: `_user_writev`.
pub fn writev(call: &mut Call<'_>, fd: Fd, pos: i64, vecs: InBytes, count: Size) -> SysResult<Count> {
    several_buffers(call, fd, pos, vecs, count, Direction::Write)
}

/// Haiku: `_user_seek`.
pub fn seek(call: &mut Call<'_>, fd: Fd, pos: i64, seek_type: i32) -> SysResult<i64> {
    call.kernel().descriptors().seek(fd.0, pos, seek_type)
}

/// A directory entry as it lies in the guest's buffer.
fn encode_entry(entry: &DirEntry, mode: CpuMode) -> Vec<u8> {
    let length = (DIRENT_NAME + entry.name.len() + 1).next_multiple_of(DIRENT_ALIGN);
    let head = DirEntHead {
        d_dev: entry.device,
        d_pdev: entry.parent_device,
        d_ino: entry.node,
        d_pino: entry.parent_node,
        // Names have at most 255 bytes.
        d_reclen: length as u16,
    };
    let mut bytes = vec![0; length.max(DirEntHead::size(mode))];
    head.encode(&mut bytes, mode);
    bytes[DIRENT_NAME..DIRENT_NAME + entry.name.len()].copy_from_slice(&entry.name);
    bytes.truncate(length);
    bytes
}

/// Haiku: `_user_read_dir`; a buffer that is too small for the next entry is an error.
pub fn read_dir(call: &mut Call<'_>, fd: Fd, buffer: OutBytes, size: Size, max_count: u32) -> SysResult<Count> {
    if max_count == 0 {
        return Ok(Count(0));
    }
    if buffer.0.0 == 0 {
        return Err(Status::B_BAD_ADDRESS);
    }
    let (mode, room) = (call.mode(), size.0.min(MAX_DIRENT_BYTES) as usize);
    call.memory().check(buffer.0, room as u64, Access::Write)?;
    let mut bytes = Vec::new();
    let mut count = 0;
    let mut too_small = false;
    let read = call.kernel().descriptors().read_dir(fd.0, &mut |entry| {
        if count == max_count {
            return false;
        }
        let encoded = encode_entry(entry, mode);
        if bytes.len() + encoded.len() > room {
            too_small = true;
            return false;
        }
        bytes.extend(encoded);
        count += 1;
        true
    });
    match read {
        // What was read before the error is gone from the stream: it is given first, the error at the next call.
        Err(error) if count == 0 => return Err(error),
        _ if count == 0 && too_small => return Err(Status::B_BUFFER_OVERFLOW),
        _ => {}
    }
    call.put_bytes(buffer, &bytes)?;
    Ok(Count(count.into()))
}

/// Haiku: `_user_rewind_dir`.
pub fn rewind_dir(call: &mut Call<'_>, fd: Fd) -> SysResult {
    match call.kernel().descriptors().rewind_dir(fd.0) {
        Err(Status::B_NOT_A_DIRECTORY) => Err(Status::B_UNSUPPORTED),
        done => done,
    }
}

/// Haiku: `_user_close`.
pub fn close(call: &mut Call<'_>, fd: Fd) -> SysResult {
    call.kernel().descriptors().close(fd.0)
}

/// Haiku: `_user_close_range`.
pub fn close_range(call: &mut Call<'_>, first: u32, last: u32, flags: i32) -> SysResult {
    if flags & !CLOSE_RANGE_CLOEXEC != 0 || last < first {
        return Err(Status::B_BAD_VALUE);
    }
    let only_flag = (flags & CLOSE_RANGE_CLOEXEC != 0).then_some(DescriptorFlags { cloexec: true, clofork: false });
    call.kernel().descriptors().close_range(first, last, only_flag)
}

/// Haiku: `_user_dup`.
pub fn dup(call: &mut Call<'_>, fd: Fd) -> SysResult<Fd> {
    call.kernel().descriptors().dup(fd.0, 0, DescriptorFlags::default()).map(Fd)
}

/// Haiku: `_user_dup2`; the flags are the new descriptor's, even where it is the old one.
pub fn dup2(call: &mut Call<'_>, fd: Fd, to: i32, flags: i32) -> SysResult<Fd> {
    if fd.0 < 0 || to < 0 {
        return Err(Status::B_FILE_ERROR);
    }
    let mode = OpenMode::from_bits_retain(flags as u32);
    if !(OpenMode::CLOEXEC | OpenMode::CLOFORK).contains(mode) {
        return Err(Status::B_BAD_VALUE);
    }
    let flags =
        DescriptorFlags { cloexec: mode.contains(OpenMode::CLOEXEC), clofork: mode.contains(OpenMode::CLOFORK) };
    let descriptors = call.kernel().descriptors();
    let new = descriptors.dup_to(fd.0, to, flags)?;
    descriptors.set_flags(new, flags)?;
    Ok(Fd(new))
}

/// Haiku: `_user_create_pipe`.
pub fn create_pipe(call: &mut Call<'_>, fds: OutBytes, flags: i32) -> SysResult {
    let mode = OpenMode::from_bits_retain(flags as u32);
    if !(OpenMode::NONBLOCK | OpenMode::CLOEXEC | OpenMode::CLOFORK).contains(mode) {
        return Err(Status::B_BAD_VALUE);
    }
    let descriptors = call.kernel().descriptors();
    let (read, write) = descriptors.pipe(mode)?;
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&read.to_le_bytes());
    bytes[4..].copy_from_slice(&write.to_le_bytes());
    let stored = call.put_bytes(fds, &bytes);
    if stored.is_err() {
        descriptors.close(read)?;
        descriptors.close(write)?;
    }
    stored
}

/// Haiku: `_user_fcntl`.
pub fn fcntl(call: &mut Call<'_>, fd: Fd, operation: i32, argument: Size) -> SysResult<i32> {
    let team = call.team;
    let descriptors = team.kernel.descriptors();
    let mode = descriptors.mode(fd.0)?;
    let low = argument.0 as u32;
    match operation {
        op::F_GETFD => {
            let flags = descriptors.flags(fd.0)?;
            let bits = [(flags.cloexec, op::FD_CLOEXEC), (flags.clofork, op::FD_CLOFORK)];
            Ok(bits.iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | *bit as i32))
        }
        op::F_SETFD => {
            let flags = DescriptorFlags { cloexec: low & op::FD_CLOEXEC != 0, clofork: low & op::FD_CLOFORK != 0 };
            descriptors.set_flags(fd.0, flags).map(|()| 0)
        }
        op::F_GETFL => Ok(mode.bits() as i32),
        op::F_SETFL => descriptors.set_mode(fd.0, OpenMode::from_bits_retain(low)).map(|()| 0),
        op::F_DUPFD => descriptors.dup(fd.0, low as i32, DescriptorFlags::default()),
        op::F_DUPFD_CLOEXEC => descriptors.dup(fd.0, low as i32, DescriptorFlags { cloexec: true, clofork: false }),
        op::F_DUPFD_CLOFORK => descriptors.dup(fd.0, low as i32, DescriptorFlags { cloexec: false, clofork: true }),
        op::F_GETLK => {
            let at = GuestAddr(argument.0);
            let wanted: FLock = call.read_at(at)?;
            let found = descriptors.get_lock(fd.0, &wanted)?;
            // Nothing in the way changes the kind alone.
            let told = if found.l_type == op::F_UNLCK { FLock { l_type: op::F_UNLCK, ..wanted } } else { found };
            call.write_at(at, &told).map(|()| 0)
        }
        op::F_SETLK => match descriptors.set_lock(fd.0, &call.read_at(GuestAddr(argument.0))?, false) {
            Err(Status::B_WOULD_BLOCK) => Err(Status::B_PERMISSION_DENIED),
            done => done.map(|()| 0),
        },
        op::F_SETLKW => {
            let lock = call.read_at(GuestAddr(argument.0))?;
            call.restartable(descriptors.set_lock(fd.0, &lock, true)).map(|()| 0)
        }
        _ => Err(Status::B_BAD_VALUE),
    }
}

/// Haiku: `_user_fsync`.
pub fn fsync(call: &mut Call<'_>, fd: Fd, data_only: bool) -> SysResult {
    call.kernel().descriptors().fsync(fd.0, data_only)
}

/// Haiku: `_user_flock`.
pub fn flock(call: &mut Call<'_>, fd: Fd, operation: i32) -> SysResult {
    if !FLOCK_OPERATIONS.contains(&(operation & !LOCK_NB)) {
        return Err(Status::B_BAD_VALUE);
    }
    let team = call.team;
    call.restartable(team.kernel.descriptors().flock(fd.0, operation))
}

/// Haiku: `_user_lock_node`.
pub fn lock_node(call: &mut Call<'_>, fd: Fd) -> SysResult {
    match call.kernel().descriptors().flock(fd.0, FLOCK_OPERATIONS[1] | LOCK_NB) {
        Err(Status::B_WOULD_BLOCK) => Err(Status::B_BUSY),
        done => done,
    }
}

/// Haiku: `_user_unlock_node`.
pub fn unlock_node(call: &mut Call<'_>, fd: Fd) -> SysResult {
    call.kernel().descriptors().flock(fd.0, FLOCK_OPERATIONS[2])
}

/// Haiku: `_user_preallocate`.
pub fn preallocate(call: &mut Call<'_>, fd: Fd, offset: i64, length: i64) -> SysResult {
    if offset < 0 || length == 0 {
        return Err(Status::B_BAD_VALUE);
    }
    if offset.checked_add(length).is_none() {
        return Err(Status::B_FILE_TOO_LARGE);
    }
    let descriptors = call.kernel().descriptors();
    if !descriptors.mode(fd.0)?.writes() {
        return Err(Status::B_FILE_ERROR);
    }
    let stat = call.kernel().paths().stat(At { dir: fd.0, path: None }, false)?;
    match stat.st_mode & KIND {
        0o010_000 | 0o140_000 => Err(Status::ESPIPE),
        0o100_000 => descriptors.preallocate(fd.0, offset, length),
        _ => Err(Status::B_DEVICE_NOT_FOUND),
    }
}

/// Haiku: `_user_get_next_fd_info`, which only root may call.
pub fn get_next_fd_info(
    call: &mut Call<'_>,
    team: TeamId,
    cookie: InOut<u32>,
    info: Out<FdInfo>,
    size: Size,
) -> SysResult {
    let processes = call.kernel().processes();
    if processes.user_ids()[1] != 0 {
        return Err(Status::B_NOT_ALLOWED);
    }
    if size.0 != FdInfo::size(call.mode()) as u64 {
        return Err(Status::B_BAD_VALUE);
    }
    let from = call.read_io(cookie)?;
    if team.0 != 0 && team != processes.team() {
        return Err(Status::B_BAD_TEAM_ID);
    }
    let from = i32::try_from(from).map_err(|_| Status::B_ENTRY_NOT_FOUND)?;
    let file = call.kernel().descriptors().next_info(from)?;
    call.write_io(cookie, &(file.fd.unsigned_abs() + 1))?;
    let mode = file.mode.bits() as i32;
    call.write(info, &FdInfo { number: file.fd, open_mode: mode, device: file.device, node: file.node })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_entries_are_aligned_and_end_with_a_zero() {
        let entry = DirEntry { device: 1, node: 2, parent_device: 3, parent_node: 4, name: b"hello".to_vec() };
        for mode in [CpuMode::Protected32, CpuMode::Long64] {
            let bytes = encode_entry(&entry, mode);
            assert_eq!((bytes.len(), &bytes[26..]), (32, b"hello\0".as_slice()));
            let head = DirEntHead::decode(&bytes, mode);
            assert_eq!((head.d_dev, head.d_ino, head.d_pdev, head.d_pino, head.d_reclen), (1, 2, 3, 4, 32));
            let dot = encode_entry(&DirEntry { name: b".".to_vec(), ..entry.clone() }, mode);
            assert_eq!((dot.len(), &dot[26..]), (32, b".\0\0\0\0\0".as_slice()));
        }
    }
}
