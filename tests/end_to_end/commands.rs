//! The commands that look into programs and tables.

use std::os::unix::process::CommandExt;

use crate::hokku::{hokku, hokku_with, on_this_host, root};

#[test]
fn check_tells_what_a_file_needs() {
    for (arch, bits) in [("x86_64", "64 bit"), ("x86", "32 bit")] {
        let top = root(arch);
        let hello = top.join("boot/system/bin/hello");
        let (top, hello) = (top.to_str().expect("plain name"), hello.to_str().expect("plain name"));
        let ended = hokku(&["check", "--root", top, hello]);
        assert_eq!(ended.code, 0, "{}", ended.out);
        for word in [bits, "libroot.so", "verdict       runs"] {
            assert!(ended.out.contains(word), "{word} is not in\n{}", ended.out);
        }
        let elsewhere = hokku(&["check", "--root", "/nowhere", hello]);
        assert!(elsewhere.code == 1 && elsewhere.out.contains("libroot.so is not in /nowhere"), "{}", elsewhere.out);
    }
    let other = hokku(&["check", env!("CARGO_MANIFEST_PATH")]);
    assert!(other.code == 1 && other.out.contains("not an ELF file"), "{}", other.out);
}

#[test]
fn dump_shows_every_stage() {
    for arch in ["x86_64", "x86"] {
        let ended = hokku(&["dump", "--arch", arch, "hello"]);
        assert_eq!(ended.code, 0, "{}", ended.err);
        for word in ["; guest code", "; IR\nregion ", "; IR after state_forwarding", "instructions", "; b0 "] {
            assert!(ended.out.contains(word), "{word} is not in\n{}", ended.out);
        }
    }
    let missing = hokku(&["dump", "hello", "--at", "no_such_symbol"]);
    assert!(missing.code == 125 && missing.err.contains("no_such_symbol"), "{}", missing.err);
}

#[test]
fn tables_are_printed() {
    let isa = hokku(&["isa"]);
    assert!(isa.code == 0 && isa.out.lines().any(|l| l.starts_with("SSE2 ")), "{}", isa.out);
    assert!(hokku(&["isa", "--missing"]).out.contains("in no processor model"));
    let calls = hokku(&["syscalls"]);
    assert!(calls.code == 0 && calls.out.contains("289 calls"), "{}", calls.out);
    let missing = hokku(&["syscalls", "--only", "missing"]);
    assert!(missing.out.lines().all(|l| l.contains(" missing")), "{}", missing.out);
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    for (args, word) in [
        (&["run"][..], "PROGRAM"),
        (&["run", "--engine", "warp", "hello"], "interp"),
        (&["run", "--share", "/no/such/folder", "hello"], "/no/such/folder"),
        (&["run", "--env", "NOVALUE", "hello"], "NAME=VALUE"),
        (&["run", "--cpu", "i486", "hello"], "pentium3"),
        (&["run", "--cpu", "pentium", "hello"], "64-bit"),
        (&["run", "--cwd", "/no/such/place", "hello"], "/no/such/place"),
    ] {
        let ended = hokku(args);
        assert!(ended.code != 0 && ended.err.contains(word), "{args:?}: {ended:?}");
    }
}

/// The host's limit for the size of files holds for memory that is one, too.
#[test]
fn a_limit_for_files_that_is_too_small_is_told() {
    if on_this_host(&["jit"]).is_empty() {
        return;
    }
    let ended = hokku_with(&["run", "--no-cache", "hello"], |command| {
        // SAFETY: between fork and exec only `setrlimit` is called, which may be called there.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
                libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
                Ok(())
            });
        }
    });
    assert_eq!(ended.code, 125, "{ended:?}");
    assert!(ended.err.starts_with("hokku: ") && ended.err.contains("File too large"), "{ended:?}");
}

#[test]
fn a_perf_map_names_translated_code() {
    let ended = hokku(&["run", "--perf-map", "--strace", "hello"]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    // The first word of a line of the trace is the thread's id, which is the process's.
    let id: u32 =
        ended.err.trim_start_matches('[').split(']').next().and_then(|n| n.parse().ok()).expect("a thread id");
    let path = format!("/tmp/perf-{id}.map");
    let map = std::fs::read_to_string(&path).expect("the map is there");
    assert!(map.lines().count() > 10, "{map}");
    std::fs::remove_file(path).expect("the map can be removed");
}
