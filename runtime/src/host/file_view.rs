//! A file's bytes, mapped to be read.

use std::fs::File;
use std::ops::Deref;

use memmap2::Mmap;

/// The bytes that a file had when it was mapped.
///
/// What must hold: the file is never written or cut again. The files of the translation cache on disk are written under another name and
/// then renamed; they are only ever removed as a whole, which leaves the mapping as it is.
#[derive(Debug)]
pub(crate) struct FileView(Mmap);

impl FileView {
    /// Maps all of `file`.
    pub(crate) fn new(file: &File) -> std::io::Result<FileView> {
        // SAFETY: the file does not change, see above; what is read is checked before it is used.
        unsafe { Mmap::map(file) }.map(FileView)
    }
}

impl Deref for FileView {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
