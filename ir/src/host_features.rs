//! Names of what a host processor can do, as users write them: the constants of a back end's `Features` in lower case.

use std::fmt;

use bitflags::Flags;

/// A name that is not a feature's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFeature {
    name: String,
    host: &'static str,
    known: Vec<String>,
}

impl fmt::Display for UnknownFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has no feature `{}`; it has {}", self.host, self.name, self.known.join(", "))
    }
}

impl std::error::Error for UnknownFeature {}

/// Those features of processor family `host` that `list` names, separated by commas; an empty list names none.
pub fn from_names<F: Flags + Copy>(host: &'static str, list: &str) -> Result<F, UnknownFeature> {
    let names = || F::FLAGS.iter().map(|flag| flag.name().to_ascii_lowercase());
    let mut features = F::empty();
    for name in list.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let at = names().position(|known| known == name);
        let at = at.ok_or_else(|| UnknownFeature { name: name.into(), host, known: names().collect() })?;
        features.insert(*F::FLAGS[at].value());
    }
    Ok(features)
}

#[cfg(test)]
mod tests {
    use super::*;

    bitflags::bitflags! {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        struct Features: u8 {
            const ZBA = 1;
            const V = 2;
        }
    }

    #[test]
    fn names_are_the_constants() {
        assert_eq!(from_names("riscv64", "v, zba"), Ok(Features::all()));
        assert_eq!(from_names("riscv64", ""), Ok(Features::empty()));
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = from_names::<Features>("riscv64", "zba,avx").unwrap_err().to_string();
        assert_eq!(error, "riscv64 has no feature `avx`; it has zba, v");
    }
}
