//! A guest team: one address space and the threads that run in it.

use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Weak};

use hokku_ir::backend::Backend;
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{CpuMode, CpuState, GuestAddr, X87Arithmetic};
use thiserror::Error;

use crate::code_cache::CodeCache;
use crate::debug::Debugging;
use crate::disk_cache::{DiskCache, DiskCacheConfig};
use crate::guest_memory::{Change, CodeOwner, GuestMemory, MapError};
use crate::host::arch;
use crate::host::code_memory::LEAST_PART;
use crate::jit::{HostCode, Optimiser};
use crate::loader::Symbols;
use crate::perf_map::PerfMap;
use crate::personality::Personality;
use crate::processor::Processor;
use crate::rewritten::RewrittenCode;
use crate::stats::Stats;
use crate::thread::{Extent, Thread, ThreadHandle, ThreadList};
use crate::tiering::Tiering;
use crate::world::{Order, Until, World};

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
        if arch::backend().is_some() { Engine::Jit } else { Engine::Interp }
    }
}

/// What a team is made with.
#[derive(Clone, Debug)]
pub struct TeamConfig {
    /// Word size of the guest.
    pub mode: CpuMode,
    /// How its code is run.
    pub engine: Engine,
    /// Host bytes for translated code; when they are full, the oldest translations are dropped.
    pub code_cache_bytes: usize,
    /// The guest's processor: what it can do and what `cpuid` shows.
    pub processor: CpuModel,
    /// What x87 instructions may compute in; an engine may do better.
    pub x87: X87Arithmetic,
    /// Whether to write `/tmp/perf-PID.map` for Linux's `perf`.
    pub perf_map: bool,
    /// Whether to treat the host as one whose memory order is weaker than x86's, whatever it is: for tests.
    pub weak_host: bool,
    /// Where translations are kept from run to run, if they are.
    pub disk_cache: Option<DiskCacheConfig>,
    /// When the JIT translates code, and how well.
    pub tiering: Tiering,
}

impl TeamConfig {
    /// The usual settings for `mode` on `engine`.
    pub fn new(mode: CpuMode, engine: Engine) -> Self {
        TeamConfig {
            mode,
            engine,
            code_cache_bytes: 64 << 20,
            processor: CpuModel::DEFAULT,
            x87: X87Arithmetic::Exact,
            perf_map: false,
            weak_host: false,
            disk_cache: None,
            tiering: Tiering::default(),
        }
    }
}

/// Why a team or thread could not be made.
#[derive(Debug, Error)]
pub enum StartError {
    /// The host has no JIT back end.
    #[error("there is no JIT back end for this host's processor yet: use --engine interp")]
    NoJit,
    /// 64-bit code on a 32-bit processor.
    #[error("processor model {0} does not run 64-bit programs")]
    NoLongMode(&'static str),
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
    /// What its x87 instructions compute in.
    pub x87: X87Arithmetic,
    /// Its system.
    pub personality: Arc<dyn Personality>,
    /// Its processor.
    pub processor: Processor,
    /// Names of addresses in its images, as far as the personality tells.
    pub symbols: Symbols,
    /// What was done so far.
    pub stats: Stats,
    pub(crate) threads: ThreadList,
    pub(crate) debug: Debugging,
    pub(crate) code: CodeCache,
    pub(crate) backend: Option<Box<dyn Backend>>,
    pub(crate) perf_map: Option<PerfMap>,
    pub(crate) disk_cache: Option<DiskCache>,
    pub(crate) tiering: Tiering,
    pub(crate) optimiser: Optimiser,
    pub(crate) world: World,
    pub(crate) rewritten: RewrittenCode,
    order: Order,
    /// Whether ordered code differs from other code on this host.
    needs_order: bool,
}

impl Team {
    /// A team without threads.
    pub fn new(config: &TeamConfig, personality: Arc<dyn Personality>) -> Result<Arc<Team>, StartError> {
        if config.mode == CpuMode::Long64 && !config.processor.has_long_mode() {
            return Err(StartError::NoLongMode(config.processor.name));
        }
        let mut backend = match config.engine {
            Engine::Interp => None,
            Engine::Jit => Some(arch::backend().ok_or(StartError::NoJit)?),
        };
        if let Some(backend) = &mut backend {
            backend.leave_out(config.tiering.without);
        }
        let needs_order = config.weak_host || backend.as_ref().is_some_and(|b| b.needs_order());
        let x87 = backend.as_ref().map_or(config.x87, |backend| backend.x87_arithmetic(config.x87));
        let code = CodeCache::default();
        if let Some(backend) = &backend {
            let host = HostCode::new(&**backend, config.mode, config.code_cache_bytes.max(LEAST_PART), config.perf_map)
                .map_err(|error| StartError::Host { what: "make memory for translated code", error: error.into() })?;
            code.lock().host = Some(host);
        }
        let perf_map = config.perf_map.then(PerfMap::create).transpose();
        let perf_map = perf_map.map_err(|error| StartError::Host { what: "create the perf map", error })?;
        let memory = GuestMemory::new(config.mode)?;
        let disk_cache = backend
            .as_deref()
            .zip(config.disk_cache.clone())
            .map(|(backend, disk)| DiskCache::new(disk, backend, &config.processor));
        Ok(Arc::new_cyclic(|team: &Weak<Team>| {
            memory.set_code_owner(team.clone());
            Team {
                memory,
                mode: config.mode,
                engine: config.engine,
                x87,
                personality,
                processor: Processor::new(config.processor),
                symbols: Symbols::default(),
                stats: Stats::default(),
                threads: ThreadList::default(),
                debug: Debugging::default(),
                code,
                backend,
                perf_map,
                disk_cache,
                tiering: config.tiering,
                optimiser: Optimiser::default(),
                world: World::default(),
                rewritten: RewrittenCode::default(),
                order: Order::default(),
                needs_order,
            }
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

    /// Waits until the caller's is the only handle: the optimiser stops, and threads that have said their last word let go. Then the team's
    /// addresses are free when that handle is dropped, for another team of this process.
    pub fn close(self: &Arc<Self>) {
        self.optimiser.close();
        while Arc::strong_count(self) > 1 {
            std::thread::yield_now();
        }
    }

    /// Drops all translations: there are too many.
    pub(crate) fn flush_code(&self) {
        let _stopped = self.world.stop(&self.threads, Until::CodeIsUnused);
        self.code.flush(&self.memory);
        self.threads.forget_code(&[], Extent::All);
        Stats::add(&self.stats.evictions, 1);
    }

    /// Drops the oldest translations: there is no room for more.
    pub(crate) fn make_room(&self) {
        let Some(backend) = self.backend.as_deref() else { return self.flush_code() };
        let _stopped = self.world.stop(&self.threads, Until::CodeIsUnused);
        let dropped = self.code.drop_oldest(&self.memory, backend);
        self.threads.forget_code(&dropped.blocks, Extent::Blocks);
        Stats::add(&self.stats.evictions, 1);
        Stats::add(&self.stats.evicted_regions, dropped.regions);
    }

    /// Drops translations that found their guest code changed at `at`; gives the guest addresses of their blocks.
    pub(crate) fn drop_stale(&self, at: GuestAddr) -> Vec<u64> {
        let dropped = self.code.drop_stale(self.backend.as_deref(), at);
        Stats::add(&self.stats.stale_code, 1);
        Stats::add(&self.stats.invalidated_regions, dropped.regions);
        self.rewritten.note(&dropped.blocks);
        dropped.blocks
    }

    /// Whether new translations must keep x86's memory order by themselves.
    pub(crate) fn is_ordered(&self) -> bool {
        self.needs_order && self.order.is_kept()
    }

    /// From now on others see this team's accesses to memory: another thread, or another process.
    pub(crate) fn keep_order(&self) {
        if self.order.keep() && self.needs_order {
            // What is there was translated for a thread alone.
            self.flush_code();
        }
    }

    /// Writes new translations to the cache on disk, if there is one. To be called before the process ends or becomes another.
    pub fn keep_translations(&self) {
        if let Some(disk) = &self.disk_cache {
            disk.flush();
        }
    }

    /// The team's living threads.
    pub fn threads(&self) -> Vec<ThreadHandle> {
        self.threads.handles()
    }
}

impl CodeOwner for Team {
    fn drop_code(&self, range: Range<u64>, why: Change) {
        let _stopped = self.world.stop(&self.threads, Until::CodeIsQuiet);
        let dropped = self.code.drop_range(&self.memory, self.backend.as_deref(), range);
        self.threads.forget_code(&dropped.blocks, Extent::Blocks);
        let cause = match why {
            Change::Store => &self.stats.store_invalidations,
            Change::HostStore => &self.stats.host_invalidations,
            Change::Mapping => &self.stats.mapping_invalidations,
            Change::File => &self.stats.file_invalidations,
        };
        Stats::add(cause, 1);
        if matches!(why, Change::Store | Change::HostStore) {
            self.rewritten.note(&dropped.blocks);
        }
        Stats::add(&self.stats.invalidations, 1);
        Stats::add(&self.stats.invalidated_regions, dropped.regions);
    }

    fn memory_is_shared(&self) {
        self.keep_order();
    }
}
