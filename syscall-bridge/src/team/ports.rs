//! Ports of one team: queues of messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::waiting::{Deadline, Parker, Waiting, lock};
use super::watch::{Watchers, Watching};
use crate::abi::structs::PortInfo;
use crate::abi::{Chars, Status, SysResult};
use crate::args::{PortId, TeamId};

/// Most messages that a port may be made for.
const MAX_CAPACITY: i32 = 4096;
/// Most bytes in a message.
pub const MAX_MESSAGE: u64 = 256 * 1024;
/// Most ports that there may be.
pub const MAX_PORTS: usize = 4096;

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sender {
    /// User.
    pub user: u32,
    /// Group.
    pub group: u32,
    /// Team.
    pub team: i32,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its code.
    pub code: i32,
    /// Its bytes.
    pub data: Vec<u8>,
    /// Who sent it.
    pub sender: Sender,
}

struct Port {
    name: Vec<u8>,
    capacity: usize,
    queue: VecDeque<Message>,
    /// Messages read so far.
    total: i32,
    /// No longer written to; may still be read until it is empty.
    closed: bool,
    /// Threads that wait to read, to look, or to write.
    waiters: Vec<Arc<Parker>>,
}

impl Port {
    fn info(&self, id: i32, team: TeamId) -> PortInfo {
        PortInfo {
            port: id,
            team: team.0,
            name: Chars::new(&self.name),
            capacity: self.capacity as i32,
            queue_count: self.queue.len() as i32,
            total_count: self.total,
        }
    }
}

/// All ports of the team.
#[derive(Default)]
pub struct Ports {
    table: Mutex<BTreeMap<i32, Port>>,
    last_id: Mutex<i32>,
    /// Told when a port can be read or written, or is gone.
    pub(super) watchers: Watchers,
}

impl Ports {
    /// Makes a port for up to `capacity` messages.
    pub fn create(&self, capacity: i32, name: &[u8]) -> SysResult<PortId> {
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            return Err(Status::B_BAD_VALUE);
        }
        let mut table = lock(&self.table);
        if table.len() >= MAX_PORTS {
            return Err(Status::B_NO_MORE_PORTS);
        }
        let mut last = lock(&self.last_id);
        *last += 1;
        let port = Port {
            name: name.to_vec(),
            capacity: capacity as usize,
            queue: VecDeque::new(),
            total: 0,
            closed: false,
            waiters: Vec::new(),
        };
        table.insert(*last, port);
        Ok(PortId(*last))
    }

    /// Wakes those who wait at the port; called without the table's lock.
    fn wake(&self, waiters: &[Arc<Parker>]) {
        for waiter in waiters {
            waiter.wake();
        }
        self.watchers.notify();
    }

    /// Does `step` to the port as soon as it gives something other than `None`.
    fn when<T>(
        &self,
        id: PortId,
        deadline: Deadline,
        wait: &Waiting<'_>,
        mut step: impl FnMut(&mut Port) -> Option<SysResult<T>>,
    ) -> SysResult<T> {
        let mut wake = Vec::new();
        let mut attempt = || -> Option<SysResult<T>> {
            let mut table = lock(&self.table);
            let Some(port) = table.get_mut(&id.0) else { return Some(Err(Status::B_BAD_PORT_ID)) };
            let done = step(port);
            if done.is_some() {
                wake.clone_from(&port.waiters);
            } else if !port.waiters.iter().any(|p| Arc::ptr_eq(p, wait.parker)) {
                port.waiters.push(Arc::clone(wait.parker));
            }
            done
        };
        let mut first = attempt();
        if first.is_none() {
            first = match deadline {
                Deadline::Now => Some(Err(Status::B_WOULD_BLOCK)),
                _ => wait.parker.wait_until(wait.clock, deadline, || {
                    attempt().or_else(|| (wait.interrupted)().then_some(Err(Status::B_INTERRUPTED)))
                }),
            };
            if let Some(port) = lock(&self.table).get_mut(&id.0) {
                port.waiters.retain(|p| !Arc::ptr_eq(p, wait.parker));
            }
            wake.retain(|p| !Arc::ptr_eq(p, wait.parker));
        }
        let result = first.unwrap_or(Err(Status::B_TIMED_OUT));
        if result.is_ok() {
            self.wake(&wake);
        }
        result
    }

    /// Puts a message into a port.
    pub fn write(&self, id: PortId, message: Message, deadline: Deadline, wait: &Waiting<'_>) -> SysResult {
        let mut message = Some(message);
        self.when(id, deadline, wait, |port| {
            if port.closed {
                return Some(Err(Status::B_BAD_PORT_ID));
            }
            if port.queue.len() >= port.capacity {
                return None;
            }
            port.queue.extend(message.take());
            Some(Ok(()))
        })
    }

    /// Takes a message out of a port.
    pub fn read(&self, id: PortId, deadline: Deadline, wait: &Waiting<'_>) -> SysResult<Message> {
        self.when(id, deadline, wait, |port| match port.queue.pop_front() {
            Some(message) => {
                port.total = port.total.wrapping_add(1);
                Some(Ok(message))
            }
            None => port.closed.then_some(Err(Status::B_BAD_PORT_ID)),
        })
    }

    /// Size and sender of the next message.
    pub fn peek(&self, id: PortId, deadline: Deadline, wait: &Waiting<'_>) -> SysResult<(usize, Sender)> {
        self.when(id, deadline, wait, |port| match port.queue.front() {
            Some(message) => Some(Ok((message.data.len(), message.sender))),
            None => port.closed.then_some(Err(Status::B_BAD_PORT_ID)),
        })
    }

    /// Whether a port can be read, and written; `None` if there is no such port, or it is closed.
    pub fn ready(&self, id: PortId) -> Option<(bool, bool)> {
        let table = lock(&self.table);
        let port = table.get(&id.0).filter(|port| !port.closed)?;
        Some((!port.queue.is_empty(), port.queue.len() < port.capacity))
    }

    /// Closes a port for writing.
    pub fn close(&self, id: PortId) -> SysResult {
        let waiters = {
            let mut table = lock(&self.table);
            let port = table.get_mut(&id.0).ok_or(Status::B_BAD_PORT_ID)?;
            port.closed = true;
            port.waiters.clone()
        };
        self.wake(&waiters);
        Ok(())
    }

    /// Deletes a port; its waiters get `B_BAD_PORT_ID`.
    pub fn delete(&self, id: PortId) -> SysResult {
        let gone = lock(&self.table).remove(&id.0).ok_or(Status::B_BAD_PORT_ID)?;
        self.wake(&gone.waiters);
        Ok(())
    }

    /// A port of that name.
    pub fn find(&self, name: &[u8]) -> SysResult<PortId> {
        let table = lock(&self.table);
        table.iter().find(|(_, p)| p.name == name).map(|(id, _)| PortId(*id)).ok_or(Status::B_NAME_NOT_FOUND)
    }

    /// Number of messages in a port.
    pub fn count(&self, id: PortId) -> SysResult<i32> {
        lock(&self.table).get(&id.0).map(|p| p.queue.len() as i32).ok_or(Status::B_BAD_PORT_ID)
    }

    /// Describes a port.
    pub fn info(&self, id: PortId, team: TeamId) -> SysResult<PortInfo> {
        lock(&self.table).get(&id.0).map(|p| p.info(id.0, team)).ok_or(Status::B_BAD_PORT_ID)
    }

    /// The first port whose id is greater than `after`.
    pub fn next_info(&self, after: i32, team: TeamId) -> Option<PortInfo> {
        lock(&self.table).range(after.saturating_add(1)..).next().map(|(id, p)| p.info(*id, team))
    }

    /// How many there are.
    pub fn used(&self) -> usize {
        lock(&self.table).len()
    }

    /// Tells `parker` of changes until the guard is dropped.
    pub fn watch(&self, parker: &Arc<Parker>) -> Watching<'_> {
        self.watchers.watch(parker)
    }

    /// Locks the table for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        (lock(&self.table), lock(&self.last_id), self.watchers.quiesce())
    }

    /// Forgets all: a forked team starts without ports.
    pub(super) fn clear(&self) {
        lock(&self.table).clear();
        self.watchers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::team::testing::{TestClock, waiting_on, with_waiting};

    fn message(code: i32, data: &[u8]) -> Message {
        Message { code, data: data.to_vec(), sender: Sender::default() }
    }

    #[test]
    fn messages_come_out_in_order_and_the_capacity_holds() {
        let ports = Ports::default();
        let id = ports.create(2, b"p").expect("a port");
        with_waiting(|wait| {
            assert_eq!(ports.read(id, Deadline::Now, wait), Err(Status::B_WOULD_BLOCK));
            ports.write(id, message(1, b"one"), Deadline::Now, wait).expect("room");
            ports.write(id, message(2, b""), Deadline::Now, wait).expect("room");
            assert_eq!(ports.write(id, message(3, b""), Deadline::Now, wait), Err(Status::B_WOULD_BLOCK));
            assert_eq!(ports.write(id, message(3, b""), Deadline::At(0), wait), Err(Status::B_TIMED_OUT));
            assert_eq!(ports.peek(id, Deadline::Now, wait).map(|(n, _)| n), Ok(3));
            assert_eq!(ports.read(id, Deadline::Now, wait), Ok(message(1, b"one")));
            assert_eq!(ports.count(id), Ok(1));
            ports.close(id).expect("closed");
            assert_eq!(ports.write(id, message(4, b""), Deadline::Now, wait), Err(Status::B_BAD_PORT_ID));
            assert_eq!(ports.read(id, Deadline::Now, wait).map(|m| m.code), Ok(2));
            assert_eq!(ports.read(id, Deadline::Never, wait), Err(Status::B_BAD_PORT_ID));
        });
        assert_eq!(ports.find(b"p"), Ok(id));
        assert_eq!(ports.delete(id), Ok(()));
        assert_eq!(ports.find(b"p"), Err(Status::B_NAME_NOT_FOUND));
        assert_eq!(ports.create(0, b"").err(), Some(Status::B_BAD_VALUE));
    }

    #[test]
    fn a_reader_sleeps_until_there_is_a_message() {
        let ports = Arc::new(Ports::default());
        let id = ports.create(1, b"p").expect("a port");
        let reader = {
            let ports = Arc::clone(&ports);
            std::thread::spawn(move || with_waiting(|wait| ports.read(id, Deadline::Never, wait)))
        };
        with_waiting(|wait| {
            for n in 0..50 {
                ports.write(id, message(n, b""), Deadline::Never, wait).expect("written");
                if n > 0 {
                    assert_eq!(ports.read(id, Deadline::Never, wait).map(|m| m.code), Ok(n));
                } else {
                    while ports.count(id) != Ok(0) {
                        std::thread::yield_now();
                    }
                }
            }
        });
        assert_eq!(reader.join().expect("no panic").map(|m| m.code), Ok(0));
    }

    #[test]
    fn deletion_and_signals_end_a_wait() {
        let ports = Ports::default();
        let id = ports.create(1, b"p").expect("a port");
        let parker = Arc::new(Parker::default());
        let read = waiting_on(&parker, &TestClock, &|| true, |wait| ports.read(id, Deadline::Never, wait));
        assert_eq!(read, Err(Status::B_INTERRUPTED));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| with_waiting(|wait| ports.read(id, Deadline::Never, wait)));
            while lock(&ports.table).get(&id.0).is_some_and(|p| p.waiters.is_empty()) {
                std::thread::yield_now();
            }
            ports.delete(id).expect("deleted");
            assert_eq!(reader.join().expect("no panic"), Err(Status::B_BAD_PORT_ID));
        });
    }
}
