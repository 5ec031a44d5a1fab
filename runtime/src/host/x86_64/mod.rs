//! x86-64 Linux: guarded access to guest memory, fault signals, entry to host code.

pub(crate) mod clock;
pub(crate) mod fault;
pub(crate) mod guest_access;
