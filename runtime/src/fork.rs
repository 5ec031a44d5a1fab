//! Forking a team's process: the child has one thread, and a copy of the translations.

use std::sync::Arc;

use rustix::io::Errno;

use crate::host::arch;
use crate::jit::CodeCopy;
use crate::perf_map::PerfMap;
use crate::team::Team;
use crate::thread::Thread;

impl Thread {
    /// Calls `fork`, which forks the host process and gives the child's id, or zero in the child, with everything of the runtime in a state
    /// that the child can go on from.
    pub fn fork<E>(&mut self, fork: impl FnOnce() -> Result<i32, E>) -> Result<i32, E> {
        self.team.memory.prepare_fork();
        let (result, copy) = {
            let team = &self.team;
            // In the order in which they are taken elsewhere. What another thread holds when the process is copied stays locked in the child.
            let _symbols = team.symbols.hold();
            let _world = team.world.hold();
            let tables = team.code.lock();
            let _disk = team.disk_cache.as_ref().map(|disk| disk.hold());
            let _rewritten = team.rewritten.hold();
            let _memory = team.memory.hold();
            let _threads = team.threads.hold();
            let _optimiser = team.optimiser.hold();
            let _debug = team.debug.hold();
            let _stats = team.stats.hold();
            let _accesses = arch::guest_access::hold();
            let _front_end = hokku_frontend::hold();
            let _map = team.perf_map.as_ref().map(PerfMap::hold);
            // Messages are written with anything held.
            let _messages = std::io::stderr().lock();
            // The map that is written for `perf` tells of code that its own process has placed.
            let copy = tables.host.as_ref().map(|host| host.copy(team.perf_map.is_none()));
            (fork(), copy)
        };
        if let Ok(0) = result {
            self.in_child(copy);
        }
        result
    }

    /// Makes this thread the team's only one, in a child process, with `copy` of the team's host code.
    fn in_child(&mut self, copy: Option<Result<CodeCopy, Errno>>) {
        let team = Arc::clone(&self.team);
        team.memory.forget_loans();
        team.threads.keep_only(&self.shared);
        self.shared.moved_to_child();
        if !team.adopt_code(copy) {
            self.sync_x87();
            team.code.flush(&team.memory);
            if let Some(jit) = &self.jit {
                jit.forget_code();
            }
        }
        if let Some(jit) = &self.jit {
            jit.moved_to_child();
        }
        if let Some(disk) = &team.disk_cache {
            disk.moved_to_child();
        }
        if let Some(map) = &team.perf_map {
            map.renew();
        }
        team.optimiser.renew(&team);
    }
}

impl Team {
    /// Puts `copy` in the place of the memory for host code, which is shared with the parent process; says whether all translations are still
    /// there.
    fn adopt_code(&self, copy: Option<Result<CodeCopy, Errno>>) -> bool {
        let mut tables = self.code.lock();
        let Some((host, copy)) = tables.host.as_mut().zip(copy) else { return true };
        copy.and_then(|copy| host.adopt(copy)).unwrap_or_else(|error| {
            tracing::error!("no memory for translated code: {error}; the program goes on slowly");
            tables.host = None;
            false
        })
    }
}
