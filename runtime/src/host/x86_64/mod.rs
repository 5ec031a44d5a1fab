//! x86-64 Linux.

pub(crate) mod access;
pub(crate) mod atomics;
mod blocking;
pub(crate) mod boundary;
pub(crate) mod clock;
pub(crate) mod context;
mod state;
pub(crate) mod step;
pub(crate) mod x87;

pub(crate) use state::bind;

/// The back end for this host.
pub(crate) fn backend() -> Option<Box<dyn hokku_ir::backend::Backend>> {
    Some(Box::new(hokku_backend_x86_64::X86_64::new(hokku_backend_x86_64::Features::detect())))
}

/// Nothing: x86 keeps instruction fetches coherent with stores.
pub(crate) fn flush_instruction_cache(_at: u64, _len: usize) {}

/// None: instruction fetches see all stores.
pub(crate) const CODE_TEST: Option<[[u8; 8]; 2]> = None;

/// Nothing: the processor steps.
#[derive(Debug)]
pub(crate) struct Stepper;

impl Stepper {
    pub(in crate::host) fn new() -> Self {
        Stepper
    }

    pub(in crate::host) fn renew(&self) {}
}
