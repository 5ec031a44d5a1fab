//! What the guest's file system is made of.

use std::path::PathBuf;

/// The guest's `/`.
#[derive(Clone, Debug)]
pub enum GuestRoot {
    /// A folder of the host.
    Folder(PathBuf),
    /// Files that stand in hokku itself; nothing can be written there.
    Embedded(&'static EmbeddedRoot),
}

/// A root whose files stand in hokku itself.
#[derive(Debug)]
pub struct EmbeddedRoot {
    /// Tells it from others.
    pub name: &'static str,
    /// Its files.
    pub files: &'static [EmbeddedFile],
}

/// A file of an embedded root.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedFile {
    /// Path from the root, without a slash at its start.
    pub path: &'static str,
    /// Contents.
    pub data: &'static [u8],
    /// Whether it can be run.
    pub executable: bool,
}

/// A host folder that the guest sees besides its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The folder.
    pub host: PathBuf,
    /// Where the guest sees it: an absolute guest path.
    pub guest: Vec<u8>,
}
