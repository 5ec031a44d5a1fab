//! When code is translated, and how well: quickly when it runs for the first time, well when it has run often.

use hokku_frontend::Limits;
use hokku_ir::backend::Tier;

/// Which translations there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiers {
    /// The quick one alone.
    First,
    /// The good one alone, at once.
    Second,
    /// The quick one first; the good one of what runs often.
    Both,
}

/// How the tiers work together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiering {
    /// Which there are.
    pub tiers: Tiers,
    /// How many times code of the first tier is entered, or goes round in a loop, until it is translated again. Not zero.
    pub threshold: u32,
    /// Whether a thread of its own does that, while the guest runs on. Else the guest's thread does it, which makes runs repeatable.
    pub background: bool,
    /// Optimisations that are left out: one bits at their places in what the back end's `optimisations` gives.
    pub without: u32,
}

impl Default for Tiering {
    fn default() -> Self {
        Tiering { tiers: Tiers::Both, threshold: 1000, background: true, without: 0 }
    }
}

impl Tiering {
    /// The tier of code that has not been translated yet.
    pub(crate) fn first(&self) -> Tier {
        match self.tiers {
            Tiers::First => Tier::First { counted: false },
            Tiers::Second => Tier::Second,
            Tiers::Both => Tier::First { counted: true },
        }
    }
}

/// How much is translated together.
pub(crate) fn limits(tier: Tier) -> Limits {
    match tier {
        Tier::First { .. } => Limits { max_blocks: 8, max_instructions: 64, ..Limits::default() },
        Tier::Second => Limits::default(),
    }
}
