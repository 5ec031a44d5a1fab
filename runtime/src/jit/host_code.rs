//! The host code of a team: shared stubs first, then region after region.

use std::ops::Range;
use std::os::fd::OwnedFd;

use hokku_ir::CpuMode;
use hokku_ir::backend::{Backend, Compiled, StubId};
use rustix::io::Errno;

use crate::host::code_memory::CodeMemory;

/// Host addresses of code: from `start` on, before `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodeBounds {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl CodeBounds {
    /// Whether `pc` is among them.
    pub(crate) fn contains(&self, pc: u64) -> bool {
        (self.start..self.end).contains(&pc)
    }
}

/// A jump in code that can be redirected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jump {
    /// Host address of the word that says where it leads.
    pub(crate) site: u64,
    /// It is a call as far as the host is concerned.
    pub(crate) is_call: bool,
    /// Host addresses of its far jump, and of the word that says where that leads.
    pub(crate) far: Option<(u64, u64)>,
}

/// Where threads and signal handlers find the stubs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entrances {
    /// All code, stubs included.
    pub(crate) code: CodeBounds,
    pub(crate) enter: u64,
    pub(crate) leave_fault: u64,
    pub(crate) leave_fault_string: u64,
    /// Of back ends that have it.
    pub(crate) leave_fault_bytes: Option<u64>,
    pub(crate) return_miss: u64,
    pub(crate) jump_miss: u64,
}

/// The most bytes of code that a child process gets a copy of: beyond that, copying takes longer than children often live.
const MOST_COPIED: usize = 4 << 20;

/// A copy of host code for a child process.
#[derive(Debug)]
pub(crate) struct CodeCopy {
    file: OwnedFd,
    /// Whether there is more in it than the stubs.
    has_regions: bool,
}

/// Code memory with its stubs.
#[derive(Debug)]
pub(crate) struct HostCode {
    memory: CodeMemory,
    /// Host address of each stub.
    stubs: Vec<(StubId, u64)>,
}

impl HostCode {
    /// `size` bytes of code memory, with the stubs of `backend` for `mode`; such that Linux's `perf` can name the code where it is `for_perf`.
    pub(crate) fn new(backend: &dyn Backend, mode: CpuMode, size: usize, for_perf: bool) -> Result<Self, Errno> {
        let size = size.next_multiple_of(crate::host::PAGE_SIZE as usize);
        let mut memory = if for_perf { CodeMemory::for_perf(size)? } else { CodeMemory::new(size)? };
        let stubs = backend.stubs(mode);
        let base = memory.publish(&stubs.code).ok_or(Errno::NOMEM)?;
        let entries = stubs.entries.iter().map(|(id, offset)| (*id, base + u64::from(*offset))).collect();
        memory.keep();
        Ok(HostCode { memory, stubs: entries })
    }

    /// What a child process needs of this when it is forked now.
    pub(crate) fn copy(&self, regions: bool) -> Result<CodeCopy, Errno> {
        let has_regions = regions && self.memory.used() <= MOST_COPIED;
        Ok(CodeCopy { file: self.memory.copy(has_regions)?, has_regions })
    }

    /// Goes on with `copy` in a forked child; says whether it has the regions. If not, they are to be forgotten at once.
    pub(crate) fn adopt(&mut self, copy: CodeCopy) -> Result<bool, Errno> {
        self.memory.adopt(copy.file)?;
        Ok(copy.has_regions)
    }

    /// Host address of a stub.
    pub(crate) fn stub(&self, id: StubId) -> u64 {
        self.find(id).unwrap_or_else(|| panic!("the back end has no stub {id:?}"))
    }

    fn find(&self, id: StubId) -> Option<u64> {
        self.stubs.iter().find(|(stub, _)| *stub == id).map(|(_, at)| *at)
    }

    /// Where threads find the stubs.
    pub(crate) fn entrances(&self) -> Entrances {
        let range = self.memory.range();
        Entrances {
            code: CodeBounds { start: range.start, end: range.end },
            enter: self.stub(StubId::Enter),
            leave_fault: self.stub(StubId::LeaveFault),
            leave_fault_string: self.stub(StubId::LeaveFaultString),
            leave_fault_bytes: self.find(StubId::LeaveFaultBytes),
            return_miss: self.stub(StubId::ReturnMiss),
            jump_miss: self.stub(StubId::JumpMiss),
        }
    }

    /// Places `compiled`, with its distances to the stubs and to a counter that starts at `count` filled in; gives its host address, or `None`
    /// where it does not fit any more.
    pub(crate) fn place(&mut self, backend: &dyn Backend, compiled: &mut Compiled, count: u32) -> Option<u64> {
        let at = self.memory.next(compiled.code.len())?;
        if !compiled.counters.is_empty() {
            let counter = self.memory.counter(count)?;
            for &offset in &compiled.counters {
                let distance = counter.wrapping_sub(at + u64::from(offset)) as i64;
                backend.set_counter_distance(&mut compiled.code[offset as usize..], distance);
            }
        }
        for relocation in &compiled.relocations {
            let from = at + u64::from(relocation.offset);
            let distance = self.stub(relocation.stub).wrapping_sub(from) as i64;
            backend.set_stub_distance(&mut compiled.code[relocation.offset as usize..], distance);
        }
        self.memory.publish(&compiled.code)
    }

    /// Whether `len` bytes of code fit once there is room.
    pub(crate) fn has_room_for(&self, len: usize) -> bool {
        len <= self.memory.largest()
    }

    /// Host addresses of the regions that go next.
    pub(crate) fn oldest(&self) -> Range<u64> {
        self.memory.oldest()
    }

    /// Forgets the regions at [`Self::oldest`]. No thread runs their code or will return to it.
    pub(crate) fn forget_oldest(&mut self) {
        self.memory.empty_oldest();
    }

    /// Makes the jump at `site` lead to `target`, over its far jump where it does not reach by itself; says whether it reaches.
    pub(crate) fn redirect(&self, backend: &dyn Backend, jump: &Jump, target: u64) -> bool {
        let near = backend.branch_word(jump.site, target, jump.is_call);
        let word = near.or_else(|| {
            let (over, slot) = jump.far?;
            let word = backend.branch_word(jump.site, over, jump.is_call)?;
            self.memory.patch_double(slot, target);
            Some(word)
        });
        if let Some(word) = word {
            self.memory.patch(jump.site, word);
        }
        word.is_some()
    }

    /// Forgets all regions. No thread runs their code or will return to it.
    pub(crate) fn clear(&mut self) {
        self.memory.empty();
    }
}
