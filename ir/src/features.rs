//! What a guest processor can do: the features that decide which encodings are instructions, and where `cpuid` tells of them.
//!
//! Source: Intel SDM vol. 2A, `CPUID`; AMD's extended leaves from AMD64 APM vol. 3, appendix E.

/// A word of `cpuid`'s output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuidWord {
    /// Leaf: eax.
    pub leaf: u32,
    /// Subleaf: ecx, for the leaves that have them.
    pub subleaf: u32,
    /// 0 to 3: eax, ebx, ecx, edx.
    pub register: usize,
}

const fn word(leaf: u32, subleaf: u32, register: usize) -> CpuidWord {
    CpuidWord { leaf, subleaf, register }
}

const BASE_ECX: CpuidWord = word(1, 0, 2);
const BASE_EDX: CpuidWord = word(1, 0, 3);
const STRUCTURED_EBX: CpuidWord = word(7, 0, 1);
const STRUCTURED_ECX: CpuidWord = word(7, 0, 2);
const STRUCTURED_EDX: CpuidWord = word(7, 0, 3);
const XSAVE_EAX: CpuidWord = word(0xd, 1, 0);
const EXTENDED_ECX: CpuidWord = word(0x8000_0001, 0, 2);
const EXTENDED_EDX: CpuidWord = word(0x8000_0001, 0, 3);
const POWER_EDX: CpuidWord = word(0x8000_0007, 0, 3);

macro_rules! features {
    ($($(#[doc = $doc:literal])* $Name:ident = $n:literal $(in $word:ident $bit:literal)?;)*) => {
        bitflags::bitflags! {
            /// Features of a processor.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
            pub struct CpuFeatures: u64 { $($(#[doc = $doc])* const $Name = 1 << $n;)* }
        }

        /// Each feature with the word of `cpuid` and the bit there that tells of it; those that no bit tells of are left out.
        pub const CPUID_BITS: &[(CpuFeatures, CpuidWord, u32)] = &[$($((CpuFeatures::$Name, $word, $bit),)?)*];
    };
}

features! {
    /// x87.
    FPU = 0 in BASE_EDX 0;
    /// `rdtsc`.
    TSC = 1 in BASE_EDX 4;
    /// `cmpxchg8b`.
    CX8 = 2 in BASE_EDX 8;
    /// `sysenter`.
    SEP = 3 in BASE_EDX 11;
    /// `cmov`, `fcmov`, `fcomi`.
    CMOV = 4 in BASE_EDX 15;
    /// `clflush`.
    CLFSH = 5 in BASE_EDX 19;
    /// MMX.
    MMX = 6 in BASE_EDX 23;
    /// `fxsave`, `fxrstor`.
    FXSR = 7 in BASE_EDX 24;
    /// SSE.
    SSE = 8 in BASE_EDX 25;
    /// SSE2.
    SSE2 = 9 in BASE_EDX 26;
    /// SSE3.
    SSE3 = 10 in BASE_ECX 0;
    /// `pclmulqdq`.
    PCLMULQDQ = 11 in BASE_ECX 1;
    /// SSSE3.
    SSSE3 = 12 in BASE_ECX 9;
    /// Fused multiply-add.
    FMA = 13 in BASE_ECX 12;
    /// `cmpxchg16b`.
    CX16 = 14 in BASE_ECX 13;
    /// SSE4.1.
    SSE4_1 = 15 in BASE_ECX 19;
    /// SSE4.2.
    SSE4_2 = 16 in BASE_ECX 20;
    /// `movbe`.
    MOVBE = 17 in BASE_ECX 22;
    /// `popcnt`.
    POPCNT = 18 in BASE_ECX 23;
    /// AES.
    AES = 19 in BASE_ECX 25;
    /// `xsave`, `xrstor`.
    XSAVE = 20 in BASE_ECX 26;
    /// `xgetbv` is usable, and the kernel saves the state that XCR0 names.
    OSXSAVE = 21 in BASE_ECX 27;
    /// AVX.
    AVX = 22 in BASE_ECX 28;
    /// Conversions from and to half precision.
    F16C = 23 in BASE_ECX 29;
    /// `rdrand`.
    RDRAND = 24 in BASE_ECX 30;
    /// `rdfsbase` and its kin, usable by programs.
    FSGSBASE = 25 in STRUCTURED_EBX 0;
    /// `andn`, `bextr`, `blsi`, `blsmsk`, `blsr`, `tzcnt`.
    BMI1 = 26 in STRUCTURED_EBX 3;
    /// AVX2.
    AVX2 = 27 in STRUCTURED_EBX 5;
    /// `bzhi`, `mulx`, `pdep`, `pext`, `rorx`, `sarx`, `shlx`, `shrx`.
    BMI2 = 28 in STRUCTURED_EBX 8;
    /// `rep movsb` and `rep stosb` are fast.
    ERMS = 29 in STRUCTURED_EBX 9;
    /// `rdseed`.
    RDSEED = 30 in STRUCTURED_EBX 18;
    /// `adcx`, `adox`.
    ADX = 31 in STRUCTURED_EBX 19;
    /// `clflushopt`.
    CLFLUSHOPT = 32 in STRUCTURED_EBX 23;
    /// `clwb`.
    CLWB = 33 in STRUCTURED_EBX 24;
    /// SHA-1 and SHA-256.
    SHA = 34 in STRUCTURED_EBX 29;
    /// `sgdt`, `sidt`, `sldt`, `smsw` and `str` are the kernel's alone: it has set `CR4.UMIP`.
    UMIP = 35 in STRUCTURED_ECX 2;
    /// `rdpid`.
    RDPID = 36 in STRUCTURED_ECX 22;
    /// Short `rep movsb` is fast.
    FSRM = 37 in STRUCTURED_EDX 4;
    /// `xsaveopt`.
    XSAVEOPT = 38 in XSAVE_EAX 0;
    /// `xsavec` and the compacted form of `xrstor`.
    XSAVEC = 39 in XSAVE_EAX 1;
    /// `xgetbv` with ecx one.
    XGETBV1 = 40 in XSAVE_EAX 2;
    /// `lahf` and `sahf` in 64-bit code.
    LAHF64 = 41 in EXTENDED_ECX 0;
    /// `lzcnt`.
    LZCNT = 42 in EXTENDED_ECX 5;
    /// `prefetchw`.
    PREFETCHW = 43 in EXTENDED_ECX 8;
    /// `syscall` in 64-bit code.
    SYSCALL = 44 in EXTENDED_EDX 11;
    /// Pages can be made not executable.
    NX = 45 in EXTENDED_EDX 20;
    /// `rdtscp`.
    RDTSCP = 46 in EXTENDED_EDX 27;
    /// 64-bit mode.
    LM = 47 in EXTENDED_EDX 29;
    /// The time stamp counter runs at a constant rate.
    INVARIANT_TSC = 48 in POWER_EDX 8;
    /// The no-operations of many bytes and the space of hints around them (0F 18 to 0F 1F), from the Pentium Pro on.
    HINTS = 49;
}

impl CpuFeatures {
    /// The Pentium's.
    pub const PENTIUM: CpuFeatures = CpuFeatures::FPU.union(CpuFeatures::TSC).union(CpuFeatures::CX8);
    /// The Pentium's with MMX.
    pub const I586: CpuFeatures = CpuFeatures::PENTIUM.union(CpuFeatures::MMX);
    /// The Pentium III's.
    pub const PENTIUM3: CpuFeatures = CpuFeatures::I586
        .union(CpuFeatures::SEP)
        .union(CpuFeatures::CMOV)
        .union(CpuFeatures::FXSR)
        .union(CpuFeatures::SSE)
        .union(CpuFeatures::HINTS);
    /// x86-64-v1 with what nearly all its processors had: `cmpxchg16b`, `lahf`.
    pub const X86_64_V1: CpuFeatures = CpuFeatures::PENTIUM3
        .union(CpuFeatures::CLFSH)
        .union(CpuFeatures::SSE2)
        .union(CpuFeatures::CX16)
        .union(CpuFeatures::LAHF64)
        .union(CpuFeatures::SYSCALL)
        .union(CpuFeatures::NX)
        .union(CpuFeatures::LM);
    /// x86-64-v2, and `rdtscp`.
    pub const X86_64_V2: CpuFeatures = CpuFeatures::X86_64_V1
        .union(CpuFeatures::SSE3)
        .union(CpuFeatures::SSSE3)
        .union(CpuFeatures::SSE4_1)
        .union(CpuFeatures::SSE4_2)
        .union(CpuFeatures::POPCNT)
        .union(CpuFeatures::RDTSCP)
        .union(CpuFeatures::INVARIANT_TSC);
    /// x86-64-v3 with the other features of its processors: all that hokku knows.
    pub const X86_64_V3: CpuFeatures = CpuFeatures::all();
}
