//! The guest's memory: what is mapped where, and every access to it from Rust code.
//!
//! A guest address is a host address. 64-bit guests get what we choose below 2^46; a 32-bit guest's whole 4 GiB are reserved at the start, so
//! that none of its accesses can meet anything else. Execution is a guest permission, tracked here and never given to the host's mapping.

mod access;
mod buffer;
mod code_pages;
mod evaluated;
mod file_map;
mod lent;
mod range_map;
mod typed;

use std::fmt;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hokku_ir::{CpuMode, GuestAddr};
use rustix::io::Errno;
use thiserror::Error;

use crate::disk_cache::ImageId;
use crate::host::PAGE_SIZE;
use crate::host::mapping::{AddressSpace, Backing, FileId, HostProt};

pub use buffer::HostBuffer;
pub(crate) use code_pages::Change;
use code_pages::CodePages;
pub(crate) use code_pages::{CodeOwner, CodeTicket, Watch};
use file_map::FilePart;
use lent::Lent;
use range_map::{Attributes, RangeMap};

#[cfg(test)]
mod tests;

bitflags::bitflags! {
    /// What a guest program may do with memory.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Prot: u8 {
        /// Loads.
        const READ = 1;
        /// Stores; x86 allows loads as well.
        const WRITE = 2;
        /// Instruction fetches; x86 allows loads as well.
        const EXECUTE = 4;
    }
}

impl Prot {
    /// Whether `access` is allowed. On x86 all memory that can be written or executed can be read.
    pub fn allows(self, access: Access) -> bool {
        match access {
            Access::Read => !self.is_empty(),
            Access::Write => self.contains(Prot::WRITE),
            Access::Execute => self.contains(Prot::EXECUTE),
        }
    }
}

impl fmt::Display for Prot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Prot::READ, 'r'), (Prot::WRITE, 'w'), (Prot::EXECUTE, 'x')] {
            write!(f, "{}", if self.contains(bit) { letter } else { '-' })?;
        }
        Ok(())
    }
}

/// Kinds of memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// A load.
    Read,
    /// A store, or a load that is to be followed by a store.
    Write,
    /// An instruction fetch.
    Execute,
}

/// Why memory could not be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCause {
    /// Nothing is mapped there.
    Unmapped,
    /// What is mapped does not allow it.
    Protection,
    /// A file mapping has no file behind it there any more.
    Bus,
}

/// A guest address that could not be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[error("cannot {} {address}: {}", match access { Access::Read => "read", Access::Write => "write", Access::Execute => "execute" },
    match cause { FaultCause::Unmapped => "nothing is mapped there", FaultCause::Protection => "protected", FaultCause::Bus => "no file behind the mapping" })]
pub struct MemoryFault {
    /// The first byte that could not be accessed.
    pub address: GuestAddr,
    /// What was tried.
    pub access: Access,
    /// Why it failed.
    pub cause: FaultCause,
}

/// Why memory could not be mapped, protected or unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MapError {
    /// Not page-aligned, empty, or outside the guest's addresses.
    #[error("not a range of guest pages")]
    BadRange,
    /// Something is mapped there already.
    #[error("the range is in use")]
    Occupied,
    /// Part of the range is not mapped.
    #[error("part of the range is not mapped")]
    Unmapped,
    /// No free range is large enough.
    #[error("no free range of that size")]
    NoSpace,
    /// The host's pages are not x86's: guest pages could neither be protected nor mapped from files one by one.
    #[error(
        "the host's kernel has pages of {0} bytes; hokku needs one that has pages of {PAGE_SIZE} bytes, as x86 processors do"
    )]
    PageSize(u64),
    /// The host refused.
    #[error("the host refuses: {0}")]
    Host(#[from] Errno),
}

/// Where a new mapping goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// At this address, in place of what is there.
    Replace(GuestAddr),
    /// At this address, which must be free.
    Exactly(GuestAddr),
    /// At the lowest free address of `low..high` that is a multiple of `align` (a power of two, at least a page).
    Lowest {
        /// First address allowed.
        low: GuestAddr,
        /// First address not allowed.
        high: GuestAddr,
        /// Alignment in bytes.
        align: u64,
    },
}

/// One mapped range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeInfo {
    /// First address.
    pub start: GuestAddr,
    /// First address behind it.
    pub end: GuestAddr,
    /// What the guest may do.
    pub prot: Prot,
    /// Whether stores go to a file or to other processes.
    pub shared: bool,
}

/// The lowest address that a guest can map.
pub const LOWEST: GuestAddr = GuestAddr(0x1_0000);
/// The first address behind what a 64-bit guest can map where the host has 47 bits of addresses or more: 2^46.
pub const HIGHEST_64: GuestAddr = GuestAddr(1 << 46);
/// The first address behind what a 32-bit guest can map.
pub const HIGHEST_32: GuestAddr = GuestAddr(1 << 32);

/// The first address behind what a guest of `mode` can map on this host. For a 64-bit guest it is half of the host's addresses: the host's own mappings
/// are above.
pub fn highest(mode: CpuMode) -> GuestAddr {
    match mode {
        CpuMode::Long64 => HIGHEST_64.min(GuestAddr(crate::host::mapping::address_limit() / 2)),
        CpuMode::Protected32 => HIGHEST_32,
    }
}

/// The memory of one team.
#[derive(Debug)]
pub struct GuestMemory {
    mode: CpuMode,
    bounds: Range<u64>,
    space: AddressSpace,
    /// Held while the host's map is changed, so that both agree.
    ranges: RwLock<RangeMap>,
    /// Which pages have been translated. Locked after `ranges` where both are.
    code: Mutex<CodePages>,
    /// What host calls are writing to.
    lent: Arc<Lent>,
}

impl GuestMemory {
    /// An empty address space. There can be one 32-bit space in a process at a time.
    pub fn new(mode: CpuMode) -> Result<Self, MapError> {
        crate::host::arch::fault::install();
        let host_page = crate::host::mapping::host_page_size();
        if host_page != PAGE_SIZE {
            return Err(MapError::PageSize(host_page));
        }
        let bounds = LOWEST.0..highest(mode).0;
        let space = match mode {
            CpuMode::Long64 => AddressSpace::sparse(bounds.clone()),
            CpuMode::Protected32 => AddressSpace::reserved(bounds.clone())?,
        };
        Ok(GuestMemory { mode, bounds, space, ranges: RwLock::default(), code: Mutex::default(), lent: Arc::default() })
    }

    /// The word size of the guest.
    pub fn mode(&self) -> CpuMode {
        self.mode
    }

    /// Lowest address that can be mapped and the first one behind the highest.
    pub fn bounds(&self) -> (GuestAddr, GuestAddr) {
        (GuestAddr(self.bounds.start), GuestAddr(self.bounds.end))
    }

    /// Maps `len` bytes of zeros; gives the address. `shared`: seen by child processes after a fork, too.
    pub fn map_anonymous(&self, place: Placement, len: u64, prot: Prot, shared: bool) -> Result<GuestAddr, MapError> {
        self.map(place, len, prot, Backing::Anonymous { shared, reserve_only: false })
    }

    /// Like [`Self::map_anonymous`], but without setting swap space aside: for huge ranges of which little is used.
    pub fn map_lazily(&self, place: Placement, len: u64, prot: Prot, shared: bool) -> Result<GuestAddr, MapError> {
        self.map(place, len, prot, Backing::Anonymous { shared, reserve_only: true })
    }

    /// Keeps `len` bytes of addresses from other use; they are inaccessible until mapped with [`Placement::Replace`].
    pub fn reserve(&self, place: Placement, len: u64) -> Result<GuestAddr, MapError> {
        self.map(place, len, Prot::empty(), Backing::Anonymous { shared: false, reserve_only: true })
    }

    /// Maps `len` bytes of `file` from `offset` (a multiple of the page size) on. Private unless `shared`.
    pub fn map_file(
        &self,
        place: Placement,
        len: u64,
        prot: Prot,
        file: BorrowedFd<'_>,
        offset: u64,
        shared: bool,
    ) -> Result<GuestAddr, MapError> {
        self.map(place, len, prot, Backing::File { file, offset, shared })
    }

    /// Changes what the guest may do in a range, all of which is mapped.
    pub fn protect(&self, at: GuestAddr, len: u64, prot: Prot) -> Result<(), MapError> {
        let range = self.page_range(at, len)?;
        let mut ranges = self.lock_without_code(range.clone());
        if !ranges.covers(range.clone()) {
            return Err(MapError::Unmapped);
        }
        self.space.protect(range.clone(), host_prot(prot))?;
        ranges.protect(range, prot);
        Ok(())
    }

    /// Tells that what is mapped in a range was read from `image`.
    pub(crate) fn set_image(&self, at: GuestAddr, len: u64, image: Option<ImageId>) -> Result<(), MapError> {
        let range = self.page_range(at, len)?;
        self.write_ranges().set_image(range, image);
        Ok(())
    }

    /// The file that code at `at` comes from.
    pub(crate) fn image_at(&self, at: GuestAddr) -> Option<ImageId> {
        self.read_ranges().get(at.0).and_then(|(_, a)| a.image)
    }

    /// Unmaps what is mapped in a range.
    pub fn unmap(&self, at: GuestAddr, len: u64) -> Result<(), MapError> {
        let range = self.page_range(at, len)?;
        let mut ranges = self.lock_without_code(range.clone());
        for (part, _) in ranges.overlapping(range.clone()) {
            self.space.unmap(part)?;
        }
        let mut code = self.code_pages();
        code.files.remove(range.clone());
        code.forget_rewrites(&range);
        drop(code);
        ranges.remove(range);
        Ok(())
    }

    /// The lowest free range of `len` bytes in `low..high` at a multiple of `align`; another thread may take it before the caller does.
    pub fn find_free(&self, len: u64, low: GuestAddr, high: GuestAddr, align: u64) -> Result<GuestAddr, MapError> {
        self.gap(&self.read_ranges(), len, low, high, align)
    }

    /// What the guest may do at `at`; `None` where nothing is mapped.
    pub fn protection(&self, at: GuestAddr) -> Option<Prot> {
        self.read_ranges().get(at.0).map(|(_, a)| a.prot)
    }

    /// The mapped range that holds `at`.
    pub fn range_at(&self, at: GuestAddr) -> Option<RangeInfo> {
        self.read_ranges().get(at.0).map(range_info)
    }

    /// All mapped ranges in order.
    pub fn ranges(&self) -> Vec<RangeInfo> {
        self.read_ranges().iter().map(range_info).collect()
    }

    /// Tells whether the guest may do `access` with `len` bytes at `at`, and if not, where it fails.
    pub fn check(&self, at: GuestAddr, len: u64, access: Access) -> Result<(), MemoryFault> {
        if len == 0 {
            return Ok(());
        }
        let ranges = self.read_ranges();
        let mut next = at.0;
        let end = at.0.checked_add(len).filter(|&end| end <= self.bounds.end);
        loop {
            let fault = |cause| MemoryFault { address: GuestAddr(next), access, cause };
            let Some((range, attributes)) = ranges.get(next) else { return Err(fault(FaultCause::Unmapped)) };
            if !attributes.prot.allows(access) {
                return Err(fault(FaultCause::Protection));
            }
            match end {
                Some(end) if range.end >= end => return Ok(()),
                _ => next = range.end,
            }
        }
    }

    fn map(&self, place: Placement, len: u64, prot: Prot, backing: Backing<'_>) -> Result<GuestAddr, MapError> {
        let (part, shared, named) = match backing {
            Backing::Anonymous { shared, .. } => (None, shared, false),
            Backing::File { file, offset, shared } => {
                let (file, named) = FileId::of(file)?;
                (Some(FilePart { file, offset, shared }), shared, named)
            }
        };
        let at = self.map_part(place, len, prot, (backing, part), (shared, named))?;
        if shared {
            self.tell_shared();
        }
        Ok(at)
    }

    fn map_part(
        &self,
        place: Placement,
        len: u64,
        prot: Prot,
        (backing, part): (Backing<'_>, Option<FilePart>),
        (shared, named): (bool, bool),
    ) -> Result<GuestAddr, MapError> {
        let replaced = match place {
            Placement::Replace(at) => Some(self.page_range(at, len)?),
            _ => None,
        };
        let image = match backing {
            Backing::File { file, shared: false, .. } => ImageId::of_file(file),
            // What others may write at any time is not worth keeping.
            Backing::File { .. } | Backing::Anonymous { .. } => None,
        };
        let mut ranges = self.lock_without_code_of(replaced, part.filter(|p| p.shared).map(|p| (p, len)));
        let inherited = part.is_some_and(|p| self.code_pages().inherited.contains(&p.file));
        let attributes = Attributes { prot, shared, foreign: shared && (named || inherited), image };
        let mut foreign = RangeMap::default();
        loop {
            let at = match place {
                Placement::Replace(at) | Placement::Exactly(at) => at,
                Placement::Lowest { low, high, align } => {
                    let at = self.gap(&ranges, len, low, high, align)?;
                    // Ranges that the host turned out to use itself are skipped.
                    match foreign.overlapping(at.0..at.0 + len).last() {
                        Some((taken, _)) => self.gap(&ranges, len, GuestAddr(taken.end), high, align)?,
                        None => at,
                    }
                }
            };
            let range = self.page_range(at, len)?;
            let old = ranges.overlapping(range.clone());
            if matches!(place, Placement::Exactly(_)) && !old.is_empty() {
                return Err(MapError::Occupied);
            }
            let covered = ranges.covers(range.clone());
            if !covered {
                for (part, _) in &old {
                    self.space.unmap(part.clone())?;
                    self.code_pages().files.remove(part.clone());
                    ranges.remove(part.clone());
                }
            }
            match self.space.map(range.clone(), host_prot(attributes.prot), backing, covered) {
                Ok(()) => {
                    let mut code = self.code_pages();
                    match part {
                        Some(part) => code.files.insert(range.clone(), part),
                        None => code.files.remove(range.clone()),
                    }
                    code.forget_rewrites(&range);
                    drop(code);
                    ranges.insert(range, attributes);
                    return Ok(at);
                }
                Err(Errno::EXIST) if matches!(place, Placement::Lowest { .. }) => {
                    let step = range.start..range.start + (1 << 20).max(PAGE_SIZE);
                    foreign
                        .insert(step, Attributes { prot: Prot::empty(), shared: false, foreign: false, image: None });
                }
                Err(Errno::EXIST) => return Err(MapError::Occupied),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Keeps the memory map as it is until the guards are dropped.
    pub(crate) fn hold(&self) -> (impl Drop + '_, impl Drop + '_, impl Drop + '_) {
        (self.write_ranges(), self.code_pages(), self.lent.hold())
    }

    fn gap(
        &self,
        ranges: &RangeMap,
        len: u64,
        low: GuestAddr,
        high: GuestAddr,
        align: u64,
    ) -> Result<GuestAddr, MapError> {
        if !align.is_power_of_two() || len == 0 {
            return Err(MapError::BadRange);
        }
        let within = low.0.max(self.bounds.start)..high.0.min(self.bounds.end);
        let len = len.checked_next_multiple_of(PAGE_SIZE).ok_or(MapError::NoSpace)?;
        ranges.find_gap(len, within, align.max(PAGE_SIZE)).map(GuestAddr).ok_or(MapError::NoSpace)
    }

    /// The pages of `len` bytes at `at`, which must be the start of a page.
    fn page_range(&self, at: GuestAddr, len: u64) -> Result<Range<u64>, MapError> {
        let len = len.checked_next_multiple_of(PAGE_SIZE).filter(|&l| l > 0).ok_or(MapError::BadRange)?;
        let end = at.0.checked_add(len).ok_or(MapError::BadRange)?;
        if at.0 % PAGE_SIZE != 0 || at.0 < self.bounds.start || end > self.bounds.end {
            return Err(MapError::BadRange);
        }
        Ok(at.0..end)
    }

    // A thread that panicked with a lock held has left the tables whole: each change is complete before the next host call.
    fn read_ranges(&self) -> RwLockReadGuard<'_, RangeMap> {
        self.ranges.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write_ranges(&self) -> RwLockWriteGuard<'_, RangeMap> {
        self.ranges.write().unwrap_or_else(|e| e.into_inner())
    }

    /// The ranges, locked for a change of `range`, behind which nothing is translated and nothing will be before the lock is given up.
    fn lock_without_code(&self, range: Range<u64>) -> RwLockWriteGuard<'_, RangeMap> {
        self.lock_without_code_of(Some(range), None)
    }

    /// Like [`Self::lock_without_code`]; nor is there a translation of those bytes of a file's part, wherever they are mapped.
    fn lock_without_code_of(
        &self,
        range: Option<Range<u64>>,
        part: Option<(FilePart, u64)>,
    ) -> RwLockWriteGuard<'_, RangeMap> {
        let of_part = || part.map_or(Vec::new(), |(part, len)| self.code_pages().translated(part, len));
        loop {
            for range in range.iter().cloned().chain(of_part()) {
                self.drop_code(range, Change::Mapping);
            }
            let ranges = self.write_ranges();
            if of_part().is_empty() && !range.as_ref().is_some_and(|range| self.code_pages().any(range)) {
                return ranges;
            }
        }
    }

    fn code_pages(&self) -> MutexGuard<'_, CodePages> {
        self.code.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        let ranges: Vec<_> = self.read_ranges().iter().map(|(r, _)| r).collect();
        for range in ranges {
            if let Err(error) = self.space.unmap(range.clone()) {
                tracing::warn!("cannot unmap guest memory at {:#x}: {error}", range.start);
            }
        }
    }
}

fn range_info((range, attributes): (Range<u64>, Attributes)) -> RangeInfo {
    RangeInfo {
        start: GuestAddr(range.start),
        end: GuestAddr(range.end),
        prot: attributes.prot,
        shared: attributes.shared,
    }
}

fn host_prot(prot: Prot) -> HostProt {
    if prot.allows(Access::Write) {
        HostProt::ReadWrite
    } else if prot.allows(Access::Read) {
        HostProt::Read
    } else {
        HostProt::None
    }
}
