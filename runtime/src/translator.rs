//! From a block key to IR: reads guest code, has the front end translate it and the passes improve it.

use std::cell::RefCell;

use hokku_frontend::{CodeSource, FaultingAccess, Limits};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockKey, CpuMode, CpuState, GuestAddr, Region};

use crate::code_cache::CodePage;
use crate::debug::Debugging;
use crate::guest_memory::{Access, CodeTicket, GuestMemory, Watch};
use crate::host::PAGE_SIZE;

/// Length of the longest x86 instruction.
pub(crate) const LONGEST_INSTRUCTION: usize = 15;

/// A region's IR and the code that it was made from.
#[derive(Debug)]
pub(crate) struct Translation {
    pub(crate) region: Region,
    /// The pages of that code.
    pub(crate) pages: Vec<CodePage>,
    /// Whether it compares itself with the guest's code, because that may change without notice.
    pub(crate) is_checked: bool,
    read: Vec<OpenPage>,
}

impl Translation {
    /// The guest code of each of the region's ranges as it was translated; `None` where not all of it was read.
    pub(crate) fn guest_code(&self) -> Option<Vec<Vec<u8>>> {
        self.region.ranges.iter().map(|&(at, len)| self.piece(at.0, len as usize)).collect()
    }

    fn piece(&self, start: u64, len: usize) -> Option<Vec<u8>> {
        let mut code = Vec::with_capacity(len);
        while code.len() < len {
            let at = start.checked_add(code.len() as u64)?;
            let open = self.read.iter().find(|p| p.page == at - at % PAGE_SIZE)?;
            let there = open.known(at).filter(|there| !there.is_empty())?;
            code.extend_from_slice(&there[..there.len().min(len - code.len())]);
        }
        Some(code)
    }
}

impl Drop for Translation {
    fn drop(&mut self) {
        hokku_frontend::reuse(std::mem::take(&mut self.region.blocks));
    }
}

/// A page that code is read from.
#[derive(Debug)]
struct OpenPage {
    page: u64,
    ticket: CodeTicket,
    /// What was in it where code was read.
    lines: Vec<Line>,
}

/// Bytes of a page that are read at once.
const LINE: usize = hokku_frontend::WINDOW;

/// A piece of a page as it was when it was read first.
#[derive(Debug)]
struct Line {
    at: u64,
    bytes: [u8; LINE],
}

impl OpenPage {
    /// What was read from `at` on, to the end of its line.
    fn known(&self, at: u64) -> Option<&[u8]> {
        let offset = at % LINE as u64;
        // Code goes on where it was read last.
        let line = self.lines.iter().rev().find(|l| l.at == at - offset)?;
        Some(&line.bytes[offset as usize..])
    }

    /// The same, read from `memory` the first time. Nothing where that is not possible: all of a page is readable or nothing.
    fn read(&mut self, memory: &GuestMemory, at: u64) -> &[u8] {
        if self.known(at).is_none() {
            let mut line = Line { at: at - at % LINE as u64, bytes: [0; LINE] };
            if memory.read_bytes(GuestAddr(line.at), &mut line.bytes).is_err() {
                return &[];
            }
            self.lines.push(line);
        }
        self.known(at).unwrap_or_default()
    }
}

/// Guest memory as a source of code: each page that is read is protected from stores first, where it can be, and what is read of it copied.
struct GuestCode<'a> {
    memory: &'a GuestMemory,
    debug: &'a Debugging,
    is_translated: &'a dyn Fn(GuestAddr) -> bool,
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
                pages.push(OpenPage { page, ticket, lines: Vec::with_capacity(PAGE_SIZE as usize / LINE) });
                true
            }
            Err(_) => false,
        }
    }

    /// The byte at `at` that was translated, where it may change without notice.
    fn unwatched(&self, at: GuestAddr) -> Option<u8> {
        let pages = self.pages.borrow();
        let page = at.0 - at.0 % PAGE_SIZE;
        let open = pages.iter().find(|p| p.page == page).filter(|p| p.ticket.watch == Watch::Checked)?;
        open.known(at.0)?.first().copied()
    }
}

impl CodeSource for GuestCode<'_> {
    fn is_translated(&self, at: GuestAddr) -> bool {
        (self.is_translated)(at)
    }

    fn has_breakpoints(&self) -> bool {
        self.debug.has_breakpoints()
    }

    fn has_breakpoint(&self, at: GuestAddr) -> bool {
        self.debug.has_breakpoint(at)
    }

    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buf.len() {
            let from = at.offset(done as u64);
            // The next page is opened only for an instruction that may reach into it.
            if done >= LONGEST_INSTRUCTION || !self.open_page(from) {
                break;
            }
            let mut pages = self.pages.borrow_mut();
            let Some(open) = pages.iter_mut().find(|p| p.page == from.0 - from.0 % PAGE_SIZE) else { break };
            let there = open.read(self.memory, from.0);
            let n = there.len().min(buf.len() - done);
            buf[done..done + n].copy_from_slice(&there[..n]);
            done += n;
            if n == 0 {
                // A file mapping beyond its file.
                break;
            }
        }
        done
    }
}

/// Translates the code that `key` names within `limits`, without what `is_translated` says of addresses that it jumps to, applies the passes
/// named, and watches its pages for changes.
pub(crate) fn translate(
    memory: &GuestMemory,
    debug: &Debugging,
    key: BlockKey,
    limits: &Limits,
    is_translated: &dyn Fn(GuestAddr) -> bool,
    pass_names: &[&str],
    faults_see: FaultsSee,
) -> Translation {
    let code = GuestCode { memory, debug, is_translated, pages: RefCell::default() };
    let mut region = hokku_frontend::translate(&code, key, limits);
    let is_checked = code.pages.borrow().iter().any(|p| p.ticket.watch == Watch::Checked);
    if is_checked {
        passes::code_checks(&mut region, &|at| code.unwatched(at));
    }
    for name in pass_names {
        passes::run_one(&mut region, name, faults_see);
    }
    let read = code.pages.into_inner();
    Translation { region, pages: read.iter().map(|p| (p.page, p.ticket)).collect(), is_checked, read }
}

/// Guest memory as a source of code that is run at once and not kept: its pages stay as they are.
struct FleetingCode<'a>(&'a GuestMemory);

impl CodeSource for FleetingCode<'_> {
    fn fetch(&self, at: GuestAddr, buf: &mut [u8]) -> usize {
        let executable = |at| self.0.protection(at).is_some_and(|p| p.allows(Access::Execute));
        let mut len = 0;
        while len < buf.len() && executable(at.offset(len as u64)) {
            let in_page = (PAGE_SIZE - at.offset(len as u64).0 % PAGE_SIZE) as usize;
            len = buf.len().min(len + in_page);
        }
        match self.0.read_bytes(at, &mut buf[..len]) {
            Ok(()) => len,
            Err(fault) => fault.address.0.saturating_sub(at.0) as usize,
        }
    }
}

/// Translates the block that `key` names, to be run at once: as far as an instruction that may change it.
pub(crate) fn translate_block(memory: &GuestMemory, key: BlockKey) -> Region {
    let limits = Limits { max_instructions: 64, ..Limits::single_block() };
    let mut region = hokku_frontend::translate(&FleetingCode(memory), key, &limits);
    passes::end_where_code_may_change(&mut region);
    region
}

/// What the instruction at `cpu.rip` tells of a fault at `address` in it.
pub(crate) fn faulting_access(
    memory: &GuestMemory,
    mode: CpuMode,
    cpu: &CpuState,
    address: Option<GuestAddr>,
) -> FaultingAccess {
    hokku_frontend::faulting_access(&FleetingCode(memory), mode, cpu, address)
}

/// Sets back what the instruction at `cpu.rip` did before it went to an address that is none.
pub(crate) fn undo_transfer(memory: &GuestMemory, cpu: &mut CpuState) {
    hokku_frontend::undo_transfer(&FleetingCode(memory), cpu);
}

/// Translates the one instruction that `key` names, to be run at once.
pub(crate) fn translate_instruction(memory: &GuestMemory, key: BlockKey) -> Region {
    hokku_frontend::translate(&FleetingCode(memory), key, &Limits::single_instruction())
}
