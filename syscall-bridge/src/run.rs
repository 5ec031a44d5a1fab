//! Runs a program from its first instruction to its end.

use std::path::PathBuf;
use std::sync::Arc;

use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{CpuMode, X87Arithmetic};
use hokku_runtime::loader::{ElfError, ElfImage, LoadError};
use hokku_runtime::{DiskCacheConfig, Engine, StatsReport, Team, TeamConfig, Thread, Tiering};
use thiserror::Error;

use crate::abi::{Status, SysResult};
use crate::call::Local;
use crate::deliver::wait_while_suspended;
use crate::kernel::{At, Kernel, Paths, ProgramStart};
use crate::numbers::Numbers;
use crate::personality::HaikuPersonality;
use crate::root::{GuestRoot, Share};
use crate::start::loader::start_program;
use crate::team::TeamState;
use crate::team::exit::ExitStatus;
use crate::team::signals::ThreadSignals;
use crate::team::threads::ThreadState;
use crate::team::waiting::{Waiting, lock};
use crate::trace::Tracer;

/// Where system calls are traced to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strace {
    /// Standard error.
    Stderr,
    /// A file; teams that the program starts write to `FILE.ID`.
    File(PathBuf),
}

/// How a program is to be run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The guest's `/`.
    pub root: GuestRoot,
    /// Host folders that the guest sees besides.
    pub shares: Vec<Share>,
    /// Guest path of the program, or its name to be looked for in `PATH`.
    pub program: Vec<u8>,
    /// Arguments after the program's name.
    pub args: Vec<Vec<u8>>,
    /// Environment, `NAME=value`, in addition to the usual one.
    pub env: Vec<Vec<u8>>,
    /// Guest path of the working directory; `None`: `/boot/home` if there is one, else `/`.
    pub cwd: Option<Vec<u8>>,
    /// How guest code is run.
    pub engine: Engine,
    /// The guest's processor.
    pub processor: CpuModel,
    /// When the JIT translates code, and how well.
    pub tiering: Tiering,
    /// What x87 instructions may compute in.
    pub x87: X87Arithmetic,
    /// Where calls are traced to.
    pub strace: Option<Strace>,
    /// Whether to write a map for Linux's `perf`.
    pub perf_map: bool,
    /// Bytes for translated code; `None`: the usual.
    pub code_cache_bytes: Option<usize>,
    /// Where translations are kept from run to run; `None`: nowhere.
    pub disk_cache: Option<DiskCacheConfig>,
}

impl RunOptions {
    /// The usual settings for `program` in `root`.
    pub fn new(root: GuestRoot, program: &[u8]) -> Self {
        RunOptions {
            root,
            shares: Vec::new(),
            program: program.to_vec(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            engine: Engine::best(),
            processor: CpuModel::DEFAULT,
            tiering: Tiering::default(),
            x87: X87Arithmetic::Exact,
            strace: None,
            perf_map: false,
            code_cache_bytes: None,
            disk_cache: None,
        }
    }
}

/// Why a program could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The guest's root or a share cannot be used.
    #[error("cannot use the guest root: {0}")]
    Root(std::io::Error),
    /// There is no kernel made of this host's calls.
    #[error("programs cannot be run on {0} hosts yet: run them on a Linux host")]
    NoKernel(&'static str),
    /// There is no such program.
    #[error("{path}: {error}")]
    Program {
        /// As it was looked for.
        path: String,
        /// Why not.
        error: Status,
    },
    /// There is no runtime loader for the program.
    #[error("the guest root has no {bits}-bit /boot/system/runtime_loader")]
    NoLoader {
        /// The program's word size.
        bits: u8,
    },
    /// A file has the wrong word size.
    #[error("{path} has another word size than the program")]
    WordSize {
        /// The file.
        path: String,
    },
    /// A file is not what it should be.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The runtime loader cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel's part of the start failed.
    #[error("cannot {what}: {error}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: Status,
    },
    /// The runtime could not make the team.
    #[error(transparent)]
    Runtime(#[from] hokku_runtime::StartError),
    /// The trace cannot be written.
    #[error("cannot write the trace {path}: {error}")]
    Trace {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
}

/// How a run has ended.
pub struct Finished {
    /// The program's end.
    pub status: ExitStatus,
    /// What the runtime did.
    pub stats: StatsReport,
    /// What is left of the team. Giving its memory and tables back takes long, and is of no use to a process that ends with it.
    pub team: Arc<Team>,
}

/// The environment that programs find unless they are given another one.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "PATH",
        ".:/boot/home/config/non-packaged/bin:/boot/home/config/bin:/boot/system/non-packaged/bin:/boot/system/bin:/boot/system/apps:/boot/system/preferences",
    ),
    ("HOME", "/boot/home"),
    ("USER", "user"),
    ("SHELL", "/bin/sh"),
    ("LC_TYPE", "en_US.UTF-8"),
];

/// Variables of the host that programs get as they are.
const PASSED_ON: &[&str] = &["TERM", "COLUMNS", "LINES", "LANG", "TZ"];

pub(crate) fn environment(extra: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let name = |entry: &[u8]| entry.split(|&b| b == b'=').next().unwrap_or_default().to_vec();
    let mut env: Vec<Vec<u8>> = ENVIRONMENT.iter().map(|(k, v)| format!("{k}={v}").into_bytes()).collect();
    env.extend(PASSED_ON.iter().filter_map(|k| Some(format!("{k}={}", std::env::var(k).ok()?).into_bytes())));
    for entry in extra {
        env.retain(|e| name(e) != name(entry));
        env.push(entry.clone());
    }
    env
}

fn lookup<'a>(env: &'a [Vec<u8>], name: &str) -> Option<&'a [u8]> {
    env.iter().rev().find_map(|e| e.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Reads a whole guest file.
pub(crate) fn read_file(files: &dyn Paths, path: &[u8]) -> Result<Vec<u8>, Status> {
    files.read_whole(At { dir: -1, path: Some(path) })
}

/// Finds the program: its path, and its contents.
pub(crate) fn find_program(
    files: &dyn Paths,
    program: &[u8],
    env: &[Vec<u8>],
) -> Result<(Vec<u8>, Vec<u8>), StartError> {
    let mut error = Status::B_ENTRY_NOT_FOUND;
    let candidates: Vec<Vec<u8>> = if program.contains(&b'/') {
        vec![program.to_vec()]
    } else {
        let path = lookup(env, "PATH").unwrap_or(b"/boot/system/bin");
        path.split(|&b| b == b':').map(|dir| [dir, b"/", program].concat()).collect()
    };
    for candidate in candidates {
        match read_file(files, &candidate) {
            Ok(contents) => {
                let path = files.normalize(&candidate, true).unwrap_or(candidate);
                return Ok((path, contents));
            }
            Err(Status::B_ENTRY_NOT_FOUND | Status::B_NOT_A_DIRECTORY) => {}
            Err(other) => error = other,
        }
    }
    Err(StartError::Program { path: String::from_utf8_lossy(program).into_owned(), error })
}

/// Most scripts that name another script as their interpreter.
const MAX_INTERPRETERS: usize = 4;

/// The program to load for `contents`: for a script, its interpreter, whose first arguments are put into `args`.
pub(crate) fn resolve_script(
    files: &dyn Paths,
    mut path: Vec<u8>,
    mut contents: Vec<u8>,
    args: &mut Vec<Vec<u8>>,
    env: &[Vec<u8>],
) -> Result<(Vec<u8>, Vec<u8>), StartError> {
    for _ in 0..MAX_INTERPRETERS {
        let Some(line) = contents.strip_prefix(b"#!") else { return Ok((path, contents)) };
        let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|&b| b == b' ' || b == b'\t').filter(|w| !w.is_empty()).take(2).collect();
        let Some(interpreter) = words.first().map(|w| w.to_vec()) else { break };
        let rest = args.split_off(args.len().min(1));
        *args = words.iter().map(|w| w.to_vec()).chain([path]).chain(rest).collect();
        (path, contents) = find_program(files, &interpreter, env)?;
    }
    Err(StartError::Program { path: String::from_utf8_lossy(&path).into_owned(), error: Status::B_NOT_AN_EXECUTABLE })
}

/// The word size of an executable.
fn mode_of(path: &[u8], contents: &[u8]) -> Result<CpuMode, StartError> {
    let bad =
        || StartError::Program { path: String::from_utf8_lossy(path).into_owned(), error: Status::B_NOT_AN_EXECUTABLE };
    // e_ident: magic, class, data; e_machine at 18.
    match contents.get(..20).ok_or_else(bad)? {
        [0x7f, b'E', b'L', b'F', 1, 1, .., 3, 0] => Ok(CpuMode::Protected32),
        [0x7f, b'E', b'L', b'F', 2, 1, .., 62, 0] => Ok(CpuMode::Long64),
        _ => Err(bad()),
    }
}

/// Where the runtime loader may be, and where libroot, for the two word sizes; in a hybrid system the second kind has folders of its own.
const LOADERS: &[&str] =
    &["/boot/system/runtime_loader", "/boot/system/runtime_loader_x86", "/boot/system/lib/x86/runtime_loader"];
const LIBROOTS: &[&str] = &["/boot/system/lib/libroot.so", "/boot/system/lib/x86/libroot.so"];

fn of_mode(files: &dyn Paths, paths: &'static [&'static str], mode: CpuMode) -> Option<(&'static str, Vec<u8>)> {
    paths.iter().find_map(|path| {
        let contents = read_file(files, path.as_bytes()).ok()?;
        mode_of(path.as_bytes(), &contents).is_ok_and(|m| m == mode).then_some((*path, contents))
    })
}

fn numbers(files: &dyn Paths, mode: CpuMode, loader_path: &str, loader: &[u8]) -> Numbers {
    let stubs = |path: &str, contents: &[u8]| Numbers::from_stubs(&ElfImage::parse(path, contents).ok()?, contents);
    let from_libroot = of_mode(files, LIBROOTS, mode).and_then(|(path, contents)| stubs(path, &contents));
    match from_libroot.or_else(|| stubs(loader_path, loader)) {
        Some(mut numbers) => {
            if !numbers.unknown().is_empty() {
                tracing::warn!(
                    "the guest's libroot has system calls that hokku does not know: {}",
                    numbers.unknown().join(", ")
                );
            }
            numbers.complete_by_name(&Numbers::built_in());
            numbers
        }
        None => Numbers::built_in(),
    }
}

pub(crate) fn tracer(strace: Option<&Strace>, first: bool) -> Result<Option<Tracer>, StartError> {
    match strace {
        None => Ok(None),
        Some(Strace::Stderr) => Ok(Some(Tracer::Stderr)),
        Some(Strace::File(path)) => {
            let mut path = path.clone();
            if !first {
                let mut name = path.into_os_string();
                name.push(format!(".{}", std::process::id()));
                path = name.into();
            }
            let file = std::fs::File::create(&path)
                .map_err(|error| StartError::Trace { path: path.display().to_string(), error })?;
            Ok(Some(Tracer::File(file)))
        }
    }
}

/// A program that is about to start.
pub(crate) struct Start {
    /// How its team runs; its word size is the program's.
    pub(crate) config: TeamConfig,
    /// What it starts with.
    pub(crate) start: ProgramStart,
    /// The program's file.
    pub(crate) contents: Vec<u8>,
    /// Where its calls are traced to.
    pub(crate) tracer: Option<Tracer>,
    /// Whether it waits until who loaded it lets it go.
    pub(crate) hold_at_start: bool,
}

/// Runs the program that `start` tells of to its end; its kernel is made by `kernel`, once its files have been read.
pub(crate) fn run_team(
    start: Start,
    files: &dyn Paths,
    kernel: impl FnOnce() -> Box<dyn Kernel>,
) -> Result<Finished, StartError> {
    let Start { mut config, start, contents, tracer, hold_at_start } = start;
    let mode = mode_of(&start.path, &contents)?;
    let bits = if mode == CpuMode::Long64 { 64 } else { 32 };
    let (loader_path, loader) = of_mode(files, LOADERS, mode).ok_or(StartError::NoLoader { bits })?;
    let numbers = numbers(files, mode, loader_path, &loader);
    config.mode = mode;
    let kernel = kernel();
    let team = Arc::new(TeamState::new(kernel, mode));
    team.timers.attach(&team);
    lock(&team.signals).ignore(start.ignored_signals);
    let personality = Arc::new(HaikuPersonality::new(Arc::clone(&team), numbers, tracer));
    let machine = Team::new(&config, personality.clone())?;

    let id = team.kernel.processes().thread();
    let first = start_program(&team, &machine, &personality.numbers, &start, &loader, loader_path, id)?;
    let leaf = start.path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let mut masks = ThreadSignals::default();
    masks.set_mask(start.signal_mask);
    let me = ThreadState::new(leaf, start.priority, first.memory, masks, false);
    me.set_id(id);
    team.threads.add(&me);
    let mut thread = machine.attach(first.cpu, Box::new(Local::new(Arc::clone(&team), Arc::clone(&me))))?;
    me.set_handle(thread.handle());
    crate::host::name_process(leaf);
    forward_signals(&thread).map_err(|error| StartError::Kernel { what: "receive signals", error })?;
    if hold_at_start {
        let interrupted = || team.exit.is_set();
        let wait = Waiting { parker: &me.parker, clock: team.kernel.clock(), interrupted: &interrupted };
        team.kernel.processes().hold_at_start(&wait);
    }
    run_thread(&team, &mut thread);
    machine.keep_translations();
    let status = team.exit.take().unwrap_or(ExitStatus::Exited(0));
    let stats = machine.stats.report();
    drop(thread);
    Ok(Finished { status, stats, team: machine })
}

/// Runs a guest thread from where it is to its end.
pub(crate) fn run_thread(team: &TeamState, thread: &mut Thread) {
    let me = Arc::clone(&crate::call::local(thread).me);
    wait_while_suspended(team, &me);
    if !team.exit.is_set() {
        thread.run();
    }
    // A forked child comes out here as the main thread, under its new id.
    let status = crate::call::local(thread).exit_status;
    let is_main = team.threads.main().is_some_and(|main| Arc::ptr_eq(&main, &me));
    if is_main {
        team.exit.set(ExitStatus::Exited(status));
        team.threads.all().iter().filter(|t| !Arc::ptr_eq(t, &me)).for_each(|t| t.poke());
    }
    free_memory(team, thread, &me);
    team.threads.remove(&me, status);
}

/// The team that a thread belongs to.
pub(crate) fn team_of(thread: &Thread) -> Arc<TeamState> {
    Arc::clone(&crate::call::local_ref(thread).team)
}

/// Starts to hand signals from the host to the thread's team: once in a process.
pub(crate) fn forward_signals(thread: &Thread) -> SysResult {
    let team = team_of(thread);
    crate::host::forward_signals(move |info| team.host_signal(info))
}

/// Gives back what the kernel made for a thread; the main thread's stays to the end.
fn free_memory(team: &TeamState, thread: &Thread, me: &ThreadState) {
    if team.threads.main().is_some_and(|main| main.id() == me.id()) {
        return;
    }
    let memory = std::mem::take(&mut *lock(&me.memory));
    if memory.user_thread.0 != 0 {
        lock(&team.user_threads).free.push(memory.user_thread);
    }
    if memory.owned_stack.0 != 0 {
        let mut areas = lock(&team.areas);
        if let Some(id) = areas.at(memory.owned_stack.0).map(|a| a.id) {
            // The program may have changed or deleted it.
            let _ = areas.delete(&thread.team.memory, id);
        }
    }
}
