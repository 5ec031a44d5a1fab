//! The guest programs of `tests/guest/programs`, on both engines and word sizes.
//!
//! Most check themselves: they print `ok` at their end, or say which check failed and end with 1.

use std::fs;
use std::path::PathBuf;

use crate::hokku::{Ended, hokku, hokku_signalled, hokku_with, on_this_host, root};

const ARCHES: [&str; 2] = ["x86_64", "x86"];
/// As on the command line behind `--engine`.
const ENGINES: [&str; 4] = ["jit --tier-threshold 1", "jit --tier 1", "jit --tier 2", "interp"];

/// Runs `program` with `args` in every combination and hands each end to `check`.
fn everywhere(program: &str, args: &[&str], check: impl Fn(&str, &Ended)) {
    everywhere_with(&[], program, args, check);
}

/// The same with more options for `hokku run`.
fn everywhere_with(options: &[&str], program: &str, args: &[&str], check: impl Fn(&str, &Ended)) {
    for arch in ARCHES {
        for engine in on_this_host(&ENGINES) {
            let what = format!("{program} {args:?} ({arch}, {engine})");
            let mut line = vec!["run", "--arch", arch, "--engine"];
            line.extend(engine.split(' '));
            line.extend(options);
            line.push(program);
            line.extend(args);
            let ended = hokku(&line);
            check(&what, ended.sound(&what));
        }
    }
}

/// Runs a program that checks itself; it may write below its first argument.
fn checks_itself(program: &str) {
    let scratch = Scratch::new(program);
    let share = format!("{}:/scratch", scratch.0.display());
    let args: &[&str] = match program {
        "codechange" | "memory" | "stdio" => &["/scratch"],
        "walk" => &["--check", "/scratch"],
        _ => &[],
    };
    everywhere_with(&["--share", &share], program, args, |what, ended| {
        assert_eq!(ended.code, 0, "{what}\n{}\n{}", ended.out, ended.err);
        assert!(ended.out.ends_with("ok\n"), "{what}\n{}\n{}", ended.out, ended.err);
    });
}

macro_rules! self_checking {
    ($($name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            checks_itself(stringify!($name));
        }
    )* };
}

self_checking!(
    abi,
    atomics,
    avx,
    clocks,
    codechange,
    codestorm,
    forkexec,
    forkstorm,
    format,
    jumps,
    loadimage,
    malloc,
    memory,
    pingpong,
    pthreads,
    semaphores,
    shared_libraries,
    signals,
    smc,
    stackoverflow,
    stdio,
    strings,
    sysinfo,
    threads,
    walk,
    wildpointers,
);

#[test]
fn hello() {
    everywhere("hello", &[], |what, ended| {
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, "Hello, Haiku!\n", ""), "{what}");
    });
}

#[test]
fn arguments_environment_and_exit_code_pass_through() {
    for arch in ARCHES {
        for engine in on_this_host(&ENGINES) {
            let mut run = vec!["run", "--arch", arch, "--engine"];
            run.extend(engine.split(' '));
            run.extend(["--env", "GUEST_A=1", "--env", "GUEST_B=x y", "args"]);
            run.extend(["--exit", "42", "", "a b", "--root"]);
            let ended = hokku_with(&run, |command| {
                command.env("GUEST_HIDDEN", "the host's own");
            });
            assert_eq!(ended.sound(arch).code, 42, "{arch}, {engine}: {}", ended.err);
            for line in ["5 arguments", "3: \"\"", "4: \"a b\"", "5: \"--root\"", "GUEST_A=1", "GUEST_B=x y"] {
                assert!(ended.out.lines().any(|l| l == line), "{arch}, {engine}: {line} is not in\n{}", ended.out);
            }
            assert!(!ended.out.contains("GUEST_HIDDEN"), "{arch}, {engine}: the host's environment is visible");
        }
    }
}

#[test]
fn mandelbrot_looks_the_same_everywhere() {
    let picture = hokku(&["run", "mandelbrot"]).out;
    assert!(picture.lines().count() >= 28, "{picture}");
    everywhere("mandelbrot", &[], |what, ended| assert_eq!(ended.out, picture, "{what}"));
}

/// How a shell names the end by a Linux signal.
fn killed_by(signal: i32) -> i32 {
    128 + signal
}

#[test]
fn a_guest_that_dies_of_a_signal_leaves_a_report() {
    everywhere("signals", &["segv"], |what, ended| {
        assert_eq!(ended.code, killed_by(11), "{what}: {}", ended.err);
        for word in ["SIGSEGV", "rip", "signals", "stack:", "images:"] {
            let word = if what.contains("(x86,") && word == "rip" { "eip" } else { word };
            assert!(ended.err.contains(word), "{what}: {word} is not in\n{}", ended.err);
        }
    });
    everywhere("signals", &["ill"], |what, ended| assert_eq!(ended.code, killed_by(4), "{what}: {}", ended.err));
    everywhere("signals", &["fpe"], |what, ended| assert_eq!(ended.code, killed_by(8), "{what}: {}", ended.err));
    everywhere("stackoverflow", &["crash"], |what, ended| {
        assert_eq!(ended.code, killed_by(11), "{what}: {}", ended.err);
    });
}

/// A folder of this test's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("hokku-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("folders can be made");
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the temporary folder harms nothing.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn shared_folders_are_visible_and_others_are_not() {
    let scratch = Scratch::new("share");
    fs::create_dir(scratch.0.join("inner")).expect("folders can be made");
    fs::write(scratch.0.join("inner/note"), "12345").expect("files can be written");
    std::os::unix::fs::symlink("/etc", scratch.0.join("outside")).expect("links can be made");
    let share = format!("{}:/boot/home/shared", scratch.0.display());
    everywhere("walk", &["/boot/home/shared"], |what, ended| {
        assert!(ended.code == 0 || ended.err.contains("No such file"), "{what}: not shared, yet {ended:?}");
        assert!(!ended.out.contains("note"), "{what}: visible without being shared");
    });
    for arch in ARCHES {
        let ended = hokku(&["run", "--arch", arch, "--share", &share, "walk", "/boot/home/shared"]);
        assert_eq!(ended.sound(arch).code, 0, "{}", ended.err);
        assert!(ended.out.contains("note") && !ended.out.contains("passwd"), "{arch}:\n{}", ended.out);
    }
}

#[test]
fn strace_names_calls_and_stats_count() {
    let traced = hokku(&["run", "--strace", "hello"]);
    assert_eq!(traced.code, 0, "{}", traced.err);
    assert!(traced.out == "Hello, Haiku!\n" && traced.err.contains("write(") && traced.err.contains("exit_team("));
    let counted = hokku(&["run", "--stats", "hello"]);
    assert_eq!(counted.code, 0, "{}", counted.err);
    assert!(counted.err.contains("regions"), "{}", counted.err);
}

/// Of a long run of double arithmetic nothing but a few is evaluated, on hosts with a back end.
#[test]
fn arithmetic_on_floats_is_translated() {
    for (arch, program) in [("x86_64", "/boot/system/bench/nbody"), ("x86", "/boot/system/bench-sse2/nbody")] {
        let root = root(arch);
        for engine in on_this_host(&["jit --tier 1", "jit --tier 2"]) {
            let mut run =
                vec!["run", "--no-cache", "--stats", "--root", root.to_str().expect("a path in UTF-8"), "--engine"];
            run.extend(engine.split(' '));
            run.extend([program, "100"]);
            let ended = hokku(&run);
            assert_eq!((ended.code, ended.out.as_str()), (0, "nbody -0.169290\n"), "{arch}, {engine}: {}", ended.err);
            let floats = ended.err.lines().filter(|l| l.contains("callouts of fp_"));
            let evaluated: u64 = floats.filter_map(|l| l.split_whitespace().next()?.parse::<u64>().ok()).sum();
            assert!(ended.err.contains("regions translated") && evaluated < 100, "{arch}, {engine}:\n{}", ended.err);
        }
    }
}

/// What a terminal does on Ctrl-C, and `kill` by default: the guest gets the signal, and ends by it unless it handles it.
#[test]
fn signals_to_hokku_reach_the_guest() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        for arch in ARCHES {
            for engine in on_this_host(&ENGINES) {
                let mut run = vec!["run", "--arch", arch, "--engine"];
                run.extend(engine.split(' '));
                run.extend(["--strace", "syscall_timer", "2000000000"]);
                let ended = hokku_signalled(&run, "is_computer_on", signal);
                assert_eq!(ended.code, killed_by(signal), "{arch}, {engine}, signal {signal}");
            }
        }
    }
}
