//! Files by path.
//!
//! Haiku: `src/system/kernel/fs/vfs.cpp`.

use crate::abi::fs::OpenMode;
use crate::abi::layout::{GuestType, Word};
use crate::abi::structs::{FsInfo, PATH_LENGTH, Stat};
use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::kernel::At;

/// A directory and a path as given, as what the kernel takes.
fn at(dir: Fd, path: &Option<Vec<u8>>) -> At<'_> {
    At { dir: dir.0, path: path.as_deref() }
}

/// The path of entry `name` in the directory that a node names.
fn entry_path(call: &Call<'_>, device: DeviceId, inode: i64, name: Option<&[u8]>) -> SysResult<Vec<u8>> {
    let dir = call.kernel().paths().path_of_node(device, inode)?;
    match name {
        None | Some(b".") => Ok(dir),
        Some(name) if name.is_empty() || name.contains(&b'/') => Err(Status::B_BAD_VALUE),
        Some(name) => Ok([dir.as_slice(), if dir.ends_with(b"/") { b"" } else { b"/" }, name].concat()),
    }
}

fn absolute(path: &[u8]) -> At<'_> {
    At { dir: -1, path: Some(path) }
}

/// Haiku: `_user_entry_ref_to_path`.
pub fn entry_ref_to_path(
    call: &mut Call<'_>,
    device: DeviceId,
    inode: i64,
    leaf: InStr,
    user_path: OutBytes,
    path_length: Size,
) -> SysResult {
    let leaf = call.optional_string(leaf)?;
    let path = entry_path(call, device, inode, leaf.as_deref())?;
    call.put_string(user_path, &path, path_length.0)
}

/// Haiku: `_user_normalize_path`.
pub fn normalize_path(call: &mut Call<'_>, user_path: InStr, traverse_link: bool, buffer: OutBytes) -> SysResult {
    let path = call.string(user_path)?;
    let normal = call.kernel().paths().normalize(&path, traverse_link)?;
    call.put_string(buffer, &normal, PATH_LENGTH as u64)
}

/// Haiku: `_user_open_entry_ref`.
pub fn open_entry_ref(
    call: &mut Call<'_>,
    device: DeviceId,
    inode: i64,
    name: InStr,
    open_mode: i32,
    perms: i32,
) -> SysResult<Fd> {
    let name = call.string(name)?;
    let path = entry_path(call, device, inode, Some(&name))?;
    let mode = OpenMode::from_bits_retain(open_mode as u32);
    call.kernel().paths().open(absolute(&path), mode, perms as u32).map(Fd)
}

/// Haiku: `_user_open`.
pub fn open(call: &mut Call<'_>, fd: Fd, path: InStr, open_mode: i32, perms: i32) -> SysResult<Fd> {
    let path = call.string(path)?;
    let mode = OpenMode::from_bits_retain(open_mode as u32);
    if mode & OpenMode::ACCESS == OpenMode::ACCESS {
        return Err(Status::B_BAD_VALUE);
    }
    call.kernel().paths().open(At { dir: fd.0, path: Some(&path) }, mode, perms as u32).map(Fd)
}

/// Haiku: `_user_open_dir_entry_ref`.
pub fn open_dir_entry_ref(call: &mut Call<'_>, device: DeviceId, inode: i64, name: InStr) -> SysResult<Fd> {
    let name = call.optional_string(name)?;
    let path = entry_path(call, device, inode, name.as_deref())?;
    call.kernel().paths().open_dir(absolute(&path)).map(Fd)
}

/// Haiku: `_user_open_dir`.
pub fn open_dir(call: &mut Call<'_>, fd: Fd, path: InStr) -> SysResult<Fd> {
    let path = call.optional_string(path)?;
    call.kernel().paths().open_dir(at(fd, &path)).map(Fd)
}

/// Haiku: `_user_open_parent_dir`.
pub fn open_parent_dir(call: &mut Call<'_>, fd: Fd, name: OutBytes, name_length: Size) -> SysResult<Fd> {
    let (parent, own) = call.kernel().paths().open_parent_dir(fd.0)?;
    if name.0.0 != 0 {
        if let Err(error) = call.put_string(name, &own, name_length.0) {
            call.kernel().descriptors().close(parent)?;
            return Err(error);
        }
    }
    Ok(Fd(parent))
}

/// Haiku: `_user_create_dir_entry_ref`.
pub fn create_dir_entry_ref(call: &mut Call<'_>, device: DeviceId, inode: i64, name: InStr, perms: i32) -> SysResult {
    let name = call.string(name)?;
    let path = entry_path(call, device, inode, Some(&name))?;
    call.kernel().paths().create_dir(absolute(&path), perms as u32)
}

/// Haiku: `_user_create_dir`.
pub fn create_dir(call: &mut Call<'_>, fd: Fd, path: InStr, perms: i32) -> SysResult {
    let path = call.string(path)?;
    call.kernel().paths().create_dir(At { dir: fd.0, path: Some(&path) }, perms as u32)
}

/// Haiku: `_user_remove_dir`.
pub fn remove_dir(call: &mut Call<'_>, fd: Fd, path: InStr) -> SysResult {
    let path = call.string(path)?;
    call.kernel().paths().remove_dir(At { dir: fd.0, path: Some(&path) })
}

/// Haiku: `_user_read_link`. The size becomes that of the whole link, without an ending zero.
pub fn read_link(call: &mut Call<'_>, fd: Fd, path: InStr, buffer: OutBytes, buffer_size: InOut<Word>) -> SysResult {
    let path = call.optional_string(path)?;
    let room = call.read_io(buffer_size)?;
    let link = call.kernel().paths().read_link(at(fd, &path))?;
    let taken = link.len().min(usize::try_from(room.0).unwrap_or(usize::MAX));
    call.put_bytes(buffer, &link[..taken])?;
    call.write_io(buffer_size, &Word(link.len() as u64))
}

/// Haiku: `_user_create_symlink`.
pub fn create_symlink(call: &mut Call<'_>, fd: Fd, path: InStr, to_path: InStr, _mode: i32) -> SysResult {
    let (path, target) = (call.string(path)?, call.string(to_path)?);
    call.kernel().paths().create_symlink(At { dir: fd.0, path: Some(&path) }, &target)
}

/// Haiku: `_user_create_link`.
pub fn create_link(
    call: &mut Call<'_>,
    path_fd: Fd,
    path: InStr,
    to_fd: Fd,
    to_path: InStr,
    traverse_leaf_link: bool,
) -> SysResult {
    let (path, target) = (call.string(path)?, call.string(to_path)?);
    let entry = At { dir: path_fd.0, path: Some(&path) };
    call.kernel().paths().create_link(entry, At { dir: to_fd.0, path: Some(&target) }, traverse_leaf_link)
}

/// Haiku: `_user_unlink`.
pub fn unlink(call: &mut Call<'_>, fd: Fd, path: InStr) -> SysResult {
    let path = call.string(path)?;
    call.kernel().paths().unlink(At { dir: fd.0, path: Some(&path) })
}

/// Haiku: `_user_rename`.
pub fn rename(call: &mut Call<'_>, old_dir: Fd, oldpath: InStr, new_dir: Fd, newpath: InStr) -> SysResult {
    let (old, new) = (call.string(oldpath)?, call.string(newpath)?);
    call.kernel().paths().rename(At { dir: old_dir.0, path: Some(&old) }, At { dir: new_dir.0, path: Some(&new) })
}

/// Haiku: `_user_create_fifo`.
pub fn create_fifo(call: &mut Call<'_>, fd: Fd, path: InStr, perms: u32) -> SysResult {
    let path = call.string(path)?;
    call.kernel().paths().create_fifo(At { dir: fd.0, path: Some(&path) }, perms)
}

/// Haiku: `_user_access`.
pub fn access(call: &mut Call<'_>, fd: Fd, path: InStr, mode: i32, effective_user_group: bool) -> SysResult {
    let path = call.string(path)?;
    let mode = u32::try_from(mode).ok().filter(|m| *m <= 7).ok_or(Status::B_BAD_VALUE)?;
    call.kernel().paths().access(At { dir: fd.0, path: Some(&path) }, mode, effective_user_group)
}

/// Haiku: `_user_getcwd`.
pub fn getcwd(call: &mut Call<'_>, buffer: OutBytes, size: Size) -> SysResult {
    let path = call.kernel().paths().working_dir()?;
    call.put_string(buffer, &path, size.0).map_err(|e| match e {
        Status::B_BUFFER_OVERFLOW => Status::B_RESULT_NOT_REPRESENTABLE,
        other => other,
    })
}

/// Haiku: `_user_setcwd`.
pub fn setcwd(call: &mut Call<'_>, fd: Fd, path: InStr) -> SysResult {
    let path = call.optional_string(path)?;
    call.kernel().paths().set_working_dir(at(fd, &path))
}

/// Haiku: `_user_read_stat`. A program may know a shorter structure.
pub fn read_stat(
    call: &mut Call<'_>,
    fd: Fd,
    path: InStr,
    traverse_link: bool,
    stat: OutBytes,
    stat_size: Size,
) -> SysResult {
    let mode = call.mode();
    let size = Stat::size(mode);
    let known = usize::try_from(stat_size.0).ok().filter(|&n| n <= size).ok_or(Status::B_BAD_VALUE)?;
    let path = call.optional_string(path)?;
    let value = call.kernel().paths().stat(at(fd, &path), traverse_link)?;
    let mut bytes = vec![0; size];
    value.encode(&mut bytes, mode);
    call.put_bytes(stat, &bytes[..known])
}

/// Haiku: `_user_write_stat`.
pub fn write_stat(
    call: &mut Call<'_>,
    fd: Fd,
    path: InStr,
    traverse_link: bool,
    stat: InBytes,
    stat_size: Size,
    stat_mask: i32,
) -> SysResult {
    let mode = call.mode();
    let size = Stat::size(mode);
    if stat_size.0 > size as u64 {
        return Err(Status::B_BAD_VALUE);
    }
    let mut bytes = call.bytes(stat, stat_size.0)?;
    bytes.resize(size, 0);
    let path = call.optional_string(path)?;
    call.kernel().paths().write_stat(at(fd, &path), traverse_link, &Stat::decode(&bytes, mode), stat_mask as u32)
}

/// Haiku: `_user_read_fs_info`.
pub fn read_fs_info(call: &mut Call<'_>, device: DeviceId, info: Out<FsInfo>) -> SysResult {
    let value = call.kernel().paths().volume(device)?;
    call.write(info, &value)
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

/// Haiku: `_user_change_root`: only for the super-user, who nobody is here.
pub fn change_root(call: &mut Call<'_>, path: InStr) -> SysResult {
    call.string(path)?;
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_mount`: not for ordinary users.
pub fn mount(
    call: &mut Call<'_>,
    path: InStr,
    _device: InStr,
    _fs_name: InStr,
    _flags: u32,
    _args: InStr,
    _args_length: Size,
) -> SysResult<DeviceId> {
    call.string(path)?;
    Err(Status::B_NOT_ALLOWED)
}

/// Haiku: `_user_unmount`: not for ordinary users.
pub fn unmount(call: &mut Call<'_>, path: InStr, _flags: u32) -> SysResult {
    call.string(path)?;
    Err(Status::B_NOT_ALLOWED)
}
