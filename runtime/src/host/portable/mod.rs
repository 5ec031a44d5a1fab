//! Hosts for which there is no JIT back end yet: the interpreter's needs, by system calls alone.

pub(crate) mod clock;
pub(crate) mod fault;
pub(crate) mod guest_access;
