//! The translation cache: which guest code has been translated, and to what.
//!
//! **Locks.** The tables' lock is taken before those of the guest memory, never after. Signal handlers take it only for a thread that was
//! in translated code, which holds no lock.
//!
//! **Dropping.** Translations that do not check themselves are dropped only while the world is stopped ([`crate::world`]): no thread runs
//! translated code then, and each looks its way up anew before it enters again. The host bytes of dropped code, and what is known of them,
//! stay until everything is flushed: a thread that is in a callout still returns there, to leave at the next safe point.
//!
//! Translations that check themselves and found their code changed ([`CodeCache::drop_stale`]) are dropped while others run: a thread that still
//! comes to one finds the same, and leaves.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::HashMap;
use hokku_ir::backend::Backend;
use hokku_ir::eval::Prepared;
use hokku_ir::{BlockId, BlockKey, GuestAddr, Op, Region};

use crate::guest_memory::{CodeTicket, GuestMemory};
use crate::host::PAGE_SIZE;
use crate::jit::{HostCode, JitCode, LinkRef};

/// Names a region in the tables. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RegionId(pub(crate) u64);

/// A page of guest code as the translator read it: address and ticket ([`GuestMemory::watch_code`]).
pub(crate) type CodePage = (u64, CodeTicket);

/// What the tables need to know of a region, whatever became of its ops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) key: BlockKey,
    /// Guest address of each block, by block number.
    pub(crate) block_pcs: Vec<GuestAddr>,
    /// Guest code that it was made from: start and length of each contiguous piece.
    pub(crate) ranges: Vec<(GuestAddr, u32)>,
    /// Number of guest instructions.
    pub(crate) instructions: u64,
}

impl Outline {
    /// That of `region`.
    pub(crate) fn of(region: &Region) -> Outline {
        let mut instructions = 0;
        for block in &region.blocks {
            for inst in &block.insts {
                if let Op::Insn { .. } = inst.op {
                    instructions += 1;
                }
            }
        }
        Outline {
            key: region.key,
            block_pcs: region.blocks.iter().map(|b| b.pc).collect(),
            ranges: region.ranges.clone(),
            instructions,
        }
    }

    /// Number of guest bytes that it was made from.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|r| u64::from(r.1)).sum()
    }

    /// The pages that it was made from.
    fn pages(&self) -> Vec<u64> {
        let pages = |&(start, len): &(GuestAddr, u32)| {
            let end = start.0.saturating_add(u64::from(len));
            (start.0 & !(PAGE_SIZE - 1)..end).step_by(PAGE_SIZE as usize)
        };
        let mut pages: Vec<u64> = self.ranges.iter().flat_map(pages).collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }
}

/// What a region was translated to.
#[derive(Debug)]
pub(crate) enum Code {
    /// Nothing: it is evaluated.
    Interp(Arc<Prepared>),
    /// Host code.
    Jit(Box<JitCode>),
}

/// One translated region.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: BlockKey,
    /// Guest address of each block, by block number.
    pub(crate) block_pcs: Vec<u64>,
    pages: Vec<u64>,
    /// Guest bytes that it was made from: start and length of each piece.
    ranges: Vec<(GuestAddr, u32)>,
    pub(crate) code: Code,
    /// Its guest code has changed: nothing leads here any more.
    pub(crate) dropped: bool,
}

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    by_key: HashMap<BlockKey, (RegionId, BlockId)>,
    pub(crate) regions: HashMap<RegionId, Record>,
    by_page: HashMap<u64, Vec<RegionId>>,
    /// Regions with host code by its host address.
    pub(crate) by_host: BTreeMap<u64, RegionId>,
    /// Back edges of first-tier regions, by where they lead in the guest.
    back_edges: HashMap<GuestAddr, Vec<LinkRef>>,
    /// Memory for host code, where the team has a back end.
    pub(crate) host: Option<HostCode>,
    /// Regions since the last flush: the bound for regions without host code.
    made: usize,
    next_id: u64,
}

/// The translation cache of a team.
#[derive(Debug, Default)]
pub(crate) struct CodeCache {
    tables: Mutex<Tables>,
    /// Counts the times that translations were dropped: what a thread found before may be gone after.
    generation: AtomicU64,
}

/// The most regions that are kept, whatever their size.
const MOST_REGIONS: usize = 1 << 18;

impl CodeCache {
    /// The tables, locked.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Changes whenever translations are dropped.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Drops the translations of code in `range` and gives its pages back to stores; gives the guest addresses of the dropped blocks. The
    /// world is stopped.
    pub(crate) fn drop_range(&self, memory: &GuestMemory, backend: Option<&dyn Backend>, range: Range<u64>) -> Dropped {
        let mut tables = self.lock();
        self.generation.fetch_add(1, Ordering::SeqCst);
        let ids = tables.regions_in(range.clone());
        let mut dropped = Dropped { regions: ids.len() as u64, blocks: Vec::new() };
        for id in ids {
            if let Some(backend) = backend {
                tables.unlink(backend, id);
            }
            dropped.blocks.extend(tables.remove(id));
        }
        // Under the tables' lock, so that no region that was read before the pages are released can be installed after.
        memory.release_code(range);
        dropped
    }

    /// Drops the translations of the code at `at`, one of which has found it changed.
    pub(crate) fn drop_stale(&self, backend: Option<&dyn Backend>, at: GuestAddr) -> Dropped {
        let mut tables = self.lock();
        let holds =
            |r: &Record| r.ranges.iter().any(|&(start, len)| (start.0..start.0 + u64::from(len)).contains(&at.0));
        let mut ids = tables.regions_in(at.0..at.0 + 1);
        ids.retain(|id| tables.record(*id).is_some_and(holds));
        let mut dropped = Dropped { regions: ids.len() as u64, blocks: Vec::new() };
        for id in ids {
            if let Some(backend) = backend {
                tables.unlink(backend, id);
            }
            dropped.blocks.extend(tables.remove(id));
        }
        dropped
    }

    /// Drops the translations that were made first, so that there is room for new host code. The world is stopped, callouts included.
    pub(crate) fn drop_oldest(&self, memory: &GuestMemory, backend: &dyn Backend) -> Dropped {
        let mut tables = self.lock();
        self.generation.fetch_add(1, Ordering::SeqCst);
        let mut dropped = Dropped { regions: 0, blocks: Vec::new() };
        let Some(oldest) = tables.host.as_ref().map(HostCode::oldest) else { return dropped };
        let ids: Vec<RegionId> = tables.by_host.range(oldest.clone()).map(|(_, id)| *id).collect();
        for &id in &ids {
            // Those that were dropped before have lost their links and pages already.
            let pages = tables.record(id).map_or(Vec::new(), |r| r.pages.clone());
            dropped.regions += u64::from(!pages.is_empty());
            tables.unlink(backend, id);
            dropped.blocks.extend(tables.remove(id));
            tables.regions.remove(&id);
            for page in pages.into_iter().filter(|page| !tables.by_page.contains_key(page)) {
                // Under the tables' lock, as in `drop_range`.
                memory.release_code(page..page + PAGE_SIZE);
            }
        }
        tables.made = tables.made.saturating_sub(ids.len());
        tables.by_host.retain(|at, _| !oldest.contains(at));
        if let Some(host) = &mut tables.host {
            host.forget_oldest();
        }
        dropped
    }

    /// Drops all translations. The world is stopped, callouts included.
    pub(crate) fn flush(&self, memory: &GuestMemory) {
        let mut tables = self.lock();
        self.generation.fetch_add(1, Ordering::SeqCst);
        let mut host = tables.host.take();
        if let Some(host) = &mut host {
            host.clear();
        }
        *tables = Tables { next_id: tables.next_id, host, ..Tables::default() };
        memory.release_code(0..u64::MAX);
    }
}

/// What was dropped.
#[derive(Debug)]
pub(crate) struct Dropped {
    /// How many regions.
    pub(crate) regions: u64,
    /// Guest address of each of their blocks.
    pub(crate) blocks: Vec<u64>,
}

impl Tables {
    /// The region and block that `key` names.
    pub(crate) fn find(&self, key: &BlockKey) -> Option<(RegionId, BlockId)> {
        self.by_key.get(key).copied()
    }

    /// The record of `id`.
    pub(crate) fn record(&self, id: RegionId) -> Option<&Record> {
        self.regions.get(&id)
    }

    /// Whether so many regions are there that it is time for a flush.
    pub(crate) fn is_full(&self) -> bool {
        self.made >= MOST_REGIONS
    }

    /// Whether code that was read from `pages` is still the guest's.
    pub(crate) fn is_fresh(&self, memory: &GuestMemory, pages: &[CodePage]) -> bool {
        pages.iter().all(|&(page, ticket)| memory.code_ticket_holds(GuestAddr(page), ticket))
    }

    /// Enters the translation of a region, whose pages are [`Self::is_fresh`]. The entry block's key leads here from now on,
    /// and so do those of the other blocks that have no translation yet.
    pub(crate) fn insert(&mut self, outline: &Outline, code: Code) -> RegionId {
        let id = RegionId(self.next_id);
        self.next_id += 1;
        self.made += 1;
        // Also those that could not be read, which nobody watches.
        let used = outline.pages();
        for &page in &used {
            self.by_page.entry(page).or_default().push(id);
        }
        let key = outline.key;
        self.by_key.insert(key, (id, BlockId(0)));
        for (block, &pc) in (0..).map(BlockId).zip(&outline.block_pcs).skip(1) {
            self.by_key.entry(BlockKey { pc, ..key }).or_insert((id, block));
        }
        let block_pcs = outline.block_pcs.iter().map(|pc| pc.0).collect();
        let ranges = outline.ranges.clone();
        self.regions.insert(id, Record { key, block_pcs, pages: used, ranges, code, dropped: false });
        id
    }

    /// Makes `key` lead to `block` of region `id`.
    pub(crate) fn set_key(&mut self, key: BlockKey, id: RegionId, block: BlockId) {
        self.by_key.insert(key, (id, block));
    }

    /// Remembers that `link` is a back edge to `pc`.
    pub(crate) fn note_back_edge(&mut self, pc: GuestAddr, link: LinkRef) {
        self.back_edges.entry(pc).or_default().push(link);
    }

    /// The back edges to `pc`.
    pub(crate) fn back_edges_to(&self, pc: GuestAddr) -> Vec<LinkRef> {
        self.back_edges.get(&pc).cloned().unwrap_or_default()
    }

    fn regions_in(&self, range: Range<u64>) -> Vec<RegionId> {
        let first = range.start & !(PAGE_SIZE - 1);
        let pages: Vec<u64> = if range.end - first <= 16 * PAGE_SIZE {
            (first..range.end).step_by(PAGE_SIZE as usize).collect()
        } else {
            self.by_page.keys().copied().filter(|p| (first..range.end).contains(p)).collect()
        };
        let mut ids: Vec<RegionId> = pages.iter().filter_map(|p| self.by_page.get(p)).flatten().copied().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Makes sure that nothing finds region `id` any more; gives the guest addresses of its blocks.
    fn remove(&mut self, id: RegionId) -> Vec<u64> {
        let Some(record) = self.regions.get_mut(&id) else { return Vec::new() };
        record.dropped = true;
        let blocks = std::mem::take(&mut record.block_pcs);
        for page in std::mem::take(&mut record.pages) {
            if let Some(ids) = self.by_page.get_mut(&page) {
                ids.retain(|&other| other != id);
                if ids.is_empty() {
                    self.by_page.remove(&page);
                }
            }
        }
        for &pc in &blocks {
            if let Some(edges) = self.back_edges.get_mut(&GuestAddr(pc)) {
                edges.retain(|edge| edge.region != id);
                if edges.is_empty() {
                    self.back_edges.remove(&GuestAddr(pc));
                }
            }
            let key = BlockKey { pc: GuestAddr(pc), ..record.key };
            if self.by_key.get(&key).is_some_and(|(owner, _)| *owner == id) {
                self.by_key.remove(&key);
            }
        }
        if matches!(record.code, Code::Interp(_)) {
            self.regions.remove(&id);
        }
        blocks
    }
}
