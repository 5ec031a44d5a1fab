//! Files by path and by node.

use std::os::fd::AsFd;

use hokku_ir::GuestAddr;

use crate::abi::fs::{OpenMode, stat_mask};
use crate::abi::layout::GuestType;
use crate::abi::structs::{FILE_NAME_LENGTH, FsInfo, PATH_LENGTH, Stat};
use crate::abi::{Status, SysResult, Word};
use crate::args::{AT_FDCWD, DeviceId, Fd, In, InBytes, InOut, InStr, Out, OutBytes, Size};
use crate::call::Call;
use crate::kernel::At;

/// A string that must be shorter than `limit`.
fn bounded(call: &Call<'_>, text: InStr, limit: usize) -> SysResult<Vec<u8>> {
    let text = call.string(text)?;
    if text.len() >= limit { Err(Status::B_NAME_TOO_LONG) } else { Ok(text) }
}

/// A path.
pub(super) fn path(call: &Call<'_>, path: InStr) -> SysResult<Vec<u8>> {
    bounded(call, path, PATH_LENGTH)
}

/// A path, if there is one.
pub(super) fn optional_path(call: &Call<'_>, text: InStr) -> SysResult<Option<Vec<u8>>> {
    if text.is_null() { Ok(None) } else { path(call, text).map(Some) }
}

/// The name of an entry.
pub(super) fn entry_name(call: &Call<'_>, name: InStr) -> SysResult<Vec<u8>> {
    bounded(call, name, FILE_NAME_LENGTH)
}

/// Where a call looks: -1 and `AT_FDCWD` are the working directory, which an absolute path does not need.
///
/// Haiku: `fd_and_path_to_vnode`, `src/system/kernel/fs/vfs.cpp`.
pub(super) fn at(fd: Fd, path: Option<&[u8]>) -> SysResult<At<'_>> {
    match path {
        None if fd.0 < 0 => Err(Status::B_BAD_VALUE),
        Some(b"") => Err(Status::B_ENTRY_NOT_FOUND),
        Some([b'/', ..]) => Ok(At { dir: -1, path }),
        _ if fd.0 == AT_FDCWD => Ok(At { dir: -1, path }),
        _ if fd.0 < -1 => Err(Status::B_FILE_ERROR),
        _ => Ok(At { dir: fd.0, path }),
    }
}

/// The path of the entry `name` of a directory that is named by its node.
fn path_of_entry(call: &Call<'_>, device: DeviceId, inode: i64, name: &[u8]) -> SysResult<Vec<u8>> {
    let mut path = call.kernel().paths().path_of_node(device, inode)?;
    if !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    Ok(path)
}

/// `open`'s mode; bits that nobody knows are kept for `F_GETFL`.
fn open_mode(mode: i32) -> OpenMode {
    OpenMode::from_bits_retain(mode as u32)
}

/// Haiku: `_user_open`.
pub fn open(call: &mut Call<'_>, fd: Fd, text: InStr, mode: i32, perms: i32) -> SysResult<Fd> {
    let path = path(call, text)?;
    call.kernel().paths().open(at(fd, Some(&path))?, open_mode(mode), perms as u32).map(Fd)
}

/// Haiku: `_user_open_entry_ref`.
pub fn open_entry_ref(
    call: &mut Call<'_>,
    device: DeviceId,
    inode: i64,
    name: InStr,
    mode: i32,
    perms: i32,
) -> SysResult<Fd> {
    if name.is_null() || device.0 < 0 || inode < 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let name = entry_name(call, name)?;
    if name.is_empty() {
        return Err(Status::B_BAD_VALUE);
    }
    let path = path_of_entry(call, device, inode, &name)?;
    call.kernel().paths().open(At { dir: -1, path: Some(&path) }, open_mode(mode), perms as u32).map(Fd)
}

/// Haiku: `_user_open_dir`.
pub fn open_dir(call: &mut Call<'_>, fd: Fd, text: InStr) -> SysResult<Fd> {
    let path = optional_path(call, text)?;
    call.kernel().paths().open_dir(at(fd, path.as_deref())?).map(Fd)
}

/// Haiku: `_user_open_dir_entry_ref`; without a name, the directory itself.
pub fn open_dir_entry_ref(call: &mut Call<'_>, device: DeviceId, inode: i64, name: InStr) -> SysResult<Fd> {
    let path = if name.is_null() {
        call.kernel().paths().path_of_node(device, inode)?
    } else {
        let name = entry_name(call, name)?;
        if name.is_empty() {
            return Err(Status::B_BAD_VALUE);
        }
        path_of_entry(call, device, inode, &name)?
    };
    call.kernel().paths().open_dir(At { dir: -1, path: Some(&path) }).map(Fd)
}

/// Haiku: `_user_open_parent_dir`.
pub fn open_parent_dir(call: &mut Call<'_>, fd: Fd, name: OutBytes, length: Size) -> SysResult<Fd> {
    let (parent, own_name) = call.kernel().paths().open_parent_dir(at(fd, Some(b".."))?.dir)?;
    if name.0.0 != 0 {
        if let Err(error) = call.put_string(name, &own_name, length.0) {
            call.kernel().descriptors().close(parent)?;
            return Err(error);
        }
    }
    Ok(Fd(parent))
}

/// Haiku: `_user_create_dir`.
pub fn create_dir(call: &mut Call<'_>, fd: Fd, text: InStr, perms: i32) -> SysResult {
    let path = path(call, text)?;
    call.kernel().paths().create_dir(at(fd, Some(&path))?, perms as u32)
}

/// Haiku: `_user_create_dir_entry_ref`.
pub fn create_dir_entry_ref(call: &mut Call<'_>, device: DeviceId, inode: i64, name: InStr, perms: i32) -> SysResult {
    let name = entry_name(call, name)?;
    let path = path_of_entry(call, device, inode, &name)?;
    call.kernel().paths().create_dir(At { dir: -1, path: Some(&path) }, perms as u32)
}

/// `path` without slashes and single dots at its end; what ends in two dots, or is but dots, cannot be removed.
///
/// Haiku: `dir_remove`.
fn removable(path: &[u8]) -> SysResult<&[u8]> {
    let mut path = path;
    while let Some(slash) = path.iter().rposition(|&b| b == b'/') {
        let (head, leaf) = (&path[..slash], &path[slash + 1..]);
        match leaf {
            b".." => return Err(Status::B_NOT_ALLOWED),
            b"" | b"." => {
                let trimmed = head.iter().rposition(|&b| b != b'/').map_or(0, |last| last + 1);
                path = &head[..trimmed];
            }
            _ => break,
        }
    }
    if matches!(path, b"." | b"..") { Err(Status::B_NOT_ALLOWED) } else { Ok(path) }
}

/// Haiku: `_user_remove_dir`.
pub fn remove_dir(call: &mut Call<'_>, fd: Fd, text: InStr) -> SysResult {
    let path = optional_path(call, text)?.ok_or(Status::B_BAD_VALUE)?;
    call.kernel().paths().remove_dir(at(fd, Some(removable(&path)?))?)
}

/// Haiku: `_user_read_link`; the length that is stored is the link's, also where only a part of it fits.
pub fn read_link(call: &mut Call<'_>, fd: Fd, text: InStr, buffer: OutBytes, size: InOut<Word>) -> SysResult {
    let room = call.read_io(size)?.0;
    let path = optional_path(call, text)?;
    let room = if path.is_some() { room.min(PATH_LENGTH as u64) } else { room };
    let target = match at(fd, path.as_deref()).and_then(|at| call.kernel().paths().read_link(at)) {
        Ok(target) => target,
        Err(error) => {
            call.write_io(size, &Word(room))?;
            return Err(error);
        }
    };
    call.write_io(size, &Word(target.len() as u64))?;
    let fitting = usize::try_from(room).map_or(target.len(), |room| room.min(target.len()));
    call.put_bytes(buffer, &target[..fitting])
}

/// Haiku: `_user_create_symlink`.
pub fn create_symlink(call: &mut Call<'_>, fd: Fd, text: InStr, target: InStr, _mode: i32) -> SysResult {
    let path = path(call, text)?;
    let target = self::path(call, target)?;
    call.kernel().paths().create_symlink(at(fd, Some(&path))?, &target)
}

/// Haiku: `_user_create_link`.
pub fn create_link(
    call: &mut Call<'_>,
    fd: Fd,
    text: InStr,
    target_fd: Fd,
    target: InStr,
    traverse_leaf_link: bool,
) -> SysResult {
    let path = path(call, text)?;
    let target = self::path(call, target)?;
    if target.split(|&b| b == b'/').any(|name| name.len() > FILE_NAME_LENGTH) {
        return Err(Status::B_NAME_TOO_LONG);
    }
    if target.is_empty() {
        return Err(Status::B_ENTRY_NOT_FOUND);
    }
    let entry = at(fd, Some(&path))?;
    call.kernel().paths().create_link(entry, at(target_fd, Some(&target))?, traverse_leaf_link)
}

/// Haiku: `_user_unlink`.
pub fn unlink(call: &mut Call<'_>, fd: Fd, text: InStr) -> SysResult {
    let path = path(call, text)?;
    call.kernel().paths().unlink(at(fd, Some(&path))?)
}

/// Haiku: `_user_rename`; a leaf of dots cannot be moved or moved to.
pub fn rename(call: &mut Call<'_>, old_fd: Fd, old: InStr, new_fd: Fd, new: InStr) -> SysResult {
    let old = path(call, old)?;
    let new = path(call, new)?;
    let (from, to) = (at(old_fd, Some(&old))?, at(new_fd, Some(&new))?);
    let is_dots = |path: &[u8]| matches!(path.rsplit(|&b| b == b'/').next(), Some(b"." | b".."));
    if is_dots(&old) || is_dots(&new) {
        return Err(Status::B_BAD_VALUE);
    }
    call.kernel().paths().rename(from, to)
}

/// Haiku: `_user_create_fifo`.
pub fn create_fifo(call: &mut Call<'_>, fd: Fd, text: InStr, perms: u32) -> SysResult {
    let path = path(call, text)?;
    call.kernel().paths().create_fifo(at(fd, Some(&path))?, perms)
}

/// Haiku: `_user_access`.
pub fn access(call: &mut Call<'_>, fd: Fd, text: InStr, mode: i32, effective: bool) -> SysResult {
    let path = path(call, text)?;
    call.kernel().paths().access(at(fd, Some(&path))?, mode as u32, effective)
}

/// Haiku: `_user_read_stat`; programs may know a shorter `stat`, not a longer one.
pub fn read_stat(call: &mut Call<'_>, fd: Fd, text: InStr, traverse_link: bool, to: OutBytes, size: Size) -> SysResult {
    let mut bytes = vec![0; Stat::size(call.mode())];
    let known = usize::try_from(size.0).ok().filter(|&n| n <= bytes.len()).ok_or(Status::B_BAD_VALUE)?;
    let path = optional_path(call, text)?;
    let at = match path.as_deref() {
        None if fd.0 < 0 => return Err(Status::B_FILE_ERROR),
        path => at(fd, path)?,
    };
    call.kernel().paths().stat(at, traverse_link)?.encode(&mut bytes, call.mode());
    call.put_bytes(to, &bytes[..known])
}

/// Haiku: `_user_write_stat`; fields beyond what the program knows are zero.
pub fn write_stat(
    call: &mut Call<'_>,
    fd: Fd,
    text: InStr,
    traverse_link: bool,
    stat: InBytes,
    size: Size,
    mask: i32,
) -> SysResult {
    let whole = Stat::size(call.mode());
    if size.0 > whole as u64 {
        return Err(Status::B_BAD_VALUE);
    }
    let mut bytes = call.bytes(stat, size.0)?;
    bytes.resize(whole, 0);
    let stat = Stat::decode(&bytes, call.mode());
    let path = optional_path(call, text)?;
    let at = match path.as_deref() {
        None if fd.0 < 0 => return Err(Status::B_FILE_ERROR),
        path => at(fd, path)?,
    };
    call.kernel().paths().write_stat(at, traverse_link, &stat, mask as u32)?;
    if mask as u32 & stat_mask::SIZE != 0 && path.is_none() {
        // Code that is mapped from the file may be cut off.
        if let Ok((file, _)) = call.kernel().descriptors().for_mapping(fd.0) {
            call.memory().file_changed(file.as_fd(), 0, u64::MAX)?;
        }
    }
    Ok(())
}

/// Haiku: `_user_getcwd`.
pub fn getcwd(call: &mut Call<'_>, buffer: OutBytes, size: Size) -> SysResult {
    if size.0 == 0 {
        return Err(Status::B_BAD_VALUE);
    }
    let path = call.kernel().paths().working_dir()?;
    match call.put_string(buffer, &path, size.0) {
        Err(Status::B_BUFFER_OVERFLOW) => Err(Status::B_RESULT_NOT_REPRESENTABLE),
        done => done,
    }
}

/// Haiku: `_user_setcwd`.
pub fn setcwd(call: &mut Call<'_>, fd: Fd, text: InStr) -> SysResult {
    let path = optional_path(call, text)?;
    call.kernel().paths().set_working_dir(at(fd, path.as_deref())?)
}

/// Haiku: `_user_change_root`, which only root may call; hokku's guests are never root of the host's files.
pub fn change_root(_: &mut Call<'_>, _path: InStr) -> SysResult {
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_entry_ref_to_path`.
pub fn entry_ref_to_path(
    call: &mut Call<'_>,
    device: DeviceId,
    inode: i64,
    leaf: InStr,
    to: OutBytes,
    length: Size,
) -> SysResult {
    let leaf = if leaf.is_null() { None } else { Some(entry_name(call, leaf)?) };
    let paths = call.kernel().paths();
    let path = match leaf.as_deref() {
        None => paths.path_of_node(device, inode)?,
        Some(b"") => return Err(Status::B_BAD_VALUE),
        Some(name) if name.contains(&b'/') => return Err(Status::B_BAD_VALUE),
        Some(name @ (b"." | b"..")) => paths.normalize(&path_of_entry(call, device, inode, name)?, false)?,
        Some(name) => path_of_entry(call, device, inode, name)?,
    };
    if path.len() >= PATH_LENGTH {
        return Err(Status::B_NAME_TOO_LONG);
    }
    call.put_string(to, &path, length.0)
}

/// Haiku: `_user_normalize_path`; the buffer holds a path of any length.
pub fn normalize_path(call: &mut Call<'_>, text: InStr, traverse_link: bool, buffer: OutBytes) -> SysResult {
    if text.is_null() || buffer.0 == GuestAddr(0) {
        return Err(Status::B_BAD_VALUE);
    }
    let path = path(call, text)?;
    let normal = call.kernel().paths().normalize(&path, traverse_link)?;
    call.put_string(buffer, &normal, PATH_LENGTH as u64)
}

/// Haiku: `_user_mount`, which only root may do to more than its own.
pub fn mount(
    call: &mut Call<'_>,
    text: InStr,
    _device: InStr,
    _fs_name: InStr,
    _flags: u32,
    _args: InStr,
    _args_length: Size,
) -> SysResult<DeviceId> {
    path(call, text)?;
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_unmount`.
pub fn unmount(call: &mut Call<'_>, text: InStr, _flags: u32) -> SysResult {
    let path = path(call, text)?;
    call.kernel().paths().stat(at(Fd(-1), Some(&path))?, true)?;
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_read_fs_info`.
pub fn read_fs_info(call: &mut Call<'_>, device: DeviceId, info: Out<FsInfo>) -> SysResult {
    if info.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    let volume = call.kernel().paths().volume(device)?;
    call.write(info, &volume)
}

/// Haiku: `_user_write_fs_info`, for a volume that has nothing to change.
pub fn write_fs_info(call: &mut Call<'_>, device: DeviceId, info: In<FsInfo>, _mask: i32) -> SysResult {
    if info.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    call.read(info)?;
    call.kernel().paths().volume(device)?;
    Err(Status::B_READ_ONLY_DEVICE)
}

/// Haiku: `_user_next_device`.
pub fn next_device(call: &mut Call<'_>, cookie: InOut<i32>) -> SysResult<DeviceId> {
    let mut place = call.read_io(cookie)?;
    let device = call.kernel().paths().next_volume(&mut place)?;
    call.write_io(cookie, &place)?;
    Ok(device)
}

/// Haiku: `_user_sync`.
pub fn sync(call: &mut Call<'_>) -> SysResult {
    call.kernel().paths().sync();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_to_remove_lose_slashes_and_dots() {
        assert_eq!(removable(b"a/b"), Ok(b"a/b".as_slice()));
        assert_eq!(removable(b"a/b//"), Ok(b"a/b".as_slice()));
        assert_eq!(removable(b"a//./"), Ok(b"a".as_slice()));
        assert_eq!(removable(b"/"), Ok(b"".as_slice()));
        for dots in [b".".as_slice(), b"..", b"a/..", b"./", b"../."] {
            assert_eq!(removable(dots), Err(Status::B_NOT_ALLOWED), "{}", String::from_utf8_lossy(dots));
        }
    }

    #[test]
    fn the_working_directory_has_two_numbers_and_absolute_paths_need_none() {
        let dir = |fd, path: &'static [u8]| at(Fd(fd), Some(path)).map(|at| at.dir);
        assert_eq!((dir(-1, b"x"), dir(AT_FDCWD, b"x"), dir(3, b"x")), (Ok(-1), Ok(-1), Ok(3)));
        assert_eq!((dir(3, b"/x"), dir(-7, b"/x")), (Ok(-1), Ok(-1)));
        assert_eq!((dir(-7, b"x"), dir(3, b"")), (Err(Status::B_FILE_ERROR), Err(Status::B_ENTRY_NOT_FOUND)));
        assert_eq!(at(Fd(-1), None).err(), Some(Status::B_BAD_VALUE));
        assert_eq!(at(Fd(3), None).map(|at| at.dir), Ok(3));
    }
}
