//! Calling a thread out of host code.

use super::context;
use crate::host::native::blocking;

/// The interrupt signal has come.
pub(crate) fn on_interrupt(context: &mut libc::ucontext_t) {
    if let Some(end) = blocking::interrupted(context::pc(context)) {
        context::set_pc(context, end);
    }
}

/// A SIGTRAP has come; says whether it was ours.
pub(in crate::host) fn on_trap(_context: &mut libc::ucontext_t, _code: std::ffi::c_int) -> bool {
    false
}
