//! `hokku isa` and `hokku syscalls`: what is covered, printed from the tables themselves.

use anyhow::Result;
use clap::Args;
use hokku_frontend::Status;
use hokku_syscall_bridge::coverage;

/// Options of `hokku isa`.
#[derive(Args)]
pub(crate) struct IsaArgs {
    /// List each encoding that is missing, with its reason
    #[arg(long)]
    missing: bool,
    /// Print the table as Markdown
    #[arg(long, conflicts_with = "missing")]
    markdown: bool,
}

/// Prints which instructions are translated.
pub(crate) fn isa(args: &IsaArgs) -> Result<()> {
    if args.markdown {
        print!("{}", hokku_frontend::markdown());
        return Ok(());
    }
    if args.missing {
        for encoding in hokku_frontend::coverage() {
            if let Status::Missing(reason) = encoding.status {
                println!("{:<40} {:<24} {reason}", encoding.instruction, encoding.extension);
            }
        }
        return Ok(());
    }
    let (mut translated, mut missing) = (0, 0);
    println!("{:<32} {:>10} {:>8}", "extension", "translated", "missing");
    for (extension, counts) in hokku_frontend::by_extension() {
        println!("{extension:<32} {:>10} {:>8}", counts.translated, counts.missing);
        translated += counts.translated;
        missing += counts.missing;
    }
    println!("{:<32} {translated:>10} {missing:>8}", "all");
    Ok(())
}

/// Options of `hokku syscalls`.
#[derive(Args)]
pub(crate) struct SyscallsArgs {
    /// List only calls with this support
    #[arg(long, value_name = "LEVEL", value_parser = ["full", "partial", "stub", "missing"])]
    only: Option<String>,
    /// Print the table as Markdown
    #[arg(long, conflicts_with = "only")]
    markdown: bool,
}

/// Prints Haiku's system calls and how far each is supported.
pub(crate) fn syscalls(args: &SyscallsArgs) -> Result<()> {
    if args.markdown {
        print!("{}", coverage::markdown());
        return Ok(());
    }
    for call in hokku_syscall_bridge::TABLE {
        let word = call.support.word();
        if args.only.as_deref().is_none_or(|only| only == word) {
            println!("{:<36} {word:<8} {}", call.name, call.support.reason());
        }
    }
    if args.only.is_none() {
        println!("{}", coverage::summary());
    }
    Ok(())
}
