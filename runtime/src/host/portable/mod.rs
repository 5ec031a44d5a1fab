//! Hosts for which there is no JIT back end yet: the interpreter's needs, by system calls alone.

#[cfg(target_os = "linux")]
pub(crate) mod blocking;
pub(crate) use super::unix_clock as clock;
pub(crate) mod enter;
pub(crate) mod fault;
pub(crate) mod guest_access;
pub(crate) use super::x87_in_memory as x87;

/// No back end.
pub(crate) fn backend() -> Option<Box<dyn hokku_ir::backend::Backend>> {
    None
}

/// No translated code that a thread could be in.
pub(crate) fn on_interrupt(_context: &mut libc::ucontext_t) {}

/// No code whose fetches would have to see it.
pub(crate) fn flush_instruction_cache(_at: u64, _len: usize) {}

/// None: there is no code.
pub(crate) const CODE_TEST: Option<[[u8; 8]; 2]> = None;

/// No code that could call out.
pub(crate) fn callout_entry() -> u64 {
    0
}

/// Nor call routines.
pub(crate) fn x87_entry() -> u64 {
    0
}
