//! Waiting for several files, semaphores, ports and threads at once.

use hokku_ir::GuestAddr;

use crate::abi::fs::{event, object};
use crate::abi::layout::GuestType;
use crate::abi::structs::{ObjectWaitInfo, PollFd};
use crate::abi::thread::B_RELATIVE_TIMEOUT;
use crate::abi::{Status, SysResult};
use crate::args::{Count, In, PortId, SemId, ThreadId};
use crate::call::Call;
use crate::kernel::PollItem;
use crate::team::TeamState;
use crate::team::ports::MAX_PORTS;
use crate::team::sems::MAX_SEMS;
use crate::team::waiting::{Deadline, Waiting, lock};

/// Descriptors in an `fd_set` of the usual size.
const FD_SETSIZE: usize = 1024;
/// Most threads that `wait_for_objects` takes besides files, semaphores and ports.
const MAX_THREADS: usize = 4096;
/// Events that are told without being asked for.
const ALWAYS: u16 = event::ERROR | event::DISCONNECTED | event::INVALID;

/// When a `select` or `poll` ends: a negative timeout is none.
fn deadline(call: &mut Call<'_>, timeout: i64) -> Deadline {
    if timeout < 0 { Deadline::Never } else { call.deadline(B_RELATIVE_TIMEOUT, timeout) }
}

/// Most descriptors that the team can have.
fn max_fds(call: &Call<'_>) -> usize {
    call.kernel().descriptors().limit().unsigned_abs() as usize
}

/// Waits under another signal mask if there is one; after an interruption the signal's delivery brings the old mask back.
fn wait_masked<T>(call: &Call<'_>, mask: Option<u64>, wait: impl FnOnce(&Waiting<'_>) -> SysResult<T>) -> SysResult<T> {
    let Some(mask) = mask else { return call.waiting(wait) };
    let old = {
        let mut signals = lock(&call.me.signals);
        // A call that runs again finds the other mask in place already.
        let old = signals.suspend_mask.unwrap_or(signals.mask);
        signals.suspend_mask = Some(old);
        signals.set_mask(mask);
        old
    };
    // Signals that were held back so far may have come already.
    call.me.attention.store(true, std::sync::atomic::Ordering::SeqCst);
    let result = call.waiting(wait);
    if !matches!(result, Err(Status::B_INTERRUPTED)) {
        let mut signals = lock(&call.me.signals);
        signals.suspend_mask = None;
        signals.set_mask(old);
    }
    result
}

/// An `fd_set` in guest memory.
struct FdSet {
    at: GuestAddr,
    bits: Vec<u8>,
}

impl FdSet {
    /// The first `bytes` bytes of the set at `at`, if there is one.
    fn read(call: &Call<'_>, at: GuestAddr, bytes: usize) -> SysResult<Option<FdSet>> {
        if at.0 == 0 {
            return Ok(None);
        }
        let mut bits = vec![0; bytes];
        call.memory().read_bytes(at, &mut bits)?;
        Ok(Some(FdSet { at, bits }))
    }

    fn has(&self, fd: usize) -> bool {
        self.bits[fd / 8] >> (fd % 8) & 1 != 0
    }

    /// Keeps those of `items` that have one of `events`; gives their number.
    fn keep(&mut self, items: &[PollItem], events: u16) -> i64 {
        let old = std::mem::take(&mut self.bits);
        self.bits = vec![0; old.len()];
        let mut count = 0;
        for item in items.iter().filter(|item| item.came & events != 0) {
            let fd = item.fd.unsigned_abs() as usize;
            if old[fd / 8] >> (fd % 8) & 1 != 0 {
                self.bits[fd / 8] |= 1 << (fd % 8);
                count += 1;
            }
        }
        count
    }
}

/// Haiku: `_user_select`, `src/system/kernel/events/wait_for_objects.cpp`.
pub fn select(
    call: &mut Call<'_>,
    count: i32,
    read_set: GuestAddr,
    write_set: GuestAddr,
    error_set: GuestAddr,
    timeout: i64,
    mask: In<u64>,
) -> SysResult<Count> {
    /// What puts a descriptor into each of the three sets.
    const EVENTS: [u16; 3] =
        [event::READ | event::DISCONNECTED | event::ERROR, event::WRITE | event::ERROR, event::ERROR];
    let deadline = deadline(call, timeout);
    let count = usize::try_from(count).map_err(|_| Status::B_BAD_VALUE)?;
    if count > FD_SETSIZE && count > max_fds(call) {
        return Err(Status::B_BAD_VALUE);
    }
    let bytes = count.div_ceil(32) * 4;
    let mut sets = [None, None, None];
    for (set, at) in sets.iter_mut().zip([read_set, write_set, error_set]) {
        *set = FdSet::read(call, at, bytes)?;
    }
    let mask = if mask.is_null() { None } else { Some(call.read(mask)?) };
    let descriptors = call.team.kernel.descriptors();
    let mut items = Vec::new();
    for fd in 0..count {
        let wanting = sets.iter().zip(EVENTS).filter(|(set, _)| set.as_ref().is_some_and(|s| s.has(fd)));
        let events = wanting.fold(0, |all, (_, events)| all | events);
        if events != 0 {
            // Checked before anything is waited for.
            descriptors.mode(fd as i32)?;
            items.push(PollItem { fd: fd as i32, events, came: 0 });
        }
    }
    wait_masked(call, mask, |wait| descriptors.poll(&mut items, deadline, wait, &|| false))?;
    let mut found = 0;
    for (set, events) in sets.iter_mut().zip(EVENTS) {
        if let Some(set) = set {
            found += set.keep(&items, events);
            call.memory().write_bytes(set.at, &set.bits)?;
        }
    }
    Ok(Count(found))
}

/// Haiku: `_user_poll`; the events that are always told are added to those asked for.
pub fn poll(call: &mut Call<'_>, fds: GuestAddr, count: i32, timeout: i64, mask: In<u64>) -> SysResult<Count> {
    let deadline = deadline(call, timeout);
    let count = usize::try_from(count).ok().filter(|&n| n <= max_fds(call)).ok_or(Status::B_BAD_VALUE)?;
    let size = PollFd::size(call.mode()) as u64;
    let place = |i: usize| fds.offset(i as u64 * size);
    let mut polled = Vec::with_capacity(count);
    for i in 0..count {
        let mut fd: PollFd = call.read_at(place(i))?;
        fd.events |= ALWAYS as i16;
        fd.revents = 0;
        polled.push(fd);
    }
    let mask = if mask.is_null() { None } else { Some(call.read(mask)?) };
    let mut items: Vec<PollItem> =
        polled.iter().map(|p| PollItem { fd: p.fd, events: p.events as u16, came: 0 }).collect();
    let descriptors = call.team.kernel.descriptors();
    let waited = wait_masked(call, mask, |wait| descriptors.poll(&mut items, deadline, wait, &|| false));
    let mut found = 0;
    for (i, (fd, item)) in polled.iter_mut().zip(&items).enumerate() {
        if waited.is_ok() && fd.fd >= 0 {
            fd.revents = item.came as i16 & fd.events;
            found += i64::from(fd.revents != 0);
        }
        call.write_at(place(i), fd)?;
    }
    waited.map(|_| Count(found))
}

/// What an object other than a file has to tell; `INVALID` if there is no such object.
fn events_of(team: &TeamState, info: &ObjectWaitInfo) -> u16 {
    match info.kind {
        object::SEMAPHORE => match team.sems.count(SemId(info.object)) {
            Ok(count) if count > 0 => event::ACQUIRE_SEMAPHORE,
            Ok(_) => 0,
            Err(_) => event::INVALID,
        },
        object::PORT => match team.ports.ready(PortId(info.object)) {
            Some((readable, writable)) => (u16::from(readable) * event::READ) | (u16::from(writable) * event::WRITE),
            None => event::INVALID,
        },
        object::THREAD if team.threads.is_living(ThreadId(info.object)) => 0,
        _ => event::INVALID,
    }
}

/// Haiku: `_user_wait_for_objects`.
pub fn wait_for_objects(
    call: &mut Call<'_>,
    infos: GuestAddr,
    count: i32,
    flags: u32,
    timeout: i64,
) -> SysResult<Count> {
    let deadline = call.deadline(flags, timeout);
    let most = max_fds(call) + MAX_SEMS + MAX_PORTS + MAX_THREADS;
    let count = usize::try_from(count).ok().filter(|&n| n <= most).ok_or(Status::B_BAD_VALUE)?;
    let size = ObjectWaitInfo::size(call.mode()) as u64;
    let place = |i: usize| infos.offset(i as u64 * size);
    let mut objects = Vec::with_capacity(count);
    for i in 0..count {
        let mut info: ObjectWaitInfo = call.read_at(place(i))?;
        info.events |= ALWAYS;
        objects.push(info);
    }
    let team = call.team;
    let found = call.wait_restartable(|wait| wait_for_events(team, &mut objects, deadline, wait))?;
    for (i, info) in objects.iter().enumerate() {
        call.write_at(place(i), info)?;
    }
    Ok(found)
}

/// Waits until an object has one of the events asked for; leaves in each the events that it has.
fn wait_for_events(
    team: &TeamState,
    objects: &mut [ObjectWaitInfo],
    deadline: Deadline,
    wait: &Waiting<'_>,
) -> SysResult<Count> {
    let (files, others): (Vec<usize>, Vec<usize>) = (0..objects.len()).partition(|&i| objects[i].kind == object::FD);
    let mut items: Vec<PollItem> =
        files.iter().map(|&i| PollItem { fd: objects[i].object, events: objects[i].events, came: 0 }).collect();
    // From here on every change of a semaphore, port or thread wakes the caller.
    let _watching =
        (team.sems.watch(wait.parker), team.ports.watch(wait.parker), team.threads.watchers.watch(wait.parker));
    let others_now = || others.iter().map(|&i| events_of(team, &objects[i]) & objects[i].events).collect::<Vec<_>>();
    let others_ready = || others_now().iter().any(|&events| events != 0);
    let waited = if items.is_empty() {
        let look = || {
            if others_ready() { Some(Ok(0)) } else { (wait.interrupted)().then_some(Err(Status::B_INTERRUPTED)) }
        };
        wait.parker.wait_until(wait.clock, deadline, look).unwrap_or(Err(deadline.expired()))
    } else {
        match team.kernel.descriptors().poll(&mut items, deadline, wait, &others_ready) {
            Ok(0) if !others_ready() => Err(deadline.expired()),
            done => done,
        }
    };
    waited?;
    let came = others_now();
    for (&i, events) in others.iter().zip(came) {
        objects[i].events = events;
    }
    for (&i, item) in files.iter().zip(&items) {
        // A negative number is no file; poll passes over it.
        let came = if item.fd < 0 { event::INVALID } else { item.came };
        objects[i].events &= came;
    }
    Ok(Count::from(objects.iter().filter(|o| o.events != 0).count()))
}
