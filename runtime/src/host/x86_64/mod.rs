//! x86-64 Linux: guarded access to guest memory, fault signals, entry to host code.

pub(crate) mod blocking;
pub(crate) mod clock;
pub(crate) mod enter;
pub(crate) mod fault;
pub(crate) mod guest_access;
mod step;
pub(crate) mod x87;

pub(crate) use step::on_interrupt;

/// The back end for this host.
pub(crate) fn backend() -> Option<Box<dyn hokku_ir::backend::Backend>> {
    Some(Box::new(hokku_backend_x86_64::X86_64::new(hokku_backend_x86_64::Features::detect())))
}
