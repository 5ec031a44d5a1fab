//! Pages whose code has been translated, and how changes of it are noticed.
//!
//! **Protected pages** are write-protected on the host until the translations are gone. A store to one drops them first.
//!
//! **Checked pages** stay as they are; code translated from them compares itself with the guest's bytes when it is entered
//! ([`code_checks`](hokku_ir::passes::code_checks())). So it is with memory that other processes store to (files with a name that are mapped shared,
//! and all that is shared at a fork), with pages that a host call is writing to, and with those whose code has been rewritten a few times:
//! a fault and new translations of all that is there cost more than comparing. Pages of the last kind are protected again when their code runs a
//! lot ([`GuestMemory::settle_code`]).
//!
//! **The same memory twice.** Where a file (of the disk, or the host file that a cloned area's memory is) is mapped in several places, all
//! shared mappings of a protected page are write-protected with it. A store through any of them drops what was translated through
//! all, and protection ends where no translation is left behind. A shared mapping that is made, changed or removed drops the
//! translations of what it maps.
//!
//! **Limits.** Changes of a file by other processes are not noticed where it is mapped private: Haiku does not say either whether such a
//! mapping sees them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Weak;

use hokku_ir::GuestAddr;
use rustix::io::Errno;

use super::file_map::{FileMap, FilePart};
use super::range_map::RangeMap;
use super::{Access, FaultCause, GuestMemory, HostProt, MemoryFault, host_prot};
use crate::host::PAGE_SIZE;
use crate::host::mapping::FileId;

/// Why translations are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The guest stores to a protected page.
    Store,
    /// The system stores to one.
    HostStore,
    /// Memory is mapped, unmapped or protected, or a breakpoint set.
    Mapping,
    /// A mapped file is written.
    File,
}

/// How changes of a page's code are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Stores fault.
    Protected,
    /// The code compares itself.
    Checked,
}

/// A period in which a page's code is watched, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeTicket {
    number: u64,
    pub(crate) watch: Watch,
}

/// How often stores drop a page's translations before it is checked instead.
const REWRITES: u32 = 4;

/// How often a page that was checked for that is protected again because its code runs a lot.
const SECOND_CHANCES: u32 = 3;

/// What became of a page's translations so far.
#[derive(Clone, Copy, Debug, Default)]
struct Rewrites {
    /// How often stores dropped them.
    stores: u32,
    chances: u32,
}

/// Who holds translations and can drop them.
pub(crate) trait CodeOwner: Send + Sync {
    /// Drops all translations of code in `range` and waits until no thread runs them.
    ///
    /// Called without locks of the guest memory; calls [`GuestMemory::release_code`] before it returns.
    fn drop_code(&self, range: Range<u64>, why: Change);

    /// There is memory now that other processes may share. Called without locks of the guest memory.
    fn memory_is_shared(&self);
}

/// Which pages have translations.
#[derive(Default)]
pub(super) struct CodePages {
    /// Page address to the ticket under which its bytes were read.
    tickets: HashMap<u64, CodeTicket>,
    /// How often stores have dropped the translations of a page.
    rewrites: HashMap<u64, Rewrites>,
    /// Files that were mapped when the process was forked.
    pub(super) inherited: HashSet<FileId>,
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
    /// Whether there are translations that a change of the memory map at `range` can make wrong.
    pub(super) fn any(&self, range: &Range<u64>) -> bool {
        keys_in(&self.tickets, range).next().is_some() || keys_in(&self.behind, range).next().is_some()
    }

    fn is_protected(&self, page: u64) -> bool {
        self.tickets.get(&page).is_some_and(|t| t.watch == Watch::Protected)
    }

    /// Whether the host's `page` must not be writable.
    fn protects(&self, page: u64) -> bool {
        self.is_protected(page) || self.behind.contains_key(&page)
    }

    /// The ranges whose translations are stale after a change of all of `range`.
    fn changed_by(&self, range: &Range<u64>, why: Change) -> Vec<Range<u64>> {
        let seen = |page: &u64| why == Change::Mapping || self.is_protected(*page);
        let own = keys_in(&self.tickets, range).find(seen).map(|_| range.clone());
        let behind = keys_in(&self.behind, range).filter_map(|page| self.behind.get(&page)).flatten();
        let mut pages: Vec<u64> = behind.copied().collect();
        pages.sort_unstable();
        pages.dedup();
        own.into_iter().chain(pages.into_iter().map(|page| page..page + PAGE_SIZE)).collect()
    }

    /// Notes that stores are about to drop the translations of the pages of `range`.
    fn count_rewrites(&mut self, range: &Range<u64>) {
        let pages: Vec<u64> = keys_in(&self.tickets, range).filter(|page| self.is_protected(*page)).collect();
        for page in pages {
            self.rewrites.entry(page).or_default().stores += 1;
        }
    }

    /// Notes that something else is mapped at `range` now.
    pub(super) fn forget_rewrites(&mut self, range: &Range<u64>) {
        let pages: Vec<u64> = keys_in(&self.rewrites, range).collect();
        for page in pages {
            self.rewrites.remove(&page);
        }
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

    /// Prepares the page of `at` for translation: checks that it can be executed and, unless it is to be [`Watch::Checked`], protects it from
    /// stores, so that what is read from now on stays true until the owner is asked to drop it. The ticket names this period.
    pub(crate) fn watch_code(&self, at: GuestAddr) -> Result<CodeTicket, MemoryFault> {
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
        let rewritten = || code.rewrites.get(&page).is_some_and(|r| r.stores >= REWRITES);
        let writers = code.files.writers(page);
        let lent = || [page].iter().chain(&writers).any(|page| self.lent.touches(&(*page..page + PAGE_SIZE)));
        let writable = attributes.prot.allows(Access::Write) || !writers.is_empty();
        let is_checked = attributes.foreign || writable && (rewritten() || lent());
        let watch = if is_checked { Watch::Checked } else { Watch::Protected };
        code.next_ticket += 1;
        let ticket = CodeTicket { number: code.next_ticket, watch };
        code.tickets.insert(page, ticket);
        if watch == Watch::Protected && !protect_page(self, &ranges, &mut code, page) {
            return Err(fault(FaultCause::Protection));
        }
        Ok(ticket)
    }

    /// Protects the page of `at`, which runs a lot, if it is checked only because it was rewritten, and not too often. What was translated of it
    /// stays good.
    pub(crate) fn settle_code(&self, at: GuestAddr) {
        let page = at.0 & !(PAGE_SIZE - 1);
        let ranges = self.read_ranges();
        let mut code = self.code_pages();
        let checked = code.tickets.get(&page).is_some_and(|t| t.watch == Watch::Checked);
        let foreign = ranges.get(page).is_none_or(|(_, a)| a.foreign);
        let writers = code.files.writers(page);
        let lent = [page].iter().chain(&writers).any(|page| self.lent.touches(&(*page..page + PAGE_SIZE)));
        if !checked || foreign || lent {
            return;
        }
        if let Some(rewrites) = code.rewrites.get_mut(&page) {
            if rewrites.chances == SECOND_CHANCES {
                return;
            }
            // The next store is enough for the page to be checked again.
            *rewrites = Rewrites { stores: REWRITES - 1, chances: rewrites.chances + 1 };
        }
        code.next_ticket += 1;
        let ticket = CodeTicket { number: code.next_ticket, watch: Watch::Protected };
        code.tickets.insert(page, ticket);
        protect_page(self, &ranges, &mut code, page);
    }

    /// Whether the page of `at` is still watched under `ticket`.
    pub(crate) fn code_ticket_holds(&self, at: GuestAddr, ticket: CodeTicket) -> bool {
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

    /// Has the translations dropped that a change of `range` makes wrong, if there are any, and gives its pages back to the guest's stores.
    pub(crate) fn drop_code(&self, range: Range<u64>, why: Change) {
        let (owner, changed) = {
            let mut code = self.code_pages();
            if !code.any(&range) {
                return;
            }
            let changed = code.changed_by(&range, why);
            if matches!(why, Change::Store | Change::HostStore) {
                changed.iter().for_each(|range| code.count_rewrites(range));
            }
            (code.owner.as_ref().and_then(Weak::upgrade), changed)
        };
        for range in changed {
            match &owner {
                Some(owner) => owner.drop_code(range, why),
                None => self.release_code(range),
            }
        }
    }

    /// Tells that `len` bytes of `file` from `offset` on have been written, or are no more: code that is mapped from there is another now.
    pub fn file_changed(&self, file: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
        let (file, _) = FileId::of(file)?;
        let translated = self.code_pages().translated(FilePart { file, offset, shared: true }, len);
        for range in translated {
            self.drop_code(range, Change::File);
        }
        Ok(())
    }

    /// Other processes are about to share what is shared: they may store to it without notice.
    pub(crate) fn prepare_fork(&self) {
        let shared: Vec<Range<u64>> = {
            let mut ranges = self.write_ranges();
            let mut code = self.code_pages();
            let files: Vec<FileId> = code.files.shared_files().collect();
            code.inherited.extend(files);
            ranges.make_foreign()
        };
        for range in shared {
            self.drop_code(range, Change::Mapping);
        }
    }

    /// The process is a fork's child.
    pub(crate) fn forget_loans(&self) {
        self.lent.clear();
    }

    /// Tells the owner that there is shared memory.
    pub(super) fn tell_shared(&self) {
        let owner = self.code_pages().owner.as_ref().and_then(Weak::upgrade);
        if let Some(owner) = owner {
            owner.memory_is_shared();
        }
    }
}

/// Takes stores to a page, and through others to its memory, from the guest. `false`: the host refuses, and the page has no ticket any more.
fn protect_page(memory: &GuestMemory, ranges: &RangeMap, code: &mut CodePages, page: u64) -> bool {
    let writers = code.files.writers(page);
    for &writer in &writers {
        code.behind.entry(writer).or_default().push(page);
    }
    for page_or_writer in [page].into_iter().chain(writers) {
        let writable = ranges.get(page_or_writer).is_some_and(|(_, a)| a.prot.allows(Access::Write));
        if writable && memory.space.protect(page_or_writer..page_or_writer + PAGE_SIZE, HostProt::Read).is_err() {
            release_page(memory, ranges, code, page);
            return false;
        }
    }
    true
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
