//! Pages whose code has been translated: they are write-protected on the host until the translations are gone.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Weak;

use hokku_ir::GuestAddr;

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
    next_ticket: u64,
    owner: Option<Weak<dyn CodeOwner>>,
}

impl fmt::Debug for CodePages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodePages({} pages)", self.tickets.len())
    }
}

impl CodePages {
    /// Whether a page of `range` has translations.
    pub(super) fn any(&self, range: &Range<u64>) -> bool {
        if self.tickets.is_empty() {
            return false;
        }
        let first = range.start & !(PAGE_SIZE - 1);
        let pages = (range.end - first).div_ceil(PAGE_SIZE);
        if pages > self.tickets.len() as u64 {
            return self.tickets.keys().any(|page| (first..range.end).contains(page));
        }
        (first..range.end).step_by(PAGE_SIZE as usize).any(|page| self.tickets.contains_key(&page))
    }
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
        if attributes.prot.allows(Access::Write) {
            self.space.protect(page..page + PAGE_SIZE, HostProt::Read).map_err(|_| fault(FaultCause::Protection))?;
        }
        code.next_ticket += 1;
        let ticket = code.next_ticket;
        code.tickets.insert(page, ticket);
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
        let first = range.start & !(PAGE_SIZE - 1);
        let pages: Vec<u64> = code.tickets.keys().copied().filter(|p| (first..range.end).contains(p)).collect();
        for page in pages {
            code.tickets.remove(&page);
            restore(self, &ranges, page);
        }
    }

    /// Has the translations of code in `range` dropped, if there are any, and gives its pages back to the guest's stores.
    pub(crate) fn drop_code(&self, range: Range<u64>) {
        let owner = {
            let code = self.code_pages();
            if !code.any(&range) {
                return;
            }
            code.owner.as_ref().and_then(Weak::upgrade)
        };
        match owner {
            Some(owner) => owner.drop_code(range),
            None => self.release_code(range),
        }
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
