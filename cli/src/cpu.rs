//! `--cpu` and `--x87`: the guest's processor.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use hokku_ir::X87Arithmetic;
use hokku_ir::eval::cpuid::CpuModel;

/// The options of all commands that translate code.
#[derive(Clone, Debug, Args)]
pub(crate) struct CpuOption {
    /// Processor that the program finds: what it does not have is an invalid opcode
    #[arg(long = "cpu", value_name = "MODEL", default_value = CpuModel::DEFAULT.name, value_parser = models())]
    pub(crate) model: CpuModel,
    /// What x87 instructions compute in: `exact` is 80 bit as on the processor; `f64` lets hosts without an x87 unit use IEEE doubles, which is
    /// faster and less precise
    #[arg(long, value_name = "ARITHMETIC", default_value = X87Arithmetic::Exact.name(), value_parser = arithmetics())]
    pub(crate) x87: X87Arithmetic,
}

fn arithmetics() -> impl TypedValueParser<Value = X87Arithmetic> {
    PossibleValuesParser::new([X87Arithmetic::Exact.name(), X87Arithmetic::Double.name()])
        .try_map(|name| X87Arithmetic::from_name(&name).ok_or_else(|| format!("there is no x87 arithmetic {name}")))
}

fn models() -> impl TypedValueParser<Value = CpuModel> {
    PossibleValuesParser::new(CpuModel::ALL.iter().map(|m| m.name))
        .try_map(|name| CpuModel::from_name(&name).ok_or_else(|| format!("there is no processor model {name}")))
}
