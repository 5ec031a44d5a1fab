//! `hokku run`: runs a program.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use hokku_syscall_bridge::{ExitStatus, Finished, GuestRoot, RunOptions, Share, Strace, run_program};

use crate::cpu::CpuOption;
use crate::tier::TierArgs;
use crate::{EngineName, cache, embedded};

/// Word size of the programs that come inside hokku.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// 64 bit
    #[value(name = "x86_64")]
    X86_64,
    /// 32 bit
    X86,
}

/// Options of `hokku run`.
#[derive(Args)]
#[command(after_help = "\
hokku's exit code is the program's. A program that dies of a signal leaves a report on stderr, and hokku ends by the same signal; when hokku \
itself cannot start the program, its exit code is 125.

Examples:
  hokku run hello                                            a program that comes inside hokku
  hokku run --arch x86 mandelbrot                            the same, 32 bit
  hokku run --root ~/haiku /boot/system/bin/listimage        a program of a Haiku system in a folder
  hokku run --root ~/haiku --share . MyApp -v                with the current folder at /boot/home/shared")]
pub(crate) struct RunArgs {
    /// Folder that is the program's `/`: it holds boot/system/runtime_loader and boot/system/lib/libroot.so
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Word size of a program that comes inside hokku (without --root)
    #[arg(long, value_enum, default_value_t = Arch::X86_64, conflicts_with = "root")]
    arch: Arch,
    /// What runs the guest code [default: jit where there is one for this processor]
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    #[command(flatten)]
    cpu: CpuOption,
    #[command(flatten)]
    tier: TierArgs,
    /// Print each system call on stderr, or into FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    strace: Option<Option<PathBuf>>,
    /// Write /tmp/perf-PID.map, so that `perf report` names translated code
    #[arg(long)]
    perf_map: bool,
    /// Print at the end what the translator did
    #[arg(long)]
    stats: bool,
    /// Neither use nor keep translations of earlier runs
    #[arg(long)]
    no_cache: bool,
    /// Keep translations in DIR [default: hokku in XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Set a variable in the program's environment; it sees none of the host's but TERM, LANG and TZ
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<OsString>,
    /// The program's working directory, as the program names it
    #[arg(long, value_name = "DIR")]
    cwd: Option<OsString>,
    /// Open a host folder to the program, at PLACE or else at /boot/home/shared
    #[arg(long, value_name = "HOST_DIR[:PLACE]")]
    share: Vec<OsString>,
    /// The program: a path as the program would name it, or a name to be looked for in the guest's PATH
    #[arg(value_name = "PROGRAM")]
    program: OsString,
    /// Its arguments
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

/// Runs the program to its end. Returns only where hokku itself failed.
///
/// # Errors
/// Where the program cannot be started.
pub(crate) fn run(args: RunArgs) -> Result<ExitCode> {
    let program = args.program.clone();
    let stats = args.stats;
    let finished = run_program(options(args)?).with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
    if stats {
        for (what, count) in finished.stats.lines() {
            eprintln!("{count:>14} {what}");
        }
        eprintln!("{:>14.1} bytes of memory for each guest code byte", finished.stats.bytes_per_guest_byte());
        let (speeds, growth) = (finished.stats.translation_speeds(), finished.stats.code_growth());
        for (tier, (speed, growth)) in ["first", "second"].into_iter().zip(speeds.into_iter().zip(growth)) {
            eprintln!("{speed:>14.0} guest code bytes translated a second, {tier} tier");
            eprintln!("{growth:>14.1} bytes of host code for each guest code byte, {tier} tier");
        }
        for (op, count) in &finished.stats.callouts {
            eprintln!("{count:>14} callouts of {op}");
        }
    }
    end(finished)
}

/// Ends this process as the program ended.
pub(crate) fn end(finished: Finished) -> ! {
    if let ExitStatus::Signaled { report: Some(report), .. } = &finished.status {
        eprint!("hokku: the program crashed\n{report}");
    }
    finished.status.finish()
}

fn options(args: RunArgs) -> Result<RunOptions> {
    let root = match args.root {
        Some(dir) => GuestRoot::Folder(dir.canonicalize().with_context(|| format!("root {}", dir.display()))?),
        None => GuestRoot::Embedded(embedded::root(args.arch)),
    };
    let mut options = RunOptions::new(root, args.program.as_bytes());
    options.args = args.args.into_iter().map(OsString::into_vec).collect();
    for entry in args.env {
        if !entry.as_bytes().contains(&b'=') {
            bail!("--env {}: write NAME=VALUE", entry.to_string_lossy());
        }
        options.env.push(entry.into_vec());
    }
    options.cwd = args.cwd.map(OsString::into_vec);
    if let Some(engine) = args.engine {
        options.engine = engine.engine();
    }
    options.processor = args.cpu.model;
    options.tiering = args.tier.tiering();
    options.x87 = args.cpu.x87;
    options.strace = args.strace.map(|file| file.map_or(Strace::Stderr, Strace::File));
    options.perf_map = args.perf_map;
    options.disk_cache = if args.no_cache { None } else { cache::configuration(args.cache_dir)? };
    options.shares = args.share.iter().map(share).collect::<Result<_>>()?;
    Ok(options)
}

/// Reads `HOST_DIR` or `HOST_DIR:PLACE`.
fn share(text: &OsString) -> Result<Share> {
    let bytes = text.as_bytes();
    let (host, guest) = match bytes.windows(2).rposition(|pair| pair == b":/") {
        Some(colon) => (&bytes[..colon], bytes[colon + 1..].to_vec()),
        None => (bytes, b"/boot/home/shared".to_vec()),
    };
    let host = PathBuf::from(OsString::from_vec(host.to_vec()));
    let host = host.canonicalize().with_context(|| format!("--share {}", text.to_string_lossy()))?;
    if !host.is_dir() {
        bail!("--share {}: not a folder", text.to_string_lossy());
    }
    Ok(Share { host, guest })
}
