//! From a block key to IR: reads guest code, has the front end translate it and the passes improve it.

use std::cell::RefCell;

use hokku_frontend::{CodeSource, Limits};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockKey, GuestAddr, Op, Region};

use crate::code_cache::CodePage;
use crate::guest_memory::{Access, CodeTicket, GuestMemory, Watch};
use crate::host::PAGE_SIZE;

/// Length of the longest x86 instruction.
pub(crate) const LONGEST_INSTRUCTION: usize = 15;

/// A region's IR and the pages that it was read from.
#[derive(Debug)]
pub(crate) struct Translation {
    pub(crate) region: Region,
    pub(crate) pages: Vec<CodePage>,
    /// Whether it compares itself with the guest's code, because that may change without notice.
    pub(crate) is_checked: bool,
}

/// A page that code is read from.
struct OpenPage {
    page: u64,
    ticket: CodeTicket,
    /// What is in it, as far as it is readable, where that may change while it is translated.
    copy: Option<Vec<u8>>,
}

/// Guest memory as a source of code: each page that is read is protected from stores first, or copied.
struct GuestCode<'a> {
    memory: &'a GuestMemory,
    pages: RefCell<Vec<OpenPage>>,
}

impl GuestCode<'_> {
    /// Whether the page of `at` may be executed; protects it.
    fn open_page(&self, at: GuestAddr) -> bool {
        let page = at.0 & !(PAGE_SIZE - 1);
        let mut pages = self.pages.borrow_mut();
        if pages.iter().any(|p| p.page == page) {
            return true;
        }
        match self.memory.watch_code(at) {
            Ok(ticket) => {
                let copy = (ticket.watch == Watch::Checked).then(|| self.copy(page));
                pages.push(OpenPage { page, ticket, copy });
                true
            }
            Err(_) => false,
        }
    }

    /// The bytes of `page`, as far as they are readable.
    fn copy(&self, page: u64) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_SIZE as usize];
        if let Err(fault) = self.memory.read_bytes(GuestAddr(page), &mut bytes) {
            bytes.truncate(fault.address.0.saturating_sub(page) as usize);
        }
        bytes
    }

    /// Fills `to` from `at` on, within a page that is open; an error tells the number of bytes that could be read.
    fn read(&self, at: GuestAddr, to: &mut [u8]) -> Result<(), usize> {
        let pages = self.pages.borrow();
        let offset = (at.0 % PAGE_SIZE) as usize;
        match pages.iter().find(|p| p.page == at.0 - offset as u64).and_then(|p| p.copy.as_ref()) {
            Some(copy) => {
                let there = copy.get(offset..).unwrap_or_default();
                let n = there.len().min(to.len());
                to[..n].copy_from_slice(&there[..n]);
                if n == to.len() { Ok(()) } else { Err(n) }
            }
            None => self.memory.read_bytes(at, to).map_err(|fault| fault.address.0.saturating_sub(at.0) as usize),
        }
    }

    /// The byte at `at` that was translated, where it may change without notice.
    fn unwatched(&self, at: GuestAddr) -> Option<u8> {
        let pages = self.pages.borrow();
        let offset = at.0 % PAGE_SIZE;
        pages.iter().find(|p| p.page == at.0 - offset)?.copy.as_ref()?.get(offset as usize).copied()
    }
}

impl CodeSource for GuestCode<'_> {
    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buf.len() {
            let from = at.offset(done as u64);
            // The next page is opened only for an instruction that may reach into it.
            if done >= LONGEST_INSTRUCTION || !self.open_page(from) {
                break;
            }
            let n = (buf.len() - done).min((PAGE_SIZE - from.0 % PAGE_SIZE) as usize);
            match self.read(from, &mut buf[done..done + n]) {
                Ok(()) => done += n,
                Err(readable) => {
                    // A file mapping beyond its file: what is before it has been read.
                    done += readable;
                    break;
                }
            }
        }
        done
    }
}

/// Translates the code that `key` names, as much of it as pays, applies the passes named, and watches its pages for changes.
pub(crate) fn translate(
    memory: &GuestMemory,
    key: BlockKey,
    pass_names: &[&str],
    faults_see: FaultsSee,
) -> Translation {
    let code = GuestCode { memory, pages: RefCell::default() };
    let mut region = hokku_frontend::translate(&code, key, &Limits::default());
    let is_checked = code.pages.borrow().iter().any(|p| p.copy.is_some());
    if is_checked {
        passes::code_checks(&mut region, &|at| code.unwatched(at));
    }
    for name in pass_names {
        passes::run_one(&mut region, name, faults_see);
    }
    let pages = code.pages.into_inner().into_iter().map(|p| (p.page, p.ticket)).collect();
    Translation { region, pages, is_checked }
}

/// Guest memory as a source of code that is run at once and not kept: its pages stay as they are.
struct FleetingCode<'a>(&'a GuestMemory);

impl CodeSource for FleetingCode<'_> {
    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize {
        let executable = |i: &u64| self.0.protection(at.offset(*i)).is_some_and(|p| p.allows(Access::Execute));
        let len = (0..(buf.len().min(LONGEST_INSTRUCTION) as u64)).take_while(executable).count();
        match self.0.read_bytes(at, &mut buf[..len]) {
            Ok(()) => len,
            Err(fault) => fault.address.0.saturating_sub(at.0) as usize,
        }
    }
}

/// Translates the one instruction that `key` names, to be run at once.
pub(crate) fn translate_instruction(memory: &GuestMemory, key: BlockKey) -> Region {
    hokku_frontend::translate(&FleetingCode(memory), key, &Limits::single_instruction())
}

/// Number of guest instructions in `region`.
pub(crate) fn instruction_count(region: &Region) -> u64 {
    let starts = |op: &Op| matches!(op, Op::Insn { .. });
    region.blocks.iter().flat_map(|b| &b.insts).filter(|i| starts(&i.op)).count() as u64
}

/// Number of guest bytes that `region` was made from.
pub(crate) fn byte_count(region: &Region) -> u64 {
    region.ranges.iter().map(|r| u64::from(r.1)).sum()
}
