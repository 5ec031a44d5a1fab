//! Which guest file code comes from.

use std::os::fd::BorrowedFd;

use xxhash_rust::xxh3::Xxh3;

/// Names an ELF file by its contents. Only translations of the same image are looked through; each is compared with the guest's code besides,
/// so that two files of one name cost time and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ImageId(pub(crate) u64);

/// Bytes that are read from the start and the end, where headers, notes and section tables are.
const EDGE: usize = 4096;
/// Bytes of each of the samples between them.
const SAMPLE: usize = 256;
const SAMPLES: u64 = 8;

impl ImageId {
    /// The image in `bytes`; `None`: it is no ELF file.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<ImageId> {
        Self::sample(bytes.len() as u64, |at, to| {
            let from = bytes.get(at as usize..)?;
            let len = from.len().min(to.len());
            to[..len].copy_from_slice(&from[..len]);
            Some(len)
        })
    }

    /// The image in `file`; `None`: it is no ELF file, or cannot be read.
    pub(crate) fn of_file(file: BorrowedFd<'_>) -> Option<ImageId> {
        let size = u64::try_from(rustix::fs::fstat(file).ok()?.st_size).ok()?;
        Self::sample(size, |at, to| rustix::io::pread(file, to, at).ok())
    }

    fn sample(size: u64, read: impl Fn(u64, &mut [u8]) -> Option<usize>) -> Option<ImageId> {
        let mut buffer = [0; EDGE];
        let start = read(0, &mut buffer)?;
        let start = buffer[..start].strip_prefix(b"\x7fELF")?;
        let mut hash = Xxh3::new();
        hash.update(&size.to_le_bytes());
        hash.update(start);
        let samples = (1..SAMPLES).map(|n| (size / SAMPLES * n, SAMPLE));
        for (at, len) in samples.chain([(size.saturating_sub(EDGE as u64), EDGE)]) {
            let len = read(at, &mut buffer[..len])?;
            hash.update(&buffer[..len]);
        }
        Some(ImageId(hash.digest()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_and_its_bytes_have_one_name() {
        for size in [4_usize, 300, 4096, 5000, 100_000] {
            let mut bytes: Vec<u8> = (0..size).map(|i| ((i * i) >> 3) as u8).collect();
            bytes[..4].copy_from_slice(b"\x7fELF");
            let path = std::env::temp_dir().join(format!("hokku-image-{}-{size}", std::process::id()));
            std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
            let file = std::fs::File::open(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            let id = ImageId::of_bytes(&bytes);
            assert!(id.is_some() && ImageId::of_file(file.as_fd()) == id, "{size} bytes");
            bytes.push(0);
            assert_ne!(ImageId::of_bytes(&bytes), id);
        }
    }

    #[test]
    fn only_programs_have_names() {
        assert_eq!(ImageId::of_bytes(b"#!/bin/sh\n"), None);
        assert_eq!(ImageId::of_bytes(b""), None);
    }
}
