//! Runs tests on a team of guest threads and counts what comes out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, mpsc};

use hokku_ir::{CpuMode, CpuState, Gpr, GuestAddr, SyscallKind};
use hokku_runtime::{Engine, GuestFault, Personality, Placement, Prot, Resume, Team, TeamConfig, Thread};

use super::code::{CODE, CODE_BYTES, DATA, GATE, OUT, OUT_BYTES, RESULT, STRIDE, VALUES, Y, assemble};
use super::{Access, MOST_THREADS, Outcome, TORN, Variant};

/// Instances in one go.
const INSTANCES: i32 = 1000;
const STACKS: i32 = 0x310_0000;
const STACK_BYTES: i32 = 0x1000;

/// A system in which every call and every fault ends the thread.
struct Bare;

impl Personality for Bare {
    fn syscall(&self, _: &mut Thread, _: SyscallKind, _: GuestAddr) -> Resume {
        Resume::LeaveThread
    }
    fn fault(&self, _: &mut Thread, _: GuestFault) -> Resume {
        Resume::LeaveThread
    }
    fn interrupted(&self, _: &mut Thread) -> Resume {
        Resume::LeaveThread
    }
}

/// A team with the memory that tests use. There can be one in a process at a time.
pub struct Bench {
    pub(super) team: Arc<Team>,
}

impl Bench {
    /// A team of `mode` on `engine`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(engine: Engine, mode: CpuMode) -> Bench {
        let team = Team::new(&TeamConfig::new(mode, engine), Arc::new(Bare)).expect("a team");
        let rw = Prot::READ | Prot::WRITE;
        let threads = MOST_THREADS as i32;
        let map = |at: i32, len: i32, prot| {
            let place = Placement::Exactly(GuestAddr(at as u64));
            team.memory.map_anonymous(place, len as u64, prot, false).expect("memory for tests");
        };
        map(CODE, CODE_BYTES * threads, rw | Prot::EXECUTE);
        map(DATA, STRIDE * INSTANCES, rw);
        map(OUT, OUT_BYTES * threads, rw);
        map(GATE, 0x1000, rw);
        map(STACKS, STACK_BYTES * threads, rw);
        Bench { team }
    }

    /// Writes `bytes` at `at`, which is memory of the tests.
    pub(super) fn write(&self, at: i32, bytes: &[u8]) {
        self.team.memory.write_bytes(GuestAddr(at as u64), bytes).expect("memory of the tests");
    }

    /// `len` bytes at `at`, which is memory of the tests.
    pub(super) fn read(&self, at: i32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.team.memory.read_bytes(GuestAddr(at as u64), &mut bytes).expect("memory of the tests");
        bytes
    }

    /// Makes thread number `thread` run `code`.
    pub(super) fn load(&self, thread: usize, code: &[u8]) {
        assert!(code.len() <= CODE_BYTES as usize, "{} bytes of code", code.len());
        self.write(CODE + CODE_BYTES * thread as i32, code);
    }

    /// Runs threads 0 to `count` - 1 at the same time, to their ends.
    pub(super) fn run_threads(&self, count: usize) {
        let (sender, done) = mpsc::channel();
        for thread in 0..count as i32 {
            let mut cpu = CpuState::new(self.team.mode);
            cpu.rip = (CODE + CODE_BYTES * thread) as u64;
            cpu.set(Gpr::Rsp, (STACKS + STACK_BYTES * (thread + 1) - 64) as u64);
            let sender = sender.clone();
            let body = move |thread: &mut Thread| {
                thread.run();
                // The receiver lives until all have said this.
                let _ = sender.send(thread.cpu.rip);
            };
            self.team.spawn_with(cpu, Box::new(()), "litmus", body).expect("a thread");
        }
        drop(sender);
        for rip in done {
            let at = self.read(rip as i32, 2);
            assert_eq!(at, [0x0f, 0x0b], "a thread of the test ended at {rip:#x}, which is not its end");
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // The next one wants to use its addresses.
        self.team.close();
    }
}

/// How often each outcome was seen.
#[derive(Clone, Debug, Default)]
pub struct Count {
    outcomes: BTreeMap<Outcome, u64>,
}

impl Count {
    /// Runs in all.
    pub fn total(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Runs with the outcome in question of `variant`.
    pub fn asked(&self, variant: &Variant) -> u64 {
        self.outcomes.iter().filter(|(o, _)| (variant.test.asked)(o)).map(|(_, n)| n).sum()
    }

    /// Runs in which an access was torn.
    pub fn torn(&self) -> u64 {
        self.outcomes.iter().filter(|(o, _)| o.is_torn()).map(|(_, n)| n).sum()
    }

    /// Number of different outcomes.
    pub fn kinds(&self) -> usize {
        self.outcomes.len()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (o, n) in &self.outcomes {
            let reads: Vec<String> = o.r.iter().map(|r| format!("{}{}", r[0], r[1])).collect();
            writeln!(f, "{n:>10}  reads {}  x={} y={}", reads.join(" "), o.x, o.y)?;
        }
        Ok(())
    }
}

/// Runs `variant` at least `times` times.
///
/// # Panics
/// If a thread does not get to its end.
pub fn run(bench: &Bench, variant: &Variant, times: u64) -> Count {
    let threads = variant.test.threads.len();
    for value in 0..3u8 {
        bench.write(VALUES + 16 * i32::from(value), &[value; 16]);
    }
    for thread in 0..threads {
        bench.load(thread, &assemble(variant, thread, INSTANCES));
    }
    let mut count = Count::default();
    while count.total() < times {
        bench.write(DATA, &vec![0; (STRIDE * INSTANCES) as usize]);
        bench.write(GATE, &[0; 4]);
        for thread in 0..threads as i32 {
            bench.write(OUT + OUT_BYTES * thread, &vec![0; (RESULT * INSTANCES) as usize]);
        }
        bench.run_threads(threads);
        let data = bench.read(DATA, (STRIDE * INSTANCES) as usize);
        let results: Vec<Vec<u8>> = (0..threads as i32)
            .map(|thread| bench.read(OUT + OUT_BYTES * thread, (RESULT * INSTANCES) as usize))
            .collect();
        for instance in 0..INSTANCES as usize {
            *count.outcomes.entry(outcome(variant.access, &data, &results, instance)).or_default() += 1;
        }
    }
    count
}

fn outcome(access: Access, data: &[u8], results: &[Vec<u8>], instance: usize) -> Outcome {
    let value = |bytes: &[u8], at: usize| whole(&bytes[at..at + access.bytes()]);
    let place = instance * STRIDE as usize + access.offset() as usize;
    let mut o = Outcome { x: value(data, place), y: value(data, place + Y as usize), ..Outcome::default() };
    for (r, bytes) in o.r.iter_mut().zip(results) {
        let at = instance * RESULT as usize;
        *r = [value(bytes, at), value(bytes, at + 16)];
    }
    o
}

/// The value that all of `bytes` hold.
fn whole(bytes: &[u8]) -> u8 {
    if bytes.iter().all(|b| *b == bytes[0]) { bytes[0] } else { TORN }
}
