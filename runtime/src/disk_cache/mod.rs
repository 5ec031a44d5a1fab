//! The translation cache on disk: regions of guest images, kept from run to run.
//!
//! **What is kept.** Regions whose guest code all comes from one ELF file. A region is found by the file it is of ([`ImageId`]), the guest
//! address of its first instruction, and the rest of its key. It is used only if the guest's memory has, at the same addresses, exactly the
//! bytes that it was translated from: relocated, changed or generated code can never meet a translation of other code.
//! **What it depends on besides** (the translator's own source, the host processor, the guest's) is one text, which names the files.
//! **Damage.** Files are written whole under another name and then renamed; heads, indices and entries have checksums. Whatever is wrong with
//! the folder or a file in it, the guest runs as if there were none.
//! **Locks.** Taken after the tables of the code cache and before those of the guest memory.

mod build;
mod entry;
mod folder;
mod image;
mod segment;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use hokku_ir::backend::{Backend, Compiled, Tier};
use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{BlockKey, GuestAddr};
use xxhash_rust::xxh3::xxh3_64;

use crate::code_cache::{CodePage, Outline};
use crate::guest_memory::{GuestMemory, Watch};
use crate::host::PAGE_SIZE;
use crate::jit::fault_table::FaultTable;

pub use build::{BuildError, Progress, build};
pub use folder::{Contents, contents, prune};
pub(crate) use image::ImageId;
use segment::{Draft, EntryKey, Segment};

/// Where translations are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskCacheConfig {
    /// The folder; made when there is something to be kept.
    pub folder: PathBuf,
    /// Bytes of all files in it: beyond that, those go that were not used for longest.
    pub limit: u64,
}

impl DiskCacheConfig {
    /// The usual limit: 256 MiB.
    pub const LIMIT: u64 = 256 << 20;

    /// The usual folder: `hokku` in `XDG_CACHE_HOME` or else in `~/.cache`; `None` where the environment has neither.
    ///
    /// Source: XDG Base Directory Specification; a path there that is not absolute counts as none.
    pub fn usual_folder() -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
        Some(caches.join("hokku"))
    }
}

/// A region, ready to be placed.
#[derive(Debug)]
pub(crate) struct Cached {
    pub(crate) outline: Outline,
    pub(crate) pages: Vec<CodePage>,
    pub(crate) compiled: Compiled,
    /// In place of `compiled`'s.
    pub(crate) faults: FaultTable,
}

/// New translations are written when there are so many bytes of them, and at the end.
const WRITE_AT: usize = 1 << 20;

/// A guest image's translations.
#[derive(Debug, Default)]
struct Image {
    segments: Vec<Segment>,
    /// Those of this run that are not on disk yet.
    new: Draft,
    /// Those that were new when this process was forked: its parent writes them.
    inherited: Draft,
}

impl Image {
    fn find(&self, key: EntryKey) -> impl Iterator<Item = &[u8]> {
        let written = self.segments.iter().flat_map(move |segment| segment.find(key));
        written.chain(self.new.find(key)).chain(self.inherited.find(key))
    }
}

/// The cache as one team uses it.
#[derive(Debug)]
pub(crate) struct DiskCache {
    config: DiskCacheConfig,
    /// What translations depend on, beside guest code.
    name: String,
    images: Mutex<HashMap<ImageId, Image>>,
    /// A thread writes what is new, since it has become much.
    is_writing: AtomicBool,
}

impl DiskCache {
    /// The cache in `config.folder` for translations by `backend` that see `processor`.
    pub(crate) fn new(config: DiskCacheConfig, backend: &dyn Backend, processor: &CpuModel) -> Self {
        let name = format!(
            "{} {} host {} {} passes {:?} guest {processor:?}",
            env!("HOKKU_TRANSLATOR"),
            crate::host::program::build(),
            backend.name(),
            backend.fingerprint(),
            backend.passes(),
        );
        DiskCache { config, name, images: Mutex::default(), is_writing: AtomicBool::default() }
    }

    /// The region for `key`, if it was kept and the guest's code is what it was made of; its pages are protected from stores.
    pub(crate) fn lookup(&self, memory: &GuestMemory, key: BlockKey, tier: Tier) -> Option<Cached> {
        let image = memory.image_at(key.pc).filter(|_| !key.single_step)?;
        let mut images = self.lock();
        let known = match images.entry(image) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(Image { segments: self.segments(image), ..Image::default() }),
        };
        known.find(entry_key(key, tier)).filter_map(|bytes| entry::open(bytes, key)).find_map(|opened| {
            let pages = same_code(memory, &opened.guest)?;
            let (outline, compiled, faults) = opened.decode(key)?;
            Some(Cached { outline, pages, compiled, faults })
        })
    }

    /// Keeps a region. `guest` is the code of each of the outline's ranges that it was translated from; `faults` are in place of `compiled`'s.
    pub(crate) fn store(
        &self,
        memory: &GuestMemory,
        tier: Tier,
        outline: &Outline,
        guest: &[Vec<u8>],
        compiled: &Compiled,
        faults: &FaultTable,
    ) {
        let key = outline.key;
        let Some(image) = memory.image_at(key.pc).filter(|_| !key.single_step) else { return };
        // All of a page comes from one file.
        let page = |at: GuestAddr| at.0 & !(PAGE_SIZE - 1);
        let mut known = page(key.pc);
        let mut ends = outline.ranges.iter().flat_map(|&(at, len)| [at, at.offset(u64::from(len).saturating_sub(1))]);
        if !ends.all(|at| std::mem::replace(&mut known, page(at)) == page(at) || memory.image_at(at) == Some(image)) {
            return;
        }
        let kept = entry::Kept { outline, guest, compiled, faults };
        let new: usize = {
            let mut images = self.lock();
            images.entry(image).or_default().new.add(entry_key(key, tier), |to| entry::encode(&kept, to));
            images.values().map(|i| i.new.bytes()).sum()
        };
        // Two that write at once would both write what is there already.
        if new >= WRITE_AT && !self.is_writing.swap(true, Ordering::Acquire) {
            self.flush();
            self.is_writing.store(false, Ordering::Release);
        }
    }

    /// Keeps the tables as they are until the guard is dropped.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.lock()
    }

    /// Leaves it to the parent of this forked process to write what is new.
    pub(crate) fn moved_to_child(&self) {
        for image in self.lock().values_mut() {
            image.inherited.merge(&std::mem::take(&mut image.new));
        }
        // It was another thread of the parent's.
        self.is_writing.store(false, Ordering::Release);
    }

    fn segments(&self, image: ImageId) -> Vec<Segment> {
        let folder = folder::of_image(&self.config.folder, image, &self.name);
        folder::open_segments(&folder, &self.name).segments.into_iter().map(|(_, segment)| segment).collect()
    }

    /// Writes what is new. Other threads need not wait for that.
    pub(crate) fn flush(&self) {
        let take = |(id, image): (&ImageId, &mut Image)| (*id, std::mem::take(&mut image.new));
        let new: Vec<(ImageId, Draft)> = self.lock().iter_mut().map(take).filter(|(_, new)| !new.is_empty()).collect();
        let mut wrote = false;
        for (id, new) in new {
            let folder = folder::of_image(&self.config.folder, id, &self.name);
            match folder::add(&folder, &self.name, &new) {
                Ok(()) => {
                    wrote = true;
                    let segments = self.segments(id);
                    self.lock().entry(id).or_default().segments = segments;
                }
                Err(error) => tracing::debug!("translations are not kept in {}: {error}", folder.display()),
            }
        }
        if wrote {
            if let Err(error) = prune(&self.config.folder, self.config.limit) {
                tracing::debug!("cannot look through {}: {error}", self.config.folder.display());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ImageId, Image>> {
        self.images.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Hashes all at once what is few bytes in many pieces.
struct Written(Vec<u8>);

impl Hasher for Written {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        xxh3_64(&self.0)
    }
}

/// The key with everything but the address as one number.
fn entry_key(key: BlockKey, tier: Tier) -> EntryKey {
    let mut rest = Written(Vec::with_capacity(96));
    (BlockKey { pc: GuestAddr(0), ..key }, tier).hash(&mut rest);
    EntryKey { pc: key.pc.0, variant: rest.finish() }
}

/// The pages of `guest`, protected, if the guest's code there is those bytes.
fn same_code(memory: &GuestMemory, guest: &[(GuestAddr, &[u8])]) -> Option<Vec<CodePage>> {
    let mut pages: Vec<CodePage> = Vec::new();
    let mut found = Vec::new();
    for &(at, bytes) in guest {
        let first = at.0 & !(PAGE_SIZE - 1);
        for page in (first..at.0 + bytes.len() as u64).step_by(PAGE_SIZE as usize) {
            if !pages.iter().any(|p| p.0 == page) {
                let ticket = memory.watch_code(GuestAddr(page)).ok()?;
                if ticket.watch == Watch::Checked {
                    // Its translations must look for changes themselves.
                    return None;
                }
                pages.push((page, ticket));
            }
        }
        found.resize(bytes.len(), 0);
        memory.read_bytes(at, &mut found).ok()?;
        if found != bytes {
            return None;
        }
    }
    Some(pages)
}
