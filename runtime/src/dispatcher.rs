//! The loop that runs a guest thread: guest code, then what ended it, and again.

use std::sync::Arc;

use hokku_ir::eval::{EvalFault, Flow, MemoryFault as EvalMemoryFault, MemoryFaultKind};
use hokku_ir::guest::eflags;
use hokku_ir::{BlockKey, CpuMode, GuestAddr, SyscallKind, Trap};

use crate::guest_memory::{Access, Change, FaultCause, MemoryFault};
use crate::personality::{FaultKind, GuestFault, Resume};
use crate::stats::Stats;
use crate::team::Engine;
use crate::thread::{Attention, Thread};
use crate::translator::{LONGEST_INSTRUCTION, faulting_access, undo_transfer};

impl Thread {
    /// Runs the guest from `cpu.rip` on until the personality lets the thread leave.
    pub fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        shared.while_current(|| while self.turn() == Resume::Continue {});
    }

    /// Delivers what is pending, or runs guest code until something happens and deals with that.
    fn turn(&mut self) -> Resume {
        let called = self.shared.answer(Attention::all());
        if called.contains(Attention::INTERRUPT) {
            Stats::add(&self.team.stats.interrupts, 1);
            return Arc::clone(&self.team.personality).interrupted(self);
        }
        let at = GuestAddr(self.cpu.rip);
        let stepping = self.is_single_stepping();
        let resumes = self.stopped_at.take() == Some(at);
        if stepping || resumes || self.team.debug.is_watching() {
            if !resumes && self.team.debug.has_breakpoint(at) {
                return self.trap(Trap::Debug, at, at);
            }
            return self.step(stepping);
        }
        let flow = match self.team.engine {
            Engine::Interp => self.interpret(),
            Engine::Jit => self.run_jit(),
        };
        self.ended(flow)
    }

    /// Runs one instruction; `traps`: a debug exception follows. One whose access was watched for raises one too.
    fn step(&mut self, traps: bool) -> Resume {
        let (flow, hit) = match self.team.debug.watches() {
            watches if watches.is_empty() => (self.interpret_instruction(), None),
            watches => self.interpret_watched(&watches),
        };
        self.watch_hit = hit;
        match flow {
            Flow::Jump { to } | Flow::Stopped { at: to } if traps || hit.is_some() => self.raise(to, FaultKind::Debug),
            flow => self.ended(flow),
        }
    }

    fn ended(&mut self, flow: Flow) -> Resume {
        match flow {
            Flow::Jump { .. } | Flow::Stopped { .. } => Resume::Continue,
            Flow::Syscall { kind, at, next } => self.syscall(kind, at, next),
            Flow::Trap { trap, at, next } => self.trap(trap, at, next),
            Flow::Fault { at, fault } => self.fault(at, fault),
        }
    }

    /// What the code at `rip` is translated for.
    pub(crate) fn key(&self) -> BlockKey {
        BlockKey {
            ordered: self.team.is_ordered(),
            single_step: self.is_single_stepping(),
            x87: self.team.x87,
            features: self.team.processor.features(),
            ..BlockKey::new(GuestAddr(self.cpu.rip), self.team.mode)
        }
    }

    /// Whether the next instruction is to be run alone: the trap flag was set, or data is watched.
    pub(crate) fn steps(&self) -> bool {
        self.is_single_stepping() || self.team.debug.is_watching()
    }

    fn is_single_stepping(&self) -> bool {
        self.cpu.system_flags & eflags::TF != 0
    }

    fn syscall(&mut self, kind: SyscallKind, at: GuestAddr, next: GuestAddr) -> Resume {
        self.cpu.rip = next.0;
        Stats::add(&self.team.stats.syscalls, 1);
        Arc::clone(&self.team.personality).syscall(self, kind, at)
    }

    fn raise(&mut self, at: GuestAddr, kind: FaultKind) -> Resume {
        Stats::add(&self.team.stats.faults, 1);
        Arc::clone(&self.team.personality).fault(self, GuestFault { at, kind })
    }

    fn trap(&mut self, trap: Trap, at: GuestAddr, next: GuestAddr) -> Resume {
        self.cpu.rip = at.0;
        let kind = match trap {
            Trap::InvalidOpcode => FaultKind::InvalidOpcode,
            Trap::Untranslated => FaultKind::Untranslated(self.instruction_bytes(at)),
            Trap::Breakpoint => {
                self.cpu.rip = next.0;
                FaultKind::Breakpoint
            }
            // A breakpoint: before the instruction.
            Trap::Debug if at == next => {
                self.stopped_at = Some(at);
                self.watch_hit = None;
                FaultKind::Debug
            }
            Trap::Debug => {
                self.cpu.rip = next.0;
                return self.raise(next, FaultKind::Debug);
            }
            Trap::Overflow => FaultKind::Overflow,
            Trap::Bound => FaultKind::Bound,
            Trap::Protection => FaultKind::Protection,
            Trap::Halt => FaultKind::Halt,
            Trap::Divide => FaultKind::Divide,
            Trap::Fetch if self.team.mode == CpuMode::Long64 && !at.is_canonical() => FaultKind::Protection,
            Trap::Fetch => match self.fetch_fault(at, next) {
                Some(fault) => FaultKind::Page(fault),
                // The code was made accessible since it was translated.
                None => {
                    self.drop_stale(next);
                    return Resume::Continue;
                }
            },
            Trap::Stale => {
                self.drop_stale(at);
                return Resume::Continue;
            }
        };
        self.raise(at, kind)
    }

    fn fault(&mut self, at: GuestAddr, fault: EvalFault) -> Resume {
        self.cpu.rip = at.0;
        let kind = match fault {
            EvalFault::Memory(fault) if self.changes_code(&fault) => {
                let address = fault.at.0;
                self.team.memory.drop_code(address..address + 1, Change::Store);
                // The instruction itself is run without keeping its code, so that each turn gets ahead.
                return match self.interpret_instruction() {
                    // Another thread has translated the page again meanwhile, or the instruction writes to two such pages.
                    Flow::Fault { fault: EvalFault::Memory(fault), .. } if self.changes_code(&fault) => {
                        Resume::Continue
                    }
                    flow => self.ended(flow),
                };
            }
            EvalFault::Memory(fault) if fault.kind == MemoryFaultKind::NotCanonical => {
                self.not_canonical(Some(fault.at))
            }
            EvalFault::Memory(fault) => FaultKind::Page(self.page_fault(&fault)),
            EvalFault::Protection => self.not_canonical(None),
            EvalFault::Trap(trap) => return self.trap(trap, at, at),
            EvalFault::Target => {
                undo_transfer(&self.team.memory, &mut self.cpu);
                FaultKind::Protection
            }
            EvalFault::Divide => FaultKind::Divide,
            EvalFault::SimdFloat(_) => FaultKind::SimdFloat,
            EvalFault::X87Float(_) => FaultKind::X87,
        };
        self.raise(at, kind)
    }

    /// The code at `at` is not what was translated, or found missing.
    fn drop_stale(&mut self, at: GuestAddr) {
        let blocks = self.team.drop_stale(at);
        if let Some(jit) = &self.jit {
            jit.forget_jumps(&blocks);
        }
    }

    /// Whether a store failed only because the page has translated code.
    fn changes_code(&self, fault: &EvalMemoryFault) -> bool {
        let writable = || self.team.memory.protection(fault.at).is_some_and(|p| p.allows(Access::Write));
        fault.write && fault.kind == MemoryFaultKind::Protected && writable()
    }

    /// The exception for an address that is not canonical, known or not; #GP too where that is not what the instruction does wrong.
    fn not_canonical(&self, address: Option<GuestAddr>) -> FaultKind {
        let access = faulting_access(&self.team.memory, self.team.mode, &self.cpu, address);
        if access.on_stack { FaultKind::Stack } else { FaultKind::Protection }
    }

    fn page_fault(&self, fault: &EvalMemoryFault) -> MemoryFault {
        let modifies = || faulting_access(&self.team.memory, self.team.mode, &self.cpu, Some(fault.at)).modifies;
        let access = if fault.write || modifies() { Access::Write } else { Access::Read };
        let cause = match fault.kind {
            MemoryFaultKind::Protected => FaultCause::Protection,
            // Mapped after all: the fault was that of a file mapping beyond its file's end.
            _ if self.team.memory.protection(fault.at).is_some() => FaultCause::Bus,
            _ => FaultCause::Unmapped,
        };
        MemoryFault { address: fault.at, access, cause }
    }

    /// The fault of fetching the instruction at `at`, of which nothing can be read from `unreadable` on.
    fn fetch_fault(&self, at: GuestAddr, unreadable: GuestAddr) -> Option<MemoryFault> {
        let len = unreadable.0.wrapping_sub(at.0).wrapping_add(1);
        self.team.memory.check(at, len, Access::Execute).err().or_else(|| {
            // Mapped and executable, but a file mapping without a file behind it.
            let unread = self.team.memory.read_u8(unreadable).err()?;
            Some(MemoryFault { access: Access::Execute, ..unread })
        })
    }

    /// As many bytes of the instruction at `at` as can be read.
    fn instruction_bytes(&self, at: GuestAddr) -> Vec<u8> {
        (0..LONGEST_INSTRUCTION as u64).map_while(|i| self.team.memory.read_u8(at.offset(i)).ok()).collect()
    }
}
