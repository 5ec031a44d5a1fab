//! Translated code as host code: what is where in it, its links, and the way in and out.

mod code;

pub(crate) use code::JitCode;
