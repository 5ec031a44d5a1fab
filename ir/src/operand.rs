//! What ops take beside values: widths, types, conditions, addresses and the kinds within a family of ops.

use std::fmt;

use crate::exit::Trap;
use crate::guest::{FlagSet, Gpr, Seg};
use crate::region::Value;

/// What every operand kind can do; the op table calls it for each field of an op.
///
/// The text form of an operand is its `Display`; `text::parse` reads the same back.
pub trait OperandKind {
    /// Calls `f` with each value inside.
    fn values(&self, _f: &mut dyn FnMut(Value)) {}
    /// Replaces each value inside by `f` of it.
    fn map_values(&mut self, _f: &mut dyn FnMut(Value) -> Value) {}
}

impl OperandKind for Value {
    fn values(&self, f: &mut dyn FnMut(Value)) {
        f(*self);
    }
    fn map_values(&mut self, f: &mut dyn FnMut(Value) -> Value) {
        *self = f(*self);
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $Name:ident { $($(#[$vdoc:meta])* $Variant:ident $text:literal),* $(,)? })*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Name { $($(#[$vdoc])* #[doc = concat!("`", $text, "` in the text form.")] $Variant),* }
        impl $Name {
            /// All variants in order.
            pub const ALL: &'static [$Name] = &[$($Name::$Variant),*];
            /// Name in the text form.
            pub fn name(self) -> &'static str { match self { $($Name::$Variant => $text),* } }
            /// The variant called `name` in the text form.
            pub fn from_name(name: &str) -> Option<Self> { match name { $($text => Some($Name::$Variant),)* _ => None } }
        }
        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
        impl OperandKind for $Name {}
    )* };
}

kinds! {
    /// Width of an integer.
    Width { W8 "w8", W16 "w16", W32 "w32", W64 "w64" }

    /// Type of a value.
    Type {
        I8 "i8", I16 "i16", I32 "i32", I64 "i64",
        /// An SSE scalar single.
        F32 "f32",
        /// An SSE scalar double.
        F64 "f64",
        /// An x87 extended, 80 bits.
        F80 "f80",
        /// An MMX register.
        V64 "v64",
        /// An SSE register.
        V128 "v128",
        /// An AVX register.
        V256 "v256",
        /// The six status flags at their EFLAGS places.
        Flags "flags",
        /// No result.
        Void "void",
    }

    /// An x86 condition, named as in `jcc`.
    Cond {
        O "o", No "no", B "b", Ae "ae", E "e", Ne "ne", Be "be", A "a", S "s", Ns "ns", P "p", Np "np", L "l", Ge "ge", Le "le", G "g",
    }

    /// A comparison of two integers.
    IntCmp { Eq "eq", Ne "ne", Ult "ult", Ule "ule", Slt "slt", Sle "sle" }

    /// What an atomic read-modify-write stores: a function of the old value and the operand.
    AtomicOp {
        /// The operand itself.
        Xchg "xchg", Add "add", Sub "sub", And "and", Or "or", Xor "xor",
        /// Zero minus the old value; the operand is ignored.
        Neg "neg",
    }

    /// Traps that an instruction raises only under a condition: [`Op::TrapIf`](crate::ops::Op::TrapIf).
    CheckedTrap {
        /// [`Trap::Overflow`](crate::exit::Trap::Overflow).
        Overflow "overflow",
        /// [`Trap::Bound`](crate::exit::Trap::Bound).
        Bound "bound",
        /// [`Trap::Protection`](crate::exit::Trap::Protection).
        Protection "protection",
    }

    /// Which accesses a fence orders.
    Fence {
        /// As the instruction of that name.
        Load "lfence", Store "sfence", Full "mfence",
        /// Loads before it with all accesses after it. x86 does so always: for hosts that do not.
        Acquire "acquire",
        /// All accesses before it with stores after it. x86 does so always: for hosts that do not.
        Release "release",
        /// Both.
        AcquireRelease "acquire_release",
    }

    /// A string instruction without its width.
    StringOp { Movs "movs", Stos "stos", Lods "lods", Cmps "cmps", Scas "scas" }

    /// Repetition prefix of a string instruction.
    Rep {
        /// No prefix: once.
        Once "once",
        /// `rep`: rcx times.
        Rep "rep",
        /// `repe`: while equal, at most rcx times.
        Repe "repe",
        /// `repne`: while not equal, at most rcx times.
        Repne "repne",
    }

    /// Decimal adjustments of AL/AX (32-bit code).
    BcdOp { Daa "daa", Das "das", Aaa "aaa", Aas "aas" }

    /// What happens to the rest of a vector register when a part of it is written.
    Upper {
        /// It stays.
        Keep "keep",
        /// Bits up to 127 become zero, bits from 128 stay (SSE loads).
        Zero128 "zero128",
        /// All other bits become zero (VEX encodings).
        Zero256 "zero256",
    }

    /// Whether a vector access must be aligned to its size (else #GP).
    Align { Any "unaligned", Natural "aligned" }

    /// Arithmetic on SSE scalars.
    FpOp { Add "add", Sub "sub", Mul "mul", Div "div", Min "min", Max "max" }

    /// How a float becomes an integer.
    FpRound {
        /// By `mxcsr`'s rounding mode.
        Current "current",
        /// Towards zero.
        Truncate "truncate",
    }

    /// Two-operand vector operation, named after the instruction. Works on V64 (MMX), V128 and V256 where x86 has it.
    VecBin {
        PaddB "paddb", PaddW "paddw", PaddD "paddd", PaddQ "paddq", PaddsB "paddsb", PaddsW "paddsw", PaddusB "paddusb", PaddusW "paddusw",
        PsubB "psubb", PsubW "psubw", PsubD "psubd", PsubQ "psubq", PsubsB "psubsb", PsubsW "psubsw", PsubusB "psubusb", PsubusW "psubusw",
        PmullW "pmullw", PmulhW "pmulhw", PmulhuW "pmulhuw", PmuludQ "pmuludq", PmaddWd "pmaddwd", PsadBw "psadbw",
        PavgB "pavgb", PavgW "pavgw", PminuB "pminub", PminsW "pminsw", PmaxuB "pmaxub", PmaxsW "pmaxsw",
        PcmpeqB "pcmpeqb", PcmpeqW "pcmpeqw", PcmpeqD "pcmpeqd", PcmpgtB "pcmpgtb", PcmpgtW "pcmpgtw", PcmpgtD "pcmpgtd",
        Pand "pand",
        /// `!a & b`.
        Pandn "pandn", Por "por", Pxor "pxor",
        PacksswB "packsswb", PackssdW "packssdw", PackuswB "packuswb",
        PunpcklBw "punpcklbw", PunpcklWd "punpcklwd", PunpcklDq "punpckldq", PunpcklQdq "punpcklqdq",
        PunpckhBw "punpckhbw", PunpckhWd "punpckhwd", PunpckhDq "punpckhdq", PunpckhQdq "punpckhqdq",
        /// Low 64 bits of the result: high half of `b`; upper: upper of `a`.
        MovHlps "movhlps",
        /// Low 64 bits of the result: low of `a`; upper: low of `b`.
        MovLhps "movlhps",
        PcmpeqQ "pcmpeqq", PcmpgtQ "pcmpgtq",
        PminsB "pminsb", PminuW "pminuw", PminsD "pminsd", PminuD "pminud", PmaxsB "pmaxsb", PmaxuW "pmaxuw", PmaxsD "pmaxsd", PmaxuD "pmaxud",
        PmullD "pmulld", PmuldQ "pmuldq", PmulhrSw "pmulhrsw",
        /// Unsigned bytes of `a` times signed bytes of `b`.
        PmaddubSw "pmaddubsw",
        PsignB "psignb", PsignW "psignw", PsignD "psignd",
        PhaddW "phaddw", PhaddD "phaddd", PhaddsW "phaddsw", PhsubW "phsubw", PhsubD "phsubd", PhsubsW "phsubsw",
        PackusDw "packusdw",
        /// Bytes of `a` chosen by those of `b`, within each 128 bits.
        PshufB "pshufb",
        /// Lanes of 32 bits of `a` chosen by the low three bits of those of `b` (V256 alone).
        PermD "permd",
        /// Lanes of `a` chosen by bits of those of `b` (0 and 1 for singles, 1 for doubles), within each 128 bits.
        PermilPs "permilps", PermilPd "permilpd",
        /// Each lane of `a` shifted by that of `b`.
        PsllvD "psllvd", PsllvQ "psllvq", PsrlvD "psrlvd", PsrlvQ "psrlvq", PsravD "psravd",
        /// One AES round on the state `a` with the round key `b`.
        AesEnc "aesenc", AesEncLast "aesenclast", AesDec "aesdec", AesDecLast "aesdeclast",
        Sha1Nexte "sha1nexte", Sha1Msg1 "sha1msg1", Sha1Msg2 "sha1msg2", Sha256Msg1 "sha256msg1", Sha256Msg2 "sha256msg2",
        AddPs "addps", AddPd "addpd", SubPs "subps", SubPd "subpd", MulPs "mulps", MulPd "mulpd", DivPs "divps", DivPd "divpd",
        MinPs "minps", MinPd "minpd", MaxPs "maxps", MaxPd "maxpd",
        /// Even lanes subtracted, odd ones added.
        AddsubPs "addsubps", AddsubPd "addsubpd",
    }

    /// One-operand vector operation, named after the instruction. [`VecUn::operand_type`] and [`VecUn::result_type`] say how wide both sides are.
    VecUn {
        SqrtPs "sqrtps", SqrtPd "sqrtpd",
        /// About 1/x: 12 bits, processor-specific.
        RcpPs "rcpps",
        /// About 1/sqrt(x): 12 bits, processor-specific.
        RsqrtPs "rsqrtps",
        /// Scalar form in the low lane; upper lanes of the operand stay.
        RcpSs "rcpss", RsqrtSs "rsqrtss",
        CvtDq2Ps "cvtdq2ps", CvtPs2Dq "cvtps2dq", CvttPs2Dq "cvttps2dq",
        CvtDq2Pd "cvtdq2pd", CvtPd2Dq "cvtpd2dq", CvttPd2Dq "cvttpd2dq", CvtPs2Pd "cvtps2pd", CvtPd2Ps "cvtpd2ps",
        /// Halves to singles.
        CvtPh2Ps "cvtph2ps",
        PabsB "pabsb", PabsW "pabsw", PabsD "pabsd",
        /// The smallest of eight 16-bit lanes, then the number of the first such lane.
        PhminposuW "phminposuw",
        PmovsxBw "pmovsxbw", PmovsxBd "pmovsxbd", PmovsxBq "pmovsxbq", PmovsxWd "pmovsxwd", PmovsxWq "pmovsxwq", PmovsxDq "pmovsxdq",
        PmovzxBw "pmovzxbw", PmovzxBd "pmovzxbd", PmovzxBq "pmovzxbq", PmovzxWd "pmovzxwd", PmovzxWq "pmovzxwq", PmovzxDq "pmovzxdq",
        /// The inverse of AES's column mixing.
        AesImc "aesimc",
    }

    /// Three-operand vector operation.
    VecTer {
        /// Lanes of `b` where the top bit of `c`'s lane is set, else of `a`: bytes, singles, doubles.
        BlendvB "blendvb", BlendvPs "blendvps", BlendvPd "blendvpd",
        /// Two SHA-256 rounds: state C, D, G, H in `a`, A, B, E, F in `b`, words plus constants in `c`.
        Sha256Rnds2 "sha256rnds2",
    }

    /// Signs of a fused multiply-add, `±(a * b) ± c`.
    FmaOp {
        /// `a * b + c`.
        Add "add",
        /// `a * b - c`.
        Sub "sub",
        /// `-(a * b) + c`.
        NegAdd "negadd",
        /// `-(a * b) - c`.
        NegSub "negsub",
        /// `Sub` in even lanes, `Add` in odd ones.
        AddSub "addsub",
        /// `Add` in even lanes, `Sub` in odd ones.
        SubAdd "subadd",
    }

    /// Which bits of two vectors a test looks at: all, or the top bits of singles or doubles.
    VecTest { Ptest "ptest", VtestPs "vtestps", VtestPd "vtestpd" }

    /// Vector shift by a common count, named after the instruction.
    VecShift {
        PsllW "psllw", PsllD "pslld", PsllQ "psllq", PsrlW "psrlw", PsrlD "psrld", PsrlQ "psrlq", PsraW "psraw", PsraD "psrad",
        /// By bytes; immediate count only.
        PsllDq "pslldq", PsrlDq "psrldq",
    }

    /// Shuffle by an immediate, named after the instruction. One-source shuffles ignore `a`.
    VecShuffle {
        PshufD "pshufd", PshufLw "pshuflw", PshufHw "pshufhw", PshufW "pshufw", ShufPs "shufps", ShufPd "shufpd",
        /// Within each 128 bits (64 of V64): `a:b` shifted right by bytes.
        Palignr "palignr",
        /// Lanes of `b` where the immediate's bit is set, else of `a`; both halves of a V256 by the same eight bits for words.
        BlendPs "blendps", BlendPd "blendpd", PblendW "pblendw",
        /// `a` with the single 7:6 of `b` in lane 5:4, then lanes with a bit in 3:0 cleared.
        InsertPs "insertps",
        /// For each half of the V256: `a`'s or `b`'s low or high half by two bits; zero where bit 3 of the four is set.
        Perm2F128 "perm2f128",
        /// 64-bit lanes of the V256 `b` by two bits each.
        PermQ "permq",
    }

    /// Other operations on two vectors that an immediate governs, named after the instruction.
    VecImm {
        MpsadBw "mpsadbw",
        /// Product without carries of the halves of `a` (bit 0) and `b` (bit 4).
        PclmulQdq "pclmulqdq",
        /// Ignores `a`.
        AesKeygenAssist "aeskeygenassist",
        /// Four SHA-1 rounds: state A to D in `a`, words plus E in `b`; bits 1:0 choose function and constant.
        Sha1Rnds4 "sha1rnds4",
    }

    /// Which bits of a vector make an integer mask.
    MaskOp { Pmovmskb "pmovmskb", MovmskPs "movmskps", MovmskPd "movmskpd" }

    /// Format of an x87 memory operand.
    X87Format { F32 "f32", F64 "f64", F80 "f80", I16 "i16", I32 "i32", I64 "i64", Bcd "bcd" }

    /// x87 arithmetic with two operands; `SubR` and `DivR` swap them.
    X87Op { Add "add", Sub "sub", SubR "subr", Mul "mul", Div "div", DivR "divr" }

    /// x87 constant loads.
    X87Const { One "one", L2t "l2t", L2e "l2e", Pi "pi", Lg2 "lg2", Ln2 "ln2", Zero "zero" }

    /// x87 instructions that work on the top of the stack alone, named after the instruction.
    X87Unary {
        Fchs "fchs", Fabs "fabs", Fsqrt "fsqrt", Frndint "frndint", Ftst "ftst", Fxam "fxam",
        Fsin "fsin", Fcos "fcos", Fsincos "fsincos", Fptan "fptan", Fpatan "fpatan", F2xm1 "f2xm1", Fyl2x "fyl2x", Fyl2xp1 "fyl2xp1",
        Fscale "fscale", Fprem "fprem", Fprem1 "fprem1", Fxtract "fxtract", Fincstp "fincstp", Fdecstp "fdecstp",
    }

    /// x87 control without operands.
    X87Control {
        /// `fninit`.
        Init "init",
        /// `fnclex`.
        Clex "clex",
        /// `emms`: all registers free.
        Emms "emms",
        /// What an MMX instruction does to the unit: top 0, all registers in use.
        Mmx "mmx",
        /// `fwait`: raises a pending unmasked exception.
        Wait "wait",
        /// `fnop`: the same, as an instruction whose address is kept.
        Nop "nop",
    }

    /// x87 and SSE state images in memory.
    StateImage {
        /// 28 bytes (14 with 16-bit operands): control, status, tags, pointers.
        Env "env",
        /// `Env` and the eight registers, 108 or 94 bytes.
        All "all",
        /// FXSAVE image of 512 bytes, 32-bit pointers.
        Fx "fx",
        /// FXSAVE image of 512 bytes with `rex.w`: 64-bit pointers.
        Fx64 "fx64",
    }

    /// What `XSAVE` and its kin do.
    XsaveForm {
        /// `XSAVE`.
        Save "save",
        /// `XSAVEOPT`: leaves out what is in its initial state.
        SaveOptimised "save_optimised",
        /// `XSAVEC`: leaves it out too, and says so.
        SaveCompacted "save_compacted",
        /// `XRSTOR`.
        Restore "restore",
    }

    /// Whether an image is written or read.
    StateDirection { Save "save", Load "load" }
}

impl CheckedTrap {
    /// The trap as an exit names it.
    pub fn trap(self) -> Trap {
        match self {
            CheckedTrap::Overflow => Trap::Overflow,
            CheckedTrap::Bound => Trap::Bound,
            CheckedTrap::Protection => Trap::Protection,
        }
    }
}

impl Width {
    /// Number of bits.
    pub fn bits(self) -> u32 {
        8 << self as u32
    }
    /// Number of bytes.
    pub fn bytes(self) -> u32 {
        1 << self as u32
    }
    /// The low `bits()` bits set.
    pub fn mask(self) -> u64 {
        match self {
            Width::W8 => 0xff,
            Width::W16 => 0xffff,
            Width::W32 => 0xffff_ffff,
            Width::W64 => u64::MAX,
        }
    }
    /// The integer type of this width.
    pub fn ty(self) -> Type {
        match self {
            Width::W8 => Type::I8,
            Width::W16 => Type::I16,
            Width::W32 => Type::I32,
            Width::W64 => Type::I64,
        }
    }
    /// The width of `bytes` bytes: 1, 2, 4 or 8.
    pub fn from_bytes(bytes: u32) -> Option<Width> {
        match bytes {
            1 => Some(Width::W8),
            2 => Some(Width::W16),
            4 => Some(Width::W32),
            8 => Some(Width::W64),
            _ => None,
        }
    }
}

impl Type {
    /// Bytes that a value of this type takes in memory; zero for `Flags` and `Void`.
    pub fn bytes(self) -> u32 {
        match self {
            Type::I8 => 1,
            Type::I16 => 2,
            Type::I32 | Type::F32 => 4,
            Type::I64 | Type::F64 | Type::V64 => 8,
            Type::F80 => 10,
            Type::V128 => 16,
            Type::V256 => 32,
            Type::Flags | Type::Void => 0,
        }
    }
    /// The width of an integer type.
    pub fn width(self) -> Option<Width> {
        match self {
            Type::I8 => Some(Width::W8),
            Type::I16 => Some(Width::W16),
            Type::I32 => Some(Width::W32),
            Type::I64 => Some(Width::W64),
            _ => None,
        }
    }
}

impl VecUn {
    /// Whether lanes of the result are wider than those of the operand.
    pub fn widens(self) -> bool {
        let integer = self >= VecUn::PmovsxBw && self <= VecUn::PmovzxDq;
        integer || matches!(self, VecUn::CvtDq2Pd | VecUn::CvtPs2Pd | VecUn::CvtPh2Ps)
    }
    /// Whether lanes of the result are narrower than those of the operand.
    pub fn narrows(self) -> bool {
        matches!(self, VecUn::CvtPd2Dq | VecUn::CvttPd2Dq | VecUn::CvtPd2Ps)
    }
    /// Type of the operand where the wider side is `ty`: widening reads the low lanes of a V128.
    pub fn operand_type(self, ty: Type) -> Type {
        if self.widens() { Type::V128 } else { ty }
    }
    /// Type of the result where the wider side is `ty`: narrowing gives a V128 with zeros above.
    pub fn result_type(self, ty: Type) -> Type {
        if self.narrows() { Type::V128 } else { ty }
    }
    /// Whether it rounds or looks at the numbers by `mxcsr`: it may raise #XM.
    pub fn is_float(self) -> bool {
        use VecUn::*;
        self <= CvtPh2Ps && !matches!(self, RcpPs | RsqrtPs | RcpSs | RsqrtSs | CvtDq2Pd)
    }
}

impl VecBin {
    /// Whether it is arithmetic on floats by `mxcsr`: it may raise #XM.
    pub fn is_float(self) -> bool {
        self >= VecBin::AddPs
    }
}

impl Cond {
    /// The opposite condition.
    #[must_use]
    pub fn negate(self) -> Cond {
        Cond::ALL[self as usize ^ 1]
    }

    /// The flags that the condition reads.
    pub fn reads(self) -> FlagSet {
        match self {
            Cond::O | Cond::No => FlagSet::OF,
            Cond::B | Cond::Ae => FlagSet::CF,
            Cond::E | Cond::Ne => FlagSet::ZF,
            Cond::Be | Cond::A => FlagSet::CF | FlagSet::ZF,
            Cond::S | Cond::Ns => FlagSet::SF,
            Cond::P | Cond::Np => FlagSet::PF,
            Cond::L | Cond::Ge => FlagSet::SF | FlagSet::OF,
            Cond::Le | Cond::G => FlagSet::SF | FlagSet::OF | FlagSet::ZF,
        }
    }

    /// Whether the condition holds for `flags`.
    pub fn holds(self, flags: FlagSet) -> bool {
        let sign_differs = flags.contains(FlagSet::SF) != flags.contains(FlagSet::OF);
        let positive = match Cond::ALL[self as usize & !1] {
            Cond::O => flags.contains(FlagSet::OF),
            Cond::B => flags.contains(FlagSet::CF),
            Cond::E => flags.contains(FlagSet::ZF),
            Cond::Be => flags.intersects(FlagSet::CF | FlagSet::ZF),
            Cond::S => flags.contains(FlagSet::SF),
            Cond::P => flags.contains(FlagSet::PF),
            Cond::L => sign_differs,
            _ => sign_differs || flags.contains(FlagSet::ZF),
        };
        positive == (self as usize & 1 == 0)
    }
}

/// A guest memory operand: `segment base + (base + index * 2^scale + disp) mod 2^width`, and mod 2^32 in all in 32-bit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addr {
    /// First register part.
    pub base: Option<Value>,
    /// Second register part.
    pub index: Option<Value>,
    /// Log2 of the index's factor: 0 to 3.
    pub scale: u8,
    /// Constant part, sign-extended.
    pub disp: i64,
    /// Segment with a base of its own (fs or gs); `None` is flat.
    pub seg: Option<Seg>,
    /// Address size: W64, W32 (32-bit code or prefix 67h) or W16.
    pub width: Width,
}

impl Addr {
    /// The address in `base`, with nothing added.
    pub fn at(base: Value, width: Width) -> Self {
        Addr { base: Some(base), index: None, scale: 0, disp: 0, seg: None, width }
    }

    /// The same address `n` bytes further.
    #[must_use]
    pub fn plus(self, n: i64) -> Self {
        Addr { disp: self.disp.wrapping_add(n), ..self }
    }
}

impl OperandKind for Addr {
    fn values(&self, f: &mut dyn FnMut(Value)) {
        self.base.iter().for_each(|v| f(*v));
        self.index.iter().for_each(|v| f(*v));
    }
    fn map_values(&mut self, f: &mut dyn FnMut(Value) -> Value) {
        self.base = self.base.map(&mut *f);
        self.index = self.index.map(f);
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.width)?;
        if let Some(seg) = self.seg {
            write!(f, " {seg}:")?;
        }
        if let Some(base) = self.base {
            write!(f, " + {base}")?;
        }
        if let Some(index) = self.index {
            write!(f, " + {index} * {}", 1 << self.scale)?;
        }
        if self.disp < 0 {
            write!(f, " - {:#x}", self.disp.unsigned_abs())?;
        } else if self.disp > 0 || (self.base.is_none() && self.index.is_none()) {
            write!(f, " + {:#x}", self.disp)?;
        }
        f.write_str("]")
    }
}

/// A constant: 64 bits, written in hexadecimal in the text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Imm(pub u64);

impl fmt::Display for Imm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A small number: register of a vector or x87 file, lane, immediate byte. Written `#n` in the text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Num(pub u8);

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Yes or no, with a name at its place in the op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flag(pub bool);

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "yes" } else { "no" })
    }
}

impl fmt::Display for FlagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(FlagSet, char); 6] = [
            (FlagSet::CF, 'c'),
            (FlagSet::PF, 'p'),
            (FlagSet::AF, 'a'),
            (FlagSet::ZF, 'z'),
            (FlagSet::SF, 's'),
            (FlagSet::OF, 'o'),
        ];
        f.write_str("{")?;
        for (flag, letter) in LETTERS {
            if self.contains(flag) {
                write!(f, "{letter}")?;
            }
        }
        f.write_str("}")
    }
}

impl OperandKind for Imm {}
impl OperandKind for Num {}
impl OperandKind for Flag {}
impl OperandKind for Gpr {}
impl OperandKind for Seg {}
impl OperandKind for FlagSet {}
