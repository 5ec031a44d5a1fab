//! Damaged files: a clear error or the fault that Haiku would give, never a panic, a hang or a crash of hokku.

use std::fs;
use std::path::PathBuf;

use crate::hokku::{hokku, root};

/// A small generator (xorshift64*), so that each run damages the same bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// A guest root of its own for one test, removed at its end.
struct Root {
    dir: PathBuf,
}

impl Root {
    fn copy_of(arch: &str, test: &str) -> Root {
        let dir = std::env::temp_dir().join(format!("hokku-test-{}-{test}-{arch}", std::process::id()));
        let root = Root { dir };
        for file in ["runtime_loader", "lib/libroot.so", "bin/hello"] {
            let to = root.file(file);
            fs::create_dir_all(to.parent().expect("files lie in folders")).expect("folders can be made");
            fs::copy(self::root(arch).join("boot/system").join(file), to).expect("files can be copied");
        }
        root
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join("boot/system").join(name)
    }

    fn path(&self) -> &str {
        self.dir.to_str().expect("temporary folders have plain names")
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A leftover in the temporary folder harms nothing.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Where damage hurts most: the headers and the dynamic section, then anywhere.
fn damage(bytes: &mut Vec<u8>, random: &mut Random, round: usize) -> String {
    match round % 4 {
        0 => {
            let len = random.below(bytes.len());
            bytes.truncate(len);
            format!("cut to {len} bytes")
        }
        1 => {
            let (at, value) = (random.below(0x40.min(bytes.len())), random.next() as u8);
            bytes[at] = value;
            format!("byte {at:#x} = {value:#x}")
        }
        2 => {
            let (at, value) = (random.below(0x200.min(bytes.len() - 4)), random.next() as u32);
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            format!("word {at:#x} = {value:#x}")
        }
        _ => {
            let spots: Vec<usize> = (0..16).map(|_| random.below(bytes.len())).collect();
            for &at in &spots {
                bytes[at] = random.next() as u8;
            }
            format!("random bytes at {spots:x?}")
        }
    }
}

fn run_damaged(arch: &str, file: &str, rounds: usize, seed: u64) {
    let root = Root::copy_of(arch, &file.replace('/', "-"));
    let good = fs::read(root.file(file)).expect("the copy can be read");
    let mut random = Random(seed);
    for round in 0..rounds {
        let mut bytes = good.clone();
        let how = damage(&mut bytes, &mut random, round);
        fs::write(root.file(file), &bytes).expect("the copy can be changed");
        let what = format!("{arch} {file}, round {round}: {how}");
        let ended = hokku(&["run", "--root", root.path(), "/boot/system/bin/hello"]);
        ended.sound(&what);
        if ended.code != 0 {
            assert!(!ended.err.trim().is_empty(), "{what}: failed with {:?} without a word", ended.code);
        }
        hokku(&["check", root.file(file).to_str().expect("plain name")]).sound(&what);
    }
}

#[test]
fn damaged_runtime_loader() {
    run_damaged("x86_64", "runtime_loader", 60, 0x1234_5678_9abc);
    run_damaged("x86", "runtime_loader", 60, 0x1234_5678_9abd);
}

#[test]
fn damaged_libroot() {
    run_damaged("x86_64", "lib/libroot.so", 60, 0x2234_5678_9abc);
    run_damaged("x86", "lib/libroot.so", 60, 0x2234_5678_9abd);
}

#[test]
fn damaged_program() {
    run_damaged("x86_64", "bin/hello", 60, 0x3234_5678_9abc);
    run_damaged("x86", "bin/hello", 60, 0x3234_5678_9abd);
}

#[test]
fn files_that_are_no_programs() {
    for (name, contents) in [("empty", &b""[..]), ("text", b"#! not a program\n"), ("magic", b"\x7fELF")] {
        let root = Root::copy_of("x86_64", name);
        fs::write(root.file("bin/hello"), contents).expect("the copy can be changed");
        let ended = hokku(&["run", "--root", root.path(), "/boot/system/bin/hello"]);
        ended.sound(name);
        assert_ne!(ended.code, 0, "{name}");
        assert!(!ended.err.trim().is_empty(), "{name}: no word on stderr");
    }
    let missing = hokku(&["run", "/boot/system/bin/no-such-program"]);
    missing.sound("missing program");
    assert!(missing.code != 0 && missing.err.contains("no-such-program"), "{missing:?}");
    let nowhere = hokku(&["run", "--root", "/no/such/folder", "hello"]);
    nowhere.sound("missing root");
    assert!(nowhere.code == 125 && nowhere.err.contains("/no/such/folder"), "{nowhere:?}");
}
