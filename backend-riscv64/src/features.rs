//! What the host processor has beside RV64GC.

use hokku_ir::host_features::{self, UnknownFeature};

bitflags::bitflags! {
    /// Extensions that make code shorter or faster. Code for fewer of them runs on every host that has more.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u32 {
        /// Additions with a shifted or zero-extended operand.
        const ZBA = 1;
        /// Rotations, counts of bits, extensions, minimum and maximum.
        const ZBB = 1 << 1;
        /// Single bits.
        const ZBS = 1 << 2;
        /// Conditional zero.
        const ZICOND = 1 << 3;
        /// Compare and swap.
        const ZACAS = 1 << 4;
        /// Total store order.
        const ZTSO = 1 << 5;
        /// Vectors.
        const V = 1 << 6;
    }
}

/// Bit in `riscv_hwprobe`'s key 4 (IMA_EXT_0). Source: Linux `Documentation/arch/riscv/hwprobe.rst`.
const BITS: [(Features, u32); 7] = [
    (Features::ZBA, 3),
    (Features::ZBB, 4),
    (Features::ZBS, 5),
    (Features::ZICOND, 35),
    (Features::ZACAS, 34),
    (Features::ZTSO, 33),
    (Features::V, 2),
];

impl Features {
    /// Those that `riscv_hwprobe` tells of in the value of its key IMA_EXT_0.
    pub fn from_hwprobe(extensions: u64) -> Features {
        BITS.iter().filter(|b| extensions >> b.1 & 1 != 0).map(|b| b.0).collect()
    }

    /// Those that AT_HWCAP tells of: single-letter extensions by their place in the alphabet.
    pub fn from_hwcap(hwcap: u64) -> Features {
        if hwcap >> (b'v' - b'a') & 1 != 0 { Features::V } else { Features::empty() }
    }

    /// Those that `list` names, separated by commas; an empty list is RV64GC alone.
    pub fn from_names(list: &str) -> Result<Features, UnknownFeature> {
        host_features::from_names("riscv64", list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_come_from_the_kernel_or_from_names() {
        assert_eq!(Features::from_hwprobe(1 << 3 | 1 << 5 | 1), Features::ZBA | Features::ZBS);
        assert_eq!(Features::from_hwcap(1 << 21 | 1), Features::V);
        assert_eq!(Features::from_names("zba, v"), Ok(Features::ZBA | Features::V));
    }

    #[test]
    fn each_feature_can_be_told_of() {
        let all: Features = BITS.iter().map(|b| b.0).collect();
        assert_eq!(all, Features::all());
    }
}
