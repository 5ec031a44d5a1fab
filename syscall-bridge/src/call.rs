//! A system call in progress: what handlers work with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hokku_ir::{CpuMode, GuestAddr};
use hokku_runtime::{Access, GuestMemory, HostBuffer, Thread};

use crate::abi::layout::GuestType;
use crate::abi::signal::NON_DEFERRABLE;
use crate::abi::structs::{OS_NAME_LENGTH, UserThread};
use crate::abi::thread::{B_ABSOLUTE_TIMEOUT, B_RELATIVE_TIMEOUT};
use crate::abi::{Status, SysResult};
use crate::args::{In, InBytes, InOut, InStr, Out, OutBytes, Size};
use crate::calling::Entry;
use crate::kernel::Kernel;
use crate::team::TeamState;
use crate::team::exit::CrashReport;
use crate::team::threads::ThreadState;
use crate::team::waiting::{Deadline, Waiting, lock};

/// Longest `iovec` list.
const MAX_VECTORS: usize = 1024;

/// What becomes of the calling thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It gets the result and goes on.
    Return,
    /// The handler has set all its registers.
    RegistersSet,
    /// It has ended.
    Leave,
}

/// Whether and how an interrupted call runs again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restart {
    /// The call was interrupted and may run again.
    pub wanted: bool,
    /// It does so whatever the handler's flags say.
    pub always: bool,
    /// The result of the call fills `edx:eax`.
    pub wide: bool,
    /// The address of the instruction that is about to run again.
    pub at: Option<u64>,
    /// What the running again needs to know: the first eight bytes are a timeout.
    pub parameters: [u8; 32],
    /// Registers at entry.
    pub entry: Entry,
}

/// What the bridge keeps with each guest thread, for that thread alone.
pub struct Local {
    /// Its team.
    pub team: Arc<TeamState>,
    /// What others know of it.
    pub me: Arc<ThreadState>,
    /// Running calls again.
    pub restart: Restart,
    /// What its exit status will be.
    pub exit_status: i32,
    /// What it did wrong, if that is to end the team.
    pub crash: Option<Box<CrashReport>>,
    /// Fault address and trap number of the last exception, for signal frames.
    pub last_fault: (u64, u8),
}

impl Local {
    /// For a thread that is about to be.
    pub fn new(team: Arc<TeamState>, me: Arc<ThreadState>) -> Self {
        Local { team, me, restart: Restart::default(), exit_status: 0, crash: None, last_fault: (0, 0) }
    }
}

/// The bridge's data of `thread`.
///
/// # Panics
/// Only if the thread was not made by the bridge.
pub fn local(thread: &mut Thread) -> &mut Local {
    thread.local.downcast_mut().expect("the bridge makes every thread with a Local")
}

/// As [`local`], to look at only.
///
/// # Panics
/// As [`local`].
pub fn local_ref(thread: &Thread) -> &Local {
    thread.local.downcast_ref().expect("the bridge makes every thread with a Local")
}

/// A system call in progress.
pub struct Call<'a> {
    /// The calling thread.
    pub thread: &'a mut Thread,
    /// Its team.
    pub team: &'a TeamState,
    /// What all threads see of it.
    pub me: Arc<ThreadState>,
    /// What becomes of it.
    pub flow: Flow,
}

impl Call<'_> {
    /// The team's memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.thread.team.memory
    }

    /// The team's word size.
    pub fn mode(&self) -> CpuMode {
        self.team.mode
    }

    /// The host.
    pub fn kernel(&self) -> &dyn Kernel {
        &*self.team.kernel
    }

    /// The `T` at `at`.
    pub fn read_at<T: GuestType>(&self, at: GuestAddr) -> SysResult<T> {
        read(self.memory(), self.mode(), at)
    }

    /// Writes `value` at `at`.
    pub fn write_at<T: GuestType>(&self, at: GuestAddr, value: &T) -> SysResult {
        write(self.memory(), self.mode(), at, value)
    }

    /// What `from` points to.
    pub fn read<T: GuestType>(&self, from: In<T>) -> SysResult<T> {
        self.read_at(from.0)
    }

    /// What `from` points to.
    pub fn read_io<T: GuestType>(&self, from: InOut<T>) -> SysResult<T> {
        self.read_at(from.0)
    }

    /// Writes `value` to where `to` points.
    pub fn write<T: GuestType>(&self, to: Out<T>, value: &T) -> SysResult {
        self.write_at(to.0, value)
    }

    /// Writes `value` to where `to` points.
    pub fn write_io<T: GuestType>(&self, to: InOut<T>, value: &T) -> SysResult {
        self.write_at(to.0, value)
    }

    /// Writes `value` if there is a place for it.
    pub fn write_optional<T: GuestType>(&self, to: Out<T>, value: &T) -> SysResult {
        if to.is_null() { Ok(()) } else { self.write(to, value) }
    }

    /// A structure for which the program states the size that it knows: an exact match only, as Haiku's kernel wants it.
    pub fn write_sized<T: GuestType>(&self, to: Out<T>, size: Size, value: &T) -> SysResult {
        if size.0 != T::size(self.mode()) as u64 {
            return Err(Status::B_BAD_VALUE);
        }
        self.write(to, value)
    }

    /// A path or other string; null is an error.
    pub fn string(&self, text: InStr) -> SysResult<Vec<u8>> {
        if text.is_null() {
            return Err(Status::B_BAD_ADDRESS);
        }
        text.read(self.memory())
    }

    /// A path or other string, if there is one.
    pub fn optional_string(&self, text: InStr) -> SysResult<Option<Vec<u8>>> {
        if text.is_null() { Ok(None) } else { text.read(self.memory()).map(Some) }
    }

    /// The name of a kernel object: cut to what fits; null is `default`.
    pub fn name(&self, text: InStr, default: &str) -> SysResult<Vec<u8>> {
        if text.is_null() {
            return Ok(default.as_bytes().to_vec());
        }
        let mut name = text.read(self.memory())?;
        name.truncate(OS_NAME_LENGTH - 1);
        Ok(name)
    }

    /// Bytes that the program hands over.
    pub fn bytes(&self, from: InBytes, size: u64) -> SysResult<Vec<u8>> {
        self.memory().check(from.0, size, Access::Read)?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| Status::B_BAD_VALUE)?];
        self.memory().read_bytes(from.0, &mut bytes)?;
        Ok(bytes)
    }

    /// Hands bytes to the program.
    pub fn put_bytes(&self, to: OutBytes, bytes: &[u8]) -> SysResult {
        Ok(self.memory().write_bytes(to.0, bytes)?)
    }

    /// Hands a string with its ending zero to the program; an error if it does not fit.
    pub fn put_string(&self, to: OutBytes, text: &[u8], room: u64) -> SysResult {
        if text.len() as u64 + 1 > room {
            return Err(Status::B_BUFFER_OVERFLOW);
        }
        self.put_bytes(to, &[text, b"\0"].concat())
    }

    /// Guest memory for the host to read from or write to.
    pub fn buffer(&self, at: GuestAddr, size: u64, access: Access) -> SysResult<HostBuffer> {
        Ok(self.memory().host_buffer(at, size, access)?)
    }

    /// The buffers of an `iovec` list.
    pub fn vectors(&self, at: InBytes, count: u64, access: Access) -> SysResult<Vec<HostBuffer>> {
        use crate::abi::structs::IoVec;
        let count = usize::try_from(count).ok().filter(|&n| n <= MAX_VECTORS).ok_or(Status::B_BAD_VALUE)?;
        let size = IoVec::size(self.mode());
        (0..count)
            .map(|i| {
                let vector: IoVec = self.read_at(at.0.offset((i * size) as u64))?;
                self.buffer(vector.iov_base, vector.iov_len.0, access)
            })
            .collect()
    }

    /// Runs `f` with what it needs to wait.
    pub fn waiting<T>(&self, f: impl FnOnce(&Waiting<'_>) -> T) -> T {
        let interrupted = || has_deliverable(self.team, &self.me, self.memory());
        f(&Waiting { parker: &self.me.parker, clock: self.kernel().clock(), interrupted: &interrupted })
    }

    /// As `waiting`, in a wait that only the signals of `set` end: others stay pending meanwhile.
    pub fn waiting_but_for<T>(&self, set: u64, f: impl FnOnce(&Waiting<'_>) -> T) -> T {
        let interrupted = || self.team.exit.is_set() || self.team.pending(&self.me) & set != 0;
        f(&Waiting { parker: &self.me.parker, clock: self.kernel().clock(), interrupted: &interrupted })
    }

    /// The end of a wait; a call that runs again keeps the end that it had at first.
    pub fn deadline(&mut self, flags: u32, timeout: i64) -> Deadline {
        let clock = self.team.kernel.clock();
        let rip = self.thread.cpu.rip;
        let restart = &mut local(self.thread).restart;
        let first = restart.at != Some(rip);
        if flags & B_RELATIVE_TIMEOUT == 0 || timeout <= 0 {
            return Deadline::new(flags, timeout, clock);
        }
        let mut until = [0; 8];
        until.copy_from_slice(&restart.parameters[..8]);
        let until = match first {
            true => clock.system_time().saturating_add(timeout),
            false => i64::from_le_bytes(until),
        };
        restart.parameters[..8].copy_from_slice(&until.to_le_bytes());
        Deadline::new(B_ABSOLUTE_TIMEOUT, until, clock)
    }

    /// Lets a call that a signal has interrupted run again, if the signal's handler wants that.
    pub fn restartable<T>(&mut self, result: SysResult<T>) -> SysResult<T> {
        if matches!(result, Err(Status::B_INTERRUPTED)) {
            local(self.thread).restart.wanted = true;
        }
        result
    }

    /// Waits, and lets the call run again if a signal interrupts it.
    pub fn wait_restartable<T>(&mut self, f: impl FnOnce(&Waiting<'_>) -> SysResult<T>) -> SysResult<T> {
        let result = self.waiting(f);
        self.restartable(result)
    }
}

/// The `T` at `at`.
pub fn read<T: GuestType>(memory: &GuestMemory, mode: CpuMode, at: GuestAddr) -> SysResult<T> {
    let size = T::size(mode);
    let mut small = [0; 256];
    if let Some(bytes) = small.get_mut(..size) {
        memory.read_bytes(at, bytes)?;
        return Ok(T::decode(bytes, mode));
    }
    let mut bytes = vec![0; size];
    memory.read_bytes(at, &mut bytes)?;
    Ok(T::decode(&bytes, mode))
}

/// Writes `value` at `at`; padding is zero.
pub fn write<T: GuestType>(memory: &GuestMemory, mode: CpuMode, at: GuestAddr, value: &T) -> SysResult {
    let size = T::size(mode);
    let mut small = [0; 256];
    if let Some(bytes) = small.get_mut(..size) {
        value.encode(bytes, mode);
        return Ok(memory.write_bytes(at, bytes)?);
    }
    let mut bytes = vec![0; size];
    value.encode(&mut bytes, mode);
    Ok(memory.write_bytes(at, &bytes)?)
}

/// Whether the thread has to leave what it waits for: a signal that it takes now, the team's end, or being suspended.
pub fn has_deliverable(team: &TeamState, me: &ThreadState, memory: &GuestMemory) -> bool {
    if !me.attention.load(Ordering::SeqCst) {
        return false;
    }
    if team.exit.is_set() || me.suspended.load(Ordering::SeqCst) {
        return true;
    }
    let (mask, suspending) = {
        let signals = lock(&me.signals);
        (signals.mask, signals.suspend_mask.is_some())
    };
    let pending = team.pending(me) & !mask;
    pending != 0 && (suspending || pending & NON_DEFERRABLE != 0 || !defers(me, memory))
}

/// Whether the thread has asked not to be given signals for now.
pub fn defers(me: &ThreadState, memory: &GuestMemory) -> bool {
    let at = lock(&me.memory).user_thread;
    let offset =
        UserThread::fields(memory.mode()).1.iter().find(|(name, ..)| *name == "defer_signals").map_or(0, |f| f.1);
    // Without the structure nothing is deferred.
    memory.read_u32(at.offset(offset as u64)).is_ok_and(|count| count as i32 > 0)
}
