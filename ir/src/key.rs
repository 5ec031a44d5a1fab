//! Names of translated code.

use crate::features::CpuFeatures;
use crate::guest::GuestAddr;
use crate::operand::Width;
use crate::ops::Op;

/// The word size that guest code runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuMode {
    /// 32-bit protected mode, flat segments: x86 Haiku and BeOS programs.
    Protected32,
    /// 64-bit mode: x86_64 Haiku programs.
    Long64,
}

impl CpuMode {
    /// Width of an address, of a stack slot and of `size_t`.
    pub fn word(self) -> Width {
        match self {
            CpuMode::Protected32 => Width::W32,
            CpuMode::Long64 => Width::W64,
        }
    }

    /// Number of general registers: 8 or 16.
    pub fn gpr_count(self) -> usize {
        match self {
            CpuMode::Protected32 => 8,
            CpuMode::Long64 => 16,
        }
    }
}

/// What x87 instructions compute in: decision 7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum X87Arithmetic {
    /// 80-bit extended values, as the processor does: bit for bit.
    #[default]
    Exact,
    /// IEEE doubles: faster on hosts without an x87 unit.
    Double,
}

impl X87Arithmetic {
    /// Whether `op` is one on the x87 stack alone that raises nothing, whatever it finds there: in doubles exceptions are not delivered.
    pub fn never_faults(self, op: &Op) -> bool {
        self == X87Arithmetic::Double
            && matches!(
                op,
                Op::X87Push { .. }
                    | Op::X87PushConst { .. }
                    | Op::X87Copy { .. }
                    | Op::X87Exchange { .. }
                    | Op::X87Arith { .. }
                    | Op::X87Compare { .. }
                    | Op::X87CompareFlags { .. }
                    | Op::X87UnaryOp { .. }
                    | Op::X87Cmov { .. }
                    | Op::X87Free { .. }
            )
    }

    /// Name on the command line and in the text form: `exact`, `f64`.
    pub fn name(self) -> &'static str {
        match self {
            X87Arithmetic::Exact => "exact",
            X87Arithmetic::Double => "f64",
        }
    }

    /// The one with that name.
    pub fn from_name(name: &str) -> Option<X87Arithmetic> {
        [X87Arithmetic::Exact, X87Arithmetic::Double].into_iter().find(|a| a.name() == name)
    }
}

/// All that a region's code was specialised for: two guest states with equal keys may run the same code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockKey {
    /// Address of the first guest instruction.
    pub pc: GuestAddr,
    /// Word size.
    pub mode: CpuMode,
    /// x87 top of stack, for back ends that resolve stack positions when they translate; `None` where the host tracks it itself.
    pub x87_top: Option<u8>,
    /// What x87 instructions compute in: what the engine has chosen ([`crate::backend::Backend::x87_arithmetic`]).
    pub x87: X87Arithmetic,
    /// Whether memory accesses must follow x86's total store order (design D9).
    pub ordered: bool,
    /// Whether the trap flag was set: one instruction, then a trap.
    pub single_step: bool,
    /// What the guest's processor can do: other encodings are invalid.
    pub features: CpuFeatures,
}

impl BlockKey {
    /// The key of ordinary code at `pc`: unordered memory, no single step, x87 exact and its top left to the host, a processor with all features.
    pub fn new(pc: GuestAddr, mode: CpuMode) -> Self {
        BlockKey {
            pc,
            mode,
            x87_top: None,
            x87: X87Arithmetic::Exact,
            ordered: false,
            single_step: false,
            features: CpuFeatures::all(),
        }
    }
}
