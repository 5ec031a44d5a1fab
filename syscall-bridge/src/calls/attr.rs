//! Attributes of nodes, and indices and queries, which the volume does not have.
//!
//! Haiku: `src/system/kernel/fs/vfs.cpp`.

use crate::abi::structs::{AttrInfo, FILE_NAME_LENGTH};
use crate::abi::{Status, SysResult};
use crate::args::*;
use crate::call::Call;
use crate::kernel::Attribute;

/// A name of an attribute or index.
fn entry_name(call: &Call<'_>, name: InStr) -> SysResult<Vec<u8>> {
    let name = call.string(name)?;
    if name.len() >= FILE_NAME_LENGTH { Err(Status::B_NAME_TOO_LONG) } else { Ok(name) }
}

/// An attribute's name; null is a bad value here.
fn attribute_name(call: &Call<'_>, name: InStr) -> SysResult<Vec<u8>> {
    if name.is_null() { Err(Status::B_BAD_VALUE) } else { entry_name(call, name) }
}

/// Where a transfer begins: -1 is the position of a file just opened.
fn start(pos: i64) -> SysResult<usize> {
    usize::try_from(if pos == -1 { 0 } else { pos }).map_err(|_| Status::B_BAD_VALUE)
}

/// Haiku: `_user_open_attr_dir`.
pub fn open_attr_dir(call: &mut Call<'_>, fd: Fd, path: InStr, _traverse_leaf_link: bool) -> SysResult<Fd> {
    call.optional_string(path)?;
    if path.is_null() {
        call.kernel().descriptors().mode(fd.0)?;
    }
    Err(Status::B_UNSUPPORTED)
}

/// Haiku: `_user_read_attr`.
pub fn read_attr(call: &mut Call<'_>, fd: Fd, name: InStr, pos: i64, buffer: OutBytes, size: Size) -> SysResult<Count> {
    let name = attribute_name(call, name)?;
    let found = call.kernel().attributes().attribute(fd.0, &name)?;
    let rest = found.data.get(start(pos)?..).unwrap_or_default();
    let count = usize::try_from(size.0).map_or(rest.len(), |room| room.min(rest.len()));
    call.put_bytes(buffer, &rest[..count])?;
    Ok(count.into())
}

/// `data` with `bytes` from `at` on; writing at the start replaces all that there was.
fn written(mut data: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    if at == 0 {
        return bytes.to_vec();
    }
    let end = at + bytes.len();
    if data.len() < end {
        data.resize(end, 0);
    }
    data[at..end].copy_from_slice(bytes);
    data
}

/// Haiku: `_user_write_attr`.
pub fn write_attr(
    call: &mut Call<'_>,
    fd: Fd,
    name: InStr,
    kind: u32,
    pos: i64,
    buffer: InBytes,
    size: Size,
) -> SysResult<Count> {
    /// Most bytes of an attribute, whatever the host takes.
    const MAX_ATTRIBUTE: usize = 1 << 20;
    let name = attribute_name(call, name)?;
    let at = start(pos)?;
    if at.saturating_add(usize::try_from(size.0).unwrap_or(usize::MAX)) > MAX_ATTRIBUTE {
        return Err(Status::B_DEVICE_FULL);
    }
    let bytes = call.bytes(buffer, size.0)?;
    let attributes = call.kernel().attributes();
    let old = match attributes.attribute(fd.0, &name) {
        Ok(found) => found.data,
        Err(Status::B_ENTRY_NOT_FOUND) => Vec::new(),
        Err(error) => return Err(error),
    };
    attributes.set_attribute(fd.0, &name, &Attribute { kind, data: written(old, at, &bytes) })?;
    Ok(bytes.len().into())
}

/// Haiku: `_user_stat_attr`.
pub fn stat_attr(call: &mut Call<'_>, fd: Fd, name: InStr, info: Out<AttrInfo>) -> SysResult {
    if info.is_null() {
        return Err(Status::B_BAD_VALUE);
    }
    let name = attribute_name(call, name)?;
    let found = call.kernel().attributes().attribute(fd.0, &name)?;
    call.write(info, &AttrInfo { kind: found.kind, size: found.data.len() as i64 })
}

/// Haiku: `_user_open_attr`.
pub fn open_attr(call: &mut Call<'_>, fd: Fd, path: InStr, name: InStr, _kind: u32, _mode: i32) -> SysResult<Fd> {
    entry_name(call, name)?;
    open_attr_dir(call, fd, path, false)
}

/// Haiku: `_user_remove_attr`.
pub fn remove_attr(call: &mut Call<'_>, fd: Fd, name: InStr) -> SysResult {
    let name = entry_name(call, name)?;
    call.kernel().attributes().remove_attribute(fd.0, &name)
}

/// Haiku: `_user_rename_attr`; what has the new name makes way.
pub fn rename_attr(call: &mut Call<'_>, from: Fd, from_name: InStr, to: Fd, to_name: InStr) -> SysResult {
    let (old, new) = (entry_name(call, from_name)?, entry_name(call, to_name)?);
    let attributes = call.kernel().attributes();
    let found = attributes.attribute(from.0, &old)?;
    attributes.set_attribute(to.0, &new, &found)?;
    if (from.0, &old) == (to.0, &new) { Ok(()) } else { attributes.remove_attribute(from.0, &old) }
}

/// Checks that there is such a volume.
fn volume(call: &Call<'_>, device: DeviceId) -> SysResult {
    call.kernel().paths().volume(device).map(|_| ())
}

/// Haiku: `_user_open_index_dir`.
pub fn open_index_dir(call: &mut Call<'_>, device: DeviceId) -> SysResult<Fd> {
    volume(call, device)?;
    Err(Status::B_UNSUPPORTED)
}

/// Haiku: `_user_create_index`.
pub fn create_index(call: &mut Call<'_>, device: DeviceId, name: InStr, _kind: u32, _flags: u32) -> SysResult {
    entry_name(call, name)?;
    volume(call, device)?;
    Err(Status::B_READ_ONLY_DEVICE)
}

/// Haiku: `_user_read_index_stat`.
pub fn read_index_stat(call: &mut Call<'_>, device: DeviceId, name: InStr, _stat: OutBytes) -> SysResult {
    entry_name(call, name)?;
    volume(call, device)?;
    Err(Status::B_UNSUPPORTED)
}

/// Haiku: `_user_remove_index`.
pub fn remove_index(call: &mut Call<'_>, device: DeviceId, name: InStr) -> SysResult {
    entry_name(call, name)?;
    volume(call, device)?;
    Err(Status::B_READ_ONLY_DEVICE)
}

/// Haiku: `_user_open_query`.
pub fn open_query(
    call: &mut Call<'_>,
    device: DeviceId,
    query: InStr,
    length: Size,
    _flags: u32,
    _port: PortId,
    _token: i32,
) -> SysResult<Fd> {
    /// Longest query.
    const MAX_QUERY: u64 = 65_536;
    if device.0 < 0 || query.is_null() || length.0 == 0 {
        return Err(Status::B_BAD_VALUE);
    }
    if length.0 >= MAX_QUERY {
        return Err(Status::B_NAME_TOO_LONG);
    }
    call.string(query)?;
    volume(call, device)?;
    Err(Status::B_UNSUPPORTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_at_the_start_replaces_and_elsewhere_extends() {
        assert_eq!(written(b"old value".to_vec(), 0, b"new"), b"new");
        assert_eq!(written(b"old value".to_vec(), 4, b"VAL"), b"old VALue");
        assert_eq!(written(b"ab".to_vec(), 4, b"x"), b"ab\0\0x");
        assert_eq!((start(-1), start(7), start(-2)), (Ok(0), Ok(7), Err(Status::B_BAD_VALUE)));
    }
}
