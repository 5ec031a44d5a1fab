//! Runs the `hokku` command under test.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// No test waits for this; a command that takes as long hangs. Emulated hosts are slow.
fn hangs() -> Duration {
    Duration::from_secs(if hokku_runtime::host::program::is_emulated() { 600 } else { 120 })
}

/// How the command ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// Exit code as shells give it: 128 and the signal's number for a death by signal.
    pub(crate) code: i32,
    /// What it wrote to stdout.
    pub(crate) out: String,
    /// What it wrote to stderr.
    pub(crate) err: String,
}

impl Ended {
    /// Fails if hokku itself crashed: a program's death by signal is preceded by a report, or asked for by a signal sent.
    pub(crate) fn sound(&self, what: &str) -> &Self {
        let crash =
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT].contains(&(self.code - 128));
        assert!(
            !crash || self.err.contains("the program crashed"),
            "{what}: hokku crashed: {}\n{}",
            self.code,
            self.err
        );
        assert!(!self.err.contains("panicked at"), "{what}: hokku panicked\n{}", self.err);
        self
    }
}

/// The prebuilt guest root for `arch`.
pub(crate) fn root(arch: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guest/prebuilt").join(arch)
}

/// The `hokku` command, with a translation cache that all tests share; it leads a process group, which its forked teams are in.
pub(crate) fn command() -> Command {
    let mut command = hokku_runtime::host::program::command_for(Path::new(env!("CARGO_BIN_EXE_hokku")));
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR")).process_group(0);
    command
}

/// Those of `engines`, with their options as on the command line, that this host has.
pub(crate) fn on_this_host(engines: &[&'static str]) -> Vec<&'static str> {
    let has_jit = hokku_runtime::back_end().is_some();
    engines.iter().copied().filter(|engine| has_jit || !engine.starts_with("jit")).collect()
}

/// Runs `hokku` with `args` and nothing on stdin.
pub(crate) fn hokku(args: &[&str]) -> Ended {
    hokku_with(args, |_| {})
}

/// Runs `hokku` with `args` after `prepare` has changed how.
pub(crate) fn hokku_with(args: &[&str], prepare: impl FnOnce(&mut Command)) -> Ended {
    let mut command = command();
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    prepare(&mut command);
    let mut child = command.spawn().expect("hokku starts");
    let out = reader(child.stdout.take().expect("stdout is piped"));
    let err = reader(child.stderr.take().expect("stderr is piped"));
    let (done, watcher) = kill_if_it_hangs(child.id() as i32);
    let out = out.join().expect("the reader ends");
    let err = err.join().expect("the reader ends");
    let status = child.wait().expect("hokku can be waited for");
    drop(done);
    let hanging = watcher.join().expect("the watcher ends");
    assert!(hanging.is_none(), "hokku {args:?} hangs\n{out}\n{err}\n{}", hanging.unwrap_or_default());
    let code = status.code().or(status.signal().map(|s| 128 + s)).expect("a process ends by exit or signal");
    Ended { code, out, err }
}

/// Kills the process group `id` unless what is returned first is dropped in time: a team that hangs keeps the pipes of its parents open. The
/// second is to be joined after that, and gives what hung.
fn kill_if_it_hangs(id: i32) -> (mpsc::Sender<()>, thread::JoinHandle<Option<String>>) {
    let (done, watch) = mpsc::channel();
    let watcher = thread::spawn(move || {
        let hangs = watch.recv_timeout(hangs()) == Err(mpsc::RecvTimeoutError::Timeout);
        hangs.then(|| {
            let threads = threads_of(id);
            // SAFETY: the child has not been waited for, so the id is still its own.
            unsafe { libc::kill(-id, libc::SIGKILL) };
            threads
        })
    });
    (done, watcher)
}

/// A line for each thread of the process group `group`: its process, its name and state, and the host call that it is in.
fn threads_of(group: i32) -> String {
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    // Where it is gone meanwhile there is nothing to tell.
    let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let in_group = |process: &PathBuf| {
        let stat = text(process.join("stat"));
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2)) == Some(&group.to_string())
    };
    let threads = folders(Path::new("/proc")).filter(in_group).flat_map(|process| folders(&process.join("task")));
    let line = |thread: PathBuf| {
        let (stat, call) = (text(thread.join("stat")), text(thread.join("syscall")));
        let (name, state) = stat.rsplit_once(')').unwrap_or_default();
        let state = state.split_whitespace().next().unwrap_or_default();
        format!("{}: {name}) {state}: {call}", thread.display())
    };
    threads.map(line).collect()
}

fn reader(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("pipes can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs `hokku` with `args` until a line of its stderr contains `word`, then sends it `signal` and waits for its end.
pub(crate) fn hokku_signalled(args: &[&str], word: &str, signal: i32) -> Ended {
    let mut command = command();
    // A guest ignores what hokku was started to ignore, as tests that run in the background are.
    // SAFETY: between fork and exec only `signal` is called, which may be called there.
    unsafe {
        command.pre_exec(move || {
            libc::signal(signal, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut child = command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("hokku starts");
    let (done, watcher) = kill_if_it_hangs(child.id() as i32);
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    let mut err = String::new();
    while !err.contains(word) {
        err = lines.next().expect("hokku says the word before it ends").expect("pipes can be read");
    }
    // SAFETY: the child has not been waited for, so the id is still its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    let rest = lines.map_while(Result::ok).last().unwrap_or_default();
    let status = child.wait().expect("hokku can be waited for");
    drop(done);
    let hanging = watcher.join().expect("the watcher ends");
    assert!(hanging.is_none(), "hokku {args:?} hangs\n{}", hanging.unwrap_or_default());
    let code = status.code().or(status.signal().map(|s| 128 + s)).expect("a process ends by exit or signal");
    Ended { code, out: String::new(), err: rest }
}
