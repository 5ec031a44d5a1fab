//! What the host processor has beside the base architecture (Armv8.0-A with NEON).

use hokku_ir::host_features::{self, UnknownFeature};

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

/// Place in AT_HWCAP (0) or AT_HWCAP2 (1), and bit. Source: Linux `arch/arm64/include/uapi/asm/hwcap.h`.
const BITS: [(Features, usize, u32); 13] = [
    (Features::LSE, 0, 8),
    (Features::LRCPC, 0, 15),
    (Features::LRCPC2, 0, 26),
    (Features::FLAGM, 0, 27),
    (Features::FLAGM2, 1, 7),
    (Features::AFP, 1, 20),
    (Features::CRC32, 0, 7),
    (Features::AES, 0, 3),
    (Features::PMULL, 0, 4),
    (Features::FRINT, 1, 8),
    (Features::LSE2, 0, 25),
    (Features::SHA1, 0, 5),
    (Features::SHA2, 0, 6),
];

impl Features {
    /// Those that the kernel tells of in AT_HWCAP and AT_HWCAP2.
    pub fn from_hwcap(hwcap: u64, hwcap2: u64) -> Features {
        let words = [hwcap, hwcap2];
        BITS.iter().filter(|b| words[b.1] >> b.2 & 1 != 0).map(|b| b.0).collect()
    }

    /// Those that `list` names, separated by commas; an empty list is the base architecture.
    pub fn from_names(list: &str) -> Result<Features, UnknownFeature> {
        host_features::from_names("aarch64", list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_come_from_the_kernel_or_from_names() {
        assert_eq!(Features::from_hwcap(1 << 8 | 1 << 27, 1 << 20), Features::LSE | Features::FLAGM | Features::AFP);
        assert_eq!(Features::from_names("lse, flagm"), Ok(Features::LSE | Features::FLAGM));
    }

    #[test]
    fn each_feature_can_be_told_of() {
        let all: Features = BITS.iter().map(|b| b.0).collect();
        assert_eq!(all, Features::all());
    }
}
