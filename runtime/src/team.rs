//! A guest team: one address space and the threads that run in it.

use std::any::Any;
use std::sync::Arc;

use hokku_ir::{CpuMode, CpuState};
use thiserror::Error;

use crate::guest_memory::{GuestMemory, MapError};
use crate::personality::Personality;
use crate::thread::{Thread, ThreadHandle, ThreadList};

/// How guest code is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// By evaluating the intermediate representation: slow, works on every host.
    Interp,
    /// By translating it to host code.
    Jit,
}

impl Engine {
    /// The fastest engine of this host.
    pub fn best() -> Engine {
        if cfg!(target_arch = "x86_64") { Engine::Jit } else { Engine::Interp }
    }
}

/// What a team is made with.
#[derive(Clone, Debug)]
pub struct TeamConfig {
    /// Word size of the guest.
    pub mode: CpuMode,
    /// How its code is run.
    pub engine: Engine,
    /// Host bytes for translated code; when they are full, all translations are dropped and made anew.
    pub code_cache_bytes: usize,
    /// Whether to write `/tmp/perf-PID.map` for Linux's `perf`.
    pub perf_map: bool,
}

impl TeamConfig {
    /// The usual settings for `mode` on `engine`.
    pub fn new(mode: CpuMode, engine: Engine) -> Self {
        TeamConfig { mode, engine, code_cache_bytes: 64 << 20, perf_map: false }
    }
}

/// Why a team or thread could not be made.
#[derive(Debug, Error)]
pub enum StartError {
    /// The host has no JIT back end.
    #[error("there is no JIT back end for this host's processor yet: use --engine interp")]
    NoJit,
    /// Guest memory could not be set up.
    #[error("cannot set up guest memory: {0}")]
    Memory(#[from] MapError),
    /// A host call failed.
    #[error("cannot {what}: {error}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// What the host says.
        error: std::io::Error,
    },
}

/// A team: guest memory, translations and threads.
pub struct Team {
    /// Its memory.
    pub memory: GuestMemory,
    /// Its word size.
    pub mode: CpuMode,
    /// How its code is run.
    pub engine: Engine,
    /// Its system.
    pub personality: Arc<dyn Personality>,
    pub(crate) threads: ThreadList,
}

impl Team {
    /// A team without threads.
    pub fn new(config: &TeamConfig, personality: Arc<dyn Personality>) -> Result<Arc<Team>, StartError> {
        if config.engine == Engine::Jit && Engine::best() != Engine::Jit {
            return Err(StartError::NoJit);
        }
        let memory = GuestMemory::new(config.mode)?;
        Ok(Arc::new(Team {
            memory,
            mode: config.mode,
            engine: config.engine,
            personality,
            threads: ThreadList::default(),
        }))
    }

    /// Makes the calling host thread a guest thread, to be run by [`Thread::run`].
    pub fn attach(self: &Arc<Self>, cpu: CpuState, local: Box<dyn Any + Send>) -> Result<Thread, StartError> {
        Thread::attach(self, cpu, local)
    }

    /// Starts a host thread called `name` that runs the guest from `cpu` on and ends when the personality says so.
    pub fn spawn(
        self: &Arc<Self>,
        cpu: CpuState,
        local: Box<dyn Any + Send>,
        name: &str,
    ) -> Result<ThreadHandle, StartError> {
        self.spawn_with(cpu, local, name, |thread| thread.run())
    }

    /// Like [`Self::spawn`], with `body` as what the new host thread does: it calls [`Thread::run`] when the guest is to run.
    pub fn spawn_with(
        self: &Arc<Self>,
        cpu: CpuState,
        local: Box<dyn Any + Send>,
        name: &str,
        body: impl FnOnce(&mut Thread) + Send + 'static,
    ) -> Result<ThreadHandle, StartError> {
        crate::thread::spawn(self, cpu, local, name, body)
    }

    /// The team's living threads.
    pub fn threads(&self) -> Vec<ThreadHandle> {
        self.threads.handles()
    }
}
