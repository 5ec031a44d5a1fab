//! What a row of the call table is, and the macro that makes everything else of the rows.

use crate::args::{Arg, Ret, Shown};
use crate::call::Call;
use crate::calling::{ArgWords, RetWord};

/// How far a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// As on Haiku.
    Full,
    /// As on Haiku but for what the text says.
    Partial(&'static str),
    /// Answers, and does nothing; the text says why that is right.
    Stub(&'static str),
    /// Returns `B_UNSUPPORTED` and logs one line.
    Missing,
}

impl Support {
    /// One word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Support::Full => "full",
            Support::Partial(_) => "partial",
            Support::Stub(_) => "stub",
            Support::Missing => "missing",
        }
    }

    /// Why it is not full; empty where there is nothing to say.
    pub fn reason(self) -> &'static str {
        match self {
            Support::Full | Support::Missing => "",
            Support::Partial(why) | Support::Stub(why) => why,
        }
    }
}

/// An argument as the table declares it.
#[derive(Clone, Copy, Debug)]
pub struct ArgSpec {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: &'static str,
    /// Words that it takes on x86.
    pub words_32: usize,
}

/// Runs a call. An error has its status as the value.
pub type Run = fn(&mut Call<'_>, ArgWords) -> RetWord;

/// An argument's texts: before the call, and after it where there is something to tell.
pub type ShownArg = (String, Option<String>);

/// A row of the table.
pub struct Syscall {
    /// Name without `_kern_`.
    pub name: &'static str,
    /// What it is about: the file in `calls/` that it stands in.
    pub module: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// Its arguments in order.
    pub args: &'static [ArgSpec],
    /// Its result's type.
    pub ret: &'static str,
    /// Words that all arguments take on x86.
    pub words_32: usize,
    /// How far it goes.
    pub support: Support,
    /// What runs it; `None` where support is missing.
    pub run: Option<Run>,
    /// The arguments as text, before the call and after it.
    pub show: fn(ArgWords, &Shown<'_>) -> Vec<ShownArg>,
}

/// Turns what a handler gives back into registers' contents.
pub(crate) fn returned<T: Ret>(result: crate::abi::SysResult<T>) -> RetWord {
    match result {
        Ok(value) => RetWord { value: value.value(), wide: T::WIDE },
        Err(status) => RetWord { value: status.raw().into(), wide: T::WIDE },
    }
}

/// An argument's two texts.
pub(crate) fn shown<T: Arg>(arg: T, cx: &Shown<'_>) -> ShownArg {
    (arg.show(cx), arg.show_after(cx))
}

/// Declares the table: `/// doc`, then `module::name(arg: Type, ...) -> Result, Support;`.
///
/// A row whose support is not `Missing` names a handler `calls::module::name(&mut Call, arg, ...) -> SysResult<Result>`.
macro_rules! syscalls {
    (@support Full) => { $crate::declare::Support::Full };
    (@support Missing) => { $crate::declare::Support::Missing };
    (@support Partial $why:literal) => { $crate::declare::Support::Partial($why) };
    (@support Stub $why:literal) => { $crate::declare::Support::Stub($why) };
    (@run Missing, $module:ident $name:ident ($($arg:ident: $Ty:ty),*)) => { None };
    (@run $support:ident, $module:ident $name:ident ($($arg:ident: $Ty:ty),*)) => {
        Some(|call, words| {
            #[allow(unused_mut, unused_variables, reason = "calls without arguments take no words")]
            let mut words = words;
            $(let $arg = <$Ty as $crate::args::Arg>::take(&mut words);)*
            $crate::declare::returned($crate::calls::$module::$name(call, $($arg),*))
        })
    };
    ($(#[doc = $doc:literal] $module:ident::$name:ident($($arg:ident: $Ty:ty),*) -> $Ret:ty, $support:ident $(($why:literal))?;)*) => {
        /// All calls, in the order of Haiku's `headers/private/system/syscalls.h`.
        pub static TABLE: &[$crate::declare::Syscall] = &[$(
            $crate::declare::Syscall {
                name: stringify!($name),
                module: stringify!($module),
                doc: $doc,
                args: &[$($crate::declare::ArgSpec {
                    name: stringify!($arg),
                    kind: stringify!($Ty),
                    words_32: <$Ty as $crate::args::Arg>::WORDS_32,
                }),*],
                ret: stringify!($Ret),
                words_32: 0 $(+ <$Ty as $crate::args::Arg>::WORDS_32)*,
                support: $crate::declare::syscalls!(@support $support $($why)?),
                run: $crate::declare::syscalls!(@run $support, $module $name ($($arg: $Ty),*)),
                show: |words, cx| {
                    #[allow(unused_mut, unused_variables, reason = "calls without arguments take no words")]
                    let mut words = words;
                    let _ = cx;
                    vec![$($crate::declare::shown(<$Ty as $crate::args::Arg>::take(&mut words), cx)),*]
                },
            }
        ),*];
    };
}
pub(crate) use syscalls;
