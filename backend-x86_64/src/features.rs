//! What the host processor has beyond SSE2.

macro_rules! features {
    ($($(#[doc = $doc:expr])* $NAME:ident = $bit:literal $text:tt;)*) => {
        bitflags::bitflags! {
            /// Instruction sets of the host beyond SSE2. What needs one that is missing is done by other instructions or by a callout.
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct Features: u32 {
                $($(#[doc = $doc])* const $NAME = 1 << $bit;)*
            }
        }

        impl Features {
            /// The features of the processor that this runs on, as far as its system lets programs use them.
            #[cfg(target_arch = "x86_64")]
            pub fn detect() -> Features {
                let mut found = Features::empty();
                $(found.set(Features::$NAME, detected!($text));)*
                found
            }
        }
    };
}

/// Whether the processor that this runs on has the feature: by a question of our own, or by its name.
#[cfg(target_arch = "x86_64")]
macro_rules! detected {
    (($ask:expr)) => {
        $ask
    };
    ($name:tt) => {
        std::is_x86_feature_detected!($name)
    };
}

/// Fast short `rep movsb`. Source: Intel SDM vol. 2A, CPUID, leaf 7: EDX bit 4.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer compilers take the instruction for safe")]
fn moves_bytes_fast() -> bool {
    use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
    // SAFETY: each processor that has long mode has the instruction.
    unsafe { __get_cpuid_max(0).0 >= 7 && __cpuid_count(7, 0).edx & 1 << 4 != 0 }
}

/// The processor has MM in mxcsr. Source: AMD64 Architecture Programmer's Manual vol. 3, CPUID Fn8000_0001: ECX bit 7, MisAlignSse.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer compilers take the instruction for safe")]
fn masks_misalignment() -> bool {
    use std::arch::x86_64::{__cpuid, __get_cpuid_max};
    const EXTENDED: u32 = 0x8000_0000;
    // SAFETY: each processor that has long mode has the instruction.
    unsafe { __get_cpuid_max(EXTENDED).0 > EXTENDED && __cpuid(EXTENDED + 1).ecx & 1 << 7 != 0 }
}

/// The processor is AMD's or of its kind. Source: AMD64 Architecture Programmer's Manual vol. 3, CPUID Fn0000_0000: the vendor.
#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe, reason = "newer compilers take the instruction for safe")]
fn is_amd() -> bool {
    use std::arch::x86_64::__cpuid;
    // SAFETY: each processor that has long mode has the instruction.
    let vendor = unsafe { __cpuid(0) };
    let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat();
    name == b"AuthenticAMD" || name == b"HygonGenuine"
}

features! {
    /// `addsubps`, `haddps`, `movddup`, ...
    SSE3 = 0 "sse3";
    /// `pshufb`, `palignr`, `pabsb`, ...
    SSSE3 = 1 "ssse3";
    /// `blendps`, `ptest`, `roundps`, `pmovzx`, ...
    SSE41 = 2 "sse4.1";
    /// `pcmpgtq`, `pcmpistri`, `crc32`.
    SSE42 = 3 "sse4.2";
    /// `aesenc`, ...
    AES = 4 "aes";
    /// `pclmulqdq`.
    PCLMUL = 5 "pclmulqdq";
    /// `sha1rnds4`, `sha256rnds2`, ...
    SHA = 6 "sha";
    /// 256-bit registers and VEX encodings.
    AVX = 7 "avx";
    /// Integer instructions on 256 bits, gathers.
    AVX2 = 8 "avx2";
    /// Fused multiplication and addition.
    FMA = 9 "fma";
    /// Half-precision conversions.
    F16C = 10 "f16c";
    /// `andn`, `bextr`, `blsr`, `tzcnt`, ...
    BMI1 = 11 "bmi1";
    /// `shlx`, `pdep`, `mulx`, ...
    BMI2 = 12 "bmi2";
    /// `lzcnt`.
    LZCNT = 13 "lzcnt";
    /// `popcnt`.
    POPCNT = 14 "popcnt";
    /// `adcx`, `adox`.
    ADX = 15 "adx";
    /// `movbe`.
    MOVBE = 16 "movbe";
    /// `rdrand`.
    RDRAND = 17 "rdrand";
    /// `rdseed`.
    RDSEED = 18 "rdseed";
    /// `cmpxchg16b`.
    CMPXCHG16B = 19 "cmpxchg16b";
    /// `rep movsb` is fast for few bytes too.
    FSRM = 20 (moves_bytes_fast());
    /// `ldmxcsr` refuses bit 17, as the guest's processors do: there is no mask of the exception for operands that are not aligned.
    MXCSR_WITHOUT_MM = 21 (!masks_misalignment());
    /// `fldcw` is slow where another is close: found by measuring, Zen 3 stops for 400 cycles at some of the places that two of them with an x87
    /// instruction between can have, and at none where each begins 32 bytes.
    FLDCW_APART = 22 (is_amd());
}

impl Features {
    /// What no host has: the need of an encoding that does not exist.
    pub(crate) const NEVER: Features = Features::from_bits_retain(1 << 31);

    /// No x86-64 processor here: code for any.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn detect() -> Features {
        Features::empty()
    }
}
