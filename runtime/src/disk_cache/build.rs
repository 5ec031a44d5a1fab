//! Translating ahead of time: all code of an ELF file that can be found without running it.
//!
//! Found is what the file's symbols and pointers lead to, and then what translated code itself leads to: direct jumps and calls, and the places
//! after calls. What only a computed jump reaches (the arms of most switches) is translated when it first runs.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use hokku_ir::backend::{Backend, Compiled, Tier};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::passes::FaultsSee;
use hokku_ir::{BlockKey, GuestAddr};
use thiserror::Error;

use super::{Cached, DiskCache, DiskCacheConfig};
use crate::code_cache::Outline;
use crate::debug::Debugging;
use crate::guest_memory::{Access, GuestMemory, MapError};
use crate::jit::fault_table::FaultTable;
use crate::loader::{ElfImage, LoadError};
use crate::{tiering, translator};

/// The tier of what is translated ahead of time: there is time to do it well.
const TIER: Tier = Tier::Second;

/// Why nothing could be translated.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The host has no JIT back end.
    #[error("there is no JIT back end for this host's processor yet")]
    NoJit,
    /// Guest memory could not be set up.
    #[error("cannot set up guest memory: {0}")]
    Memory(#[from] MapError),
    /// The file cannot be mapped.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// How far translating is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Regions that are known.
    pub known: usize,
    /// Regions that are done.
    pub done: usize,
    /// Those of them that were in the cache before.
    pub kept: usize,
    /// Bytes of host code of all that are done.
    pub host_bytes: usize,
}

#[derive(Debug, Default)]
struct Work {
    waiting: Vec<GuestAddr>,
    known: HashSet<GuestAddr>,
    /// Threads that may yet find more.
    busy: usize,
    progress: Progress,
}

struct Builder<'a> {
    memory: &'a GuestMemory,
    backend: &'a dyn Backend,
    disk: &'a DiskCache,
    processor: CpuModel,
    work: Mutex<Work>,
    changed: Condvar,
}

/// Translates `image`, whose file is `bytes`, as if it were loaded at `base`, on all cores, and keeps the translations. `report` is told now
/// and then how far that is.
pub fn build(
    config: DiskCacheConfig,
    image: &ElfImage,
    bytes: &[u8],
    base: GuestAddr,
    processor: CpuModel,
    report: &(dyn Fn(Progress) + Sync),
) -> Result<Progress, BuildError> {
    let backend = crate::back_end().ok_or(BuildError::NoJit)?;
    let memory = GuestMemory::new(image.mode)?;
    let loaded = image.map(bytes, &memory, base)?;
    let disk = DiskCache::new(config, &*backend, &processor);
    let (memory, backend) = (&memory, &*backend);
    let builder = Builder { memory, backend, disk: &disk, processor, work: Mutex::default(), changed: Condvar::new() };
    builder.add(image.code_pointers(bytes).into_iter().map(|at| loaded.at(at)));
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| builder.run(report));
        }
    });
    disk.flush();
    let progress = builder.lock().progress;
    Ok(progress)
}

impl Builder<'_> {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Enters places where code starts, if they are in the image and new.
    fn add(&self, places: impl Iterator<Item = GuestAddr>) {
        let executable = |at: &GuestAddr| self.memory.check(*at, 1, Access::Execute).is_ok();
        let places: Vec<GuestAddr> = places.filter(executable).collect();
        let mut work = self.lock();
        for at in places {
            if work.known.insert(at) {
                work.waiting.push(at);
            }
        }
        work.progress.known = work.known.len();
    }

    /// Translates until nobody finds any more.
    fn run(&self, report: &(dyn Fn(Progress) + Sync)) {
        while let Some(at) = self.next() {
            let (outline, compiled, kept) = self.region(at);
            let leads_to = compiled.links.iter().map(|link| link.target);
            let returns = compiled.return_pads.iter().map(|pad| pad.pc);
            self.add(leads_to.chain(returns.filter(|pc| !outline.block_pcs.contains(pc))));
            let progress = {
                let mut work = self.lock();
                work.busy -= 1;
                work.progress.done += 1;
                work.progress.kept += usize::from(kept);
                work.progress.host_bytes += compiled.code.len();
                work.progress
            };
            self.changed.notify_all();
            report(progress);
        }
    }

    fn next(&self) -> Option<GuestAddr> {
        let mut work = self.lock();
        loop {
            if let Some(at) = work.waiting.pop() {
                work.busy += 1;
                return Some(at);
            }
            if work.busy == 0 {
                return None;
            }
            work = self.changed.wait(work).unwrap_or_else(|e| e.into_inner());
        }
    }

    /// The region at `at`, and whether it was in the cache before.
    fn region(&self, at: GuestAddr) -> (Outline, Compiled, bool) {
        let key = BlockKey { features: self.processor.features, ..BlockKey::new(at, self.memory.mode()) };
        if let Some(Cached { outline, compiled, .. }) = self.disk.lookup(self.memory, key, TIER) {
            return (outline, compiled, true);
        }
        let passes = self.backend.passes();
        let translation = translator::translate(
            self.memory,
            &Debugging::default(),
            key,
            &tiering::limits(TIER),
            &|_| false,
            passes,
            FaultsSee::ExactFlags,
        );
        let mut compiled = self.backend.compile_as(&translation.region, TIER);
        let outline = Outline::of(&translation.region);
        if let Some(code) = translation.guest_code() {
            let faults = FaultTable::of(&mut compiled);
            self.disk.store(self.memory, TIER, &outline, &code, &compiled, &faults);
        }
        (outline, compiled, false)
    }
}
