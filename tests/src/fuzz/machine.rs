//! What the evaluator is compared with: this processor, or the JIT.

use std::sync::{Arc, Mutex, PoisonError};

use hokku_ir::eval::cpuid::CpuModel;
use hokku_ir::{CpuMode, CpuState, GuestAddr, SyscallKind, X87Arithmetic};
use hokku_runtime::{
    Access, Engine, FaultKind, GuestFault, Personality, Placement, Prot, Resume, Team, TeamConfig, Thread, Tiering,
};

use super::case::{Native, Program, Start};
use super::pages::BYTES;
use crate::oracle::layout::{CODE, CODE_END, PAGE, SCRATCH, SCRATCH_END, WRITABLE};
use crate::oracle::{Ending, Oracle, vector};

/// Runs programs from states. It has the code page and the scratch pages of [`crate::oracle::layout`].
pub trait Machine {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Whether it has fs and gs in 32-bit code.
    fn has_segments(&self) -> bool;

    /// What its x87 instructions compute in.
    fn x87(&self) -> X87Arithmetic {
        X87Arithmetic::Exact
    }

    /// Makes `program` the contents of the code page.
    fn load(&mut self, program: &Program);

    /// Runs the loaded program from `start` with `memory` in the writable scratch pages; `cpu` becomes the state after it.
    fn run(&mut self, program: &Program, start: &Start, memory: &[u8], cpu: &mut CpuState) -> Ending;

    /// The writable scratch pages after a run.
    fn memory(&self) -> &[u8];
}

/// This machine's processor.
pub struct Processor {
    oracle: Oracle,
}

impl Processor {
    /// With `pattern` in the page that can only be read. `Err` says why this host cannot.
    pub fn new(pattern: &[u8; BYTES]) -> Result<Processor, String> {
        let mut oracle = Oracle::acquire()?;
        let mut constant = [0; PAGE as usize];
        constant.copy_from_slice(&pattern[WRITABLE as usize..]);
        oracle.set_constant_page(&constant);
        Ok(Processor { oracle })
    }
}

impl Machine for Processor {
    fn name(&self) -> &'static str {
        "processor"
    }

    fn has_segments(&self) -> bool {
        self.oracle.has_segments()
    }

    fn load(&mut self, program: &Program) {
        let bytes = match &program.native {
            Native::Bytes(bytes) => bytes,
            _ => &program.bytes,
        };
        self.oracle.set_code(program.mode, program.at, bytes, &program.arrivals);
    }

    fn run(&mut self, program: &Program, start: &Start, memory: &[u8], cpu: &mut CpuState) -> Ending {
        *cpu = start.cpu.clone();
        self.oracle.memory_mut().copy_from_slice(memory);
        if program.native == Native::Invalid {
            return Ending::Exception { vector: vector::UD, page: None };
        }
        self.oracle.run(program.mode, program.at, cpu)
    }

    fn memory(&self) -> &[u8] {
        self.oracle.memory()
    }
}

/// A guest system of which every event ends the run.
#[derive(Default)]
struct Ends(Mutex<Option<Ending>>);

impl Ends {
    fn end(&self, ending: Ending) -> Resume {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
        Resume::LeaveThread
    }
}

impl Personality for Ends {
    fn syscall(&self, _thread: &mut Thread, _kind: SyscallKind, _at: GuestAddr) -> Resume {
        self.end(Ending::Syscall)
    }

    fn fault(&self, _thread: &mut Thread, fault: GuestFault) -> Resume {
        let vector = match fault.kind {
            FaultKind::Page(fault) if fault.access == Access::Execute => return self.end(Ending::Arrived),
            FaultKind::Page(fault) => {
                let page = Some((fault.address.0, fault.access == Access::Write));
                return self.end(Ending::Exception { vector: vector::PF, page });
            }
            FaultKind::Protection | FaultKind::Halt => vector::GP,
            FaultKind::Stack => vector::SS,
            FaultKind::Divide => vector::DE,
            FaultKind::Overflow => vector::OF,
            FaultKind::Bound => vector::BR,
            FaultKind::InvalidOpcode | FaultKind::Untranslated(_) => vector::UD,
            FaultKind::Breakpoint => vector::BP,
            FaultKind::Debug => vector::DB,
            FaultKind::X87 => vector::MF,
            FaultKind::SimdFloat => vector::XM,
        };
        self.end(Ending::Exception { vector, page: None })
    }

    fn interrupted(&self, _thread: &mut Thread) -> Resume {
        Resume::Continue
    }
}

/// The JIT: front end, passes, back end and runtime.
pub struct Jit {
    team: Arc<Team>,
    thread: Thread,
    ends: Arc<Ends>,
    memory: Vec<u8>,
    /// The page of code.
    code: Vec<u8>,
}

impl Jit {
    /// With `pattern` in the scratch pages. `Err` says why this host cannot. There is one 32-bit one in a process at a time, and none beside a
    /// [`Processor`].
    pub fn new(
        mode: CpuMode,
        model: CpuModel,
        x87: X87Arithmetic,
        tiering: Tiering,
        pattern: &[u8; BYTES],
    ) -> Result<Jit, String> {
        let ends = Arc::new(Ends::default());
        let config = TeamConfig { tiering, processor: model, x87, ..TeamConfig::new(mode, Engine::Jit) };
        let team = Team::new(&config, ends.clone()).map_err(|e| e.to_string())?;
        let map = |at: u64, end: u64| {
            team.memory
                .map_anonymous(Placement::Exactly(GuestAddr(at)), end - at, Prot::READ | Prot::WRITE, false)
                .map_err(|e| format!("cannot map {at:#x}: {e}"))
        };
        map(SCRATCH, SCRATCH_END)?;
        map(CODE, CODE_END)?;
        let all = Prot::READ | Prot::WRITE | Prot::EXECUTE;
        team.memory.write_bytes(GuestAddr(SCRATCH), pattern).map_err(|e| e.to_string())?;
        for (at, prot) in [(SCRATCH + WRITABLE, Prot::READ), (CODE, all)] {
            team.memory.protect(GuestAddr(at), PAGE, prot).map_err(|e| format!("cannot protect {at:#x}: {e}"))?;
        }
        let thread = team.attach(CpuState::new(mode), Box::new(())).map_err(|e| e.to_string())?;
        Ok(Jit { team, thread, ends, memory: vec![0; WRITABLE as usize], code: Vec::new() })
    }
}

impl Machine for Jit {
    fn name(&self) -> &'static str {
        "JIT"
    }

    fn has_segments(&self) -> bool {
        true
    }

    fn x87(&self) -> X87Arithmetic {
        self.team.x87
    }

    fn load(&mut self, program: &Program) {
        const HLT: u8 = 0xf4;
        let mut page = vec![HLT; PAGE as usize];
        let offset = (program.at - CODE) as usize;
        page[offset..offset + program.bytes.len()].copy_from_slice(&program.bytes);
        // Code that is rewritten is evaluated at first.
        if page == self.code {
            return;
        }
        self.team.memory.write_bytes(GuestAddr(CODE), &page).expect("the code page is writable");
        self.code = page;
    }

    fn run(&mut self, program: &Program, start: &Start, memory: &[u8], cpu: &mut CpuState) -> Ending {
        self.team.memory.write_bytes(GuestAddr(SCRATCH), memory).expect("the scratch pages are writable");
        self.thread.sync_x87();
        let host = self.thread.cpu.host.clone();
        *self.thread.cpu = CpuState { host, ..start.cpu.clone() };
        self.thread.run();
        self.thread.sync_x87();
        *cpu = (*self.thread.cpu).clone();
        self.team.memory.read_bytes(GuestAddr(SCRATCH), &mut self.memory).expect("the scratch pages are readable");
        let ending = self.ends.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match ending.unwrap_or(Ending::Endless) {
            // `hlt` fills the page: to arrive there is no exception of the program.
            Ending::Exception { vector: vector::GP, .. }
                if program.arrivals.contains(&cpu.rip) || self.is_filler(program, cpu.rip) =>
            {
                Ending::Arrived
            }
            // A trap, told with the address of the instruction.
            ending @ Ending::Exception { vector: vector::OF, .. } => {
                let insn = program.insns.iter().find(|i| i.ip() == cpu.rip);
                cpu.rip = insn.map_or(cpu.rip, |i| i.next_ip());
                ending
            }
            other => other,
        }
    }

    fn memory(&self) -> &[u8] {
        &self.memory
    }
}

impl Jit {
    fn is_filler(&self, program: &Program, at: u64) -> bool {
        let inside = (program.at..program.at + program.bytes.len() as u64).contains(&at);
        (CODE..CODE_END).contains(&at) && !inside
    }
}
