//! Attributes, kept as extended attributes of the host's files: the type in four bytes, then the contents.

use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use super::files::LinuxFiles;
use crate::abi::{Status, SysResult};
use crate::kernel::{Attribute, Attributes};

/// What the host's names of attributes begin with.
const PREFIX: &[u8] = b"user.haiku.";
/// Longest value that the host keeps.
const MAX_VALUE: usize = 65_536;
/// Bytes of the type before the contents.
const TYPE_BYTES: usize = 4;

fn host_name(name: &[u8]) -> Vec<u8> {
    [PREFIX, name].concat()
}

/// What the host says where it keeps no such attribute, or none at all.
fn none(error: Errno) -> Status {
    match error {
        Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM => Status::B_ENTRY_NOT_FOUND,
        Errno::RANGE => Status::B_NAME_TOO_LONG,
        other => other.into(),
    }
}

impl Attributes for LinuxFiles {
    fn attribute(&self, fd: i32, name: &[u8]) -> SysResult<Attribute> {
        let file = self.file(fd)?;
        let mut value = vec![0; MAX_VALUE];
        let size = fgetxattr(&*file.host, host_name(name), value.as_mut_slice()).map_err(none)?;
        value.truncate(size);
        match value.split_first_chunk::<TYPE_BYTES>() {
            Some((kind, data)) => Ok(Attribute { kind: u32::from_le_bytes(*kind), data: data.to_vec() }),
            // Somebody else's.
            None => Err(Status::B_ENTRY_NOT_FOUND),
        }
    }

    fn set_attribute(&self, fd: i32, name: &[u8], attribute: &Attribute) -> SysResult {
        let file = self.file(fd)?;
        let value = [attribute.kind.to_le_bytes().as_slice(), &attribute.data].concat();
        fsetxattr(&*file.host, host_name(name), &value, XattrFlags::empty()).map_err(|error| match error {
            Errno::OPNOTSUPP | Errno::PERM => Status::B_UNSUPPORTED,
            Errno::RANGE => Status::B_NAME_TOO_LONG,
            Errno::TOOBIG => Status::B_DEVICE_FULL,
            other => other.into(),
        })
    }

    fn remove_attribute(&self, fd: i32, name: &[u8]) -> SysResult {
        fremovexattr(&*self.file(fd)?.host, host_name(name)).map_err(none)
    }
}
