//! `hokku run`.

use clap::ValueEnum;

/// Word size of the programs that come inside hokku.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Arch {
    /// 64 bit
    #[value(name = "x86_64")]
    X86_64,
    /// 32 bit
    X86,
}
