//! The map by which Linux's `perf` names translated code.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard};

/// `/tmp/perf-PID.map`, one line per region.
#[derive(Debug)]
pub(crate) struct PerfMap {
    file: Mutex<File>,
}

impl PerfMap {
    /// Creates the file.
    pub(crate) fn create() -> io::Result<PerfMap> {
        Ok(PerfMap { file: Mutex::new(Self::open()?) })
    }

    fn open() -> io::Result<File> {
        File::create(format!("/tmp/perf-{}.map", std::process::id()))
    }

    /// Keeps lines from being added until the guard is dropped.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Goes on with the file of this process, which is a child of the one before.
    pub(crate) fn renew(&self) {
        match Self::open() {
            Ok(file) => *self.lock() = file,
            Err(error) => tracing::warn!("cannot create the perf map: {error}"),
        }
    }

    /// Adds `len` bytes of code at host address `at`.
    pub(crate) fn add(&self, at: u64, len: u64, name: &impl Display) {
        let mut file = self.lock();
        if let Err(error) = writeln!(file, "{at:x} {len:x} guest {name}") {
            tracing::warn!("cannot write the perf map: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_perf_reads_them() {
        let map = PerfMap::create().unwrap();
        map.add(0x7f00_1000, 0x40, &"main");
        let path = format!("/tmp/perf-{}.map", std::process::id());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "7f001000 40 guest main\n");
    }
}
