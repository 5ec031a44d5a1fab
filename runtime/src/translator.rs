//! From a block key to IR: reads guest code, has the front end translate it and the passes improve it.

use std::cell::RefCell;

use hokku_frontend::{CodeSource, Limits};
use hokku_ir::passes::{self, FaultsSee};
use hokku_ir::{BlockKey, GuestAddr, Op, Region};

use crate::code_cache::CodePage;
use crate::guest_memory::{Access, GuestMemory};
use crate::host::PAGE_SIZE;

/// Length of the longest x86 instruction.
pub(crate) const LONGEST_INSTRUCTION: usize = 15;

/// A region's IR and the pages that it was read from.
#[derive(Debug)]
pub(crate) struct Translation {
    pub(crate) region: Region,
    pub(crate) pages: Vec<CodePage>,
}

/// Guest memory as a source of code: each page that is read is protected from stores first.
struct GuestCode<'a> {
    memory: &'a GuestMemory,
    pages: RefCell<Vec<CodePage>>,
}

impl GuestCode<'_> {
    /// Whether the page of `at` may be executed; protects it.
    fn open_page(&self, at: GuestAddr) -> bool {
        let page = at.0 & !(PAGE_SIZE - 1);
        let mut pages = self.pages.borrow_mut();
        if pages.iter().any(|p| p.0 == page) {
            return true;
        }
        match self.memory.protect_code(at) {
            Ok(ticket) => {
                pages.push((page, ticket));
                true
            }
            Err(_) => false,
        }
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
            match self.memory.read_bytes(from, &mut buf[done..done + n]) {
                Ok(()) => done += n,
                Err(fault) => {
                    // A file mapping beyond its file: what is before it has been read.
                    done += fault.address.0.saturating_sub(from.0) as usize;
                    break;
                }
            }
        }
        done
    }
}

/// Translates the code that `key` names, as much of it as pays, applies the passes named, and protects its pages from stores.
pub(crate) fn translate(
    memory: &GuestMemory,
    key: BlockKey,
    pass_names: &[&str],
    faults_see: FaultsSee,
) -> Translation {
    let code = GuestCode { memory, pages: RefCell::default() };
    let mut region = hokku_frontend::translate(&code, key, &Limits::default());
    for name in pass_names {
        passes::run_one(&mut region, name, faults_see);
    }
    Translation { region, pages: code.pages.into_inner() }
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
