//! Guest threads: each is a host thread.

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use hokku_ir::{CpuState, GuestAddr};

use crate::debug::WatchHit;
use crate::host::thread_memory::ThreadMemory;
use crate::interp::Interpreter;
use crate::jit::JitThread;
use crate::team::{Engine, StartError, Team};
use crate::world::PlaceCell;

/// A guest thread, owned by the host thread that runs it.
pub struct Thread {
    /// Its registers: of record while it is outside guest code (the x87 unit after [`Thread::sync_x87`]).
    pub cpu: Box<CpuState>,
    /// The team that it belongs to.
    pub team: Arc<Team>,
    /// The personality's own data.
    pub local: Box<dyn Any + Send>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) interpreter: Interpreter,
    /// Where a breakpoint stopped it: the instruction there is executed if it goes on from there.
    pub(crate) stopped_at: Option<GuestAddr>,
    pub(crate) watch_hit: Option<WatchHit>,
    /// Boxed, because host code and signal handlers know its address.
    pub(crate) jit: Option<Box<JitThread>>,
}

bitflags::bitflags! {
    /// What a thread is called out of guest code for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Attention: u32 {
        /// The personality wants it.
        const INTERRUPT = 1;
        /// Another thread stops the world.
        const STOP = 2;
    }
}

/// What other threads see of a guest thread.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The host's thread id; zero once the thread has ended.
    tid: AtomicI32,
    /// [`Attention`] bits.
    attention: AtomicU32,
    pub(crate) place: PlaceCell,
    /// Return addresses on its shadow stack may lead to dropped code: it is to be emptied.
    pub(crate) stale_returns: AtomicBool,
    /// What its host code uses, in teams that have some.
    memory: Option<Arc<ThreadMemory>>,
}

thread_local! {
    /// What others see of the guest thread that the host thread is running, for comparison alone.
    static CURRENT: Cell<*const Shared> = const { Cell::new(std::ptr::null()) };
}

impl Shared {
    fn new(memory: Option<Arc<ThreadMemory>>) -> Self {
        Shared {
            tid: AtomicI32::new(crate::host::thread_id()),
            attention: AtomicU32::new(0),
            place: PlaceCell::default(),
            stale_returns: AtomicBool::new(false),
            memory,
        }
    }

    /// The host's thread id; zero once the thread has ended.
    pub(crate) fn id(&self) -> i32 {
        self.tid.load(Ordering::SeqCst)
    }

    /// The word that is not zero while the thread is called.
    pub(crate) fn attention_word(&self) -> &AtomicU32 {
        &self.attention
    }

    /// The process has been forked, and this is the child.
    pub(crate) fn moved_to_child(&self) {
        self.tid.store(crate::host::thread_id(), Ordering::SeqCst);
    }

    /// What the thread is called for.
    pub(crate) fn attention(&self) -> Attention {
        Attention::from_bits_retain(self.attention.load(Ordering::SeqCst))
    }

    /// Takes back the calls in `bits`; gives those that there were.
    pub(crate) fn answer(&self, bits: Attention) -> Attention {
        if self.attention().is_empty() {
            return Attention::empty();
        }
        Attention::from_bits_retain(self.attention.fetch_and(!bits.bits(), Ordering::SeqCst)) & bits
    }

    /// Whether the calling host thread is running this thread.
    fn is_current(&self) -> bool {
        std::ptr::eq(CURRENT.get(), self)
    }

    /// Calls `body`, which runs this thread.
    pub(crate) fn while_current(&self, body: impl FnOnce()) {
        let before = CURRENT.replace(self);
        body();
        CURRENT.set(before);
    }

    /// Calls the thread out of guest code and of blocking host calls.
    pub(crate) fn call(&self, bits: Attention) {
        self.attention.fetch_or(bits.bits(), Ordering::SeqCst);
        crate::host::interrupt::send(self.tid.load(Ordering::SeqCst));
    }
}

/// Names a guest thread from any other thread; may outlive it.
#[derive(Clone, Debug)]
pub struct ThreadHandle {
    pub(crate) shared: Arc<Shared>,
    id: i32,
}

impl ThreadHandle {
    /// The host's thread id, which is also the guest's.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Whether the thread has not ended.
    pub fn is_alive(&self) -> bool {
        self.shared.tid.load(Ordering::SeqCst) != 0
    }

    /// Makes the thread leave guest code soon and call [`crate::Personality::interrupted`]. A host call that it blocks in returns `EINTR`.
    pub fn interrupt(&self) {
        self.shared.call(Attention::INTERRUPT);
    }

    /// Whether the calling host thread is running the thread, which then is outside of guest code.
    pub fn is_current(&self) -> bool {
        self.shared.is_current()
    }

    /// As [`Self::interrupt`], at less cost, where the thread is known to be outside of guest code and not in a blocking host call: it finds the
    /// interrupt before it enters either.
    pub fn interrupt_outside(&self) {
        self.shared.attention.fetch_or(Attention::INTERRUPT.bits(), Ordering::SeqCst);
    }
}

/// How much code is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Some blocks.
    Blocks,
    /// All.
    All,
}

/// The living threads of a team.
#[derive(Debug, Default)]
pub(crate) struct ThreadList {
    threads: Mutex<Vec<ThreadHandle>>,
}

impl ThreadList {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ThreadHandle>> {
        self.threads.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn handles(&self) -> Vec<ThreadHandle> {
        self.lock().clone()
    }

    /// Keeps the list as it is until the guard is dropped.
    pub(crate) fn hold(&self) -> impl Drop + '_ {
        self.lock()
    }

    /// In a child process: only `shared`'s thread is there, under a new id.
    pub(crate) fn keep_only(&self, shared: &Arc<Shared>) {
        *self.lock() = vec![ThreadHandle { shared: Arc::clone(shared), id: crate::host::thread_id() }];
    }

    /// Lets all threads' computed jumps to `guest` that reach the code at the host addresses `before` (code and check) reach `after`.
    pub(crate) fn replace_jump(&self, guest: u64, before: (u64, u64), after: (u64, u64)) {
        for thread in self.lock().iter() {
            if let Some(memory) = &thread.shared.memory {
                memory.replace_jump(guest, before, after);
            }
        }
    }

    /// Makes all threads forget where their computed jumps and returns to `blocks` (or, for [`Extent::All`], to anything) lead. The world is
    /// stopped.
    pub(crate) fn forget_code(&self, blocks: &[u64], extent: Extent) {
        for thread in self.handles() {
            thread.shared.stale_returns.store(true, Ordering::SeqCst);
            let Some(memory) = &thread.shared.memory else { continue };
            match extent {
                Extent::All => memory.forget_all_jumps(),
                Extent::Blocks => blocks.iter().for_each(|&pc| memory.forget_jump(pc)),
            }
        }
    }
}

impl Thread {
    pub(crate) fn attach(team: &Arc<Team>, cpu: CpuState, local: Box<dyn Any + Send>) -> Result<Thread, StartError> {
        crate::host::interrupt::install();
        let memory = match team.engine {
            Engine::Interp => None,
            Engine::Jit => {
                let what = "make memory for a thread's translated code";
                Some(Arc::new(ThreadMemory::new().map_err(|e| StartError::Host { what, error: e.into() })?))
            }
        };
        let shared = Arc::new(Shared::new(memory.clone()));
        if !team.threads.handles().is_empty() {
            team.keep_order();
        }
        let jit = memory.and_then(|memory| JitThread::new(team, &shared, memory)).map(Box::new);
        let id = shared.tid.load(Ordering::SeqCst);
        team.threads.lock().push(ThreadHandle { shared: Arc::clone(&shared), id });
        let interpreter = Interpreter::default();
        Ok(Thread {
            cpu: Box::new(cpu),
            team: Arc::clone(team),
            local,
            shared,
            interpreter,
            stopped_at: None,
            watch_hit: None,
            jit,
        })
    }

    /// The name of this thread for others.
    pub fn handle(&self) -> ThreadHandle {
        ThreadHandle { shared: Arc::clone(&self.shared), id: self.shared.tid.load(Ordering::SeqCst) }
    }

    /// Brings the x87 unit's state into `cpu.x87`, where it may be read and changed until the guest runs again.
    pub fn sync_x87(&mut self) {
        let team = &self.team;
        crate::host::arch::x87::save(&mut self.cpu, |host| team.x87_instruction(host));
    }

    /// The access because of which a watch has just stopped the thread.
    pub fn watch_hit(&self) -> Option<WatchHit> {
        self.watch_hit
    }

    /// Whether an interrupt waits to be delivered: host calls that may block for long should not be made then.
    pub fn is_interrupted(&self) -> bool {
        self.shared.attention().contains(Attention::INTERRUPT)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(jit) = &self.jit {
            jit.flush_counts();
        }
        self.team.threads.lock().retain(|t| !Arc::ptr_eq(&t.shared, &self.shared));
        self.shared.tid.store(0, Ordering::SeqCst);
    }
}

/// Bytes of a guest thread's host stack: the guest has its own.
const HOST_STACK: usize = 512 << 10;

pub(crate) fn spawn(
    team: &Arc<Team>,
    cpu: CpuState,
    local: Box<dyn Any + Send>,
    name: &str,
    body: impl FnOnce(&mut Thread) + Send + 'static,
) -> Result<ThreadHandle, StartError> {
    let (report, started) = mpsc::channel();
    let team = Arc::clone(team);
    let run = move || match Thread::attach(&team, cpu, local) {
        Ok(mut thread) => {
            // The starter waits for exactly one report; it cannot be gone.
            let _ = report.send(Ok(thread.handle()));
            body(&mut thread);
        }
        Err(error) => {
            let _ = report.send(Err(error));
        }
    };
    crate::host::threads::spawn(name, HOST_STACK, run)
        .map_err(|error| StartError::Host { what: "start a host thread", error })?;
    started.recv().unwrap_or_else(|_| {
        Err(StartError::Host { what: "start a host thread", error: std::io::ErrorKind::Interrupted.into() })
    })
}
