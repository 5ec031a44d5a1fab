//! Starting programs: a team's first process, and those that teams start.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hokku_ir::CpuMode;
use hokku_runtime::TeamConfig;

use super::clock::{Calibration, LinuxClock};
use super::files::LinuxFiles;
use super::namespace::Namespace;
use super::{Handover, LinuxKernel, TeamSetup, process, signals};
use crate::abi::Status;
use crate::abi::thread::NORMAL_PRIORITY;
use crate::kernel::{At, Clock, Paths, ProgramStart};
use crate::root::EmbeddedRoot;
use crate::run::{
    Finished, RunOptions, Start, StartError, environment, find_program, read_file, resolve_script, run_team, tracer,
};

/// Runs a program to its end, on the calling thread.
pub fn run_program(options: RunOptions) -> Result<Finished, StartError> {
    let calibration = Calibration::start();
    process::started_alone();
    signals::hold_back();
    let space = Namespace::new(&options.root, &options.shares).map_err(StartError::Root)?;
    let files = Arc::new(LinuxFiles::new(space));
    let failed = |what| move |error: Status| StartError::Kernel { what, error };
    files.inherit_standard().map_err(failed("open the standard files"))?;
    match &options.cwd {
        Some(cwd) => files
            .set_working_dir(At { dir: -1, path: Some(cwd) })
            .map_err(|error| StartError::Program { path: String::from_utf8_lossy(cwd).into_owned(), error })?,
        // Without a home the root is where one starts.
        None => drop(files.set_working_dir(At { dir: -1, path: Some(b"/boot/home") })),
    }
    let env = environment(&options.env);
    let (path, contents) = find_program(&*files, &options.program, &env)?;
    let mut args = vec![options.program.clone()];
    args.extend(options.args.iter().cloned());
    let (path, contents) = resolve_script(&*files, path, contents, &mut args, &env)?;
    let setup = TeamSetup {
        root: options.root,
        shares: options.shares,
        engine: options.engine,
        processor: options.processor,
        tiering: options.tiering,
        x87: options.x87,
        strace: options.strace,
        perf_map: options.perf_map,
        code_cache_bytes: options
            .code_cache_bytes
            .unwrap_or(TeamConfig::new(CpuMode::Long64, options.engine).code_cache_bytes),
        disk_cache: options.disk_cache,
        // Known once the clock is measured.
        clock_factor: 0,
    };
    let start = ProgramStart {
        path,
        args,
        env,
        umask: None,
        error_port: -1,
        error_token: 0,
        signal_mask: 0,
        ignored_signals: signals::ignored_from_start(),
        priority: NORMAL_PRIORITY,
    };
    let tracer = tracer(setup.strace.as_ref(), true)?;
    let start = Start { config: config(&setup), start, contents, tracer, hold_at_start: false };
    run(start, setup, files, None, || calibration.finish())
}

/// Runs the team that this process was started for by another team, if that is so. To be called first of all, with the command line.
///
/// `embedded` are the embedded roots that there are, for teams that run in one.
pub fn take_over(arguments: &[OsString], embedded: &[&'static EmbeddedRoot]) -> Result<Option<Finished>, StartError> {
    let failed = |what| move |error: Status| StartError::Kernel { what, error };
    let taken = Handover::take(arguments, embedded).map_err(failed("take over a team"))?;
    let Some((mut handover, fd_limit)) = taken else { return Ok(None) };
    signals::hold_back();
    let space = Namespace::new(&handover.setup.root, &handover.setup.shares).map_err(StartError::Root)?;
    let files = Arc::new(LinuxFiles::new(space));
    handover.restore_files(&files, fd_limit).map_err(failed("take over the open files"))?;
    let contents = read_file(&*files, &handover.start.path).map_err(|error| StartError::Program {
        path: String::from_utf8_lossy(&handover.start.path).into_owned(),
        error,
    })?;
    let tracer = tracer(handover.setup.strace.as_ref(), false)?;
    let starter = handover.starter.take();
    let Handover { setup, start, hold_at_start, .. } = handover;
    let factor = setup.clock_factor;
    let start = Start { config: config(&setup), start, contents, tracer, hold_at_start };
    run(start, setup, files, starter, || LinuxClock::with_factor(factor)).map(Some)
}

/// How a team with `setup` runs, whatever its word size.
fn config(setup: &TeamSetup) -> TeamConfig {
    TeamConfig {
        processor: setup.processor,
        tiering: setup.tiering,
        x87: setup.x87,
        perf_map: setup.perf_map,
        code_cache_bytes: setup.code_cache_bytes,
        disk_cache: setup.disk_cache.clone(),
        ..TeamConfig::new(CpuMode::Long64, setup.engine)
    }
}

fn run(
    start: Start,
    mut setup: TeamSetup,
    files: Arc<LinuxFiles>,
    starter: Option<OwnedFd>,
    clock: impl FnOnce() -> LinuxClock,
) -> Result<Finished, StartError> {
    let paths = Arc::clone(&files);
    run_team(start, &*paths, || {
        let clock = clock();
        setup.clock_factor = clock.conversion_factor();
        Box::new(LinuxKernel::new(clock, files, setup, starter))
    })
}
