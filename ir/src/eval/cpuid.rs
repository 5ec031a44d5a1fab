//! Processor models that a guest can find itself on. Source: Intel SDM vol. 2A, `CPUID`.

use crate::features::{CPUID_BITS, CpuFeatures, CpuidWord};

/// A processor: what it can do, and what `cpuid` says of it. A model promises no more than the front end translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuModel {
    /// Name, as on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// What it can do.
    pub features: CpuFeatures,
    /// Leaf 0.
    vendor: &'static [u8; 12],
    /// Leaf 1, eax: family, model, stepping.
    signature: u32,
    /// Leaf 1, edx: what kernels alone use.
    kernel_edx: u32,
    /// Highest basic leaf.
    last_leaf: u32,
    /// Highest extended leaf; zero where there are none.
    last_extended: u32,
}

/// Twelve characters that no real processor has, so that programs go by feature bits.
const VENDOR: &[u8; 12] = b"HokkuHokku86";
/// For processors of a time when programs looked for names.
const INTEL: &[u8; 12] = b"GenuineIntel";

/// Leaf 1, edx, for kernels. The Pentium: VME, DE, PSE, MSR, MCE.
const KERNEL_P5: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 7;
/// The P6 and later: also PAE, APIC, MTRR, PGE, MCA, PAT, PSE-36.
const KERNEL_P6: u32 = KERNEL_P5 | 1 << 6 | 1 << 9 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 16 | 1 << 17;

/// Cache line size in bytes.
const LINE: u32 = 64;

/// XCR0 and XSAVE's components: x87, SSE, the upper halves of AVX registers.
const XCR0_SSE: u64 = 3;
const XCR0_AVX: u64 = 7;
/// XSAVE's standard form: where the upper halves are, how long they are, and the area with them.
const AVX_OFFSET: u32 = 576;
const AVX_BYTES: u32 = 256;

impl CpuModel {
    /// The Pentium of 1993.
    pub const PENTIUM: CpuModel = CpuModel {
        name: "pentium",
        about: "Pentium: 32-bit, x87 alone",
        features: CpuFeatures::PENTIUM,
        vendor: INTEL,
        // Family 5, model 2, stepping 12: P54C.
        signature: 0x52c,
        kernel_edx: KERNEL_P5,
        last_leaf: 1,
        last_extended: 0,
    };

    /// The Pentium of 1997, with MMX.
    pub const I586: CpuModel = CpuModel {
        name: "i586",
        about: "Pentium with MMX: 32-bit",
        features: CpuFeatures::I586,
        // Family 5, model 4, stepping 3: P55C.
        signature: 0x543,
        ..CpuModel::PENTIUM
    };

    /// The Pentium III: BeOS 5's time.
    pub const PENTIUM3: CpuModel = CpuModel {
        name: "pentium3",
        about: "Pentium III: 32-bit, MMX, SSE",
        features: CpuFeatures::PENTIUM3,
        vendor: INTEL,
        // Family 6, model 8, stepping 3: Coppermine.
        signature: 0x683,
        kernel_edx: KERNEL_P6,
        last_leaf: 2,
        last_extended: 0,
    };

    /// The x86-64 baseline with `cmpxchg16b` and `lahf`; for 32-bit programs an i686 with SSE2.
    pub const X86_64_V1: CpuModel = CpuModel {
        name: "x86-64-v1",
        about: "64-bit baseline: to SSE2",
        features: CpuFeatures::X86_64_V1,
        vendor: VENDOR,
        // Family 6, model 15, stepping 0: a P6 or later to programs that look.
        signature: 0x6f0,
        kernel_edx: KERNEL_P6,
        last_leaf: 4,
        last_extended: 0x8000_0008,
    };

    /// x86-64-v2.
    pub const X86_64_V2: CpuModel = CpuModel {
        name: "x86-64-v2",
        about: "to SSE4.2 and popcnt",
        features: CpuFeatures::X86_64_V2,
        // Family 6, model 26, stepping 5.
        signature: 0x106a5,
        last_leaf: 0xb,
        ..CpuModel::X86_64_V1
    };

    /// x86-64-v3 and what processors of its time had besides: AES, carry-less multiplication, SHA, random numbers, ADX.
    pub const X86_64_V3: CpuModel = CpuModel {
        name: "x86-64-v3",
        about: "AVX2, BMI, FMA, and AES, SHA, ADX, random numbers",
        features: CpuFeatures::X86_64_V3,
        // Family 6, model 126, stepping 5.
        signature: 0x706e5,
        last_leaf: 0xd,
        ..CpuModel::X86_64_V1
    };

    /// What a guest gets unless another one is asked for: everything that is translated.
    pub const DEFAULT: CpuModel = CpuModel::X86_64_V3;

    /// All models, each with the features of those before it.
    pub const ALL: &'static [CpuModel] = &[
        CpuModel::PENTIUM,
        CpuModel::I586,
        CpuModel::PENTIUM3,
        CpuModel::X86_64_V1,
        CpuModel::X86_64_V2,
        CpuModel::X86_64_V3,
    ];

    /// The model called `name`.
    pub fn from_name(name: &str) -> Option<CpuModel> {
        CpuModel::ALL.iter().find(|m| m.name == name).copied()
    }

    /// Whether it runs 64-bit code.
    pub fn has_long_mode(&self) -> bool {
        self.features.contains(CpuFeatures::LM)
    }

    /// eax, ebx, ecx, edx of a leaf; zero for leaves that the model does not have.
    pub fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let last = if leaf < 0x8000_0000 { self.last_leaf } else { self.last_extended };
        if leaf > last {
            return [0; 4];
        }
        let mut words = self.facts(leaf, subleaf);
        for (feature, CpuidWord { leaf: l, subleaf: s, register }, bit) in CPUID_BITS {
            // Leaf 1 and the extended ones have no subleaves.
            let has_subleaves = matches!(leaf, 7 | 0xd);
            if *l == leaf && (*s == subleaf || !has_subleaves) && self.features.contains(*feature) {
                words[*register] |= 1 << bit;
            }
        }
        words
    }

    /// What a leaf says beside feature bits.
    fn facts(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let word = |bytes: &[u8], at: usize| {
            let byte = |i: usize| u32::from(bytes.get(at + i).copied().unwrap_or(0)) << (8 * i);
            byte(0) | byte(1) | byte(2) | byte(3)
        };
        let flushes = self.features.contains(CpuFeatures::CLFSH);
        match leaf {
            0 => [self.last_leaf, word(self.vendor, 0), word(self.vendor, 8), word(self.vendor, 4)],
            // ebx: line size in eight bytes, one logical processor.
            1 => [self.signature, if flushes { (LINE / 8) << 8 | 1 << 16 } else { 0 }, 0, self.kernel_edx],
            // Descriptors of caches: those of the Pentium III, or "see leaf 4".
            2 if self.last_leaf < 4 => [0x0302_0101, 0, 0, 0x0c04_0882],
            2 => [0xff01, 0, 0, 0],
            4 => cache(subleaf),
            // One thread in one core in one package.
            0xb if subleaf < 2 => [0, 1, (subleaf + 1) << 8 | subleaf, 0],
            0xb => [0, 0, subleaf & 0xff, 0],
            0xd => self.xsave_facts(subleaf),
            0x8000_0000 => [self.last_extended, 0, 0, 0],
            0x8000_0002..=0x8000_0004 => {
                let brand = format!("hokku {} virtual processor", self.name);
                let at = (leaf - 0x8000_0002) as usize * 16;
                std::array::from_fn(|i| word(brand.as_bytes(), at + 4 * i))
            }
            // ecx: L2 of 256 KiB, 8-way.
            0x8000_0006 => [0, 0, 256 << 16 | 6 << 12 | LINE, 0],
            // eax: 48 bits of linear, 40 of physical addresses.
            0x8000_0008 => [48 << 8 | 40, 0, 0, 0],
            _ => [0; 4],
        }
    }

    /// Leaf 0xd: components of the extended state and the sizes of XSAVE areas, all enabled.
    fn xsave_facts(&self, subleaf: u32) -> [u32; 4] {
        let size = self.xsave_bytes();
        match subleaf {
            0 => [self.xcr0() as u32, size, size, 0],
            1 => [0, size, 0, 0],
            2 if self.xcr0() & 4 != 0 => [AVX_BYTES, AVX_OFFSET, 0, 0],
            _ => [0; 4],
        }
    }

    /// Size of an XSAVE area with all components.
    pub fn xsave_bytes(&self) -> u32 {
        if self.xcr0() & 4 != 0 { AVX_OFFSET + AVX_BYTES } else { AVX_OFFSET }
    }

    /// XCR0: the state components that the kernel has enabled.
    pub fn xcr0(&self) -> u64 {
        if self.features.contains(CpuFeatures::AVX) { XCR0_AVX } else { XCR0_SSE }
    }
}

/// Leaf 4: data, instruction, second-level and shared third-level cache.
fn cache(number: u32) -> [u32; 4] {
    let (kind, level, kib, ways) = match number {
        0 => (1, 1, 32, 8),
        1 => (2, 1, 32, 8),
        2 => (3, 2, 256, 8),
        3 => (3, 3, 8192, 16),
        _ => return [0; 4],
    };
    let sets = kib * 1024 / (ways * LINE);
    // Self-initialising; for one thread, in a package with one core.
    [kind | level << 5 | 1 << 8, (LINE - 1) | (ways - 1) << 22, sets - 1, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_spelt_in_register_order() {
        for model in CpuModel::ALL {
            let [_, ebx, ecx, edx] = model.cpuid(0, 0);
            let vendor: Vec<u8> = [ebx, edx, ecx].into_iter().flat_map(u32::to_le_bytes).collect();
            assert_eq!(vendor, model.vendor);
        }
        let brand: Vec<u8> = (0x8000_0002..=0x8000_0004)
            .flat_map(|leaf| CpuModel::X86_64_V3.cpuid(leaf, 0))
            .flat_map(u32::to_le_bytes)
            .take_while(|c| *c != 0)
            .collect();
        assert_eq!(brand, b"hokku x86-64-v3 virtual processor");
    }

    #[test]
    fn baseline_has_sse2_and_nothing_later() {
        let [_, _, ecx, edx] = CpuModel::X86_64_V1.cpuid(1, 0);
        assert_eq!(edx >> 23 & 15, 15);
        // SSE3, SSSE3, SSE4.1, SSE4.2, OSXSAVE, AVX.
        assert_eq!(ecx & (1 | 1 << 9 | 3 << 19 | 3 << 27), 0);
        assert_eq!(CpuModel::X86_64_V1.cpuid(7, 0), [0; 4]);
    }

    #[test]
    fn the_pentium_says_what_the_pentium_said() {
        assert_eq!(CpuModel::PENTIUM.cpuid(1, 0), [0x52c, 0, 0, 0x1bf]);
        assert_eq!(CpuModel::I586.cpuid(1, 0), [0x543, 0, 0, 0x80_01bf]);
        assert_eq!(CpuModel::PENTIUM3.cpuid(1, 0), [0x683, 0, 0, 0x383_fbff]);
        assert_eq!(CpuModel::PENTIUM.cpuid(0x8000_0000, 0), [0; 4]);
    }

    #[test]
    fn v3_has_what_its_level_asks_for() {
        let model = CpuModel::X86_64_V3;
        let [_, _, ecx, _] = model.cpuid(1, 0);
        // FMA, MOVBE, OSXSAVE, AVX, F16C.
        let wanted = 1 << 12 | 1 << 22 | 1 << 27 | 1 << 28 | 1 << 29;
        assert_eq!(ecx & wanted, wanted);
        let [_, ebx, ..] = model.cpuid(7, 0);
        // BMI1, AVX2, BMI2.
        assert_eq!(ebx & (1 << 3 | 1 << 5 | 1 << 8), 1 << 3 | 1 << 5 | 1 << 8);
        // LZCNT.
        assert_eq!(model.cpuid(0x8000_0001, 0)[2] & 1 << 5, 1 << 5);
        assert_eq!(model.cpuid(0xd, 0), [7, 832, 832, 0]);
        assert_eq!(model.cpuid(0xd, 1), [7, 832, 0, 0]);
        assert_eq!(model.cpuid(0xd, 2), [256, 576, 0, 0]);
        assert_eq!(model.cpuid(7, 1), [0; 4]);
    }

    #[test]
    fn later_models_have_the_features_of_earlier_ones() {
        for pair in CpuModel::ALL.windows(2) {
            assert!(pair[1].features.contains(pair[0].features), "{}", pair[1].name);
        }
        assert_eq!(CpuModel::from_name("i586"), Some(CpuModel::I586));
        assert_eq!(CpuModel::from_name("i486"), None);
    }

    #[test]
    fn caches_have_their_sizes() {
        let [eax, ebx, ecx, _] = CpuModel::X86_64_V2.cpuid(4, 2);
        assert_eq!(eax & 31, 3);
        assert_eq!(((ebx >> 22) + 1) * ((ebx & 0xfff) + 1) * (ecx + 1), 256 << 10);
        assert_eq!(CpuModel::X86_64_V2.cpuid(4, 4), [0; 4]);
    }
}
