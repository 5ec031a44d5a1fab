//! Timers: times at which the team, or one of its threads, gets a signal.
//!
//! One host thread, started with the first timer that is set, waits for the earliest of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use hokku_runtime::host::threads;

use super::TeamState;
use super::threads::ThreadState;
use super::waiting::lock;
use crate::abi::signal::{Signal, code};
use crate::abi::structs::{SigInfo, UserTimerInfo};
use crate::abi::thread::{B_INFINITE_TIMEOUT, B_RELATIVE_TIMEOUT};
use crate::abi::time::{USER_TIMER_FIRST_USER_DEFINED_ID, USER_TIMER_REAL_TIME_ID};
use crate::abi::{Status, SysResult, Word};
use crate::args::ThreadId;
use crate::kernel::Kernel;

/// Bytes of stack of the timer thread.
const STACK: usize = 256 << 10;
/// Most timers that a team may make.
const MAX_TIMERS: usize = 32;
/// Shorter intervals are served in steps of about this length. Unit: microseconds.
const MIN_INTERVAL: i64 = 100;
/// How often a clock that runs with the team's work is looked at, at most. Unit: microseconds.
const WORK_CLOCK_STEP: i64 = 4000;
/// The team's timer of its whole processor time, and of that outside the kernel.
const TEAM_TOTAL_TIME_ID: i32 = 1;
const TEAM_USER_TIME_ID: i32 = 2;
/// Whose timers a table entry belongs to: the team's.
const OF_TEAM: i32 = -1;

/// What a timer goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerClock {
    /// `system_time`.
    Monotonic,
    /// Time since 1970.
    RealTime,
    /// Processor time of a thread.
    Thread(ThreadId),
    /// Processor time of the team.
    Team,
    /// Processor time of the team outside the kernel.
    TeamUser,
}

impl TimerClock {
    /// The time on this clock.
    fn now(self, kernel: &dyn Kernel) -> i64 {
        let clock = kernel.clock();
        // A clock that cannot be read any more, like that of a thread that has ended, stands still.
        match self {
            TimerClock::Monotonic => clock.system_time(),
            TimerClock::RealTime => clock.real_time(),
            TimerClock::Thread(id) => clock.thread_time(id).unwrap_or(0),
            TimerClock::Team => clock.team_time().map_or(0, |t| t.user_time + t.kernel_time),
            TimerClock::TeamUser => clock.team_time().map_or(0, |t| t.user_time),
        }
    }

    /// How long the timer thread may sleep with `left` to go on this clock.
    fn sleep(self, left: i64, cpus: u32) -> i64 {
        match self {
            TimerClock::Monotonic | TimerClock::RealTime => left,
            // All processors may work for the team at once.
            _ => (left / i64::from(cpus.max(1))).max(WORK_CLOCK_STEP),
        }
    }
}

/// Who gets a timer's signal.
#[derive(Clone)]
pub enum Target {
    /// Nobody.
    None,
    /// The team.
    Team,
    /// A thread.
    Thread(Weak<ThreadState>),
}

#[derive(Clone)]
struct Timer {
    clock: TimerClock,
    target: Target,
    signal: Signal,
    /// What the signal carries.
    value: Word,
    /// The clock that `next` is on: relative real times do not follow changes of the clock.
    scale: TimerClock,
    /// When it goes off; `None`: never.
    next: Option<i64>,
    interval: i64,
    overruns: u32,
}

impl Timer {
    fn new(clock: TimerClock, target: Target, signal: Signal, value: Word) -> Self {
        Timer { clock, target, signal, value, scale: clock, next: None, interval: 0, overruns: 0 }
    }

    fn info(&self, kernel: &dyn Kernel) -> UserTimerInfo {
        let remaining = self.next.map_or(B_INFINITE_TIMEOUT, |at| at.saturating_sub(self.scale.now(kernel)));
        UserTimerInfo {
            // A timer that is set has at least some time left.
            remaining_time: remaining.max(1),
            interval: if self.next.is_some() { self.interval } else { 0 },
            overrun_count: self.overruns,
        }
    }

    fn set(&mut self, kernel: &dyn Kernel, start: i64, interval: i64, flags: u32) {
        let relative = flags & B_RELATIVE_TIMEOUT != 0;
        self.scale = if relative && self.clock == TimerClock::RealTime { TimerClock::Monotonic } else { self.clock };
        self.interval = interval;
        self.overruns = 0;
        self.next = match start {
            B_INFINITE_TIMEOUT => None,
            _ if relative => self.scale.now(kernel).checked_add(start),
            _ => Some(start),
        };
        self.catch_up(self.scale.now(kernel));
    }

    fn overrun(&mut self, times: i64) {
        const HIGHEST: u32 = i32::MAX as u32;
        let times = u32::try_from(times).unwrap_or(HIGHEST);
        self.overruns = self.overruns.saturating_add(times).min(HIGHEST);
    }

    /// Leaves out whole intervals that lie in the past.
    fn catch_up(&mut self, now: i64) {
        if let Some(next) = self.next.filter(|_| self.interval > 0) {
            if next.saturating_add(self.interval) <= now {
                let skip = (now - next) / self.interval;
                self.next = Some(next + skip * self.interval);
                self.overrun(skip);
            }
        }
    }

    /// Goes on to the next time, or stops.
    fn advance(&mut self, now: i64) {
        let Some(next) = self.next else { return };
        if self.interval == 0 {
            self.next = None;
            return;
        }
        let steps = (MIN_INTERVAL + self.interval - 1) / self.interval;
        self.next = next.checked_add(steps.max(1) * self.interval);
        self.overrun(steps.max(1) - 1);
        self.catch_up(now);
    }
}

#[derive(Default)]
struct Table {
    /// By owner ([`OF_TEAM`] or a thread) and id.
    timers: BTreeMap<(i32, i32), Timer>,
    /// Whether the timer thread runs.
    served: bool,
}

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    changed: Condvar,
}

/// All timers of the team.
#[derive(Default)]
pub struct Timers {
    shared: Arc<Shared>,
    team: OnceLock<Weak<TeamState>>,
}

/// A timer that is to be made.
pub struct NewTimer {
    /// The thread that it belongs to; `None`: the team.
    pub owner: Option<ThreadId>,
    /// What it goes by.
    pub clock: TimerClock,
    /// Who is told.
    pub target: Target,
    /// What it is told with.
    pub signal: Signal,
    /// What the signal carries; `None`: the timer's id.
    pub value: Option<Word>,
}

fn owner_key(owner: Option<ThreadId>) -> i32 {
    owner.map_or(OF_TEAM, |thread| thread.0)
}

/// The timers that exist without being made.
fn predefined(owner: Option<&Arc<ThreadState>>, id: i32) -> Option<Timer> {
    let (clock, target, signal) = match (owner, id) {
        (None, USER_TIMER_REAL_TIME_ID) => (TimerClock::Monotonic, Target::Team, Signal::SIGALRM),
        (None, TEAM_TOTAL_TIME_ID) => (TimerClock::Team, Target::Team, Signal::SIGPROF),
        (None, TEAM_USER_TIME_ID) => (TimerClock::TeamUser, Target::Team, Signal::SIGVTALRM),
        (Some(thread), USER_TIMER_REAL_TIME_ID) => {
            (TimerClock::Monotonic, Target::Thread(Arc::downgrade(thread)), Signal::SIGALRM)
        }
        _ => return None,
    };
    Some(Timer::new(clock, target, signal, Word(u64::from(id.unsigned_abs()))))
}

impl Timers {
    /// Says whose timers these are; without that none goes off.
    pub fn attach(&self, team: &Arc<TeamState>) {
        // The team stays the same for good.
        let _ = self.team.set(Arc::downgrade(team));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.shared.table)
    }

    /// Makes a timer and gives it an id.
    pub fn create(&self, new: NewTimer) -> SysResult<i32> {
        let mut table = self.table();
        let made = table.timers.keys().filter(|(_, id)| *id >= USER_TIMER_FIRST_USER_DEFINED_ID).count();
        if made >= MAX_TIMERS {
            return Err(Status::B_WOULD_BLOCK);
        }
        let owner = owner_key(new.owner);
        let mut id = USER_TIMER_FIRST_USER_DEFINED_ID;
        while table.timers.contains_key(&(owner, id)) {
            id += 1;
        }
        let value = new.value.unwrap_or(Word(u64::from(id.unsigned_abs())));
        table.timers.insert((owner, id), Timer::new(new.clock, new.target, new.signal, value));
        Ok(id)
    }

    /// Deletes a timer that was made.
    pub fn delete(&self, owner: Option<ThreadId>, id: i32) -> SysResult {
        if id < USER_TIMER_FIRST_USER_DEFINED_ID {
            return Err(Status::B_BAD_VALUE);
        }
        self.table().timers.remove(&(owner_key(owner), id)).map(|_| ()).ok_or(Status::B_BAD_VALUE)
    }

    /// Describes a timer.
    pub fn info(&self, kernel: &dyn Kernel, owner: Option<&Arc<ThreadState>>, id: i32) -> SysResult<UserTimerInfo> {
        let table = self.table();
        match table.timers.get(&(owner_key(owner.map(|t| t.id())), id)) {
            Some(timer) => Ok(timer.info(kernel)),
            None => predefined(owner, id).map(|timer| timer.info(kernel)).ok_or(Status::B_BAD_VALUE),
        }
    }

    /// Sets a timer, or stops it where `start` is infinite; gives what it was before.
    pub fn set(
        &self,
        kernel: &dyn Kernel,
        owner: Option<&Arc<ThreadState>>,
        id: i32,
        (start, interval, flags): (i64, i64, u32),
    ) -> SysResult<UserTimerInfo> {
        let key = (owner_key(owner.map(|t| t.id())), id);
        let mut table = self.table();
        if let std::collections::btree_map::Entry::Vacant(e) = table.timers.entry(key) {
            let timer = predefined(owner, id).ok_or(Status::B_BAD_VALUE)?;
            e.insert(timer);
        }
        let timer = table.timers.get_mut(&key).ok_or(Status::B_BAD_VALUE)?;
        let old = timer.info(kernel);
        timer.set(kernel, start, interval, flags);
        let is_set = timer.next.is_some();
        if is_set && !table.served {
            self.start_serving()?;
            table.served = true;
        }
        drop(table);
        self.shared.changed.notify_all();
        Ok(old)
    }

    fn start_serving(&self) -> SysResult {
        let team = self.team.get().cloned().unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        threads::spawn("timers", STACK, move || serve(&shared, &team))?;
        Ok(())
    }

    /// Locks the timers for a fork.
    pub(super) fn quiesce(&self) -> impl Sized + '_ {
        self.table()
    }

    /// Forgets all: a forked team starts without timers.
    pub(super) fn clear(&self) {
        *self.table() = Table::default();
    }
}

/// What the timer thread does, for as long as there is a team.
fn serve(shared: &Shared, team: &Weak<TeamState>) {
    let mut table = lock(&shared.table);
    loop {
        let sleep = match team.upgrade() {
            Some(team) => fire_due(&mut table, &team),
            None => return,
        };
        table = match sleep {
            None => shared.changed.wait(table).unwrap_or_else(|e| e.into_inner()),
            Some(time) => shared.changed.wait_timeout(table, time).unwrap_or_else(|e| e.into_inner()).0,
        };
    }
}

/// Lets the timers go off whose time has come; gives the time to the next one.
fn fire_due(table: &mut Table, team: &TeamState) -> Option<Duration> {
    let kernel = &*team.kernel;
    let cpus = kernel.machine().cpu_count();
    table.timers.retain(|(owner, _), _| *owner == OF_TEAM || team.threads.is_living(ThreadId(*owner)));
    let mut sleep = None;
    for timer in table.timers.values_mut() {
        let Some(next) = timer.next else { continue };
        let now = timer.scale.now(kernel);
        if next <= now {
            if !notify(team, timer) {
                timer.overrun(1);
            }
            timer.advance(now);
        }
        if let Some(next) = timer.next {
            let left = timer.scale.sleep(next.saturating_sub(now).max(1), cpus);
            sleep = Some(sleep.map_or(left, |s: i64| s.min(left)));
        }
    }
    sleep.map(|left| Duration::from_micros(left.unsigned_abs()))
}

/// Sends a timer's signal; false: the one before has not been taken yet.
fn notify(team: &TeamState, timer: &Timer) -> bool {
    let processes = team.kernel.processes();
    let sent = SigInfo::sent(timer.signal, code::SI_TIMER, processes.team(), processes.user_ids()[0]);
    let info = SigInfo { si_value: timer.value, ..sent };
    let bit = timer.signal.bit();
    match &timer.target {
        Target::None => true,
        Target::Team if lock(&team.signals).pending.set() & bit != 0 => false,
        Target::Team => team.signal_team(info, false).is_ok(),
        Target::Thread(thread) => match thread.upgrade() {
            Some(thread) if lock(&thread.signals).pending.set() & bit != 0 => false,
            Some(thread) => team.signal_thread(&thread, info, false).is_ok(),
            None => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(next: i64, interval: i64) -> Timer {
        let new = Timer::new(TimerClock::Monotonic, Target::None, Signal::SIGALRM, Word(0));
        Timer { next: Some(next), interval, ..new }
    }

    #[test]
    fn a_timer_goes_off_once_or_at_intervals() {
        let mut once = timer(1000, 0);
        once.advance(1000);
        assert_eq!((once.next, once.overruns), (None, 0));
        let mut periodic = timer(1000, 500);
        periodic.advance(1010);
        assert_eq!((periodic.next, periodic.overruns), (Some(1500), 0));
        // Three times were missed.
        periodic.advance(3700);
        assert_eq!((periodic.next, periodic.overruns), (Some(3500), 3));
    }

    #[test]
    fn very_short_intervals_are_bundled() {
        let mut busy = timer(1000, 7);
        busy.advance(1000);
        assert_eq!((busy.next, busy.overruns), (Some(1105), 14));
    }

    #[test]
    fn ids_are_the_lowest_free_ones_and_the_number_is_limited() {
        let timers = Timers::default();
        let new = || NewTimer {
            owner: None,
            clock: TimerClock::Monotonic,
            target: Target::Team,
            signal: Signal::SIGALRM,
            value: None,
        };
        assert_eq!((timers.create(new()), timers.create(new())), (Ok(3), Ok(4)));
        assert_eq!(timers.delete(None, 3), Ok(()));
        assert_eq!(timers.create(new()), Ok(3));
        assert_eq!(
            (timers.delete(None, 0), timers.delete(None, 9)),
            (Err(Status::B_BAD_VALUE), Err(Status::B_BAD_VALUE))
        );
        while timers.table().timers.len() < MAX_TIMERS {
            timers.create(new()).expect("room");
        }
        assert_eq!(timers.create(new()), Err(Status::B_WOULD_BLOCK));
    }

    #[test]
    fn working_clocks_are_looked_at_more_often_than_they_may_run() {
        assert_eq!(TimerClock::Monotonic.sleep(70, 4), 70);
        assert_eq!(TimerClock::Team.sleep(80_000, 4), 20_000);
        assert_eq!(TimerClock::Team.sleep(80, 4), WORK_CLOCK_STEP);
    }
}
