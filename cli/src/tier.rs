//! The options by which the JIT's tiers are chosen.

use clap::{Args, ValueEnum};
use hokku_runtime::{Tiering, Tiers};

/// How well guest code is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TierName {
    /// Quickly
    #[value(name = "1")]
    First,
    /// Well, the first time already
    #[value(name = "2")]
    Second,
    /// Quickly, and well what runs often
    Both,
}

/// When the JIT translates code, and how well.
#[derive(Args, Clone, Copy)]
pub(crate) struct TierArgs {
    /// How well guest code is translated [default: both]
    #[arg(long, value_enum, hide_short_help = true)]
    tier: Option<TierName>,
    /// How often quickly translated code runs before it is translated well
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    tier_threshold: Option<u32>,
    /// Translate well on the guest's own thread, so that runs are repeatable
    #[arg(long, hide = true)]
    tier_at_once: bool,
    /// Leave optimisations out: names with commas between them
    #[arg(long, value_name = "NAMES", hide = true, value_parser = parse_without)]
    without: Option<u32>,
}

/// The places of the optimisations `names` in the back end's list.
fn parse_without(names: &str) -> Result<u32, String> {
    let back_end = hokku_runtime::back_end();
    let known = back_end.as_deref().map_or(&[][..], |back_end| back_end.optimisations());
    let place = |name: &str| {
        let found = known.iter().position(|k| *k == name);
        found.map(|n| 1 << n).ok_or_else(|| format!("there is no {name}; there are {}", known.join(", ")))
    };
    names.split(',').map(place).try_fold(0, |all, one| Ok(all | one?))
}

impl TierArgs {
    /// What they say.
    pub(crate) fn tiering(self) -> Tiering {
        let usual = Tiering::default();
        Tiering {
            tiers: match self.tier {
                Some(TierName::First) => Tiers::First,
                Some(TierName::Second) => Tiers::Second,
                Some(TierName::Both) => Tiers::Both,
                None => usual.tiers,
            },
            threshold: self.tier_threshold.unwrap_or(usual.threshold),
            background: usual.background && !self.tier_at_once,
            without: self.without.unwrap_or(usual.without),
        }
    }

    /// The arguments again, for another process.
    pub(crate) fn again(self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(name) = self.tier.and_then(|tier| tier.to_possible_value()) {
            arguments.extend(["--tier".into(), name.get_name().into()]);
        }
        if let Some(n) = self.tier_threshold {
            arguments.extend(["--tier-threshold".into(), n.to_string()]);
        }
        if self.tier_at_once {
            arguments.push("--tier-at-once".into());
        }
        if let Some(without) = self.without {
            let back_end = hokku_runtime::back_end();
            let known = back_end.as_deref().map_or(&[][..], |back_end| back_end.optimisations());
            let names: Vec<&str> =
                known.iter().enumerate().filter(|(n, _)| without & 1 << n != 0).map(|(_, name)| *name).collect();
            arguments.extend(["--without".into(), names.join(",")]);
        }
        arguments
    }
}
