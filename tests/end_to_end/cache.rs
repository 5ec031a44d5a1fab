//! The translation cache on disk: as fast as it makes starting, it must never be seen otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::hokku::{Ended, hokku_with};

/// A cache of its own for each test, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn hokku(&self, args: &[&str]) -> Ended {
        let ended = hokku_with(args, |command| {
            command.env("XDG_CACHE_HOME", &self.0);
        });
        ended.sound(&format!("{args:?}"));
        ended
    }

    /// Runs `program` and gives what it wrote, how many regions were translated, and how many were found.
    fn run(&self, arch: &str, program: &[&str]) -> (String, u64, u64) {
        let ended = self.hokku(&[&["run", "--stats", "--arch", arch], program].concat());
        assert_eq!(ended.code, 0, "{}", ended.err);
        let count = |what| {
            let line =
                ended.err.lines().find(|line| line.trim_end().ends_with(what)).expect("a line of the statistics");
            line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
        };
        (ended.out.clone(), count(" regions translated"), count(" regions from disk"))
    }

    fn files(&self) -> Vec<PathBuf> {
        let images = fs::read_dir(self.0.join("hokku")).into_iter().flatten().map(|e| e.expect("readable").path());
        images.flat_map(|image| fs::read_dir(image).expect("readable").map(|e| e.expect("readable").path())).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_second_run_translates_nothing() {
    let folder = Folder::new("second");
    for arch in ["x86_64", "x86"] {
        let (out, translated, found) = folder.run(arch, &["mandelbrot"]);
        assert!(translated > 50 && found == 0, "{translated} translated, {found} found");
        let (again, translated_again, found) = folder.run(arch, &["mandelbrot"]);
        assert_eq!(out, again);
        assert!(found > 50 && translated_again < translated / 10, "{translated_again} translated, {found} found");
    }
}

#[test]
fn without_a_cache_nothing_is_kept() {
    let folder = Folder::new("without");
    folder.run("x86_64", &["--no-cache", "hello"]);
    assert_eq!(folder.files(), [] as [PathBuf; 0]);
}

#[test]
fn a_folder_can_be_given() {
    let (folder, other) = (Folder::new("given"), Folder::new("other"));
    let place = other.0.to_str().expect("a plain path");
    folder.run("x86_64", &["--cache-dir", place, "hello"]);
    assert_eq!(folder.files(), [] as [PathBuf; 0]);
    let (_, translated, found) = folder.run("x86_64", &["--cache-dir", place, "hello"]);
    assert!(translated < 5 && found > 50);
    let shown = folder.hokku(&["cache", "--cache-dir", place]);
    assert!(shown.out.contains(place) && shown.out.contains("images"), "{}", shown.out);
    let pruned = folder.hokku(&["cache", "prune", "--all", "--cache-dir", place]);
    assert!(pruned.out.starts_with("removed"), "{}", pruned.out);
    assert_eq!(fs::read_dir(&other.0).expect("readable").count(), 0);
}

#[test]
fn damaged_files_are_replaced() {
    let folder = Folder::new("damaged");
    let (out, translated, _) = folder.run("x86", &["hello"]);
    for damage in 0..4 {
        for file in folder.files() {
            let mut bytes = fs::read(&file).expect("readable");
            let len = bytes.len();
            match damage {
                0 => bytes.truncate(len / 2),
                1 => bytes.clear(),
                2 => bytes.iter_mut().step_by(97).for_each(|b| *b ^= 1),
                _ => bytes[len / 3..len / 2].fill(0),
            }
            fs::write(&file, bytes).expect("writable");
        }
        assert_eq!(folder.run("x86", &["hello"]).0, out);
        let (again, translated_again, _) = folder.run("x86", &["hello"]);
        assert_eq!(again, out);
        assert!(translated_again < translated / 10, "damage {damage}: {translated_again} translated again");
    }
}

#[test]
fn a_place_that_cannot_be_written_costs_nothing_else() {
    let folder = Folder::new("unwritable");
    fs::create_dir_all(&folder.0).expect("writable");
    fs::write(folder.0.join("hokku"), "a file").expect("writable");
    for _ in 0..2 {
        let (out, translated, found) = folder.run("x86_64", &["hello"]);
        assert!(out.contains("Hello") && translated > 50 && found == 0);
    }
    let nowhere = hokku_with(&["run", "hello"], |command| {
        command.env_remove("XDG_CACHE_HOME").env_remove("HOME");
    });
    assert_eq!(nowhere.sound("without a home").code, 0);
}

#[test]
fn many_processes_use_it_at_once() {
    let folder = Folder::new("many");
    let programs = [["x86_64", "hello"], ["x86", "hello"], ["x86_64", "mandelbrot"], ["x86", "mandelbrot"]];
    for _ in 0..2 {
        thread::scope(|scope| {
            for [arch, program] in programs.iter().cycle().take(12) {
                scope.spawn(|| folder.run(arch, &[program]));
            }
        });
    }
    for [arch, program] in programs {
        let (_, translated, found) = folder.run(arch, &[program]);
        assert!(found > 50 && translated < found / 10, "{arch} {program}: {translated} translated, {found} found");
    }
    assert!(folder.files().iter().all(|file| file.extension().is_some_and(|e| e == "tc")), "nothing unfinished");
}

#[test]
fn what_is_built_ahead_of_time_is_found() {
    let folder = Folder::new("ahead");
    let system = crate::hokku::root("x86_64").join("boot/system");
    let files = ["runtime_loader", "lib/libroot.so", "bin/mandelbrot"].map(|file| system.join(file));
    let files = files.each_ref().map(|file| file.to_str().expect("a plain path"));
    let build = || folder.hokku(&[&["cache", "build"], &files[..]].concat());
    let built = build();
    assert_eq!(built.code, 0, "{}", built.err);
    assert_eq!(built.out.lines().count(), 3, "{}", built.out);
    let again = build();
    let translated = |ended: &Ended| -> u64 {
        let number = |line: &str| line.split_once(": ")?.1.split(' ').next()?.parse::<u64>().ok();
        ended.out.lines().map(|line| number(line).expect("a number of regions")).sum()
    };
    // What runs out of the mapped file is not kept.
    assert!(translated(&again) < translated(&built) / 100, "{}\n{}", built.out, again.out);
    let (_, translated, found) = folder.run("x86_64", &["mandelbrot"]);
    // What is reached by computed jumps alone is not found ahead of time.
    assert!(found > 3 * translated, "{found} found, {translated} translated");
}

#[test]
fn what_cannot_be_built_says_why() {
    let folder = Folder::new("unbuildable");
    for (file, why) in [("/nowhere/x", "/nowhere/x"), (file!(), "")] {
        let ended = folder.hokku(&["cache", "build", file]);
        assert!(ended.code == 125 && ended.err.starts_with("hokku: ") && ended.err.contains(why), "{}", ended.err);
    }
}
