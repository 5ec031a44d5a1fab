//! A thread's memory and first registers: stack, thread-local storage, `user_thread`.
//!
//! Source: haiku `src/system/kernel/thread.cpp` (`create_thread_user_stack`, `init_thread_tls`), `arch/x86/{32,64}/thread.cpp`.

use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr, Seg};
use hokku_runtime::{GuestMemory, Prot};

use crate::abi::area::{B_ANY_ADDRESS, PAGE, Protection};
use crate::abi::layout::{GuestType, word_bytes};
use crate::abi::structs::UserThread;
use crate::abi::thread::{DEFAULT_STACK, MAX_STACK, MIN_STACK, STACK_GUARD, TLS_WORDS, tls};
use crate::abi::{Status, SysResult};
use crate::args::ThreadId;
use crate::call::write;
use crate::team::areas::{AreaRequest, Backing};
use crate::team::threads::ThreadMemory;
use crate::team::waiting::lock;
use crate::team::{TeamState, UserThreads};

/// Selector of the thread-local storage in 32-bit programs.
const TLS_SELECTOR: u16 = 0x63;
/// `user_thread` structures do not share cache lines.
const CACHE_LINE: u64 = 64;
/// Bytes for `user_thread` structures at the start.
const USER_AREA: u64 = 4 * PAGE;
/// Bytes up to which that may grow.
const USER_AREA_MOST: u64 = 128 * PAGE;

/// What a stack is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackRequest {
    /// The program's own memory; null: the kernel makes a stack.
    pub address: GuestAddr,
    /// Bytes; zero: the default.
    pub size: u64,
    /// Bytes of the guard below a stack that the kernel makes.
    pub guard: u64,
    /// Bytes wanted above the thread-local storage.
    pub above: u64,
}

/// Bytes of thread-local storage.
pub fn tls_bytes(mode: CpuMode) -> u64 {
    TLS_WORDS * word_bytes(mode) as u64
}

/// Makes the area that `user_thread` structures stand in.
pub fn create_user_area(team: &TeamState, memory: &GuestMemory) -> SysResult {
    let mut areas = lock(&team.areas);
    let base = areas.reserve(B_ANY_ADDRESS, 0, USER_AREA_MOST)?;
    areas.create(
        memory,
        AreaRequest {
            name: b"user area",
            address: base,
            spec: crate::abi::area::B_EXACT_ADDRESS,
            size: USER_AREA,
            protection: Protection::READ | Protection::WRITE,
            lock: 0,
            backing: Backing::Private,
            replace: false,
        },
    )?;
    *lock(&team.user_threads) =
        UserThreads { free: Vec::new(), next: GuestAddr(base), end: GuestAddr(base + USER_AREA) };
    Ok(())
}

/// Finds room for a `user_thread`.
pub fn allocate_user_thread(team: &TeamState, memory: &GuestMemory) -> SysResult<GuestAddr> {
    let mut room = lock(&team.user_threads);
    if let Some(at) = room.free.pop() {
        return Ok(at);
    }
    if room.next >= room.end {
        let mut areas = lock(&team.areas);
        let area = areas.at(room.end.0 - 1).ok_or(Status::B_NO_MEMORY)?;
        let (id, size) = (area.id, area.size + USER_AREA);
        if size > USER_AREA_MOST {
            return Err(Status::B_NO_MORE_THREADS);
        }
        areas.resize(memory, id, size)?;
        room.end = room.end.offset(USER_AREA);
    }
    let at = room.next;
    room.next = at.offset((UserThread::size(team.mode) as u64).next_multiple_of(CACHE_LINE));
    Ok(at)
}

/// Makes a thread's memory.
pub fn create_memory(
    team: &TeamState,
    memory: &GuestMemory,
    name: &[u8],
    request: StackRequest,
) -> SysResult<ThreadMemory> {
    let tls = tls_bytes(team.mode);
    let user_thread = allocate_user_thread(team, memory)?;
    let mut thread = ThreadMemory { user_thread, ..ThreadMemory::default() };
    if request.address.0 != 0 {
        let size = request.size.checked_sub(tls).filter(|&s| s >= MIN_STACK - tls).ok_or(Status::B_BAD_VALUE)?;
        thread.stack_base = request.address;
        thread.stack_end = request.address.offset(size);
        return Ok(thread);
    }
    let size = match request.size {
        0 => DEFAULT_STACK,
        size if (MIN_STACK..=MAX_STACK).contains(&size) => size.next_multiple_of(PAGE),
        _ => return Err(Status::B_BAD_VALUE),
    };
    let guard = request.guard.next_multiple_of(PAGE).min(MAX_STACK);
    let protection = Protection::READ | Protection::WRITE | Protection::STACK | Protection::OVERCOMMITTING;
    let (_, base) = lock(&team.areas).create(
        memory,
        AreaRequest {
            name,
            address: 0,
            spec: B_ANY_ADDRESS,
            size: guard + size + tls + request.above,
            protection,
            lock: 0,
            backing: Backing::Private,
            replace: false,
        },
    )?;
    if guard > 0 {
        memory.protect(base, guard, Prot::empty())?;
    }
    thread.owned_stack = base;
    thread.stack_base = base.offset(guard);
    thread.stack_end = thread.stack_base.offset(size);
    Ok(thread)
}

/// The guard that the kernel's own main thread stacks have.
pub const MAIN_GUARD: u64 = STACK_GUARD;

/// Fills the slots of the thread-local storage that are the kernel's.
pub fn init_tls(memory: &GuestMemory, thread: &ThreadMemory, id: ThreadId) -> SysResult {
    let word = memory.word_bytes();
    let at = thread.stack_end;
    memory.fill(at, 0, tls::INITIALISED * word)?;
    update_tls(memory, thread, id)?;
    Ok(memory.write_word(at.offset(tls::BASE * word), at.0)?)
}

/// Sets the slots that change when a team is forked.
pub fn update_tls(memory: &GuestMemory, thread: &ThreadMemory, id: ThreadId) -> SysResult {
    let word = memory.word_bytes();
    let at = thread.stack_end;
    memory.write_word(at.offset(tls::THREAD_ID * word), id.0 as u32 as u64)?;
    Ok(memory.write_word(at.offset(tls::USER_THREAD * word), thread.user_thread.0)?)
}

/// Fills a `user_thread`.
pub fn init_user_thread(memory: &GuestMemory, at: GuestAddr, pthread: GuestAddr, defer_signals: bool) -> SysResult {
    let contents = UserThread { pthread, defer_signals: defer_signals.into(), ..UserThread::default() };
    write(memory, memory.mode(), at, &contents)
}

/// Registers of a thread that enters `entry(first, second)` and returns into `exit`; writes what belongs on its stack.
pub fn initial_cpu(
    memory: &GuestMemory,
    thread: &ThreadMemory,
    entry: GuestAddr,
    (first, second): (u64, u64),
    exit: GuestAddr,
) -> SysResult<CpuState> {
    let mode = memory.mode();
    let mut cpu = CpuState::new(mode);
    let top = thread.stack_end.0;
    let sp = match mode {
        CpuMode::Long64 => {
            let sp = ((top - 8) & !0xf) - 8;
            memory.write_u64(GuestAddr(sp), exit.0)?;
            cpu.set(Gpr::Rdi, first);
            cpu.set(Gpr::Rsi, second);
            sp
        }
        CpuMode::Protected32 => {
            let sp = ((top - 12) & !0xf) - 4;
            for (i, word) in [exit.0, first, second].into_iter().enumerate() {
                memory.write_u32(GuestAddr(sp + 4 * i as u64), word as u32)?;
            }
            cpu.selector[Seg::Fs.index()] = TLS_SELECTOR;
            sp
        }
    };
    cpu.set(Gpr::Rsp, sp);
    cpu.rip = entry.0;
    cpu.segment_base[Seg::Fs.index()] = thread.stack_end.0;
    Ok(cpu)
}
