//! `hokku isa` and `hokku syscalls`: what is covered, printed from the tables themselves.

use anyhow::Result;
use clap::Args;
use hokku_frontend::Status;
use hokku_syscall_bridge::coverage;

/// Options of `hokku isa`.
#[derive(Args)]
pub(crate) struct IsaArgs {
    /// List each encoding that is missing or in no processor model, with its reason
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
            let reason = match encoding.status {
                Status::Translated => continue,
                Status::Missing => "not translated yet",
                Status::Outside(reason) => reason,
            };
            println!("{:<40} {:<24} {reason}", encoding.instruction, encoding.extension);
        }
        return Ok(());
    }
    let (mut translated, mut missing, mut outside) = (0, 0, 0);
    println!("{:<36} {:>10} {:>8} {:>8}  from model", "extension", "translated", "missing", "outside");
    for (extension, counts) in hokku_frontend::by_extension() {
        let models = counts.model_names();
        println!("{extension:<36} {:>10} {:>8} {:>8}  {models}", counts.translated, counts.missing, counts.outside);
        translated += counts.translated;
        missing += counts.missing;
        outside += counts.outside;
    }
    println!("{:<36} {translated:>10} {missing:>8} {outside:>8}", "all");
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
