//! The types of system call arguments and results: how each is taken from the guest's words, and how a trace shows it.

use std::fmt;
use std::marker::PhantomData;

use hokku_ir::{CpuMode, GuestAddr};
use hokku_runtime::GuestMemory;

use crate::abi::layout::GuestType;
use crate::abi::{SysResult, Word};
use crate::calling::ArgWords;

/// The longest string that is read from a guest: paths and names are shorter, environment strings are read elsewhere.
const STRING_LIMIT: usize = 64 * 1024;
/// How much of a string a trace shows.
const SHOWN_STRING: usize = 96;

/// An argument of a system call.
pub trait Arg: Copy {
    /// Words that it takes in a 32-bit program.
    const WORDS_32: usize;
    /// Takes it from the next words.
    fn take(words: &mut ArgWords) -> Self;
    /// How it looks when the call begins.
    fn show(self, cx: &Shown<'_>) -> String;
    /// What the call has left behind it; `None` when there is nothing to tell.
    fn show_after(self, _: &Shown<'_>) -> Option<String> {
        None
    }
}

/// What a trace needs to look behind pointers.
pub struct Shown<'a> {
    /// The caller's memory.
    pub memory: &'a GuestMemory,
    /// The caller's word size.
    pub mode: CpuMode,
}

macro_rules! integers {
    ($($T:ty),*) => {$(
        impl Arg for $T {
            const WORDS_32: usize = size_of::<$T>().div_ceil(4);
            fn take(words: &mut ArgWords) -> Self {
                // The registers' upper bits are whatever the caller had there.
                if size_of::<$T>() == 8 { words.long() as $T } else { words.word() as $T }
            }
            fn show(self, _: &Shown<'_>) -> String { self.to_string() }
        }
    )*};
}
integers!(i32, i64);

impl Arg for u32 {
    const WORDS_32: usize = 1;
    fn take(words: &mut ArgWords) -> Self {
        words.word() as u32
    }
    fn show(self, _: &Shown<'_>) -> String {
        if self < 10 { self.to_string() } else { format!("{self:#x}") }
    }
}

impl Arg for bool {
    const WORDS_32: usize = 1;
    fn take(words: &mut ArgWords) -> Self {
        words.word() as u8 != 0
    }
    fn show(self, _: &Shown<'_>) -> String {
        self.to_string()
    }
}

/// A `size_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Arg for Size {
    const WORDS_32: usize = 1;
    fn take(words: &mut ArgWords) -> Self {
        Size(words.word())
    }
    fn show(self, _: &Shown<'_>) -> String {
        if self.0 < 10 { self.0.to_string() } else { format!("{:#x}", self.0) }
    }
}

/// A `long`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long(pub i64);

impl Arg for Long {
    const WORDS_32: usize = 1;
    fn take(words: &mut ArgWords) -> Self {
        Long(words.signed_word())
    }
    fn show(self, _: &Shown<'_>) -> String {
        self.0.to_string()
    }
}

impl Arg for GuestAddr {
    const WORDS_32: usize = 1;
    fn take(words: &mut ArgWords) -> Self {
        GuestAddr(words.word())
    }
    fn show(self, _: &Shown<'_>) -> String {
        show_address(self)
    }
}

fn show_address(at: GuestAddr) -> String {
    if at.0 == 0 { "NULL".to_owned() } else { at.to_string() }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $Name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $Name(pub i32);

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl Arg for $Name {
            const WORDS_32: usize = 1;
            fn take(words: &mut ArgWords) -> Self { $Name(words.word() as i32) }
            fn show(self, _: &Shown<'_>) -> String { self.0.to_string() }
        }
        impl Ret for $Name {
            const WIDE: bool = false;
            fn value(self) -> i64 { self.0.into() }
        }
        impl GuestType for $Name {
            fn size(_: CpuMode) -> usize { 4 }
            fn align(_: CpuMode) -> usize { 4 }
            fn decode(bytes: &[u8], mode: CpuMode) -> Self { $Name(i32::decode(bytes, mode)) }
            fn encode(&self, bytes: &mut [u8], mode: CpuMode) { self.0.encode(bytes, mode); }
        }
    )*};
}
ids! {
    /// An area.
    AreaId
    /// A semaphore.
    SemId
    /// A port.
    PortId
    /// A thread: a host thread's id.
    ThreadId
    /// A team: a host process's id.
    TeamId
    /// An image of the calling team.
    ImageId
    /// A volume.
    DeviceId
}

/// A file descriptor of the guest; -1 and `AT_FDCWD` stand for the working directory where a path is given with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub i32);

/// `AT_FDCWD`.
pub const AT_FDCWD: i32 = -100;

impl Arg for Fd {
    const WORDS_32: usize = 1;
    fn take(words: &mut ArgWords) -> Self {
        Fd(words.word() as i32)
    }
    fn show(self, _: &Shown<'_>) -> String {
        if self.0 == AT_FDCWD { "AT_FDCWD".to_owned() } else { self.0.to_string() }
    }
}

impl Ret for Fd {
    const WIDE: bool = false;
    fn value(self) -> i64 {
        self.0.into()
    }
}

/// Where the guest claims that a string lies that the call reads; null where Haiku takes no string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InStr(pub GuestAddr);

impl InStr {
    /// Whether there is a string at all.
    pub fn is_null(self) -> bool {
        self.0.0 == 0
    }

    /// The string without its ending zero.
    pub fn read(self, memory: &GuestMemory) -> SysResult<Vec<u8>> {
        Ok(memory.read_c_string(self.0, STRING_LIMIT)?)
    }
}

impl Arg for InStr {
    const WORDS_32: usize = 1;
    fn take(words: &mut ArgWords) -> Self {
        InStr(GuestAddr(words.word()))
    }
    fn show(self, cx: &Shown<'_>) -> String {
        if self.is_null() {
            return "NULL".to_owned();
        }
        match self.read(cx.memory) {
            Ok(text) => show_text(&text),
            Err(_) => format!("bad {}", self.0),
        }
    }
}

/// `text` in quotes, cut where it is long.
pub fn show_text(text: &[u8]) -> String {
    let cut = text.len() > SHOWN_STRING;
    let shown = String::from_utf8_lossy(&text[..text.len().min(SHOWN_STRING)]);
    format!("{shown:?}{}", if cut { "..." } else { "" })
}

/// Bytes that the call reads; a size goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InBytes(pub GuestAddr);

/// Bytes that the call writes; a size goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutBytes(pub GuestAddr);

macro_rules! byte_pointers {
    ($($Name:ident),*) => {$(
        impl Arg for $Name {
            const WORDS_32: usize = 1;
            fn take(words: &mut ArgWords) -> Self { $Name(GuestAddr(words.word())) }
            fn show(self, _: &Shown<'_>) -> String { show_address(self.0) }
        }
    )*};
}
byte_pointers!(InBytes, OutBytes);

macro_rules! pointers {
    ($($(#[$doc:meta])* $Name:ident, $before:literal, $after:literal;)*) => {$(
        $(#[$doc])*
        pub struct $Name<T>(pub GuestAddr, PhantomData<fn() -> T>);

        impl<T> $Name<T> {
            /// A pointer to `at`.
            pub fn new(at: GuestAddr) -> Self { $Name(at, PhantomData) }
            /// Whether the guest passed none.
            pub fn is_null(self) -> bool { self.0.0 == 0 }
        }
        impl<T> Clone for $Name<T> {
            fn clone(&self) -> Self { *self }
        }
        impl<T> Copy for $Name<T> {}
        impl<T: GuestType + fmt::Debug> Arg for $Name<T> {
            const WORDS_32: usize = 1;
            fn take(words: &mut ArgWords) -> Self { $Name::new(GuestAddr(words.word())) }
            fn show(self, cx: &Shown<'_>) -> String {
                match $before && !self.is_null() {
                    true => show_pointee::<T>(self.0, cx).unwrap_or_else(|| format!("bad {}", self.0)),
                    false => show_address(self.0),
                }
            }
            fn show_after(self, cx: &Shown<'_>) -> Option<String> {
                if $after && !self.is_null() { show_pointee::<T>(self.0, cx) } else { None }
            }
        }
    )*};
}
pointers! {
    /// Where the guest claims that a `T` lies that the call reads.
    In, true, false;
    /// Where the guest claims that there is room for a `T` that the call writes.
    Out, false, true;
    /// Where the guest claims that a `T` lies that the call reads and writes.
    InOut, true, true;
}

fn show_pointee<T: GuestType + fmt::Debug>(at: GuestAddr, cx: &Shown<'_>) -> Option<String> {
    let mut bytes = vec![0; T::size(cx.mode)];
    cx.memory.read_bytes(at, &mut bytes).ok()?;
    Some(format!("{:?}", T::decode(&bytes, cx.mode)))
}

/// A result of a system call.
pub trait Ret {
    /// Whether it fills `edx:eax` in a 32-bit program.
    const WIDE: bool;
    /// The value, sign-extended.
    fn value(self) -> i64;
}

impl Ret for () {
    const WIDE: bool = false;
    fn value(self) -> i64 {
        0
    }
}

impl Ret for i32 {
    const WIDE: bool = false;
    fn value(self) -> i64 {
        self.into()
    }
}

impl Ret for i64 {
    const WIDE: bool = true;
    fn value(self) -> i64 {
        self
    }
}

impl Ret for bool {
    const WIDE: bool = false;
    fn value(self) -> i64 {
        self.into()
    }
}

/// An `ssize_t`: as wide as the guest's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub i64);

impl Ret for Count {
    const WIDE: bool = false;
    fn value(self) -> i64 {
        self.0
    }
}

impl From<usize> for Count {
    fn from(n: usize) -> Self {
        // Guest buffers are smaller than half an address space.
        Count(n as i64)
    }
}

impl From<Word> for GuestAddr {
    fn from(word: Word) -> Self {
        GuestAddr(word.0)
    }
}
