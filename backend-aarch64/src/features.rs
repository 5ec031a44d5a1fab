//! What the host processor has beside the base architecture (Armv8.0-A with NEON).

use std::fmt;

bitflags::bitflags! {
    /// Extensions that make code shorter or faster. Code for fewer of them runs on every host that has more.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u32 {
        /// Atomic read-modify-write instructions.
        const LSE = 1;
        /// `ldapr`.
        const LRCPC = 1 << 1;
        /// `ldapur`, `stlur`.
        const LRCPC2 = 1 << 2;
        /// `cfinv`, `rmif`.
        const FLAGM = 1 << 3;
        /// `axflag`.
        const FLAGM2 = 1 << 4;
        /// NaNs and denormals as on x86 (FPCR.AH).
        const AFP = 1 << 5;
        /// `crc32c*`.
        const CRC32 = 1 << 6;
        /// `aese` and kin.
        const AES = 1 << 7;
        /// 64-bit `pmull`.
        const PMULL = 1 << 8;
        /// `frint32z` and kin.
        const FRINT = 1 << 9;
        /// Single-copy atomic 16-byte accesses, and atomics within 16 aligned bytes.
        const LSE2 = 1 << 10;
        /// SHA-1 instructions.
        const SHA1 = 1 << 11;
        /// SHA-256 instructions.
        const SHA2 = 1 << 12;
    }
}

/// Name, place in AT_HWCAP (0) or AT_HWCAP2 (1), and bit. Source: Linux `arch/arm64/include/uapi/asm/hwcap.h`.
const BITS: [(Features, &str, usize, u32); 13] = [
    (Features::LSE, "lse", 0, 8),
    (Features::LRCPC, "lrcpc", 0, 15),
    (Features::LRCPC2, "lrcpc2", 0, 26),
    (Features::FLAGM, "flagm", 0, 27),
    (Features::FLAGM2, "flagm2", 1, 7),
    (Features::AFP, "afp", 1, 20),
    (Features::CRC32, "crc32", 0, 7),
    (Features::AES, "aes", 0, 3),
    (Features::PMULL, "pmull", 0, 4),
    (Features::FRINT, "frint", 1, 8),
    (Features::LSE2, "lse2", 0, 25),
    (Features::SHA1, "sha1", 0, 5),
    (Features::SHA2, "sha2", 0, 6),
];

/// A name that is not a feature's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFeature(String);

impl fmt::Display for UnknownFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = BITS.iter().map(|b| b.1).collect();
        write!(f, "aarch64 has no feature `{}`; it has {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFeature {}

impl Features {
    /// Those that the kernel tells of in AT_HWCAP and AT_HWCAP2.
    pub fn from_hwcap(hwcap: u64, hwcap2: u64) -> Features {
        let words = [hwcap, hwcap2];
        BITS.iter().filter(|b| words[b.2] >> b.3 & 1 != 0).map(|b| b.0).collect()
    }

    /// Those that `list` names, separated by commas; an empty list is the base architecture.
    pub fn from_names(list: &str) -> Result<Features, UnknownFeature> {
        let one = |name: &str| BITS.iter().find(|b| b.1 == name).map(|b| b.0).ok_or(UnknownFeature(name.into()));
        list.split(',').map(str::trim).filter(|n| !n.is_empty()).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_come_from_the_kernel_or_from_names() {
        assert_eq!(Features::from_hwcap(1 << 8 | 1 << 27, 1 << 20), Features::LSE | Features::FLAGM | Features::AFP);
        assert_eq!(Features::from_names("lse, flagm"), Ok(Features::LSE | Features::FLAGM));
        assert_eq!(Features::from_names(""), Ok(Features::empty()));
        let error = Features::from_names("avx").unwrap_err().to_string();
        assert!(error.starts_with("aarch64 has no feature `avx`; it has lse,"), "{error}");
    }

    #[test]
    fn each_feature_has_a_name() {
        let all: Features = BITS.iter().map(|b| b.0).collect();
        assert_eq!(all, Features::all());
    }
}
