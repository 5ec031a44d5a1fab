//! How C lays structures out for both word sizes, from one declaration.
//!
//! Differences between the two: pointers, `long`, `size_t` and `time_t` are [`Word`]s of four or eight bytes, and 64-bit integers are
//! aligned to four bytes in 32-bit code.

use hokku_ir::{CpuMode, GuestAddr};

/// A pointer, `size_t` or `unsigned long`: as wide as the guest's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Word(pub u64);

/// A `long`, `ssize_t` or `time_t`: as wide as the guest's words, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SignedWord(pub i64);

/// `N` characters: a name, ended by a zero byte where it is shorter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chars<const N: usize>(pub [u8; N]);

impl<const N: usize> Default for Chars<N> {
    fn default() -> Self {
        Chars([0; N])
    }
}

impl<const N: usize> std::fmt::Debug for Chars<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.text()))
    }
}

impl<const N: usize> Chars<N> {
    /// `text`, cut so that the ending zero fits.
    pub fn new(text: &[u8]) -> Self {
        let mut chars = [0; N];
        let n = text.len().min(N - 1);
        chars[..n].copy_from_slice(&text[..n]);
        Chars(chars)
    }

    /// What stands before the first zero byte.
    pub fn text(&self) -> &[u8] {
        &self.0[..self.0.iter().position(|&b| b == 0).unwrap_or(N)]
    }
}

/// Width of a word in bytes.
pub fn word_bytes(mode: CpuMode) -> usize {
    match mode {
        CpuMode::Protected32 => 4,
        CpuMode::Long64 => 8,
    }
}

/// A type that guest memory can hold.
pub trait GuestType: Sized {
    /// Size in bytes, with C's padding at the end.
    fn size(mode: CpuMode) -> usize;
    /// Alignment in bytes.
    fn align(mode: CpuMode) -> usize;
    /// The value in `bytes`, which are [`Self::size`] long.
    fn decode(bytes: &[u8], mode: CpuMode) -> Self;
    /// Writes the value to `bytes`, which are [`Self::size`] long; padding is left as it is.
    fn encode(&self, bytes: &mut [u8], mode: CpuMode);
}

macro_rules! plain_integers {
    ($($T:ty: $align32:literal),*) => {$(
        impl GuestType for $T {
            fn size(_: CpuMode) -> usize { size_of::<$T>() }
            fn align(mode: CpuMode) -> usize {
                match mode { CpuMode::Protected32 => $align32, CpuMode::Long64 => size_of::<$T>() }
            }
            fn decode(bytes: &[u8], _: CpuMode) -> Self {
                let mut raw = [0; size_of::<$T>()];
                raw.copy_from_slice(&bytes[..size_of::<$T>()]);
                <$T>::from_le_bytes(raw)
            }
            fn encode(&self, bytes: &mut [u8], _: CpuMode) {
                bytes[..size_of::<$T>()].copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
plain_integers!(u8: 1, u16: 2, i16: 2, u32: 4, i32: 4, u64: 4, i64: 4);

impl GuestType for bool {
    fn size(_: CpuMode) -> usize {
        1
    }
    fn align(_: CpuMode) -> usize {
        1
    }
    fn decode(bytes: &[u8], _: CpuMode) -> Self {
        bytes[0] != 0
    }
    fn encode(&self, bytes: &mut [u8], _: CpuMode) {
        bytes[0] = u8::from(*self);
    }
}

impl GuestType for Word {
    fn size(mode: CpuMode) -> usize {
        word_bytes(mode)
    }
    fn align(mode: CpuMode) -> usize {
        word_bytes(mode)
    }
    fn decode(bytes: &[u8], mode: CpuMode) -> Self {
        match mode {
            CpuMode::Protected32 => Word(u32::decode(bytes, mode).into()),
            CpuMode::Long64 => Word(u64::decode(bytes, mode)),
        }
    }
    fn encode(&self, bytes: &mut [u8], mode: CpuMode) {
        let n = word_bytes(mode);
        bytes[..n].copy_from_slice(&self.0.to_le_bytes()[..n]);
    }
}

impl GuestType for SignedWord {
    fn size(mode: CpuMode) -> usize {
        word_bytes(mode)
    }
    fn align(mode: CpuMode) -> usize {
        word_bytes(mode)
    }
    fn decode(bytes: &[u8], mode: CpuMode) -> Self {
        match mode {
            CpuMode::Protected32 => SignedWord(i32::decode(bytes, mode).into()),
            CpuMode::Long64 => SignedWord(i64::decode(bytes, mode)),
        }
    }
    fn encode(&self, bytes: &mut [u8], mode: CpuMode) {
        let n = word_bytes(mode);
        bytes[..n].copy_from_slice(&self.0.to_le_bytes()[..n]);
    }
}

impl GuestType for GuestAddr {
    fn size(mode: CpuMode) -> usize {
        word_bytes(mode)
    }
    fn align(mode: CpuMode) -> usize {
        word_bytes(mode)
    }
    fn decode(bytes: &[u8], mode: CpuMode) -> Self {
        GuestAddr(Word::decode(bytes, mode).0)
    }
    fn encode(&self, bytes: &mut [u8], mode: CpuMode) {
        Word(self.0).encode(bytes, mode);
    }
}

impl<const N: usize> GuestType for Chars<N> {
    fn size(_: CpuMode) -> usize {
        N
    }
    fn align(_: CpuMode) -> usize {
        1
    }
    fn decode(bytes: &[u8], _: CpuMode) -> Self {
        let mut chars = [0; N];
        chars.copy_from_slice(&bytes[..N]);
        Chars(chars)
    }
    fn encode(&self, bytes: &mut [u8], _: CpuMode) {
        bytes[..N].copy_from_slice(&self.0);
    }
}

/// `value` rounded up to a multiple of `align`, which is a power of two.
pub fn round_up(value: usize, align: usize) -> usize {
    (value + align - 1) & !(align - 1)
}

/// Declares structures as C does: fields in order, each at the next multiple of its alignment.
macro_rules! guest_structs {
    ($($(#[$doc:meta])* $Name:ident $c:literal { $($(#[$fdoc:meta])* $field:ident: $Ty:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        #[allow(missing_docs, reason = "the fields have the names that Haiku's headers describe")]
        pub struct $Name { $($(#[$fdoc])* pub $field: $Ty,)* }

        impl $Name {
            /// Name in C, with each field's name, offset and size.
            pub fn fields(mode: ::hokku_ir::CpuMode) -> (&'static str, Vec<(&'static str, usize, usize)>) {
                use $crate::abi::layout::{GuestType, round_up};
                let mut fields = Vec::new();
                let mut at = 0;
                $(
                    at = round_up(at, <$Ty as GuestType>::align(mode));
                    fields.push((stringify!($field), at, <$Ty as GuestType>::size(mode)));
                    at += <$Ty as GuestType>::size(mode);
                )*
                let _ = at;
                ($c, fields)
            }
        }

        impl $crate::abi::layout::GuestType for $Name {
            fn size(mode: ::hokku_ir::CpuMode) -> usize {
                use $crate::abi::layout::{GuestType, round_up};
                let mut at = 0;
                $( at = round_up(at, <$Ty as GuestType>::align(mode)) + <$Ty as GuestType>::size(mode); )*
                round_up(at, Self::align(mode))
            }
            fn align(mode: ::hokku_ir::CpuMode) -> usize {
                use $crate::abi::layout::GuestType;
                [1, $(<$Ty as GuestType>::align(mode)),*].into_iter().max().unwrap_or(1)
            }
            fn decode(bytes: &[u8], mode: ::hokku_ir::CpuMode) -> Self {
                use $crate::abi::layout::{GuestType, round_up};
                let mut at = 0;
                $(
                    at = round_up(at, <$Ty as GuestType>::align(mode));
                    let $field = <$Ty as GuestType>::decode(&bytes[at..], mode);
                    at += <$Ty as GuestType>::size(mode);
                )*
                let _ = at;
                $Name { $($field),* }
            }
            fn encode(&self, bytes: &mut [u8], mode: ::hokku_ir::CpuMode) {
                use $crate::abi::layout::{GuestType, round_up};
                let mut at = 0;
                $(
                    at = round_up(at, <$Ty as GuestType>::align(mode));
                    GuestType::encode(&self.$field, &mut bytes[at..], mode);
                    at += <$Ty as GuestType>::size(mode);
                )*
                let _ = at;
            }
        }
    )*};
}
pub(crate) use guest_structs;
