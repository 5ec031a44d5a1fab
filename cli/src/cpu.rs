//! `--cpu`: the guest's processor.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use hokku_ir::eval::cpuid::CpuModel;

/// The option of all commands that translate code.
#[derive(Clone, Debug, Args)]
pub(crate) struct CpuOption {
    /// Processor that the program finds: what it does not have is an invalid opcode
    #[arg(long = "cpu", value_name = "MODEL", default_value = CpuModel::DEFAULT.name, value_parser = models())]
    pub(crate) model: CpuModel,
}

fn models() -> impl TypedValueParser<Value = CpuModel> {
    PossibleValuesParser::new(CpuModel::ALL.iter().map(|m| m.name))
        .try_map(|name| CpuModel::from_name(&name).ok_or_else(|| format!("there is no processor model {name}")))
}
