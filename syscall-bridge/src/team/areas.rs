//! Areas: named ranges of guest memory with ids, and ranges of addresses that are kept free for them.
//!
//! The table knows areas; [`GuestMemory`] knows pages and their protections. Every change goes through here, under the table's lock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use hokku_ir::{CpuMode, GuestAddr};
use hokku_runtime::guest_memory::highest;
use hokku_runtime::{GuestMemory, MapError, Placement, Prot};

use crate::abi::area::*;
use crate::abi::structs::AreaInfo;
use crate::abi::{Chars, Status, SysResult, Word};
use crate::args::{AreaId, TeamId};

/// What an area's memory is.
#[derive(Clone, Debug)]
pub enum Backing {
    /// Zeros at first; a forked team gets a copy.
    Private,
    /// Zeros at first; shared with forked teams.
    Shared,
    /// A file from an offset on; stores go to it if `shared`.
    File {
        /// The host's file.
        file: Arc<OwnedFd>,
        /// Offset of the area's first byte.
        offset: u64,
        /// Whether stores go to the file.
        shared: bool,
        /// Whether the file may be written.
        writable: bool,
        /// Whether the file is but the memory of areas.
        is_memory: bool,
    },
}

/// An area.
#[derive(Clone, Debug)]
pub struct Area {
    /// Its id.
    pub id: AreaId,
    /// Its name.
    pub name: Vec<u8>,
    /// First address.
    pub base: u64,
    /// Bytes, whole pages.
    pub size: u64,
    /// Its protection; single pages may have another one.
    pub protection: Protection,
    /// How it is locked in memory, as the program asked for.
    pub lock: u32,
    /// What it is.
    pub backing: Backing,
}

impl Area {
    /// First address behind it.
    pub fn end(&self) -> u64 {
        self.base + self.size
    }

    /// As programs see it.
    pub fn info(&self, team: TeamId) -> AreaInfo {
        AreaInfo {
            area: self.id.0,
            name: Chars::new(&self.name),
            size: Word(self.size),
            lock: self.lock,
            protection: (self.protection & Protection::USER).bits(),
            team: team.0,
            ram_size: u32::try_from(self.size).unwrap_or(u32::MAX),
            address: GuestAddr(self.base),
            ..AreaInfo::default()
        }
    }
}

/// What an area is to be.
#[derive(Clone, Debug)]
pub struct AreaRequest<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The address that `spec` refers to.
    pub address: u64,
    /// How the address is chosen.
    pub spec: u32,
    /// Bytes.
    pub size: u64,
    /// Its protection.
    pub protection: Protection,
    /// How it is locked.
    pub lock: u32,
    /// What it is.
    pub backing: Backing,
    /// Whether what is at an exact address makes way.
    pub replace: bool,
}

/// All areas of the team.
#[derive(Debug)]
pub struct Areas {
    /// By first address.
    table: BTreeMap<u64, Area>,
    /// Ranges kept free, by first address: end.
    reserved: BTreeMap<u64, u64>,
    last_id: i32,
    low: Range<u64>,
    high: Range<u64>,
}

/// Areas up to this size go below 2 GiB in 64-bit programs, where code reaches them with short instructions.
const LOW_LIMIT: u64 = 64 << 20;

/// Where ranges go that are reserved for images: each size has a place of its own, so that a library is at the same
/// address in most programs, and translations of its code can be used again.
const IMAGE_PLACES: u64 = 0x6000_0000;
/// Distance of two places.
const IMAGE_STEP: u64 = 1 << 20;
/// Number of places.
const IMAGE_COUNT: u64 = 480;

/// The place of an image of `size` bytes.
pub fn image_place(size: u64) -> u64 {
    // Fibonacci hashing: neighbouring sizes are spread.
    let spread = (size / PAGE).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    IMAGE_PLACES + spread % IMAGE_COUNT * IMAGE_STEP
}

impl From<MapError> for Status {
    fn from(error: MapError) -> Self {
        match error {
            MapError::BadRange | MapError::Occupied => Status::B_BAD_VALUE,
            MapError::Unmapped => Status::B_BAD_ADDRESS,
            MapError::NoSpace => Status::B_NO_MEMORY,
            MapError::PageSize(_) => Status::B_NOT_SUPPORTED,
            MapError::Host(errno) => errno.into(),
        }
    }
}

fn whole_pages(size: u64) -> SysResult<u64> {
    size.checked_next_multiple_of(PAGE).filter(|&s| s > 0).ok_or(Status::B_BAD_VALUE)
}

impl Areas {
    /// No areas, for a guest of this word size.
    pub fn new(mode: CpuMode) -> Self {
        let (low, high) = match mode {
            CpuMode::Protected32 => (0x0020_0000..0x7fff_0000, 0x0020_0000..0x7fff_0000),
            CpuMode::Long64 => (0x1000_0000..0x7fff_0000, 0x1_0000_0000..highest(mode).0),
        };
        Areas { table: BTreeMap::new(), reserved: BTreeMap::new(), last_id: 0, low, high }
    }

    /// The first address behind those that programs may use.
    pub fn user_end(&self) -> u64 {
        self.high.end
    }

    /// The area that holds `at`.
    pub fn at(&self, at: u64) -> Option<&Area> {
        self.table.range(..=at).next_back().map(|(_, a)| a).filter(|a| at < a.end())
    }

    /// The area with this id.
    pub fn get(&self, id: AreaId) -> SysResult<&Area> {
        self.table.values().find(|a| a.id == id).ok_or(Status::B_BAD_VALUE)
    }

    /// An area of that name.
    pub fn find(&self, name: &[u8]) -> SysResult<AreaId> {
        self.table.values().find(|a| a.name == name).map(|a| a.id).ok_or(Status::B_NAME_NOT_FOUND)
    }

    /// The first area at an address higher than `after`.
    pub fn next(&self, after: u64) -> Option<&Area> {
        self.table.range(after.checked_add(1)?..).next().map(|(_, a)| a)
    }

    /// All of them by address.
    pub fn all(&self) -> impl Iterator<Item = &Area> {
        self.table.values()
    }

    fn overlapping(&self, range: &Range<u64>) -> Vec<u64> {
        let before =
            self.table.range(..range.start).next_back().filter(|(_, a)| a.end() > range.start).map(|(b, _)| *b);
        before.into_iter().chain(self.table.range(range.clone()).map(|(b, _)| *b)).collect()
    }

    /// The end of whatever is in the way of `range`; `None`: it is free and nobody has reserved it.
    fn obstacle(&self, range: &Range<u64>) -> Option<u64> {
        let area = self.overlapping(range).last().and_then(|b| self.table.get(b)).map(Area::end);
        let reserved =
            self.reserved.range(..range.end).next_back().map(|(_, end)| *end).filter(|&end| end > range.start);
        area.max(reserved)
    }

    /// The lowest free range of `size` bytes in `within`.
    fn gap(&self, within: &Range<u64>, size: u64) -> Option<u64> {
        let mut at = within.start.next_multiple_of(PAGE);
        while at.checked_add(size)? <= within.end {
            match self.obstacle(&(at..at + size)) {
                None => return Some(at),
                Some(end) => at = end.max(at + PAGE).next_multiple_of(PAGE),
            }
        }
        None
    }

    /// Where a request may go, in order of preference.
    fn choices(&self, spec: u32, address: u64, size: u64) -> SysResult<Vec<Range<u64>>> {
        let anywhere = || {
            let mut places = vec![self.low.clone(), self.high.clone()];
            if size > LOW_LIMIT {
                places.reverse();
            }
            places
        };
        match spec {
            B_ANY_ADDRESS | B_RANDOMIZED_ANY_ADDRESS => Ok(anywhere()),
            B_BASE_ADDRESS | B_RANDOMIZED_BASE_ADDRESS => {
                // Nothing asked for is as good as anywhere; so is an address that programs cannot have.
                let mut places = anywhere();
                if address != 0 && address < self.user_end() {
                    places.insert(0, address..self.user_end());
                }
                Ok(places)
            }
            _ => Err(Status::B_BAD_VALUE),
        }
    }

    fn exact(&self, address: u64, size: u64) -> SysResult<Range<u64>> {
        let end = address.checked_add(size).ok_or(Status::B_BAD_VALUE)?;
        if address % PAGE != 0 || address < PAGE || end > self.user_end() {
            return Err(Status::B_BAD_VALUE);
        }
        Ok(address..end)
    }

    /// Makes an area.
    pub fn create(&mut self, memory: &GuestMemory, request: AreaRequest<'_>) -> SysResult<(AreaId, GuestAddr)> {
        let size = whole_pages(request.size)?;
        let map = |place: Placement| -> Result<GuestAddr, MapError> {
            let prot = request.protection.pages();
            match &request.backing {
                Backing::Private if request.protection.contains(Protection::OVERCOMMITTING) => {
                    memory.map_lazily(place, size, prot, false)
                }
                Backing::Private => memory.map_anonymous(place, size, prot, false),
                Backing::Shared => memory.map_anonymous(place, size, prot, true),
                Backing::File { file, offset, shared, .. } => {
                    memory.map_file(place, size, prot, file.as_fd(), *offset, *shared)
                }
            }
        };
        let base = if request.spec == B_EXACT_ADDRESS {
            let range = self.exact(request.address, size)?;
            if request.replace {
                self.unmap(memory, range.start, size)?;
            } else if !self.overlapping(&range).is_empty() {
                return Err(Status::B_BAD_VALUE);
            }
            map(Placement::Exactly(GuestAddr(range.start)))?.0
        } else {
            self.place(request.spec, request.address, size, |at| match map(Placement::Exactly(GuestAddr(at))) {
                Ok(_) => Ok(true),
                // The host has something of its own there.
                Err(MapError::Occupied) => Ok(false),
                Err(error) => Err(error.into()),
            })?
        };
        self.last_id += 1;
        let id = AreaId(self.last_id);
        let area = Area {
            id,
            name: request.name.to_vec(),
            base,
            size,
            protection: request.protection,
            lock: request.lock,
            backing: request.backing,
        };
        self.table.insert(base, area);
        Ok((id, GuestAddr(base)))
    }

    /// Makes an area of memory that is mapped already.
    pub fn adopt(&mut self, name: &[u8], base: u64, size: u64, protection: Protection) -> SysResult<AreaId> {
        let range = self.exact(base, size)?;
        if !self.overlapping(&range).is_empty() {
            return Err(Status::B_BAD_VALUE);
        }
        self.last_id += 1;
        let id = AreaId(self.last_id);
        let area = Area { id, name: name.to_vec(), base, size, protection, lock: 0, backing: Backing::Private };
        self.table.insert(base, area);
        Ok(id)
    }

    /// Gives the area at `base` another name.
    pub fn rename(&mut self, base: u64, name: &[u8]) {
        if let Some(area) = self.table.get_mut(&base) {
            area.name = name.to_vec();
        }
    }

    /// Tries free ranges until `take` accepts one.
    fn place(
        &self,
        spec: u32,
        address: u64,
        size: u64,
        mut take: impl FnMut(u64) -> SysResult<bool>,
    ) -> SysResult<u64> {
        /// How far to go on when the host has something of its own in a place.
        const STEP: u64 = 1 << 20;
        for mut within in self.choices(spec, address, size)? {
            while let Some(at) = self.gap(&within, size) {
                if take(at)? {
                    return Ok(at);
                }
                within.start = at + STEP;
            }
        }
        Err(Status::B_NO_MEMORY)
    }

    /// Keeps a range of addresses free for exact requests.
    pub fn reserve(&mut self, spec: u32, address: u64, size: u64) -> SysResult<u64> {
        let size = whole_pages(size)?;
        let base = if spec == B_EXACT_ADDRESS {
            let range = self.exact(address, size)?;
            if self.obstacle(&range).is_some() {
                return Err(Status::B_BAD_VALUE);
            }
            range.start
        } else {
            // What the runtime loader asks for images by.
            let anywhere = spec == B_RANDOMIZED_BASE_ADDRESS;
            let usual = image_place(size)..self.low.end;
            match self.gap(&usual, size).filter(|&at| anywhere && size <= LOW_LIMIT && at >= address) {
                Some(at) => at,
                None => self.place(spec, address, size, |_| Ok(true))?,
            }
        };
        self.reserved.insert(base, base + size);
        Ok(base)
    }

    /// Gives reserved addresses back.
    pub fn unreserve(&mut self, address: u64, size: u64) -> SysResult {
        let range = self.exact(address, whole_pages(size)?)?;
        let hit: Vec<(u64, u64)> =
            self.reserved.range(..range.end).filter(|(_, end)| **end > range.start).map(|(b, e)| (*b, *e)).collect();
        for (base, end) in hit {
            self.reserved.remove(&base);
            if base < range.start {
                self.reserved.insert(base, range.start);
            }
            if end > range.end {
                self.reserved.insert(range.end, end);
            }
        }
        Ok(())
    }

    /// Deletes an area.
    pub fn delete(&mut self, memory: &GuestMemory, id: AreaId) -> SysResult {
        let (base, size) = self.own(id).map(|a| (a.base, a.size))?;
        memory.unmap(GuestAddr(base), size)?;
        self.table.remove(&base);
        Ok(())
    }

    fn own(&self, id: AreaId) -> SysResult<&Area> {
        let area = self.get(id)?;
        if area.protection.contains(Protection::KERNEL_AREA) { Err(Status::B_NOT_ALLOWED) } else { Ok(area) }
    }

    /// Grows or shrinks an area at its end.
    pub fn resize(&mut self, memory: &GuestMemory, id: AreaId, size: u64) -> SysResult {
        if size % PAGE != 0 {
            return Err(Status::B_BAD_VALUE);
        }
        if size == 0 {
            return Err(Status::B_BAD_VALUE);
        }
        let area = self.own(id)?.clone();
        match &area.backing {
            _ if size == area.size => return Ok(()),
            Backing::Private => {}
            Backing::File { file, is_memory: true, .. } if size < area.size => {
                return self.shrink_clones(memory, file, size);
            }
            _ => return Err(Status::B_NOT_ALLOWED),
        }
        if size > area.size {
            let range = self.exact(area.base, size).map_err(|_| Status::B_NO_MEMORY)?;
            let more = area.end()..range.end;
            if !self.overlapping(&more).is_empty() {
                return Err(Status::B_ERROR);
            }
            let prot = area.protection.pages();
            let place = Placement::Exactly(GuestAddr(more.start));
            let lazily = area.protection.contains(Protection::OVERCOMMITTING);
            let mapped = match lazily {
                true => memory.map_lazily(place, more.end - more.start, prot, false),
                false => memory.map_anonymous(place, more.end - more.start, prot, false),
            };
            mapped.map_err(|e| if e == MapError::Occupied { Status::B_ERROR } else { e.into() })?;
        } else if size < area.size {
            memory.unmap(GuestAddr(area.base + size), area.size - size)?;
        }
        if let Some(area) = self.table.get_mut(&area.base) {
            area.size = size;
        }
        Ok(())
    }

    /// Shrinks all areas whose memory is `file`.
    fn shrink_clones(&mut self, memory: &GuestMemory, file: &Arc<OwnedFd>, size: u64) -> SysResult {
        for area in self.table.values_mut().filter(|a| a.size > size) {
            match &area.backing {
                Backing::File { file: own, .. } if Arc::ptr_eq(own, file) => {
                    memory.unmap(GuestAddr(area.base + size), area.size - size)?;
                    area.size = size;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Changes the protection of a whole area.
    pub fn protect(&mut self, memory: &GuestMemory, id: AreaId, protection: Protection) -> SysResult {
        let area = self.own(id)?.clone();
        if let Backing::File { shared: true, writable: false, .. } = area.backing {
            if protection.contains(Protection::WRITE) {
                return Err(Status::B_NOT_ALLOWED);
            }
        }
        memory.protect(GuestAddr(area.base), area.size, protection.pages())?;
        if let Some(area) = self.table.get_mut(&area.base) {
            area.protection = protection | area.protection & (Protection::OVERCOMMITTING | Protection::SHARED);
        }
        Ok(())
    }

    /// Changes the protection of the pages of a range, all of which belong to areas.
    pub fn protect_range(
        &mut self,
        memory: &GuestMemory,
        address: u64,
        size: u64,
        protection: Protection,
    ) -> SysResult {
        let size = whole_pages(size)?;
        let range = self.exact(address, size).map_err(|_| Status::B_NO_MEMORY)?;
        let mut at = range.start;
        while at < range.end {
            let area = self.at(at).ok_or(Status::B_NO_MEMORY)?;
            if area.protection.contains(Protection::KERNEL_AREA) {
                return Err(Status::B_NOT_ALLOWED);
            }
            if let Backing::File { shared: true, writable: false, .. } = area.backing {
                if protection.contains(Protection::WRITE) {
                    return Err(Status::B_NOT_ALLOWED);
                }
            }
            at = area.end();
        }
        memory.protect(GuestAddr(range.start), size, protection.pages())?;
        for base in self.overlapping(&range) {
            if let Some(area) = self.table.get_mut(&base).filter(|a| a.base >= range.start && a.end() <= range.end) {
                area.protection =
                    protection | area.protection & !(Protection::READ | Protection::WRITE | Protection::EXECUTE);
            }
        }
        Ok(())
    }

    /// Unmaps a range: areas in it shrink, vanish, or fall into two.
    pub fn unmap(&mut self, memory: &GuestMemory, address: u64, size: u64) -> SysResult {
        let size = whole_pages(size)?;
        let range = self.exact(address, size)?;
        let hit = self.overlapping(&range);
        if hit.iter().filter_map(|b| self.table.get(b)).any(|a| a.protection.contains(Protection::KERNEL_AREA)) {
            return Err(Status::B_NOT_ALLOWED);
        }
        for base in hit {
            let Some(area) = self.table.remove(&base) else { continue };
            let cut = area.base.max(range.start)..area.end().min(range.end);
            memory.unmap(GuestAddr(cut.start), cut.end - cut.start)?;
            if area.base < cut.start {
                self.table.insert(area.base, Area { size: cut.start - area.base, ..area.clone() });
            }
            if area.end() > cut.end {
                let mut tail = Area { base: cut.end, size: area.end() - cut.end, ..area.clone() };
                if let Backing::File { offset, .. } = &mut tail.backing {
                    *offset += cut.end - area.base;
                }
                if area.base < cut.start {
                    self.last_id += 1;
                    tail.id = AreaId(self.last_id);
                }
                self.table.insert(cut.end, tail);
            }
        }
        Ok(())
    }

    /// Maps the memory of area `id` a second time. `new_memory` makes a host file of that many bytes for memory that was private so far.
    pub fn clone_area(
        &mut self,
        memory: &GuestMemory,
        id: AreaId,
        mut request: AreaRequest<'_>,
        new_memory: impl FnOnce(u64) -> SysResult<OwnedFd>,
    ) -> SysResult<(AreaId, GuestAddr)> {
        let source = self.own(id)?.clone();
        if request.spec == B_CLONE_ADDRESS {
            // The caller's own area is there.
            return Err(Status::B_BAD_VALUE);
        }
        let backing = match &source.backing {
            Backing::File { shared: true, .. } => source.backing.clone(),
            _ => self.make_file_backed(memory, &source, new_memory)?,
        };
        request.size = source.size;
        request.lock = source.lock;
        request.backing = backing;
        self.create(memory, request)
    }

    /// Moves private memory into a host file, in place.
    fn make_file_backed(
        &mut self,
        memory: &GuestMemory,
        source: &Area,
        new_memory: impl FnOnce(u64) -> SysResult<OwnedFd>,
    ) -> SysResult<Backing> {
        let file = Arc::new(new_memory(source.size)?);
        let at = GuestAddr(source.base);
        let prot = source.protection.pages();
        // A window onto the file to copy through, anywhere.
        let copy_at = self.place(B_ANY_ADDRESS, 0, source.size, |place| {
            let place = Placement::Exactly(GuestAddr(place));
            match memory.map_file(place, source.size, Prot::READ | Prot::WRITE, file.as_fd(), 0, true) {
                Ok(_) => Ok(true),
                Err(MapError::Occupied) => Ok(false),
                Err(error) => Err(error.into()),
            }
        })?;
        let copied = copy(memory, at, GuestAddr(copy_at), source.size);
        memory.unmap(GuestAddr(copy_at), source.size)?;
        copied?;
        memory.map_file(Placement::Replace(at), source.size, prot, file.as_fd(), 0, true)?;
        let backing = Backing::File { file, offset: 0, shared: true, writable: true, is_memory: true };
        if let Some(area) = self.table.get_mut(&source.base) {
            area.backing = backing.clone();
        }
        Ok(backing)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.table.len()
    }

    /// In a forked team the areas have new ids, in the same order of addresses.
    pub fn renumber(&mut self) {
        for area in self.table.values_mut() {
            self.last_id += 1;
            area.id = AreaId(self.last_id);
        }
    }
}

/// Copies guest memory; what cannot be read counts as zeros.
fn copy(memory: &GuestMemory, from: GuestAddr, to: GuestAddr, size: u64) -> SysResult {
    let mut page = [0; PAGE as usize];
    for offset in (0..size).step_by(page.len()) {
        if memory.read_bytes(from.offset(offset), &mut page).is_ok() {
            memory.write_bytes(to.offset(offset), &page)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "areas_tests.rs"]
mod tests;
