//! The computer: processors, memory, randomness, limits.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::abi::structs::LoadAvg;
use crate::abi::{SignedWord, Status, SysResult};
use crate::args::ThreadId;
use crate::kernel::{Limit, Machine};

/// The host as a computer.
#[derive(Clone, Copy, Debug)]
pub struct LinuxMachine;

/// Most processors that Haiku knows.
const MAX_CPUS: usize = 64;

fn read(path: &str) -> String {
    // Without /proc or /sys the answer is empty, and what is made of it zero.
    fs::read_to_string(path).unwrap_or_default()
}

fn set_of(thread: ThreadId) -> SysResult<rustix::thread::CpuSet> {
    let pid = rustix::process::Pid::from_raw(thread.0);
    rustix::thread::sched_getaffinity(pid).map_err(|_| Status::B_BAD_THREAD_ID)
}

impl Machine for LinuxMachine {
    fn cpu_count(&self) -> u32 {
        std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_CPUS)) as u32
    }

    fn current_cpu(&self) -> u32 {
        (rustix::thread::sched_getcpu() as u32) % self.cpu_count()
    }

    fn pages(&self) -> (u64, u64) {
        let info = rustix::system::sysinfo();
        let unit = u64::from(info.mem_unit).max(1);
        let total = info.totalram * unit / 4096;
        let available = read("/proc/meminfo")
            .lines()
            .find_map(|l| l.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .map_or(info.freeram * unit / 4096, |kb| kb / 4);
        (total, total.saturating_sub(available))
    }

    fn shared_memory(&self, size: u64) -> SysResult<OwnedFd> {
        let file = memfd_create("hokku-area", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, size)?;
        Ok(file)
    }

    fn random(&self, buffer: &mut [u8]) {
        let mut done = 0;
        while done < buffer.len() {
            // Can only be cut short by a signal.
            done += getrandom(&mut buffer[done..], GetRandomFlags::empty()).unwrap_or(0);
        }
    }

    fn load_averages(&self) -> LoadAvg {
        let text = read("/proc/loadavg");
        let mut loads = text.split(' ').map(|load| (load.parse::<f64>().unwrap_or(0.0) * 2048.0) as u32);
        let mut next = || loads.next().unwrap_or(0);
        LoadAvg { ldavg_1: next(), ldavg_5: next(), ldavg_15: next(), fscale: SignedWord(2048) }
    }

    fn cpu_activity(&self) -> Vec<(i64, u64)> {
        // Ticks of a hundredth of a second: user, nice, system, idle, iowait, irq, softirq, steal.
        let stat = read("/proc/stat");
        let active = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).map(|line| {
            let ticks: Vec<i64> = line.split_whitespace().skip(1).map(|t| t.parse().unwrap_or(0)).collect();
            let busy: i64 = ticks.iter().enumerate().filter(|(i, _)| !matches!(i, 3 | 4)).take(6).map(|(_, t)| t).sum();
            busy * 10_000
        });
        let info = read("/proc/cpuinfo");
        let mut frequencies = info.lines().filter_map(|l| {
            let mhz: f64 = l.strip_prefix("cpu MHz")?.split(':').nth(1)?.trim().parse().ok()?;
            Some((mhz * 1e6) as u64)
        });
        let mut list: Vec<(i64, u64)> = active.map(|a| (a, frequencies.next().unwrap_or(0))).collect();
        list.resize(self.cpu_count() as usize, (0, 0));
        list
    }

    fn affinity(&self, thread: ThreadId) -> SysResult<Vec<u8>> {
        let set = set_of(thread)?;
        let mut bytes = vec![0; MAX_CPUS / 8];
        for cpu in (0..MAX_CPUS).filter(|&cpu| set.is_set(cpu)) {
            bytes[cpu / 8] |= 1 << (cpu % 8);
        }
        Ok(bytes)
    }

    fn set_affinity(&self, thread: ThreadId, bytes: &[u8]) -> SysResult {
        let mut set = rustix::thread::CpuSet::new();
        for cpu in (0..MAX_CPUS.min(bytes.len() * 8)).filter(|cpu| bytes[cpu / 8] >> (cpu % 8) & 1 != 0) {
            set.set(cpu);
        }
        Ok(rustix::thread::sched_setaffinity(rustix::process::Pid::from_raw(thread.0), &set)?)
    }

    fn limit(&self, resource: i32) -> SysResult<Limit> {
        use rustix::process::{Resource, getrlimit};
        let host = match resource {
            0 => Resource::Core,
            1 => Resource::Cpu,
            2 => Resource::Data,
            3 => Resource::Fsize,
            6 => Resource::As,
            _ => return Err(Status::B_BAD_VALUE),
        };
        let limit = getrlimit(host);
        Ok((limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX)))
    }

    fn set_limit(&self, resource: i32, (current, maximum): Limit) -> SysResult {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let host = match resource {
            0 => Resource::Core,
            3 => Resource::Fsize,
            _ => return Err(Status::B_BAD_VALUE),
        };
        let value = |v| (v != u64::MAX).then_some(v);
        Ok(setrlimit(host, Rlimit { current: value(current), maximum: value(maximum) })?)
    }

    fn yield_now(&self) {
        std::thread::yield_now();
    }
}
