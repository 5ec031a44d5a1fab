//! Pages whose code has been translated: they are write-protected on the host until the translations are gone.
//!
//! **The same memory twice.** Where a file (of the disk, or the host file that a cloned area's memory is) is mapped in several places, all
//! shared mappings of a page with translated code are write-protected with it. A store through any of them drops what was translated through
//! all, and protection ends where no translation is left behind. A shared mapping that is made, changed or removed drops the
//! translations of what it maps.
//!
//! **Limits.** This is known within one team. Not noticed are stores of other processes to memory that they share with this one (areas shared
//! by a fork, files mapped by both), and changes of a mapped file by `write` or `truncate`: translations of such code stay
//! until it is mapped, protected or written here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::ops::Range;
use std::sync::Weak;

use hokku_ir::GuestAddr;

use super::file_map::{FileMap, FilePart};
use super::range_map::RangeMap;
use super::{Access, FaultCause, GuestMemory, HostProt, MemoryFault, host_prot};
use crate::host::PAGE_SIZE;

/// Who holds translations and can drop them.
pub(crate) trait CodeOwner: Send + Sync {
    /// Drops all translations of code in `range` and waits until no thread runs them.
    ///
    /// Called without locks of the guest memory; calls [`GuestMemory::release_code`] before it returns.
    fn drop_code(&self, range: Range<u64>);
}

/// Which pages have translations.
#[derive(Default)]
pub(super) struct CodePages {
    /// Page address to the ticket under which its bytes were read.
    tickets: HashMap<u64, u64>,
    /// Pages through which stores change translated code of other pages: those pages.
    behind: HashMap<u64, Vec<u64>>,
    /// What is mapped from files.
    pub(super) files: FileMap,
    next_ticket: u64,
    owner: Option<Weak<dyn CodeOwner>>,
}

impl fmt::Debug for CodePages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodePages({} pages)", self.tickets.len())
    }
}

impl CodePages {
    /// Whether a store to a page of `range` can change translated code.
    pub(super) fn any(&self, range: &Range<u64>) -> bool {
        keys_in(&self.tickets, range).next().is_some() || keys_in(&self.behind, range).next().is_some()
    }

    /// Whether the host's `page` must not be writable.
    fn protects(&self, page: u64) -> bool {
        self.tickets.contains_key(&page) || self.behind.contains_key(&page)
    }

    /// The ranges whose translations are stale after a store to all of `range`.
    fn changed_by(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let own = keys_in(&self.tickets, range).next().map(|_| range.clone());
        let behind = keys_in(&self.behind, range).filter_map(|page| self.behind.get(&page)).flatten();
        let mut pages: Vec<u64> = behind.copied().collect();
        pages.sort_unstable();
        pages.dedup();
        own.into_iter().chain(pages.into_iter().map(|page| page..page + PAGE_SIZE)).collect()
    }

    /// Where translations were made of `len` bytes of `part`.
    pub(super) fn translated(&self, part: FilePart, len: u64) -> Vec<Range<u64>> {
        self.files.places(part, len).map(|p| p.0).filter(|r| keys_in(&self.tickets, r).next().is_some()).collect()
    }
}

/// The keys of `pages` that `range` touches.
fn keys_in<'a, T>(pages: &'a HashMap<u64, T>, range: &Range<u64>) -> impl Iterator<Item = u64> + use<'a, T> {
    let range = (range.start & !(PAGE_SIZE - 1))..range.end;
    let by_address = (range.end - range.start).div_ceil(PAGE_SIZE) <= pages.len() as u64;
    let addresses = by_address.then(|| range.clone().step_by(PAGE_SIZE as usize).filter(|p| pages.contains_key(p)));
    let keys = (!by_address).then(|| pages.keys().copied().filter(move |p| range.contains(p)));
    addresses.into_iter().flatten().chain(keys.into_iter().flatten())
}

impl GuestMemory {
    /// Tells who is to be asked to drop translations.
    pub(crate) fn set_code_owner(&self, owner: Weak<dyn CodeOwner>) {
        self.code_pages().owner = Some(owner);
    }

    /// Prepares the page of `at` for translation: checks that it can be executed and protects it from stores, so that what is read from
    /// now on stays true until the owner is asked to drop it. The ticket names this period.
    pub(crate) fn protect_code(&self, at: GuestAddr) -> Result<u64, MemoryFault> {
        let page = at.0 & !(PAGE_SIZE - 1);
        let ranges = self.read_ranges();
        let fault = |cause| MemoryFault { address: at, access: Access::Execute, cause };
        let (_, attributes) = ranges.get(at.0).ok_or(fault(FaultCause::Unmapped))?;
        if !attributes.prot.allows(Access::Execute) {
            return Err(fault(FaultCause::Protection));
        }
        let mut code = self.code_pages();
        if let Some(&ticket) = code.tickets.get(&page) {
            return Ok(ticket);
        }
        code.next_ticket += 1;
        let ticket = code.next_ticket;
        code.tickets.insert(page, ticket);
        let writers = code.files.writers(page);
        for &writer in &writers {
            code.behind.entry(writer).or_default().push(page);
        }
        for page_or_writer in [page].into_iter().chain(writers) {
            let writable = ranges.get(page_or_writer).is_some_and(|(_, a)| a.prot.allows(Access::Write));
            if writable && self.space.protect(page_or_writer..page_or_writer + PAGE_SIZE, HostProt::Read).is_err() {
                release_page(self, &ranges, &mut code, page);
                return Err(fault(FaultCause::Protection));
            }
        }
        Ok(ticket)
    }

    /// Whether the page of `at` is still protected under `ticket`.
    pub(crate) fn code_ticket_holds(&self, at: GuestAddr, ticket: u64) -> bool {
        self.code_pages().tickets.get(&(at.0 & !(PAGE_SIZE - 1))) == Some(&ticket)
    }

    /// Gives the pages of `range` back to the guest's stores; their translations are gone.
    pub(crate) fn release_code(&self, range: Range<u64>) {
        let ranges = self.read_ranges();
        let mut code = self.code_pages();
        let pages: Vec<u64> = keys_in(&code.tickets, &range).collect();
        for page in pages {
            release_page(self, &ranges, &mut code, page);
        }
    }

    /// Has the translations dropped that a store to `range` may change, if there are any, and gives its pages back to the guest's stores.
    pub(crate) fn drop_code(&self, range: Range<u64>) {
        let (owner, changed) = {
            let code = self.code_pages();
            if !code.any(&range) {
                return;
            }
            (code.owner.as_ref().and_then(Weak::upgrade), code.changed_by(&range))
        };
        for range in changed {
            match &owner {
                Some(owner) => owner.drop_code(range),
                None => self.release_code(range),
            }
        }
    }
}

/// Gives a page, and those through which it is written, back to stores, unless there are other translations behind them.
fn release_page(memory: &GuestMemory, ranges: &RangeMap, code: &mut CodePages, page: u64) {
    code.tickets.remove(&page);
    let writers = code.files.writers(page);
    for &writer in &writers {
        if let Entry::Occupied(mut behind) = code.behind.entry(writer) {
            behind.get_mut().retain(|&other| other != page);
            if behind.get().is_empty() {
                behind.remove();
            }
        }
    }
    for page in [page].into_iter().chain(writers).filter(|&page| !code.protects(page)) {
        restore(memory, ranges, page);
    }
}

fn restore(memory: &GuestMemory, ranges: &RangeMap, page: u64) {
    let Some((_, attributes)) = ranges.get(page) else { return };
    if attributes.prot.allows(Access::Write) {
        if let Err(error) = memory.space.protect(page..page + PAGE_SIZE, host_prot(attributes.prot)) {
            tracing::error!("cannot make the guest's page {page:#x} writable again: {error}");
        }
    }
}
