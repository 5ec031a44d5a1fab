//! The `hokku` command.
#![forbid(unsafe_code)]

mod cache;
mod check;
mod coverage;
mod cpu;
mod dump;
mod embedded;
mod lab;
mod run;
mod tier;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Runs x86 and x86_64 Haiku programs, gcc2 BeOS programs included, on other machines.
#[derive(Parser)]
#[command(name = "hokku", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a program
    Run(run::RunArgs),
    /// Show, clear or prepare the translations that are kept from run to run
    Cache(cache::CacheArgs),
    /// Tell what ELF files need and whether they will run
    Check(check::CheckArgs),
    /// Show how a piece of a program is translated: guest code, IR, passes, host code
    Dump(dump::DumpArgs),
    /// Run flat pieces of guest code from JSON (one case a line in, one result a line out)
    Lab(lab::LabArgs),
    /// List Haiku's system calls and how far each is supported
    Syscalls(coverage::SyscallsArgs),
    /// List which instructions are translated
    Isa(coverage::IsaArgs),
}

/// What runs the guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// Translation to host code
    Jit,
    /// The evaluator of the intermediate representation: slow, on any host
    Interp,
}

impl EngineName {
    /// Name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            EngineName::Jit => "jit",
            EngineName::Interp => "interp",
        }
    }

    /// The runtime's engine of that name.
    pub(crate) fn engine(self) -> hokku_runtime::Engine {
        match self {
            EngineName::Jit => hokku_runtime::Engine::Jit,
            EngineName::Interp => hokku_runtime::Engine::Interp,
        }
    }
}

/// Exit code of hokku's own failures, as shells use it for commands that cannot run.
const FAILED: u8 = 125;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    match hokku_syscall_bridge::take_over(&arguments, embedded::ROOTS) {
        Ok(None) => {}
        Ok(Some(finished)) => run::end(finished),
        Err(error) => {
            eprintln!("hokku: {error}");
            return ExitCode::from(FAILED);
        }
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .without_time()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("HOKKU_LOG").unwrap_or_else(|_| "warn".into()))
        .init();
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Cache(args) => cache::cache(args).map(|()| ExitCode::SUCCESS),
        Command::Check(args) => {
            check::check(&args).map(|runs| if runs { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Dump(args) => dump::dump(&args).map(|()| ExitCode::SUCCESS),
        Command::Lab(args) => lab::lab(&args).map(|()| ExitCode::SUCCESS),
        Command::Syscalls(args) => coverage::syscalls(&args).map(|()| ExitCode::SUCCESS),
        Command::Isa(args) => coverage::isa(&args).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("hokku: {error:#}");
        ExitCode::from(FAILED)
    })
}
