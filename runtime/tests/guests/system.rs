//! A system with four calls, and what the tests need to run programs on it.

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use dynasmrt::VecAssembler;
use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr, SyscallKind, X87Arithmetic};
use hokku_runtime::{
    Engine, GuestFault, Personality, Placement, Prot, Resume, Team, TeamConfig, Thread, ThreadHandle, Tiering, Tiers,
};

/// Assembler for 64-bit guest code.
pub(crate) type Asm64 = VecAssembler<dynasmrt::x64::X64Relocation>;
/// Assembler for 32-bit guest code.
pub(crate) type Asm32 = VecAssembler<dynasmrt::x86::X86Relocation>;

pub(crate) const CODE: GuestAddr = GuestAddr(0x10_0000);
pub(crate) const DATA: GuestAddr = GuestAddr(0x20_0000);
pub(crate) const STACK_TOP: GuestAddr = GuestAddr(0x280_0000);
/// Stacks of child threads end in here.
pub(crate) const CHILD_STACKS: GuestAddr = GuestAddr(0x40_0000);
const CODE_BYTES: u64 = 0x1_0000;
const DATA_BYTES: u64 = 0x1_0000;
/// Twice as many return addresses as the host's shadow stack holds.
pub(crate) const STACK_BYTES: u64 = 0x100_0000;
const CHILD_STACKS_BYTES: u64 = 0x40_0000;

/// System call numbers, in rax; the argument is in rdi.
pub(crate) mod call {
    /// Ends the thread.
    pub(crate) const EXIT: i32 = 0;
    /// Appends rdi to the log.
    pub(crate) const LOG: i32 = 1;
    /// Starts a thread at rdi, whose rdi is rsi and whose stack ends at rdx.
    pub(crate) const SPAWN: i32 = 2;
    /// Waits until that thread has ended.
    pub(crate) const JOIN: i32 = 3;
}

/// What happened to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Log(u64),
    /// The fault and rip at that time.
    Fault(GuestFault, u64),
    Interrupted,
}

/// What the system does about faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFault {
    /// Ends the thread.
    Leave,
    /// Goes on at this address.
    GoTo(GuestAddr),
}

#[derive(Debug)]
pub(crate) struct System {
    events: Mutex<Vec<Event>>,
    on_fault: OnFault,
    /// Whether interrupted threads go on; how many were.
    pub(crate) ignore_interrupts: AtomicBool,
    pub(crate) interrupts: AtomicU64,
    children: Mutex<Vec<ThreadHandle>>,
}

impl System {
    fn record(&self, event: Event) {
        self.events.lock().unwrap().push(event);
    }
}

impl Personality for System {
    fn syscall(&self, thread: &mut Thread, _kind: SyscallKind, _at: GuestAddr) -> Resume {
        let [argument, second, third] = [Gpr::Rdi, Gpr::Rsi, Gpr::Rdx].map(|reg| thread.cpu.get(reg));
        match thread.cpu.get(Gpr::Rax) as i32 {
            call::LOG => self.record(Event::Log(argument)),
            call::SPAWN => {
                let mut cpu = CpuState::new(thread.team.mode);
                cpu.rip = argument;
                cpu.set(Gpr::Rdi, second);
                cpu.set(Gpr::Rsp, third);
                let child = thread.team.spawn(cpu, Box::new(()), "child").unwrap();
                self.children.lock().unwrap().push(child);
            }
            call::JOIN => {
                let children = std::mem::take(&mut *self.children.lock().unwrap());
                while children.iter().any(ThreadHandle::is_alive) {
                    std::thread::yield_now();
                }
            }
            call::EXIT => return Resume::LeaveThread,
            other => panic!("the program makes call {other}"),
        }
        Resume::Continue
    }

    fn fault(&self, thread: &mut Thread, fault: GuestFault) -> Resume {
        self.record(Event::Fault(fault, thread.cpu.rip));
        match self.on_fault {
            OnFault::Leave => Resume::LeaveThread,
            OnFault::GoTo(at) => {
                thread.cpu.rip = at.0;
                Resume::Continue
            }
        }
    }

    fn interrupted(&self, _thread: &mut Thread) -> Resume {
        self.interrupts.fetch_add(1, Ordering::SeqCst);
        if self.ignore_interrupts.load(Ordering::SeqCst) {
            return Resume::Continue;
        }
        self.record(Event::Interrupted);
        Resume::LeaveThread
    }
}

/// Programs run one at a time: they use the same addresses.
static ONE: Mutex<()> = Mutex::new(());

/// A team with a program in its memory.
pub(crate) struct Guest {
    pub(crate) team: Arc<Team>,
    pub(crate) system: Arc<System>,
    _one: MutexGuard<'static, ()>,
}

/// How a program ended.
pub(crate) struct Ended {
    pub(crate) cpu: Box<CpuState>,
    pub(crate) events: Vec<Event>,
}

impl Ended {
    /// What was logged.
    pub(crate) fn log(&self) -> Vec<u64> {
        self.events.iter().filter_map(|e| if let Event::Log(v) = e { Some(*v) } else { None }).collect()
    }

    /// The only fault, and rip at that time.
    pub(crate) fn fault(&self) -> (GuestFault, u64) {
        match &self.events[..] {
            [Event::Fault(fault, rip)] => (fault.clone(), *rip),
            other => panic!("expected one fault, got {other:?}"),
        }
    }
}

impl Guest {
    pub(crate) fn new(engine: Engine, mode: CpuMode, code: &[u8], on_fault: OnFault) -> Guest {
        Self::with(&TeamConfig { tiering: TIERING.get(), ..TeamConfig::new(mode, engine) }, code, on_fault)
    }

    /// A 32-bit one whose x87 arithmetic may be in doubles.
    pub(crate) fn in_doubles(engine: Engine, code: &[u8], on_fault: OnFault) -> Guest {
        let config = TeamConfig {
            tiering: TIERING.get(),
            x87: X87Arithmetic::Double,
            ..TeamConfig::new(CpuMode::Protected32, engine)
        };
        Self::with(&config, code, on_fault)
    }

    pub(crate) fn with(config: &TeamConfig, code: &[u8], on_fault: OnFault) -> Guest {
        let one = ONE.lock().unwrap_or_else(|e| e.into_inner());
        let system = Arc::new(System {
            events: Mutex::default(),
            on_fault,
            ignore_interrupts: AtomicBool::new(false),
            interrupts: AtomicU64::new(0),
            children: Mutex::default(),
        });
        let team = Team::new(config, Arc::clone(&system) as Arc<dyn Personality>).expect("team");
        let rw = Prot::READ | Prot::WRITE;
        let map = |at, len, prot| team.memory.map_anonymous(Placement::Exactly(at), len, prot, false).expect("mapping");
        map(CODE, CODE_BYTES, rw | Prot::EXECUTE);
        map(DATA, DATA_BYTES, rw);
        map(GuestAddr(STACK_TOP.0 - STACK_BYTES), STACK_BYTES, rw);
        map(CHILD_STACKS, CHILD_STACKS_BYTES, rw);
        team.memory.write_bytes(CODE, code).unwrap();
        Guest { team, system, _one: one }
    }

    /// A thread about to run the program.
    pub(crate) fn thread(&self) -> Thread {
        let mut cpu = CpuState::new(self.team.mode);
        cpu.rip = CODE.0;
        cpu.set(Gpr::Rsp, STACK_TOP.0);
        self.team.attach(cpu, Box::new(()) as Box<dyn Any + Send>).expect("thread")
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self) -> Ended {
        self.finish(self.thread())
    }

    /// Runs `thread` to its end.
    pub(crate) fn finish(&self, mut thread: Thread) -> Ended {
        thread.run();
        thread.sync_x87();
        Ended { cpu: thread.cpu.clone(), events: std::mem::take(&mut *self.system.events.lock().unwrap()) }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The next test wants to use its addresses.
        self.team.close();
    }
}

thread_local! {
    /// How the guests that this test makes are translated.
    static TIERING: Cell<Tiering> = Cell::new(Tiering::default());
}

/// Runs `test` on every engine that this host has, the JIT with one tier, the other, and both, on this and on its own thread.
pub(crate) fn on_engines(test: impl Fn(Engine)) {
    test(Engine::Interp);
    if Engine::best() == Engine::Jit {
        on_tiers(|| test(Engine::Jit));
    }
}

/// Runs `test` with guests whose code is translated with one tier, the other, and both, on this and on its own thread.
pub(crate) fn on_tiers(test: impl Fn()) {
    let both = |threshold, background| Tiering { tiers: Tiers::Both, threshold, background, ..Tiering::default() };
    let one = |tiers| Tiering { tiers, ..Tiering::default() };
    for tiering in [one(Tiers::First), one(Tiers::Second), both(1, false), both(3, false), both(1, true)] {
        TIERING.set(tiering);
        test();
    }
    TIERING.set(Tiering::default());
}

/// Assembles 64-bit guest code at [`CODE`].
pub(crate) fn assemble64(fill: impl FnOnce(&mut Asm64)) -> Vec<u8> {
    let mut asm = Asm64::new(CODE.0 as usize);
    fill(&mut asm);
    asm.finalize().expect("labels")
}

/// Assembles 32-bit guest code at [`CODE`].
pub(crate) fn assemble32(fill: impl FnOnce(&mut Asm32)) -> Vec<u8> {
    let mut asm = Asm32::new(CODE.0 as usize);
    fill(&mut asm);
    asm.finalize().expect("labels")
}

/// Assembles 64-bit guest code.
#[macro_export]
macro_rules! guest64 {
    ($asm:ident $($t:tt)*) => { dynasmrt::dynasm!($asm ; .arch x64 $($t)*) }
}

/// Assembles 32-bit guest code.
#[macro_export]
macro_rules! guest32 {
    ($asm:ident $($t:tt)*) => { dynasmrt::dynasm!($asm ; .arch x86 $($t)*) }
}
