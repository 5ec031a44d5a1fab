//! No way into host code: there is none.

use std::sync::Arc;

use hokku_ir::CpuState;

use crate::code_cache::CodeCache;
use crate::host::NativeFault;
use crate::host::thread_memory::ThreadMemory;
use crate::jit::Entrances;
use crate::thread::Shared;

/// Runs nothing: teams with the JIT engine cannot be made on this host.
pub(crate) struct HostThread;

impl HostThread {
    pub(crate) fn new(_memory: Arc<ThreadMemory>, _cache: &CodeCache, _entrances: Entrances) -> Self {
        HostThread
    }

    pub(crate) fn renew(&self) {}

    pub(crate) fn run(&self, _cpu: &mut CpuState, _code: u64, _shared: &Shared) -> bool {
        false
    }

    pub(crate) fn fault(&self) -> Option<NativeFault> {
        None
    }

    pub(crate) fn stack_delta(&self) -> i32 {
        0
    }

    pub(crate) fn in_host(&self, _yes: bool) {}
}
