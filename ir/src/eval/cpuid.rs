//! Processor models that a guest can find itself on. Source: Intel SDM vol. 2A, `CPUID`.

/// What `cpuid` says. A model promises no more than the front end translates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuModel {
    /// Name, as on the command line.
    pub name: &'static str,
    /// Leaf 0: twelve characters that no real processor has, so that programs go by feature bits.
    vendor: &'static [u8; 12],
    /// Leaves 0x8000_0002 to 0x8000_0004: at most 47 characters.
    brand: &'static str,
    /// Leaf 1, eax: family, model, stepping.
    signature: u32,
    /// Leaf 1, ecx.
    features_ecx: u32,
    /// Leaf 1, edx.
    features_edx: u32,
    /// Leaf 0x8000_0001, ecx.
    extended_ecx: u32,
    /// Leaf 0x8000_0001, edx.
    extended_edx: u32,
}

/// Leaf 1, ecx.
const CMPXCHG16B: u32 = 1 << 13;
/// Leaf 1, edx: what a user program can use up to SSE2.
const FPU: u32 = 1;
const TSC: u32 = 1 << 4;
const CMPXCHG8B: u32 = 1 << 8;
const SYSENTER: u32 = 1 << 11;
const CMOV: u32 = 1 << 15;
const CLFLUSH: u32 = 1 << 19;
const MMX: u32 = 1 << 23;
const FXSR: u32 = 1 << 24;
const SSE: u32 = 1 << 25;
const SSE2: u32 = 1 << 26;
/// Leaf 0x8000_0001.
const LAHF_IN_LONG_MODE: u32 = 1;
const SYSCALL: u32 = 1 << 11;
const NO_EXECUTE: u32 = 1 << 20;
const LONG_MODE: u32 = 1 << 29;

/// Cache line size in bytes.
const LINE: u32 = 64;

impl CpuModel {
    /// The x86-64 baseline (x86-64-v1) with `cmpxchg16b` and `lahf`; for 32-bit programs an i686 with SSE2.
    pub const X86_64_V1: CpuModel = CpuModel {
        name: "x86-64-v1",
        vendor: b"HokkuHokku86",
        brand: "hokku x86-64-v1 virtual processor",
        // Family 6, model 15, stepping 0: a P6 or later to programs that look.
        signature: 0x6f0,
        features_ecx: CMPXCHG16B,
        features_edx: FPU | TSC | CMPXCHG8B | SYSENTER | CMOV | CLFLUSH | MMX | FXSR | SSE | SSE2,
        extended_ecx: LAHF_IN_LONG_MODE,
        extended_edx: SYSCALL | NO_EXECUTE | LONG_MODE,
    };

    /// eax, ebx, ecx, edx of a leaf; zero for leaves that the model does not have.
    pub fn cpuid(&self, leaf: u32, _subleaf: u32) -> [u32; 4] {
        let word = |bytes: &[u8], at: usize| {
            let byte = |i: usize| u32::from(bytes.get(at + i).copied().unwrap_or(0)) << (8 * i);
            byte(0) | byte(1) | byte(2) | byte(3)
        };
        match leaf {
            0 => [1, word(self.vendor, 0), word(self.vendor, 8), word(self.vendor, 4)],
            // ebx: line size in eight bytes, one logical processor.
            1 => [self.signature, ((LINE / 8) << 8) | 1 << 16, self.features_ecx, self.features_edx],
            0x8000_0000 => [0x8000_0008, 0, 0, 0],
            0x8000_0001 => [0, 0, self.extended_ecx, self.extended_edx],
            0x8000_0002..=0x8000_0004 => {
                let at = (leaf - 0x8000_0002) as usize * 16;
                std::array::from_fn(|i| word(self.brand.as_bytes(), at + 4 * i))
            }
            // ecx: L2 of 256 KiB, 8-way.
            0x8000_0006 => [0, 0, 256 << 16 | 6 << 12 | LINE, 0],
            // eax: 48 bits of linear, 40 of physical addresses.
            0x8000_0008 => [48 << 8 | 40, 0, 0, 0],
            _ => [0; 4],
        }
    }

    /// XCR0: x87 and SSE state.
    pub fn xcr0(&self) -> u64 {
        3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_spelt_in_register_order() {
        let model = CpuModel::X86_64_V1;
        let [_, ebx, ecx, edx] = model.cpuid(0, 0);
        let vendor: Vec<u8> = [ebx, edx, ecx].into_iter().flat_map(u32::to_le_bytes).collect();
        assert_eq!(vendor, model.vendor);
        let brand: Vec<u8> = (0x8000_0002..=0x8000_0004)
            .flat_map(|leaf| model.cpuid(leaf, 0))
            .flat_map(u32::to_le_bytes)
            .take_while(|c| *c != 0)
            .collect();
        assert_eq!(brand, model.brand.as_bytes());
        assert!(brand.len() < 48);
    }

    #[test]
    fn baseline_has_sse2_and_nothing_later() {
        let [_, _, ecx, edx] = CpuModel::X86_64_V1.cpuid(1, 0);
        assert_eq!(edx >> 23 & 15, 15);
        // SSE3, SSSE3, SSE4.1, SSE4.2, OSXSAVE, AVX.
        assert_eq!(ecx & (1 | 1 << 9 | 3 << 19 | 3 << 27), 0);
        assert_eq!(CpuModel::X86_64_V1.cpuid(7, 0), [0; 4]);
    }
}
